"""word2vec's text and binary formats, and GloVe's, which is the text format without its first line.

    3 2                  words and dimensions: word2vec's formats only
    the 0.25 -1
    of 0.125 3

All three separate columns by spaces, so a word with a space cannot be written. A file whose name
ends in `.gz` is decompressed while it is read.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import islice
from pathlib import Path
from statistics import mode

import numpy as np

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats import text_tables
from pmc2vec.vectors.formats.vector_table import (
    ASCII_SPACE,
    FormatFiles,
    Matrix,
    VectorFormat,
    VectorTable,
    WriteOptions,
    check_words,
    decode_utf8,
)

_SAMPLE_LINES = 10
_MAX_GZIP_RATIO = 1100  # Deflate makes at most 1032 bytes of one.


def write_text(path: Path, table: VectorTable) -> None:
    """Writes the word2vec text format: "V D", and then a word and D numbers in each row."""
    check_words(table.words, ASCII_SPACE, path)
    with atomic_local_file(path) as file:
        file.write(_header(table.matrix))
        file.writelines(text_tables.word_rows(table.words, table.matrix))


def write_glove(path: Path, table: VectorTable) -> None:
    """Writes GloVe's text format: a word and D numbers in each row."""
    check_words(table.words, ASCII_SPACE, path)
    with atomic_local_file(path) as file:
        file.writelines(text_tables.word_rows(table.words, table.matrix))


def write_binary(path: Path, table: VectorTable) -> None:
    """Writes the word2vec binary format: "V D", then word, space, D float32, newline."""
    check_words(table.words, ASCII_SPACE, path)
    with atomic_local_file(path) as file:
        file.write(_header(table.matrix))
        for word, row in zip(table.words, table.matrix, strict=True):
            file.write(b"%b %b\n" % (word.encode(), row.astype("<f4", copy=False).tobytes()))


def read_text(path: Path) -> VectorTable:
    """Returns the vectors of a text file: word2vec's if line 1 is two whole numbers, else GloVe's.

    Raises:
        UserError: it is neither, or is damaged; names the file.
    """
    with _opened(path) as file:
        header, *sample = islice(file, _SAMPLE_LINES)
    if _is_shape(header):
        rows, vector_size = _shape(path, header)
        words, matrix = text_tables.read_rows(
            path,
            vector_size,
            rows=rows,
            delimiter=" ",
            word_first=True,
            # word2vec.c ends each row with a space, other programs do not.
            delimiter_last=bool(sample) and sample[0].rstrip(b"\r\n").endswith(b" "),
            skip_lines=1,
        )
        return VectorTable(words, matrix)
    # The mode of some rows, for a word may hold spaces.
    vector_size = mode(len(line.rstrip().split(b" ")) for line in (header, *sample)) - 1
    if vector_size < 1 or not _is_number(header.split()[-1]):
        raise UserError(
            f"{path}: line 1 is neither the number of words and of dimensions, as in word2vec's "
            f"text format, nor a word and numbers, as in GloVe's, but {header[:40]!r}; "
            "the binary format is expected in files named .bin or .bin.gz"
        )
    return VectorTable(*text_tables.read_rows(path, vector_size, delimiter=" ", word_first=True))


def read_binary(path: Path) -> VectorTable:
    """Returns the vectors of a file in the word2vec binary format.

    Raises:
        UserError: it is no such file, or is damaged; names it.
    """
    with _opened(path) as file:
        rows, vector_size = _shape(path, file.readline())
        words: list[str] = []
        matrix = np.empty((rows, vector_size), np.float32)
        row_bytes = 4 * vector_size
        buffer, position = b"", 0
        for row in range(rows):
            space = buffer.find(b" ", position)
            if space < 0 or len(buffer) < space + 1 + row_bytes:
                buffer, position = buffer[position:] + file.read(text_tables.BLOCK_BYTES), 0
                space = buffer.find(b" ")
                if space < 0 or len(buffer) < space + 1 + row_bytes:
                    raise UserError(
                        f"{path}: ends inside word {row + 1} of {rows}; it was cut short"
                    )
            # word2vec.c ends each row with a newline, gensim does not.
            words.append(decode_utf8(path, buffer[position:space].lstrip(b"\n")))
            matrix[row] = np.frombuffer(buffer, "<f4", count=vector_size, offset=space + 1)
            position = space + 1 + row_bytes
    return VectorTable(words, matrix)


@contextmanager
def _opened(path: Path) -> Iterator[gzip.GzipFile | BufferedReader]:
    """Yields the file, decompressed where its name ends in `.gz`."""
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
    rows, vector_size = map(int, line.split())
    # Checked before memory for so many numbers is asked for. A number and what ends it take at
    # least two bytes of text.
    max_bytes = path.stat().st_size * (_MAX_GZIP_RATIO if path.suffix == ".gz" else 1)
    if max_bytes < 2 * rows * vector_size:
        raise UserError(
            f"{path}: too short for {rows} words of {vector_size} numbers; it was cut short"
        )
    return rows, vector_size


# --- the formats -------------------------------------------------------------------------------


def _write_text_format(path: Path, table: VectorTable, _: WriteOptions) -> FormatFiles:
    write_text(path, table)
    return FormatFiles([path])


def _write_binary_format(path: Path, table: VectorTable, _: WriteOptions) -> FormatFiles:
    write_binary(path, table)
    return FormatFiles([path])


def _write_glove_format(path: Path, table: VectorTable, _: WriteOptions) -> FormatFiles:
    write_glove(path, table)
    return FormatFiles([path])


TEXT_FORMAT = VectorFormat(
    name="word2vec",
    file_name="vectors.txt",
    files="vectors.txt",
    other_programs='`KeyedVectors.load_word2vec_format("vectors.txt")`',
    write=_write_text_format,
    read=read_text,
    suffixes=(".txt",),
    gzip=True,
)

BINARY_FORMAT = VectorFormat(
    name="word2vec_binary",
    file_name="vectors.bin",
    files="vectors.bin",
    other_programs='`KeyedVectors.load_word2vec_format("vectors.bin", binary=True)`',
    write=_write_binary_format,
    read=read_binary,
    suffixes=(".bin",),
    gzip=True,
)

GLOVE_FORMAT = VectorFormat(
    name="glove",
    file_name="glove.txt",
    files="glove.txt",
    other_programs='`KeyedVectors.load_word2vec_format("glove.txt", no_header=True)`',
    write=_write_glove_format,
    read=read_text,
    suffixes=(),
    gzip=True,
)
