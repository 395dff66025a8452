"""Time of a training step, against what the processor and the memory allow.

    python -m benchmarks.step [--words 72603] [--vector_size 128] [--threads 2] [--dataset DATASET]

Batches are synthetic: words by Zipf's law after word2vec's subsampling, sentences of 16 tokens. A
row is the median of some rounds, in each of which all rows take turns; a round is 50 steps in one
call, from batches that lie in memory. The native step's batches differ from each other, as in a
training: the rows of a batch that comes again are still in the cache. XLA's are one.

    native             what `pmc2vec train` runs on one CPU
    gradients          the same without the update of the tables
    one core           the same as `native`, on one core
    float32, bfloat16  the same with such products; `native` has what is faster here
    S 16, K 32 ...     the same with other blocks: S tokens, K negatives
    4,096 tokens ...   the same with other batches
    XLA                what `pmc2vec train` runs for other architectures and on GPUs

On a machine with a GPU only XLA is measured, there. The bounds are the step's products at the speed
of a large float32 product, and its rows at the speed of a large copy, measured before. With a
dataset it also measures the input pipeline alone: an epoch with stored windows and negatives, and
one that draws them anew.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import tensorflow as tf

from benchmarks import machine
from pmc2vec.dataset.records import SENTENCE_START, RecordShape
from pmc2vec.dataset.vocabulary import keep_probabilities, noise_distribution
from trainer.cpu_kernels import step
from trainer.cpu_kernels.buffers import Tables, kernel_sizes
from trainer.cpu_kernels.llvm_intrinsics import FASTER_IN_BFLOAT16, HAS_BFLOAT16
from trainer.distribution.single_device import XlaStepRunner
from trainer.input_pipeline import GROUP_BATCHES, Batch, BatchGroups, open_dataset, training_batches
from trainer.model import SkipGram
from trainer.objectives import gradient_function
from trainer.optimizers import Adagrad

STEPS_PER_CALL = 50
DEFAULT_TOKENS = 2048
DEFAULT_BLOCK = (16, 16)  # S and K.
OTHER_BLOCKS = ((8, 16), (16, 32), (32, 32), (32, 64))
LEARNING_RATE = 0.15


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        run: does `STEPS_PER_CALL` steps and waits for their end.
        shape: of the records.
        tokens: in a batch.
        banded: whether it computes the band of contexts alone.
    """

    run: Callable[[], Any]
    shape: RecordShape
    tokens: int
    banded: bool


def record_shape(block: int, block_negatives: int) -> RecordShape:
    """Returns the shape of `pmc2vec build`'s records with such blocks."""
    return RecordShape(
        length=512, block=block, block_negatives=block_negatives, window=5, negative=5
    )


def synthetic_batch(words: int, shape: RecordShape, tokens: int, seed: int = 1) -> Batch:
    """Returns a batch of so many tokens; another seed makes another batch."""
    rng = np.random.default_rng(seed)
    counts = (1e7 / np.arange(1, words + 1)).astype(np.int64) + 1
    subsampled = counts * keep_probabilities(counts, 1e-3)
    records = tokens // shape.length
    windows = rng.integers(1, shape.window + 1, [records, shape.length]).astype(np.uint8)
    windows[:, ::16] |= SENTENCE_START
    token_ids = rng.choice(words, [records, shape.length], p=subsampled / subsampled.sum())
    negatives = rng.choice(words, [records, shape.negatives], p=noise_distribution(counts))
    return Batch(
        tf.constant(token_ids, tf.int32), tf.constant(windows), tf.constant(negatives, tf.int32)
    )


