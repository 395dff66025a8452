"""The training step of one CPU device as machine code: `cpu_kernels` over a model's tables.

The tables stay TensorFlow variables, so checkpoints, `--init_from` and exports are the same as
without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Callable, Iterator
from threading import Timer
from typing import Any

import numba
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.machine import available_cores
from trainer.cpu_kernels.buffers import Tables, kernel_sizes
from trainer.cpu_kernels.llvm_intrinsics import HAS_BFLOAT16, describe_target
from trainer.cpu_kernels.step import Buffers, new_buffers, train
from trainer.cpu_kernels.subword_step import new_subword_buffers, train_subwords
from trainer.input_pipeline import Batch, BatchGroups, empty_batches
from trainer.model import SkipGram
from trainer.optimizers import Slots
from trainer.subword_rows import SubwordRows

_COMPILING_AFTER = 3.0  # Seconds; loading cached machine code takes less.
_COMPILING = "compiling the step for this processor, once; it takes up to a minute"
_HUGE_PAGE_BYTES = 1 << 21
_MADV_COLLAPSE = 25  # Since Linux 6.1 (madvise(2)); Python's mmap has no name for it.


class NativeStepRunner:
    """Trains a model on the cores of this machine, many batches in a call.

    Attributes:
        cores: how many threads work.
        bfloat16: whether they multiply bfloat16.
    """

    def __init__(
        self,
        model: SkipGram,
        slots: tuple[Slots, Slots],
        *,
        mixed_precision: bool = False,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Allocates nothing yet; the first batch does.

        Args:
            model: its tables are read and written.
            slots: the optimizer's accumulators of each table, or nothing for gradient descent.
            mixed_precision: whether to multiply bfloat16, where the processor can.
            warn: shows a line to the user, if the code must be compiled first.
        """
        # Threads wait for each other twice in a step. libgomp's default is to spin for long, which
        # takes the core from the thread that is waited for when other processes are busy; to sleep
        # at once costs a wake-up each time. 1,000 turns are some ten microseconds. libgomp reads
        # the variable when the first parallel loop runs.
        # https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        self.cores = min(available_cores(), numba.config.NUMBA_NUM_THREADS)
        self._model, self._slots = model, slots
        self.bfloat16 = mixed_precision and HAS_BFLOAT16
        packing = 2 if self.bfloat16 else 1
        self._sizes = kernel_sizes(model.shape, model.target.shape[1], packing=packing)
        self._buffers: dict[int, Buffers] = {}  # By the number of records in a batch.
        self._warn = warn
        self._huge_page_tables: set[tuple[int, int]] = set()  # Addresses and sizes.

    @property
    def hardware(self) -> str:
        """See `replicas.StepRunner`."""
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return f"{cores}, machine code for {describe_target(bfloat16=self.bfloat16)}"

    def prepare(self, records: int) -> None:
        """Compiles the kernels, or loads them from the cache; see `replicas.StepRunner`."""
        with _warn_if_slow(self._warn):
            self._train(empty_batches(self._model.shape, records), np.zeros(0, np.float32))

    def run(
        self, groups: BatchGroups, steps: int, rates: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Trains on the next batches, or only measures them; see `replicas.StepRunner`."""
        totals = []
        while steps:
            batches = groups.take_up_to(steps)
            count = batches.tokens.shape[0]
            totals.append(self._train(batches, rates[:count]))
            steps, rates = steps - count, rates[count:]
        return np.concatenate(totals)

    def _train(self, batches: Batch, rates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Returns the totals of each batch, [n, 3] float64."""
        records = batches.tokens.shape[1]
        numba.set_num_threads(self.cores)
        steps = (*(part.numpy() for part in batches), rates)
        tables: tuple[NDArray[Any], ...] = tuple(self._tables())
        sizes = tuple(self._sizes)
        sized = (self._model.shape, self._sizes, records, self.cores)
        input_rows = self._model.input_rows
        if isinstance(input_rows, SubwordRows):
            starts, rows, _ = input_rows.index
            if records not in self._buffers:
                self._buffers[records] = new_subword_buffers(*sized, starts)
            tables = (*tables, starts, rows)
            totals = train_subwords(steps, tables, sizes, self._buffers[records], self.cores)
        else:
            if records not in self._buffers:
                self._buffers[records] = new_buffers(*sized)
            totals = train(steps, tables, sizes, self._buffers[records], self.cores)
        return np.asarray(totals.sum(1))

    def _tables(self) -> Tables:
        # A variable that is assigned to, as by a checkpoint, gets other memory: look each time.
        target = self._table(self._model.target)
        context = target if self._model.tied else self._table(self._model.context)
        if not self._slots[0]:
            no_sums = np.zeros(0, np.float32)
            return Tables(target, context, no_sums, no_sums)
        target_sums = variable_memory(*self._slots[0])
        context_sums = target_sums if self._model.tied else variable_memory(*self._slots[1])
        return Tables(target, context, target_sums, context_sums)

    def _table(self, variable: tf.Variable) -> NDArray[np.float32]:
        """Returns a table's memory, in huge pages if the system has some."""
        table = variable_memory(variable)
        memory = table.ctypes.data, table.nbytes
        if memory not in self._huge_page_tables:
            move_to_huge_pages(*memory)
            self._huge_page_tables.add(memory)
        return table


@contextlib.contextmanager
def _warn_if_slow(warn: Callable[[str], None]) -> Iterator[None]:
    """Says that code is being compiled if the work inside takes long."""
    timer = Timer(_COMPILING_AFTER, warn, (_COMPILING,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def variable_memory(variable: tf.Variable) -> NDArray[np.float32]:
    """Returns the memory of a float32 variable as an array that can be written.

    DLPack (https://dmlc.github.io/dlpack/) shares it without a copy, but NumPy marks it read-only;
    so the array is made anew from the address.
    """
    first, second = (np.from_dlpack(variable.read_value()) for _ in range(2))
    assert first.ctypes.data == second.ctypes.data, "TensorFlow copies this variable on each read"
    pointer = first.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, first.shape)


def move_to_huge_pages(address: int, size: int) -> bool:
    """Moves memory that is in use to pages of 2 MB; returns whether Linux did it.

    Rows are read from all over a table, and the TLB holds the addresses of too few pages of 4 KB:
    in a virtual machine to look up one of the others can take as long as to read the row.
    TensorFlow's allocator does not ask for huge pages, and many systems give them only on request.

    Args:
        address: of the memory's first byte.
        size: in bytes.
    """
    begin = -(-address // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
    size = (address + size) // _HUGE_PAGE_BYTES * _HUGE_PAGE_BYTES - begin
    if size <= 0 or not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    libc = ctypes.CDLL(None)
    # Both calls are made: the first is for pages that Linux moves later if it cannot now.
    failures = [
        libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(size), advice)
        for advice in (mmap.MADV_HUGEPAGE, _MADV_COLLAPSE)
    ]
    return not any(failures)
