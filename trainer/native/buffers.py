"""What the kernels work in: tables, gradients and scratch rows, as NumPy arrays.

Rows begin at multiples of 64 bytes, since products take 1.3 times as long where they do not, and
sizes are rounded up, with zeros, to what products are done by.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.records import RecordShape

Floats = NDArray[np.float32]

TILE = 4
"""Rows and columns of products are multiples of it, and so many targets share a band."""

_LANES = 16  # Numbers in 64 bytes.


class Tables(NamedTuple):
    """What a step changes; both tables may be one.

    Attributes:
        target: [V, D] float32.
        context: [V, D] float32.
        target_sums: [V] float32, Adagrad's accumulators; [0] for gradient descent.
        context_sums: likewise.
    """

    target: Floats
    context: Floats
    target_sums: Floats
    context_sums: Floats


class Sizes(NamedTuple):
    """What the kernels must know of a `RecordShape`, by its names: S, K, w and `negative`."""

    block: int
    block_negatives: int
    window: int
    negative: int


class Rows(NamedTuple):
    """The gradients of a batch of B records.

    Attributes:
        targets: [B, T + 4, D'] float32, of the target table, a row for each token. D' is D rounded
            up; rows and columns beyond those that are named are zero.
        contexts: [B, T + 2w + 8, D'] float32, of the context table; token t has row w + t.
        negatives: [B, T / S * K + 4, D'] float32, of the context table.
        target_squares: [B, T] float32, the mean square of each row.
        context_squares: [B, T] float32.
        negative_squares: [B, T / S * K] float32.
    """

    targets: Floats
    contexts: Floats
    negatives: Floats
    target_squares: Floats
    context_squares: Floats
    negative_squares: Floats


class Scratch(NamedTuple):
    """What a core needs for a record; with an axis of cores before, what all of them need.

    Attributes:
        targets: [S, D'] float32, rows of a block's tokens in the target table.
        contexts: [T + 2w + 8, D'] float32, of the record's tokens in the context table.
        negatives: [K, D'] float32, of the block's negatives.
        noise: [S, K] float32, logits of the negatives, and then their slopes.
        band: [S, 2w + 4] float32, the same of the tokens around four targets.
        mask: [S, 2w + 4] float32, 1 where there is a pair.
        first: [T] int64, the first context of each target, or itself.
        last: [T] int64, the last one.
        pairs: [S] float32, how many pairs each target of the block has.
    """

    targets: Floats
    contexts: Floats
    negatives: Floats
    noise: Floats
    band: Floats
    mask: Floats
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    pairs: Floats


def sizes_of(shape: RecordShape) -> Sizes:
    """Returns what the kernels must know of a shape."""
    return Sizes(*(getattr(shape, name) for name in Sizes._fields))


def rows_of(shape: RecordShape, vector_size: int, records: int) -> Rows:
    """Returns room for the gradients of so many records."""
    width, length, drawn = _up(vector_size, _LANES), shape.length, shape.negatives
    return Rows(
        _aligned(records, length + TILE, width),
        _aligned(records, length + 2 * (shape.window + TILE), width),
        _aligned(records, drawn + TILE, width),
        _aligned(records, length),
        _aligned(records, length),
        _aligned(records, drawn),
    )


def scratch_of(shape: RecordShape, vector_size: int, cores: int) -> Scratch:
    """Returns what so many cores need."""
    width, length, window = _up(vector_size, _LANES), shape.length, shape.window
    block, drawn = _up(shape.block, TILE), _up(shape.block_negatives, TILE)
    return Scratch(
        _aligned(cores, block, width),
        _aligned(cores, length + 2 * (window + TILE), width),
        _aligned(cores, drawn, width),
        _aligned(cores, block, drawn),
        _aligned(cores, block, _up(2 * window + TILE, TILE)),
        _aligned(cores, block, _up(2 * window + TILE, TILE)),
        np.zeros((cores, length), np.int64),
        np.zeros((cores, length), np.int64),
        _aligned(cores, block),
    )


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _aligned(*sizes: int) -> Floats:
    """Returns zeros that begin at a multiple of 64 bytes."""
    count = int(np.prod(sizes))
    room = np.zeros(count + _LANES, np.float32)
    skipped = -(room.ctypes.data // room.itemsize) % _LANES
    return room[skipped : skipped + count].reshape(sizes)