def native_row(
    options: argparse.Namespace,
    block: tuple[int, int] = DEFAULT_BLOCK,
    tokens: int = DEFAULT_TOKENS,
    *,
    cores: int = 0,
    update: bool = True,
    bfloat16: bool = FASTER_IN_BFLOAT16,
) -> Row:
    """Returns steps of the machine code for one CPU, with Adagrad."""
    shape, size = record_shape(*block), options.vector_size
    batches = [synthetic_batch(options.words, shape, tokens, i) for i in range(STEPS_PER_CALL)]
    stacked = [np.stack(parts) for parts in zip(*batches, strict=True)]
    rates = np.full(STEPS_PER_CALL if update else 0, LEARNING_RATE, np.float32)
    model = SkipGram(shape, words=options.words, vector_size=size, seed=1)
    sums = [np.ones(options.words, np.float32) for _ in range(2)]
    tables = Tables(model.target.numpy(), model.context.numpy(), *sums)
    cores = cores or options.threads
    sizes = kernel_sizes(shape, size, packing=2 if bfloat16 else 1)
    buffers = step.new_buffers(shape, sizes, tokens // shape.length, cores)

    def run() -> Any:
        numba.set_num_threads(cores)
        return step.train((*stacked, rates), tuple(tables), tuple(sizes), buffers, cores)

    return Row(run, shape, tokens, banded=True)


def xla_row(
    options: argparse.Namespace, tokens: int = DEFAULT_TOKENS, *, bfloat16: bool = False
) -> Row:
    """Returns steps of the program that XLA compiles, on the GPU if there is one."""
    shape = record_shape(*DEFAULT_BLOCK)
    model = SkipGram(
        shape,
        words=options.words,
        vector_size=options.vector_size,
        seed=1,
        gradient_function=gradient_function(mixed_precision=bfloat16),
    )
    optimizer = Adagrad()
    slots = optimizer.slots(model.target), optimizer.slots(model.context)
    steps = XlaStepRunner(tf.distribute.get_strategy(), model, optimizer, slots)
    batch = synthetic_batch(options.words, shape, tokens)
    group = tuple(tf.identity(tf.stack([part] * GROUP_BATCHES)) for part in batch)
    repeated = tf.data.Dataset.from_tensors(group).repeat()
    if tf.config.list_logical_devices("GPU"):
        repeated = repeated.apply(tf.data.experimental.prefetch_to_device("/gpu:0", 2))
    groups = BatchGroups(repeated)
    rates = np.full(STEPS_PER_CALL, LEARNING_RATE, np.float32)
    return Row(lambda: steps.run(groups, STEPS_PER_CALL, rates), shape, tokens, banded=False)


def cpu_rows(options: argparse.Namespace) -> dict[str, Row]:
    """Returns the table's rows on a machine without a GPU."""
    return {
        "native": native_row(options),
        "gradients": native_row(options, update=False),
        "one core": native_row(options, cores=1),
        "float32": native_row(options, bfloat16=False),
        "bfloat16": native_row(options, bfloat16=HAS_BFLOAT16),
        **{f"S {s}, K {k}": native_row(options, (s, k)) for s, k in OTHER_BLOCKS},
        **{f"{n:,} tokens": native_row(options, tokens=n) for n in (1024, 4096, 8192)},
        "XLA": xla_row(options),
        "XLA, bfloat16": xla_row(options, bfloat16=True),
    }


def gpu_rows(options: argparse.Namespace) -> dict[str, Row]:
    """Returns the table's rows on a machine with a GPU."""
    return {
        f"{n:,} tokens{', bfloat16' * bfloat16}": xla_row(options, n, bfloat16=bfloat16)
        for n in (2048, 8192, 32768)
        for bfloat16 in (False, True)
    }


def input_rate(folder: str, epoch: int) -> float:
    """Returns how many targets in a second the input pipeline makes of an epoch, without a step."""
    dataset = open_dataset(folder)
    records = DEFAULT_TOKENS // dataset.manifest.shape.length
    seconds = []
    for _ in range(3):
        began, count = time.perf_counter(), 0
        for group in training_batches(
            dataset, epoch=epoch, seed=1, records=records, redraw=True, grouped=True
        ):
            count += int(np.prod(group.tokens.shape))
        seconds.append((time.perf_counter() - began) / count)
    return 1 / min(seconds)


def parse_options() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--words", type=int, default=72603)
    parser.add_argument("--vector_size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dataset", help="measure its input pipeline too")
    return parser.parse_args()


def main() -> None:
    """Measures and prints the table."""
    options = parse_options()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # As `NativeStepRunner` sets it.
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    print(machine.describe_machine())
    gflops = machine.gpu_matmul_gflops("float32") if on_gpu else machine.matmul_gflops()
    gigabytes = machine.gpu_copy_gigabytes() if on_gpu else machine.copy_gigabytes()
    print(f"large float32 product {gflops:,.0f} GFLOP/s, large copy {gigabytes:,.0f} GB/s")
    if on_gpu:
        print(f"large bfloat16 product {machine.gpu_matmul_gflops('bfloat16'):,.0f} GFLOP/s")
    size = f"{options.words:,} words, {options.vector_size} dimensions, {options.threads} threads"
    print(f"{size}; medians of {options.rounds} rounds of {STEPS_PER_CALL} steps\n", flush=True)

    rows = gpu_rows(options) if on_gpu else cpu_rows(options)
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for row in rows.values():
        row.run()  # Compiles it.
    for _ in range(options.rounds):
        for name, row in rows.items():
            began = time.perf_counter()
            row.run()
            seconds[name].append((time.perf_counter() - began) / STEPS_PER_CALL)
    print(f"{'':24}{'us/step':>9}{'lowest':>9}{'ns/token':>10}{'M targets/s':>13}"
          f"{'of products':>13}{'of memory':>11}")  # fmt: skip
    for name, row in rows.items():
        median, targets = statistics.median(seconds[name]), row.tokens
        operations = machine.operations_per_target(
            row.shape, options.vector_size, banded=row.banded
        )
        moved = machine.bytes_per_target(row.shape, options.vector_size)
        print(f"{name:24}{median * 1e6:9,.0f}{min(seconds[name]) * 1e6:9,.0f}"
              f"{median / targets * 1e9:10.1f}{targets / median / 1e6:13.2f}"
              f"{targets * operations / gflops / 1e9 / median:13.0%}"
              f"{targets * moved / gigabytes / 1e9 / median:11.0%}")  # fmt: skip
    for epoch in (0, 1) if options.dataset else ():
        rate = input_rate(options.dataset, epoch)
        print(f"input pipeline, epoch {epoch}: {rate / 1e6:.1f} M targets/s", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
