"""What a core works in for a block: the block's rows, their products, its pairs.

What one core writes is a page away from what another does: processors fetch ahead of what is read,
up to the end of a page, and would take lines from each other that neither asked for; a step takes
1.2 times as long then.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from trainer.cpu_kernels.arrays import Floats, Ints, Sizes, aligned, up
from trainer.cpu_kernels.compilation import compiled
from trainer.cpu_kernels.llvm_intrinsics import HIGH, LINE

_PAGE = 4096  # Bytes.


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
    """What a core needs for a block; with an axis before, what all of them need.

    Of that axis each core uses one place in every so many, the same number for each; between them
    is a page that nobody uses.

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
        mask: [S, A] float32, 1 where there is a pair; nobody sets its rows beyond S,
            which must stay zero.
        first: [T] int32, the first context of each target of a record, or itself.
        last: [T] int32, the last one.
        pairs: [S] float32, how many pairs each target of the block has.
        best: [S] float32, the largest logit of its first `negative` negatives.
        rest: [2, 32] float32, the columns of two rows that do not fill a register.
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
    first: Ints
    last: Ints
    pairs: Floats
    best: Floats
    rest: Floats


def scratch_of(shape: RecordShape, sizes: Sizes, cores: int) -> Scratch:
    """Returns what so many cores need."""
    unit, length = sizes.unit, shape.length
    width, block = up(sizes.vector_size, LINE * unit), up(sizes.block, HIGH)
    drawn, around = (up(n, LINE * unit) for n in (sizes.block_negatives, sizes.around))

    def empty(rows: int, columns: int) -> NDArray[np.generic]:
        """Returns [cores, rows, columns] of what products take."""
        numbers = _apart(cores, rows, columns)
        return numbers if unit == 1 else numbers.view(np.uint32)

    def units(rows: int, columns: int) -> Units:
        """Returns what holds so many rows of numbers, by rows and by columns."""
        by_row = empty(rows, columns // unit)
        return Units(by_row, by_row if unit == 1 else empty(rows // unit, columns))

    noise, band = _apart(cores, block, drawn), _apart(cores, block, around)
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
        _apart(cores, block, around),
        _apart(cores, length).view(np.int32),
        _apart(cores, length).view(np.int32),
        _apart(cores, block),
        _apart(cores, block),
        _apart(cores, 2, 2 * LINE),
    )


@compiled
def room_of_core(room: Any, core: int, cores: int) -> Scratch:
    """Returns a core's `Scratch` out of the flat one of all cores."""
    return Scratch(
        Units(room[0][_at(room[0], core, cores)], room[1][_at(room[1], core, cores)]),
        Units(room[2][_at(room[2], core, cores)], room[3][_at(room[3], core, cores)]),
        Units(room[4][_at(room[4], core, cores)], room[5][_at(room[5], core, cores)]),
        room[6][_at(room[6], core, cores)],
        room[7][_at(room[7], core, cores)],
        room[8][_at(room[8], core, cores)],
        Units(room[9][_at(room[9], core, cores)], room[10][_at(room[10], core, cores)]),
        room[11][_at(room[11], core, cores)],
        Units(room[12][_at(room[12], core, cores)], room[13][_at(room[13], core, cores)]),
        room[14][_at(room[14], core, cores)],
        room[15][_at(room[15], core, cores)],
        room[16][_at(room[16], core, cores)],
        room[17][_at(room[17], core, cores)],
        room[18][_at(room[18], core, cores)],
        room[19][_at(room[19], core, cores)],
    )


@compiled
def _at(part: Any, core: int, cores: int) -> int:
    """Returns which place of an axis of cores is a core's."""
    return len(part) // cores * core


def _apart(cores: int, *sizes: int) -> Floats:
    """Returns an array for each core, and between two of them as many as fill a page."""
    size = int(np.prod(sizes)) * np.dtype(np.float32).itemsize
    return aligned(cores * (1 + -(-_PAGE // size)), *sizes)
