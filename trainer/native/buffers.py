"""What the kernels work in: tables, gradients and scratch rows, as NumPy arrays.

Rows begin at multiples of 64 bytes, since products take 1.3 times as long where they do not, and
sizes are rounded up, with zeros, to what products are done by. What one core writes is a page away
from what another does: processors fetch ahead of what is read, up to the end of a page, and would
take lines from each other that neither asked for; a step takes 1.2 times as long then.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.records import RecordShape
from trainer.native.compilation import compiled
from trainer.native.instructions import HIGH, LINE

_PAGE = 4096  # Bytes.
_PIECE = 128  # Tokens; with 64 or 256 a step takes 1 to 3 % longer.
_SHARES = 8  # For a core.

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


class Gradient(NamedTuple):
    """The gradient of some rows; with an axis before, of the pieces of a batch.

    Attributes:
        rows: [n, D'] float32. D' is D rounded up; columns beyond D are zero.
        squares: [n] float32, the mean square of each row.
    """

    rows: Floats
    squares: Floats


class Gradients(NamedTuple):
    """The gradients of a piece; with an axis before, of the pieces of a batch.

    Attributes:
        targets: [P + 4] rows of the target table, one for each token.
        contexts: [P + 2w + 4] rows of the context table; token t of the piece has row w + t, and
            before and after are the piece's parts in the gradients of the w tokens next to it.
        negatives: [P / S * K + 32] rows of the context table.
    """

    targets: Gradient
    contexts: Gradient
    negatives: Gradient


class Places(NamedTuple):
    """Which rows of a batch's `Gradients`, piece after piece, belong to which word of the batch.

    Attributes:
        targets: [B * T] int32, by token.
        contexts: [B * T] int32, by token.
        others: [B * T] int32, the row of `contexts` that a piece next to the token's own added to;
            -1 if there is none.
        negatives: [B * T / S * K] int32, by negative.
    """

    targets: Ints
    contexts: Ints
    others: Ints
    negatives: Ints


class Shares(NamedTuple):
    """A batch's words, share by share; a core that takes a share changes the rows of its words.

    Attributes:
        tokens: [B * T] int32, which tokens, in their order within a share; none of padding.
        token_ends: [shares + 1] int32; share s is of those from token_ends[s] to token_ends[s + 1].
        negatives: [B * T / S * K] int32, likewise.
        negative_ends: [shares + 1] int32.
    """

    tokens: Ints
    token_ends: Ints
    negatives: Ints
    negative_ends: Ints


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
        mask: [S, A] float32, 1 where there is a pair.
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


def sizes_of(shape: RecordShape, vector_size: int, *, unit: int = 1, piece: int = _PIECE) -> Sizes:
    """Returns what the kernels must know; a piece has at least so many tokens, if a record has."""
    piece = min(_up(max(piece, 2 * shape.window), shape.block), shape.length)
    around = _up(shape.block + 2 * shape.window, HIGH)
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


def gradients_of(shape: RecordShape, sizes: Sizes, records: int) -> Gradients:
    """Returns room for the gradients of so many records."""
    width, pieces = _up(sizes.vector_size, LINE * sizes.unit), records * _pieces(shape, sizes)
    return Gradients(
        *(
            Gradient(_aligned(pieces, length, width), _aligned(pieces, length))
            for length in _lengths(sizes)
        )
    )


def places_of(shape: RecordShape, sizes: Sizes, records: int) -> Places:
    """Returns where the gradients of so many records are.

    A piece is no shorter than 2w, so a token has a part in one other piece at most.
    """
    pieces, window = _pieces(shape, sizes), sizes.window
    targets, contexts, negatives = _lengths(sizes)
    record, token = (part.ravel() for part in np.indices((records, shape.length)))
    own, at = record * pieces + token // sizes.piece, token % sizes.piece
    other = own * contexts + window + at
    before, after = at < window, at >= sizes.piece - window
    others = np.where(before, other - contexts + sizes.piece, other + contexts - sizes.piece)
    there = before & (token >= sizes.piece) | after & (token // sizes.piece < pieces - 1)
    record, drawn = (part.ravel() for part in np.indices((records, shape.negatives)))
    of_piece = sizes.piece // sizes.block * sizes.block_negatives
    found = (
        own * targets + at,
        own * contexts + window + at,
        np.where(there, others, -1),
        (record * pieces + drawn // of_piece) * negatives + drawn % of_piece,
    )
    return Places(*(part.astype(np.int32) for part in found))


def shares_of(shape: RecordShape, records: int, cores: int) -> Shares:
    """Returns room for the shares of so many records among so many cores."""
    shares = 1 << (cores * _SHARES - 1).bit_length() if cores > 1 else 1
    sizes = records * shape.length, shares + 1, records * shape.negatives, shares + 1
    return Shares(*(np.zeros(size, np.int32) for size in sizes))


def scratch_of(shape: RecordShape, sizes: Sizes, cores: int) -> Scratch:
    """Returns what so many cores need."""
    unit, length = sizes.unit, shape.length
    width, block = _up(sizes.vector_size, LINE * unit), _up(sizes.block, HIGH)
    drawn, around = (_up(n, LINE * unit) for n in (sizes.block_negatives, sizes.around))

    def empty(rows: int, columns: int) -> NDArray[np.generic]:
        numbers = _apart(cores, rows, columns)
        return numbers if unit == 1 else numbers.view(np.uint32)

    def units(rows: int, columns: int) -> Units:
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


def of_batch(
    shape: RecordShape, sizes: Sizes, records: int, cores: int
) -> tuple[tuple[NDArray[np.generic], ...], ...]:
    """Returns the arrays of `Scratch`, `Gradients`, `Places` and `Shares` for so many records."""
    return (
        flat(scratch_of(shape, sizes, cores)),
        flat(gradients_of(shape, sizes, records)),
        flat(places_of(shape, sizes, records)),
        flat(shares_of(shape, records, cores)),
    )


def flat(buffers: tuple[Any, ...]) -> tuple[NDArray[np.generic], ...]:
    """Returns the arrays of nested tuples, in their order."""
    parts = (flat(part) if isinstance(part, tuple) else (part,) for part in buffers)
    return tuple(array for part in parts for array in part)


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


@compiled
def gradients_of_piece(gradients: Any, piece: int) -> Gradients:
    """Returns a piece's `Gradients` out of the flat ones of all pieces."""
    return Gradients(
        Gradient(gradients[0][piece], gradients[1][piece]),
        Gradient(gradients[2][piece], gradients[3][piece]),
        Gradient(gradients[4][piece], gradients[5][piece]),
    )


def _pieces(shape: RecordShape, sizes: Sizes) -> int:
    """Returns how many pieces a record has; the last may be shorter."""
    return -(-shape.length // sizes.piece)


def _lengths(sizes: Sizes) -> tuple[int, int, int]:
    """Returns the rows of a piece's targets, contexts and negatives."""
    blocks = sizes.piece // sizes.block
    return (
        sizes.piece + HIGH,
        sizes.piece + 2 * sizes.window + HIGH,
        blocks * sizes.block_negatives + 2 * LINE,
    )


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _aligned(*sizes: int) -> Floats:
    """Returns zeros that begin at a multiple of 64 bytes."""
    count = int(np.prod(sizes))
    room = np.zeros(count + LINE, np.float32)
    skipped = -(room.ctypes.data // room.itemsize) % LINE
    return room[skipped : skipped + count].reshape(sizes)


def _apart(cores: int, *sizes: int) -> Floats:
    """Returns an array for each core, and between two of them as many as fill a page."""
    size = int(np.prod(sizes)) * np.dtype(np.float32).itemsize
    return _aligned(cores * (1 + -(-_PAGE // size)), *sizes)
