"""A tar stream -> its regular files, read forward, at bounded memory and time.

The standard library's `tarfile` is not used (docs/decisions/0015-a-tar-reader-of-our-own.md). It
takes a damaged header in mid-archive for the end of the archive, reads an extended header of any
size into memory, and recurses for each chained one. Here every archive ends with its end mark or
with an error that says what is wrong and where, after all the members before it.

Formats: POSIX.1-2017 pax and ustar, tars from before POSIX (v7), and the GNU extensions for long
names, large numbers and sparse files (which are named, not read).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

TAR_BLOCK_BYTES = 512
MAX_HEADER_BYTES = 1 << 20
"""Largest extended header (a long name) that is read."""
MAX_CHAINED_HEADERS = 64
"""Most extended headers before one member. Archivers write one or two."""
_CHUNK_BYTES = 1 << 18
_LAST_TIME = 253_402_300_799  # The last second of the year 9999: `datetime` goes no further.
_REGULAR, _LONG_NAME, _PAX, _SPARSE = b"07\0", b"L", b"x", b"S"
_EXTENDED_HEADERS = b"LxgKNVX"
_WITHOUT_CONTENT = b"123456"
"""Links, devices, folders and FIFOs: nothing follows their header, whatever its size says."""


class TarError(Exception):
    """What was read is not a tar header."""


@dataclass
class _Blocks:
    """Reads exact numbers of bytes from a stream that may return fewer."""

    read: Callable[[int], bytes]
    offset: int = 0

    def take(self, size: int) -> bytes:
        """Returns the next `size` bytes, fewer only at the end."""
        pieces, missing = [], size
        while missing and (piece := self.read(min(missing, _CHUNK_BYTES))):
            pieces.append(piece)
            missing -= len(piece)
        self.offset += size - missing
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def content(self, size: int) -> bytes:
        """Returns a member's bytes and passes over the padding."""
        data = self.take(size)
        if len(data) < size:
            raise EOFError(f"ends after {len(data):,} of a member's {size:,} bytes")
        self.take(-size % TAR_BLOCK_BYTES)
        return data

    def skip(self, size: int) -> None:
        """Passes over a member's bytes and the padding."""
        self.finish(MemberContent(self, self.offset, size), size)

    def finish(self, content: MemberContent, size: int) -> None:
        """Passes over what is unread of a member's bytes, and the padding."""
        while content.read(_CHUNK_BYTES):
            pass
        self.take(-size % TAR_BLOCK_BYTES)


@dataclass
class MemberContent:
    """The content of a member, which is read from the archive as it is asked for."""

    _blocks: _Blocks
    _start: int
    _size: int

    def read(self, size: int) -> bytes:
        """Returns up to `size` of the next bytes, none at the end.

        Raises:
            EOFError: the archive ends within the member.
        """
        size = min(size, self._start + self._size - self._blocks.offset)
        data = self._blocks.take(size)
        if size and not data:
            bytes_read = self._blocks.offset - self._start
            raise EOFError(f"ends after {bytes_read:,} of a member's {self._size:,} bytes")
        return data


class Member(NamedTuple):
    """A regular file in the archive.

    Attributes:
        name: as the archive has it; nothing is ever written under it.
        size: bytes.
        modified: seconds since 1970; 0 where the header has no time between 1970 and 9999.
        data: content, or None where it is larger than the limit, or sparse.
        large: the content that is larger than the limit, to be read before the next member.
        is_sparse: the content is stored without its holes (`tar --sparse`) and is not read.
    """

    name: str
    size: int
    modified: float
    data: bytes | None
    is_sparse: bool = False
    large: MemberContent | None = None


@dataclass
class _Extended:
    """What extended headers say of the member after them; empty or None where they do not.

    Attributes:
        headers: how many there were.
    """

    headers: int = 0
    name: str = ""
    size: int | None = None
    modified: float | None = None


def is_header(block: bytes) -> bool:
    """Tells whether the first 512 bytes of a file are a tar header, by its checksum.

    Tars from before POSIX have no magic number.
    """
    try:
        _check(block, 0)
    except TarError:
        return False
    return len(block) == TAR_BLOCK_BYTES


