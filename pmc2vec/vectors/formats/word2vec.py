"""word2vec's text and binary formats, and GloVe's, which is the text format without its first line.

    3 2                  words and dimensions: word2vec's formats only
    the 0.25 -1
    of 0.125 3

All three separate columns by spaces, so a word with a space cannot be written. Files may be
compressed, and may begin with a byte order mark.
"""

from __future__ import annotations

from itertools import islice
from logging import getLogger
from pathlib import Path
from statistics import mode

import numpy as np

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats import text_tables
from pmc2vec.vectors.formats.decompression import compression, open_decompressed
from pmc2vec.vectors.formats.vector_table import (
    ASCII_SPACE,
    Matrix,
    VectorFormat,
    VectorTable,
    check_words,
    plain_writer,
)

logger = getLogger(__name__)

_SAMPLE_LINES = 10
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Bytes that are made of one: Deflate makes 1032 at most, and other programs more of zeros only.
_MAX_COMPRESSION = 1100


def write_text_vectors(path: Path, table: VectorTable) -> list[Path]:
    """Writes the word2vec text format and returns the file.

    It holds "V D" in line 1, and then a word and D numbers in each row.
    """
    check_words(table.words, ASCII_SPACE, path)
    with atomic_local_file(path) as file:
        file.write(_header(table.matrix))
        file.writelines(text_tables.word_rows(table.words, table.matrix))
    return [path]


def write_glove(path: Path, table: VectorTable) -> list[Path]:
    """Writes GloVe's text format, a word and D numbers in each row, and returns the file."""
    check_words(table.words, ASCII_SPACE, path)
    with atomic_local_file(path) as file:
        file.writelines(text_tables.word_rows(table.words, table.matrix))
    return [path]


def write_binary(path: Path, table: VectorTable) -> list[Path]:
    """Writes the word2vec binary format and returns the file.

    It holds "V D" in line 1, and then for each word: the word, a space, D float32, a newline.
    """
    check_words(table.words, ASCII_SPACE, path)
    with atomic_local_file(path) as file:
        file.write(_header(table.matrix))
        for word, row in zip(table.words, table.matrix, strict=True):
            file.write(b"%b %b\n" % (word.encode(), row.astype("<f4", copy=False).tobytes()))
    return [path]


def read_text_vectors(path: Path) -> VectorTable:
    """Returns the vectors of a text file: word2vec's if line 1 is two whole numbers, else GloVe's.

    Raises:
        UserError: it is neither, or is damaged; names the file.
    """
    with open_decompressed(path) as file:
        header, *sample = islice(file, _SAMPLE_LINES)
    header = header.removeprefix(_BYTE_ORDER_MARK)
    if _is_shape(header):
        rows, vector_size = _shape(path, header)
        words, matrix = text_tables.read_rows(
            path,
            vector_size,
            rows=rows,
            more_rows=True,
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
            f"text format, nor a word and numbers, as in GloVe's, but {printable(header)}; "
            "give a file of word vectors"
        )
    return VectorTable(*text_tables.read_rows(path, vector_size, delimiter=" ", word_first=True))


def read_binary(path: Path) -> VectorTable:
    """Returns the vectors of a file in the word2vec binary format.

    Raises:
        UserError: it is no such file, or is damaged; names it.
    """
    with open_decompressed(path) as file:
        rows, vector_size = _shape(path, file.readline().removeprefix(_BYTE_ORDER_MARK))
        words: list[str] = []
        matrix = np.empty((rows, vector_size), np.float32)
        row_bytes = 4 * vector_size
        buffer, position = b"", 0
        for row in range(rows):
            space = buffer.find(b" ", position)
            if space < 0 or len(buffer) < space + 1 + row_bytes:
                buffer, position = buffer[position:] + file.read(text_tables.READ_BLOCK_BYTES), 0
                space = buffer.find(b" ")
                if space < 0 or len(buffer) < space + 1 + row_bytes:
                    raise UserError(
                        f"{path}: ends inside word {row + 1} of {rows}; it was cut short"
                    )
            # word2vec.c ends each row with a newline, gensim does not.
            words.append(buffer[position:space].lstrip(b"\n").decode(errors="replace"))
            matrix[row] = np.frombuffer(buffer, "<f4", count=vector_size, offset=space + 1)
            position = space + 1 + row_bytes
        if buffer[position:].strip() or file.read(16).strip():
            logger.warning(
                "%s: line 1 says %d words; what comes after them is not read",
                path,
                rows,
            )
    text_tables.warn_of_replaced_bytes(path, words)
    return VectorTable(words, matrix)


