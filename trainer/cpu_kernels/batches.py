"""What a step computes for a batch before it writes the tables, and who writes what.

Gradients are laid out piece by piece, so that cores may take pieces by turns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pmc2vec.dataset.records import RecordShape
from trainer.cpu_kernels.arrays import Floats, Ints, Sizes, aligned, up
from trainer.cpu_kernels.compilation import compiled
from trainer.cpu_kernels.llvm_intrinsics import HIGH, LINE

_SHARES = 8  # For a core.


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


def gradients_of(shape: RecordShape, sizes: Sizes, records: int) -> Gradients:
    """Returns room for the gradients of so many records."""
    width, pieces = up(sizes.vector_size, LINE * sizes.unit), records * _pieces(shape, sizes)
    return Gradients(
        *(
            Gradient(aligned(pieces, length, width), aligned(pieces, length))
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
