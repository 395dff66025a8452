"""A tar stream -> its regular files, forward only, at bounded memory.

The standard library's `tarfile` takes a damaged header in mid-archive for the end of the archive,
without a word, and reads an extended header of any size into memory. Here every archive ends with
its end mark or with an error that says what was found, after all the members before it.

Format: POSIX.1-2017 pax and ustar, and the GNU extensions for long names and large sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

BLOCK = 512
MAX_HEADER = 1 << 20
"""Largest extended header (a long name) that is read."""
_CHUNK = 1 << 18
_REGULAR, _LONG_NAME, _PAX, _SPARSE = b"07\0", b"L", b"x", b"S"
_OTHER_HEADERS = b"gKNVX"


class TarError(Exception):
    """What was read is not a tar header."""


class Member(NamedTuple):
    """A regular file in the archive.

    Attributes:
        name: as the archive has it; nothing is ever written under it.
        size: bytes.
        data: content, or None where it is larger than what was asked for.
    """

    name: str
    size: int
    data: bytes | None


@dataclass
class _Blocks:
    """Reads exact numbers of bytes from a source that may give fewer."""

    read: Callable[[int], bytes]
    offset: int = 0

    def take(self, size: int) -> bytes:
        """Returns the next `size` bytes, fewer only at the end."""
        pieces, missing = [], size
        while missing and (piece := self.read(min(missing, _CHUNK))):
            pieces.append(piece)
            missing -= len(piece)
        self.offset += size - missing
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def content(self, size: int) -> bytes:
        """Returns a member's bytes and passes over the padding."""
        data = self.take(size)
        if len(data) < size:
            raise EOFError(f"ends after {len(data):,} of a member's {size:,} bytes")
        self.take(-size % BLOCK)
        return data

    def skip(self, size: int) -> None:
        """Passes over a member's bytes and the padding."""
        missing = size
        while missing:
            piece = self.take(min(missing, _CHUNK))
            if not piece:
                raise EOFError(f"ends after {size - missing:,} of a member's {size:,} bytes")
            missing -= len(piece)
        self.take(-size % BLOCK)


def members(
    read: Callable[[int], bytes], wanted: Callable[[str], bool], max_bytes: int
) -> Iterator[Member]:
    """Yields the regular files with wanted names, in the order they stand.

    Args:
        read: gives up to so many bytes; none at the end.
        wanted: which names to read; the content of others is passed over.
        max_bytes: the content of larger members is passed over.

    Raises:
        EOFError: the archive ends too early.
        TarError: a header is damaged.
    """
    blocks = _Blocks(read)
    name, size = "", -1  # from extended headers, for the member after them
    while True:
        at, header = blocks.offset, blocks.take(BLOCK)
        if len(header) < BLOCK:
            raise EOFError(f"ends at byte {at:,} without the mark of the end")
        if not any(header):
            return
        _check(header, at)
        kind = header[156:157]
        length = _number(header[124:136], at) if size < 0 else size
        if kind in (_LONG_NAME, _PAX) or kind in _OTHER_HEADERS:
            if length > MAX_HEADER:
                raise TarError(f"an extended header of {length:,} bytes at byte {at:,}")
            content = blocks.content(length)
            if kind == _LONG_NAME:
                name = _text(content)
            elif kind == _PAX:
                name, size = _pax(content, name, size, at)
            continue
        path, name, size = name or _name(header), "", -1
        if kind == _SPARSE:
            _skip_sparse_map(header, blocks)
        if kind not in _REGULAR or not wanted(path):
            blocks.skip(length if kind in _REGULAR or kind == _SPARSE else 0)
        elif length > max_bytes:
            yield Member(path, length, None)
            blocks.skip(length)
        else:
            yield Member(path, length, blocks.content(length))


def _check(header: bytes, at: int) -> None:
    """Raises TarError unless the header's checksum is right."""
    expected = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if _number(header[148:156], at) != expected:
        raise TarError(f"no header of a member at byte {at:,}")


def _number(field: bytes, at: int) -> int:
    """Returns an octal number, or a binary one with the first bit set (GNU)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise TarError(f"no header of a member at byte {at:,}") from error


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    name = _text(header[:100])
    return f"{prefix}/{name}" if prefix else name


def _pax(content: bytes, name: str, size: int, at: int) -> tuple[str, int]:
    """Returns the name and size that a pax header gives, in records `19 path=PMC123.xml`."""
    start = 0
    try:
        while start < len(content):
            length = int(content[start : content.index(b" ", start)])
            key, _, value = content[start : start + length - 1].partition(b" ")[2].partition(b"=")
            if length <= 0:
                raise ValueError
            if key == b"path":
                name = value.decode("utf-8", "backslashreplace")
            elif key == b"size":
                size = int(value)
            start += length
    except ValueError as error:
        raise TarError(f"a damaged extended header at byte {at:,}") from error
    return name, size


def _skip_sparse_map(header: bytes, blocks: _Blocks) -> None:
    extended = header[482]
    while extended:
        extended = (blocks.take(BLOCK) or bytes(BLOCK))[504]
