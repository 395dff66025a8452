"""subwords.safetensors: the rows of n-grams beside the vectors of words.

It is a safetensors file (see `safetensors`): tensors `ngram_vectors` [R, D] float32 and `buckets`
[R] int32, and the metadata `min_n`, `max_n` and `bucket`. A word that has no vector is the mean of
the rows of its n-grams; `pmc2vec.vectors.subwords` has the rule. The rows are memory-mapped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.subwords import Ngrams, Subwords

SUBWORDS_FILE = "subwords.safetensors"

MAX_HEADER_BYTES = 100_000_000  # The limit of the safetensors library.

_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8"),
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write_subwords(folder: Path, subwords: Subwords | None) -> list[Path]:
    """Writes the n-grams into a folder of vectors, or removes those of other vectors."""
    path = folder / SUBWORDS_FILE
    if subwords is None:
        path.unlink(missing_ok=True)
        return []
    ngrams, matrix, buckets = subwords
    if buckets is None:
        buckets = np.arange(len(matrix), dtype=np.int32)
    metadata = {name: str(number) for name, number in ngrams._asdict().items()}
    write_tensors(path, {"ngram_vectors": matrix, "buckets": buckets}, metadata)
    return [path]


def read_subwords(folder: Path, vector_size: int) -> Subwords | None:
    """Returns the n-grams in a folder of vectors; None where there are none.

    Args:
        folder: of the vectors.
        vector_size: D, of the vectors.

    Raises:
        UserError: the file is damaged, or belongs to vectors of another size.
    """
    path = folder / SUBWORDS_FILE
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_tensors(path)
        matrix, buckets = tensors["ngram_vectors"], tensors["buckets"]
        ngrams = Ngrams(*(int(metadata[name]) for name in Ngrams._fields))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: damaged ({error}); export the vectors again, or remove it to do without "
            "vectors of words that were not counted"
        ) from error
    ascending = len(buckets) < 2 or bool((np.diff(buckets) > 0).all())
    if (
        matrix.dtype != np.float32
        or buckets.dtype != np.int32
        or matrix.shape != (*buckets.shape, vector_size)
        or not ascending
        or (len(buckets) and not 0 <= buckets[0] <= buckets[-1] < ngrams.bucket)
    ):
        raise UserError(
            f"{path}: {matrix.dtype} of shape {matrix.shape} for {buckets.shape} buckets does not "
            f"belong to vectors of {vector_size} numbers; export both again, or remove it"
        )
    return Subwords(ngrams, matrix, buckets)


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] = {}
) -> None:
    """Writes a safetensors file.

    Args:
        path: of the file.
        tensors: float32, int32 or int64, by name.
        metadata: texts by name.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "np", **metadata}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        dtype = tensor.dtype.newbyteorder("<")
        entry = {"dtype": _NAMES[dtype], "shape": tensor.shape, "data_offsets": [start, end]}
        header[name] = entry
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # So that the numbers are aligned in a memory map.
    with atomic_local_file(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<")).data)


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Returns the float32, int32 and int64 tensors of a file, memory-mapped, and its metadata.

    Raises:
        ValueError: it is no such file; so do KeyError, TypeError and AttributeError say.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("a header that is no JSON object")
    first, size = 8 + length, path.stat().st_size - 8 - length
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            continue
        dtype, shape = _DTYPES[entry["dtype"]], tuple(entry["shape"])
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= size:
            raise ValueError(f"tensor {name} ends at byte {end} of {size}")
        if any(type(number) is not int or number < 0 for number in shape) or (
            int(np.prod(shape, dtype=object)) * dtype.itemsize != end - start
        ):
            raise ValueError(f"tensor {name} of shape {shape} in {end - start} bytes")
        # An empty file cannot be mapped.
        tensors[name] = (
            np.asarray(np.memmap(path, dtype, "r", first + start, shape))
            if end > start
            else np.zeros(shape, dtype)
        )
    return tensors, metadata
