import hashlib
import os

import pytest

from pmc2vec.errors import UserError
from pmc2vec.storage import local_cache
from pmc2vec.storage.local_cache import LocalCache


def write(folder, name, data):
    (folder / name).write_bytes(data)
    return {
        "path": str(folder / name), "size": len(data), "sha256": hashlib.sha256(data).hexdigest()
    }  # fmt: skip


def test_a_copy_is_made_once_and_is_the_file(tmp_path):
    cache = LocalCache(tmp_path / "cache")
    file = write(tmp_path, "a.tfrecord", b"records")
    copy = cache.fetch(**file)
    assert copy.read_bytes() == b"records"
    assert copy.suffix == ".tfrecord"
    (tmp_path / "a.tfrecord").unlink()
    assert cache.fetch(**file) == copy


def test_a_file_with_another_digest_is_named_and_leaves_no_copy(tmp_path):
    cache = LocalCache(tmp_path / "cache")
    file = write(tmp_path, "a", b"records")
    with pytest.raises(UserError, match="a: not the file that the manifest describes"):
        cache.fetch(**file | {"sha256": "0" * 64})
    assert list((tmp_path / "cache").iterdir()) == []


def test_copies_used_longest_ago_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(local_cache, "_NEWEST_COPIES", 2)
    cache = LocalCache(tmp_path / "cache", max_bytes=30)
    files = [write(tmp_path, f"{n}", bytes([n]) * 10) for n in range(5)]
    copies = []
    for age, file in enumerate(files[:3]):
        copies.append(cache.fetch(**file))
        os.utime(copies[-1], (age, age))
    copies.append(cache.fetch(**files[3]))
    assert [copy.exists() for copy in copies] == [False, True, True, True]
    small = LocalCache(tmp_path / "cache", max_bytes=1)
    small.fetch(**files[4])
    assert len(list((tmp_path / "cache").iterdir())) == 2
