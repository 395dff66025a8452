"""fastText's models, `.bin`: the vectors of their words, composed as fastText composes them.

    int32  magic 793712314, version 11 or 12
    int32  12 arguments: dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn,
           lrUpdateRate; float64 t
    int32  entries, words, labels; int64 tokens, pruned n-grams (-1: not pruned)
    each entry: UTF-8, a zero byte, int64 count, int8 kind (words come first, then labels)
    bool   quantized; int64 rows, columns; float32 rows of words, then of buckets of n-grams
    ...    the output table, which nothing here needs

All numbers are little-endian (fastText 0.9.2, `fasttext.cc`, `dictionary.cc`, `args.cc`). A word's
vector is the mean of its own row and the rows of its n-grams (Bojanowski et al. 2017).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.vector_table import VectorFormat, VectorTable
from pmc2vec.vectors.subwords import Ngrams, hash_ngrams

_MAGIC = (793712314).to_bytes(4, "little")  # FASTTEXT_FILEFORMAT_MAGIC_INT32

_HEADER = struct.Struct("<2i12id3i2q")
_ENTRY_TAIL = struct.Struct("<qb")
_TABLE_HEAD = struct.Struct("<?2q")
_VERSIONS = (11, 12)
_SUPERVISED = 3  # `model_name::sup`; a model of version 11 that is one has no n-grams.
_CHUNK_WORDS = 1024  # Words of 30 n-grams and 300 dimensions are 37 MB then.


class _Model(NamedTuple):
    """What a model says of itself before its table.

    Attributes:
        words: V words, in the order of their rows.
        counts: [V] int64.
        bucket: rows of n-grams.
        min_n, max_n: characters of an n-gram, `<` and `>` around the word included.
        table_offset: byte at which the input table begins.
        shape: rows and columns of the table.
    """

    words: list[str]
    counts: NDArray[np.int64]
    bucket: int
    min_n: int
    max_n: int
    table_offset: int
    shape: tuple[int, int]


def read_fasttext(path: Path) -> VectorTable:
    """Returns the words of a model with the vectors that fastText prints for them, [V, D].

    Raises:
        UserError: it is damaged, of another version, or quantized; names the file.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            model = _read_model(data)
    except (ValueError, struct.error) as error:
        raise UserError(f"{path}: cannot be read as a model of fastText ({error})") from error
    table = np.memmap(path, "<f4", "r", model.table_offset, model.shape)
    return VectorTable(model.words, _compose(model, table), model.counts)


def _read_model(data: mmap.mmap) -> _Model:
    """Returns what stands before the table; raises ValueError where it cannot be."""
    _, version, dim, *arguments, _, entries, words, _, _, pruned = _HEADER.unpack_from(data)
    bucket, min_n, max_n = arguments[7:10]
    if version not in _VERSIONS:
        raise ValueError(f"version {version}, expected one of {_VERSIONS}")
    if version == _VERSIONS[0] and arguments[6] == _SUPERVISED:
        max_n = 0
    if not 0 < words <= entries or min(bucket, max_n) < 0 or dim <= 0:
        raise ValueError(f"{words} words of {entries} entries, {bucket} buckets, {dim} dimensions")
    names: list[str] = []
    counts: list[int] = []
    at = _HEADER.size
    for _ in range(entries):
        end = data.find(b"\0", at)
        if end < 0:
            raise ValueError(f"{len(names)} entries, expected {entries}")
        names.append(data[at:end].decode("utf-8", "replace"))
        count, _ = _ENTRY_TAIL.unpack_from(data, end + 1)
        counts.append(count)
        at = end + 1 + _ENTRY_TAIL.size
    at += 8 * max(pruned, 0)  # Pairs of int32; only quantized models are pruned.
    is_quantized, rows, columns = _TABLE_HEAD.unpack_from(data, at)
    if is_quantized:
        raise ValueError("it is quantized, .ftz; give the .bin that it was made from")
    at += _TABLE_HEAD.size
    if rows != words + bucket or columns != dim or at + 4 * rows * columns > len(data):
        raise ValueError(
            f"a table of {rows} rows and {columns} columns in {len(data)} bytes, expected "
            f"{words} words and {bucket} buckets of {dim} numbers"
        )
    return _Model(
        names[:words], np.array(counts[:words], np.int64), bucket, min_n, max_n, at, (rows, columns)
    )


def _compose(model: _Model, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mean of each word's own row and those of its n-grams, [V, D] float32."""
    vectors = np.empty((len(model.words), model.shape[1]), np.float32)
    for begin in range(0, len(model.words), _CHUNK_WORDS):
        words = model.words[begin : begin + _CHUNK_WORDS]
        places, buckets = hash_ngrams(words, Ngrams(model.min_n, model.max_n, model.bucket))
        order = np.argsort(np.concatenate([np.arange(len(words)), places]), kind="stable")
        own_rows = np.arange(begin, begin + len(words))
        rows = np.concatenate([own_rows, len(model.words) + buckets])[order]
        counts = 1 + np.bincount(places, minlength=len(words))
        starts = np.cumsum(counts) - counts  # Each word's own row comes first.
        sums = np.add.reduceat(table[rows], starts, axis=0)
        vectors[begin : begin + len(words)] = sums / counts[:, None].astype(np.float32)
    return vectors


FASTTEXT_FORMAT = VectorFormat(
    name="fasttext",
    file_name="model.bin",
    files="a model of fastText, `.bin`: the words that it counted",
    other_programs='`fasttext.load_model("model.bin")`',
    read=read_fasttext,
    recognises=lambda head: head.startswith(_MAGIC),
)
