"""Vectors as a Parquet table: columns `word`, `count` (where known) and `vector`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats.vector_table import VectorFormat, VectorTable, plain_writer

WORD_COLUMN = "word"
COUNT_COLUMN = "count"
VECTOR_COLUMN = "vector"

_ROW_GROUP_ROWS = 1 << 16


def write_parquet(path: Path, table: VectorTable) -> list[Path]:
    """Writes a row for each word and returns the file.

    A row is a string, an int64, and a list of D float32 of fixed length.
    """
    numbers = pa.array(np.ascontiguousarray(table.matrix, np.float32).ravel())
    columns = {
        WORD_COLUMN: pa.array(table.words, pa.string()),
        **({} if table.counts is None else {COUNT_COLUMN: pa.array(table.counts, pa.int64())}),
        VECTOR_COLUMN: pa.FixedSizeListArray.from_arrays(numbers, table.matrix.shape[1]),
    }
    with atomic_local_file(path) as file:
        parquet.write_table(
            pa.table(columns),
            file,
            row_group_size=_ROW_GROUP_ROWS,
            use_dictionary=False,  # Hardly a number comes twice; a dictionary only costs time.
            compression="zstd",
        )
    return [path]


def read_parquet(path: Path) -> VectorTable:
    """Returns the vectors of a Parquet table.

    Raises:
        UserError: it is no Parquet file, has no such columns, or vectors of several lengths.
    """
    try:
        table = parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error)[:120].split())
        raise UserError(f"{path}: not a Parquet file ({reason}); export it again") from error
    missing = {WORD_COLUMN, VECTOR_COLUMN} - set(table.column_names)
    if missing or not len(table):
        raise UserError(
            f"{path}: columns {', '.join(table.column_names)} and {len(table)} rows; expected "
            f"words in a column {WORD_COLUMN} and lists of numbers in a column {VECTOR_COLUMN}"
        )
    vectors = table[VECTOR_COLUMN].combine_chunks()
    try:
        matrix = vectors.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
        matrix = matrix.reshape(len(table), -1)
    except (AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: column {VECTOR_COLUMN} is {vectors.type}, not a list of as many numbers in "
            "each row"
        ) from error
    counts = None
    if COUNT_COLUMN in table.column_names:
        counts = table[COUNT_COLUMN].to_numpy().astype(np.int64)
    return VectorTable(table[WORD_COLUMN].to_pylist(), matrix, counts)


PARQUET_FORMAT = VectorFormat(
    name="parquet",
    file_name="vectors.parquet",
    files="vectors.parquet: word, count, vector",
    other_programs='`pyarrow.parquet.read_table("vectors.parquet")`',
    write=plain_writer(write_parquet),
    read=read_parquet,
    recognises=lambda head: head.startswith(b"PAR1"),
    suffixes=(".parquet",),
)
