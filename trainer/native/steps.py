"""The training step of one CPU: `kernels` over the variables of a model.

The tables stay TensorFlow's, so that checkpoints, `--init_from` and exports know nothing of this;
the kernels write into the memory that a variable's value is read from. A variable that is assigned
gets other memory, so it is looked up in every call.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.model import SkipGram
from trainer.native import buffers, kernels
from trainer.optimizers import Slots

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "150000 100000": microseconds of CPU in so many.


class NativeSteps:
    """What trains a model on the cores of this machine, many batches in a call.

    Attributes:
        cores: how many work.
    """

    def __init__(self, model: SkipGram, slots: tuple[Slots, Slots]) -> None:
        """Prepares for the first batch.

        Args:
            model: whose tables are read and written.
            slots: what the optimizer remembers: an accumulator of each table, or nothing.
        """
        # Cores meet twice in a step. One that spins meanwhile, as OpenMP's do, takes its core from
        # whatever the others wait for; it looks at this when the first kernel runs.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        self.cores = min(cores(), numba.config.NUMBA_NUM_THREADS)
        self._model, self._slots = model, slots
        self._size = model.target.shape[1]
        self._room = buffers.scratch_of(model.shape, self._size, self.cores)
        self._rows: buffers.Rows | None = None

    def run(self, groups: Groups, steps: int, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them.

        Args:
            groups: where the batches come from.
            steps: how many of them; there must be so many.
            rates: [steps] float32, the learning rate of each; empty to change nothing.

        Returns:
            [steps, 3] float64: loss, pairs and hits.
        """
        sizes, tables, found = buffers.sizes_of(self._model.shape), self._tables(), []
        numba.set_num_threads(self.cores)
        while steps:
            batches = groups.take(steps)
            count, records, _ = batches[0].shape
            if self._rows is None or len(self._rows.targets) != records:
                self._rows = buffers.rows_of(self._model.shape, self._size, records)
            given = (*batches, rates[:count])
            found.append(kernels.train(given, tables, sizes, self._room, self._rows).sum(1))
            steps, rates = steps - count, rates[count:]
        return np.concatenate(found)

    def _tables(self) -> buffers.Tables:
        target = memory(self._model.target)
        context = target if self._model.tied else memory(self._model.context)
        if not self._slots[0]:
            none = np.zeros(0, np.float32)
            return buffers.Tables(target, context, none, none)
        sums = memory(*self._slots[0])
        others = sums if self._model.tied else memory(*self._slots[1])
        return buffers.Tables(target, context, sums, others)


class Groups:
    """Batches out of groups, any number at a time up to the end of a group."""

    def __init__(self, groups: tf.data.Dataset) -> None:
        """Takes groups as `data.training_batches` returns them, `grouped`."""
        self._groups: Iterator[tuple[tf.Tensor, ...]] = iter(groups)
        self._held: tuple[NDArray[np.generic], ...] = ()

    def take(self, most: int) -> tuple[NDArray[np.generic], ...]:
        """Returns at least one batch and at most so many: tokens, windows, negatives.

        Raises:
            tf.errors.OpError: a shard cannot be read.
            tf.errors.OutOfRangeError: there are no more.
        """
        if not self._held or not len(self._held[0]):
            try:
                self._held = tuple(part.numpy() for part in next(self._groups))
            except StopIteration:
                raise tf.errors.OutOfRangeError(None, None, "End of sequence") from None
        taken = tuple(part[:most] for part in self._held)
        self._held = tuple(part[most:] for part in self._held)
        return taken


def memory(variable: tf.Variable) -> NDArray[np.float32]:
    """Returns a float32 variable's own memory as an array that can be written."""
    read, again = (np.from_dlpack(variable.read_value()) for _ in range(2))
    assert read.ctypes.data == again.ctypes.data, "TensorFlow copies this variable when it is read"
    pointer = read.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, read.shape)


def cores(quota: Path = _QUOTA) -> int:
    """Returns how many cores this process may use, by its affinity and by its container's limit.

    Args:
        quota: the file in which Linux says what the container may use.
    """
    count = len(os.sched_getaffinity(0))
    try:
        limit, period = quota.read_text().split()
    except (OSError, ValueError):
        return count
    return count if limit == "max" else max(1, min(count, int(limit) // int(period)))
