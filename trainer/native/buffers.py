"""What the kernels work in: tables, gradients and scratch rows, as NumPy arrays.

Rows begin at multiples of 64 bytes, since products take 1.3 times as long where they do not, and
sizes are rounded up, with zeros, to what products are done by.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.records import RecordShape
from trainer.native.compilation import compiled
from trainer.native.instructions import HIGH, LINE

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]


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
        around: S + 2w, the tokens that a block's targets may have pairs with, rounded up.
        vector_size: D.
        unit: numbers that products take as one: 1 float32, or 2 bfloat16.
    """

    block: int
    block_negatives: int
    window: int
    negative: int
    around: int
    vector_size: int
    unit: int


class Gradient(NamedTuple):
    """The gradient of some rows; with an axis of records before, of a batch.

    Attributes:
        rows: [n, D'] float32. D' is D rounded up; columns beyond D are zero.
        squares: [n] float32, the mean square of each row.
    """

    rows: Floats
    squares: Floats


class Gradients(NamedTuple):
    """The gradients of a batch of B records.

    Attributes:
        targets: [B, T + 4] rows of the target table, one for each token.
        contexts: [B, T + 2w + 4] rows of the context table; token t has row w + t.
        negatives: [B, T / S * K + 32] rows of the context table.
    """

    targets: Gradient
    contexts: Gradient
    negatives: Gradient


class Units(NamedTuple):
    """A matrix [n, m] as products take it.

    Of float32 these are the numbers, and both arrays are one. Of bfloat16 they are pairs of
    neighbours, the earlier one in the lower half of 32 bits.

    Attributes:
        rows: [n, m / unit] float32 or uint32, neighbours in a row.
        columns: [n / unit, m] float32 or uint32, neighbours in a column.
    """

    rows: NDArray[np.generic]
    columns: NDArray[np.generic]


class Scratch(NamedTuple):
    """What a core needs for a block; with an axis of cores before, what all of them need.

    S, K and A = S + 2w are rounded up to what products are done by.

    Attributes:
        targets: [S, D'] rows of a block's tokens in the target table.
        contexts: [A, D'] rows of the tokens around in the context table.
        negatives: [K, D'] rows of the block's negatives in the context table.
        turned_contexts: [D' / unit, A] float32 or uint32, the rows of `contexts` transposed.
        turned_negatives: [D' / unit, K] likewise.
        noise: [S, K] float32, logits of the negatives, and then their slopes.
        noise_units: the slopes; of float32 `noise` itself.
        band: [S, A] the same of the contexts.
        band_units: likewise.
        mask: [S, A] float32, 1 where there is a pair.
        first: [T] int64, the first context of each target of a record, or itself.
        last: [T] int64, the last one.
        pairs: [S] float32, how many pairs each target of the block has.
        best: [S] float32, the largest logit of its first `negative` negatives.
        rest: [2, 32] float32, the columns of two rows that do not fill a register.
        own: int32, where a core's words stand in a record.
    """

    targets: Units
    contexts: Units
    negatives: Units
    turned_contexts: NDArray[np.generic]
    turned_negatives: NDArray[np.generic]
    noise: Floats
    noise_units: Units
    band: Floats
    band_units: Units
    mask: Floats
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    pairs: Floats
    best: Floats
    rest: Floats
    own: NDArray[np.int32]


def sizes_of(shape: RecordShape, vector_size: int, *, unit: int = 1) -> Sizes:
    """Returns what the kernels must know."""
    around = _up(shape.block + 2 * shape.window, HIGH)
    return Sizes(
        shape.block,
        shape.block_negatives,
        shape.window,
        shape.negative,
        around,
        vector_size,
        unit,
    )


def gradients_of(shape: RecordShape, sizes: Sizes, records: int) -> Gradients:
    """Returns room for the gradients of so many records."""
    width = _up(sizes.vector_size, LINE * sizes.unit)
    lengths = (
        shape.length + HIGH,
        shape.length + 2 * shape.window + HIGH,
        shape.negatives + 2 * LINE,
    )
    return Gradients(
        *(
            Gradient(_aligned(records, length, width), _aligned(records, length))
            for length in lengths
        )
    )


def scratch_of(shape: RecordShape, sizes: Sizes, cores: int) -> Scratch:
    """Returns what so many cores need."""
    unit, length = sizes.unit, shape.length
    width, block = _up(sizes.vector_size, LINE * unit), _up(sizes.block, HIGH)
    drawn, around = (_up(n, LINE * unit) for n in (sizes.block_negatives, sizes.around))

    def empty(rows: int, columns: int) -> NDArray[np.generic]:
        numbers = _aligned(cores, rows, columns)
        return numbers if unit == 1 else numbers.view(np.uint32)

    def units(rows: int, columns: int) -> Units:
        by_row = empty(rows, columns // unit)
        return Units(by_row, by_row if unit == 1 else empty(rows // unit, columns))

    noise, band = _aligned(cores, block, drawn), _aligned(cores, block, around)
    return Scratch(
        units(block, width),
        units(around, width),
        units(drawn, width),
        empty(width // unit, around),
        empty(width // unit, drawn),
        noise,
        Units(noise, noise) if unit == 1 else units(block, drawn),
        band,
        Units(band, band) if unit == 1 else units(block, around),
        _aligned(cores, block, around),
        np.zeros((cores, length), np.int64),
        np.zeros((cores, length), np.int64),
        _aligned(cores, block),
        _aligned(cores, block),
        _aligned(cores, 2, 2 * LINE),
        np.zeros((cores, max(length, shape.negatives) + 1), np.int32),
    )


def flat(buffers: tuple[Any, ...]) -> tuple[NDArray[np.generic], ...]:
    """Returns the arrays of nested tuples, in their order."""
    parts = (flat(part) if isinstance(part, tuple) else (part,) for part in buffers)
    return tuple(array for part in parts for array in part)


@compiled
def room_of_core(room: Any, core: int) -> Scratch:
    """Returns a core's `Scratch` out of the flat one of all cores."""
    return Scratch(
        Units(room[0][core], room[1][core]), Units(room[2][core], room[3][core]),
        Units(room[4][core], room[5][core]), room[6][core], room[7][core],
        room[8][core], Units(room[9][core], room[10][core]),
        room[11][core], Units(room[12][core], room[13][core]),
        room[14][core], room[15][core], room[16][core], room[17][core], room[18][core],
        room[19][core], room[20][core],
    )  # fmt: skip


@compiled
def gradients_of_record(gradients: Any, record: int) -> Gradients:
    """Returns a record's `Gradients` out of the flat ones of all records."""
    return Gradients(
        Gradient(gradients[0][record], gradients[1][record]),
        Gradient(gradients[2][record], gradients[3][record]),
        Gradient(gradients[4][record], gradients[5][record]),
    )


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _aligned(*sizes: int) -> Floats:
    """Returns zeros that begin at a multiple of 64 bytes."""
    count = int(np.prod(sizes))
    room = np.zeros(count + LINE, np.float32)
    skipped = -(room.ctypes.data // room.itemsize) % LINE
    return room[skipped : skipped + count].reshape(sizes)
