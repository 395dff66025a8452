"""Subwords as the input of the model: a word is the mean of its own row and those of its n-grams.

A step composes each distinct word of a batch once, and brings its gradient to its rows once. Each
row of a word gets the whole gradient of the word's vector, as in fastText, not a share of it. Row
by row, with Adagrad's accumulators A, that is

    for word, gradient in batch:        for word, gradient in batch:
        for row in rows[word]:              for row in rows[word]:
            A[row] += mean(gradient ** 2)       table[row] -= rate * gradient / sqrt(A[row])

Words have different numbers of rows, and XLA needs static shapes. So a loop goes over the rows of a
batch's words, `_CHUNK_ROWS` at a time, as many times as the batch needs. On one CPU
`cpu_kernels/subword_step.py` does the same as machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.vectors.subwords import Ngrams, compose_words, index_words
from trainer.model import table_rows
from trainer.optimizers import Adagrad, Optimizer, RowGradients, Sgd, Slots

_CHUNK_ROWS = 1 << 13


class SubwordRows:
    """The rows of each word; see `model.InputRows`.

    Attributes:
        ngrams: lengths of n-grams, and number of buckets.
        index: the rows of each word.
    """

    one_row_per_word = False

    def __init__(self, words: Sequence[str], ngrams: Ngrams, *, native: bool = False) -> None:
        """Hashes the n-grams of a vocabulary.

        Args:
            words: V words.
            ngrams: their lengths, and how many buckets there are.
            native: the machine code trains, and reads the index from memory; else it becomes
                variables, a copy on each device of the strategy in whose scope this is.
        """
        self.ngrams, self.index = ngrams, index_words(words, ngrams)
        if not native:
            # int64, since TensorFlow keeps int32 variables of a GPU in the memory of the host.
            self._starts, self._rows = (
                tf.Variable(numbers.astype(np.int64), trainable=False, name=name)
                for name, numbers in (("starts", self.index.starts), ("rows", self.index.rows))
            )

    def table_size(self, words: int) -> int:
        """See `model.InputRows`."""
        assert words == len(self.index.starts) - 1
        return self.index.table_size

    def lookup(self, table: tf.Variable, word_ids: tf.Tensor) -> tf.Tensor:
        """See `model.InputRows`."""
        words = _distinct_words(tf.reshape(word_ids, [-1]))
        row_list = self._row_list(words)
        count, size = words.place.shape[0], table.shape[1]

        def add_rows(chunk: _RowChunk, sums: tf.Tensor) -> tf.Tensor:
            """Adds the rows of a chunk to their words."""
            rows = table_rows(table, chunk.rows) * chunk.weight[:, None]
            return sums + tf.math.unsorted_segment_sum(rows, chunk.words, count)

        sums = _over_chunks(row_list, add_rows, tf.zeros([count, size]))
        means = sums / tf.maximum(tf.cast(row_list.counts, tf.float32), 1.0)[:, None]
        return tf.reshape(tf.gather(means, words.place), [*word_ids.shape, size])

    def update(
        self,
        optimizer: Optimizer,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """See `model.InputRows`."""
        assert isinstance(optimizer, Sgd | Adagrad), "TrainConfig refuses the others"
        ids, rows = (tf.concat(parts, 0) for parts in zip(*gradients, strict=True))
        words = _distinct_words(ids)
        row_list, count = self._row_list(words), words.place.shape[0]
        sums = tf.math.unsorted_segment_sum(rows, words.place, count)  # [n, D]
        mean_squares = tf.reduce_mean(tf.square(rows), 1)
        squares = tf.math.unsorted_segment_sum(mean_squares, words.place, count)  # [n]

        def accumulate(chunk: _RowChunk, number: tf.Tensor) -> tf.Tensor:
            """Lets the slots of a chunk's rows grow."""
            optimizer.accumulate(slots, chunk.rows, tf.gather(squares, chunk.words) * chunk.weight)
            return number

        def subtract(chunk: _RowChunk, number: tf.Tensor) -> tf.Tensor:
            """Changes the rows of a chunk."""
            word_gradients = tf.gather(sums, chunk.words) * chunk.weight[:, None]
            optimizer.subtract(table, slots, RowGradients(chunk.rows, word_gradients), rate)
            return number

        _over_chunks(row_list, accumulate, tf.constant(0))
        _over_chunks(row_list, subtract, tf.constant(0))

    def compose(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `model.InputRows`."""
        return compose_words(self.index, table)

    def names(self, words: Sequence[str]) -> Sequence[str | int]:
        """See `model.InputRows`. The row of a bucket has the bucket's number for a name."""
        return [*words, *index_words(words, self.ngrams).buckets.tolist()]

    def _row_list(self, words: _DistinctWords) -> _RowList:
        """Returns the rows of a batch's distinct words, one word after the other."""
        starts = tf.gather(self._starts, words.ids)
        counts = (tf.gather(self._starts, words.ids + 1) - starts) * tf.cast(words.used, tf.int64)
        return _RowList(starts, counts, tf.cumsum(counts), self._rows)


class _DistinctWords(NamedTuple):
    """The distinct words of n tokens.

    Attributes:
        ids: [n] int64, ascending; 0 beyond the last one.
        used: [n] bool, whether there is a word.
        place: [n] int64, of each token's word among them.
    """

    ids: tf.Tensor
    used: tf.Tensor
    place: tf.Tensor


def _distinct_words(token_ids: tf.Tensor) -> _DistinctWords:
    """Returns the distinct words of [n] tokens; tf.unique does not compile under XLA."""
    count = token_ids.shape[0]
    order = tf.argsort(token_ids)
    ids = tf.cast(tf.gather(token_ids, order), tf.int64)
    is_new = tf.concat([[True], ids[1:] != ids[:-1]], 0)
    number = tf.cumsum(tf.cast(is_new, tf.int64)) - 1  # Of the word of each token, sorted.
    words = tf.math.unsorted_segment_max(ids, number, count)
    used = tf.range(count, dtype=tf.int64) <= number[-1]
    place = tf.scatter_nd(order[:, None], number, [count])
    return _DistinctWords(tf.where(used, words, 0), used, place)


class _RowList(NamedTuple):
    """The rows of n words, one word after the other.

    Attributes:
        starts: [n] int64, the place of each word's first row in `rows`.
        counts: [n] int64, its rows.
        ends: [n] int64, the sum of counts up to it.
        rows: all rows of the vocabulary.
    """

    starts: tf.Tensor
    counts: tf.Tensor
    ends: tf.Tensor
    rows: tf.Variable


class _RowChunk(NamedTuple):
    """Some of the rows of a batch's words.

    Attributes:
        rows: [C] int64, rows of the table.
        words: [C] int64, whose they are: the place among the distinct words.
        weight: [C] float32, 0 beyond the last row.
    """

    rows: tf.Tensor
    words: tf.Tensor
    weight: tf.Tensor


def _over_chunks(
    row_list: _RowList, change: Callable[[_RowChunk, Any], Any], state: tf.Tensor
) -> tf.Tensor:
    """Returns the state after it was changed by each chunk of the rows."""
    total = row_list.ends[-1]

    def body(begin: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Changes the state by one chunk."""
        return begin + _CHUNK_ROWS, change(_row_chunk(row_list, begin), state)

    start = tf.zeros([], tf.int64)
    return tf.while_loop(lambda begin, _: begin < total, body, (start, state))[1]


def _row_chunk(row_list: _RowList, begin: tf.Tensor) -> _RowChunk:
    """Returns the chunk that begins with a row of the list."""
    starts, counts, ends, rows = row_list
    slots = begin + tf.range(_CHUNK_ROWS, dtype=tf.int64)
    words = _first_above(ends, slots)
    place = tf.gather(starts + counts - ends, words) + slots
    is_row = slots < ends[-1]
    return _RowChunk(
        tf.gather(rows, tf.where(is_row, place, 0)), words, tf.cast(is_row, tf.float32)
    )


def _first_above(ends: tf.Tensor, slots: tf.Tensor) -> tf.Tensor:
    """Returns the place of the first of the ascending ends that is above each slot, or the last.

    A binary search: tf.searchsorted under XLA compares each slot with each end.
    """
    count = ends.shape[0]
    low, high = tf.zeros_like(slots), tf.fill(slots.shape, tf.constant(count - 1, tf.int64))
    for _ in range((count - 1).bit_length()):
        middle = (low + high) // 2
        is_above = tf.gather(ends, middle) > slots
        low, high = tf.where(is_above, low, middle + 1), tf.where(is_above, middle, high)
    return tf.minimum(low, count - 1)
