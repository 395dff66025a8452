"""The gradients of a record, block after block, in buffers that stay in a core's cache.

A block's targets meet its negatives and the tokens around it, its contexts. Of the products with
the contexts only a band is computed, since a target has pairs with the 2w tokens next to it only.
"""

from __future__ import annotations

from typing import Any

from numba import float32

from beam_pipelines.records import SENTENCE_START, WINDOW_BITS
from trainer.native.buffers import (
    Bytes,
    Floats,
    Gradient,
    Gradients,
    Ints,
    Scratch,
    Sizes,
    Tables,
    Units,
)
from trainer.native.compilation import compiled
from trainer.native.instructions import LANES, LINE, pack_rows, will_need
from trainer.native.products import add_product, band_product, pack, product, turn
from trainer.native.slopes import noise_slopes, pair_slopes

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
def _ask(table: Floats, ids: Ints) -> None:
    """Asks for rows that are read soon."""
    for at in ids:
        for d in range(0, table.shape[1], LINE):
            will_need(table, max(at, 0), d)


@compiled
def _largest(numbers: Floats) -> Any:
    """Returns the largest number; NumPy's own function makes an array."""
    found = numbers[0]
    for number in numbers[1:]:
        found = max(found, number)
    return found


@compiled
def _contexts_of(tokens: Ints, windows: Bytes, first: Any, last: Any) -> None:
    """Sets the first and the last context of each token, which its sentence bounds."""
    start = 0
    for i in range(len(tokens)):
        if windows[i] >= SENTENCE_START:
            start = i
        first[i] = i if tokens[i] < 0 else max(start, i - (windows[i] & WINDOW_BITS))
    end = len(tokens) - 1
    for i in range(len(tokens) - 1, -1, -1):
        if tokens[i] < 0:
            last[i], end = i, i - 1
        else:
            last[i] = min(end, i + (windows[i] & WINDOW_BITS))
            if windows[i] >= SENTENCE_START:
                end = i - 1


@compiled
def _count_pairs(begin: int, sizes: Sizes, room: Scratch) -> Any:
    """Marks the pairs of a block, counts them and those that beat the best negative."""
    total = hits = 0
    room.mask[:] = _ZERO
    for i in range(sizes.block):
        own, place = begin + i, sizes.window + i  # A target's own place in its row.
        first, last = place - own + room.first[own], place - own + room.last[own]
        if first < last:
            for at in range(first, last + 1):
                room.mask[i, at] = _ONE
                hits += room.band[i, at] > room.best[i]
            room.mask[i, place] = _ZERO
            hits -= room.band[i, place] > room.best[i]
            total += last - first
    return total, hits


@compiled
def _negatives(at: int, record: Any, tables: Tables, sizes: Sizes, buffers: Any) -> Any:
    """Sets the gradients that a block's negatives give to it and get from it.

    Args:
        at: the token that the block begins at.
        record: tokens, windows and negatives.
        tables: not changed.
        sizes: of the record.
        buffers: of this core, with the block's targets, and the record's gradients.

    Returns:
        The loss.
    """
    drawn, (room, gradients) = record[2], buffers
    count, place = sizes.block_negatives, at // sizes.block * sizes.block_negatives
    _read(tables.context, (drawn, place), room.negatives, sizes, room.rest)
    _ask(tables.context, drawn[place + count : place + 2 * count])
    turn(room.negatives.rows, room.turned_negatives)
    product(room.targets.rows, room.turned_negatives, room.noise)
    for i in range(sizes.block):
        room.pairs[i] = room.last[at + i] - room.first[at + i]
        room.best[i] = _largest(room.noise[i, : min(sizes.negative, count)])
    loss = noise_slopes(room.noise, count, room.pairs, float32(sizes.negative / count))
    pack(room.noise, room.noise_units, sizes)
    targets = gradients.targets.rows[at : at + room.noise.shape[0]]
    product(room.noise_units.rows, room.negatives.columns, targets)
    negatives = gradients.negatives.rows[place : place + room.noise.shape[1]]
    product(room.noise_units.columns.T, room.targets.columns, negatives)
    _mean_squares(gradients.negatives, place, count, sizes)
    return loss


@compiled
def _contexts(at: int, record: Any, tables: Tables, sizes: Sizes, buffers: Any) -> Any:
    """Adds the gradients that the tokens around a block's targets give to them and get from them.

    Arguments as of `_negatives`.

    Returns:
        Loss, pairs and hits.
    """
    tokens, (room, gradients) = record[0], buffers
    block, window = sizes.block, sizes.window
    _read(tables.context, (tokens, at - window), room.contexts, sizes, room.rest)
    _ask(tables.context, tokens[at + block + window : at + 2 * block + window])
    turn(room.contexts.rows, room.turned_contexts)
    band_product(room.targets.rows, room.turned_contexts, room.band, 2 * window)
    pairs, hits = _count_pairs(at, sizes, room)
    loss = pair_slopes(room.band.reshape(-1), room.mask.reshape(-1))
    pack(room.band, room.band_units, sizes)
    targets = gradients.targets.rows[at : at + len(room.band)]
    terms = (0, 2 * window, sizes.unit)
    add_product(room.band_units.rows, room.contexts.columns, targets, terms)
    contexts, terms = gradients.contexts.rows[at : at + sizes.around], (-2 * window, 0, sizes.unit)
    contexts[2 * window :] = _ZERO
    add_product(room.band_units.columns.T, room.targets.columns, contexts, terms)
    _mean_squares(gradients.targets, at, block, sizes)
    _mean_squares(gradients.contexts, at, block, sizes)  # Nothing is added to these any more.
    return loss, pairs, hits


@compiled
def _mean_squares(gradient: Gradient, begin: int, count: int, sizes: Sizes) -> None:
    """Sets the mean squares of some rows."""
    for i in range(begin, begin + count):
        total = _ZERO
        for d in range(gradient.rows.shape[1]):
            total += gradient.rows[i, d] * gradient.rows[i, d]
        gradient.squares[i] = total / float32(sizes.vector_size)


@compiled
def set_gradients(
    record: Any, tables: Tables, sizes: Sizes, room: Scratch, gradients: Gradients
) -> Any:
    """Computes the gradients of a record.

    Args:
        record: tokens, windows and negatives; see `records.Record`.
        tables: not changed.
        sizes: of the record.
        room: of this core.
        gradients: of the record; they are set.

    Returns:
        Loss, pairs and hits.
    """
    tokens, windows, _ = record
    loss, pairs, hits, buffers = 0.0, 0, 0, (room, gradients)
    _contexts_of(tokens, windows, room.first, room.last)
    gradients.contexts.rows[: 2 * sizes.window] = _ZERO
    for at in range(0, len(tokens), sizes.block):
        _read(tables.target, (tokens, at), room.targets, sizes, room.rest)
        _ask(tables.target, tokens[at + sizes.block : at + 2 * sizes.block])
        loss += _negatives(at, record, tables, sizes, buffers)
        found = _contexts(at, record, tables, sizes, buffers)
        loss, pairs, hits = loss + found[0], pairs + found[1], hits + found[2]
    _mean_squares(gradients.contexts, len(tokens), 2 * sizes.window, sizes)
    return loss, pairs, hits
