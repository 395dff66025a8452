"""Parts of the corpus: the articles that one work item yields, as sentences of tokens.

A part has five files:

    corpus/part-00003.parquet          one row for each article: identifiers, source, sentences
    counts/part-00003.parquet          word, count; see `word_counts`
    parts/part-00003.rejected.jsonl    one line for each document that could not be read
    parts/part-00003.copies.parquet    the articles that it saw; see `duplicates`
    parts/part-00003.json              its Summary, written last: without it the part is not there

The folder `corpus` holds Parquet and nothing else, so that pandas, pyarrow, DuckDB and `datasets`
open it as a whole. Version 0.1 wrote the summaries there too; such corpora are still read.

A sentence is its tokens joined by single spaces (a token holds none). `sentences` and `sections`
are parallel lists: `select unnest(sentences), unnest(sections) from 'corpus/*.parquet'` in DuckDB.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.jats.article_reader import Article
from beam_pipelines.stages.output_folder import SUMMARIES_FOLDER, OutputFolder
from beam_pipelines.text.tokenizers import count_clauses
from pmc2vec.storage.files import list_files, read_text

METADATA_COLUMNS = (
    "article_id", "pmcid", "version", "pmid", "doi", "title", "journal", "year", "licence",
    "article_type", "language", "source", "mesh", "archive", "member",
)  # fmt: skip
CORPUS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in METADATA_COLUMNS),
        ("sections", pa.list_(pa.string())),
        ("sentences", pa.list_(pa.string())),
    ]
)
GROUP_ARTICLES = 32
GROUP_TOKENS = 1 << 18
"""A row group ends at so many articles or tokens: a worker holds no more than one in memory."""

_FOLDERS_OF_SUMMARIES = (SUMMARIES_FOLDER, "corpus")


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
        funnel: articles read, parsed, rejected by `reason:...`, kept; sentences, tokens, and
            clauses that are tokens because their script has no spaces.
        licences: kept articles by licence.
        groups: tokens in each row group of the part.
        origin: digest of the input files, the options and the program that made the part.
        left_out: digest of the duplicates that were taken out again; empty for none.
        digests: path of each input file that the part begins, to its digest.
    """

    funnel: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    groups: list[int] = field(default_factory=list)
    origin: str = ""
    left_out: str = ""
    digests: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns the summary as JSON with sorted keys."""
        return json.dumps(vars(self), sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Summary:
        """Returns what `to_json` wrote."""
        raw = json.loads(text)
        counters = Counter(raw["funnel"]), Counter(raw["licences"])
        return Summary(
            *counters,
            groups=raw["groups"],
            origin=raw["origin"],
            left_out=raw.get("left_out", ""),
            digests=raw.get("digests", {}),
        )


class CorpusWriter:
    """Writes the rows of one part, row group by row group, and sums up what they hold."""

    def __init__(self, file: BinaryIO, summary: Summary) -> None:
        self._writer = pq.ParquetWriter(file, CORPUS_SCHEMA, compression="zstd")
        self._summary = summary
        self._articles: list[CorpusArticle] = []
        self._tokens = 0

    def write(self, article: CorpusArticle) -> None:
        """Adds an article."""
        self._articles.append(article)
        counts = _count_article(article.sentences)
        self._tokens += counts["tokens"]
        self._summary.licences[article.article.licence or "unknown"] += 1
        self._summary.funnel.update(counts)
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
    """Returns a row for each article, as CORPUS_SCHEMA says."""
    columns: list[Any] = [
        [getattr(row if name in ("archive", "member") else row.article, name) for row in articles]
        for name in METADATA_COLUMNS
    ]
    offsets = np.cumsum([0, *(len(row.sentences) for row in articles)], dtype=np.int32)
    for name in ("sections", "sentences"):
        values = pa.array([value for row in articles for value in getattr(row, name)], pa.string())
        columns.append(pa.ListArray.from_arrays(offsets, values))
    return pa.table(columns, schema=CORPUS_SCHEMA)


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


def _count_article(sentences: Sequence[str]) -> Counter[str]:
    """Returns what an article adds to the funnel; `clauses` only where it has some."""
    tokens = sum(sentence.count(" ") + 1 for sentence in sentences)
    counts = Counter(kept=1, sentences=len(sentences), tokens=tokens)
    if clauses := count_clauses(sentences):
        counts["clauses"] = clauses
    return counts


def remaining_groups(
    reader: pq.ParquetFile, rows: Collection[int], mesh: Mapping[int, str], summary: Summary
) -> Iterator[pa.Table]:
    """Yields the row groups of a part without some rows, and takes those out of its summary.

    Args:
        reader: of the part.
        rows: to be taken out.
        mesh: row to the headings that it gets.
        summary: of the part; changed.
    """
    start = 0
    groups: list[int] = []
    for group, tokens in enumerate(summary.groups):
        table = _with_mesh(reader.read_row_group(group), start, mesh)
        # With a type: pyarrow can take nothing by an empty list of none.
        removed = pa.array(
            [row - start for row in rows if start <= row < start + table.num_rows], pa.int64()
        )
        start += table.num_rows
        tokens_left = tokens
        for row in table.take(removed).select(["licence", "sentences"]).to_pylist():
            counts = _count_article(row["sentences"])
            summary.licences[row["licence"] or "unknown"] -= 1
            summary.funnel.subtract(counts)
            tokens_left -= counts["tokens"]
        if len(removed) < table.num_rows:
            groups.append(tokens_left)
            is_kept = np.isin(np.arange(table.num_rows), removed.to_numpy(), invert=True)
            yield table.filter(pa.array(is_kept))
    summary.groups = groups
    summary.licences = +summary.licences


def _with_mesh(table: pa.Table, start: int, mesh: Mapping[int, str]) -> pa.Table:
    """Returns a row group with headings for some of its rows, of which `start` is the first."""
    headings = table["mesh"].to_pylist()
    changed = [mesh.get(start + row, value) for row, value in enumerate(headings)]
    if changed == headings:
        return table
    return table.set_column(table.schema.get_field_index("mesh"), "mesh", [changed])


# --- finished parts ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A finished part: its name and the tokens of each of its row groups."""

    name: str
    groups: tuple[int, ...]


