import pytest

from beam_pipelines.inputs.sources import article_version, input_files
from pmc2vec.errors import UserError


def test_input_is_files_folders_and_globs_each_once(tmp_path):
    for name in ("a.tar.gz", "a.filelist.csv", "b.xml", "deep/c.nxml", "deep/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
    found = input_files([str(tmp_path), str(tmp_path / "*.tar.gz"), str(tmp_path / "a.*")])
    assert [(path.removeprefix(f"{tmp_path}/"), size) for path, size in found] == [
        ("a.tar.gz", 5),
        ("b.xml", 5),
        ("deep/c.nxml", 5),
    ]


@pytest.mark.parametrize("name", ["missing.tar.gz", "empty", "*.nothing"])
def test_input_that_is_not_there_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="matches no archive, XML file or text file"):
        input_files([str(tmp_path / name)])


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("PMC006xxxxxx/PMC6908519.xml", ("PMC6908519", 0)),
        ("PMC10009416.12/PMC10009416.12.xml", ("PMC10009416", 12)),
        ("Journal_Name/PMC123.nxml", ("PMC123", 0)),
        ("PMC7112410/main.nxml", ("PMC7112410", 0)),
        ("PMC006xxxxxx/other.xml", None),
        ("article.xml", None),
    ],
)
def test_paths_name_articles(member, expected):
    assert article_version(member) == expected
