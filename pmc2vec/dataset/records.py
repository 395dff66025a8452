"""The record: its shape, its features and its bytes, for the Beam job and the trainer.

A record is one `tf.train.Example` with a bytes feature for each row of `RECORD_FEATURES`, framed as
TFRecord, so that any TFRecord tool can open a shard. This module writes and reads it without
TensorFlow and without protobuf. Sources: the TFRecord framing with its masked CRC-32C (TensorFlow,
`core/lib/io/record_writer.h`), and the protocol buffer wire format of
`Example{1: Features{1: map<string, Feature{1: BytesList{1: bytes}}}}`.

    >>> record = Record(np.array([4, 2], "<i4"), np.array([129, 1], "u1"), np.array([7], "<i4"))
    >>> decode_record(encode_record(record)).tokens.tolist()
    [4, 2]
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError

TRAIN = "train"
VALIDATION = "validation"
SPLITS = (TRAIN, VALIDATION)

PADDING = -1
"""Fills `tokens` where the last record of a shard has no more tokens."""

WINDOW_BITS = 0x7F
"""The bits of an entry of `windows` that hold the drawn window, 1 to 127."""

SENTENCE_START = 0x80
"""The bit of an entry of `windows` that is set at the first token of a sentence."""


@dataclass(frozen=True)
class RecordShape:
    """The sizes of a record and its blocks; part of the manifest.

    Attributes:
        length: T, tokens in a record.
        block: S, tokens that share their negatives; divides `length`.
        block_negatives: K, negatives of a block.
        window: the largest window. It is at most `block`, so that all contexts of a block's targets
            are in the block and its two neighbours.
        negative: negatives of a pair in the loss; each of the K has the weight `negative / K`.
    """

    length: int
    block: int
    block_negatives: int
    window: int
    negative: int

    def __post_init__(self) -> None:
        """Raises ValueError where no record could have this shape."""
        if min(self.length, self.block, self.block_negatives, self.window, self.negative) < 1:
            raise ValueError(f"every size of a record must be at least 1: {self}")
        if self.length % self.block:
            raise ValueError(f"length {self.length} must be a multiple of block {self.block}")
        if self.window > min(self.block, WINDOW_BITS):
            raise ValueError(
                f"window {self.window} must not exceed block {self.block} or {WINDOW_BITS}"
            )

    @property
    def blocks(self) -> int:
        """Blocks in a record, T / S."""
        return self.length // self.block

    @property
    def negatives(self) -> int:
        """Negatives in a record, T / S * K."""
        return self.blocks * self.block_negatives


@dataclass(frozen=True)
class RecordFeature:
    """One feature of a record: a row of numbers of one type.

    Attributes:
        name: of the feature in the `tf.train.Example` and of the attribute of `Record`.
        dtype: of the numbers; little-endian in the file.
        filler: the number that stands where a record or a batch has no more.
        width: returns how many numbers a record of a given shape has.
    """

    name: str
    dtype: np.dtype[Any]
    filler: int
    width: Callable[[RecordShape], int]


RECORD_FEATURES = (
    RecordFeature("tokens", np.dtype("<i4"), PADDING, attrgetter("length")),
    RecordFeature("windows", np.dtype("u1"), 0, attrgetter("length")),
    RecordFeature("negatives", np.dtype("<i4"), 0, attrgetter("negatives")),
)
"""The features in the order in which they are written. Writer and readers go by this table."""


@dataclass(frozen=True, eq=False)
class Record:
    """Consecutive tokens with the windows and negatives that were drawn for them.

    Attributes:
        tokens: [T] int32, word ids; `PADDING` after the end.
        windows: [T] uint8, drawn window in the low 7 bits, high bit where a sentence starts.
        negatives: [T / S * K] int32, word ids from the noise distribution, K for each block.
    """

    tokens: NDArray[np.int32]
    windows: NDArray[np.uint8]
    negatives: NDArray[np.int32]


def shard_name(split: str, index: int, count: int) -> str:
    """Returns a shard's file name: `train-00003-of-00016.tfrecord`."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


