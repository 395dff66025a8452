"""The gradients of a piece of a record, block after block, in buffers that stay in a core's cache.

A block's targets meet its negatives and the tokens around it, its contexts. Of the products with
the contexts only a band is computed, since a target has pairs with the 2w tokens next to it only.
"""

from __future__ import annotations

from typing import Any

from numba import float32, int32

from pmc2vec.dataset.records import SENTENCE_START, WINDOW_BITS
from trainer.cpu_kernels.arrays import Floats, Sizes
from trainer.cpu_kernels.batches import Gradient
from trainer.cpu_kernels.compilation import compiled
from trainer.cpu_kernels.llvm_intrinsics import HIGH, LANES, pack_rows, square_sums
from trainer.cpu_kernels.matmul import add_product, band_product, pack, product, turn
from trainer.cpu_kernels.scratch_memory import Scratch, Units
from trainer.cpu_kernels.sigmoid import noise_slopes, pair_slopes

_ZERO, _ONE = float32(0), float32(1)


@compiled
def _id(ids: Any, i: int) -> int:
    """Returns a word's id; 0 for padding and beyond the record, where no slope looks at it."""
    words, begin = ids
    at = begin + i
    return max(words[at], 0) if 0 <= at < len(words) else 0


@compiled
def _read(table: Floats, ids: Any, units: Units, sizes: Sizes, rest: Floats) -> None:
    """Reads as many rows as there is room for.

    Args:
        table: where to read.
        ids: of words, and the place of the first one among them.
        units: where to write.
        sizes: of the rows.
        rest: zeros, for the columns that do not fill a register.
    """
    width, step = table.shape[1], LANES * sizes.unit
    whole = width // step * step
    for i in range(0, units.rows.shape[0], 2):
        one, other = _id(ids, i), _id(ids, i + 1)
        for j in range(0, whole, step):
            pack_rows(table, one, other, j, units.rows, units.columns, i, j)
        if whole < width:
            for j in range(whole, width):
                rest[0, j - whole], rest[1, j - whole] = table[one, j], table[other, j]
            pack_rows(rest, 0, 1, 0, units.rows, units.columns, i, whole)


@compiled
def _largest(numbers: Floats) -> Any:
    """Returns the largest number; NumPy's own function makes an array."""
    found = numbers[0]
    for number in numbers[1:]:
        found = max(found, number)
    return found


@compiled
def _contexts_of(record: Any, begin: int, sizes: Sizes, room: Scratch) -> None:
    """Sets the first and the last context of each token of a piece, which its sentence bounds."""
    tokens, windows, _ = record
    end = min(begin + sizes.piece, len(tokens))
    start = max(begin - sizes.window, 0)
    for i in range(start, end):
        if windows[i] >= SENTENCE_START:
            start = i
        room.first[i] = i if tokens[i] < 0 else max(start, i - (windows[i] & WINDOW_BITS))
    stop = min(end + sizes.window, len(tokens)) - 1
    for i in range(stop, begin - 1, -1):
        if tokens[i] < 0:
            room.last[i], stop = i, i - 1
        else:
            room.last[i] = min(stop, i + (windows[i] & WINDOW_BITS))
            if windows[i] >= SENTENCE_START:
                stop = i - 1


@compiled
def _count_pairs(begin: int, sizes: Sizes, room: Scratch) -> Any:
    """Marks the pairs of a block, counts them and those that beat the best negative.

    Whole rows are looked at, without a branch, since a target's pairs do not fill a register.
    """
    pairs = hits = int32(0)
    for i in range(sizes.block):
        place = int32(sizes.window + i)  # A target's own place in its row.
        before = int32(begin + i) - place
        first, last = room.first[begin + i] - before, room.last[begin + i] - before
        best = room.best[i]
        for at in range(room.mask.shape[1]):
            is_pair = (int32(at) >= first) & (int32(at) <= last) & (int32(at) != place)
            room.mask[i, at] = float32(is_pair)
            hits += int32(is_pair & (room.band[i, at] > best))
        pairs += last - first
    return pairs, hits


