"""A workdir in an object store, trained in a local folder.

    pmc2vec train --dataset s3://bucket/dataset --workdir s3://bucket/run

TensorFlow writes checkpoints by renames, which an object store does not have, and to few of these
stores. So the files are written to a local folder, and uploaded whole after each checkpoint and at
the end. The bucket is what counts: a start begins with what it holds and nothing else, on any
machine. The order of the uploads is that in which a stop does no harm: the data of a checkpoint,
its index, then deletions; provenance.json, which says that all is finished, is deleted before
anything else is replaced, and uploaded last.

An object store has no locks. The local folder has one, so that only two machines could train in one
workdir at the same time.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from pmc2vec.errors import UserError
from pmc2vec.storage.files import atomic_file, is_remote, join, list_files, open_binary
from pmc2vec.storage.local_cache import DEFAULT_CACHE
from pmc2vec.storage.object_stores import delete_objects, locate
from trainer.devices import Worker
from trainer.workdir import LOCK_NAME, PROVENANCE_NAME

WORKDIRS_FOLDER = "workdirs"
"""Of the cache: the local folders of workdirs in object stores."""


def remote_url(folder: Path) -> str | None:
    """Returns the URL of a workdir in an object store; None for a folder of this machine.

    >>> remote_url(Path("s3://bucket/run")), remote_url(Path("runs/first"))
    ('s3://bucket/run', None)
    """
    scheme, slash, location = folder.as_posix().partition(":/")  # Path makes one slash of "//".
    url = f"{scheme}://{location.lstrip('/')}"
    return url if slash and is_remote(url) else None


def local_folder(url: str, cache_dir: Path | None) -> Path:
    """Returns the local folder in which the workdir at a URL is trained."""
    digest = hashlib.sha256(locate(url).url.encode()).hexdigest()[:16]
    return (cache_dir or Path(DEFAULT_CACHE).expanduser()) / WORKDIRS_FOLDER / digest


class RemoteWorkdir:
    """The files of a workdir in an object store, and the local folder that has the same.

    Attributes:
        url: of the workdir; None where it is on this machine, and nothing is copied.
    """

    def __init__(self, url: str | None, worker: Worker) -> None:
        """Checks that the workdir can be trained in.

        Raises:
            UserError: the URL names no folder of a store that can be written, or there are several
                workers, of which each would have a folder of its own.
        """
        self.url = url
        if url is None:
            return
        location = locate(url)
        if location.scheme == "http" or not location.key:
            raise UserError(f"--workdir {url}: must be a folder in a bucket, or of this machine")
        if worker.count > 1:
            raise UserError(
                f"--workdir {url}: several workers need a folder that all of them see; "
                "mount one, or train with one worker"
            )
        self.url = location.url

    def download(self, folder: Path) -> None:
        """Makes a local folder, which the caller has locked, hold the files of the bucket alone.

        Raises:
            UserError: they cannot be read, or the folder cannot be written.
        """
        self._folder = folder
        if self.url is None:
            return
        for old in self._folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name != LOCK_NAME:
                old.unlink()
        prefix = self.url + "/"
        for path, _ in list_files(self.url):
            target = self._folder / path.removeprefix(prefix)
            if not target.resolve().is_relative_to(self._folder.resolve()):
                raise UserError(f"{path}: not a file of a workdir; choose another --workdir")
            with open_binary(path) as source, atomic_file(str(target)) as file:
                shutil.copyfileobj(source, file, 1 << 20)
        self._uploaded = self._files()

    def upload(self) -> None:
        """Makes the bucket hold the files of the local folder and no others.

        Raises:
            UserError: the bucket cannot be written.
        """
        if self.url is None:
            return
        files = self._files()
        changed = [name for name in files if self._uploaded.get(name) != files[name]]
        removed = [name for name in self._uploaded if name not in files]
        if PROVENANCE_NAME in self._uploaded and (changed or removed):
            self._delete([PROVENANCE_NAME])
        for name in sorted(changed, key=_upload_order):
            with (self._folder / name).open("rb") as source, atomic_file(self._path(name)) as file:
                shutil.copyfileobj(source, file, 1 << 20)
        self._delete(sorted(removed, key=_upload_order, reverse=True))
        self._uploaded = files

    def _path(self, name: str) -> str:
        return join(self.url or "", name)

    def _delete(self, names: list[str]) -> None:
        for name in names:  # One after the other: the index of a checkpoint before its data.
            delete_objects([self._path(name)])

    def _files(self) -> dict[str, tuple[int, int]]:
        """Returns (size, time of the last change) of each local file, by its path inside."""
        files = {}
        for path in self._folder.rglob("*"):
            if path.is_file() and path.name != LOCK_NAME:
                status = path.stat()
                name = path.relative_to(self._folder).as_posix()
                files[name] = (status.st_size, status.st_mtime_ns)
        return files


def _upload_order(name: str) -> tuple[bool, bool, str]:
    """Sorts the data of a checkpoint before its index, and provenance.json behind all."""
    return name == PROVENANCE_NAME, name.endswith(".index"), name
