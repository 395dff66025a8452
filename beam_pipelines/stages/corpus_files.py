"""Corpus shards: kept articles as sentences of tokens, in Parquet; and their words, counted.

A part is what one work item (one archive, or a handful of loose files) yields, in three files that
any Parquet reader opens:

    corpus/part-00003.parquet    one row per article: identifiers, provenance, sentences
    counts/part-00003.parquet    word, count; words spread over PARTITIONS row groups by hash
    corpus/part-00003.json       its Summary, written last: without it the part is not finished

A sentence is its tokens joined by single spaces (a token holds none). `sentences` and `sections`
are parallel lists: `select unnest(sentences), unnest(sections) from 'corpus/*.parquet'` in DuckDB.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.jats.article_reader import Article

METADATA = (
    "article_id", "pmcid", "version", "pmid", "doi", "title", "journal", "year", "licence",
    "article_type", "language", "archive", "member",
)  # fmt: skip
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in METADATA),
        ("sections", pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        ("sentences", pa.list_(pa.string())),
    ]
)
GROUP_ARTICLES = 32
GROUP_TOKENS = 1 << 18
"""A row group is closed at so many articles or tokens: a worker holds no more than one."""


@dataclass(frozen=True)
class CorpusArticle:
    """An article as the corpus keeps it.

    Attributes:
        article: its identifiers and metadata (its sections are not looked at).
        archive: name of the input file.
        member: name inside it.
        sections: [sentences] name of each sentence's section.
        sentences: [sentences] tokens of each sentence, joined by single spaces; none empty.
    """

    article: Article
    archive: str
    member: str
    sections: Sequence[str]
    sentences: Sequence[str]


@dataclass
class Summary:
    """What a part holds; parts add up.

    Attributes:
        funnel: articles read, parsed, rejected by `reason:...`, kept; sentences, tokens.
        licences: kept articles by licence.
        groups: tokens in each row group of the part.
        origin: digest of the input files and the options that made the part.
    """

    funnel: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    groups: list[int] = field(default_factory=list)
    origin: str = ""

    def to_json(self) -> str:
        """Returns the summary as JSON with sorted keys."""
        return json.dumps(vars(self), sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Summary:
        """Returns what `to_json` wrote."""
        raw = json.loads(text)
        counters = Counter(raw["funnel"]), Counter(raw["licences"])
        return Summary(*counters, groups=raw["groups"], origin=raw["origin"])


class CorpusWriter:
    """Writes the rows of one part, row group by row group, and sums up what they hold."""

    def __init__(self, file: BinaryIO, summary: Summary) -> None:
        self._writer = pq.ParquetWriter(file, SCHEMA, compression="zstd")
        self._summary = summary
        self._articles: list[CorpusArticle] = []
        self._tokens = 0

    def write(self, article: CorpusArticle) -> None:
        """Adds an article."""
        self._articles.append(article)
        tokens = sum(sentence.count(" ") + 1 for sentence in article.sentences)
        self._tokens += tokens
        self._summary.licences[article.article.licence or "unknown"] += 1
        self._summary.funnel.update(kept=1, sentences=len(article.sentences), tokens=tokens)
        if len(self._articles) >= GROUP_ARTICLES or self._tokens >= GROUP_TOKENS:
            self.end_group()

    def end_group(self) -> None:
        """Ends the row group: the next article begins another."""
        if self._articles:
            self._writer.write_table(_table(self._articles))
            self._summary.groups.append(self._tokens)
        self._articles, self._tokens = [], 0

    def close(self) -> None:
        """Writes the last row group and the footer."""
        self.end_group()
        self._writer.close()


def _table(articles: Sequence[CorpusArticle]) -> pa.Table:
    """Returns a row for each article, as SCHEMA says."""
    columns: list[Any] = [
        [getattr(row if name in ("archive", "member") else row.article, name) for row in articles]
        for name in METADATA
    ]
    offsets = np.cumsum([0, *(len(row.sentences) for row in articles)], dtype=np.int32)
    for name in ("sections", "sentences"):
        kind = SCHEMA.field(name).type
        values = pa.array([value for row in articles for value in getattr(row, name)], pa.string())
        columns.append(pa.ListArray.from_arrays(offsets, values.cast(kind.value_type)))
    return pa.table(columns, schema=SCHEMA)


@dataclass(frozen=True)
class Tokens:
    """The text of one corpus article, as the skip-gram stage reads it.

    Attributes:
        article_id: names the article's random streams.
        sentences: [sentences] string, tokens of each, joined by spaces.
    """

    article_id: str
    sentences: pa.StringArray


def read_group(reader: pq.ParquetFile, group: int) -> Iterator[Tokens]:
    """Yields the articles of one row group, in order."""
    table = reader.read_row_group(group, columns=["article_id", "sentences"])
    for batch in table.to_batches():
        sentences = batch.column("sentences")
        for row, article_id in enumerate(batch.column("article_id").to_pylist()):
            yield Tokens(article_id, sentences[row].values)
