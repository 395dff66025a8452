"""The step itself, by word: each core writes the rows of its own words, so no two write one."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.native.buffers import Floats, Ints, Tables, gradients_of_record, room_of_core
from trainer.native.compilation import compiled
from trainer.native.instructions import LINE, will_read, will_write

_AHEAD = 8  # Rows that are asked for before their turn.


@compiled
def _owned(ids: Ints, share: Any, out: Ints) -> int:
    """Lists where a core's words stand in `ids`; returns how many there are.

    Without a branch, which would be foreseen wrongly for every other word.
    """
    core, cores = np.uint32(share[0]), np.uint32(share[1])
    count = 0
    for i in range(len(ids)):
        out[count] = i
        count += (ids[i] >= 0) & (np.uint32(ids[i]) % cores == core)
    return count


@compiled
def _remember(ids: Ints, squares: Floats, sums: Floats, own: Ints) -> None:
    """Adds to the accumulators of a core's words."""
    for i in own:
        sums[ids[i]] += squares[i]


@compiled
def _write(ids: Ints, rows: Floats, state: Any, rate: Any, own: Ints) -> None:
    """Takes the gradient's steps in the rows of a core's words.

    Args:
        ids: [n] int32; negative for padding.
        rows: [n, D'] float32, the gradient.
        state: a table and its accumulators.
        rate: the learning rate.
        own: where the core's words stand in `ids`.
    """
    table, sums = state
    for n in range(len(own)):
        # Rows lie in memory or in another core's cache; they are asked for before their turn.
        ahead = own[min(n + _AHEAD, len(own) - 1)]
        for d in range(0, table.shape[1], LINE):
            will_read(rows, ahead, d)
            will_write(table, ids[ahead], d)
        at, row = ids[own[n]], own[n]
        scale = rate / np.sqrt(sums[at]) if len(sums) else rate
        for d in range(table.shape[1]):
            table[at, d] -= scale * rows[row, d]


@compiled
def _accumulate(batch: Any, tables: Tables, buffers: Any, window: int, share: Any) -> None:
    """Adds the squares of a batch's gradients to the accumulators of a core's words."""
    tokens, _, negatives = batch
    places, all_gradients = buffers
    for at in range(len(tokens)):
        gradients = gradients_of_record(all_gradients, at)
        own = places[: _owned(tokens[at], share, places)]
        _remember(tokens[at], gradients.targets.squares, tables.target_sums, own)
        _remember(tokens[at], gradients.contexts.squares[window:], tables.context_sums, own)
        own = places[: _owned(negatives[at], share, places)]
        _remember(negatives[at], gradients.negatives.squares, tables.context_sums, own)


@compiled
def update(batch: Any, tables: Tables, buffers: Any, step: Any, share: Any) -> None:
    """Changes the rows of a core's words; all accumulators first, as `optimizers.Adagrad`.

    Args:
        batch: tokens, windows and negatives of its records.
        tables: to be changed.
        buffers: `Scratch` of all cores and `Gradients` of all records, flat.
        step: w, and the learning rate.
        share: the core's number, and how many cores there are.
    """
    tokens, _, negatives = batch
    room, all_gradients = buffers
    places = room_of_core(room, share[0]).own
    window, rate = step
    if len(tables.target_sums):
        _accumulate(batch, tables, (places, all_gradients), window, share)
    target, context = (tables.target, tables.target_sums), (tables.context, tables.context_sums)
    for at in range(len(tokens)):
        gradients = gradients_of_record(all_gradients, at)
        own = places[: _owned(tokens[at], share, places)]
        _write(tokens[at], gradients.targets.rows, target, rate, own)
        _write(tokens[at], gradients.contexts.rows[window:], context, rate, own)
        own = places[: _owned(negatives[at], share, places)]
        _write(negatives[at], gradients.negatives.rows, context, rate, own)
