"""Tables of numbers as text, written and read by Arrow.

A number is written in the fewest digits that read back as the same float32. Nothing in these files
is a quote, an escape or a missing value: `"`, `nan` and `null` are words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from pmc2vec.errors import UserError
from pmc2vec.machine import available_cores
from pmc2vec.vectors.formats.vector_table import Matrix

# Numbers that are turned into text at once: about 3 MB of it.
CHUNK_NUMBERS = 1 << 18

# Bytes of text that are read at once.
BLOCK_BYTES = 1 << 24


def number_chunks(matrix: Matrix, delimiter: str) -> Iterator[bytes]:
    """Yields the text of some whole rows of `matrix`, [V, D], until all rows have been.

    All cores work at it, each at most one chunk ahead of what the caller has taken.
    """
    step, threads = max(1, CHUNK_NUMBERS // matrix.shape[1]), available_cores()
    with ThreadPoolExecutor(threads) as pool:  # Arrow runs outside of Python's global lock.
        pending: deque[Future[bytes]] = deque()
        for start in range(0, len(matrix), step):
            pending.append(pool.submit(number_text, matrix[start : start + step], delimiter))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def number_text(matrix: Matrix, delimiter: str) -> bytes:
    r"""Returns the rows of a matrix as lines of text.

    >>> number_text(np.array([[0.1, -2], [1e-7, 1 / 3]], np.float32), "\t")
    b'0.1\t-2\n1e-7\t0.33333334\n'

    Args:
        matrix: [n, D] float32.
        delimiter: one ASCII character, between two numbers.
    """
    columns = np.ascontiguousarray(matrix.T, np.float32)  # Arrow takes a contiguous array a column.
    batch = pa.record_batch(list(map(pa.array, columns)), list(map(str, range(len(columns)))))
    text = pa.BufferOutputStream()
    csv.write_csv(
        batch,
        text,
        csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="none"),
    )
    return bytes(text.getvalue())


def word_rows(words: Sequence[str], matrix: Matrix) -> Iterator[bytes]:
    """Yields each word with its numbers, separated by spaces: a row of word2vec's and GloVe's."""
    # Arrow refuses to write a word that holds a quote, so words and numbers are joined here.
    word = iter(words)
    for chunk in number_chunks(matrix, " "):
        for numbers in chunk.splitlines(keepends=True):
            yield b"%b %b" % (next(word).encode(), numbers)


def read_rows(
    path: Path,
    vector_size: int,
    *,
    rows: int | None = None,
    delimiter: str = "\t",
    word_first: bool = False,
    delimiter_last: bool = False,
    skip_lines: int = 0,
) -> tuple[list[str], Matrix]:
    """Returns the words (none unless `word_first`) and the [rows, D] numbers of a text file.

    Args:
        path: the file; compressed where its name ends in `.gz`.
        vector_size: numbers in a row, D.
        rows: rows that it must have; None takes all.
        delimiter: between two columns.
        word_first: a word comes first in each row. Where `rows` is None it may hold delimiters, as
            a few words of GloVe's largest file do.
        delimiter_last: each row ends with a delimiter, as word2vec.c writes it.
        skip_lines: lines before the first row.

    Raises:
        UserError: a row is of another form, or there are more or fewer than `rows`.
    """
    # A delimiter at the end of a row makes one more, empty column.
    names = [*["word"] * word_first, *map(str, range(vector_size)), *["end"] * delimiter_last]
    wide_rows = _WideRows(delimiter, vector_size) if word_first and rows is None else None
    words: list[str] = []
    parts: list[Matrix] = []
    try:
        for batch in _record_batches(path, names, delimiter, skip_lines, wide_rows):
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            if word_first:
                words += columns.pop(0).tolist()
            parts.append(np.stack(columns, axis=1))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path}: {' '.join(str(error)[:160].split())}; get or export the vectors again"
        ) from error
    count = sum(map(len, parts))
    if rows not in (None, count):
        raise UserError(f"{path}: {count} rows for {rows} words; get or export the vectors again")
    matrix = np.concatenate(parts) if parts else np.empty((0, vector_size), np.float32)
    if wide_rows and wide_rows.lines:
        return wide_rows.insert_into(path, words, matrix)
    return words, matrix


class _WideRows:
    """Rows whose word holds delimiters: set aside while Arrow reads, inserted afterwards.

    Attributes:
        lines: the line number, from 1, and the text of each.
    """

    def __init__(self, delimiter: str, vector_size: int) -> None:
        self._delimiter = delimiter
        self._vector_size = vector_size
        self.lines: list[tuple[int, str]] = []

    def __call__(self, row: Any) -> str:
        """Tells Arrow what to do with a row of another number of columns: "skip" or "error"."""
        if row.actual_columns <= self._vector_size + 1 or row.number is None:
            return "error"
        self.lines.append((row.number, row.text))
        return "skip"

    def insert_into(self, path: Path, words: list[str], matrix: Matrix) -> tuple[list[str], Matrix]:
        """Returns the words and numbers with these rows in their places."""
        rows = []
        for line_number, text in self.lines:
            word, *numbers = text.rstrip("\r\n").rsplit(self._delimiter, self._vector_size)
            words.insert(line_number - 1, word)
            try:
                rows.append(np.array(numbers, np.float32))
            except ValueError as error:
                raise UserError(
                    f"{path}: line {line_number}: {error}; get the vectors again"
                ) from error
        # np.insert counts places in the matrix as it was before, without the rows inserted above.
        places = [line_number - 1 - above for above, (line_number, _) in enumerate(self.lines)]
        return words, np.insert(matrix, places, np.stack(rows), axis=0)


def _record_batches(
    path: Path, names: Sequence[str], delimiter: str, skip_lines: int, wide_rows: _WideRows | None
) -> Iterable[pa.RecordBatch]:
    """Returns the rows of a text file as batches of columns, without the column `end`."""
    types = {name: pa.string() if name == "word" else pa.float32() for name in names}
    batches: Iterable[pa.RecordBatch] = csv.open_csv(
        path,
        csv.ReadOptions(
            column_names=names,
            skip_rows=skip_lines,
            block_size=BLOCK_BYTES,
            # With several threads Arrow gives a row that it cannot read no line number.
            use_threads=wide_rows is None,
        ),
        csv.ParseOptions(
            delimiter=delimiter, quote_char=False, escape_char=False, invalid_row_handler=wide_rows
        ),
        csv.ConvertOptions(
            column_types=types,
            include_columns=[name for name in names if name != "end"],
            null_values=[],
        ),
    )
    return batches
