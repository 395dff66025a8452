"""The model on one device, or copies of it on several.

On one CPU, skip-gram with negative sampling is trained by our own machine code (`cpu_kernels`). On
any other single device loss, gradients and update are one XLA program (`single_device`). Several
devices train in one of two ways:

* Synchronously: in every step all copies get the same update (`synchronous`).
* With averaged tables: each device trains its own copy on its part of the batch, as a single device
  does. Every `sync_every` steps all copies of the tables and of the optimizer's slots are set to
  their mean. In between the devices exchange nothing.

The devices may belong to several processes; see `devices.this_worker`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.distribution.single_device import XlaStepRunner
from trainer.distribution.synchronous import SynchronousStepRunner
from trainer.input_pipeline import BatchGroups
from trainer.model import SkipGram
from trainer.optimizers import Optimizer, Slots
from trainer.schedule import LearningRateSchedule


class StepRunner(Protocol):
    """Trains the model, or its copies, many batches in a call."""

    @property
    def hardware(self) -> str:
        """What trains, for the log: `2 cores, machine code for znver4: AVX-512, bfloat16`."""
        ...

    def prepare(self, records: int) -> None:
        """Compiles the step, so that the first call is not measured with the compilation.

        Args:
            records: B, in a batch of this process.
        """
        ...

    def run(
        self, groups: BatchGroups, steps: int, rates: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them.

        Args:
            groups: the batches.
            steps: how many to take; there must be as many.
            rates: [steps] float32, the learning rate of each; empty to change nothing.

        Returns:
            [steps, 3] float64: loss, pairs and hits.
        """
        ...


class Replicas:
    """The model with its optimizer, one copy on each device of a strategy.

    Attributes:
        model: the tables.
        slots: of the optimizer, for the target and for the context table.
        rate: the learning rate of each step.
        native: whether our own machine code trains.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        new_model: Callable[[], SkipGram],
        optimizer: Optimizer,
        rate: LearningRateSchedule,
        *,
        sync_every: int | None = None,
        native: bool = False,
        mixed_precision: bool = False,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Makes the model and the slots.

        Args:
            strategy: the devices.
            new_model: makes the model; called once, where variables get a copy on each device.
            optimizer: changes the tables.
            rate: the learning rate of each step.
            sync_every: steps between two averages of the tables; None to train synchronously.
            native: train by `cpu_kernels`. They know one device and `model.gradients` only.
            mixed_precision: let `cpu_kernels` multiply in bfloat16, if the processor can.
            warn: shows a line to the user.
        """
        self._strategy, self._optimizer, self.rate = strategy, optimizer, rate
        self._single = strategy.num_replicas_in_sync == 1
        # The number of processes; only the strategy of a cluster has it.
        self._workers = getattr(strategy.extended, "_num_workers", 1)
        self._sync_every = None if self._single else sync_every
        with strategy.scope():
            self.model = new_model()
            self.slots: tuple[Slots, Slots] = (
                optimizer.slots(self.model.target),
                () if self.model.tied else optimizer.slots(self.model.context),
            )
        self.native = native
        self._runner = self._step_runner(mixed_precision=mixed_precision, warn=warn)

    def _step_runner(self, *, mixed_precision: bool, warn: Callable[[str], None]) -> StepRunner:
        """Returns what trains on these devices; see the module."""
        if self.native:
            from trainer.distribution.native_step import NativeStepRunner

            return NativeStepRunner(
                self.model, self.slots, mixed_precision=mixed_precision, warn=warn
            )
        devices = (self._strategy, self.model, self._optimizer, self.slots)
        if self._single or self._sync_every:
            return XlaStepRunner(*devices, call_steps=self._sync_every)
        return SynchronousStepRunner(*devices)

    @property
    def hardware(self) -> str:
        """What trains, for the log."""
        return self._runner.hardware

    def batch_groups(self, batches: tf.data.Dataset) -> BatchGroups:
        """Returns the batches of this process, as `train` and `evaluate` take them.

        Args:
            batches: groups, of `input_pipeline`.
        """
        if self._single and not self.native and tf.config.list_logical_devices("GPU"):
            batches = batches.apply(tf.data.experimental.prefetch_to_device("/gpu:0", 2))
        return BatchGroups(batches)

    def prepare(self, records: int) -> None:
        """Compiles the step for batches of so many records of this process; trains nothing."""
        self._runner.prepare(records)

    def train(self, groups: BatchGroups, *, first_step: int, steps: int) -> NDArray[np.float64]:
        """Trains on the next `steps` batches; the first of them is step `first_step` of all.

        Afterwards all copies of the tables are equal; averaged tables are averaged at the end.

        Returns:
            [steps, 3] float64: loss, pairs and hits, each summed over the pairs of a batch.
        """
        end, every = first_step + steps, self._sync_every
        stops = [end]
        if every:
            stops = [*range(first_step - first_step % every + every, end, every), end]
        totals, begin = [], first_step
        for stop in stops:
            rates = self.rate.at(np.arange(begin, stop))
            totals.append(self._runner.run(groups, stop - begin, rates))
            if every:
                self._average_copies()
            begin = stop
        return np.concatenate(totals)

    def evaluate(self, groups: BatchGroups, *, steps: int) -> NDArray[np.float64]:
        """Returns the totals of the next `steps` batches, as `train`, and changes nothing."""
        return self._runner.run(groups, steps, np.zeros(0, np.float32))

    def is_finite(self) -> bool:
        """Returns whether every number in both tables is finite."""
        tables = (self.model.target, self.model.context)
        return all(bool(tf.reduce_all(tf.math.is_finite(table))) for table in tables)

    def assign(self, variable: tf.Variable, values: Any) -> None:
        """Sets every copy of a variable."""
        with self._strategy.scope():
            variable.assign(values)

    def same_on_all_workers(self, number: int) -> bool:
        """Returns whether the mean of a number over all processes is this process's."""
        if self._workers == 1:
            return True
        return float(self._mean_over_workers(tf.constant(number, tf.float64))) == number

    @tf.function
    def _mean_over_workers(self, number: tf.Tensor) -> tf.Tensor:
        copies = self._strategy.run(lambda: number)
        return self._strategy.reduce(tf.distribute.ReduceOp.MEAN, copies, axis=None)

    @tf.function
    def _average_copies(self) -> None:
        for variable in (self.model.target, self.model.context, *self.slots[0], *self.slots[1]):
            if variable is self.model.context and self.model.tied:
                continue
            copies = self._strategy.run(variable.read_value)
            mean = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, copies, axis=None)
            self._strategy.extended.update(variable, _assign, args=(mean,))


def _assign(variable: tf.Variable, value: tf.Tensor) -> None:
    variable.assign(value)
