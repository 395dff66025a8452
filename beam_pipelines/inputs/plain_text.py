r"""Plain text -> Articles: novels, Shakespeare, anything that is one sentence or paragraph a line.

A file becomes articles of at most ARTICLE_LINES lines each, named `novel.txt#0003`: the validation
split and the shards are made of articles, and a worker never holds a whole file.

    >>> import io
    >>> stream = InputStream(io.BytesIO(b"It was\nthe best.\n\nIt was\nthe worst.\n"))
    >>> [section.blocks for a in articles(stream, "n.txt", "paragraph") for section in a.sections]
    [('It was the best.', 'It was the worst.')]
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Literal

import charset_normalizer

from beam_pipelines.inputs.decompression import (
    CHUNK_BYTES,
    COMPRESSION_SUFFIXES,
    DamagedStreamError,
    InputStream,
)
from beam_pipelines.inputs.documents import Damage, ReadOptions, TextUnit
from beam_pipelines.jats.article_reader import Article, Section

ARTICLE_LINES = 1000
ARTICLE_CHARACTERS = 4 << 20
"""An article of long lines ends here, so that text without line ends takes bounded memory."""
LINE_CHARACTERS = 1 << 20
"""A longer line is cut, between two words if there are two."""

_TEXT_SUFFIXES = tuple(
    name + packed for name in (".txt", ".text") for packed in ("", *COMPRESSION_SUFFIXES)
)
# UTF-32's little-endian mark begins with that of UTF-16, so it is looked for first.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encodings that large texts come in. All of Python's would do, but among a hundred, short samples
# fit several of the rare ones.
_LEGACY_ENCODINGS = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256",
    "cp932", "euc_jp", "gb18030", "big5", "euc_kr",
)  # fmt: skip
# What letters of Polish and Slovak in windows-1250 are in windows-1252, where it is no letter.
_SYMBOL_IN_WORD = re.compile(r"[^\W\d_][¹³¿£¥¯¼¾][^\W\d_]")

_logger = logging.getLogger(__name__)


class PlainText:
    """Text files, compressed or not."""

    name = "text file"
    holds: Literal["xml", "text"] = "text"
    suffixes: tuple[str, ...] = _TEXT_SUFFIXES
    is_archive = False
    is_divisible = False

    def recognises(self, stream: InputStream) -> bool:
        """Tells whether a file looks like text: no zero bytes, or a byte order mark."""
        head = stream.peek(512)
        return _encoding_by_mark(head) is not None or (bool(head.strip()) and b"\0" not in head)

    def documents(
        self, stream: InputStream, name: str, options: ReadOptions
    ) -> Iterator[Article | Damage]:
        """Yields the file's articles, and at the end that it is damaged, if it is."""
        try:
            yield from articles(stream, name, options.text_unit)
        except (EOFError, DamagedStreamError) as error:
            yield Damage(name, "damaged_member", str(error))


def articles(stream: InputStream, name: str, unit: TextUnit = "sentence") -> Iterator[Article]:
    """Yields the articles of a text file.

    Args:
        stream: the text; its encoding is that of its byte order mark, UTF-8, or a guess.
        name: of the file.
        unit: see `ReadOptions.text_unit`.
    """
    lines = _lines(_decoded(stream, name))
    number = 0
    while chunk := _chunk(lines, unit):
        blocks = tuple(_blocks(chunk, unit))
        if blocks:
            yield _article(f"{name}#{number:04d}", blocks, unit)
            number += 1


