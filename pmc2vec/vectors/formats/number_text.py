"""Tables of numbers as text: written in few digits that read back exactly, read fast.

Nothing in such a file is a quote, an escape or a missing value: `"`, `nan` and `null` are words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from pmc2vec.errors import UserError
from pmc2vec.machine import available_cores

CHUNK = 1 << 18
"""Numbers turned into text at once: about 3 MB of it."""

BLOCK = 1 << 24
"""Bytes of text read at once."""


def text_chunks(matrix: NDArray[np.float32], delimiter: str) -> Iterator[bytes]:
    """Yields the text of some whole rows of `matrix`, [V, D], until all have been.

    All cores work at it, each at most one chunk ahead of what has been taken.
    """
    from pmc2vec.vectors.formats.digits import text_of

    step, most = max(1, CHUNK // matrix.shape[1]), available_cores()
    with ThreadPoolExecutor(most) as pool:
        ahead: deque[Future[bytes]] = deque()
        for start in range(0, len(matrix), step):
            ahead.append(pool.submit(text_of, matrix[start : start + step], delimiter))
            if len(ahead) > most:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def text_rows(words: Sequence[str], matrix: NDArray[np.float32]) -> Iterator[bytes]:
    """Yields each word with its numbers, separated by spaces: a row of word2vec's and GloVe's."""
    word = iter(words)
    for rows in text_chunks(matrix, " "):
        for row in rows.splitlines(keepends=True):
            yield b"%b %b" % (next(word).encode(), row)


def read_rows(
    path: Path,
    size: int,
    *,
    rows: int | None = None,
    delimiter: str = "\t",
    leading: bool = False,
    trailing: bool = False,
    skip: int = 0,
) -> tuple[list[str], NDArray[np.float32]]:
    """Returns the words (none unless `leading`) and the [rows, size] numbers of a text file.

    Args:
        path: the file; compressed where its name ends in `.gz`.
        size: numbers in a row.
        rows: rows it must have; None takes all.
        delimiter: between two columns.
        leading: a word comes first in each row. Where `rows` is None it may hold delimiters, as a
            few words of GloVe's largest file do.
        trailing: an empty column comes last in each row.
        skip: lines before the first row.

    Raises:
        UserError: a row is of another form, or there are more or fewer than `rows`.
    """
    names = [*["word"] * leading, *map(str, range(size)), *["end"] * trailing]
    wide = _WideRows(delimiter, size) if leading and rows is None else None
    words: list[str] = []
    parts: list[NDArray[np.float32]] = []
    try:
        for batch in _batches(path, names, delimiter, skip=skip, wide=wide):
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            if leading:
                words += columns.pop(0).tolist()
            parts.append(np.stack(columns, axis=1))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path}: {' '.join(str(error)[:160].split())}; get or export the vectors again"
        ) from error
    done = sum(map(len, parts))
    if rows not in (None, done):
        raise UserError(f"{path}: {done} rows for {rows} words; get or export the vectors again")
    matrix = np.concatenate(parts) if parts else np.empty((0, size), np.float32)
    return wide.put_back(path, words, matrix) if wide and wide.found else (words, matrix)


class _WideRows:
    """Rows whose word holds delimiters, set aside by the reader and put back in their places."""

    def __init__(self, delimiter: str, size: int) -> None:
        self._delimiter = delimiter
        self._size = size
        self.found: list[tuple[int, str]] = []  # Line number from 1, and text.

    def __call__(self, row: Any) -> str:
        """Returns what the reader is to do with a row of another number of columns."""
        if row.actual_columns <= self._size + 1 or row.number is None:
            return "error"
        self.found.append((row.number, row.text))
        return "skip"

    def put_back(
        self, path: Path, words: list[str], matrix: NDArray[np.float32]
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Returns the words and numbers with the rows found among them."""
        rows = []
        for number, text in self.found:
            word, *numbers = text.rstrip("\r\n").rsplit(self._delimiter, self._size)
            words.insert(number - 1, word)
            try:
                rows.append(np.array(numbers, np.float32))
            except ValueError as error:
                raise UserError(f"{path}: line {number}: {error}; get the vectors again") from error
        places = [number - 1 - before for before, (number, _) in enumerate(self.found)]
        return words, np.insert(matrix, places, np.stack(rows), axis=0)


def _batches(
    path: Path, names: Sequence[str], delimiter: str, *, skip: int, wide: _WideRows | None
) -> Iterable[pa.RecordBatch]:
    """Returns the rows of a text file as batches of columns; drops the column `end`."""
    kinds = {name: pa.string() if name == "word" else pa.float32() for name in names}
    batches: Iterable[pa.RecordBatch] = csv.open_csv(
        path,
        # Several threads do not know which line a row stands in.
        csv.ReadOptions(
            column_names=names, skip_rows=skip, block_size=BLOCK, use_threads=wide is None
        ),
        csv.ParseOptions(
            delimiter=delimiter, quote_char=False, escape_char=False, invalid_row_handler=wide
        ),
        csv.ConvertOptions(
            column_types=kinds,
            include_columns=[name for name in names if name != "end"],
            null_values=[],
        ),
    )
    return batches
