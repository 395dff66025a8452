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


def test_files_are_listed_by_path_and_removed_by_pattern(tmp_path):
    for name in ("b.x", "a.x", "c.y"):
        (tmp_path / name).write_bytes(b"123")
    assert files.matches(str(tmp_path / "*.x")) == [
        (str(tmp_path / "a.x"), 3),
        (str(tmp_path / "b.x"), 3),
    ]
    files.remove(str(tmp_path / "*.x"))
    files.remove(str(tmp_path / "*.nothing"))
    assert [p.name for p in tmp_path.iterdir()] == ["c.y"]
