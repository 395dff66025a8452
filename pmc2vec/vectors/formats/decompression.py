"""Opens files that may be compressed, whatever their names: .gz, .bz2, .xz, .zst, .zip.

The first bytes of a file say what it is, as the program `file` tells them apart.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from pmc2vec.errors import UserError

_MAGICS = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
    "zip": b"PK\x03\x04",
}


def compression(path: Path) -> str | None:
    """Returns what a file is compressed with, such as "gzip"; None where it is not."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for name, magic in _MAGICS.items() if head.startswith(magic)), None)


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """Yields the content of a file, decompressed.

    Raises:
        UserError: it is empty, damaged, or a .zip of several files; names it. Also where reading
            it inside meets the damage.
    """
    name = compression(path)
    try:
        with ExitStack() as stack:
            file = stack.enter_context(_open(path, name, stack))
            buffered = stack.enter_context(io.BufferedReader(cast(io.RawIOBase, file)))
            if not buffered.peek(1):
                raise UserError(f"{path}: empty; get or export the vectors again")
            yield buffered
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        if name is None:
            raise
        raise UserError(f"{path}: damaged {name} file ({error}); get it again") from error


def _open(path: Path, name: str | None, stack: ExitStack) -> BinaryIO:
    if name == "gzip":
        return cast(BinaryIO, gzip.open(path))
    if name == "bzip2":
        return cast(BinaryIO, bz2.open(path))
    if name == "xz":
        return cast(BinaryIO, lzma.open(path))
    if name == "zstd":
        return cast(BinaryIO, pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    if name == "zip":
        return _only_member(path, stack.enter_context(zipfile.ZipFile(path)))
    return path.open("rb", buffering=0)


def _only_member(path: Path, archive: zipfile.ZipFile) -> BinaryIO:
    # macOS adds a folder with a description of each file.
    names = [
        name for name in archive.namelist() if not name.endswith("/") and "__MACOSX/" not in name
    ]
    if len(names) != 1:
        raise UserError(
            f"{path}: holds {len(names)} files ({', '.join(names[:3])}, ...); "
            "unpack it and give one of them"
        )
    return cast(BinaryIO, archive.open(names[0]))
