"""Reading and writing through Beam's filesystems: local paths, and whatever Beam has a scheme for.

A file appears under its name only when it is complete: it is written beside it under a name of
its own for each attempt, and renamed. On a local disk it is on the disk itself by then, so that
this holds after a loss of power too.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import posixpath
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pmc2vec.errors import UserError

TEMPORARY = ".tmp"


def join(folder: str, *names: str) -> str:
    """Returns the path of a file in a folder of any filesystem."""
    return posixpath.join(folder, *names)


def open_binary(path: str) -> BinaryIO:
    """Opens a file for reading, without decompressing it.

    Raises:
        UserError: it cannot be opened; names it.
    """
    try:
        opened = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except (BeamIOError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    return cast(BinaryIO, opened)


@contextlib.contextmanager
def claim(folder: str, *, shared: bool = False) -> Iterator[None]:
    """Makes a folder and holds it against a second build while the work inside runs.

    Shared, it is held against builds of the whole alone, and other shares may run beside.

    The lock is on the folder itself, so it leaves nothing in it, and it is the system's: it ends
    with its process, however that ends. Elsewhere than on a local disk the user has to take care.

    Raises:
        UserError: another process builds in it, or it cannot be made.
    """
    make_folder(folder)
    if "://" in folder:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(opened)
        raise UserError(
            f"{folder}: another build is writing here; wait for it, stop it, "
            "or choose another --output"
        ) from error
    except OSError:
        pass  # Some network filesystems lock no folders.
    try:
        yield
    finally:
        os.close(opened)


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that takes its name only when the block ends without an error.

    Raises:
        UserError: it cannot be written (no such folder, no right, no space); names it.
    """
    temporary = f"{path}.{uuid.uuid4().hex}{TEMPORARY}"
    try:
        file = FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED)
        try:
            yield cast(BinaryIO, file)
            _to_disk(file)
            file.close()
            FileSystems.rename([temporary], [path])
        except BaseException:
            with contextlib.suppress(BeamIOError, OSError):
                file.close()
            with contextlib.suppress(BeamIOError, OSError):
                FileSystems.delete([temporary])
            raise
    except (BeamIOError, OSError) as error:
        raise UserError(f"{path}: cannot be written ({error})") from error


def _to_disk(file: Any) -> None:
    """Waits until a local file's bytes are on the disk; others are when they are closed."""
    with contextlib.suppress(io.UnsupportedOperation, AttributeError):
        descriptor = file.fileno()
        file.flush()
        os.fsync(descriptor)


def write_text(path: str, text: str) -> None:
    """Writes a whole file at once, UTF-8."""
    with atomic_file(path) as file:
        file.write(text.encode())


def read_text(path: str, *, errors: str = "strict") -> str | None:
    """Returns a file's UTF-8 text, or None where there is no such file.

    Args:
        path: of the file.
        errors: `replace` for what others wrote.
    """
    if not FileSystems.exists(path):
        return None
    with open_binary(path) as file:
        return file.read().decode(errors=errors)


def matches(pattern: str) -> list[tuple[str, int]]:
    """Returns (path, size in bytes) of each file that matches a glob, by path."""
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except BeamIOError as error:
        raise UserError(f"{pattern}: cannot be listed ({error})") from error
    return sorted((item.path, int(item.size_in_bytes)) for item in found)


def make_folder(path: str) -> None:
    """Makes a folder and those above it, where the filesystem has folders."""
    if FileSystems.exists(path):
        return
    try:
        FileSystems.mkdirs(path)
    except (BeamIOError, OSError) as error:
        raise UserError(f"{path}: cannot be made ({error}); choose another --output") from error


def remove(pattern: str) -> None:
    """Deletes every file that matches a glob; none is no error."""
    if found := [path for path, _ in matches(pattern)]:
        FileSystems.delete(found)
