"""The training step, on one device or on several that hold copies of the tables.

On one device loss, gradients and update are one XLA program; on one CPU, where skip-gram with
negative sampling is asked for, they are machine code of our own (`native`). On several devices they
are done in one of two ways:

* In step: each computes the gradients of its share of the batch; the rows of all are gathered in
  the order of the devices, and every copy of the tables is updated alike. So N devices do what one
  does with the same batch, up to the order in which numbers are added within a device.
* By averages, every `sync_every` steps: each device does the program of one device with its share
  of the batch to its own copy, and then every copy becomes the mean of all, and so does what the
  optimizer remembers. Nothing is sent between two averages.

The devices may belong to several processes, which `devices.this_worker` counts.

Many steps run in one call, the input's iterator inside, so that Python does nothing in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from beam_pipelines.records import RecordShape
from trainer.data import Batch
from trainer.groups import Groups
from trainer.model import Gradients, SkipGram, Totals, gradients
from trainer.objectives import GradientFunction
from trainer.optimizers import Optimizer, RowGradients, Slots
from trainer.xla import XlaSteps, tables

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
        """Returns [] float32, the rate of a step, an int64 tensor; of a NumPy [n] of steps, [n]."""
        fall = np.float32((self.last - self.first) / max(self.steps, 1))
        steps = np.float32(step) if isinstance(step, np.ndarray) else tf.cast(step, tf.float32)
        return np.float32(self.first) + fall * steps


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


class Steps(Protocol):
    """What trains on one device, many batches in a call."""

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
        grouped: whether `iterate` takes groups of batches, as one device does.
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
        self._share: int | None = None  # Records of a device, where TensorFlow forgets it.
        with strategy.scope():
            self.model = SkipGram(
                shape, words=words, vector_size=vector_size, seed=seed, compute=compute, tied=tied
            )
            self.slots: tuple[Slots, Slots] = (
                optimizer.slots(self.model.target),
                () if tied else optimizer.slots(self.model.context),
            )
        self.native, self.grouped = native, self._alone
        self._steps: Steps | None = None
        if native:
            from trainer.native.steps import NativeSteps  # Numba is of no use to GPUs.

            self._steps = NativeSteps(
                self.model, self.slots, mixed_precision=mixed_precision, tell=tell
            )
        elif self._alone:
            self._steps = XlaSteps(self.model, optimizer, self.slots)

    def iterate(self, batches: tf.data.Dataset) -> Any:
        """Returns an iterator over this process's batches, each shared out among its devices.

        Args:
            batches: of `data`; its groups of batches where these replicas are `native`.
        """
        if self.grouped:
            if tf.config.list_logical_devices("GPU") and not self.native:
                batches = batches.apply(tf.data.experimental.prefetch_to_device("/gpu:0", 2))
            return Groups(batches)
        if self._workers == 1:
            return iter(self._strategy.experimental_distribute_dataset(batches))
        devices = self._strategy.num_replicas_in_sync // self._workers
        self._share = batches.element_spec.tokens.shape[0] // devices
        return iter(
            self._strategy.distribute_datasets_from_function(
                lambda _: batches.rebatch(self._share, drop_remainder=True)
            )
        )

    def train(self, iterator: Any, *, first: int, steps: int) -> Sums:
        """Trains on the next `steps` batches; the first of them is step `first` of all.

        Afterwards the copies of the tables are equal: where they are averaged, once more at the
        end.
        """
        if self._steps is not None:
            rates = self.rate.at(np.arange(first, first + steps))
            return _sums(self._steps.run(iterator, steps, rates), first)
        first_step, count = tf.constant(first, tf.int64), tf.constant(steps, tf.int64)
        totals, diverged = self._train(iterator, first_step, count)
        loss, pairs, hits = totals.numpy().tolist()
        step = int(diverged)
        return Sums(loss, pairs, hits, None if step < 0 else step)

    def evaluate(self, iterator: Any, *, steps: int) -> Sums:
        """Returns the totals of the next `steps` batches, and changes nothing."""
        if self._steps is not None:
            return _sums(self._steps.run(iterator, steps, np.zeros(0, np.float32)), 0)
        totals = self._evaluate(iterator, tf.constant(steps, tf.int64))
        loss, pairs, hits = totals.numpy().tolist()
        return Sums(loss, pairs, hits)

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
    def _train(self, iterator: Any, first: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        sums, diverged = tf.zeros([3], tf.float64), tf.constant(-1, tf.int64)
        for step in tf.range(first, first + steps):
            batch = next(iterator)
            any_step = self._step_apart if self._sync_every else self._step
            totals = any_step(batch, self.rate.at(step))
            sums += tf.cast(tf.stack(totals), tf.float64)
            if diverged < 0 and not tf.math.is_finite(totals.loss):
                diverged = step
            if self._sync_every and (step + 1) % self._sync_every == 0:
                self._average()
        if self._sync_every and (first + steps) % self._sync_every != 0:
            self._average()
        return sums, diverged

    @tf.function
    def _evaluate(self, iterator: Any, steps: Tensor) -> Tensor:
        sums = tf.zeros([3], tf.float64)
        for _ in tf.range(steps):
            totals = self._sum(self._on_each(self._totals, (next(iterator),)))
            sums += tf.cast(tf.stack(totals), tf.float64)
        return sums

    @tf.function(jit_compile=True)
    def _step_alone(self, batch: Batch, rate: Tensor) -> Totals:
        gradients = self.model.gradients(batch)
        for table, slots, parts in tables(self.model, self.slots, gradients):
            self._optimizer.update(table, slots, parts, rate)
        return gradients.totals

    def _step(self, batch: Any, rate: Tensor) -> Totals:
        gradients = self._on_each(self._gradients, (batch,))
        for table, slots, parts in tables(self.model, self.slots, gradients):
            gathered = tf.nest.map_structure(lambda part: self._strategy.gather(part, 0), parts)
            self._strategy.extended.update(table, self._update, args=(slots, gathered, rate))
        return self._sum(gradients.totals)

    def _step_apart(self, batch: Any, rate: Tensor) -> Totals:
        """Each device updates its own copy, which in here is the only one that it sees."""
        return self._sum(self._on_each(self._step_alone, (batch, rate)))

    def _average(self) -> None:
        for variable in (self.model.target, self.model.context, *self.slots[0], *self.slots[1]):
            if variable is self.model.context and self.model.tied:
                continue
            copies = self._strategy.run(variable.read_value)
            mean = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, copies, axis=None)
            self._strategy.extended.update(variable, _assign, args=(mean,))

    def _on_each(self, compiled: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Returns what each device's program makes of its share of the batch.

        Given the compiled function itself, `run` would make one program of all devices' work.
        """

        def call(share: Batch, *others: Any) -> Any:
            if self._share is not None:
                shapes = ([self._share, *part.shape[1:]] for part in share)
                share = Batch(*map(tf.ensure_shape, share, shapes))
            return compiled(share, *others)

        return self._strategy.run(call, args=args)

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


def _sums(totals: NDArray[np.float64], first: int) -> Sums:
    """Returns the sums of [steps, 3] loss, pairs and hits, whose first row is of step `first`."""
    loss, pairs, hits = totals.sum(0).tolist()
    infinite = np.flatnonzero(~np.isfinite(totals[:, 0]))
    return Sums(loss, pairs, hits, first + int(infinite[0]) if len(infinite) else None)


def _assign(variable: tf.Variable, value: Tensor) -> None:
    variable.assign(value)
