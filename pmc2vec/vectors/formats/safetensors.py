"""Vectors as safetensors, the format of Hugging Face: a JSON header and raw numbers.

    8 bytes   length N of the header, little-endian
    N bytes   {"vectors": {"dtype": "F32", "shape": [V, D], "data_offsets": [0, 4 * V * D]}, ...}
    the rest  the numbers of all tensors, little-endian; data_offsets count from here

The tensors are `vectors` and, where the corpus is known, `counts`. The format holds no text, so the
words are in words.txt beside it. https://huggingface.co/docs/safetensors describes the format.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.subword_file import (
    MAX_HEADER_BYTES,
    read_subwords,
    read_tensors,
    write_subwords,
    write_tensors,
)
from pmc2vec.vectors.formats.vector_table import (
    VectorFormat,
    VectorTable,
    plain_writer,
    read_lines,
)
from pmc2vec.vectors.formats.workdir_files import WORDS_TXT, write_words


def write_safetensors(path: Path, table: VectorTable) -> list[Path]:
    """Writes the tensors of a table, and its words to words.txt beside them; returns both files."""
    tensors: dict[str, NDArray[Any]] = {"vectors": table.matrix}
    if table.counts is not None:
        tensors["counts"] = table.counts
    words_path = path.with_name(WORDS_TXT)
    write_words(words_path, table.words)
    write_tensors(path, tensors)
    return [path, words_path, *write_subwords(path.parent, table.subwords)]


def read_safetensors(path: Path) -> VectorTable:
    """Returns the vectors of a file with a tensor `vectors`, float32, and words.txt beside it.

    Raises:
        UserError: it is damaged, has no such tensor, or not a row for each word.
    """
    words = read_lines(path.with_name(WORDS_TXT))
    try:
        tensors, _ = read_tensors(path)
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
    return VectorTable(words, matrix, counts, read_subwords(path.parent, matrix.shape[1]))


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= MAX_HEADER_BYTES and head[8:10] == b'{"'


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
