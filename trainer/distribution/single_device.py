"""The training step under XLA, each device by itself, many steps in one program.

A step is some twenty small kernels, which a GPU runs in 50 microseconds. If TensorFlow launches
them one by one, a GPU waits for it most of the time, and a CPU a third of the time. So a program
runs many steps. It is compiled once, for one number of steps: a shorter call is filled with batches
of padding, which change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.input_pipeline import Batch, BatchGroups, empty_batches, pad_to_steps
from trainer.model import LossTotals, SkipGram, TableGradients
from trainer.optimizers import Optimizer, RowGradients, Slots

MAX_PROGRAM_STEPS = {"CPU": 10, "GPU": 50}
"""Steps of a program. The batches of a group and the steps of a call are multiples of it.

The launch of a program takes some milliseconds, as long as a step on a CPU and as fifty on a GPU.
"""


_TableUpdate = tuple[Callable[..., None], tf.Variable, Slots, Sequence[RowGradients]]
"""What changes a table, the table, its slots, and its gradient."""


class XlaStepRunner:
    """Trains a model on one device, or its copies on several devices, many batches in a call.

    Each device changes its own copy of the tables and sees no other.

    Attributes:
        program_steps: steps of a program.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: SkipGram,
        optimizer: Optimizer,
        slots: tuple[Slots, Slots],
        *,
        call_steps: int | None = None,
    ) -> None:
        """Compiles nothing yet.

        Args:
            strategy: the devices.
            model: its tables are read and written.
            optimizer: changes the tables.
            slots: of the target and of the context table.
            call_steps: steps of most calls, if known: a program then divides them evenly.
        """
        self._strategy, self._model = strategy, model
        self._optimizer, self._slots = optimizer, slots
        self._single = strategy.num_replicas_in_sync == 1
        limit = MAX_PROGRAM_STEPS["GPU" if tf.config.list_logical_devices("GPU") else "CPU"]
        self.program_steps = limit if call_steps is None else steps_per_program(call_steps, limit)

    @property
    def hardware(self) -> str:
        """See `replicas.StepRunner`."""
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        count = self._strategy.num_replicas_in_sync
        return f"{count} {kind} {'device' if count == 1 else 'devices'}, compiled by XLA"

    def prepare(self, records: int) -> None:
        """Compiles the step; see `replicas.StepRunner`."""
        padding = pad_to_steps(empty_batches(self._model.shape, records), self.program_steps)
        batches = split_between_devices(padding, self._strategy)
        self._train(batches, np.zeros(self.program_steps, np.float32), 1).numpy()

    def run(
        self, groups: BatchGroups, steps: int, rates: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them; see `replicas.StepRunner`."""
        results, train = [], len(rates) > 0
        while steps:
            count = min(steps, self.program_steps)
            padded = pad_to_steps(groups.take(count), self.program_steps)
            batches = split_between_devices(padded, self._strategy)
            if train:
                padded_rates = np.zeros(self.program_steps, np.float32)
                padded_rates[:count] = rates[:count]
                totals = self._train(batches, padded_rates, count)
            else:
                totals = self._on_all_devices(self._measure_program, (batches,))
            results.append((totals, count))
            steps, rates = steps - count, rates[count:]
        # Only here the host waits for the device: programs of one call are queued without a gap.
        return np.concatenate(
            [totals.numpy()[:count] for totals, count in results], dtype=np.float64
        )

    def _train(self, batches: Batch, rates: NDArray[np.float32], _: int) -> tf.Tensor:
        """Returns the totals of each step of a program, [steps, 3]."""
        return self._on_all_devices(self._train_program, (batches, rates))

    def _on_all_devices(
        self, program: Callable[..., tf.Tensor], args: tuple[Any, ...]
    ) -> tf.Tensor:
        return program(*args) if self._single else self._sum_over_devices(program, args)

    @tf.function
    def _sum_over_devices(
        self, program: Callable[..., tf.Tensor], args: tuple[Any, ...]
    ) -> tf.Tensor:
        """Returns the sum of what the program returns on each device."""

        def call(*device_args: Any) -> tf.Tensor:
            """Calls the program. Given it directly, `run` would compile all devices as one."""
            return program(*device_args)

        totals = self._strategy.run(call, args=args)
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, totals, axis=None)

    @tf.function(jit_compile=True)
    def _train_program(self, batches: Batch, rates: tf.Tensor) -> tf.Tensor:
        totals = self._new_totals()
        for step in tf.range(self.program_steps):
            gradients = self._model.gradients(batch_at_step(batches, step))
            for update, table, slots, parts in self._table_updates(gradients):
                update(table, slots, parts, rates[step])
            totals = totals.write(step, tf.stack(gradients.totals))
        return totals.stack()

    @tf.function(jit_compile=True)
    def _measure_program(self, batches: Batch) -> tf.Tensor:
        totals = self._new_totals()
        for step in tf.range(self.program_steps):
            totals = totals.write(step, tf.stack(self._model.totals(batch_at_step(batches, step))))
        return totals.stack()

    def _table_updates(self, gradients: TableGradients) -> Iterator[_TableUpdate]:
        """Yields each table with what changes it; one table where they are tied."""
        if self._model.tied:
            yield (
                self._update,
                self._model.target,
                self._slots[0],
                (gradients.target + gradients.context),
            )
        else:
            yield self._update_words, self._model.target, self._slots[0], gradients.target
            yield self._update, self._model.context, self._slots[1], gradients.context

    def _update(
        self, table: tf.Variable, slots: Slots, parts: Sequence[RowGradients], rate: tf.Tensor
    ) -> None:
        """Changes a table that has a row for each word."""
        self._optimizer.update(table, slots, parts, rate)

    def _update_words(
        self, table: tf.Variable, slots: Slots, parts: Sequence[RowGradients], rate: tf.Tensor
    ) -> None:
        """Changes the input table of the model."""
        self._model.input_rows.update(self._optimizer, table, slots, parts, rate)

    def _new_totals(self) -> tf.TensorArray:
        return tf.TensorArray(
            tf.float32, self.program_steps, element_shape=[len(LossTotals._fields)]
        )


def steps_per_program(call_steps: int, limit: int) -> int:
    """Returns the steps of a program, so that a call needs as few programs as the limit allows.

    >>> steps_per_program(30, limit=50), steps_per_program(120, limit=50)
    (30, 40)
    """
    return -(-call_steps // -(-call_steps // limit))


# --- batches of each device --------------------------------------------------------------------


def split_between_devices(batches: Batch, strategy: tf.distribute.Strategy) -> Batch:
    """Returns batches with their records split between this process's devices.

    Args:
        batches: features [n, B, width]. B is a multiple of the devices.
        strategy: the devices.

    Returns:
        Features from which `strategy.run` gives each device its own, [n, B / devices, width]; with
        one device the batches as they are.
    """
    if strategy.num_replicas_in_sync == 1:
        return batches
    devices = strategy.extended.worker_devices
    count = batches.tokens.shape[1] // len(devices)

    def split(feature: tf.Tensor) -> Any:
        """Returns a feature, split."""

        def on_device(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            """Returns one device's records."""
            index = context.replica_id_in_sync_group % len(devices)
            # Sliced on the CPU: else every device would get a copy of the whole feature first.
            with tf.device("CPU"):
                device_records = feature[:, index * count : (index + 1) * count]
            with tf.device(devices[index]):
                return tf.identity(device_records)

        return strategy.experimental_distribute_values_from_function(on_device)

    return Batch(*map(split, batches))


def batch_at_step(batches: Batch, step: tf.Tensor) -> Batch:
    """Returns one of several batches."""
    return Batch(*(feature[step] for feature in batches))
