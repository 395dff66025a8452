"""The training step where a word is the mean of several rows: `train_subwords`.

A batch has fewer distinct words than tokens, and they are what the step works with. Word number i
of a batch is called by its **slot**, i, in the order in which the batch brings them:

1. Compose: slot i gets the mean of its word's rows. The cores take slots.
2. Gradients: as for words (`step.gradient_pass`), with slots in place of rows of the target table.
3. Sum: the gradients of all tokens of a slot are added up, and the context table is updated. The
   cores take partitions of words.
4. Spread: each row of a slot's word gets the slot's gradient. The cores take partitions of rows.

Whatever is added up is added in the order of the batch, so tables have the same bits with any
number of cores.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import float32, prange
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from trainer.cpu_kernels.buffers import (
    Floats,
    GradientIndex,
    Ints,
    KernelSizes,
    Tables,
    aligned_zeros,
    batch_gradients,
    flatten_arrays,
    scratch_of_core,
)
from trainer.cpu_kernels.compilation import cached_njit, inline_njit, source_digest
from trainer.cpu_kernels.llvm_intrinsics import (
    CACHE_LINE_FLOATS,
    fetch_and_increment,
    prefetch_to_read,
    prefetch_to_write,
)
from trainer.cpu_kernels.scatter import partition_words, update_context_partition
from trainer.cpu_kernels.step import Buffers, gradient_pass, new_buffers

_SLOTS_AT_ONCE = 16  # That a core composes before it asks for more.
_PREFETCH_DISTANCE = 8  # Rows between a prefetch and its use.
_PASSES = 4  # Each has a work counter.


class SlotBuffers(NamedTuple):
    """The distinct words of a batch, and what is computed of them.

    Attributes:
        slot_of_word: [V] int32, the slot of a word; of words that the batch does not have, what an
            earlier batch has left.
        words: [B * T] int32, the word of each slot.
        first_places: [B * T] int32, the first token of each slot.
        slots: [B, T] int32, the slot of each token; -1 for padding.
        vectors: [B * T, D] float32, of the slots.
        gradients: [B * T, D] float32, of the slots.
        squares: [B * T] float32, sums of the mean squares of their tokens' gradients.
        entry_rows: [n] int32, the rows of all slots, by partition and then by slot.
        entry_slots: [n] int32, whose they are.
        entry_ends: [partitions + 1] int32; see `buffers.WordPartitions`.
    """

    slot_of_word: Ints
    words: Ints
    first_places: Ints
    slots: Ints
    vectors: Floats
    gradients: Floats
    squares: Floats
    entry_rows: Ints
    entry_slots: Ints
    entry_ends: Ints


def new_subword_buffers(
    shape: RecordShape,
    sizes: KernelSizes,
    records: int,
    core_count: int,
    starts: NDArray[np.int64],
) -> Buffers:
    """Returns what `train_subwords` works in: the buffers of `train`, and a `SlotBuffers`.

    Args:
        shape: of the records.
        sizes: from `kernel_sizes`.
        records: B, of a batch.
        core_count: how many threads work.
        starts: [V + 1]; see `pmc2vec.vectors.subwords.WordIndex`.
    """
    buffers = new_buffers(shape, sizes, records, core_count)
    tokens, counts = records * shape.length, np.diff(starts)
    # No batch has more rows than that of the words with most of them.
    entries = int(np.sort(counts)[-tokens:].sum())
    slots = SlotBuffers(
        slot_of_word=np.zeros(len(counts), np.int32),
        words=np.zeros(tokens, np.int32),
        first_places=np.zeros(tokens, np.int32),
        slots=np.zeros((records, shape.length), np.int32),
        vectors=aligned_zeros(tokens, sizes.vector_size),
        gradients=aligned_zeros(tokens, sizes.vector_size),
        squares=aligned_zeros(tokens),
        entry_rows=np.empty(entries, np.int32),
        entry_slots=np.empty(entries, np.int32),
        entry_ends=np.zeros_like(buffers[3][1]),
    )
    return (*buffers, flatten_arrays(slots))


def _compile_train_subwords(enclosed_digest: str) -> Any:
    """Returns `train_subwords`; see `step._compile_train`."""

    @cached_njit
    def train_subwords(steps: Any, tables: Any, sizes: Any, buffers: Any, core_count: int) -> Any:
        """Trains on n batches, one after the other.

        Args:
            steps: as of `step.train`.
            tables: a `Tables` whose target table has R rows, changed; then `starts` and `rows` of a
                `pmc2vec.vectors.subwords.WordIndex`.
            sizes: a `KernelSizes`.
            buffers: from `new_subword_buffers`, for B records and as many cores.
            core_count: how many threads work.

        Returns:
            [n, B * pieces, 3] float64: loss, pairs and hits of each piece.
        """
        assert enclosed_digest
        tokens, windows, negatives, rates = steps
        scratch, gradients, index, partitions, slot_arrays = buffers
        tables, word_rows = Tables(*tables[:4]), tables[4:]
        sizes, slots = KernelSizes(*sizes), SlotBuffers(*slot_arrays)
        slot_tables = Tables(slots.vectors, tables.context, slots.squares, tables.context_sums)
        totals = np.zeros((len(tokens), len(gradients[0]), 3))
        counters = np.zeros((_PASSES * len(tokens), CACHE_LINE_FLOATS), np.int32)
        for n in range(len(tokens)):
            batch = (tokens[n], windows[n], negatives[n], slots.slots)
            counter = _PASSES * n
            count = _number_words(tokens[n].reshape(-1), slots)
            for core in prange(core_count):
                if len(rates) and core == 0:
                    _partition_entries(word_rows, slots, count)
                if len(rates) and core == core_count - 1:
                    partition_words(tokens[n].reshape(-1), partitions[0], partitions[1])
                    partition_words(negatives[n].reshape(-1), partitions[2], partitions[3])
                _compose_pass(tables.target, word_rows, slots, count, (counters, counter))
            for core in prange(core_count):
                core_buffers = (scratch_of_core(scratch, core, core_count), gradients)
                model = (sizes, slot_tables)
                gradient_pass(batch, (counters, counter + 1), model, core_buffers, totals[n])
            if len(rates):
                step = (rates[n], sizes.vector_size)
                for _ in prange(core_count):
                    batch_buffers = (gradients, index, partitions)
                    _sum_pass(batch, (counters, counter + 2), tables, step, (batch_buffers, slots))
                for _ in prange(core_count):
                    _spread_pass((counters, counter + 3), tables, rates[n], slots)
        return totals

    return train_subwords


@inline_njit
def _number_words(tokens: Ints, slots: SlotBuffers) -> int:
    """Sets the slot of each token and the word of each slot; returns the number of slots.

    A word has a slot already if the slot that is noted for it is in use, and its own (Briggs and
    Torczon 1993, "An efficient representation for sparse sets"), so nothing need be reset.
    """
    token_slots = slots.slots.reshape(-1)
    count = 0
    for place in range(len(tokens)):
        word = tokens[place]
        if word < 0:
            token_slots[place] = -1
            continue
        slot = slots.slot_of_word[word]
        if slot >= count or slots.words[slot] != word:
            slot = count
            slots.slot_of_word[word], slots.words[slot] = slot, word
            slots.first_places[slot] = place
            count += 1
        token_slots[place] = slot
    return count


@inline_njit
def _partition_entries(word_rows: Any, slots: SlotBuffers, count: int) -> None:
    """Lists the rows of all slots, partition by partition: a counting sort by their lowest bits."""
    starts, rows = word_rows
    ends, low_bits = slots.entry_ends, len(slots.entry_ends) - 2
    ends[:] = 0
    for slot in range(count):
        word = slots.words[slot]
        for at in range(starts[word], starts[word + 1]):
            ends[(rows[at] & low_bits) + 1] += 1
    total = 0
    for partition in range(1, len(ends)):
        begin, total = total, total + ends[partition]
        ends[partition] = begin
    for slot in range(count):
        word = slots.words[slot]
        for at in range(starts[word], starts[word + 1]):
            partition = (rows[at] & low_bits) + 1
            entry = ends[partition]
            slots.entry_rows[entry], slots.entry_slots[entry] = rows[at], slot
            ends[partition] = entry + 1


@inline_njit
def _compose_pass(
    table: Floats, word_rows: Any, slots: SlotBuffers, count: int, counter: Any
) -> None:
    """Sets the vectors of some slots after the others, until none is left."""
    begin = fetch_and_increment(counter[0], counter[1]) * _SLOTS_AT_ONCE
    while begin < count:
        for slot in range(begin, min(begin + _SLOTS_AT_ONCE, count)):
            _compose_slot(table, word_rows, slots, slot, count)
        begin = fetch_and_increment(counter[0], counter[1]) * _SLOTS_AT_ONCE


@inline_njit
def _compose_slot(table: Floats, word_rows: Any, slots: SlotBuffers, slot: int, count: int) -> None:
    """Sets the vector of a slot to the mean of its word's rows, and prefetches those of the next.

    Each row of the next word is prefetched beside one of this word, so that memory is never asked
    for many at once.
    """
    starts, rows = word_rows
    word, next_word = slots.words[slot], slots.words[min(slot + 1, count - 1)]
    begin, end = starts[word], starts[word + 1]
    ahead, last = starts[next_word], starts[next_word + 1] - 1
    vector = slots.vectors[slot]
    word_row = rows[begin]
    for d in range(table.shape[1]):
        vector[d] = table[word_row, d]
    for at in range(begin + 1, end):
        row = rows[at]
        next_row = rows[min(ahead, last)]
        ahead += 1
        for d in range(0, table.shape[1], CACHE_LINE_FLOATS):
            prefetch_to_read(table, next_row, d)
        for d in range(table.shape[1]):
            vector[d] += table[row, d]
    scale = float32(1) / float32(end - begin)
    for d in range(table.shape[1]):
        vector[d] *= scale


@inline_njit
def _sum_pass(batch: Any, counter: Any, tables: Tables, step: Any, buffers: Any) -> None:
    """Updates contexts and sums gradients, one partition of words after the other.

    Args:
        batch: tokens, windows, negatives and slots.
        counter: the counters, and which one has the number of the next partition.
        tables: the context table is changed.
        step: the learning rate, and D.
        buffers: those of `step._update_pass`; a `SlotBuffers`.
    """
    tokens, negatives = batch[0].reshape(-1), batch[2].reshape(-1)
    (gradients, index, partitions), slots = buffers
    token_places, token_ends, negative_places, negative_ends = partitions
    batch_parts = batch_gradients(gradients), GradientIndex(*index)
    partition = fetch_and_increment(counter[0], counter[1])
    while partition < len(token_ends) - 1:
        places = (
            token_places[token_ends[partition] : token_ends[partition + 1]],
            negative_places[negative_ends[partition] : negative_ends[partition + 1]],
        )
        update_context_partition((tokens, negatives), tables, batch_parts, step, places)
        _sum_gradients(batch_parts, places[0], slots)
        partition = fetch_and_increment(counter[0], counter[1])


@inline_njit
def _sum_gradients(gradients: Any, places: Ints, slots: SlotBuffers) -> None:
    """Adds up the gradients of a partition's tokens by slot, and their mean squares."""
    parts, index = gradients
    rows, mean_squares = parts.targets.rows, parts.targets.mean_squares
    token_slots = slots.slots.reshape(-1)
    for place in places:
        slot, row = token_slots[place], index.targets[place]
        if slots.first_places[slot] == place:
            slots.squares[slot] = mean_squares[row]
            for d in range(slots.gradients.shape[1]):
                slots.gradients[slot, d] = rows[row, d]
        else:
            slots.squares[slot] += mean_squares[row]
            for d in range(slots.gradients.shape[1]):
                slots.gradients[slot, d] += rows[row, d]


@inline_njit
def _spread_pass(counter: Any, tables: Tables, rate: Any, slots: SlotBuffers) -> None:
    """Updates the target table, one partition of its rows after the other.

    All accumulators of a partition grow before its rows change, as in `scatter.update_partition`.
    """
    table, sums, ends = tables.target, tables.target_sums, slots.entry_ends
    partition = fetch_and_increment(counter[0], counter[1])
    while partition < len(ends) - 1:
        begin, end = ends[partition], ends[partition + 1]
        if len(sums):
            for entry in range(begin, end):
                sums[slots.entry_rows[entry]] += slots.squares[slots.entry_slots[entry]]
        for entry in range(begin, end):
            ahead = slots.entry_rows[min(entry + _PREFETCH_DISTANCE, end - 1)]
            for d in range(0, table.shape[1], CACHE_LINE_FLOATS):
                prefetch_to_write(table, ahead, d)
            row, slot = slots.entry_rows[entry], slots.entry_slots[entry]
            scale = rate / np.sqrt(sums[row]) if len(sums) else rate
            for d in range(table.shape[1]):
                table[row, d] -= scale * slots.gradients[slot, d]
        partition = fetch_and_increment(counter[0], counter[1])


train_subwords = _compile_train_subwords(source_digest())
