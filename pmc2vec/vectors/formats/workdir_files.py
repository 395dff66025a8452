"""The files in which a workdir keeps its vectors.

| file | rows | read by |
|---|---|---|
| vectors.tsv | D numbers, tab-separated | pandas, other programs |
| metadata.tsv | word, count, log10_count | the same |
| vectors.npy | float32 [V, D] | NumPy, memory-mapped |
| words.txt | a word | beside vectors.npy where there is no metadata.tsv |
| subwords.safetensors | n-grams, if there are any; see `subword_file` | any reader of safetensors |

The projector's files are in `projector`.

Numbers in text are the shortest that give the same float32 again. Words stand in the order of their
ids, unquoted and unescaped. A workdir has vectors.npy beside vectors.tsv so that a million vectors
load at once; it is used where it holds the same numbers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats import text_tables
from pmc2vec.vectors.formats.projector import (
    PROJECTOR_FILES,
    PROJECTOR_WORDS,
    write_projector,
)
from pmc2vec.vectors.formats.subword_file import SUBWORDS_FILE, read_subwords, write_subwords
from pmc2vec.vectors.formats.vector_table import (
    TAB_OR_LINE_END,
    Counts,
    Matrix,
    VectorFormat,
    VectorTable,
    check_words,
    plain_writer,
    read_lines,
    row_norms,
)
from pmc2vec.vectors.subwords import Subwords

VECTORS_TSV = "vectors.tsv"
METADATA_TSV = "metadata.tsv"
VECTORS_NPY = "vectors.npy"
WORDS_TXT = "words.txt"
WHAT_TO_GIVE = "give a workdir that `pmc2vec train` has finished, or a file of word vectors"


# --- writing -----------------------------------------------------------------------------------


def write_vectors(
    workdir: Path,
    words: Sequence[str],
    counts: Counts | None,
    matrix: Matrix,
    *,
    subwords: Subwords | None = None,
    projector_words: int = PROJECTOR_WORDS,
    probe_words: Sequence[str] = (),
) -> None:
    """Writes vectors.tsv, metadata.tsv, vectors.npy and the files of the projector.

    This is the end of training. Each file appears whole or not at all, the projector's
    configuration last.

    Args:
        workdir: folder for the files.
        words: V words.
        counts: [V] int64, tokens of each word; None where they are unknown, and then the words are
            taken to be in falling order of frequency.
        matrix: [V, D] float32.
        subwords: n-grams of words without a vector, if there are any.
        projector_words: words that the projector shows; see `projector.write_projector`.
        probe_words: words with views of their own there.

    Raises:
        UserError: a vector is not finite, or a word holds a tab or an end of line.
    """
    table = VectorTable(words, np.asarray(matrix, np.float32), counts, subwords)
    row_norms(table)  # Checks that all is finite before the first file is touched.
    write_workdir(workdir, table)
    write_projector(workdir, table, words=projector_words, probe_words=probe_words)


def write_workdir(folder: Path, table: VectorTable) -> None:
    """Writes vectors.tsv, metadata.tsv, vectors.npy, and subwords.safetensors if there are any."""
    write_subwords(folder, table.subwords)
    write_tsv(folder / VECTORS_TSV, folder / METADATA_TSV, table)
    write_npy(folder / VECTORS_NPY, table.matrix)


def write_tsv(vectors_path: Path, metadata_path: Path, table: VectorTable) -> None:
    """Writes numbers to one file and words to another, as TensorBoard's projector takes them.

    The metadata have a header only where there are counts: TensorBoard takes the first line of a
    file with one column for a word.
    """
    check_words(table.words, TAB_OR_LINE_END, metadata_path)
    with ExitStack() as stack:
        metadata_file = stack.enter_context(atomic_local_file(metadata_path))
        vectors_file = stack.enter_context(atomic_local_file(vectors_path))
        if table.counts is None:
            metadata_file.writelines(f"{word}\n".encode() for word in table.words)
        else:
            logs = np.log10(np.maximum(table.counts, 1))
            metadata_file.write(b"word\tcount\tlog10_count\n")
            metadata_file.writelines(
                f"{word}\t{count}\t{log:.4f}\n".encode()
                for word, count, log in zip(
                    table.words, table.counts.tolist(), logs.tolist(), strict=True
                )
            )
        vectors_file.writelines(text_tables.number_chunks(table.matrix, "\t"))


def write_npy(path: Path, matrix: Matrix) -> None:
    """Writes the matrix in NumPy's own format."""
    with atomic_local_file(path) as file:
        np.save(file, matrix, allow_pickle=False)


def write_words(path: Path, words: Sequence[str]) -> None:
    """Writes a word in each row."""
    check_words(words, TAB_OR_LINE_END, path)
    with atomic_local_file(path) as file:
        file.writelines(f"{word}\n".encode() for word in words)


# --- reading -----------------------------------------------------------------------------------


def read_workdir(folder: Path) -> VectorTable:
    """Returns the vectors of a workdir, or of a folder of another export.

    Raises:
        UserError: there are none, or they are damaged; names the file.
    """
    if not (folder / VECTORS_TSV).is_file():
        if (folder / VECTORS_NPY).is_file():
            return read_npy(folder / VECTORS_NPY)
        raise UserError(f"{folder / VECTORS_TSV}: no such file; {WHAT_TO_GIVE}")
    words, counts = read_word_metadata(folder / METADATA_TSV)
    matrix = _matching_npy(folder, len(words))
    if matrix is None:
        return read_tsv(folder / VECTORS_TSV)
    return VectorTable(words, matrix, counts, read_subwords(folder, matrix.shape[1]))


