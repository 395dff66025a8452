"""The update of the tables: a batch's gradients scattered to the rows of their words.

Words are partitioned, and one core writes all rows of a partition, in the order of the batch. So
no two cores write to one row, and sums have the same order on any number of cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32

from trainer.cpu_kernels.buffers import Floats, GradientIndex, GradientRows, Ints, Tables
from trainer.cpu_kernels.compilation import inline_njit
from trainer.cpu_kernels.llvm_intrinsics import (
    CACHE_LINE_FLOATS,
    prefetch_to_read,
    prefetch_to_write,
)

# Rows between a prefetch and its use: about the time that a row takes to come from memory.
_PREFETCH_DISTANCE = 8


@inline_njit
def partition_words(ids: Ints, places: Ints, ends: Ints) -> None:
    """Lists the places of words, partition by partition.

    It is a counting sort by the lowest bits of the id. Deciding it by a branch in the core that
    writes would be mispredicted half of the time.

    Args:
        ids: [n] int32; negative for padding, which is left out.
        places: [n] int32, set: indices of `ids`, ascending within a partition.
        ends: [partitions + 1] int32, set: places of partition p are those from ends[p] to
            ends[p + 1]. The number of partitions is a power of two.
    """
    low_bits = len(ends) - 2
    ends[:] = 0
    for word in ids:
        if word >= 0:
            ends[(word & low_bits) + 1] += 1
    total = 0
    for partition in range(1, len(ends)):
        begin, total = total, total + ends[partition]
        ends[partition] = begin
    for i in range(len(ids)):
        if ids[i] >= 0:
            partition = (ids[i] & low_bits) + 1
            places[ends[partition]] = i
            ends[partition] += 1


@inline_njit
def update_partition(ids: Any, tables: Tables, gradients: Any, step: Any, places: Any) -> None:
    """Updates the rows of a partition's words, by Adagrad or gradient descent.

    All accumulators grow first, as in `trainer.optimizers.Adagrad`, so that a word that occurs
    twice in a batch is scaled by both.

    Args:
        ids: tokens and negatives of the batch, [n] int32 each.
        tables: changed.
        gradients: `PieceGradients` of the batch without an axis of pieces; `GradientIndex`.
        step: the learning rate, and D.
        places: of the partition's tokens, and of its negatives.
    """
    (tokens, negatives), (parts, index), (rate, vector_size) = ids, gradients, step
    token_places, negative_places = places
    _add_neighbor_pieces(parts.contexts, index, token_places, vector_size)
    target, context = (tables.target, tables.target_sums), (tables.context, tables.context_sums)
    if len(tables.target_sums):
        _grow_sums(target[1], tokens, (parts.targets, index.targets), token_places)
        _grow_sums(context[1], tokens, (parts.contexts, index.contexts), token_places)
        _grow_sums(context[1], negatives, (parts.negatives, index.negatives), negative_places)
    _subtract_rows(target, tokens, (parts.targets, index.targets), rate, token_places)
    _subtract_rows(context, tokens, (parts.contexts, index.contexts), rate, token_places)
    _subtract_rows(context, negatives, (parts.negatives, index.negatives), rate, negative_places)


@inline_njit
def update_context_partition(
    ids: Any, tables: Tables, gradients: Any, step: Any, places: Any
) -> None:
    """Updates the context rows of a partition's words; arguments as of `update_partition`."""
    (tokens, negatives), (parts, index), (rate, vector_size) = ids, gradients, step
    token_places, negative_places = places
    _add_neighbor_pieces(parts.contexts, index, token_places, vector_size)
    context = (tables.context, tables.context_sums)
    if len(tables.context_sums):
        _grow_sums(context[1], tokens, (parts.contexts, index.contexts), token_places)
        _grow_sums(context[1], negatives, (parts.negatives, index.negatives), negative_places)
    _subtract_rows(context, tokens, (parts.contexts, index.contexts), rate, token_places)
    _subtract_rows(context, negatives, (parts.negatives, index.negatives), rate, negative_places)


@inline_njit
def _add_neighbor_pieces(
    contexts: GradientRows, index: GradientIndex, places: Ints, vector_size: int
) -> None:
    """Adds the rows that neighbouring pieces have for a partition's tokens to the pieces' own."""
    for place in places:
        neighbor = index.neighbor_contexts[place]
        if neighbor >= 0:
            row = index.contexts[place]
            total = float32(0)
            for d in range(contexts.rows.shape[1]):
                value = contexts.rows[row, d] + contexts.rows[neighbor, d]
                contexts.rows[row, d] = value
                total += value * value
            contexts.mean_squares[row] = total / float32(vector_size)


@inline_njit
def _grow_sums(sums: Floats, ids: Ints, gradient: Any, places: Ints) -> None:
    """Adds the mean squares of the gradient's rows to Adagrad's accumulators.

    Arguments as of `_subtract_rows`.
    """
    parts, rows = gradient
    for place in places:
        sums[ids[place]] += parts.mean_squares[rows[place]]


@inline_njit
def _subtract_rows(state: Any, ids: Ints, gradient: Any, rate: Any, places: Ints) -> None:
    """Subtracts the scaled rows of the gradient from those of a table.

    Args:
        state: a table and its accumulators.
        ids: [n] int32.
        gradient: `GradientRows`, and the row of each of the ids.
        rate: the learning rate.
        places: of the ids that are in the partition.
    """
    (table, sums), (parts, rows) = state, gradient
    for i in range(len(places)):
        # Rows are in memory or in another core's cache: without a prefetch each one is waited for.
        ahead = places[min(i + _PREFETCH_DISTANCE, len(places) - 1)]
        for d in range(0, table.shape[1], CACHE_LINE_FLOATS):
            prefetch_to_read(parts.rows, rows[ahead], d)
            prefetch_to_write(table, ids[ahead], d)
        word, row = ids[places[i]], rows[places[i]]
        scale = rate / np.sqrt(sums[word]) if len(sums) else rate
        for d in range(table.shape[1]):
            table[word, d] -= scale * parts.rows[row, d]
