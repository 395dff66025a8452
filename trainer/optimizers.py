"""Sparse updates of a table: only the rows that a batch names are read and written.

Keras's optimizers touch the whole table in every step, or merge no repeated rows. Here an id may
occur often; its rows add up. Both classes are used alike:

    slots = optimizer.slots(table)
    optimizer.update(table, slots, [RowGradients(ids, rows)], rate)

The writes are raw scatters, which XLA runs in place, one row after the other: on one CPU the same
numbers in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

Tensor = Any
Slots = tuple[tf.Variable, ...]


class RowGradients(NamedTuple):
    """The loss's gradient for some rows of a table.

    Attributes:
        ids: [n] int32, which rows; repeated ones add up.
        rows: [n, D] float32.
    """

    ids: Tensor
    rows: Tensor


class Optimizer(Protocol):
    """How the gradient of rows becomes a change of rows."""

    def slots(self, table: tf.Variable) -> Slots:
        """Returns new variables to be kept beside a [V, D] table."""
        ...

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: Tensor,
    ) -> None:
        """Changes the table and its slots.

        Args:
            table: [V, D] float32.
            slots: as `slots` made them.
            gradients: parts of one gradient, which an id may have rows in more than one of.
            rate: [] float32, the learning rate.
        """
        ...


@dataclass(frozen=True)
class Sgd:
    """Plain gradient descent: `row -= rate * gradient`, as word2vec.c does."""

    def slots(self, table: tf.Variable) -> Slots:  # noqa: ARG002
        """Returns nothing: there is nothing to remember."""
        return ()

    def update(
        self,
        table: tf.Variable,
        slots: Slots,  # noqa: ARG002
        gradients: Sequence[RowGradients],
        rate: Tensor,
    ) -> None:
        """Changes the table; see `Optimizer.update`."""
        for ids, rows in gradients:
            _subtract(table, ids, rate * rows)


@dataclass(frozen=True)
class Adagrad:
    """Adagrad with one accumulator for a row instead of one for a number.

    `A[id] += mean(gradient ** 2)` for every occurrence, then
    `row -= rate * gradient / sqrt(A[id])` for every occurrence. A word's rate falls with its own
    number of updates, so that frequent words cannot run away in large batches and rare ones still
    learn at the end.

    Attributes:
        initial: where each accumulator starts; see `initial_accumulator_value`.
    """

    initial: float = 1.0

    def slots(self, table: tf.Variable) -> Slots:
        """Returns the accumulators, [V] float32."""
        return (tf.Variable(tf.fill(table.shape[:1], self.initial), name="accumulator"),)

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: Tensor,
    ) -> None:
        """Changes the table and its accumulators; see `Optimizer.update`."""
        (accumulator,) = slots
        for ids, rows in gradients:
            tf.raw_ops.ResourceScatterAdd(
                resource=accumulator.handle, indices=ids, updates=tf.reduce_mean(tf.square(rows), 1)
            )
        for ids, rows in gradients:
            scale = rate * tf.math.rsqrt(tf.gather(accumulator, ids))  # [n]
            _subtract(table, ids, scale[:, None] * rows)


def initial_accumulator_value(targets: int, vector_size: int) -> float:
    """Returns where Adagrad's accumulators start: in proportion to what is going to be trained on.

    From near 0 a row's first step is as long as the rate allows, however small its gradient, which
    a small corpus needs; from 10 a row begins as under `Sgd`, which suits a large one
    (docs/experiments.md). A word's accumulator grows with its occurrences, so with a start in
    proportion to all of them its rate falls alike in a corpus of any size. A mean over more
    dimensions grows more slowly.

    >>> initial_accumulator_value(7_000_000, 128)
    2.0

    Args:
        targets: of all epochs.
        vector_size: D.
    """
    return max(targets / 3.5e6 * 128 / vector_size, 1e-6)


def _subtract(table: tf.Variable, ids: Tensor, rows: Tensor) -> None:
    # The same numbers as of a subtraction, which GPUs have no atomic instruction for.
    tf.raw_ops.ResourceScatterAdd(resource=table.handle, indices=ids, updates=-rows)
