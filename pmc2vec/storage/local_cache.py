"""Copies of files from an object store in a local folder of bounded size.

    cache = LocalCache(Path("~/.cache/pmc2vec").expanduser())
    path = cache.fetch("s3://bucket/dataset/train-00000-of-00016.tfrecord", size=..., sha256=...)

A copy is named by its digest and gets its name only when the digest was right, so that a copy that
is there is whole, and datasets that share a file share its copy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

from pmc2vec.errors import UserError
from pmc2vec.storage.files import atomic_file, open_binary

DEFAULT_CACHE = "~/.cache/pmc2vec"

# The last copies stay whatever the bound is: a reader may not have opened them yet. (One that is
# open already may be deleted: its bytes stay until it is closed.)
_NEWEST_COPIES = 16

_CHUNK_BYTES = 4 << 20


class LocalCache:
    """The copies in one folder; several threads and processes may use it at the same time."""

    def __init__(self, folder: Path, max_bytes: int | None = None) -> None:
        """Makes the folder.

        Args:
            folder: for the copies.
            max_bytes: of all copies; by default half of what the disk has for them.

        Raises:
            UserError: it cannot be made.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be made ({error}); choose another --cache_dir"
            ) from error
        self.folder = folder
        self._max_bytes = max_bytes
        if max_bytes is None:
            self._max_bytes = (free + sum(size for _, _, size in self._copies())) // 2
        self._lock = threading.Lock()

    def fetch(self, path: str, *, size: int, sha256: str) -> Path:
        """Returns a file's copy, after making it where there is none.

        Args:
            path: of the file.
            size: in bytes.
            sha256: hex digest that its bytes must have.

        Raises:
            UserError: it cannot be read or copied, or has another digest.
        """
        copy = self.folder / f"{sha256}{Path(path).suffix}"
        with self._lock:
            if not copy.exists():
                self._make_room(size)
                self._download(path, copy, sha256)
            os.utime(copy)  # The newest: it is the last to be deleted.
        return copy

    def _download(self, path: str, copy: Path, sha256: str) -> None:
        digest = hashlib.sha256()
        with open_binary(path) as source, atomic_file(str(copy)) as target:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                target.write(chunk)
            if digest.hexdigest() != sha256:
                raise UserError(
                    f"{path}: not the file that the manifest describes (sha256); copy it again "
                    "or build the dataset again"
                )

    def _make_room(self, size: int) -> None:
        """Deletes the copies that were used longest ago, until there is room for one more."""
        copies = sorted(self._copies(), reverse=True)
        total = size
        for number, (_, copy, copy_size) in enumerate(copies, 1):
            total += copy_size
            if number >= _NEWEST_COPIES and total > (self._max_bytes or 0):
                copy.unlink(missing_ok=True)

    def _copies(self) -> list[tuple[float, Path, int]]:
        """Returns (time of last use, path, size) of each copy."""
        copies = []
        for entry in os.scandir(self.folder):
            try:
                status = entry.stat()
            except FileNotFoundError:  # Another process has deleted it.
                continue
            if not entry.is_file():  # The folder of workdirs.
                continue
            copies.append((status.st_mtime, Path(entry.path), status.st_size))
        return copies
