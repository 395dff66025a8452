"""Tables of numbers as text, written and read by Arrow.

A number is written in the fewest digits that read back as the same float32. Nothing in these files
is a quote, an escape or a missing value: `"`, `nan` and `null` are words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from pmc2vec.errors import UserError
from pmc2vec.machine import available_cores
from pmc2vec.vectors.formats.decompression import compression, open_decompressed
from pmc2vec.vectors.formats.vector_table import Matrix

logger = getLogger(__name__)

# Numbers that are turned into text at once: about 3 MB of it.
CHUNK_NUMBERS = 1 << 18

# Bytes of text that are read at once.
READ_BLOCK_BYTES = 1 << 24


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
    more_rows: bool = False,
    delimiter: str = "\t",
    word_first: bool = False,
    delimiter_last: bool = False,
    skip_lines: int = 0,
) -> tuple[list[str], Matrix]:
    """Returns the words (none unless `word_first`) and the [rows, D] numbers of a text file.

    Args:
        path: the file, which may be compressed.
        vector_size: numbers in a row, D.
        rows: rows that it must have; None takes all.
        more_rows: more than `rows` are taken too, with a warning.
        delimiter: between two columns.
        word_first: a word comes first in each row. It may hold delimiters, as a few words of
            GloVe's largest file do, and bytes that are not UTF-8, which are replaced.
        delimiter_last: each row ends with a delimiter, as word2vec.c writes it.
        skip_lines: lines before the first row.

    Raises:
        UserError: a row is of another form, or there are more or fewer than `rows`.
    """
    # A delimiter at the end of a row makes one more, empty column.
    names = [*["word"] * word_first, *map(str, range(vector_size)), *["end"] * delimiter_last]
    try:
        words, matrix = _read_table(path, names, delimiter, skip_lines)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path}: {' '.join(str(error)[:160].split())}; get or export the vectors again"
        ) from error
    if rows is not None and len(matrix) > rows and more_rows:
        logger.warning(
            "%s: line 1 says %d words, but there are %d; all are read", path, rows, len(matrix)
        )
    elif rows not in (None, len(matrix)):
        raise UserError(
            f"{path}: {len(matrix)} rows for {rows} words; get or export the vectors again"
        )
    return words, matrix


def _read_table(
    path: Path, names: Sequence[str], delimiter: str, skip_lines: int
) -> tuple[list[str], Matrix]:
    """Returns the words and numbers of a file with these columns."""
    try:
        return _read_columns(path, names, delimiter, skip_lines)
    except pa.ArrowInvalid:
        if names[0] != "word" or names[-1] == "end":
            raise
    # Odd words are rare and take three times as long, so only a second reading looks for them.
    return _read_odd_words(path, names, delimiter, skip_lines)


def _read_columns(
    path: Path, names: Sequence[str], delimiter: str, skip_lines: int
) -> tuple[list[str], Matrix]:
    words: list[str] = []
    parts: list[Matrix] = []
    for columns in _column_batches(path, names, delimiter, skip_lines, None):
        if names[0] == "word":
            words += columns.pop(0).tolist()
        parts.append(np.stack(columns, axis=1))
    return words, _concatenated(parts, names)


def _read_odd_words(
    path: Path, names: Sequence[str], delimiter: str, skip_lines: int
) -> tuple[list[str], Matrix]:
    """Returns what `_read_columns` does, of a file whose words hold delimiters or bad UTF-8."""
    vector_size = len(names) - 1
    wide_rows = _WideRows(delimiter, vector_size, skip_lines)
    raw_words: list[bytes] = []
    parts: list[Matrix] = []
    for columns in _column_batches(path, names, delimiter, skip_lines, wide_rows):
        raw_words += columns.pop(0).tolist()
        parts.append(np.stack(columns, axis=1))
    words = [word.decode(errors="replace") for word in raw_words]
    warn_of_replaced_bytes(path, words)
    return wide_rows.insert_into(path, words, _concatenated(parts, names))


def warn_of_replaced_bytes(path: Path, words: Sequence[str]) -> None:
    """Logs which words held bytes that are not UTF-8, by the character that replaces them."""
    damaged = [word for word in words if "\ufffd" in word]
    if damaged:
        logger.warning(
            "%s: %d words hold bytes that are not UTF-8, replaced by \ufffd: %s",
            path, len(damaged), ", ".join(damaged[:3]),
        )  # fmt: skip


def _concatenated(parts: Sequence[Matrix], names: Sequence[str]) -> Matrix:
    vector_size = sum(name not in {"word", "end"} for name in names)
    return np.concatenate(parts) if parts else np.empty((0, vector_size), np.float32)


class _WideRows:
    """Rows whose word holds delimiters: set aside while Arrow reads, inserted afterwards.

    Attributes:
        lines: the line number, from 1, and the text of each.
    """

    def __init__(self, delimiter: str, vector_size: int, skip_lines: int) -> None:
        self._delimiter = delimiter
        self._vector_size = vector_size
        self._skip_lines = skip_lines
        self.lines: list[tuple[int, str]] = []

    def __call__(self, row: Any) -> str:
        """Tells Arrow what to do with a row of another number of columns: "skip" or "error"."""
        if row.actual_columns <= self._vector_size + 1 or row.number is None:
            return "error"
        self.lines.append((row.number, row.text))
        return "skip"

    def insert_into(self, path: Path, words: list[str], matrix: Matrix) -> tuple[list[str], Matrix]:
        """Returns the words and numbers with these rows in their places."""
        if not self.lines:
            return words, matrix
        rows = []
        for line_number, text in self.lines:
            word, *numbers = text.rstrip("\r\n").rsplit(self._delimiter, self._vector_size)
            words.insert(line_number - 1 - self._skip_lines, word)
            try:
                rows.append(np.array(numbers, np.float32))
            except ValueError as error:
                raise UserError(
                    f"{path}: line {line_number}: {error}; get the vectors again"
                ) from error
        # np.insert counts places in the matrix as it was before, without the rows inserted above.
        places = [
            line_number - 1 - self._skip_lines - above
            for above, (line_number, _) in enumerate(self.lines)
        ]
        return words, np.insert(matrix, places, np.stack(rows), axis=0)


def _column_batches(
    path: Path,
    names: Sequence[str],
    delimiter: str,
    skip_lines: int,
    wide_rows: _WideRows | None,
) -> Iterator[list[NDArray[Any]]]:
    """Yields the columns of some rows at a time, without the column `end`.

    With `wide_rows`, words are bytes.
    """
    word_type = pa.string() if wide_rows is None else pa.binary()
    types = {name: word_type if name == "word" else pa.float32() for name in names}
    with ExitStack() as stack:
        source: Any = pa.OSFile(str(path))  # Not a name: Arrow would go by its suffix.
        if compression(path) is not None:
            source = pa.PythonFile(stack.enter_context(open_decompressed(path)), "r")
        batches = csv.open_csv(
            source,
            csv.ReadOptions(
                column_names=names,
                skip_rows=skip_lines,
                block_size=READ_BLOCK_BYTES,
                # With several threads Arrow gives a row that it cannot read no line number.
                use_threads=wide_rows is None,
            ),
            csv.ParseOptions(
                delimiter=delimiter,
                quote_char=False,
                escape_char=False,
                invalid_row_handler=wide_rows,
            ),
            csv.ConvertOptions(
                column_types=types,
                include_columns=[name for name in names if name != "end"],
                null_values=[],
                check_utf8=wide_rows is None,
            ),
        )
        for batch in batches:
            yield [column.to_numpy(zero_copy_only=False) for column in batch.columns]
