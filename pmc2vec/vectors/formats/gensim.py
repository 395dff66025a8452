"""gensim's KeyedVectors: written by gensim itself, read without it and without running a pickle.

A `.kv` file is a pickle, and unpickling runs what the file says. Here a pickle is only taken apart:
the few classes that a KeyedVectors needs become inert records, any other name in it is refused, and
no code but this module's is called (docs/decisions/0005). Large arrays stand beside the file as
`.npy`, which NumPy maps into memory.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.optional_packages import load
from pmc2vec.vectors.vector_files import Counts, Matrix, VectorFile, check_unique, scratch

NAME = "vectors.kv"

_PLAIN = {"f2", "f4", "f8", "i4", "i8", "u4", "u8", "b1"}
_CLASSES = (
    "KeyedVectors", "Word2VecKeyedVectors", "EuclideanKeyedVectors", "BaseKeyedVectors", "Vocab",
)  # fmt: skip


def write(path: Path, words: Sequence[str], counts: Counts | None, matrix: Matrix) -> list[Path]:
    """Writes what `gensim.models.KeyedVectors.load` reads, and returns the files.

    Args:
        path: file; gensim puts a large matrix beside it, as `NAME.vectors.npy`.
        words: V words, no two alike.
        counts: [V] int64 or None; gensim has them as the attribute `count` of each word.
        matrix: [V, D] float32.

    Raises:
        UserError: gensim is not installed, or a word comes twice.
    """
    check_unique(words, path)
    gensim = load("gensim.models", extra="gensim", purpose="--format gensim")
    vectors = gensim.KeyedVectors(matrix.shape[1])
    vectors.lifecycle_events = None  # With the clock in them no two exports would be alike.
    vectors.add_vectors(list(words), np.asarray(matrix))
    if counts is not None:
        # set_vecattr does one word at a time, add_vectors(extras=...) fails in gensim 4.
        vectors.expandos["count"] = np.asarray(counts)
    with scratch(path) as folder:
        vectors.save(str(folder / path.name))
        # The pickle last: without it the arrays beside it are nothing.
        made = sorted(folder.iterdir(), reverse=True)
        return sorted(file.replace(path.parent / file.name) for file in made)


def read(path: Path) -> VectorFile:
    """Returns the vectors of a file saved by gensim's `KeyedVectors.save`, 3.x or 4.x.

    Raises:
        UserError: it is no such file, or asks for what no KeyedVectors needs.
    """
    try:
        return _vectors(path, _Parts(io.BytesIO(path.read_bytes()), path).load())
    except UserError:
        raise
    except Exception as error:  # A damaged pickle raises nearly anything.
        raise UserError(f"{path}: not saved by gensim ({error!r}); save it again") from error


def _vectors(path: Path, found: object) -> VectorFile:
    fields = found.fields if isinstance(found, _Record) else {}
    words = fields.get("index_to_key", fields.get("index2word"))
    matrix = _array(path, fields, "vectors")
    if not isinstance(words, list) or matrix is None or matrix.ndim != 2:
        raise UserError(
            f"{path}: holds no words with vectors; of a whole model save the vectors alone: "
            "model.wv.save(...)"
        )
    if len(matrix) != len(words):
        raise UserError(f"{path}: {len(matrix)} rows for {len(words)} words; save it again")
    return VectorFile(
        [str(word) for word in words],
        matrix if matrix.dtype == np.float32 else matrix.astype(np.float32),
        _counts(fields),
    )


def _counts(fields: dict[str, Any]) -> Counts | None:
    counts = fields.get("expandos", {}).get("count")  # Made by gensim 4.
    return counts.array().astype(np.int64) if isinstance(counts, _Array) else None


def _array(path: Path, fields: dict[str, Any], name: str) -> NDArray[Any] | None:
    """Returns an array of the pickle, or the one that gensim put beside it."""
    held = fields.get(name)
    if isinstance(held, _Array):
        return held.array()
    beside = path.with_name(f"{path.name}.{name}.npy")
    if name not in fields.get("__numpys", ()):
        return None
    if not beside.is_file():
        raise UserError(f"{beside}: no such file; it belongs to {path.name}")
    loaded: NDArray[Any] = np.load(beside, mmap_mode="r", allow_pickle=False)
    return loaded


class _Record:
    """An object of gensim's: its fields and no behaviour."""

    fields: dict[str, Any]

    def __new__(cls, *_: object) -> Self:
        record = super().__new__(cls)
        record.fields = {}
        return record

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.fields = dict(state)


class _Type:
    """A dtype: two characters and the order of bytes."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.code = f"{state[1]}{self.code}"

    def dtype(self) -> np.dtype[Any]:
        """Returns the dtype of plain numbers.

        Raises:
            ValueError: it is of something else, such as Python objects.
        """
        if self.code.lstrip("<>|=") not in _PLAIN:
            raise ValueError(f"an array of {self.code!r}")
        return np.dtype(self.code)


class _Array:
    """An array: a shape, a dtype and bytes, which become an array only when asked for."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self._shape, self._type, self._by_columns, self._data = state

    def array(self) -> NDArray[Any]:
        """Returns the array."""
        flat = np.frombuffer(self._data, self._type.dtype())
        return flat.reshape(self._shape, order="F" if self._by_columns else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(kind: _Type, data: bytes) -> Any:
    return np.frombuffer(data, kind.dtype())[0].item()


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{("gensim.models.keyedvectors", name): _Record for name in _CLASSES},
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    ("numpy", "dtype"): _Type,
    ("numpy", "ndarray"): _Array,
}


class _Parts(pickle.Unpickler):
    """Takes a pickle apart into inert records."""

    def __init__(self, file: io.BytesIO, path: Path) -> None:
        # Python 2 wrote bytes where Python 3 has text; gensim reads its files in the same way.
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Returns what stands for a name in the pickle."""
        if (module, name) not in _ALLOWED:
            raise UserError(
                f"{self._path}: asks for {module}.{name}, which no KeyedVectors needs; nothing of "
                "it was run. If you trust the file, load it with gensim and save it in word2vec's "
                "format"
            )
        return _ALLOWED[module, name]
