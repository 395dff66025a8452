"""All formats of word vectors: which file is read how, and what `pmc2vec export` can write.

To add a format, write a module with a `VectorFormat` and add it to `FORMATS`; then run
`python tests/test_registry.py`, which makes the table in docs/formats.md again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from logging import getLogger
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import (
    fasttext,
    gensim,
    parquet,
    safetensors,
    tensorflow,
    word2vec,
    workdir_files,
)
from pmc2vec.vectors.formats.decompression import compression, open_decompressed
from pmc2vec.vectors.formats.vector_table import (
    FormatFiles,
    VectorFormat,
    VectorTable,
    WriteOptions,
)

logger = getLogger(__name__)

_HEAD_BYTES = 1 << 16  # Enough for a header and a row of 5,000 numbers.

FORMATS: Mapping[str, VectorFormat] = MappingProxyType(
    {
        vector_format.name: vector_format
        for vector_format in (
            workdir_files.TSV_FORMAT,
            word2vec.TEXT_FORMAT,
            word2vec.BINARY_FORMAT,
            word2vec.GLOVE_FORMAT,
            gensim.GENSIM_FORMAT,
            workdir_files.NUMPY_FORMAT,
            parquet.PARQUET_FORMAT,
            safetensors.SAFETENSORS_FORMAT,
            tensorflow.KERAS_FORMAT,
            tensorflow.SAVED_MODEL_FORMAT,
            fasttext.TEXT_FORMAT,
            fasttext.BINARY_FORMAT,
        )
    }
)
"""By name."""

EXPORT_FORMATS = tuple(name for name, entry in FORMATS.items() if entry.write is not None)
"""Values of `--format`."""


def read_vectors(path: Path) -> VectorTable:
    """Returns the words and vectors of a workdir or a file; see `Vectors.load`.

    The content of a file says what it is. Rows that are not finite are left out, with a warning.

    Raises:
        UserError: it is not there, is damaged or of another format; names the file.
    """
    if path.is_dir():
        return workdir_files.read_workdir(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; {workdir_files.WHAT_TO_GIVE}")
    with open_decompressed(path) as file:
        head = file.read(_HEAD_BYTES)
    reader = _reader(path, head)
    table = reader(path)
    # What training has written stays as it is, so that `inspect` refuses what is not finite.
    if reader is workdir_files.read_tsv or isinstance(table.matrix, np.memmap):
        return table
    return _finite_rows(path, table)


def _reader(path: Path, head: bytes) -> Callable[[Path], VectorTable]:
    """Returns the reader that recognises the content of a file, else that of its suffix."""
    suffixes = {suffix.lower() for suffix in path.suffixes}
    by_content = [entry for entry in FORMATS.values() if entry.recognises(head)]
    by_suffix = [entry for entry in FORMATS.values() if suffixes & set(entry.suffixes)]
    for entry in (*by_content, *by_suffix):
        if entry.read is not None and (entry.compressed or compression(path) is None):
            return entry.read
    if by_content:
        raise UserError(f"{path}: a compressed {by_content[0].name} file; decompress it first")
    return word2vec.read_text_vectors  # Its error says what was expected.


def _finite_rows(path: Path, table: VectorTable) -> VectorTable:
    """Returns the table without rows that hold NaN or infinity; logs their words."""
    # In float64 the sum of float32s is finite exactly where all of them are.
    rows = np.flatnonzero(~np.isfinite(table.matrix.sum(axis=1, dtype=np.float64)))
    if not len(rows):
        return table
    words = [table.words[row] for row in rows.tolist()]
    logger.warning(
        "%s: the vectors of %d words are not finite and are left out: %s",
        path, len(words), ", ".join(map(repr, words[:5])),
    )  # fmt: skip
    if len(rows) == len(table.words):
        raise UserError(f"{path}: no vector in it is finite; get or export the vectors again")
    left_out = set(rows.tolist())
    return VectorTable(
        [word for row, word in enumerate(table.words) if row not in left_out],
        np.delete(table.matrix, rows, axis=0),
        None if table.counts is None else np.delete(table.counts, rows),
        table.subwords,
    )


def export_vectors(
    folder: Path,
    table: VectorTable,
    names: Iterable[str],
    options: WriteOptions = WriteOptions(),  # noqa: B008  # Frozen.
) -> Iterator[FormatFiles]:
    """Writes vectors in several formats and yields the files of each as soon as they are there.

    Args:
        folder: where the files go; made where it is not there.
        table: words with their vectors.
        names: of `EXPORT_FORMATS`; each is written once.
        options: what only one format has.

    Raises:
        UserError: a format cannot hold these words, or needs a package that is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(names):
        vector_format = FORMATS[name]
        assert vector_format.write is not None, name
        yield vector_format.write(folder / vector_format.file_name, table, options)


def formats_table() -> str:
    """Returns the table of formats in docs/formats.md."""
    rows = [
        (
            f"`{vector_format.name}`" if vector_format.write else "(read only)",
            vector_format.files,
            _readable(vector_format),
            vector_format.other_programs,
        )
        for vector_format in FORMATS.values()
    ]
    header = ("`--format`", "files", "we read it", "others read it")
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, *rows)).replace(
        "\n", "\n|---|---|---|---|\n", 1
    )


def _readable(vector_format: VectorFormat) -> str:
    if vector_format.read is None:
        return "no"
    return "yes, compressed too" if vector_format.compressed else "yes"