def members(
    read: Callable[[int], bytes], is_wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[Member]:
    """Yields the regular files with wanted names, in the order of the archive.

    Args:
        read: returns up to so many bytes; none at the end.
        is_wanted: which names to yield; others are passed over.
        max_bytes: the content of larger members is passed over; -1 passes over all content.

    Raises:
        EOFError: the archive ends too early.
        TarError: a header is damaged.
    """
    blocks = _Blocks(read)
    extended = _Extended()
    while True:
        at, header = blocks.offset, blocks.take(TAR_BLOCK_BYTES)
        if len(header) < TAR_BLOCK_BYTES:
            raise EOFError(f"ends at byte {at:,} without the mark of the end")
        if not any(header):
            return
        _check(header, at)
        kind = header[156:157]
        size = _number(header[124:136], at) if extended.size is None else extended.size
        if kind in _EXTENDED_HEADERS:
            _read_extended(kind, size, blocks, extended, at)
            continue
        name = extended.name or _name(header)
        modified = _time(header[136:148]) if extended.modified is None else extended.modified
        extended = _Extended()
        is_file = kind in _REGULAR or kind == _SPARSE
        if kind == _SPARSE:
            _skip_sparse_map(header, blocks)
        if is_file and is_wanted(name):
            if kind == _SPARSE:
                yield Member(name, size, modified, None, is_sparse=True)
            elif size > max_bytes:
                content = MemberContent(blocks, blocks.offset, size)
                yield Member(name, size, modified, None, large=content)
                blocks.finish(content, size)
                continue
            else:
                yield Member(name, size, modified, blocks.content(size))
                continue
        blocks.skip(0 if kind in _WITHOUT_CONTENT else size)


def _check(header: bytes, at: int) -> None:
    """Raises TarError unless the header's checksum is right."""
    expected = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    stored = _number(header[148:156], at)
    if stored == expected:
        return
    # Some archivers from before POSIX added up signed bytes.
    if stored != expected - 256 * sum(byte > 127 for byte in header[:148] + header[156:]):
        raise TarError(f"no header of a member at byte {at:,}")


def _number(field: bytes, at: int) -> int:
    """Returns an octal number, or a binary one with the first bit set (GNU)."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0") or b"0"
    # `int` alone takes signs and underscores too: a negative size would have no end.
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise TarError(f"no header of a member at byte {at:,}")
    return int(digits, 8)


def _time(field: bytes) -> float:
    try:
        return _bounded_time(_number(field, 0))
    except TarError:
        return 0.0  # A time that cannot be read is no reason to lose the member.


def _bounded_time(seconds: float) -> float:
    return seconds if math.isfinite(seconds) and 0 <= seconds <= _LAST_TIME else 0.0


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    name = _text(header[:100])
    return f"{prefix}/{name}" if prefix else name


def _read_extended(kind: bytes, size: int, blocks: _Blocks, extended: _Extended, at: int) -> None:
    """Reads an extended header of `size` bytes, whose own header was at byte `at`."""
    extended.headers += 1
    if size > MAX_HEADER_BYTES:
        raise TarError(f"an extended header of {size:,} bytes at byte {at:,}")
    if extended.headers > MAX_CHAINED_HEADERS:
        raise TarError(f"an extended header after many others at byte {at:,}")
    content = blocks.content(size)
    if kind == _LONG_NAME:
        extended.name = _text(content)
    elif kind == _PAX:
        _read_pax(content, extended, at)


def _read_pax(content: bytes, extended: _Extended, at: int) -> None:
    """Adds what a pax header says, in records such as `19 path=PMC123.xml`."""
    start = 0
    try:
        while start < len(content):
            length = int(content[start : content.index(b" ", start, start + 20)])
            key, _, value = content[start : start + length - 1].partition(b" ")[2].partition(b"=")
            if length <= 0:
                raise ValueError(length)
            if key == b"path":
                extended.name = value.decode("utf-8", "backslashreplace")
            elif key == b"mtime":
                extended.modified = _pax_time(value)
            elif key == b"size":
                if not value.isdigit() or len(value) > 20:
                    raise ValueError(value)
                extended.size = int(value)
            start += length
    except ValueError as error:
        raise TarError(f"a damaged extended header at byte {at:,}") from error


def _pax_time(value: bytes) -> float:
    try:
        return _bounded_time(float(value))
    except ValueError:
        return 0.0


def _skip_sparse_map(header: bytes, blocks: _Blocks) -> None:
    """Passes over the blocks of a map of holes that does not fit into the header."""
    is_continued = header[482]
    while is_continued:
        at, block = blocks.offset, blocks.take(TAR_BLOCK_BYTES)
        if len(block) < TAR_BLOCK_BYTES:
            raise EOFError(f"ends at byte {at:,} in the map of a sparse file")
        is_continued = block[504]