def _decoded(stream: InputStream, name: str) -> Iterator[str]:
    """Yields the text of a file in pieces.

    Without a byte order mark it is read as UTF-8 up to the first byte that is not. If all before
    it was ASCII, the file is in another encoding, and reading goes on in the one that fits. If
    not, it is UTF-8 with a wrong byte, and wrong bytes are replaced.
    """
    by_mark = _encoding_by_mark(stream.peek(4))
    errors = "strict" if by_mark is None else "replace"
    decoder = codecs.getincrementaldecoder(by_mark or "utf-8")(errors)
    is_ascii, is_last = True, False
    while not is_last:
        data = stream.read(CHUNK_BYTES)
        is_last = not data
        begun = decoder.getstate()[0]  # Bytes of a character that the last piece ended within.
        try:
            text = decoder.decode(data, is_last)
        except UnicodeDecodeError as error:
            data = begun + data
            is_ascii = is_ascii and data[: error.start].isascii()
            sample = data[max(0, error.start - 2048) : error.start + (1 << 16)]
            encoding = _guessed_encoding(sample) if is_ascii else "utf-8"
            problem = f"not UTF-8; read as {encoding}" if is_ascii else "UTF-8 with wrong bytes"
            _logger.warning("%s: %s", name, problem)
            decoder = codecs.getincrementaldecoder(encoding)("replace")
            text = decoder.decode(data, is_last)
        is_ascii = is_ascii and text.isascii()
        yield text


def _encoding_by_mark(head: bytes) -> str | None:
    return next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), None)


def _guessed_encoding(sample: bytes) -> str:
    """Returns the encoding that fits bytes that are not UTF-8.

    Western text is ASCII but for a few letters, too few for statistics: it is windows-1252 (of
    which Latin-1 is a part) unless that makes symbols within words.
    """
    letters = sum(byte >= 0xA0 for byte in sample)  # Below are quotes and dashes.
    western = sample.decode("cp1252", "replace")
    # Some more are let pass in a sample of a few words.
    if letters * 10 < len(sample) + 32 and not _SYMBOL_IN_WORD.search(western):
        return "cp1252"
    best = charset_normalizer.from_bytes(sample, cp_isolation=list(_LEGACY_ENCODINGS)).best()
    return best.encoding if best else "cp1252"


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Yields lines without their ends, none longer than LINE_CHARACTERS."""
    last_line = ""  # Of what was read, without its end.
    for piece in pieces:
        *lines, last_line = (last_line + piece).split("\n")
        for line in lines:
            yield from _cut(line)
        if len(last_line) > LINE_CHARACTERS:
            *line_pieces, last_line = _cut(last_line)
            yield from line_pieces
    if last_line:
        yield from _cut(last_line)


def _cut(line: str) -> Iterator[str]:
    """Yields a line in pieces of at most LINE_CHARACTERS, cut between two words."""
    while len(line) > LINE_CHARACTERS:
        head = line[:LINE_CHARACTERS]
        words = head.rsplit(None, 1)
        if len(words) == 2 and not line[LINE_CHARACTERS].isspace():
            head = words[0]
        yield head
        line = line[len(head) :]
    yield line


def _chunk(lines: Iterator[str], unit: TextUnit) -> list[str]:
    """Returns the lines of the next article, with the end of a paragraph if it is not far."""
    chunk: list[str] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        fullness = max(len(chunk) / ARTICLE_LINES, size / ARTICLE_CHARACTERS)
        if unit == "paragraph":
            is_end = fullness >= 2 or (fullness > 1 and not line.strip())
        else:
            is_end = fullness >= 1
        if is_end:
            break
    return chunk


def _blocks(lines: Iterable[str], unit: TextUnit) -> Iterator[str]:
    if unit in {"line", "sentence"}:
        yield from (" ".join(line.split()) for line in lines if line.strip())
        return
    words: list[str] = []
    for line in lines:
        if unit == "paragraph" and not line.strip() and words:
            yield " ".join(words)
            words = []
        words += line.split()
    if words:
        yield " ".join(words)


def _article(article_id: str, blocks: tuple[str, ...], unit: TextUnit) -> Article:
    return Article(
        article_id=article_id,
        pmcid="",
        pmid="",
        doi="",
        title="",
        journal="",
        year="",
        licence="",
        article_type="",
        language="",
        sections=(Section("body", blocks, whole_blocks=unit == "line"),),
    )
