"""The skip-gram step of one CPU as machine code: the arithmetic of `model`, without its zeros.

Twice in a step the work is shared out, by turns: a core takes what is next when it is done, since
cores of one machine differ in speed from one moment to the next. First they take pieces of the
batch's records and compute their `gradients`; then shares of its words, and write the tables'
`updates`. What is added to what, and in which order, does not depend on who takes what: so the
tables do not depend, bit for bit, on how many cores there were.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from trainer.cpu_kernels.arrays import Sizes, Tables, flat
from trainer.cpu_kernels.batches import (
    Gradient,
    Gradients,
    Places,
    gradients_of,
    gradients_of_piece,
    places_of,
    shares_of,
)
from trainer.cpu_kernels.compilation import compiled, kept, sources
from trainer.cpu_kernels.gradients import begin_piece, set_gradients
from trainer.cpu_kernels.llvm_intrinsics import LINE, take
from trainer.cpu_kernels.scatter import share_out, update
from trainer.cpu_kernels.scratch_memory import room_of_core, scratch_of


@compiled
def _next(turn: Any, at: Any, batch: Any, sizes: Sizes) -> Any:
    """Returns the piece and the token of the block that follows; the next piece's where one ends.

    A piece is taken when the block before it begins, so that its rows can be asked for.
    """
    piece, token = at
    token += sizes.block
    if token % sizes.piece and token < batch[0].shape[1]:
        return piece, token
    return _first(take(turn[0], turn[1], 0), batch, sizes)


@compiled
def _first(piece: int, batch: Any, sizes: Sizes) -> Any:
    """Returns a piece and its first token."""
    return piece, piece % _pieces(batch, sizes) * sizes.piece


@compiled
def _pieces(batch: Any, sizes: Sizes) -> Any:
    """Returns how many pieces a record has."""
    return (batch[0].shape[1] + sizes.piece - 1) // sizes.piece


@compiled
def _words_of(at: Any, batch: Any, sizes: Sizes) -> Any:
    """Returns what is read for a block: its tokens, the last ones around it and its negatives."""
    tokens, _, negatives = batch
    piece, begin = at
    record, count = piece // _pieces(batch, sizes), sizes.block_negatives
    if record >= len(tokens):
        return tokens[0, :0], tokens[0, :0], negatives[0, :0]
    around, drawn = begin + sizes.window, begin // sizes.block * count
    if begin % sizes.piece == 0:
        around = max(begin - sizes.window, 0)
    return (
        tokens[record, begin : begin + sizes.block],
        tokens[record, around : begin + sizes.block + sizes.window],
        negatives[record, drawn : drawn + count],
    )


@compiled
def _gradients(batch: Any, turn: Any, sizes: Any, buffers: Any, totals: Any) -> None:
    """Computes the gradients of one piece of a batch after the other, as long as there are any.

    Args:
        batch: tokens, windows and negatives of its records.
        turn: where the number of the next piece stands.
        sizes: of the records, and the tables, which are not changed.
        buffers: `Scratch` of this core and `Gradients` of all pieces, flat.
        totals: [pieces, 3] float64, to be set: loss, pairs and hits.
    """
    tokens, windows, negatives = batch
    (of, _), (room, gradients) = sizes, buffers
    pieces = _pieces(batch, of)
    at = _first(take(turn[0], turn[1], 0), batch, of)
    loss, pairs, hits = 0.0, 0, 0
    while at[0] < len(totals):
        piece, begin = at
        number = piece // pieces
        record, mine = (
            (tokens[number], windows[number], negatives[number]),
            (room, gradients_of_piece(gradients, piece)),
        )
        if begin % of.piece == 0:
            begin_piece(record, begin, of, mine)
        at = _next(turn, at, batch, of)
        found = set_gradients(record, begin, _words_of(at, batch, of), sizes, mine)
        loss, pairs, hits = loss + found[0], pairs + found[1], hits + found[2]
        if at[0] != piece:
            totals[piece, 0], totals[piece, 1], totals[piece, 2] = loss, pairs, hits
            loss, pairs, hits = 0.0, 0, 0


@compiled
def _update(batch: Any, turn: Any, tables: Tables, step: Any, buffers: Any) -> None:
    """Changes the rows of one share of a batch's words after the other.

    Args:
        batch: tokens, windows and negatives of its records.
        turn: where the number of the next share stands.
        tables: to be changed.
        step: the learning rate, and D.
        buffers: the arrays of `Gradients`, `Places` and `Shares`.
    """
    tokens, _, negatives = batch
    parts, places, (own, ends, own_negatives, negative_ends) = buffers
    width = parts[0].shape[2]
    gradients = Gradients(
        Gradient(parts[0].reshape(-1, width), parts[1].reshape(-1)),
        Gradient(parts[2].reshape(-1, width), parts[3].reshape(-1)),
        Gradient(parts[4].reshape(-1, width), parts[5].reshape(-1)),
    )
    where = Places(places[0], places[1], places[2], places[3])
    share = take(turn[0], turn[1], 0)
    while share < len(ends) - 1:
        mine = (
            own[ends[share] : ends[share + 1]],
            own_negatives[negative_ends[share] : negative_ends[share + 1]],
        )
        words = tokens.reshape(-1), negatives.reshape(-1)
        update(words, tables, (gradients, where), step, mine)
        share = take(turn[0], turn[1], 0)


def buffers_of(
    shape: RecordShape, sizes: Sizes, records: int, cores: int
) -> tuple[tuple[NDArray[np.generic], ...], ...]:
    """Returns what `train` works in: `Scratch`, `Gradients`, `Places` and `Shares`, as arrays.

    Args:
        shape: of the records.
        sizes: those of `Sizes`.
        records: B, of a batch.
        cores: how many work.
    """
    return (
        flat(scratch_of(shape, sizes, cores)),
        flat(gradients_of(shape, sizes, records)),
        flat(places_of(shape, sizes, records)),
        flat(shares_of(shape, records, cores)),
    )


def _enclosing(enclosed: str) -> Any:
    """Returns `train`, which is compiled anew when `enclosed` is another than before."""

    @kept
    def train(steps: Any, tables: Any, sizes: Any, buffers: Any, cores: int) -> Any:
        """Trains on n batches, one after the other.

        Only plain tuples are taken. Those with names could not be read again from where machine
        code is kept once names have changed; and loops over cores take no tuples within others.

        Args:
            steps: tokens [n, B, T] int32, windows [n, B, T] uint8, negatives [n, B, T / S * K]
                int32, and learning rates [n] float32; these are empty to change nothing.
            tables: those of `Tables`, which are changed.
            sizes: those of `Sizes`.
            buffers: those of `buffers_of`, for B records and so many cores.
            cores: how many work.

        Returns:
            [n, pieces, 3] float64: loss, pairs and hits.
        """
        assert enclosed
        tokens, windows, negatives, rates = steps
        room, gradients, places, shares = buffers
        tables = Tables(tables[0], tables[1], tables[2], tables[3])
        sizes = Sizes(
            sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]
        )
        totals = np.zeros((len(tokens), len(gradients[0]), 3))
        turns = np.zeros((2 * len(tokens), LINE), np.int32)
        for n in range(len(tokens)):
            batch = (tokens[n], windows[n], negatives[n])
            for core in prange(cores):
                if len(rates) and core == 0:
                    share_out(tokens[n].reshape(-1), shares[0], shares[1])
                if len(rates) and core == cores - 1:
                    share_out(negatives[n].reshape(-1), shares[2], shares[3])
                turn, mine = (turns, 2 * n), (room_of_core(room, core, cores), gradients)
                _gradients(batch, turn, (sizes, tables), mine, totals[n])
            if len(rates):
                for _ in prange(cores):
                    turn, found = (turns, 2 * n + 1), (gradients, places, shares)
                    _update(batch, turn, tables, (rates[n], sizes.vector_size), found)
        return totals

    return train


train = _enclosing(sources())
