"""The training step of one CPU: `kernels` over the variables of a model.

The tables stay TensorFlow's, so that checkpoints, `--init_from` and exports know nothing of this;
the kernels write into the memory that a variable's value is read from. A variable that is assigned
gets other memory, so it is looked up in every call.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Callable, Iterator
from threading import Timer

import numba
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.machine import available_cores
from trainer.cpu_kernels import arrays, kernels
from trainer.cpu_kernels.llvm_intrinsics import HAS_BFLOAT16
from trainer.input_pipeline import Batch, Groups, no_batches
from trainer.model import SkipGram
from trainer.optimizers import Slots

_PATIENCE = 3.0  # Seconds; code that was kept is there sooner.
_COMPILES = "compiling the step for this processor, once; it takes half a minute"
_LARGE_PAGE = 1 << 21  # Bytes.
_COLLAPSE = 25  # Linux 6.1's MADV_COLLAPSE, which Python has no name for.


class NativeSteps:
    """What trains a model on the cores of this machine, many batches in a call.

    Attributes:
        cores: how many work.
        bfloat16: whether they multiply bfloat16.
    """

    def __init__(
        self,
        model: SkipGram,
        slots: tuple[Slots, Slots],
        *,
        mixed_precision: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepares for the first batch.

        Args:
            model: whose tables are read and written.
            slots: what the optimizer remembers: an accumulator of each table, or nothing.
            mixed_precision: multiply pairs of bfloat16, where the processor can.
            tell: takes a line for the user, where the code must be compiled first.
        """
        # Cores meet twice in a step, and the first one waits for the others: awake for some ten
        # microseconds, since to be woken costs more, and then asleep, lest it take its core from
        # whatever they wait for. OpenMP looks at this when the first kernel runs.
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        self.cores = min(available_cores(), numba.config.NUMBA_NUM_THREADS)
        self._model, self._slots = model, slots
        self.bfloat16 = mixed_precision and HAS_BFLOAT16
        size, unit = model.target.shape[1], 2 if self.bfloat16 else 1
        self._sizes = arrays.sizes_of(model.shape, size, unit=unit)
        self._buffers: dict[int, tuple[tuple[NDArray[np.generic], ...], ...]] = {}
        self._tell = tell
        self._seen: set[tuple[int, int]] = set()  # Tables' addresses and sizes.

    def prepare(self, records: int) -> None:
        """Compiles the kernels, or loads them; see `replicas.Steps`."""
        with _patience(self._tell):
            self._train(no_batches(self._model.shape, records), np.zeros(0, np.float32))

    def run(self, groups: Groups, steps: int, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them; see `replicas.Steps`."""
        found = []
        while steps:
            batches = groups.take(steps)
            count = batches.tokens.shape[0]
            found.append(self._train(batches, rates[:count]))
            steps, rates = steps - count, rates[count:]
        return np.concatenate(found)

    def _train(self, batches: Batch, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Returns the totals of each batch, [n, 3]."""
        records = batches.tokens.shape[1]
        if records not in self._buffers:
            self._buffers[records] = kernels.buffers_of(
                self._model.shape, self._sizes, records, self.cores
            )
        numba.set_num_threads(self.cores)
        steps = (*(part.numpy() for part in batches), rates)
        tables = tuple(self._tables())
        room = self._buffers[records]
        found = kernels.train(steps, tables, tuple(self._sizes), room, self.cores)
        return np.asarray(found.sum(1))

    def _tables(self) -> arrays.Tables:
        target = self._table(self._model.target)
        context = target if self._model.tied else self._table(self._model.context)
        if not self._slots[0]:
            none = np.zeros(0, np.float32)
            return arrays.Tables(target, context, none, none)
        sums = memory(*self._slots[0])
        others = sums if self._model.tied else memory(*self._slots[1])
        return arrays.Tables(target, context, sums, others)

    def _table(self, variable: tf.Variable) -> NDArray[np.float32]:
        """Returns a table's memory, in large pages where it has not been seen before."""
        table = memory(variable)
        room = table.ctypes.data, table.nbytes
        if room not in self._seen:
            ask_for_large_pages(*room)  # If there are none, rows are read all the same.
            self._seen.add(room)
        return table


@contextlib.contextmanager
def _patience(tell: Callable[[str], None]) -> Iterator[None]:
    """Tells the user when what is inside takes long, as only compiling does."""
    timer = Timer(_PATIENCE, tell, (_COMPILES,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def memory(variable: tf.Variable) -> NDArray[np.float32]:
    """Returns a float32 variable's own memory as an array that can be written."""
    read, again = (np.from_dlpack(variable.read_value()) for _ in range(2))
    assert read.ctypes.data == again.ctypes.data, "TensorFlow copies this variable when it is read"
    pointer = read.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, read.shape)


def ask_for_large_pages(place: int, size: int) -> bool:
    """Moves memory to pages of 2 MB, where Linux has them for who asks; returns whether it did.

    Rows are read from all over a table: in a virtual machine to find one's page of 4 KB can take
    as long as to read it.

    Args:
        place: the address of memory that is in use.
        size: in bytes.
    """
    begin = -(-place // _LARGE_PAGE) * _LARGE_PAGE
    size = (place + size) // _LARGE_PAGE * _LARGE_PAGE - begin
    if size <= 0 or not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    given, system = (ctypes.c_void_p(begin), ctypes.c_size_t(size)), ctypes.CDLL(None)
    asked = [system.madvise(*given, each) for each in (mmap.MADV_HUGEPAGE, _COLLAPSE)]
    return not any(asked)
