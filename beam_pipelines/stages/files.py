"""Reading and writing through Beam's filesystems: local paths, and whatever Beam has a scheme for.

A file appears under its name only when it is complete: it is written beside it under a name of
its own for each attempt, and renamed.
"""

from __future__ import annotations

import contextlib
import posixpath
import uuid
from collections.abc import Iterator
from typing import BinaryIO, cast

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_pipelines.records import UserError

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