def summary_path(output: OutputFolder, part: str) -> str:
    """Returns where the summary of a part is written."""
    return output.path(SUMMARIES_FOLDER, f"{part}.json")


def read_summary(output: OutputFolder, part: str) -> Summary | None:
    """Returns the summary of a part, or None while the part is not finished."""
    for folder in _FOLDERS_OF_SUMMARIES:
        if text := read_text(output.corpus_path(folder, f"{part}.json")):
            return Summary.from_json(text)
    return None


def sum_summaries(parts: Iterable[Part], output: OutputFolder) -> Summary:
    """Returns the sum of the parts' funnels and licences."""
    whole = Summary()
    for part in sorted_parts(parts):
        summary = read_summary(output, part.name) or Summary()
        whole.funnel.update(summary.funnel)
        whole.licences.update(summary.licences)
        whole.digests.update(summary.digests)
    return whole


def sorted_parts(parts: Iterable[Part]) -> list[Part]:
    """Returns parts by name: an engine gives them in any order."""
    return sorted(parts, key=lambda part: part.name)


def finished_parts(output: OutputFolder) -> list[Part]:
    """Returns the parts of a corpus on disk, by name."""
    parts = {}
    for folder in _FOLDERS_OF_SUMMARIES:
        for path, _ in list_files(output.corpus_path(folder), "part-*.json"):
            name = path.rsplit("/", 1)[-1].removesuffix(".json")
            if (summary := read_summary(output, name)) is not None:
                parts[name] = Part(name, tuple(summary.groups))
    return sorted_parts(parts.values())
