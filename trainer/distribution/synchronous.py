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

from trainer.distribution.single_device import XlaSteps, at_step, tables
from trainer.input_pipeline import Batch
from trainer.model import Gradients, Totals
from trainer.optimizers import RowGradients, Slots

Tensor = Any


class SynchronousSteps(XlaSteps):
    """What trains equal copies of a model, many batches in a call."""

    def _train(self, portions: Batch, rates: NDArray[np.float32], count: int) -> Tensor:
        return self._in_step(portions, rates, tf.constant(count))

    @tf.function
    def _in_step(self, portions: Batch, rates: Tensor, count: Tensor) -> Tensor:
        found = self._no_totals()
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
