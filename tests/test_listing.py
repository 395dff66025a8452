import os

import pytest

from beam_pipelines.inputs.listing import input_files
from pmc2vec.errors import UserError

XML = b"<article>text</article>"


def make(folder, *names: str, data: bytes = XML) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def listed(folder, *patterns: str) -> list[str]:
    found = input_files([str(folder / pattern) for pattern in patterns])
    return [file.path.removeprefix(f"{folder}/") for file in found]


def test_input_is_files_folders_and_globs_each_once(tmp_path):
    make(tmp_path, "a.tar.gz", "a.filelist.csv", "b.xml", "deep/c.nxml", "deep/d.txt")
    found = input_files([str(tmp_path), str(tmp_path / "*.tar.gz"), str(tmp_path / "a.*")])
    assert [(f.path.removeprefix(f"{tmp_path}/"), f.size) for f in found] == [
        ("a.tar.gz", len(XML)),
        ("b.xml", len(XML)),
        ("deep/c.nxml", len(XML)),
    ]


@pytest.mark.parametrize("name", ["missing.tar.gz", "empty", "*.nothing", "no/such/*.xml"])
def test_input_that_is_not_there_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="matches no archive, XML file or text file"):
        input_files([str(tmp_path / name)])


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.xml", ["a.xml"]),
        ("./*.xml", ["./a.xml"]),
        ("**/*.xml", ["a.xml", "sub/b.xml", "sub/deep/c.xml"]),
        ("./**/*.xml", ["./a.xml", "./sub/b.xml", "./sub/deep/c.xml"]),
        ("sub/**", ["sub/b.xml", "sub/deep/c.xml"]),
        ("sub/*", ["sub/b.xml", "sub/deep/c.xml"]),
        ("*/[a-b].xml", ["sub/b.xml"]),
        ("s?b/*.xml", ["sub/b.xml"]),
        (".", ["./a.xml", "./sub/b.xml", "./sub/deep/c.xml"]),
    ],
)
def test_a_glob_without_a_folder_matches_as_one_with_a_folder(
    tmp_path, monkeypatch, pattern, paths
):
    make(tmp_path, "a.xml", "sub/b.xml", "sub/deep/c.xml")
    monkeypatch.chdir(tmp_path)
    assert [file.path for file in input_files([pattern])] == paths


def test_brackets_in_names_that_exist_are_no_pattern(tmp_path):
    make(tmp_path, "in[1]/a[2].xml", "in1/a2.xml")
    assert listed(tmp_path, "in[1]") == ["in[1]/a[2].xml"]
    assert listed(tmp_path, "in[1]/*.xml") == ["in[1]/a[2].xml"]
    assert listed(tmp_path, "in[1]/a[2].xml") == ["in[1]/a[2].xml"]


def test_an_unquoted_glob_with_filelists_and_readme_is_accepted(tmp_path, caplog):
    make(tmp_path, "a.tar.gz")
    make(tmp_path, "a.filelist.csv", "a.filelist.txt", "b.json", "README", data=b"words")
    names = ["README", "a.filelist.csv", "a.filelist.txt", "a.tar.gz", "b.json"]
    assert listed(tmp_path, *names) == ["a.tar.gz"]
    assert listed(tmp_path, "*") == ["a.tar.gz"]
    assert "README: passed over (no XML, no archive and no text by its suffix)" in caplog.text
    with pytest.raises(UserError, match="matches no archive"):
        listed(tmp_path, "*.csv")


def test_suffixes_in_upper_case_are_found_in_a_folder(tmp_path):
    make(tmp_path, "PMC501.XML", "PMC502.xml", "B.TAR.GZ", "c.tar.xz")
    assert listed(tmp_path, ".") == ["B.TAR.GZ", "PMC501.XML", "PMC502.xml", "c.tar.xz"]


@pytest.mark.parametrize("pattern", [".", "*", "text8"])
def test_text8_without_a_suffix(tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "text8", data=b" anarchism originated as a term")
    (file,) = input_files([pattern])
    assert file.path.removeprefix("./") == "text8"


def test_a_link_to_a_folder_is_followed_and_a_circle_ends(tmp_path):
    make(tmp_path, "in/a.xml", "in/deep/b.xml", "elsewhere/c.xml", "elsewhere/more/d.xml")
    (tmp_path / "in/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/again").symlink_to(tmp_path / "in/deep")
    (tmp_path / "in/deep/circle").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere/circle").symlink_to(tmp_path / "elsewhere")
    whole = ["in/a.xml", "in/deep/b.xml", "in/linked/c.xml", "in/linked/more/d.xml"]
    assert listed(tmp_path, "in") == whole
    assert listed(tmp_path, "in/**/*.xml") == whole


def test_a_fifo_and_a_broken_link_in_a_folder_are_passed_over_and_told(tmp_path, caplog):
    make(tmp_path, "a.xml")
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "broken.xml").symlink_to(tmp_path / "nowhere.xml")
    assert input_files([str(tmp_path)])[0].path == f"{tmp_path}/a.xml"
    assert f"{tmp_path}/pipe.xml: passed over (no regular file)" in caplog.text
    assert f"{tmp_path}/broken.xml: passed over (No such file or directory)" in caplog.text
    with pytest.raises(UserError, match="matches no archive"):
        input_files([str(tmp_path / "pipe.xml")])


def test_files_that_macos_adds_are_passed_over(tmp_path):
    make(tmp_path, "PMC1/main.nxml", "PMC1/._main.nxml", "__MACOSX/PMC1/main.nxml")
    assert listed(tmp_path, "*") == ["PMC1/main.nxml"]


@pytest.mark.parametrize("pattern", ["*/*", "**", "."])
def test_a_glob_over_article_versions_takes_no_text_beside_xml(tmp_path, caplog, pattern):
    for version in ("PMC500.1", "PMC501.1"):
        make(tmp_path, *(f"{version}/{version}.{kind}" for kind in ("xml", "txt", "json", "pdf")))
    paths = ["PMC500.1/PMC500.1.xml", "PMC501.1/PMC501.1.xml"]
    assert listed(tmp_path, pattern) == paths
    message = "PMC500.1.txt and 1 more: passed over (text beside XML of the same name)"
    assert (message in caplog.text) == (pattern != ".")


def test_text_with_a_name_of_its_own_is_read_beside_xml(tmp_path):
    make(tmp_path, "a.xml", "a.txt", "novel.txt")
    assert listed(tmp_path, "*") == ["a.xml", "novel.txt"]
    assert listed(tmp_path, "a.txt") == ["a.txt"]


def test_a_listing_knows_size_and_date(tmp_path):
    make(tmp_path, "a.xml")
    os.utime(tmp_path / "a.xml", (1_700_000_000, 1_700_000_000))
    (file,) = input_files([str(tmp_path)])
    assert (file.size, file.modified) == (len(XML), "2023-11-14T22:13:20+00:00")
