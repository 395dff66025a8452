"""Counts of the words in the corpus: of each part, then merged, then ranked as the vocabulary.

Counts go through files of partitions (see `partitions`): a word stands in the one that its hash
names. So memory holds the words of one partition, however large the corpus is.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_pipelines.stages import history
from beam_pipelines.stages.output_folder import CATALOGUE_FOLDER, OutputFolder
from beam_pipelines.stages.partitions import (
    PARTITIONS,
    gather,
    group_of,
    placeholder,
    read_partition,
)
from pmc2vec.dataset import vocabulary
from pmc2vec.dataset.manifest import VocabularyFile
from pmc2vec.storage.files import atomic_file, join, open_binary, write_text

COUNTS_SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64())])

SPILL_WORDS = 1 << 20
"""Rows of counts that a worker holds before it adds them up, and writes them if half remain."""

WAITING_SENTENCES = 1 << 14
"""Sentences that are counted at once."""


class CountsWriter:
    """Counts the words of one part and writes them, spilling where there are many.

    Row group i holds words of partition i mod PARTITIONS.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(file, COUNTS_SCHEMA, compression="zstd")
        self._tables: list[pa.Table] = []
        self._waiting: list[str] = []
        self._rows = 0

    def count_sentences(self, sentences: Iterable[str]) -> None:
        """Counts the tokens of sentences, which single spaces hold apart."""
        self._waiting += sentences
        if len(self._waiting) >= WAITING_SENTENCES:
            self._count_waiting()

    def _count_waiting(self) -> None:
        if self._waiting:
            self.count(pc.split_pattern(pa.array(self._waiting, pa.string()), " ").flatten())
        self._waiting = []

    def count(self, words: pa.Array) -> None:
        """Counts words ([n] string), each as often as it occurs."""
        distinct_words, number = pc.value_counts(words).flatten()
        self._tables.append(pa.table({"word": distinct_words, "count": number}, COUNTS_SCHEMA))
        self._rows += len(distinct_words)
        if self._rows >= SPILL_WORDS:
            self._tables = [_summed(self._tables)]
            self._rows = self._tables[0].num_rows
        if self._rows >= SPILL_WORDS // 2:
            self._spill()

    def _spill(self) -> None:
        counted = _summed(self._tables).sort_by("word")
        hashes = [zlib.crc32(word.encode()) for word in counted["word"].to_pylist()]
        partitions = np.array(hashes, np.uint32) % PARTITIONS
        for partition in range(PARTITIONS):
            table = counted.filter(pa.array(partitions == partition))
            self._writer.write_table(table if table.num_rows else placeholder(COUNTS_SCHEMA))
        self._tables, self._rows = [], 0

    def close(self) -> None:
        """Writes what is still in memory, and the footer."""
        self._count_waiting()
        if self._rows:
            self._spill()
        self._writer.close()


def merge_counts(files: Iterable[BinaryIO], partition: int) -> pa.Table:
    """Returns word and count of every word of one partition, over all parts, sorted by word."""
    tables = [COUNTS_SCHEMA.empty_table()]
    for file in files:
        tables.append(read_partition(file, partition))
        if sum(table.num_rows for table in tables[1:]) > 4 * max(SPILL_WORDS, tables[0].num_rows):
            tables = [_summed(tables)]
    return _summed(tables).sort_by("word")


def gather_counts(
    group: int, parts: Iterable[str], *, counted: str, output: OutputFolder, groups: int
) -> str:
    """Puts the counts of a group of parts into one file of the catalogue, and returns its name."""
    name = f"gathered-{counted.rpartition('/')[2]}-{group:05d}"
    paths = [
        join(counted, f"{part}.parquet")
        for part in sorted(parts)
        if group_of(part, groups) == group
    ]
    gather(paths, output.path(CATALOGUE_FOLDER, f"{name}.parquet"), COUNTS_SCHEMA, _summed)
    return name


def _summed(tables: Sequence[pa.Table]) -> pa.Table:
    grouped = pa.concat_tables(tables).group_by("word").aggregate([("count", "sum")])
    word_table = pa.table({"word": grouped["word"], "count": grouped["count_sum"]}, COUNTS_SCHEMA)
    return word_table.filter(pc.field("count") > 0)


def merge_partition(
    partition: int,
    parts: Iterable[str],
    *,
    counted: str,
    output: OutputFolder,
    folder: str,
    min_count: int,
    for_vocabulary: bool = False,
) -> tuple[int, int]:
    """Writes the words of one partition that are frequent enough, over all parts.

    Args:
        partition: 0 to PARTITIONS - 1.
        parts: names of the parts, in any order.
        counted: path of the folder with the counts of the parts.
        output: the dataset.
        folder: where in it the merged counts go.
        min_count: fewer occurrences and a word is dropped.
        for_vocabulary: add what an earlier dataset counted, and keep all counts for a later one.

    Returns:
        The number of distinct words that are not, and of their tokens.
    """
    paths = (join(counted, f"{part}.parquet") for part in sorted(parts))
    merged = merge_counts(_opened(paths), partition)
    if for_vocabulary:
        earlier = history.read_earlier_partition(history.WORDS, partition, output=output)
        merged = _summed([merged, *earlier]).sort_by("word")
        history.write_partition(history.WORDS, partition, merged, output=output)
    frequent = merged.filter(pc.field("count") >= min_count)
    with atomic_file(output.path(folder, f"merged-{partition:05d}.parquet")) as file:
        pq.write_table(frequent, file)
    dropped = int(pc.sum(merged["count"]).as_py() or 0)
    dropped -= int(pc.sum(frequent["count"]).as_py() or 0)
    return merged.num_rows - frequent.num_rows, dropped


def _opened(paths: Iterable[str]) -> Iterator[BinaryIO]:
    """Yields each file, open until the next: there may be more than a process may hold open."""
    for path in paths:
        with open_binary(path) as file:
            yield file


def read_merged(output: OutputFolder, folder: str) -> pa.Table:
    """Returns word and count of all partitions that `merge_partition` wrote."""
    paths = (output.path(folder, f"merged-{p:05d}.parquet") for p in range(PARTITIONS))
    return pa.concat_tables([pq.read_table(file) for file in _opened(paths)])


def write_vocabulary(
    dropped: Iterable[tuple[int, int]],
    *,
    output: OutputFolder,
    folder: str,
    min_count: int,
    max_final_vocab: int | None,
    with_unknown: bool = False,
) -> VocabularyFile:
    """Writes vocabulary.tsv from all partitions; `dropped` is what `merge_partition` returned.

    With `with_unknown`, what is in no vocabulary counts as `vocabulary.UNKNOWN_WORD`.
    """
    merged = read_merged(output, folder)
    counts = merged["count"].to_numpy().astype(np.int64)
    ranked = vocabulary.rank_words(
        merged["word"].to_pylist(), counts, min_count=min_count, max_final_vocab=max_final_vocab
    )
    words, count = (sum(column) for column in zip(*dropped, strict=True))
    words, count = words + len(counts) - len(ranked), count + int(counts.sum()) - ranked.tokens
    if with_unknown:
        ranked, count = vocabulary.with_unknown_word(ranked, count), 0
    text = vocabulary.format_vocabulary(ranked)
    write_text(output.path(vocabulary.VOCABULARY_NAME), text)
    return VocabularyFile(
        name=vocabulary.VOCABULARY_NAME,
        size=len(ranked),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        tokens=ranked.tokens,
        dropped_words=words,
        dropped_tokens=count,
    )
