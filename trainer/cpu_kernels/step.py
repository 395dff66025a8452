"""The training step of one CPU: `train`, the compiled loop over batches, and its two passes.

The first pass takes the gradients of all pieces of a batch, the second writes the rows of words.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from trainer.cpu_kernels.buffers import (
    GradientIndex,
    KernelSizes,
    Tables,
    batch_gradients,
    flatten_arrays,
    gradient_index,
    new_gradients,
    new_scratch,
    new_word_partitions,
    piece_gradients,
    scratch_of_core,
)
from trainer.cpu_kernels.compilation import cached_njit, inline_njit, source_digest
from trainer.cpu_kernels.gradients import prepare_piece, set_block_gradients
from trainer.cpu_kernels.llvm_intrinsics import (
    CACHE_LINE_FLOATS,
    fetch_and_increment,
)
from trainer.cpu_kernels.scatter import partition_words, update_partition

Buffers = tuple[tuple[NDArray[Any], ...], ...]


def new_buffers(shape: RecordShape, sizes: KernelSizes, records: int, core_count: int) -> Buffers:
    """Returns what `train` works in: the arrays of four named tuples of `buffers`.

    Args:
        shape: of the records.
        sizes: from `kernel_sizes`.
        records: B, of a batch.
        core_count: how many threads work.
    """
    return (
        flatten_arrays(new_scratch(shape, sizes, core_count)),
        flatten_arrays(new_gradients(sizes, records)),
        flatten_arrays(gradient_index(shape, sizes, records)),
        flatten_arrays(new_word_partitions(shape, records, core_count)),
    )


def _compile_train(enclosed_digest: str) -> Any:
    """Returns `train`; Numba compiles it again if the digest is not that of the cached code."""

    @cached_njit
    def train(steps: Any, tables: Any, sizes: Any, buffers: Any, core_count: int) -> Any:
        """Trains on n batches, one after the other.

        All arguments are plain tuples. Numba caches code by the types of arguments, and unpickling
        a named tuple's type fails once its module or a field has another name. Nor does `prange`
        take tuples within tuples.

        Args:
            steps: tokens [n, B, T] int32, windows [n, B, T] uint8, negatives [n, B, T / S * K]
                int32, and learning rates [n] float32; no rates to change nothing.
            tables: a `Tables`, changed.
            sizes: a `KernelSizes`.
            buffers: from `new_buffers`, for B records and as many cores.
            core_count: how many threads work.

        Returns:
            [n, B * pieces, 3] float64: loss, pairs and hits of each piece.
        """
        assert enclosed_digest
        tokens, windows, negatives, rates = steps
        scratch, gradients, index, partitions = buffers
        tables, sizes = Tables(*tables), KernelSizes(*sizes)
        totals = np.zeros((len(tokens), len(gradients[0]), 3))
        # Two work counters for each batch, each in a cache line of its own.
        counters = np.zeros((2 * len(tokens), CACHE_LINE_FLOATS), np.int32)
        for n in range(len(tokens)):
            batch = (tokens[n], windows[n], negatives[n], tokens[n])
            for core in prange(core_count):
                if len(rates) and core == 0:
                    partition_words(tokens[n].reshape(-1), partitions[0], partitions[1])
                if len(rates) and core == core_count - 1:
                    partition_words(negatives[n].reshape(-1), partitions[2], partitions[3])
                core_buffers = (scratch_of_core(scratch, core, core_count), gradients)
                gradient_pass(batch, (counters, 2 * n), (sizes, tables), core_buffers, totals[n])
            if len(rates):
                for _ in prange(core_count):
                    step = (rates[n], sizes.vector_size)
                    _update_pass(
                        batch, (counters, 2 * n + 1), tables, step, (gradients, index, partitions)
                    )
        return totals

    return train


@inline_njit
def gradient_pass(batch: Any, counter: Any, model: Any, buffers: Any, totals: Any) -> None:
    """Computes the gradients of one piece of a batch after the other, until none is left.

    Args:
        batch: tokens, windows and negatives of its records, and the row of the target table for
            each token, [B, T] int32: its word id where the table has a row for each word.
        counter: the counters, and which one has the number of the next piece.
        model: sizes; tables, which are not changed.
        buffers: `Scratch` of this core; arrays of the batch's gradients.
        totals: [B * pieces, 3] float64, set: loss, pairs and hits.
    """
    tokens, windows, negatives, targets = batch
    (sizes, _), (scratch, gradients) = model, buffers
    block = _first_block(fetch_and_increment(counter[0], counter[1]), sizes)
    loss, pairs, hits = 0.0, 0, 0
    while block[0] < len(totals):
        piece, begin = block
        r = piece // sizes.pieces
        record = (tokens[r], windows[r], negatives[r], targets[r])
        piece_buffers = (scratch, piece_gradients(gradients, piece))
        if begin % sizes.piece == 0:
            prepare_piece(record, begin, sizes, piece_buffers)
        block = _next_block(counter, block, tokens.shape[1], sizes)
        prefetch = _words_of_block(block, batch, sizes)
        block_totals = set_block_gradients(record, begin, prefetch, model, piece_buffers)
        loss, pairs, hits = loss + block_totals[0], pairs + block_totals[1], hits + block_totals[2]
        if block[0] != piece:
            totals[piece, 0], totals[piece, 1], totals[piece, 2] = loss, pairs, hits
            loss, pairs, hits = 0.0, 0, 0


@inline_njit
def _first_block(piece: int, sizes: KernelSizes) -> Any:
    """Returns the first block of a piece: the number of the piece, and of a token in a record."""
    return piece, piece % sizes.pieces * sizes.piece


@inline_njit
def _next_block(counter: Any, block: Any, length: int, sizes: KernelSizes) -> Any:
    """Returns the block after one: of the same piece, or the first one of the next free piece.

    That is when a piece's last block begins, so that the next rows can be prefetched.
    """
    piece, token = block
    token += sizes.block
    if token % sizes.piece and token < length:
        return piece, token
    return _first_block(fetch_and_increment(counter[0], counter[1]), sizes)


@inline_njit
def _words_of_block(block: Any, batch: Any, sizes: KernelSizes) -> Any:
    """Returns the ids whose rows a block reads: targets, contexts, negatives.

    Of the contexts only those that the block before has not read; nothing after the last piece.
    """
    tokens, _, negatives, targets = batch
    piece, begin = block
    r, count = piece // sizes.pieces, sizes.block_negatives
    if r >= len(tokens):
        return targets[0, :0], tokens[0, :0], negatives[0, :0]
    first_context, first_negative = begin + sizes.window, begin // sizes.block * count
    if begin % sizes.piece == 0:
        first_context = max(begin - sizes.window, 0)
    return (
        targets[r, begin : begin + sizes.block],
        tokens[r, first_context : begin + sizes.block + sizes.window],
        negatives[r, first_negative : first_negative + count],
    )


@inline_njit
def _update_pass(batch: Any, counter: Any, tables: Tables, step: Any, buffers: Any) -> None:
    """Updates the rows of one partition of a batch's words after the other, until none is left.

    Args:
        batch: tokens, windows, negatives and rows of targets.
        counter: the counters, and which one has the number of the next partition.
        tables: changed.
        step: the learning rate, and D.
        buffers: arrays of the batch's gradients, of a `GradientIndex` and of `WordPartitions`.
    """
    tokens, negatives = batch[0], batch[2]
    gradients, index, (token_places, token_ends, negative_places, negative_ends) = buffers
    batch_parts = batch_gradients(gradients), GradientIndex(*index)
    ids = tokens.reshape(-1), negatives.reshape(-1)
    partition = fetch_and_increment(counter[0], counter[1])
    while partition < len(token_ends) - 1:
        places = (
            token_places[token_ends[partition] : token_ends[partition + 1]],
            negative_places[negative_ends[partition] : negative_ends[partition + 1]],
        )
        update_partition(ids, tables, batch_parts, step, places)
        partition = fetch_and_increment(counter[0], counter[1])


train = _compile_train(source_digest())
