"""What all formats of word vectors share: the table they hold, its checks, their description.

A format is a module beside this one that makes a `VectorFormat` of its reader and writer, and an
entry in `registry.FORMATS`. `Vectors.load`, `pmc2vec export`, its help and the table in
docs/formats.md are made from that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.subwords import Subwords

Matrix = NDArray[np.float32]
Counts = NDArray[np.int64]

# Patterns of what a word cannot hold in a format whose rows or columns end with it.
TAB_OR_LINE_END = r"[\t\n\r]"
ASCII_SPACE = r"[ \t\n\v\f\r]"


class VectorTable(NamedTuple):
    """Words with their vectors, as a file holds them.

    Attributes:
        words: V words.
        matrix: [V, D] float32.
        counts: [V] int64, tokens of each word in the corpus; None where the file does not say.
        subwords: n-grams of words that are not among them; None where the file has none.
    """

    words: Sequence[str]
    matrix: Matrix
    counts: Counts | None = None
    subwords: Subwords | None = None


@dataclass(frozen=True)
class WriteOptions:
    """Options of `pmc2vec export` that only one format has.

    Attributes:
        keras_vocabulary: file with the vocabulary of a classifier; None takes that of the vectors.
        keras_unknown: rows of words without a vector.
    """

    keras_vocabulary: Path | None = None
    keras_unknown: Literal["zero", "random"] = "zero"


class FormatFiles(NamedTuple):
    """What a writer has written.

    Attributes:
        paths: the files.
        note: a sentence for the user; empty where there is nothing to say.
    """

    paths: Sequence[Path]
    note: str = ""


@dataclass(frozen=True)
class VectorFormat:
    """A format of word-vector files.

    Attributes:
        name: value of `--format`.
        file_name: file that `write` is given, in the folder of the export.
        files: the files in full, Markdown.
        other_programs: how other programs read them, Markdown.
        write: writes a table to a path named `file_name` (`plain_writer` makes it of a function
            without options); None where we only read it.
        read: returns the table of a file; None where we cannot read it.
        recognises: whether `read` is for a file whose content, decompressed, begins so.
        suffixes: of files that `read` is for where no format recognises the content, so that its
            error says what is wrong with it.
        compressed: whether `read` takes compressed files.
    """

    name: str
    file_name: str
    files: str
    other_programs: str
    write: Callable[[Path, VectorTable, WriteOptions], FormatFiles] | None = None
    read: Callable[[Path], VectorTable] | None = None
    recognises: Callable[[bytes], bool] = lambda _: False
    suffixes: tuple[str, ...] = ()
    compressed: bool = False


def plain_writer(
    write: Callable[[Path, VectorTable], Sequence[Path]],
) -> Callable[[Path, VectorTable, WriteOptions], FormatFiles]:
    """Returns the `VectorFormat.write` of a format without options.

    Args:
        write: writes a table to a path and returns the files.
    """
    return lambda path, table, _: FormatFiles(write(path, table))


def row_norms(table: VectorTable) -> Matrix:
    """Returns the length of each vector, [V] float32.

    Raises:
        UserError: a vector is not finite; names its word.
    """
    matrix = np.asarray(table.matrix)
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    finite = np.isfinite(norms)
    if not finite.all():
        raise UserError(
            f"the vector of {table.words[int(np.argmin(finite))]!r} is not finite: training "
            "diverged; train again in a new workdir with a smaller --alpha"
        )
    return np.asarray(norms, np.float32)


def first_places(words: Sequence[str]) -> dict[str, int]:
    """Returns the place of each word; the first one, where a word comes twice."""
    return dict(zip(reversed(words), reversed(range(len(words))), strict=True))


def check_words(words: Sequence[str], forbidden: str, path: Path) -> None:
    """Raises UserError where a word is empty or matches `forbidden`; names it and the file."""
    pattern = re.compile(f"{forbidden}|^$")
    for word in words:
        if pattern.search(word):
            raise UserError(
                f"{path.name}: this format cannot hold the word {word!r}; export to another format"
            )


def check_unique(words: Sequence[str], path: Path) -> None:
    """Raises UserError where a word comes twice, as in some files of other programs; names it."""
    earlier_words: set[str] = set()
    for word in words:
        if word in earlier_words:
            raise UserError(
                f"{path.name}: the word {word!r} comes twice, which this format cannot hold; "
                "export to another format"
            )
        earlier_words.add(word)


def read_lines(path: Path) -> list[str]:
    """Returns the lines of a file.

    Only LF and CRLF end a line, unlike in `str.splitlines`: a word may hold U+2028 and its like. A
    byte order mark at the beginning is not part of the first line.

    Raises:
        UserError: there is no such file, it is empty, or not UTF-8.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; it belongs to the vectors beside it") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); convert it to UTF-8 first") from error
    if not text:
        raise UserError(f"{path}: empty; export the vectors again")
    text = text.removeprefix("\ufeff").removesuffix("\n")
    return [line.removesuffix("\r") for line in text.split("\n")]
