import re

import pytest

from pmc2vec.errors import UserError
from pmc2vec.storage import files


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with files.atomic_file(str(path)) as file:
        file.write(b"after")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def write_half():
        with files.atomic_file(str(path)) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_cannot_be_written_or_read_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"file/a: cannot be written"),
        files.atomic_file(str(tmp_path / "file/a")) as file,
    ):
        file.write(b"")
    with pytest.raises(UserError, match=r"nothing: cannot be read"):
        files.open_binary(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"file/sub: cannot be made .*choose another --output"):
        files.make_folder(str(tmp_path / "file/sub"))


def test_a_file_that_is_not_there_has_no_text(tmp_path):
    assert files.read_text(str(tmp_path / "a")) is None
    (tmp_path / "a").write_bytes(b"caf\xe9")
    assert files.read_text(str(tmp_path / "a"), errors="replace") == "caf\ufffd"


def test_files_are_listed_by_path_and_removed_by_the_pattern_of_their_names(tmp_path):
    for name in ("b.x", "a.x", "c.y"):
        (tmp_path / name).write_bytes(b"123")
    assert files.list_files(str(tmp_path), "*.x") == [
        (str(tmp_path / "a.x"), 3),
        (str(tmp_path / "b.x"), 3),
    ]
    files.remove_files(str(tmp_path), "*.x")
    files.remove_files(str(tmp_path), "*.nothing")
    files.remove_files(str(tmp_path / "nothing"), "*")
    assert [p.name for p in tmp_path.iterdir()] == ["c.y"]


@pytest.mark.parametrize(
    ("folder", "neighbour"), [("out[a]", "outa"), ("run*", "run1"), ("a?b", "aXb"), ("[!x]", "y")]
)
def test_a_folder_is_its_name_whatever_characters_are_in_it(tmp_path, folder, neighbour):
    for name in (folder, neighbour):
        (tmp_path / name / "sub").mkdir(parents=True)
        for file in ("1.tmp", "sub/2.tmp"):
            files.write_text(str(tmp_path / name / file), name)
    ours = str(tmp_path / folder)
    assert files.list_files(ours, "*.tmp") == [(f"{ours}/1.tmp", len(folder))]
    assert files.match_files(f"{ours}/1.tmp") == [(f"{ours}/1.tmp", len(folder))]
    files.remove_files(ours, "**")
    assert files.list_files(ours) == []
    assert len(files.list_files(str(tmp_path / neighbour))) == 2


def test_a_users_pattern_matches_names_and_with_two_stars_folders(tmp_path, monkeypatch):
    for name in ("a.xml", "b.txt", "sub/c.xml", "sub/deep/d.xml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.chdir(tmp_path)

    def matched(pattern):
        return [path for path, _ in files.match_files(pattern)]

    assert matched("*.xml") == ["a.xml"]
    assert matched("./*.xml") == ["./a.xml"]
    assert matched("*/*.xml") == ["sub/c.xml"]
    assert matched("sub/**") == ["sub/c.xml", "sub/deep/d.xml"]
    assert matched("[ab].*") == ["a.xml", "b.txt"]
    assert matched("nothing/*") == matched("a.xm") == matched("sub") == []


def test_links_to_folders_are_followed_for_input_and_never_removed_through(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.xml").write_text("1")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d/circle").symlink_to(tmp_path / "d")
    ours = str(tmp_path / "d")
    assert files.list_files(ours, follow_links=True) == [(f"{ours}/link/a.xml", 1)]
    assert files.match_files(f"{ours}/**") == [(f"{ours}/link/a.xml", 1)]
    assert files.list_files(ours) == []
    files.remove_files(ours, "**")
    assert (tmp_path / "elsewhere/a.xml").exists()


def test_a_place_is_the_same_however_it_is_spelled(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    monkeypatch.chdir(tmp_path)
    for spelling in ("./d", "d/", "d/../d", str(tmp_path / "d"), "link", f"file://{tmp_path}/d"):
        assert files.same_place("d", spelling)
    assert files.same_place("new", "./new")  # Which is not there yet.
    assert not files.same_place("d", "e")
    assert files.same_place("s3://b/d", "s3://b/d/")
    assert not files.same_place("s3://b/d", "gs://b/d")


def test_a_file_is_described_and_digested(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    described = files.file_metadata(str(path))
    assert (described.size, described.etag) == (3, None)
    assert files.file_metadata(str(tmp_path / "b")) is None
    assert files.sha256_of(f"file://{path}") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("hdfs://host/a", "no support for hdfs://; give a local path or a URL with one of s3://"),
        ("s3://", "names no bucket"),
        ("az://account", "names no account and a container"),
        ("s3://b/../c", "a key in an object store has no '..'"),
    ],
)
def test_a_url_that_means_nothing_is_one_line(url, told):
    for call in (files.read_text, files.match_files, files.make_folder, files.open_binary):
        with pytest.raises(UserError) as caught:
            call(url)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("[z-a]", ["[z-a]"]), ("[^a]", ["^", "a"]),
        ("[!a]", ["^", "b", "[", "\\", "]"]), ("[]", ["[]"]),
        ("[[]", ["["]), ("[a", ["[a"]), ("\\", ["\\"]),
        ("[a/b]", ["[a/b]"]), ("[]]", ["]"]),
    ],
)  # fmt: skip
def test_a_pattern_that_means_nothing_is_literal(pattern, names):
    regex = re.compile(files.glob_regex(pattern))
    every = ("[z-a]", "^", "a", "b", "[]", "[", "[a", "\\", "[a/b]", "]")
    assert [name for name in every if regex.fullmatch(name)] == names
