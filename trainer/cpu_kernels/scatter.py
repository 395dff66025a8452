"""The step itself, by word: a share's rows are written by one core, so no two write one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32

from trainer.cpu_kernels.arrays import Floats, Ints, Tables
from trainer.cpu_kernels.batches import Gradient, Places
from trainer.cpu_kernels.compilation import compiled
from trainer.cpu_kernels.llvm_intrinsics import LINE, will_read, will_write

_AHEAD = 8  # Rows that are asked for before their turn.


@compiled
def share_out(ids: Ints, own: Ints, ends: Ints) -> None:
    """Lists the places of words, share by share; a word is of the share of its last bits.

    Args:
        ids: [n] int32; negative for padding, which is not listed.
        own: [n] int32, to be set: places in `ids`, in their order within a share.
        ends: [shares + 1] int32, to be set: a share's places begin where the one before ends. The
            number of shares is a power of two.
    """
    last = len(ends) - 2
    ends[:] = 0
    for word in ids:
        if word >= 0:
            ends[(word & last) + 1] += 1
    total = 0
    for share in range(1, len(ends)):
        begin, total = total, total + ends[share]
        ends[share] = begin
    for at in range(len(ids)):
        if ids[at] >= 0:
            share = (ids[at] & last) + 1
            own[ends[share]] = at
            ends[share] += 1


@compiled
def _join(contexts: Gradient, places: Places, own: Ints, vector_size: int) -> None:
    """Adds to the gradients of a share's tokens what the pieces next to theirs have of them."""
    for at in own:
        other = places.others[at]
        if other >= 0:
            row = places.contexts[at]
            total = float32(0)
            for d in range(contexts.rows.shape[1]):
                value = contexts.rows[row, d] + contexts.rows[other, d]
                contexts.rows[row, d] = value
                total += value * value
            contexts.squares[row] = total / float32(vector_size)


@compiled
def _remember(ids: Ints, squares: Floats, places: Ints, sums: Floats, own: Ints) -> None:
    """Adds to the accumulators of a share's words."""
    for at in own:
        sums[ids[at]] += squares[places[at]]


@compiled
def _write(ids: Ints, gradient: Any, state: Any, rate: Any, own: Ints) -> None:
    """Takes the gradient's steps in the rows of a share's words.

    Args:
        ids: [n] int32.
        gradient: [m, D'] float32, and which of its rows belongs to which of the ids.
        state: a table and its accumulators.
        rate: the learning rate.
        own: which of the ids are of the share.
    """
    (table, sums), (rows, places) = state, gradient
    for n in range(len(own)):
        # Rows lie in memory or in another core's cache; they are asked for before their turn.
        ahead = own[min(n + _AHEAD, len(own) - 1)]
        for d in range(0, table.shape[1], LINE):
            will_read(rows, places[ahead], d)
            will_write(table, ids[ahead], d)
        at, row = ids[own[n]], places[own[n]]
        scale = rate / np.sqrt(sums[at]) if len(sums) else rate
        for d in range(table.shape[1]):
            table[at, d] -= scale * rows[row, d]


@compiled
def update(batch: Any, tables: Tables, gradients: Any, step: Any, own: Any) -> None:
    """Changes the rows of a share's words; all accumulators first, as `optimizers.Adagrad`.

    Args:
        batch: tokens and negatives, [n] int32.
        tables: to be changed.
        gradients: `Gradients` of the batch, its pieces after each other, and `Places`.
        step: the learning rate, and D.
        own: which tokens, and which negatives are the share's.
    """
    (tokens, negatives), (found, places), (rate, vector_size) = batch, gradients, step
    _join(found.contexts, places, own[0], vector_size)
    if len(tables.target_sums):
        sums = tables.target_sums, tables.context_sums
        _remember(tokens, found.targets.squares, places.targets, sums[0], own[0])
        _remember(tokens, found.contexts.squares, places.contexts, sums[1], own[0])
        _remember(negatives, found.negatives.squares, places.negatives, sums[1], own[1])
    target, context = (tables.target, tables.target_sums), (tables.context, tables.context_sums)
    _write(tokens, (found.targets.rows, places.targets), target, rate, own[0])
    _write(tokens, (found.contexts.rows, places.contexts), context, rate, own[0])
    _write(negatives, (found.negatives.rows, places.negatives), context, rate, own[1])