@compiled
def _negatives(record: Any, at: int, following: Any, sizes: Any, buffers: Any) -> Any:
    """Sets the gradients that a block's negatives give to it and get from it.

    Args:
        record: tokens, windows and negatives.
        at: the token that the block begins at.
        following: the words of the block after this one: its tokens, those around it and its
            negatives.
        sizes: of the record, and the tables, which are not changed.
        buffers: of this core, with the block's targets, and the piece's gradients.

    Returns:
        The loss.
    """
    (sizes, tables), (room, gradients) = sizes, buffers
    count, row = sizes.block_negatives, at % sizes.piece
    _read(tables.context, (record[2], at // sizes.block * count), room.negatives, sizes, room.rest)
    turn(room.negatives.rows, room.turned_negatives)
    nothing = tables.context, following[2][:0]
    product(room.targets.rows, room.turned_negatives, room.noise, nothing)
    for i in range(sizes.block):
        room.pairs[i] = room.last[at + i] - room.first[at + i]
        room.best[i] = _largest(room.noise[i, : min(sizes.negative, count)])
    loss = noise_slopes(room.noise, count, room.pairs, float32(sizes.negative / count))
    pack(room.noise, room.noise_units, sizes)
    targets = gradients.targets.rows[row : row + room.noise.shape[0]]
    soon = tables.target, following[0]
    product(room.noise_units.rows, room.negatives.columns, targets, soon)
    place = row // sizes.block * count
    negatives = gradients.negatives.rows[place : place + room.noise.shape[1]]
    soon = tables.context, following[2]
    product(room.noise_units.columns.T, room.targets.columns, negatives, soon)
    _set_squares(gradients.negatives, place, count, sizes)
    return loss


@compiled
def _contexts(record: Any, at: int, following: Any, sizes: Any, buffers: Any) -> Any:
    """Adds the gradients that the tokens around a block's targets give to them and get from them.

    Arguments as of `_negatives`.

    Returns:
        Loss, pairs and hits.
    """
    (sizes, tables), (room, gradients) = sizes, buffers
    block, window, row = sizes.block, sizes.window, at % sizes.piece
    _read(tables.context, (record[0], at - window), room.contexts, sizes, room.rest)
    turn(room.contexts.rows, room.turned_contexts)
    band_product(room.targets.rows, room.turned_contexts, room.band, 2 * window)
    pairs, hits = _count_pairs(at, sizes, room)
    loss = pair_slopes(room.band.reshape(-1), room.mask.reshape(-1))
    pack(room.band, room.band_units, sizes)
    targets = gradients.targets.rows[row : row + len(room.band)]
    terms = (0, 2 * window, sizes.unit)
    nothing = tables.context, following[1][:0]
    add_product(room.band_units.rows, room.contexts.columns, targets, terms, nothing)
    contexts = gradients.contexts.rows[row : row + sizes.around]
    terms = (-2 * window, 0, sizes.unit)
    contexts[2 * window :] = _ZERO
    soon = tables.context, following[1]
    add_product(room.band_units.columns.T, room.targets.columns, contexts, terms, soon)
    _set_squares(gradients.targets, row, block, sizes)
    # Within this piece nothing is added to these any more.
    _set_squares(gradients.contexts, row, block, sizes)
    return loss, pairs, hits


@compiled
def _set_squares(gradient: Gradient, begin: int, count: int, sizes: Sizes) -> None:
    """Sets the mean squares of some rows, and of up to three after them."""
    share = _ONE / float32(sizes.vector_size)
    for i in range(begin, begin + count, HIGH):
        one, two, three, four = square_sums(gradient.rows, i)
        gradient.squares[i], gradient.squares[i + 1] = one * share, two * share
        gradient.squares[i + 2], gradient.squares[i + 3] = three * share, four * share


@compiled
def begin_piece(record: Any, begin: int, sizes: Sizes, buffers: Any) -> None:
    """Prepares for the blocks of a piece.

    Arguments as of `set_gradients`, but `begin`: the token that the piece begins at.
    """
    room, gradients = buffers
    _contexts_of(record, begin, sizes, room)
    gradients.contexts.rows[: 2 * sizes.window] = _ZERO


@compiled
def set_gradients(record: Any, at: int, following: Any, sizes: Any, buffers: Any) -> Any:
    """Computes what the gradients of a piece have of a block.

    Args:
        record: tokens, windows and negatives; see `records.Record`.
        at: the token that the block begins at. The blocks of a piece come one after the other.
        following: the tokens of the block that this core does next, those around it and its
            negatives, whose rows are asked for.
        sizes: of the record, and the tables, which are not changed.
        buffers: of this core, and the gradients of the piece, which are set.

    Returns:
        Loss, pairs and hits.
    """
    (of, tables), (room, gradients) = sizes, buffers
    _read(tables.target, (record[0], at), room.targets, of, room.rest)
    noise = _negatives(record, at, following, sizes, buffers)
    loss, pairs, hits = _contexts(record, at, following, sizes, buffers)
    end = min(at + of.block, len(record[0]))
    if end % of.piece == 0 or end == len(record[0]):
        after = at % of.piece + of.block
        _set_squares(gradients.contexts, after, 2 * of.window, of)
    return noise + loss, pairs, hits
