"""Sparse optimizers: a step reads and writes only the rows of a table that the batch names.

Keras's optimizers update the whole table in every step, or drop repeated rows. Here a row id may
occur several times in a batch, and its gradients add up. Both classes are used alike:

    slots = optimizer.slots(table)
    optimizer.update(table, slots, [RowGradients(ids, rows)], rate)

They know rows, not words: a table may have rows that are no word's own, such as those of n-grams.

The writes are raw scatters. XLA runs them in place, one row after the other, so on one CPU every
run adds in the same order and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import tensorflow as tf

Slots = tuple[tf.Variable, ...]
"""The variables that an optimizer keeps beside a table."""


class RowGradients(NamedTuple):
    """The gradient of the loss with respect to some rows of a table.

    Attributes:
        ids: [n] int32, the rows; repeated ones add up.
        rows: [n, D] float32.
    """

    ids: tf.Tensor
    rows: tf.Tensor


class Optimizer(Protocol):
    """Changes rows of a table by their gradients."""

    def slots(self, table: tf.Variable) -> Slots:
        """Returns new variables to keep beside a [R, D] table."""
        ...

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table and its slots.

        Args:
            table: [R, D] float32.
            slots: what `slots` returned for this table.
            gradients: the parts of one gradient; a row may occur in several of them.
            rate: [] float32, the learning rate.
        """
        ...


@dataclass(frozen=True)
class Sgd:
    """Gradient descent, `row -= rate * gradient`, as in word2vec.c."""

    def slots(self, table: tf.Variable) -> Slots:  # noqa: ARG002
        """Returns no variables."""
        return ()

    def update(
        self,
        table: tf.Variable,
        slots: Slots,  # noqa: ARG002
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table; see `Optimizer.update`."""
        for ids, rows in gradients:
            _subtract_rows(table, ids, rate * rows)


@dataclass(frozen=True)
class Adagrad:
    """Row-wise Adagrad: one accumulator for a row instead of one for each number.

    `A[id] += mean(gradient ** 2)` for every occurrence of a row, then
    `row -= rate * gradient / sqrt(A[id])` for every occurrence. The rate of a row falls with its
    own number of updates. So frequent words do not diverge in large batches, and rare words still
    learn at the end.

    Attributes:
        initial: the first value of each accumulator; see `initial_accumulator_value`.
    """

    initial: float = 1.0

    def slots(self, table: tf.Variable) -> Slots:
        """Returns the accumulators, [R] float32."""
        return (tf.Variable(tf.fill(table.shape[:1], self.initial), name="accumulator"),)

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table and its accumulators; see `Optimizer.update`."""
        (accumulator,) = slots
        # All squares are added before any row is changed: every occurrence of a row in the batch
        # then has the same rate, whatever its place.
        for ids, rows in gradients:
            tf.raw_ops.ResourceScatterAdd(
                resource=accumulator.handle, indices=ids, updates=tf.reduce_mean(tf.square(rows), 1)
            )
        for ids, rows in gradients:
            scale = rate * tf.math.rsqrt(tf.gather(accumulator, ids))  # [n]
            _subtract_rows(table, ids, scale[:, None] * rows)


def initial_accumulator_value(targets: int, vector_size: int) -> float:
    """Returns the first value of Adagrad's accumulators, in proportion to the targets.

    From near 0 the first step of a row is as long as the rate allows, however small its gradient:
    a small corpus needs that. From 10 a row begins as under `Sgd`: that suits a large corpus
    (docs/experiments.md). A word's accumulator grows with its occurrences, so with a start in
    proportion to all targets its rate falls alike in a corpus of any size. The mean over more
    dimensions is smaller and so grows more slowly, which the quotient makes up for.

    >>> initial_accumulator_value(7_000_000, 128)
    2.0

    Args:
        targets: of all epochs.
        vector_size: D.
    """
    return max(targets / 3.5e6 * 128 / vector_size, 1e-6)


def _subtract_rows(table: tf.Variable, ids: tf.Tensor, rows: tf.Tensor) -> None:
    # An addition of negative numbers gives the same bits as a subtraction, and GPUs have an atomic
    # instruction for it.
    tf.raw_ops.ResourceScatterAdd(resource=table.handle, indices=ids, updates=-rows)