# --- the wire format ---------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _feature(name: str, value: bytes) -> bytes:
    bytes_list = _field(1, _field(1, value))
    return _field(1, _field(1, name.encode()) + _field(2, bytes_list))


@lru_cache(maxsize=64)
def _value_prefixes(sizes: tuple[int, ...]) -> tuple[bytes, ...]:
    """Returns the bytes before each feature's value in an Example with values of these sizes.

    They depend on the sizes alone, and nearly all records have the same sizes.
    """
    features = [_feature(f.name, bytes(n)) for f, n in zip(RECORD_FEATURES, sizes, strict=True)]
    whole = _field(1, b"".join(features))
    outer = whole[: len(whole) - sum(map(len, features))]
    first, *later = (data[: len(data) - n] for data, n in zip(features, sizes, strict=True))
    return outer + first, *later


def encode_record(record: Record) -> bytes:
    """Returns the record as a serialized `tf.train.Example`; arrays as little-endian bytes."""
    values = [np.asarray(getattr(record, f.name), f.dtype).tobytes() for f in RECORD_FEATURES]
    prefixes = _value_prefixes(tuple(map(len, values)))
    return b"".join(chain.from_iterable(zip(prefixes, values, strict=True)))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (number, payload) of each length-delimited field."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 != 2:
            raise ValueError(f"wire type {key & 7} at byte {at} is not length-delimited")
        size, at = _read_varint(data, at)
        if at + size > len(data):
            raise ValueError(f"field {key >> 3} at byte {at} runs past the end")
        yield key >> 3, data[at : at + size]
        at += size


def _first_field(data: bytes) -> bytes:
    return next((payload for number, payload in _fields(data) if number == 1), b"")


def decode_record(data: bytes) -> Record:
    """Returns the record of a serialized `tf.train.Example`; the inverse of `encode_record`.

    Raises:
        ValueError: it is no Example, or a feature is missing.
    """
    values: dict[str, bytes] = {}
    try:
        for _, entry in _fields(_first_field(data)):
            pair = dict(_fields(entry))
            values[pair[1].decode()] = _first_field(_first_field(pair[2]))
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"not a tf.train.Example: {error!r}") from error
    missing = [feature.name for feature in RECORD_FEATURES if feature.name not in values]
    if missing:
        raise ValueError(f"the Example lacks {', '.join(missing)}; it has {sorted(values)}")
    return Record(*(np.frombuffer(values[f.name], f.dtype) for f in RECORD_FEATURES))


# --- TFRecord framing --------------------------------------------------------------------------


def _masked_crc(data: bytes) -> int:
    # TensorFlow stores a rotated CRC plus a constant, because the CRC of data that contains its
    # own CRC is of little use.
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame_tfrecord(data: bytes) -> bytes:
    """Returns `data` framed as one TFRecord: length, its CRC, data, its CRC."""
    length = struct.pack("<Q", len(data))
    return b"".join(
        (length, struct.pack("<I", _masked_crc(length)), data, struct.pack("<I", _masked_crc(data)))
    )


def read_tfrecords(file: BinaryIO, where: str) -> Iterator[bytes]:
    """Yields the payload of each TFRecord in `file`.

    Raises:
        UserError: the file ends inside a record, or a CRC is wrong; names `where` and the byte.
    """
    at = 0
    while header := file.read(12):
        length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else 0
        if len(header) < 12 or struct.unpack("<I", header[8:])[0] != _masked_crc(header[:8]):
            raise UserError(f"{where}: damaged record header at byte {at}; build the dataset again")
        body = file.read(length + 4)
        if len(body) < length + 4 or struct.unpack("<I", body[-4:])[0] != _masked_crc(body[:-4]):
            raise UserError(f"{where}: damaged record at byte {at}; build the dataset again")
        yield body[:-4]
        at += 12 + length + 4


def read_shard(file: BinaryIO, where: str) -> Iterator[Record]:
    """Yields the records of a shard; errors as in `read_tfrecords`."""
    return map(decode_record, read_tfrecords(file, where))


def encode_tfrecords(records: Iterable[Record]) -> Iterator[bytes]:
    """Yields the framed bytes of each record, ready to be written one after the other."""
    return (frame_tfrecord(encode_record(record)) for record in records)
