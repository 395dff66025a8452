"""Vectors as a Parquet table: columns `word`, `count` (where known) and `vector`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from pmc2vec.errors import UserError
from pmc2vec.vectors.vector_files import Counts, Matrix, VectorFile, replacing

NAME = "vectors.parquet"

WORD = "word"
COUNT = "count"
VECTOR = "vector"

_ROWS = 1 << 16  # of a row group


def write(path: Path, words: Sequence[str], counts: Counts | None, matrix: Matrix) -> None:
    """Writes a row for each word: string, int64, and a list of D float32 of fixed length."""
    flat = pa.array(np.ascontiguousarray(matrix, np.float32).ravel())
    columns = {
        WORD: pa.array(words, pa.string()),
        **({} if counts is None else {COUNT: pa.array(counts, pa.int64())}),
        VECTOR: pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1]),
    }
    with replacing(path) as file:
        # Random bits do not shrink, and a dictionary of numbers would only cost time.
        parquet.write_table(
            pa.table(columns), file, row_group_size=_ROWS, use_dictionary=False, compression="zstd"
        )


def read(path: Path) -> VectorFile:
    """Returns the vectors of a Parquet table.

    Raises:
        UserError: it is no Parquet file, has no such columns, or vectors of several lengths.
    """
    try:
        table = parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error)[:120].split())
        raise UserError(f"{path}: not a Parquet file ({reason}); export it again") from error
    missing = {WORD, VECTOR} - set(table.column_names)
    if missing or not len(table):
        raise UserError(
            f"{path}: columns {', '.join(table.column_names)} and {len(table)} rows; expected "
            f"words in a column {WORD} and lists of numbers in a column {VECTOR}"
        )
    vectors = table[VECTOR].combine_chunks()
    try:
        matrix = vectors.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
        matrix = matrix.reshape(len(table), -1)
    except (AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: column {VECTOR} is {vectors.type}, not a list of as many numbers in each row"
        ) from error
    counts = table[COUNT].to_numpy().astype(np.int64) if COUNT in table.column_names else None
    return VectorFile(table[WORD].to_pylist(), matrix, counts)
