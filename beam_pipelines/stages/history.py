"""What a dataset knows of everything read up to it, so that an increment need not read it again.

    known/duplicates.parquet   the newest edition of each article; row group i is partition i
    known/words.parquet      word, count: of every word, also of rare ones; likewise
    known/inputs.tsv         size and path of every input file

Each covers the dataset and all those that it was built since, so that the last one is enough: the
earlier ones may be deleted. The tables are by-products of merges that a build makes anyway, a
partition at a time; `gather` puts the partitions into one file when all are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.stages.output_folder import OutputFolder
from pmc2vec.storage.files import (
    atomic_file,
    join,
    list_files,
    open_binary,
    read_text,
    remove_files,
    write_text,
)

FOLDER = "known"
EDITIONS = "editions"
WORDS = "words"
INPUTS = "inputs.tsv"

InputFiles = tuple[tuple[str, int], ...]
"""Path and size in bytes of each input file."""


def before(kind: str, partition: int, *, output: OutputFolder) -> Iterator[pa.Table]:
    """Yields the one table that the earlier dataset has of a partition; nothing without one."""
    if output.since is not None:
        with open_binary(join(output.since, FOLDER, f"{kind}.parquet")) as file:
            yield pq.ParquetFile(file).read_row_group(partition)


def write(kind: str, partition: int, table: pa.Table, *, output: OutputFolder) -> None:
    """Writes one partition of what is known now."""
    with atomic_file(output.path(FOLDER, f"{kind}-{partition:05d}.parquet")) as file:
        pq.write_table(table, file)


def gather(output: OutputFolder) -> None:
    """Puts the partitions of each table into one file, a row group each."""
    for kind in (EDITIONS, WORDS):
        folder, partitions = output.path(FOLDER), f"{kind}-*.parquet"
        if not (paths := [path for path, _ in list_files(folder, partitions)]):
            continue  # Of a corpus that stands elsewhere no editions were compared.
        with ExitStack() as stack:
            file = stack.enter_context(atomic_file(output.path(FOLDER, f"{kind}.parquet")))
            writer = None
            for path in paths:
                with open_binary(path) as source:
                    table = pq.read_table(source)
                if writer is None:
                    writer = pq.ParquetWriter(file, table.schema, compression="zstd")
                    stack.enter_context(writer)
                # An empty row group would not be written, and the next would take its place.
                rows = table if table.num_rows else _nothing(table.schema)
                writer.write_table(rows, row_group_size=rows.num_rows)
        remove_files(folder, partitions)


def _nothing(schema: pa.Schema) -> pa.Table:
    empty = {name: "" if schema.field(name).type == pa.string() else 0 for name in schema.names}
    return pa.Table.from_pylist([empty], schema)


def write_inputs(inputs: Iterable[tuple[str, int]], *, output: OutputFolder) -> None:
    """Writes the input files of this dataset, after those of the earlier one."""
    every = [*(read_inputs(output.since) if output.since else ()), *inputs]
    text = "".join(f"{size}\t{path}\n" for path, size in every)
    write_text(output.path(FOLDER, INPUTS), text)


def read_inputs(dataset: str) -> InputFiles:
    """Returns every input file that a dataset knows."""
    text = read_text(join(dataset, FOLDER, INPUTS)) or ""
    rows = (line.split("\t", 1) for line in text.removesuffix("\n").split("\n") if line)
    return tuple((path, int(size)) for size, path in rows)
