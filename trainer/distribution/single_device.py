"""The training step under XLA, each device by itself, many steps in a program.

A step is some twenty small kernels, which take a GPU 50 microseconds. Begun one by one by
TensorFlow, a GPU waits for them most of the time, and a CPU a third of it; so a program does many
steps. It is compiled once: where a call ends sooner, padding fills it up, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.dataset.records import RECORD_FEATURES
from trainer.input_pipeline import Batch, Groups, no_batches
from trainer.model import Gradients, SkipGram, Totals
from trainer.optimizers import Optimizer, RowGradients, Slots

STEPS = {"CPU": 10, "GPU": 50}
"""Steps of a program. Groups hold a multiple of it, and so do calls, but for their ends.

To begin a program costs some milliseconds, a step on a CPU as much, and on a GPU a fiftieth."""

Tensor = Any


class XlaSteps:
    """What trains a model on one device, or its copies on several, many batches in a call.

    Each device changes its own copy, which in here is the only one that it sees.

    Attributes:
        steps: of a program.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: SkipGram,
        optimizer: Optimizer,
        slots: tuple[Slots, Slots],
        *,
        calls: int | None = None,
    ) -> None:
        """Prepares for the first batch.

        Args:
            strategy: knows the devices.
            model: whose tables are read and written.
            optimizer: changes them.
            slots: what it remembers of the target and of the context table.
            calls: steps of most calls, if that is known.
        """
        self._strategy, self._model = strategy, model
        self._optimizer, self._slots = optimizer, slots
        self._alone = strategy.num_replicas_in_sync == 1
        most = STEPS["GPU" if tf.config.list_logical_devices("GPU") else "CPU"]
        self.steps = most if calls is None else parted(calls, most)

    def prepare(self, records: int) -> None:
        """Compiles what trains; see `replicas.Steps`."""
        padding = filled_up(no_batches(self._model.shape, records), self.steps)
        portions = portions_of(padding, self._strategy)
        self._train(portions, np.zeros(self.steps, np.float32), 1).numpy()

    def run(self, groups: Groups, steps: int, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them; see `replicas.Steps`."""
        found, train = [], len(rates) > 0
        while steps:
            count = min(steps, self.steps)
            batches = filled_up(groups.take_all(count), self.steps)
            portions = portions_of(batches, self._strategy)
            if train:
                padded = np.zeros(self.steps, np.float32)
                padded[:count] = rates[:count]
                totals = self._train(portions, padded, count)
            else:
                totals = self._run(self._measuring, (portions,))
            found.append((totals, count))
            steps, rates = steps - count, rates[count:]
        return np.concatenate([totals.numpy()[:count] for totals, count in found], dtype=np.float64)

    def _train(self, portions: Batch, rates: NDArray[np.float32], _: int) -> Tensor:
        """Returns the totals of a program's steps; padding stands where there are fewer."""
        return self._run(self._training, (portions, rates))

    def _run(self, program: Callable[..., Tensor], args: tuple[Any, ...]) -> Tensor:
        return program(*args) if self._alone else self._on_each(program, args)

    @tf.function
    def _on_each(self, program: Callable[..., Tensor], args: tuple[Any, ...]) -> Tensor:
        """Returns the sum of what the program returns on each device."""

        def call(*own: Any) -> Tensor:
            """Runs it; given the program itself, `run` would make one of all devices' work."""
            return program(*own)

        found = self._strategy.run(call, args=args)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, found, axis=None)

    @tf.function(jit_compile=True)
    def _training(self, batches: Batch, rates: Tensor) -> Tensor:
        found = self._no_totals()
        for step in tf.range(self.steps):
            gradients = self._model.gradients(at_step(batches, step))
            for table, slots, parts in tables(self._model, self._slots, gradients):
                self._optimizer.update(table, slots, parts, rates[step])
            found = found.write(step, tf.stack(gradients.totals))
        return found.stack()

    @tf.function(jit_compile=True)
    def _measuring(self, batches: Batch) -> Tensor:
        found = self._no_totals()
        for step in tf.range(self.steps):
            found = found.write(step, tf.stack(self._model.totals(at_step(batches, step))))
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


def parted(calls: int, most: int) -> int:
    """Returns the steps of a program where calls of so many are done by as few as can be.

    >>> parted(30, most=50), parted(120, most=50)
    (30, 40)
    """
    return -(-calls // -(-calls // most))


def portions_of(batches: Batch, strategy: tf.distribute.Strategy) -> Batch:
    """Returns the batches' records dealt to this process's devices, as many in a row to each.

    Args:
        batches: [n, B, T] parts; B is a multiple of the devices.
        strategy: knows the devices; where there is one, it gets the batches as they are.

    Returns:
        Parts that `strategy.run` passes on, to each device its own.
    """
    if strategy.num_replicas_in_sync == 1:
        return batches
    devices = strategy.extended.worker_devices
    count = batches.tokens.shape[1] // len(devices)

    def dealt(part: Any) -> Any:
        """Returns a part of the batches, to each device its records."""

        def of_device(context: tf.distribute.ReplicaContext) -> Any:
            """Returns one device's."""
            at = context.replica_id_in_sync_group % len(devices)
            with tf.device("CPU"):  # Not the whole of it to each device.
                own = part[:, at * count : (at + 1) * count]
            with tf.device(devices[at]):
                return tf.identity(own)

        return strategy.experimental_distribute_values_from_function(of_device)

    return Batch(*map(dealt, batches))


def filled_up(batches: Batch, steps: int) -> Batch:
    """Returns so many batches, the last of them padding."""
    missing = [[0, steps - batches.tokens.shape[0]], [0, 0], [0, 0]]
    if not missing[0][1]:
        return batches
    return Batch(
        *(
            tf.pad(part, missing, constant_values=tf.cast(feature.filler, part.dtype))
            for feature, part in zip(RECORD_FEATURES, batches, strict=True)
        )
    )


def at_step(batches: Batch, step: Any) -> Batch:
    """Returns one of them."""
    return Batch(*(part[step] for part in batches))
