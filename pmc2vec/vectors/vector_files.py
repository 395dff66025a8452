"""The files in which a workdir keeps its vectors; `formats` has other programs' formats.

| file | rows | read by |
|---|---|---|
| vectors.tsv, metadata.tsv | numbers; word, count, log10_count | TensorBoard's projector, pandas |
| vectors.npy, words.txt | float32 [V, D]; a word | NumPy, memory-mapped |

Numbers in text are the shortest that give the same float32 again. Words stand in the order of their
ids, unquoted and unescaped: a word may hold anything but what ends it in that format. A workdir has
vectors.npy too, so that a million vectors load at once: it is used where it is the same as
vectors.tsv.
"""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import number_text

VECTORS = "vectors.tsv"
METADATA = "metadata.tsv"
NUMPY = "vectors.npy"
WORDS = "words.txt"

_TEMPORARY = ".tmp"

Matrix = NDArray[np.float32]
Counts = NDArray[np.int64]

WHAT_TO_GIVE = "give a workdir that `pmc2vec train` has finished, or a file of word vectors"


class VectorFile(NamedTuple):
    """What a file of vectors holds.

    Attributes:
        words: V words.
        matrix: [V, D] float32.
        counts: [V] int64, tokens in the corpus; None where the format has no place for them.
    """

    words: list[str]
    matrix: Matrix
    counts: Counts | None = None


# --- writing -----------------------------------------------------------------------------------


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file that takes the place of `path` when the work inside ends well."""
    with scratch(path) as folder:
        with (made := folder / path.name).open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # So that no loss of power leaves a name without its bytes.
        made.replace(path)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Yields a folder beside `path` in which to make it; what killed writers left goes with it.

    A writer holds a lock on its folder, which ends with its process: so only the dead ones' are
    removed, in whatever container they were alive.

    Raises:
        UserError: it cannot be written; names `path`.
    """
    prefix = f".{path.name}."
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{glob.escape(prefix)}*{_TEMPORARY}"):
            with suppress(OSError), _lock(left):
                shutil.rmtree(left)
        with ExitStack() as stack:
            made = stack.enter_context(
                TemporaryDirectory(_TEMPORARY, prefix, path.parent, ignore_cleanup_errors=True)
            )
            with suppress(OSError):  # Some network filesystems lock no folders: nothing is removed.
                stack.enter_context(_lock(Path(made)))
            yield Path(made)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); mend that and give the same "
            "command again"
        ) from error


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(opened)


def write_tsv(
    vectors: Path, metadata: Path, words: Sequence[str], counts: Counts | None, matrix: Matrix
) -> None:
    """Writes numbers and words side by side, as TensorBoard's projector wants them.

    Args:
        vectors: file for a row of D numbers, tab-separated, for each word.
        metadata: file for the words; with a header only where there are counts, TensorBoard's rule.
        words: V words.
        counts: [V] int64 or None.
        matrix: [V, D] float32.
    """
    check_words(words, r"[\t\n\r]", metadata)
    with ExitStack() as stack:
        words_file = stack.enter_context(replacing(metadata))
        numbers_file = stack.enter_context(replacing(vectors))
        if counts is None:
            words_file.writelines(f"{word}\n".encode() for word in words)
        else:
            logs = np.log10(np.maximum(counts, 1))
            words_file.write(b"word\tcount\tlog10_count\n")
            words_file.writelines(
                f"{word}\t{count}\t{log:.4f}\n".encode()
                for word, count, log in zip(words, counts.tolist(), logs.tolist(), strict=True)
            )
        numbers_file.writelines(number_text.text_chunks(matrix, "\t"))


def write_workdir(
    folder: Path, words: Sequence[str], counts: Counts | None, matrix: Matrix
) -> None:
    """Writes vectors.tsv, metadata.tsv and vectors.npy."""
    write_tsv(folder / VECTORS, folder / METADATA, words, counts, matrix)
    write_numpy(folder / NUMPY, matrix)


def write_numpy(path: Path, matrix: Matrix) -> None:
    """Writes the matrix as NumPy's own format."""
    with replacing(path) as file:
        np.save(file, matrix, allow_pickle=False)


def write_words(path: Path, words: Sequence[str]) -> None:
    """Writes a word in each row."""
    check_words(words, r"[\t\n\r]", path)
    with replacing(path) as file:
        file.writelines(f"{word}\n".encode() for word in words)


