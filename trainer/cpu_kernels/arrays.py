"""Arrays that the kernels work in, and what they must know of them.

Rows begin at multiples of 64 bytes, since products take 1.3 times as long where they do not, and
sizes are rounded up, with zeros, to what products are done by.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from trainer.cpu_kernels.llvm_intrinsics import HIGH, LINE

_PIECE = 128  # Tokens; with 64 or 256 a step takes 1 to 3 % longer.

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


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
    """What the kernels must know of records and vectors.

    Attributes:
        block: S.
        block_negatives: K.
        window: w.
        negative: of a pair, in the loss.
        piece: P, tokens of a record that a core takes at a time, whole blocks; at least 2w.
        around: S + 2w, the tokens that a block's targets may have pairs with, rounded up.
        vector_size: D.
        unit: numbers that products take as one: 1 float32, or 2 bfloat16.
    """

    block: int
    block_negatives: int
    window: int
    negative: int
    piece: int
    around: int
    vector_size: int
    unit: int


def sizes_of(shape: RecordShape, vector_size: int, *, unit: int = 1, piece: int = _PIECE) -> Sizes:
    """Returns what the kernels must know; a piece has at least so many tokens, if a record has."""
    piece = min(up(max(piece, 2 * shape.window), shape.block), shape.length)
    around = up(shape.block + 2 * shape.window, HIGH)
    return Sizes(
        shape.block,
        shape.block_negatives,
        shape.window,
        shape.negative,
        piece,
        around,
        vector_size,
        unit,
    )


def flat(buffers: tuple[Any, ...]) -> tuple[NDArray[np.generic], ...]:
    """Returns the arrays of nested tuples, in their order."""
    parts = (flat(part) if isinstance(part, tuple) else (part,) for part in buffers)
    return tuple(array for part in parts for array in part)


def up(number: int, multiple: int) -> int:
    """Returns a number rounded up to a multiple."""
    return -(-number // multiple) * multiple


def aligned(*sizes: int) -> Floats:
    """Returns zeros that begin at a multiple of 64 bytes."""
    count = int(np.prod(sizes))
    room = np.zeros(count + LINE, np.float32)
    skipped = -(room.ctypes.data // room.itemsize) % LINE
    return room[skipped : skipped + count].reshape(sizes)
