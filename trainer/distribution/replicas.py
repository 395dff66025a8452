"""The model on one device, or copies of it on several.

On one device loss, gradients and update are one XLA program (`xla`); on one CPU, where skip-gram
with negative sampling is asked for, they are machine code of our own (`native`). On several devices
they are done in one of two ways:

* In step (`synchronous`).
* By averages, every `sync_every` steps: each device does the program of one device with its share
  of the batch to its own copy, and then every copy becomes the mean of all, and so does what the
  optimizer remembers. Nothing is sent between two averages.

The devices may belong to several processes, which `devices.this_worker` counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from trainer.distribution.single_device import XlaSteps
from trainer.distribution.synchronous import SynchronousSteps
from trainer.input_pipeline import Groups
from trainer.model import SkipGram, gradients
from trainer.objectives import GradientFunction
from trainer.optimizers import Optimizer, Slots
from trainer.schedule import LearningRate

Tensor = Any


class Steps(Protocol):
    """What trains the model, or its copies, many batches in a call."""

    def prepare(self, records: int) -> None:
        """Compiles what trains, before its time is measured; else the first batch does.

        Args:
            records: B, of this process's batches.
        """
        ...

    def run(self, groups: Groups, steps: int, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them.

        Args:
            groups: where the batches come from.
            steps: how many of them; there must be so many.
            rates: [steps] float32, the learning rate of each; empty to change nothing.

        Returns:
            [steps, 3] float64: loss, pairs and hits.
        """
        ...


class Replicas:
    """The model with its optimizer, one copy on each device of a strategy.

    Attributes:
        model: the tables.
        slots: what the optimizer remembers of the target and of the context table.
        rate: the learning rate of each step.
        native: whether our own machine code trains.
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
        compute: GradientFunction = gradients,
        tied: bool = False,
        sync_every: int | None = None,
        native: bool = False,
        mixed_precision: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Makes the model and what its optimizer remembers.

        Args:
            strategy: knows the devices.
            optimizer: changes the tables.
            rate: the learning rate of each step.
            shape: of the records.
            words: V.
            vector_size: D.
            seed: of the first vectors.
            compute: loss and gradients of a batch.
            tied: use one table for both.
            sync_every: steps between two averages of the tables; None to keep them in step.
            native: train by `native`, which knows `model.gradients` only, on one device.
            mixed_precision: let `native` multiply in bfloat16, if the processor can.
            tell: takes a line for the user.
        """
        self._strategy, self._optimizer, self.rate = strategy, optimizer, rate
        self._alone = strategy.num_replicas_in_sync == 1
        self._workers = getattr(strategy.extended, "_num_workers", 1)
        self._sync_every = None if self._alone else sync_every
        with strategy.scope():
            self.model = SkipGram(
                shape, words=words, vector_size=vector_size, seed=seed, compute=compute, tied=tied
            )
            self.slots: tuple[Slots, Slots] = (
                optimizer.slots(self.model.target),
                () if tied else optimizer.slots(self.model.context),
            )
        self.native, every = native, self._sync_every
        self._steps: Steps
        if native:
            from trainer.cpu_kernels.step import NativeSteps

            self._steps = NativeSteps(
                self.model, self.slots, mixed_precision=mixed_precision, tell=tell
            )
        elif self._alone or every:
            self._steps = XlaSteps(strategy, self.model, optimizer, self.slots, calls=every)
        else:
            self._steps = SynchronousSteps(strategy, self.model, optimizer, self.slots)

    def iterate(self, batches: tf.data.Dataset) -> Groups:
        """Returns a walk through this process's batches.

        Args:
            batches: groups of them, of `data`.
        """
        if self._alone and not self.native and tf.config.list_logical_devices("GPU"):
            batches = batches.apply(tf.data.experimental.prefetch_to_device("/gpu:0", 2))
        return Groups(batches)

    def prepare(self, records: int) -> None:
        """Compiles the step, for this process's batches of so many records; trains nothing."""
        self._steps.prepare(records)

    def train(self, groups: Groups, *, first: int, steps: int) -> NDArray[np.float64]:
        """Trains on the next `steps` batches; the first of them is step `first` of all.

        Afterwards the copies of the tables are equal: where they are averaged, once more at the
        end.

        Returns:
            [steps, 3] float64: loss, pairs and hits, each summed over a batch's pairs.
        """
        end, every = first + steps, self._sync_every
        stops = [*range(first - first % every + every, end, every), end] if every else [end]
        found, begin = [], first
        for stop in stops:
            rates = self.rate.at(np.arange(begin, stop))
            found.append(self._steps.run(groups, stop - begin, rates))
            if every:
                self._average()
            begin = stop
        return np.concatenate(found)

    def evaluate(self, groups: Groups, *, steps: int) -> NDArray[np.float64]:
        """Returns what `train` does of the next `steps` batches, and changes nothing."""
        return self._steps.run(groups, steps, np.zeros(0, np.float32))

    def finite(self) -> bool:
        """Returns whether every number in both tables is finite."""
        tables = (self.model.target, self.model.context)
        return all(bool(tf.reduce_all(tf.math.is_finite(table))) for table in tables)

    def assign(self, variable: tf.Variable, values: Any) -> None:
        """Sets every copy of a variable."""
        with self._strategy.scope():
            variable.assign(values)

    def agree_on(self, number: int) -> bool:
        """Returns whether the mean of a number over all processes is this process's."""
        if self._workers == 1:
            return True
        return float(self._mean(tf.constant(number, tf.float64))) == number

    @tf.function
    def _mean(self, number: Tensor) -> Tensor:
        given = self._strategy.run(lambda: number)
        return self._strategy.reduce(tf.distribute.ReduceOp.MEAN, given, axis=None)

    @tf.function
    def _average(self) -> None:
        for variable in (self.model.target, self.model.context, *self.slots[0], *self.slots[1]):
            if variable is self.model.context and self.model.tied:
                continue
            copies = self._strategy.run(variable.read_value)
            mean = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, copies, axis=None)
            self._strategy.extended.update(variable, _assign, args=(mean,))


def _assign(variable: tf.Variable, value: Tensor) -> None:
    variable.assign(value)
