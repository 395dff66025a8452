"""Files of partitions: what each part has to say of many words or articles, spread by a hash.

    counts/part-00003.parquet             the words of a part; row group i is of partition i mod 32
    parts/part-00003.copies.parquet       the copies of articles in it; likewise
    catalogue/gathered-copies-00001.parquet     of a group of parts; likewise

One worker merges one partition over all files, and so holds no more than that in memory. With
thousands of parts the files are gathered first: those of a group of parts become one file. Each
file of a part is then opened once and not once for each partition. The groups are as many as the
partitions at most, so the merges open 32 * 32 files, however many parts there are. (The other way,
a file for each part and partition, would be a quarter of a million files for 8 million articles.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pmc2vec.errors import UserError
from pmc2vec.storage.files import atomic_file, read_bytes

PARTITIONS = 32
PARTS_OF_A_GROUP = 32
"""Parts that make a group of their own; fewer are not gathered."""
_WAITING_ROWS = 1 << 20
"""Rows that are held before they are combined, and written if half remain."""


def group_count(parts: int) -> int:
    """Returns into how many groups so many parts are gathered; 0 for none.

    >>> group_count(32), group_count(33), group_count(8_000)
    (0, 2, 32)
    """
    return min(PARTITIONS, -(-parts // PARTS_OF_A_GROUP)) if parts > PARTS_OF_A_GROUP else 0


def group_of(part: str, groups: int) -> int:
    """Returns the group of a part.

    >>> group_of("part-00033", 32)
    1
    """
    return int(part.rpartition("-")[2]) % groups


def read_partition(file: BinaryIO, partition: int) -> pa.Table:
    """Returns the rows of one partition; it may have a row of placeholders (see `placeholder`)."""
    reader = pq.ParquetFile(file)
    return reader.read_row_groups(list(range(partition, reader.num_row_groups, PARTITIONS)))


def placeholder(schema: pa.Schema) -> pa.Table:
    """Returns a row of empty texts and zeros, to be written where a partition has none.

    Parquet has no empty row group: the next would take its place.
    """
    zeros = {pa.string(): "", pa.bool_(): False}
    columns = [pa.array([zeros.get(field.type, 0)], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def gather(
    paths: Iterable[str],
    target: str,
    schema: pa.Schema,
    combine: Callable[[Sequence[pa.Table]], pa.Table] = pa.concat_tables,
) -> None:
    """Writes what some files have of each partition into one file, in the order of `paths`.

    Args:
        paths: of the files; each is read once.
        target: path of the new file.
        schema: of all of them; the first column is text, and empty in a row of placeholders.
        combine: makes one table of several.
    """
    key = schema.names[0]
    with atomic_file(target) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting: list[list[pa.Table]] = [[] for _ in range(PARTITIONS)]
        rows = 0

        def write() -> None:
            """Writes a row group of each partition, and empties what waits."""
            for tables in waiting:
                table = combine(tables) if tables else schema.empty_table()
                table = table if table.num_rows else placeholder(schema)
                writer.write_table(table, row_group_size=table.num_rows)
                tables.clear()

        for path in paths:
            reader = pq.ParquetFile(pa.BufferReader(_bytes(path)))
            for group in range(reader.num_row_groups):
                table = reader.read_row_group(group)
                table = table.filter(pc.not_equal(table[key], ""))
                waiting[group % PARTITIONS].append(table)
                rows += table.num_rows
            if rows >= _WAITING_ROWS:
                waiting = [[combine(tables)] if tables else [] for tables in waiting]
                rows = sum(table.num_rows for tables in waiting for table in tables)
                if rows >= _WAITING_ROWS // 2:
                    write()
                    rows = 0
        write()


def _bytes(path: str) -> bytes:
    data = read_bytes(path)
    if data is None:
        raise UserError(f"{path}: is not there")
    return data
