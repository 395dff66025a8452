"""A file's bytes, decompressed where its first bytes say gzip, bzip2 or xz, at bounded memory.

    >>> import gzip, io
    >>> InputStream(io.BytesIO(gzip.compress(b"<article/>"))).read(9)
    b'<article/'

The standard library's `GzipFile` raises at damage and loses the bytes that it had inflated before
it. Here every byte before the damage is read first.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

CHUNK_BYTES = 1 << 18
COMPRESSION_SUFFIXES = (".gz", ".bz2", ".xz")

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 31  # zlib reads the gzip header and checks the checksum.
# What `xz -9` needs is 65 MiB. A hostile header may ask for 4 GiB.
_XZ_MEMORY_BYTES = 128 << 20


class DamagedStreamError(ValueError):
    """A compressed stream is damaged; the message says how."""


class InputStream:
    """A file, read forward and decompressed; its first bytes can be looked at before.

    Attributes:
        file: the file itself, as it is stored.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._chunks = decompressed(file)
        # Of a chunk nothing is cut off: headers of 512 bytes would copy it once for each.
        self._chunk, self._position = b"", 0
        self._damage: Exception | None = None

    def peek(self, size: int) -> bytes:
        """Returns the next bytes without passing over them; fewer at the end or before damage."""
        try:
            while len(self._chunk) - self._position < size and (chunk := next(self._chunks, b"")):
                self._chunk, self._position = self._chunk[self._position :] + chunk, 0
        except (EOFError, DamagedStreamError) as error:
            self._damage = error
        return self._chunk[self._position : self._position + size]

    def read(self, size: int) -> bytes:
        """Returns up to `size` of the next bytes, none at the end.

        Raises:
            EOFError: the compressed stream ends too early.
            DamagedStreamError: it is damaged.
        """
        while self._position >= len(self._chunk):
            if self._damage:
                raise self._damage
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._chunk, self._position = chunk, 0
        data = self._chunk[self._position : self._position + size]
        self._position += len(data)
        return data


def decompressed(file: BinaryIO) -> Iterator[bytes]:
    """Yields the bytes of a file, decompressed, in chunks; an empty chunk is not the end.

    Raises:
        EOFError: a compressed stream ends too early.
        DamagedStreamError: it is damaged.
    """
    data = file.read(CHUNK_BYTES)
    if data.startswith(_GZIP_MAGIC):
        yield from _inflated(data, file)
    elif data.startswith(b"BZh"):
        yield from _expanded(data, file, "bzip2", bz2.BZ2Decompressor)
    elif data.startswith(b"\xfd7zXZ\0"):
        yield from _expanded(
            data, file, "xz", lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
        )
    else:
        while data:
            yield data
            data = file.read(CHUNK_BYTES)


def _inflated(data: bytes, file: BinaryIO) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP_WBITS)
    while True:
        before = inflater.copy()
        try:
            inflated = inflater.decompress(data, CHUNK_BYTES)
        except zlib.error as error:
            yield _before_damage(before, data)
            raise DamagedStreamError(f"gzip: {error}") from error
        yield inflated
        data = inflater.unconsumed_tail
        if inflater.eof:
            # Another stream may follow, as in files that were joined; zeros are padding.
            data = (inflater.unused_data + file.read(CHUNK_BYTES)).lstrip(b"\0")
            if not data:
                return
            inflater = zlib.decompressobj(_GZIP_WBITS)
        elif not data and not (data := file.read(CHUNK_BYTES)):
            raise EOFError("the gzip stream ends too early")


def _before_damage(inflater: Any, data: bytes) -> bytes:
    """Returns what `data` inflates to up to the byte that raises."""
    inflated = bytearray()
    try:
        for at in range(len(data)):
            inflated += inflater.decompress(data[at : at + 1])
    except zlib.error:
        pass
    return bytes(inflated)


def _expanded(data: bytes, file: BinaryIO, name: str, new: Callable[[], Any]) -> Iterator[bytes]:
    """As `_inflated`, for the decompressors of `bz2` and `lzma`, which share an interface."""
    decompressor = new()
    while True:
        try:
            expanded = decompressor.decompress(data, CHUNK_BYTES)
        except (OSError, ValueError, lzma.LZMAError) as error:
            raise DamagedStreamError(f"{name}: {error}") from error
        yield expanded
        data = b""
        if decompressor.eof:
            data = (decompressor.unused_data + file.read(CHUNK_BYTES)).lstrip(b"\0")
            if not data:
                return
            decompressor = new()
        elif decompressor.needs_input and not (data := file.read(CHUNK_BYTES)):
            raise EOFError(f"the {name} stream ends too early")
