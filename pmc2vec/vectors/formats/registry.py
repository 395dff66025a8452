"""All formats of word vectors: which file is read how, and what `pmc2vec export` can write.

To add a format, write a module with a `VectorFormat` and add it to `FORMATS`; then run
`python tests/test_registry.py`, which makes the table in docs/formats.md again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import gensim, parquet, tensorflow, word2vec, workdir_files
from pmc2vec.vectors.formats.vector_table import (
    FormatFiles,
    VectorFormat,
    VectorTable,
    WriteOptions,
)

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
            tensorflow.KERAS_FORMAT,
            tensorflow.SAVED_MODEL_FORMAT,
        )
    }
)
"""By the value of `--format`."""


def read_vectors(path: Path) -> VectorTable:
    """Returns the words and vectors of a workdir or a file; see `Vectors.load`.

    The suffix of the file says which reader is called. A file whose suffix no format claims is
    text, in word2vec's format or GloVe's.

    Raises:
        UserError: it is not there, is damaged or of another format; names the file.
    """
    if path.is_dir():
        return workdir_files.read_workdir(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; {workdir_files.WHAT_TO_GIVE}")
    suffix = Path(path.name.removesuffix(".gz")).suffix
    for vector_format in FORMATS.values():
        if vector_format.read is not None and suffix in vector_format.suffixes:
            return vector_format.read(path)
    return word2vec.read_text(path)


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
        names: of `FORMATS`; each is written once.
        options: what only one format has.

    Raises:
        UserError: a format cannot hold these words, or needs a package that is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(names):
        vector_format = FORMATS[name]
        yield vector_format.write(folder / vector_format.file_name, table, options)


def markdown_table() -> str:
    """Returns the table of formats in docs/formats.md."""
    rows = [
        (
            f"`{vector_format.name}`",
            vector_format.files,
            "no" if vector_format.read is None else "yes, .gz too" * vector_format.gzip or "yes",
            vector_format.other_programs,
        )
        for vector_format in FORMATS.values()
    ]
    header = ("`--format`", "files", "we read it", "others read it")
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, *rows)).replace(
        "\n", "\n|---|---|---|---|\n", 1
    )
