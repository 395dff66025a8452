"""word2vec's text and binary formats, and GloVe's, which is the text format without its first line.

All three separate by spaces, so no word of them holds one when it is written here. Files whose
names end in `.gz` are read as what they hold.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from statistics import mode

import numpy as np

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import number_text
from pmc2vec.vectors.vector_files import Matrix, VectorFile, check_words, decode, replacing

TEXT = "vectors.txt"
BINARY = "vectors.bin"
GLOVE = "glove.txt"

_SPACE = r"[ \t\n\v\f\r]"
_DEFLATED = 1100  # bytes that gzip makes of one, at most


def write_text(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    """Writes the word2vec text format: "V D", and then a word and D numbers in each row."""
    check_words(words, _SPACE, path)
    with replacing(path) as file:
        file.write(_header(matrix))
        file.writelines(number_text.text_rows(words, matrix))


def write_glove(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    """Writes GloVe's text format: a word and D numbers in each row."""
    check_words(words, _SPACE, path)
    with replacing(path) as file:
        file.writelines(number_text.text_rows(words, matrix))


def write_binary(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    """Writes the word2vec binary format: "V D", then word, space, D float32, newline."""
    check_words(words, _SPACE, path)
    with replacing(path) as file:
        file.write(_header(matrix))
        for word, row in zip(words, matrix, strict=True):
            file.write(b"%b %b\n" % (word.encode(), row.astype("<f4", copy=False).tobytes()))


def read_text(path: Path) -> VectorFile:
    """Returns the vectors of a text file: word2vec's if line 1 is two whole numbers, else GloVe's.

    Raises:
        UserError: it is neither, or is damaged; names the file.
    """
    with _opened(path) as file:
        header, *sample = islice(file, 10)
    if _is_shape(header):
        rows, size = _shape(path, header)
        # word2vec.c ends each row with a space, which makes one more, empty column.
        trailing = bool(sample) and sample[0].rstrip(b"\r\n").endswith(b" ")
        words, matrix = number_text.read_rows(
            path, size, rows=rows, delimiter=" ", leading=True, trailing=trailing, skip=1
        )
        return VectorFile(words, matrix)
    size = mode(len(line.rstrip().split(b" ")) for line in (header, *sample)) - 1
    if size < 1 or not _is_number(header.split()[-1]):
        raise UserError(
            f"{path}: line 1 is neither the number of words and of dimensions, as in word2vec's "
            f"text format, nor a word and numbers, as in GloVe's, but {header[:40]!r}; "
            "the binary format is expected in files named .bin or .bin.gz"
        )
    return VectorFile(*number_text.read_rows(path, size, delimiter=" ", leading=True))


def read_binary(path: Path) -> VectorFile:
    """Returns the vectors of a file in the word2vec binary format.

    Raises:
        UserError: it is no such file, or is damaged; names it.
    """
    with _opened(path) as file:
        rows, size = _shape(path, file.readline())
        words: list[str] = []
        matrix = np.empty((rows, size), np.float32)
        data, at = b"", 0
        for row in range(rows):
            space = data.find(b" ", at)
            if space < 0 or len(data) < space + 1 + 4 * size:
                data, at = data[at:] + file.read(number_text.BLOCK), 0
                space = data.find(b" ")
                if space < 0 or len(data) < space + 1 + 4 * size:
                    raise UserError(
                        f"{path}: ends inside word {row + 1} of {rows}; it was cut short"
                    )
            # word2vec.c ends each row with a newline, gensim does not.
            words.append(decode(path, data[at:space].lstrip(b"\n")))
            matrix[row] = np.frombuffer(data, "<f4", count=size, offset=space + 1)
            at = space + 1 + 4 * size
    return VectorFile(words, matrix)


@contextmanager
def _opened(path: Path) -> Iterator[gzip.GzipFile | BufferedReader]:
    """Yields the file, or what it holds where its name ends in `.gz`."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            if not file.peek(1):
                raise UserError(f"{path}: empty; get or export the vectors again")
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip file ({error}); get it again") from error


def _header(matrix: Matrix) -> bytes:
    return b"%d %d\n" % matrix.shape


def _is_shape(line: bytes) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _shape(path: Path, line: bytes) -> tuple[int, int]:
    if not _is_shape(line) or b"0" in line.split():
        raise UserError(
            f"{path}: line 1 is not the number of words and of dimensions, as in the word2vec "
            f"formats, but {line[:40]!r}"
        )
    rows, size = map(int, line.split())
    held = path.stat().st_size * (_DEFLATED if path.suffix == ".gz" else 1)
    if held < 2 * rows * size:  # A number and what ends it take two bytes.
        raise UserError(f"{path}: too short for {rows} words of {size} numbers; it was cut short")
    return rows, size
