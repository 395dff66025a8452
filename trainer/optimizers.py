"""Sparse optimizers: a step reads and writes only the rows of a table that the batch names.

Keras's optimizers update the whole table in every step, or drop repeated rows. `Adagrad` and `Sgd`
change the rows of the batch only. `Adam` and `RMSprop` are Keras's, with the whole table. In all of
them a row id may occur several times in a batch, and its gradients add up. All are used alike:

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
            rate: [] float32, the learning rate. A rate of 0 changes nothing: batches of padding,
                which fill the last call of the step, have it.
        """
        ...


class RowOptimizer(Optimizer, Protocol):
    """An optimizer that changes the rows of a batch only.

    Its `update` consists of the two others: all rows are accumulated before any is changed.
    """

    def accumulate(self, slots: Slots, ids: tf.Tensor, mean_squares: tf.Tensor) -> None:
        """Adds the mean squares, [n] float32, of the gradients of rows, [n] int32, to the slots."""
        ...

    def subtract(
        self, table: tf.Variable, slots: Slots, gradient: RowGradients, rate: tf.Tensor
    ) -> None:
        """Subtracts the scaled gradient from the rows of a table."""
        ...


@dataclass(frozen=True)
class Sgd:
    """Gradient descent, `row -= rate * gradient`, as in word2vec.c."""

    def slots(self, table: tf.Variable) -> Slots:  # noqa: ARG002
        """Returns no variables."""
        return ()

    def accumulate(self, slots: Slots, ids: tf.Tensor, mean_squares: tf.Tensor) -> None:
        """Does nothing; see `RowOptimizer.accumulate`."""
        del slots, ids, mean_squares  # AutoGraph cannot convert a function without a statement.

    def subtract(
        self,
        table: tf.Variable,
        slots: Slots,  # noqa: ARG002
        gradient: RowGradients,
        rate: tf.Tensor,
    ) -> None:
        """Subtracts rate * gradient; see `RowOptimizer.subtract`."""
        _subtract_rows(table, gradient.ids, rate * gradient.rows)

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table; see `Optimizer.update`."""
        for gradient in gradients:
            self.subtract(table, slots, gradient, rate)


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

    def accumulate(self, slots: Slots, ids: tf.Tensor, mean_squares: tf.Tensor) -> None:
        """Lets the accumulators grow; see `RowOptimizer.accumulate`."""
        (accumulator,) = slots
        tf.raw_ops.ResourceScatterAdd(
            resource=accumulator.handle, indices=ids, updates=mean_squares
        )

    def subtract(
        self, table: tf.Variable, slots: Slots, gradient: RowGradients, rate: tf.Tensor
    ) -> None:
        """Subtracts the gradient over the root of the sums; see `RowOptimizer.subtract`."""
        (accumulator,) = slots
        scale = rate * tf.math.rsqrt(tf.gather(accumulator, gradient.ids))  # [n]
        _subtract_rows(table, gradient.ids, scale[:, None] * gradient.rows)

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table and its accumulators; see `Optimizer.update`."""
        # All squares are added before any row is changed: every occurrence of a row in the batch
        # then has the same rate, whatever its place.
        for ids, rows in gradients:
            self.accumulate(slots, ids, tf.reduce_mean(tf.square(rows), 1))
        for gradient in gradients:
            self.subtract(table, slots, gradient, rate)


@dataclass(frozen=True)
class Adam:
    """`keras.optimizers.Adam` with Keras's defaults (Kingma and Ba 2015, arXiv:1412.6980).

    As in Keras every row moves in every step, by its momentum, so that a step takes time in
    proportion to the vocabulary, and a table three times its memory. The gradient is of the sum of
    the loss, Keras's of its mean; a step does not depend on such a factor, but for `epsilon`.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slots(self, table: tf.Variable) -> Slots:
        """Returns both moments, [R, D] float32, and the steps of each row, [R] float32.

        All rows have done the same number of steps unless a training started from another
        (`--init_from`), in which new words begin at 0.
        """
        return (*(_zeros(table.shape) for _ in range(2)), _zeros(table.shape[:1]))

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table and its slots; see `Optimizer.update`."""
        momentum, velocity, steps = slots
        gradient = dense_gradient(table, gradients)
        new_momentum = _moving_average(momentum, gradient, self.beta_1, rate)
        new_velocity = _moving_average(velocity, tf.square(gradient), self.beta_2, rate)
        new_steps = steps.read_value() + tf.cast(rate > 0.0, tf.float32)
        powers = tf.maximum(new_steps, 1.0)[:, None]  # [R, 1]
        corrected = rate * tf.sqrt(1.0 - self.beta_2**powers) / (1.0 - self.beta_1**powers)
        change = corrected * new_momentum / (tf.sqrt(new_velocity) + self.epsilon)
        for variable, value in (
            (momentum, new_momentum),
            (velocity, new_velocity),
            (steps, new_steps),
            (table, table.read_value() - change),
        ):
            _assign(variable, value)


@dataclass(frozen=True)
class RMSprop:
    """`keras.optimizers.RMSprop` with Keras's defaults; costs and gradients are as of `Adam`."""

    rho: float = 0.9
    epsilon: float = 1e-7

    def slots(self, table: tf.Variable) -> Slots:
        """Returns the mean squares, [R, D] float32."""
        return (_zeros(table.shape),)

    def update(
        self,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table and its slots; see `Optimizer.update`."""
        (velocity,) = slots
        gradient = dense_gradient(table, gradients)
        new_velocity = _moving_average(velocity, tf.square(gradient), self.rho, rate)
        change = rate * gradient * tf.math.rsqrt(new_velocity + self.epsilon)
        _assign(velocity, new_velocity)
        _assign(table, table.read_value() - change)


def dense_gradient(table: tf.Variable, gradients: Sequence[RowGradients]) -> tf.Tensor:
    """Returns the gradient of a whole table, [R, D] float32: zero in rows that no part names."""
    total = tf.zeros(table.shape)
    for ids, rows in gradients:
        total = tf.tensor_scatter_nd_add(total, ids[:, None], rows)
    return total


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


def _zeros(shape: tf.TensorShape) -> tf.Variable:
    return tf.Variable(tf.zeros(shape))


def _moving_average(
    slot: tf.Variable, value: tf.Tensor, decay: float, rate: tf.Tensor
) -> tf.Tensor:
    """Returns `decay * slot + (1 - decay) * value`, or the slot where the rate is 0."""
    share = tf.where(rate > 0.0, 1.0 - decay, 0.0)
    return slot.read_value() + share * (value - slot.read_value())


def _assign(variable: tf.Variable, value: tf.Tensor) -> None:
    # Not `variable.assign`: in a replica of a strategy it would ask how to aggregate the copies.
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
