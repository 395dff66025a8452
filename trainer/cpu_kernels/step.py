"""The training step of one CPU: tables, batches and cores.

`NativeSteps` trains a model, whose tables stay TensorFlow variables: checkpoints, `--init_from` and
exports are the same as without it. Below it is `train`, the compiled loop over batches.
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
from numba import prange
from numpy.typing import NDArray

from pmc2vec.dataset.records import RecordShape
from pmc2vec.machine import available_cores
from trainer.cpu_kernels.buffers import (
    GradientIndex,
    KernelSizes,
    Tables,
    batch_gradients,
    flatten_arrays,
    gradient_index,
    kernel_sizes,
    new_gradients,
    new_scratch,
    new_word_partitions,
    piece_gradients,
    scratch_of_core,
)
from trainer.cpu_kernels.compilation import cached_njit, inline_njit, source_digest
from trainer.cpu_kernels.gradients import prepare_piece, set_block_gradients
from trainer.cpu_kernels.llvm_intrinsics import (
    CACHE_LINE_FLOATS,
    HAS_BFLOAT16,
    fetch_and_increment,
)
from trainer.cpu_kernels.scatter import partition_words, update_partition
from trainer.input_pipeline import Batch, BatchGroups, empty_batches
from trainer.model import SkipGram
from trainer.optimizers import Slots

_COMPILING_AFTER = 3.0  # Seconds; loading cached machine code takes less.
_COMPILING = "compiling the step for this processor, once; it takes half a minute"
_HUGE_PAGE_BYTES = 1 << 21
_MADV_COLLAPSE = 25  # Since Linux 6.1 (madvise(2)); Python's mmap has no name for it.

Buffers = tuple[tuple[NDArray[Any], ...], ...]


class NativeSteps:
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
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Allocates nothing yet; the first batch does.

        Args:
            model: its tables are read and written.
            slots: the optimizer's accumulators of each table, or nothing for gradient descent.
            mixed_precision: whether to multiply bfloat16, where the processor can.
            tell: called with a line for the user if the code must be compiled first.
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
        self._tell = tell
        self._huge_page_tables: set[tuple[int, int]] = set()  # Addresses and sizes.

    def prepare(self, records: int) -> None:
        """Compiles the kernels, or loads them from the cache; see `replicas.StepRunner`."""
        with _tell_if_slow(self._tell):
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
        if records not in self._buffers:
            self._buffers[records] = new_buffers(
                self._model.shape, self._sizes, records, self.cores
            )
        numba.set_num_threads(self.cores)
        steps = (*(part.numpy() for part in batches), rates)
        totals = train(
            steps, tuple(self._tables()), tuple(self._sizes), self._buffers[records], self.cores
        )
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
def _tell_if_slow(tell: Callable[[str], None]) -> Iterator[None]:
    """Tells the user that code is being compiled if the body takes long."""
    timer = Timer(_COMPILING_AFTER, tell, (_COMPILING,))
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


def new_buffers(shape: RecordShape, sizes: KernelSizes, records: int, core_count: int) -> Buffers:
    """Returns what `train` works in: the arrays of four named tuples of `buffers`.

    Args:
        shape: of the records.
        sizes: from `kernel_sizes`.
        records: B, of a batch.
        core_count: how many threads work.
    """
    return (
        flatten_arrays(new_scratch(shape, sizes, core_count)),
        flatten_arrays(new_gradients(sizes, records)),
        flatten_arrays(gradient_index(shape, sizes, records)),
        flatten_arrays(new_word_partitions(shape, records, core_count)),
    )


def _compile_train(enclosed_digest: str) -> Any:
    """Returns `train`; Numba compiles it again if the digest is not that of the cached code."""

    @cached_njit
    def train(steps: Any, tables: Any, sizes: Any, buffers: Any, core_count: int) -> Any:
        """Trains on n batches, one after the other.

        All arguments are plain tuples. Numba caches code by the types of arguments, and unpickling
        a named tuple's type fails once its module or a field has another name. Nor does `prange`
        take tuples within tuples.

        Args:
            steps: tokens [n, B, T] int32, windows [n, B, T] uint8, negatives [n, B, T / S * K]
                int32, and learning rates [n] float32; no rates to change nothing.
            tables: a `Tables`, changed.
            sizes: a `KernelSizes`.
            buffers: from `new_buffers`, for B records and as many cores.
            core_count: how many threads work.

        Returns:
            [n, B * pieces, 3] float64: loss, pairs and hits of each piece.
        """
        assert enclosed_digest
        tokens, windows, negatives, rates = steps
        scratch, gradients, index, partitions = buffers
        tables, sizes = Tables(*tables), KernelSizes(*sizes)
        totals = np.zeros((len(tokens), len(gradients[0]), 3))
        # Two work counters for each batch, each in a cache line of its own.
        counters = np.zeros((2 * len(tokens), CACHE_LINE_FLOATS), np.int32)
        for n in range(len(tokens)):
            batch = (tokens[n], windows[n], negatives[n])
            for core in prange(core_count):
                if len(rates) and core == 0:
                    partition_words(tokens[n].reshape(-1), partitions[0], partitions[1])
                if len(rates) and core == core_count - 1:
                    partition_words(negatives[n].reshape(-1), partitions[2], partitions[3])
                core_buffers = (scratch_of_core(scratch, core, core_count), gradients)
                _gradient_pass(batch, (counters, 2 * n), (sizes, tables), core_buffers, totals[n])
            if len(rates):
                for _ in prange(core_count):
                    step = (rates[n], sizes.vector_size)
                    _update_pass(
                        batch, (counters, 2 * n + 1), tables, step, (gradients, index, partitions)
                    )
        return totals

    return train


@inline_njit
def _gradient_pass(batch: Any, counter: Any, model: Any, buffers: Any, totals: Any) -> None:
    """Computes the gradients of one piece of a batch after the other, until none is left.

    Args:
        batch: tokens, windows and negatives of its records.
        counter: the counters, and which one has the number of the next piece.
        model: sizes; tables, which are not changed.
        buffers: `Scratch` of this core; arrays of the batch's gradients.
        totals: [B * pieces, 3] float64, set: loss, pairs and hits.
    """
    tokens, windows, negatives = batch
    (sizes, _), (scratch, gradients) = model, buffers
    block = _first_block(fetch_and_increment(counter[0], counter[1]), sizes)
    loss, pairs, hits = 0.0, 0, 0
    while block[0] < len(totals):
        piece, begin = block
        r = piece // sizes.pieces
        record = (tokens[r], windows[r], negatives[r])
        piece_buffers = (scratch, piece_gradients(gradients, piece))
        if begin % sizes.piece == 0:
            prepare_piece(record, begin, sizes, piece_buffers)
        block = _next_block(counter, block, tokens.shape[1], sizes)
        prefetch = _words_of_block(block, batch, sizes)
        block_totals = set_block_gradients(record, begin, prefetch, model, piece_buffers)
        loss, pairs, hits = loss + block_totals[0], pairs + block_totals[1], hits + block_totals[2]
        if block[0] != piece:
            totals[piece, 0], totals[piece, 1], totals[piece, 2] = loss, pairs, hits
            loss, pairs, hits = 0.0, 0, 0


@inline_njit
def _first_block(piece: int, sizes: KernelSizes) -> Any:
    """Returns the first block of a piece: the number of the piece, and of a token in a record."""
    return piece, piece % sizes.pieces * sizes.piece


@inline_njit
def _next_block(counter: Any, block: Any, length: int, sizes: KernelSizes) -> Any:
    """Returns the block after one: of the same piece, or the first one of the next free piece.

    That is when a piece's last block begins, so that the next rows can be prefetched.
    """
    piece, token = block
    token += sizes.block
    if token % sizes.piece and token < length:
        return piece, token
    return _first_block(fetch_and_increment(counter[0], counter[1]), sizes)


@inline_njit
def _words_of_block(block: Any, batch: Any, sizes: KernelSizes) -> Any:
    """Returns the word ids whose rows a block reads: targets, contexts, negatives.

    Of the contexts only those that the block before has not read; nothing after the last piece.
    """
    tokens, _, negatives = batch
    piece, begin = block
    r, count = piece // sizes.pieces, sizes.block_negatives
    if r >= len(tokens):
        return tokens[0, :0], tokens[0, :0], negatives[0, :0]
    first_context, first_negative = begin + sizes.window, begin // sizes.block * count
    if begin % sizes.piece == 0:
        first_context = max(begin - sizes.window, 0)
    return (
        tokens[r, begin : begin + sizes.block],
        tokens[r, first_context : begin + sizes.block + sizes.window],
        negatives[r, first_negative : first_negative + count],
    )


@inline_njit
def _update_pass(batch: Any, counter: Any, tables: Tables, step: Any, buffers: Any) -> None:
    """Updates the rows of one partition of a batch's words after the other, until none is left.

    Args:
        batch: tokens, windows and negatives of its records.
        counter: the counters, and which one has the number of the next partition.
        tables: changed.
        step: the learning rate, and D.
        buffers: arrays of the batch's gradients, of a `GradientIndex` and of `WordPartitions`.
    """
    tokens, _, negatives = batch
    gradients, index, (token_places, token_ends, negative_places, negative_ends) = buffers
    batch_parts = batch_gradients(gradients), GradientIndex(*index)
    ids = tokens.reshape(-1), negatives.reshape(-1)
    partition = fetch_and_increment(counter[0], counter[1])
    while partition < len(token_ends) - 1:
        places = (
            token_places[token_ends[partition] : token_ends[partition + 1]],
            negative_places[negative_ends[partition] : negative_ends[partition + 1]],
        )
        update_partition(ids, tables, batch_parts, step, places)
        partition = fetch_and_increment(counter[0], counter[1])


train = _compile_train(source_digest())
