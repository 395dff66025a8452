"""Files and folders on a local disk that appear whole or not at all.

    with atomic_local_file(Path("run/vectors.npy")) as file:
        np.save(file, matrix)

A reader sees the old file until the work inside has ended well, and then the new one. Killed
processes leave a temporary folder behind, which the next writer of the same file removes.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pmc2vec.errors import UserError

_TEMPORARY = ".tmp"


@contextmanager
def atomic_local_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file that replaces `path` when the work inside ends well.

    Raises:
        UserError: it cannot be written; names `path`.
    """
    with scratch_folder(path) as folder:
        temporary = folder / path.name
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # Else a loss of power could leave the name without its bytes.
        temporary.replace(path)


@contextmanager
def atomic_local_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder that replaces `path` when the work inside ends well."""
    with scratch_folder(path) as temporary:
        new_folder = temporary / "new"
        yield new_folder
        if path.exists():
            path.replace(temporary / "old")  # A folder with files in it cannot be replaced at once.
        new_folder.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, and removes those of writers that were killed.

    A writer holds a lock on its folder. The lock ends with the process, also where that ran in
    another container; so a folder without a lock belongs to no living writer.

    Raises:
        UserError: it cannot be written; names `path`.
    """
    prefix = f".{path.name}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f"{glob.escape(prefix)}*{_TEMPORARY}"):
            with suppress(OSError), _folder_lock(stale):
                shutil.rmtree(stale)
        with ExitStack() as stack:
            folder = stack.enter_context(
                TemporaryDirectory(_TEMPORARY, prefix, path.parent, ignore_cleanup_errors=True)
            )
            # Some network filesystems cannot lock folders: there, nothing is ever removed.
            with suppress(OSError):
                stack.enter_context(_folder_lock(Path(folder)))
            yield Path(folder)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); mend that and give the same "
            "command again"
        ) from error


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def walk_folder(
    folder: str,
    *,
    depth: int | None = None,
    follow_links: bool = False,
    skip: Callable[[str], bool] = lambda _: False,
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields (path inside the folder, entry) of all that is below it, each folder's by name.

    Links to folders are followed after all real folders, and each real folder is read once: links
    that form a circle end, and a link inside the tree adds nothing.

    Args:
        folder: local and literal.
        depth: how many levels down, or None for all.
        follow_links: go into folders that are linked there; a link itself is an entry anyway.
        skip: tells by its name whether to leave a file or a folder out.

    Raises:
        OSError: a folder cannot be listed; names it.
    """
    visited: set[tuple[int, int]] = set()
    folders, links = deque([("", 1)]), deque[tuple[str, int]]()
    while folders or links:
        inside, level = folders.popleft() if folders else links.popleft()
        path = os.path.join(folder, inside)  # noqa: PTH118  # A Path for each of millions is slow.
        status = os.stat(path)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(path) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
        for entry in entries:
            if skip(entry.name):
                continue
            name = f"{inside}/{entry.name}" if inside else entry.name
            yield name, entry
            if level != depth and entry.is_dir() and (follow_links or not entry.is_symlink()):
                (links if entry.is_symlink() else folders).append((name, level + 1))
