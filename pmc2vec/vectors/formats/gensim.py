"""gensim's KeyedVectors: written by gensim itself, read without gensim and without its code.

A `.kv` file is a pickle, and a pickle can name any function for Python to call. This reader
replaces the few classes that a KeyedVectors needs by records without behaviour and refuses every
other name, so that no code but this module's is called (docs/decisions/0005). gensim puts a large
array beside the file as `.npy`, which NumPy maps into memory.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import scratch_folder
from pmc2vec.vectors.formats.vector_table import (
    Counts,
    VectorFormat,
    VectorTable,
    check_unique,
    plain_writer,
)
from pmc2vec.vectors.optional_packages import import_optional

# dtypes of plain numbers; an array of Python objects ("O8") would be another pickle.
_NUMBER_TYPES = {"f2", "f4", "f8", "i4", "i8", "u4", "u8", "b1"}
_KEYED_VECTORS_CLASSES = (
    "KeyedVectors", "Word2VecKeyedVectors", "EuclideanKeyedVectors", "BaseKeyedVectors", "Vocab",
)  # fmt: skip


def write_gensim(path: Path, table: VectorTable) -> list[Path]:
    """Writes what `gensim.models.KeyedVectors.load` reads, and returns the files.

    gensim puts a large matrix beside the file, as `NAME.vectors.npy`. Counts become the attribute
    `count` of each word.

    Raises:
        UserError: gensim is not installed, or a word comes twice.
    """
    check_unique(table.words, path)
    gensim = import_optional("gensim.models", extra="gensim", purpose="--format gensim")
    vectors = gensim.KeyedVectors(table.matrix.shape[1])
    vectors.lifecycle_events = None  # They hold the time: no two exports would be the same.
    vectors.add_vectors(list(table.words), np.asarray(table.matrix))
    if table.counts is not None:
        # set_vecattr takes one word at a time, and add_vectors(extras=...) fails in gensim 4.
        vectors.expandos["count"] = np.asarray(table.counts)
    with scratch_folder(path) as folder:
        vectors.save(str(folder / path.name))
        # The pickle, whose name is the shortest, is moved last: it needs the arrays beside it.
        files = sorted(folder.iterdir(), reverse=True)
        return sorted(file.replace(path.parent / file.name) for file in files)


def read_gensim(path: Path) -> VectorTable:
    """Returns the vectors of a file saved by gensim's `KeyedVectors.save`, 3.x or 4.x.

    Raises:
        UserError: it is no such file, or asks for what no KeyedVectors needs.
    """
    try:
        return _keyed_vectors(path, _InertUnpickler(io.BytesIO(path.read_bytes()), path).load())
    except UserError:
        raise
    except Exception as error:  # Unpickling damaged bytes raises nearly anything.
        raise UserError(f"{path}: not saved by gensim ({error!r}); save it again") from error


def is_pickle(head: bytes) -> bool:
    """Returns whether a file that begins with `head` is a pickle of protocol 2 or later."""
    return head[:1] == b"\x80" and head[1:2] in {b"\2", b"\3", b"\4", b"\5"}


def _keyed_vectors(path: Path, unpickled: object) -> VectorTable:
    fields = unpickled.fields if isinstance(unpickled, _Record) else {}
    words = fields.get("index_to_key", fields.get("index2word"))  # gensim 4, gensim 3.
    matrix = _array(path, fields, "vectors")
    if not isinstance(words, list) or matrix is None or matrix.ndim != 2:
        raise UserError(
            f"{path}: holds no words with vectors; of a whole model save the vectors alone: "
            "model.wv.save(...)"
        )
    if len(matrix) != len(words):
        raise UserError(f"{path}: {len(matrix)} rows for {len(words)} words; save it again")
    return VectorTable(
        [str(word) for word in words],
        matrix if matrix.dtype == np.float32 else matrix.astype(np.float32),
        _counts(fields),
    )


def _counts(fields: dict[str, Any]) -> Counts | None:
    counts = fields.get("expandos", {}).get("count")  # Only gensim 4 has it.
    return counts.array().astype(np.int64) if isinstance(counts, _Array) else None


def _array(path: Path, fields: dict[str, Any], name: str) -> NDArray[Any] | None:
    """Returns an array of the pickle, or the one that gensim put beside it."""
    value = fields.get(name)
    if isinstance(value, _Array):
        return value.array()
    npy_path = path.with_name(f"{path.name}.{name}.npy")
    if name not in fields.get("__numpys", ()):
        return None
    if not npy_path.is_file():
        raise UserError(f"{npy_path}: no such file; it belongs to {path.name}")
    array: NDArray[Any] = np.load(npy_path, mmap_mode="r", allow_pickle=False)
    return array


class _Record:
    """An object of gensim: its fields, no behaviour."""

    fields: dict[str, Any]

    def __new__(cls, *_: object) -> Self:
        record = super().__new__(cls)
        record.fields = {}
        return record

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.fields = dict(state)


class _DType:
    """A dtype: two characters and the byte order."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.code = f"{state[1]}{self.code}"

    def dtype(self) -> np.dtype[Any]:
        """Returns the dtype of plain numbers.

        Raises:
            ValueError: it is of something else, such as Python objects.
        """
        if self.code.lstrip("<>|=") not in _NUMBER_TYPES:
            raise ValueError(f"an array of {self.code!r}")
        return np.dtype(self.code)


class _Array:
    """An array: its shape, dtype and bytes, which become an array when `array` is called."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self._shape, self._dtype, self._column_major, self._data = state

    def array(self) -> NDArray[Any]:
        """Returns the array."""
        numbers = np.frombuffer(self._data, self._dtype.dtype())
        return numbers.reshape(self._shape, order="F" if self._column_major else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: _DType, data: bytes) -> Any:
    return np.frombuffer(data, dtype.dtype())[0].item()


_ALLOWED_NAMES: dict[tuple[str, str], Callable[..., Any]] = {
    **{("gensim.models.keyedvectors", name): _Record for name in _KEYED_VECTORS_CLASSES},
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _Array,
}


class _InertUnpickler(pickle.Unpickler):
    """Reads a pickle into records without behaviour."""

    def __init__(self, file: io.BytesIO, path: Path) -> None:
        # Python 2 wrote bytes where Python 3 has text; gensim itself reads them as Latin-1.
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Returns what stands for a name in the pickle."""
        if module.startswith("gensim.models.") and module != "gensim.models.keyedvectors":
            raise UserError(
                f"{self._path}: asks for {module}.{name}: a whole model of gensim, not its "
                "vectors; load it with gensim and save the vectors alone: "
                'model.wv.save("vectors.kv")'
            )
        if (module, name) not in _ALLOWED_NAMES:
            raise UserError(
                f"{self._path}: asks for {module}.{name}, which no KeyedVectors needs; nothing of "
                "it was run. If you trust the file, load it with gensim and save it in word2vec's "
                "format"
            )
        return _ALLOWED_NAMES[module, name]


GENSIM_FORMAT = VectorFormat(
    name="gensim",
    file_name="vectors.kv",
    files="vectors.kv, and vectors.kv.vectors.npy where it is large",
    other_programs='`KeyedVectors.load("vectors.kv")`',
    write=plain_writer(write_gensim),
    read=read_gensim,
    recognises=is_pickle,
    suffixes=(".kv",),
)