def check_words(words: Sequence[str], forbidden: str, path: Path) -> None:
    """Raises UserError where a word is empty or matches `forbidden`; names it and the file."""
    wrong = re.compile(f"{forbidden}|^$")
    for word in words:
        if wrong.search(word):
            raise UserError(
                f"{path.name}: this format cannot hold the word {word!r}; export to another format"
            )


def check_unique(words: Sequence[str], path: Path) -> None:
    """Raises UserError where a word comes twice, as in some foreign files; names it."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise UserError(
                f"{path.name}: the word {word!r} comes twice, which this format cannot hold; "
                "export to another format"
            )
        seen.add(word)


def check_finite(values: Matrix, words: Sequence[str]) -> None:
    """Raises UserError where a word's values, [V] or [V, D], are not all finite."""
    finite = np.isfinite(values).reshape(len(words), -1).all(axis=1)
    if not finite.all():
        word = words[int(np.argmin(finite))]
        raise UserError(
            f"the vector of {word!r} is not finite: training diverged; "
            "train again in a new workdir with a smaller --alpha"
        )


# --- reading -----------------------------------------------------------------------------------


def read_workdir(folder: Path) -> VectorFile:
    """Returns the vectors of a workdir, or of a folder of another export.

    Raises:
        UserError: there are none, or they are damaged; names the file.
    """
    if not (folder / VECTORS).is_file():
        if (folder / NUMPY).is_file():
            return read_numpy(folder / NUMPY)
        raise UserError(f"{folder / VECTORS}: no such file; {WHAT_TO_GIVE}")
    words, counts = read_metadata(folder / METADATA)
    matrix = _same_numbers(folder, len(words))
    if matrix is None:
        return read_tsv(folder / VECTORS)
    return VectorFile(words, matrix, counts)


def read_tsv(path: Path) -> VectorFile:
    """Returns the vectors of a table of numbers, with the words in the metadata.tsv beside it."""
    words, counts = read_metadata(path.with_name(METADATA))
    with path.open("rb") as file:
        size = file.readline().count(b"\t") + 1
    _, matrix = number_text.read_rows(path, size, rows=len(words))
    return VectorFile(words, matrix, counts)


def read_metadata(path: Path) -> tuple[list[str], Counts | None]:
    """Returns the words of a metadata.tsv and, where it has a column `count`, their counts.

    One column has no header, more have one: TensorBoard's rule.
    """
    header, *rows = lines(path)
    columns = header.split("\t")
    if len(columns) == 1:
        return [header, *rows], None
    words = [row.partition("\t")[0] for row in rows]
    if "count" not in columns:
        return words, None
    at = columns.index("count")
    try:
        return words, np.array([row.split("\t")[at] for row in rows], np.int64)
    except (IndexError, ValueError) as error:
        raise UserError(f"{path}: a row has no whole number in column count ({error})") from error


def read_numpy(path: Path) -> VectorFile:
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
    return VectorFile(words, matrix, counts)


def _words_beside(path: Path) -> tuple[list[str], Counts | None]:
    words, metadata = path.with_name(WORDS), path.with_name(METADATA)
    if metadata.is_file() and not words.is_file():
        return read_metadata(metadata)
    return lines(words), None


def _same_numbers(folder: Path, rows: int) -> Matrix | None:
    """Returns the memory-mapped vectors.npy if it is what vectors.tsv says, by its ends."""
    try:
        matrix: Matrix = np.load(folder / NUMPY, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if matrix.dtype != np.float32 or matrix.ndim != 2 or len(matrix) != rows or not rows:
        return None
    with (folder / VECTORS).open("rb") as file:
        first = file.readline()
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * max(len(first), 32 * matrix.shape[1])))
        last = file.read().removesuffix(b"\n").rpartition(b"\n")[2]
    try:
        ends = np.array([line.split(b"\t") for line in (first, last)], np.float32)
    except ValueError:
        return None
    return matrix if np.array_equal(ends, matrix[[0, -1]]) else None


def decode(path: Path, data: bytes) -> str:
    """Returns the text of `data`; raises UserError where it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error}); convert it to UTF-8 first") from error


def lines(path: Path) -> list[str]:
    """Returns the lines of a file, cut at newlines only: a word may hold U+2028 and its like.

    Raises:
        UserError: there is no such file, it is empty, or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; it belongs to the vectors beside it") from error
    if not data:
        raise UserError(f"{path}: empty; export the vectors again")
    return decode(path, data).removesuffix("\n").split("\n")