def read_tsv(path: Path) -> VectorTable:
    """Returns the vectors of a table of numbers, with the words in the metadata.tsv beside it."""
    words, counts = read_word_metadata(path.with_name(METADATA_TSV))
    with path.open("rb") as file:
        vector_size = file.readline().count(b"\t") + 1
    _, matrix = text_tables.read_rows(path, vector_size, rows=len(words))
    return VectorTable(words, matrix, counts, read_subwords(path.parent, vector_size))


def read_word_metadata(path: Path) -> tuple[list[str], Counts | None]:
    """Returns the words of a metadata.tsv and, where it has a column `count`, their counts.

    A file of one column has no header, one of several columns has: TensorBoard's rule.
    """
    header, *rows = read_lines(path)
    columns = header.split("\t")
    if len(columns) == 1:
        return [header, *rows], None
    words = [row.partition("\t")[0] for row in rows]
    if "count" not in columns:
        return words, None
    column = columns.index("count")
    try:
        return words, np.array([row.split("\t")[column] for row in rows], np.int64)
    except (IndexError, ValueError) as error:
        raise UserError(f"{path}: a row has no whole number in column count ({error})") from error


def read_npy(path: Path) -> VectorTable:
    """Returns the vectors of a `.npy`, memory-mapped; words.txt or metadata.tsv is beside it."""
    words, counts = _words_beside(path)
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: not a NumPy file ({error}); export it again") from error
    if matrix.ndim != 2 or len(matrix) != len(words) or matrix.dtype != np.float32:
        raise UserError(
            f"{path}: holds {matrix.dtype} of shape {matrix.shape}, expected float32 with a row "
            f"for each of the {len(words)} words beside it; export both again"
        )
    return VectorTable(words, matrix, counts, read_subwords(path.parent, matrix.shape[1]))


def _words_beside(path: Path) -> tuple[list[str], Counts | None]:
    words_path, metadata_path = path.with_name(WORDS_TXT), path.with_name(METADATA_TSV)
    if metadata_path.is_file() and not words_path.is_file():
        return read_word_metadata(metadata_path)
    return read_lines(words_path), None


def _matching_npy(folder: Path, rows: int) -> Matrix | None:
    """Returns the memory-mapped vectors.npy if it holds the numbers of vectors.tsv, else None.

    Only the shape and the first and last rows are compared: reading all of vectors.tsv is what
    vectors.npy is there to save.
    """
    try:
        matrix: Matrix = np.load(folder / VECTORS_NPY, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if matrix.dtype != np.float32 or matrix.ndim != 2 or len(matrix) != rows or not rows:
        return None
    with (folder / VECTORS_TSV).open("rb") as file:
        first = file.readline()
        # Twice the length of the first row, or 32 bytes a number, holds the whole last row.
        tail = 2 * max(len(first), 32 * matrix.shape[1])
        file.seek(max(0, file.seek(0, os.SEEK_END) - tail))
        last = file.read().removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        ends = np.array([line.split(b"\t") for line in (first, last)], np.float32)
    except ValueError:
        return None
    return matrix if np.array_equal(ends, matrix[[0, -1]]) else None


# --- the formats -------------------------------------------------------------------------------


def _is_number_table(head: bytes) -> bool:
    fields = head.partition(b"\n")[0].split(b"\t")
    try:
        return len(fields) > 1 and len([float(field) for field in fields]) > 1
    except ValueError:
        return False


_TSV_FILES = (VECTORS_TSV, METADATA_TSV, VECTORS_NPY, *PROJECTOR_FILES)


def _write_tsv_format(path: Path, table: VectorTable) -> list[Path]:
    write_vectors(path.parent, table.words, table.counts, table.matrix, subwords=table.subwords)
    return [path.with_name(name) for name in _TSV_FILES] + (
        [] if table.subwords is None else [path.with_name(SUBWORDS_FILE)]
    )


def _write_numpy_format(path: Path, table: VectorTable) -> list[Path]:
    words_path = path.with_name(WORDS_TXT)
    write_words(words_path, table.words)
    write_npy(path, table.matrix)
    return [path, words_path, *write_subwords(path.parent, table.subwords)]


TSV_FORMAT = VectorFormat(
    name="tsv",
    file_name=VECTORS_TSV,
    files=", ".join(_TSV_FILES),
    other_programs='TensorBoard\'s projector; `pandas.read_csv(..., sep="\\t", header=None)`',
    write=plain_writer(_write_tsv_format),
    read=read_tsv,
    recognises=_is_number_table,
    suffixes=(".tsv",),
)

NUMPY_FORMAT = VectorFormat(
    name="numpy",
    file_name=VECTORS_NPY,
    files="vectors.npy, words.txt",
    other_programs='`numpy.load("vectors.npy", mmap_mode="r")`',
    write=plain_writer(_write_numpy_format),
    read=read_npy,
    recognises=lambda head: head.startswith(b"\x93NUMPY"),
    suffixes=(".npy",),
)
