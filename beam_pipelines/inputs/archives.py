"""One input file -> its documents (member name, bytes), streamed, at bounded memory.

The kind is recognised from content: gzip, tar, zip, or else a single document. An archive is
hostile input: nothing is extracted to disk, links and devices are passed over, a member above the
size limit is rejected unread, and a truncated or damaged archive gives up every member before the
damage and says so.

    >>> import io
    >>> list(documents(io.BytesIO(b"<article/>"), "a.xml"))
    [Document(member='a.xml', data=b'<article/>')]
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from beam_pipelines.inputs import tar_reader

MAX_DOCUMENT_BYTES = 64 << 20
SUFFIXES = (".xml", ".nxml", ".xml.gz", ".nxml.gz")
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_TAR_AT, _TAR = 257, b"ustar"
_HEAD = 512
_CHUNK = 1 << 18
_WITH_HEADER = 31
"""zlib's `wbits` for gzip: header and checksum are read."""
_MAX_TRAILER = 1 << 24
"""What may follow the end of a tar archive: its padding, and the checksum of the gzip stream."""
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises where its numbers are damaged; RuntimeError: a password is needed.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error)


@dataclass(frozen=True)
class Document:
    """One member of an archive, or a file that stands alone.

    Attributes:
        member: its name inside the archive, or the file's own name.
        data: its bytes, decompressed.
    """

    member: str
    data: bytes


@dataclass(frozen=True)
class Damage:
    """What could not be read.

    Attributes:
        member: name inside the archive; empty where the archive itself is damaged.
        reason: `truncated_archive`, `damaged_archive`, `damaged_member` or `too_large`.
        detail: what was found.
    """

    member: str
    reason: str
    detail: str


def documents(
    file: BinaryIO, name: str, *, max_bytes: int = MAX_DOCUMENT_BYTES
) -> Iterator[Document | Damage]:
    """Yields every XML document in `file`, and what could not be read, in the order they stand.

    Args:
        file: positioned at the start; read once, forward (a zip must be seekable).
        name: of the file, for a document that stands alone.
        max_bytes: a larger document is rejected as `too_large`.
    """
    source = _Source(_chunks(file))
    try:
        head = source.peek(_HEAD)
        if head[_TAR_AT:].startswith(_TAR):
            yield from _tar_documents(source, max_bytes)
        elif head.startswith(_ZIP):
            file.seek(0)
            yield from _zip_documents(file, max_bytes)
        else:
            yield _single(source, name, max_bytes)
    except EOFError as error:
        yield Damage("", "truncated_archive", str(error))
    except (zlib.error, tar_reader.TarError) as error:
        yield Damage("", "damaged_archive", str(error))


# --- gzip --------------------------------------------------------------------------------------


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yields the bytes of a file, inflated if it is gzip."""
    data = file.read(_CHUNK)
    if data.startswith(_GZIP):
        yield from _inflated(data, file)
        return
    while data:
        yield data
        data = file.read(_CHUNK)


def _inflated(data: bytes, file: BinaryIO) -> Iterator[bytes]:
    """Yields every byte before the damage, then raises what it is.

    (`gzip.GzipFile` raises at once and loses what it had already inflated.)
    """
    inflater = zlib.decompressobj(_WITH_HEADER)
    while True:
        before = inflater.copy()
        try:
            inflated = inflater.decompress(data, _CHUNK)
        except zlib.error as error:
            yield _before_damage(before, data)
            raise zlib.error(f"gzip: {error}") from error
        yield inflated
        data = inflater.unconsumed_tail
        if inflater.eof:
            # Another stream may follow, as in files that were joined; zeros are padding.
            data = (inflater.unused_data + file.read(_CHUNK)).lstrip(b"\0")
            if not data:
                return
            inflater = zlib.decompressobj(_WITH_HEADER)
        elif not data and not (data := file.read(_CHUNK)):
            raise EOFError("the gzip stream ends too early")


def _before_damage(inflater: Any, data: bytes) -> bytes:
    """Returns what comes of `data` up to the byte that raises."""
    found = bytearray()
    try:
        for at in range(len(data)):
            found += inflater.decompress(data[at : at + 1])
    except zlib.error:
        pass
    return bytes(found)


class _Source:
    """Chunks, read as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """Returns the first bytes, which stay; fewer where there are no more."""
        try:
            while len(self._ahead) < size and (more := next(self._chunks, b"")):
                self._ahead += more
        except (EOFError, zlib.error) as error:
            self._chunks = _raising(error)
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """Returns up to `size` of the next bytes, none at the end."""
        while not self._ahead:
            more = next(self._chunks, None)
            if more is None:
                return b""
            self._ahead = more
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data


def _raising(error: Exception) -> Iterator[bytes]:
    yield b""
    raise error


# --- kinds -------------------------------------------------------------------------------------


def _wanted(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _bounded(member: str, data: bytes, max_bytes: int) -> Document | Damage:
    if len(data) > max_bytes:
        return Damage(member, "too_large", f"more than {max_bytes:,} bytes")
    return Document(member, data)


def _single(source: _Source, member: str, max_bytes: int) -> Document | Damage:
    """Returns a file that is one document."""
    pieces, size = [], 0
    try:
        while size <= max_bytes and (piece := source.read(_CHUNK)):
            pieces.append(piece)
            size += len(piece)
    except (EOFError, zlib.error) as error:
        return Damage(member, "damaged_member", str(error))
    return _bounded(member, b"".join(pieces), max_bytes)


def _member(name: str, data: bytes, max_bytes: int) -> Document | Damage:
    """Returns a member of an archive, inflated if it is gzip in its turn."""
    if data.startswith(_GZIP):
        return _single(_Source(_chunks(io.BytesIO(data))), name, max_bytes)
    return _bounded(name, data, max_bytes)


def _tar_documents(source: _Source, max_bytes: int) -> Iterator[Document | Damage]:
    for member in tar_reader.members(source.read, _wanted, max_bytes):
        if member.data is None:
            yield Damage(member.name, "too_large", f"{member.size:,} bytes")
        else:
            yield _member(member.name, member.data, max_bytes)
    trailer = 0
    while piece := source.read(_CHUNK):  # so that the gzip checksum is reached
        trailer += len(piece)
        if trailer > _MAX_TRAILER or piece.strip(b"\0"):
            raise tar_reader.TarError("more data after the end of the archive")


def _zip_documents(file: BinaryIO, max_bytes: int) -> Iterator[Document | Damage]:
    try:
        archive = zipfile.ZipFile(file)
    except _ZIP_ERRORS as error:
        yield Damage("", "damaged_archive", str(error))
        return
    with archive:
        for entry in archive.infolist():
            if _wanted(entry.filename):
                yield _zip_member(archive, entry, max_bytes)


def _zip_member(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, max_bytes: int
) -> Document | Damage:
    if entry.compress_type not in _ZIP_METHODS or entry.header_offset < 0:
        return Damage(entry.filename, "damaged_member", "neither stored nor deflated")
    try:
        with archive.open(entry) as content:
            data = content.read(max_bytes + 1)
    except _ZIP_ERRORS as error:
        return Damage(entry.filename, "damaged_member", str(error))
    return _member(entry.filename, data, max_bytes)
