"""The training step on several devices that keep in step.

Each device computes the gradients of its share of the batch; the rows of all are gathered in the
order of the devices, and every copy of the tables is updated alike. So N devices do what one does
with the same batch, up to the order in which numbers are added within a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.data import GROUP, Batch
from trainer.groups import Groups
from trainer.model import Gradients, SkipGram, Totals
from trainer.optimizers import Optimizer, RowGradients, Slots
from trainer.portions import at_step, filled_up, portions_of
from trainer.xla import XlaSteps, tables

Tensor = Any


class SynchronousSteps:
    """What trains equal copies of a model, many batches in a call."""

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: SkipGram,
        optimizer: Optimizer,
        slots: tuple[Slots, Slots],
    ) -> None:
        """Prepares for the first batch; see `XlaSteps`."""
        self._strategy, self._model = strategy, model
        self._optimizer, self._slots = optimizer, slots
        self._apart = XlaSteps(strategy, model, optimizer, slots)

    def run(self, groups: Groups, steps: int, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them; see `replicas.Steps`."""
        if not len(rates):
            return self._apart.run(groups, steps, rates)
        found = []
        while steps:
            count = min(steps, GROUP)
            batches = filled_up(groups.take_all(count), GROUP)
            portions = portions_of(batches, self._strategy)
            padded = np.zeros(GROUP, np.float32)
            padded[:count] = rates[:count]
            found.append(self._train(portions, padded, tf.constant(count))[:count])
            steps, rates = steps - count, rates[count:]
        return np.asarray(tf.concat(found, 0), np.float64)

    @tf.function
    def _train(self, portions: Batch, rates: Tensor, count: Tensor) -> Tensor:
        found = tf.TensorArray(tf.float32, GROUP, element_shape=[len(Totals._fields)])
        for step in tf.range(count):
            found = found.write(step, tf.stack(self._step(portions, step, rates[step])))
        return found.stack()

    def _step(self, portions: Batch, step: Tensor, rate: Tensor) -> Totals:
        gradients = self._strategy.run(
            lambda own: self._gradients(at_step(own, step)), args=(portions,)
        )
        for table, slots, parts in tables(self._model, self._slots, gradients):
            gathered = tf.nest.map_structure(lambda part: self._strategy.gather(part, 0), parts)
            self._strategy.extended.update(table, self._update, args=(slots, gathered, rate))
        add = tf.distribute.ReduceOp.SUM
        return Totals(*(self._strategy.reduce(add, total, axis=None) for total in gradients.totals))

    @tf.function(jit_compile=True)
    def _gradients(self, batch: Batch) -> Gradients:
        return self._model.gradients(batch)

    @tf.function(jit_compile=True)
    def _update(
        self, table: tf.Variable, slots: Slots, parts: Sequence[RowGradients], rate: Tensor
    ) -> None:
        self._optimizer.update(table, slots, parts, rate)
