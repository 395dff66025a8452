"""The compiled training step, on one device or on several that hold the same tables.

On one device loss, gradients and update are one XLA program. On several, each computes the
gradients of its share of the batch; the rows of all are gathered in the order of the devices, and
every copy of the tables is updated alike. So N devices do what one does with the same batch, up to
the order in which numbers are added within a device.

Many steps run in one call, the input's iterator inside, so that Python does nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from beam_pipelines.records import RecordShape
from trainer.data import Batch
from trainer.model import Gradients, SkipGram, Totals
from trainer.optimizers import Optimizer, RowGradients, Slots

Tensor = Any


@dataclass(frozen=True)
class LearningRate:
    """A rate that falls on a straight line over all the steps of a training.

    Attributes:
        first: at step 0.
        last: where it would be at `steps`.
        steps: planned, of all epochs.
    """

    first: float
    last: float
    steps: int

    def at(self, step: Tensor) -> Tensor:
        """Returns [] float32, the rate of a step, an int64 tensor."""
        fall = tf.constant((self.last - self.first) / max(self.steps, 1), tf.float32)
        return tf.constant(self.first, tf.float32) + fall * tf.cast(step, tf.float32)


class Sums(NamedTuple):
    """Totals of some steps, in Python's numbers.

    Attributes:
        loss: sum over pairs.
        pairs: how many.
        hits: those whose logit beats those of `negative` noise words.
        diverged: the first step whose loss is not a finite number, or None.
    """

    loss: float
    pairs: float
    hits: float
    diverged: int | None = None


class Replicas:
    """The model with its optimizer, one copy on each device of a strategy.

    Attributes:
        model: the tables.
        slots: what the optimizer remembers of the target and of the context table.
        rate: the learning rate of each step.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        optimizer: Optimizer,
        rate: LearningRate,
        shape: RecordShape,
        *,
        words: int,
        vector_size: int,
        seed: int,
    ) -> None:
        self._strategy, self._optimizer, self.rate = strategy, optimizer, rate
        with strategy.scope():
            self.model = SkipGram(shape, words=words, vector_size=vector_size, seed=seed)
            self.slots: tuple[Slots, Slots] = (
                optimizer.slots(self.model.target),
                optimizer.slots(self.model.context),
            )
        self._alone = strategy.num_replicas_in_sync == 1

    def iterate(self, batches: tf.data.Dataset) -> Any:
        """Returns an iterator over batches, each shared out among the devices."""
        if not self._alone:
            batches = self._strategy.experimental_distribute_dataset(batches)
        return iter(batches)

    def train(self, iterator: Any, *, first: int, steps: int) -> Sums:
        """Trains on the next `steps` batches; the first of them is step `first` of all."""
        first_step, count = tf.constant(first, tf.int64), tf.constant(steps, tf.int64)
        totals, diverged = self._train(iterator, first_step, count)
        loss, pairs, hits = totals.numpy().tolist()
        step = int(diverged)
        return Sums(loss, pairs, hits, None if step < 0 else step)

    def evaluate(self, iterator: Any, *, steps: int) -> Sums:
        """Returns the totals of the next `steps` batches, and changes nothing."""
        totals = self._evaluate(iterator, tf.constant(steps, tf.int64))
        loss, pairs, hits = totals.numpy().tolist()
        return Sums(loss, pairs, hits)

    def finite(self) -> bool:
        """Returns whether every number in both tables is finite."""
        tables = (self.model.target, self.model.context)
        return all(bool(tf.reduce_all(tf.math.is_finite(table))) for table in tables)

    @tf.function
    def _train(self, iterator: Any, first: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        sums, diverged = tf.zeros([3], tf.float64), tf.constant(-1, tf.int64)
        for step in tf.range(first, first + steps):
            batch = next(iterator)
            rate = self.rate.at(step)
            totals = self._step_alone(batch, rate) if self._alone else self._step(batch, rate)
            sums += tf.cast(tf.stack(totals), tf.float64)
            if diverged < 0 and not tf.math.is_finite(totals.loss):
                diverged = step
        return sums, diverged

    @tf.function
    def _evaluate(self, iterator: Any, steps: Tensor) -> Tensor:
        sums = tf.zeros([3], tf.float64)
        for _ in tf.range(steps):
            totals = self._on_each(self._totals, next(iterator))
            if not self._alone:
                totals = self._sum(totals)
            sums += tf.cast(tf.stack(totals), tf.float64)
        return sums

    @tf.function(jit_compile=True)
    def _step_alone(self, batch: Batch, rate: Tensor) -> Totals:
        gradients = self.model.gradients(batch)
        for table, slots, parts in self._tables(gradients):
            self._optimizer.update(table, slots, parts, rate)
        return gradients.totals

    def _step(self, batch: Any, rate: Tensor) -> Totals:
        gradients = self._on_each(self._gradients, batch)
        for table, slots, parts in self._tables(gradients):
            gathered = tf.nest.map_structure(lambda part: self._strategy.gather(part, 0), parts)
            self._strategy.extended.update(table, self._update, args=(slots, gathered, rate))
        return self._sum(gradients.totals)

    def _tables(
        self, gradients: Gradients
    ) -> tuple[tuple[tf.Variable, Slots, Sequence[RowGradients]], ...]:
        return (
            (self.model.target, self.slots[0], gradients.target),
            (self.model.context, self.slots[1], gradients.context),
        )

    def _on_each(self, compiled: Callable[[Batch], Any], batch: Any) -> Any:
        """Returns what each device's program makes of its share of the batch.

        Given the compiled function itself, `run` would make one program of all devices' work.
        """

        def call(share: Batch) -> Any:
            return compiled(share)

        return self._strategy.run(call, args=(batch,))

    def _sum(self, totals: Totals) -> Totals:
        add = tf.distribute.ReduceOp.SUM
        return Totals(*(self._strategy.reduce(add, total, axis=None) for total in totals))

    @tf.function(jit_compile=True)
    def _gradients(self, batch: Batch) -> Gradients:
        return self.model.gradients(batch)

    @tf.function(jit_compile=True)
    def _totals(self, batch: Batch) -> Totals:
        return self.model.totals(batch)

    @tf.function(jit_compile=True)
    def _update(
        self, table: tf.Variable, slots: Slots, parts: Sequence[RowGradients], rate: Tensor
    ) -> None:
        self._optimizer.update(table, slots, parts, rate)