def _header(matrix: Matrix) -> bytes:
    return b"%d %d\n" % matrix.shape


def _is_shape(line: bytes) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def is_text_file(head: bytes) -> bool:
    """Returns whether a file that begins with `head` is in word2vec's text format or GloVe's."""
    header, _, rest = head.removeprefix(_BYTE_ORDER_MARK).partition(b"\n")
    if _is_shape(header):
        return not is_binary_file(head)
    fields = header.split()
    return len(fields) > 1 and _is_number(fields[-1]) and b"\t" not in header and b"\0" not in rest


def is_binary_file(head: bytes) -> bool:
    """Returns whether a file that begins with `head` is in the word2vec binary format."""
    header, _, rest = head.removeprefix(_BYTE_ORDER_MARK).partition(b"\n")
    if not _is_shape(header):
        return False
    # After a word, text has nothing but numbers to the end of the line; four bytes of a float32
    # are hardly ever all digits.
    numbers = rest.partition(b" ")[2].partition(b"\n")[0].split()
    vector_size = int(header.split()[1])
    return len(numbers) < vector_size or not all(map(_is_number, numbers[-vector_size:]))


def printable(line: bytes) -> str:
    """Returns the start of a line for a message, without what a terminal would not show.

    >>> printable(b"once upon a time"), printable(bytes(3))
    ("'once upon a time'", 'bytes that are not text')
    """
    text = line[:40].decode(errors="replace").rstrip()
    if len(line) > 40:
        text = text.rstrip("\ufffd")  # A character that was cut.
    readable = text and text.isprintable() and "\ufffd" not in text
    return repr(text) if readable else "bytes that are not text"


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
            f"formats, but {printable(line)}"
        )
    rows, vector_size = map(int, line.split())
    # Checked before memory for so many numbers is asked for. A number and what ends it take at
    # least two bytes of text.
    max_bytes = path.stat().st_size * (1 if compression(path) is None else _MAX_COMPRESSION)
    if max_bytes < 2 * rows * vector_size:
        raise UserError(
            f"{path}: too short for {rows} words of {vector_size} numbers; it was cut short"
        )
    return rows, vector_size


# --- the formats -------------------------------------------------------------------------------

TEXT_FORMAT = VectorFormat(
    name="word2vec",
    file_name="vectors.txt",
    files="vectors.txt",
    other_programs='`KeyedVectors.load_word2vec_format("vectors.txt")`',
    write=plain_writer(write_text_vectors),
    read=read_text_vectors,
    recognises=is_text_file,
    suffixes=(".txt", ".vec"),
    compressed=True,
)

BINARY_FORMAT = VectorFormat(
    name="word2vec_binary",
    file_name="vectors.bin",
    files="vectors.bin",
    other_programs='`KeyedVectors.load_word2vec_format("vectors.bin", binary=True)`',
    write=plain_writer(write_binary),
    read=read_binary,
    recognises=is_binary_file,
    suffixes=(".bin",),
    compressed=True,
)

GLOVE_FORMAT = VectorFormat(
    name="glove",
    file_name="glove.txt",
    files="glove.txt",
    other_programs='`KeyedVectors.load_word2vec_format("glove.txt", no_header=True)`',
    write=plain_writer(write_glove),
    read=read_text_vectors,
    recognises=is_text_file,
    compressed=True,
)
