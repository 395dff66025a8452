"""Which file of vectors is read how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pmc2vec.errors import UserError
from pmc2vec.vectors import vector_files
from pmc2vec.vectors.formats import gensim, parquet, word2vec
from pmc2vec.vectors.vector_files import VectorFile

_READERS: dict[str, Callable[[Path], VectorFile]] = {
    ".tsv": vector_files.read_tsv,
    ".npy": vector_files.read_numpy,
    ".bin": word2vec.read_binary,
    ".kv": gensim.read,
    ".parquet": parquet.read,
}


def read(path: Path) -> VectorFile:
    """Returns what a workdir or a file holds; see `vectors.Vectors.load` for which is which.

    Raises:
        UserError: it is not there, is damaged or of another format; names the file.
    """
    if path.is_dir():
        return vector_files.read_workdir(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; {vector_files.WHAT_TO_GIVE}")
    suffix = Path(path.name.removesuffix(".gz")).suffix
    return _READERS.get(suffix, word2vec.read_text)(path)
