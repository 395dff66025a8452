"""The training step on several devices whose copies of the tables stay equal.

Each device computes the gradients of its part of the batch. The row gradients of all devices are
gathered in the order of the devices, and every copy of the tables gets the same update. So N
devices do what one device does with the same batch, except for the order in which numbers are added
within a device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.distribution.single_device import XlaStepRunner, batch_at_step
from trainer.input_pipeline import Batch
from trainer.model import LossTotals, TableGradients
from trainer.optimizers import RowGradients, Slots


class SynchronousStepRunner(XlaStepRunner):
    """Trains equal copies of a model, many batches in a call."""

    def _train(self, batches: Batch, rates: NDArray[np.float32], count: int) -> tf.Tensor:
        return self._train_steps(batches, rates, tf.constant(count))

    # Not compiled as a whole: XLA cannot compile the gather between the devices.
    @tf.function
    def _train_steps(self, batches: Batch, rates: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        totals = self._new_totals()
        for step in tf.range(count):
            totals = totals.write(step, tf.stack(self._step(batches, step, rates[step])))
        return totals.stack()

    def _step(self, batches: Batch, step: tf.Tensor, rate: tf.Tensor) -> LossTotals:
        gradients = self._strategy.run(
            lambda device_batches: self._gradients(batch_at_step(device_batches, step)),
            args=(batches,),
        )
        for update, table, slots, parts in self._table_updates(gradients):
            gathered = tf.nest.map_structure(lambda part: self._strategy.gather(part, 0), parts)
            self._strategy.extended.update(table, update, args=(slots, gathered, rate))
        add = tf.distribute.ReduceOp.SUM
        return LossTotals(
            *(self._strategy.reduce(add, total, axis=None) for total in gradients.totals)
        )

    @tf.function(jit_compile=True)
    def _gradients(self, batch: Batch) -> TableGradients:
        return self._model.gradients(batch)

    @tf.function(jit_compile=True)
    def _update(
        self, table: tf.Variable, slots: Slots, parts: Sequence[RowGradients], rate: tf.Tensor
    ) -> None:
        super()._update(table, slots, parts, rate)

    @tf.function(jit_compile=True)
    def _update_words(
        self, table: tf.Variable, slots: Slots, parts: Sequence[RowGradients], rate: tf.Tensor
    ) -> None:
        super()._update_words(table, slots, parts, rate)
