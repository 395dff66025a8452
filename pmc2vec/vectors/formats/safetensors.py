"""Vectors as safetensors, the format of Hugging Face: a JSON header and raw numbers.

    8 bytes   length N of the header, little-endian
    N bytes   {"vectors": {"dtype": "F32", "shape": [V, D], "data_offsets": [0, 4 * V * D]}, ...}
    the rest  the numbers of all tensors, little-endian; data_offsets count from here

The tensors are `vectors` and, where the corpus is known, `counts`. The format holds no text, so the
words are in words.txt beside it. https://huggingface.co/docs/safetensors describes the format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats.vector_table import (
    VectorFormat,
    VectorTable,
    plain_writer,
    read_lines,
)
from pmc2vec.vectors.formats.workdir_files import WORDS_TXT, write_words

_MAX_HEADER_BYTES = 100_000_000  # The limit of the safetensors library.
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write_safetensors(path: Path, table: VectorTable) -> list[Path]:
    """Writes the tensors of a table, and its words to words.txt beside them; returns both files."""
    tensors = {"vectors": np.ascontiguousarray(table.matrix, "<f4")}
    if table.counts is not None:
        tensors["counts"] = np.ascontiguousarray(table.counts, "<i8")
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        entry = {"dtype": _NAMES[tensor.dtype], "shape": tensor.shape, "data_offsets": [start, end]}
        header[name] = entry
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # So that the numbers are aligned in a memory map.
    words_path = path.with_name(WORDS_TXT)
    write_words(words_path, table.words)
    with atomic_local_file(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.data)
    return [path, words_path]


def read_safetensors(path: Path) -> VectorTable:
    """Returns the vectors of a file with a tensor `vectors`, float32, and words.txt beside it.

    Raises:
        UserError: it is damaged, has no such tensor, or not a row for each word.
    """
    words = read_lines(path.with_name(WORDS_TXT))
    try:
        tensors = _read_tensors(path)
        matrix, counts = tensors["vectors"], tensors.get("counts")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not a safetensors file with a tensor `vectors` of float32 ({error}); "
            "export it again"
        ) from error
    if matrix.ndim != 2 or matrix.dtype != np.float32 or len(matrix) != len(words):
        raise UserError(
            f"{path}: vectors are {matrix.dtype} of shape {matrix.shape}, expected float32 with a "
            f"row for each of the {len(words)} words in {WORDS_TXT}; export both again"
        )
    return VectorTable(words, matrix, counts)


def _read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the tensors of a file that are float32 or int64, by name."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MAX_HEADER_BYTES:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] not in _DTYPES:
            continue
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= len(data):
            raise ValueError(f"tensor {name} ends at byte {end} of {len(data)}")
        tensor = np.frombuffer(data[start:end], _DTYPES[entry["dtype"]])
        tensors[name] = tensor.reshape(entry["shape"])
    return tensors


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= _MAX_HEADER_BYTES and head[8:10] == b'{"'


SAFETENSORS_FORMAT = VectorFormat(
    name="safetensors",
    file_name="vectors.safetensors",
    files="vectors.safetensors: tensors `vectors` and `counts`; words.txt",
    other_programs='`safetensors.numpy.load_file("vectors.safetensors")["vectors"]`',
    write=plain_writer(write_safetensors),
    read=read_safetensors,
    recognises=_is_safetensors,
    suffixes=(".safetensors",),
)
