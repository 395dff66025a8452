r"""Plain text -> Articles: novels, Shakespeare, anything that is one sentence or paragraph a line.

A file becomes articles of ARTICLE_LINES lines each, named `novel.txt#0003`: the validation split
and the shards are made of articles, and a worker never holds a whole file.

    >>> import io
    >>> file = io.BytesIO(b"It was\nthe best.\n\nIt was\nthe worst.\n")
    >>> [section.blocks for a in articles(file, "n.txt", "paragraph") for section in a.sections]
    [('It was the best.', 'It was the worst.')]
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO, Literal

from beam_pipelines.jats.article_reader import Article, Section

TextUnit = Literal["line", "paragraph", "file"]
SUFFIXES = (".txt", ".text", ".txt.gz")
ARTICLE_LINES = 1000
LINE_BYTES = 1 << 20
"""A longer line is cut: a file without line ends is still read at bounded memory."""


def articles(file: BinaryIO, name: str, unit: TextUnit = "line") -> Iterator[Article]:
    """Yields the articles of a text file in UTF-8; bytes that are not are replaced.

    Args:
        file: the text, gzipped or not.
        name: of the file.
        unit: what a block of text is: a `line`, a `paragraph` (lines up to an empty one), or all
            lines of an article, as for a `file` whose sentences run over its line ends.
    """
    lines = _lines(file)
    number = 0
    while chunk := _chunk(lines, unit):
        blocks = tuple(_blocks(chunk, unit))
        if blocks:
            yield _article(f"{name}#{number:04d}", blocks)
            number += 1


def _lines(file: BinaryIO) -> Iterator[str]:
    head = file.read(2)
    file.seek(0)
    source = gzip.GzipFile(fileobj=file) if head == b"\x1f\x8b" else file
    encoding = "utf-8-sig"  # only the first line may begin with a byte order mark
    while line := source.readline(LINE_BYTES):
        yield line.decode(encoding, errors="replace")
        encoding = "utf-8"


def _chunk(lines: Iterator[str], unit: TextUnit) -> list[str]:
    """Returns the next lines; a paragraph is not cut."""
    chunk = list(islice(lines, ARTICLE_LINES))
    if unit == "paragraph" and chunk:
        for line in lines:
            chunk.append(line)
            if not line.strip() or len(chunk) >= 2 * ARTICLE_LINES:
                break
    return chunk


def _blocks(lines: Iterable[str], unit: TextUnit) -> Iterator[str]:
    if unit == "line":
        yield from (" ".join(line.split()) for line in lines if line.strip())
        return
    gathered: list[str] = []
    for line in lines:
        if unit == "paragraph" and not line.strip() and gathered:
            yield " ".join(gathered)
            gathered = []
        gathered += line.split()
    if gathered:
        yield " ".join(gathered)


def _article(article_id: str, blocks: tuple[str, ...]) -> Article:
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
        sections=(Section("body", blocks),),
    )
