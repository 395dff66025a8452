"""The training step of one device under XLA, many steps in a program.

A step is some twenty small kernels, which take a GPU 50 microseconds. Begun one by one by
TensorFlow, a GPU waits for them most of the time, and a CPU a third of it; so a program does many
steps. It is compiled once: where a group or a call ends sooner, padding fills it up, which changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from beam_pipelines.records import PADDING
from trainer.data import Batch
from trainer.groups import Groups
from trainer.model import Gradients, SkipGram, Totals
from trainer.optimizers import Optimizer, RowGradients, Slots

STEPS = {"CPU": 10, "GPU": 50}
"""Steps of a program. Groups hold a multiple of it, and so do calls, but for their ends.

To begin a program costs some milliseconds, a step on a CPU as much, and on a GPU a fiftieth."""

Tensor = Any


class XlaSteps:
    """What trains a model on one device, many batches in a call.

    Attributes:
        steps: of a program.
    """

    def __init__(self, model: SkipGram, optimizer: Optimizer, slots: tuple[Slots, Slots]) -> None:
        """Prepares for the first batch.

        Args:
            model: whose tables are read and written.
            optimizer: changes them.
            slots: what it remembers of the target and of the context table.
        """
        self._model, self._optimizer, self._slots = model, optimizer, slots
        self.steps = STEPS["GPU" if tf.config.list_logical_devices("GPU") else "CPU"]

    def run(self, groups: Groups, steps: int, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them; see `replicas.Steps`."""
        found, train = [], len(rates) > 0
        while steps:
            batches = groups.take(min(steps, self.steps))
            count = batches.tokens.shape[0]
            if train:
                padded = np.zeros(self.steps, np.float32)
                padded[:count] = rates[:count]
                totals = self._train(_filled_up(batches, self.steps), padded)
            else:
                totals = self._measure(_filled_up(batches, self.steps))
            found.append(totals[:count])
            steps, rates = steps - count, rates[count:]
        return np.asarray(tf.concat(found, 0), np.float64)

    @tf.function(jit_compile=True)
    def _train(self, batches: Batch, rates: Tensor) -> Tensor:
        found = self._no_totals()
        for step in tf.range(self.steps):
            gradients = self._model.gradients(_at(batches, step))
            for table, slots, parts in tables(self._model, self._slots, gradients):
                self._optimizer.update(table, slots, parts, rates[step])
            found = found.write(step, tf.stack(gradients.totals))
        return found.stack()

    @tf.function(jit_compile=True)
    def _measure(self, batches: Batch) -> Tensor:
        found = self._no_totals()
        for step in tf.range(self.steps):
            found = found.write(step, tf.stack(self._model.totals(_at(batches, step))))
        return found.stack()

    def _no_totals(self) -> tf.TensorArray:
        return tf.TensorArray(tf.float32, self.steps, element_shape=[len(Totals._fields)])


def tables(
    model: SkipGram, slots: tuple[Slots, Slots], gradients: Gradients
) -> Iterator[tuple[tf.Variable, Slots, Sequence[RowGradients]]]:
    """Yields each table with what the optimizer remembers of it, and its gradients."""
    if model.tied:
        yield model.target, slots[0], gradients.target + gradients.context
    else:
        yield model.target, slots[0], gradients.target
        yield model.context, slots[1], gradients.context


def _at(batches: Batch, step: Tensor) -> Batch:
    return Batch(*(part[step] for part in batches))


def _filled_up(batches: Batch, steps: int) -> Batch:
    """Returns so many batches, the last of them padding."""
    missing = [[0, steps - batches.tokens.shape[0]], [0, 0], [0, 0]]
    if not missing[0][1]:
        return batches
    tokens = tf.pad(batches.tokens, missing, constant_values=PADDING)
    return Batch(tokens, *(tf.pad(part, missing) for part in batches[1:]))
