"""fastText's models, `.bin`, read and written: words, and n-grams for words outside of them.

    int32  magic 793712314, version 11 or 12
    int32  12 arguments: dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn,
           lrUpdateRate; float64 t
    int32  entries, words, labels; int64 tokens, pruned n-grams (-1: not pruned)
    each entry: UTF-8, a zero byte, int64 count, int8 kind (words come first, then labels)
    bool   quantized; int64 rows, columns; float32 rows of words, then of buckets of n-grams
    bool   output quantized; int64 rows, columns; float32 rows of the output table

All numbers are little-endian (fastText 0.9.2, `fasttext.cc`, `dictionary.cc`, `args.cc`). A word's
vector is the mean of its own row and the rows of its n-grams (Bojanowski et al. 2017). The output
table is not read, and zeros are written for it: it is there to train on, not to ask.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats.vector_table import (
    VectorFormat,
    VectorTable,
    check_unique,
    check_words,
    plain_writer,
)
from pmc2vec.vectors.formats.word2vec import write_text_vectors
from pmc2vec.vectors.subwords import Ngrams, Subwords, bucket_chunks, hash_ngrams

_MAGIC = (793712314).to_bytes(4, "little")  # FASTTEXT_FILEFORMAT_MAGIC_INT32

_HEADER = struct.Struct("<2i12id3i2q")
_ENTRY_TAIL = struct.Struct("<qb")
_TABLE_HEAD = struct.Struct("<?2q")
_VERSIONS = (11, 12)
_SUPERVISED = 3  # `model_name::sup`; a model of version 11 that is one has no n-grams.
_LOSS, _SKIPGRAM = 2, 2  # `loss_name::ns`, `model_name::sg`.
_CHUNK_ROWS = 1 << 14  # Rows that are written at once.
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
    vectors = _compose(model, table)
    if not model.bucket or model.max_n < model.min_n:
        return VectorTable(model.words, vectors, model.counts)
    ngrams = Ngrams(model.min_n, model.max_n, model.bucket)
    subwords = Subwords(ngrams, table[len(model.words) :])
    return VectorTable(model.words, vectors, model.counts, subwords)


def write_fasttext(path: Path, table: VectorTable) -> list[Path]:
    """Writes a model that fastText and gensim load, with the vectors of the table.

    A word's own row is such that its mean with the rows of its n-grams is the word's vector. A
    table without n-grams becomes a model without them.

    Raises:
        UserError: a word comes twice, is empty or holds a zero byte.
    """
    check_words(table.words, "\0", path)
    check_unique(table.words, path)
    size = table.matrix.shape[1]
    subwords = table.subwords or Subwords(Ngrams(0, 0, 0), np.empty((0, size), np.float32))
    min_n, max_n, bucket = subwords.ngrams
    counts = np.ones(len(table.words), np.int64) if table.counts is None else table.counts
    # What fastText knows of a training beside its tables; nothing asks for it.
    arguments = {
        "dim": size, "ws": 5, "epoch": 5, "minCount": 1, "neg": 5, "wordNgrams": 1, "loss": _LOSS,
        "model": _SKIPGRAM, "bucket": bucket, "minn": min_n, "maxn": max_n, "lrUpdateRate": 100,
    }  # fmt: skip
    with atomic_local_file(path) as file:
        file.write(_MAGIC + struct.pack("<i", _VERSIONS[-1]))
        file.write(struct.pack("<12id", *arguments.values(), 1e-4))
        words = len(table.words)
        file.write(struct.pack("<3i2q", words, words, 0, int(counts.sum()), -1))
        for word, count in zip(table.words, counts.tolist(), strict=True):
            file.write(word.encode() + b"\0" + _ENTRY_TAIL.pack(count, 0))
        file.write(_TABLE_HEAD.pack(False, words + bucket, size))
        for rows in subwords.own_rows(table.words, table.matrix):
            file.write(np.ascontiguousarray(rows, "<f4").data)
        for rows in bucket_chunks(subwords, _CHUNK_ROWS):
            file.write(np.ascontiguousarray(rows, "<f4").data)
        file.write(_TABLE_HEAD.pack(False, words, size))
        zeros = bytes(4 * size * _CHUNK_ROWS)
        for begin in range(0, words, _CHUNK_ROWS):
            file.write(zeros[: 4 * size * min(_CHUNK_ROWS, words - begin)])
    return [path]


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


TEXT_FORMAT = VectorFormat(
    name="fasttext",
    file_name="vectors.vec",
    files="vectors.vec: the words that were counted",
    other_programs='`KeyedVectors.load_word2vec_format("vectors.vec")`, fastText\'s programs',
    write=plain_writer(write_text_vectors),
)

BINARY_FORMAT = VectorFormat(
    name="fasttext_binary",
    file_name="model.bin",
    files="model.bin: with a row for each of the buckets",
    other_programs='`fasttext.load_model("model.bin")`, gensim\'s `load_facebook_vectors`',
    write=plain_writer(write_fasttext),
    read=read_fasttext,
    recognises=lambda head: head.startswith(_MAGIC),
)
