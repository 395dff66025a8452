"""What a dataset knows of everything read up to it, so that an increment need not read it again.

    known/editions.parquet   the newest copy of each article; row group i is partition i
    known/words.parquet      word, count: of every word, also of rare ones; likewise
    known/inputs.tsv         size and path of every input file
    known/digests.tsv        digest, size and path of every input file; version 0.1 wrote none
    known/versions.parquet   every article version that was selected from a bucket

Each file covers the dataset and all those that it was built since. So an increment needs the last
dataset alone, and the earlier ones may be deleted. The tables are by-products of merges that a
build makes anyway, one partition at a time; `gather_partitions` puts the partitions into one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.inputs.article_versions import SELECTION_NAME, VERSIONS_SCHEMA, read_versions
from beam_pipelines.inputs.sources import article_version, is_archive
from beam_pipelines.stages.companion_files import companion_path
from beam_pipelines.stages.output_folder import OutputFolder
from beam_pipelines.stages.partitions import placeholder
from pmc2vec.storage.files import (
    atomic_file,
    exists,
    file_metadata,
    is_remote,
    join,
    list_files,
    open_binary,
    read_text,
    remove_files,
    write_text,
)

KNOWN_FOLDER = "known"
EDITIONS = "editions"
WORDS = "words"
INPUTS_NAME = "inputs.tsv"
DIGESTS_NAME = "digests.tsv"
VERSIONS_NAME = "versions.parquet"

InputFiles = tuple[tuple[str, int], ...]
"""Path and size in bytes of each input file."""


def read_earlier_partition(
    kind: str, partition: int, *, output: OutputFolder
) -> Iterator[pa.Table]:
    """Yields the one table that the earlier dataset has of a partition; nothing without one."""
    if output.since is not None:
        with open_binary(join(output.since, KNOWN_FOLDER, f"{kind}.parquet")) as file:
            yield pq.ParquetFile(file).read_row_group(partition)


def write_partition(kind: str, partition: int, table: pa.Table, *, output: OutputFolder) -> None:
    """Writes one partition of what is known now."""
    with atomic_file(output.path(KNOWN_FOLDER, f"{kind}-{partition:05d}.parquet")) as file:
        pq.write_table(table, file)


def gather_partitions(output: OutputFolder) -> None:
    """Puts the partitions of each table into one file, a row group each."""
    for kind in (EDITIONS, WORDS):
        folder, partitions = output.path(KNOWN_FOLDER), f"{kind}-*.parquet"
        if not (paths := [path for path, _ in list_files(folder, partitions)]):
            continue  # With --corpus no copies were compared.
        with ExitStack() as stack:
            file = stack.enter_context(atomic_file(output.path(KNOWN_FOLDER, f"{kind}.parquet")))
            writer = None
            for path in paths:
                with open_binary(path) as source:
                    table = pq.read_table(source)
                if writer is None:
                    writer = pq.ParquetWriter(file, table.schema, compression="zstd")
                    stack.enter_context(writer)
                rows = table if table.num_rows else placeholder(table.schema)
                writer.write_table(rows, row_group_size=rows.num_rows)
        remove_files(folder, partitions)


# --- input files ---------------------------------------------------------------------------------


def input_digest(path: str) -> str:
    """Returns a digest of an input file and of what stands beside it.

    In a bucket it is the ETag, of archives alone and empty for other files: to ask for each of
    millions of article versions would take hours.
    """
    if is_remote(path):
        metadata = file_metadata(path) if is_archive(path) else None
        return (metadata and metadata.etag) or ""
    digest = hashlib.sha256()
    for name in filter(None, (path, companion_path(path))):
        with open_binary(name) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        digest.update(b"\0")
    return digest.hexdigest()


def write_inputs(
    inputs: Iterable[tuple[str, int]], digests: Mapping[str, str], *, output: OutputFolder
) -> None:
    """Writes the input files of this dataset, after those of the earlier one."""
    files = tuple(inputs)
    earlier = read_inputs(output.since) if output.since else ()
    earlier_digests = read_digests(output.since) if output.since else ()
    text = "".join(f"{size}\t{path}\n" for path, size in (*earlier, *files))
    write_text(output.path(KNOWN_FOLDER, INPUTS_NAME), text)
    rows = (*earlier_digests, *((path, size, digests.get(path, "")) for path, size in files))
    text = "".join(f"{digest}\t{size}\t{path}\n" for path, size, digest in rows)
    write_text(output.path(KNOWN_FOLDER, DIGESTS_NAME), text)


def write_versions(*, output: OutputFolder) -> None:
    """Writes the versions that were selected from a bucket, after those of the earlier dataset."""
    tables = [read_known_versions(output.since)] if output.since else []
    if exists(selection := output.path(SELECTION_NAME)):
        tables.append(read_versions(selection))
    if sum(table.num_rows for table in tables):
        with atomic_file(output.path(KNOWN_FOLDER, VERSIONS_NAME)) as file:
            pq.write_table(pa.concat_tables(tables), file, compression="zstd")


def read_known_versions(dataset: str) -> pa.Table:
    """Returns the article versions that a dataset knows, as in VERSIONS_SCHEMA.

    A dataset of an earlier release of pmc2vec has them among its input files.
    """
    if exists(path := join(dataset, KNOWN_FOLDER, VERSIONS_NAME)):
        return read_versions(path)
    paths = (path for path, _ in read_inputs(dataset) if not is_archive(path))
    rows = [
        (int(article[0].removeprefix("PMC")), article[1], 0, 0)
        for article in map(article_version, paths)
        if article and article[1]
    ]
    columns = zip(*rows, strict=True) if rows else [[]] * len(VERSIONS_SCHEMA)
    return pa.table(dict(zip(VERSIONS_SCHEMA.names, columns, strict=True)), VERSIONS_SCHEMA)


def read_inputs(dataset: str) -> InputFiles:
    """Returns every input file that a dataset knows."""
    return tuple((path, int(size)) for size, path in _rows(dataset, INPUTS_NAME, 2))


def read_digests(dataset: str) -> tuple[tuple[str, int, str], ...]:
    """Returns (path, size, digest) of the input files that a dataset knows the digests of."""
    rows = _rows(dataset, DIGESTS_NAME, 3)
    return tuple((path, int(size), digest) for digest, size, path in rows)


def _rows(dataset: str, name: str, columns: int) -> Iterator[list[str]]:
    text = read_text(join(dataset, KNOWN_FOLDER, name)) or ""
    lines = text.removesuffix("\n").split("\n")
    return (line.split("\t", columns - 1) for line in lines if line)
