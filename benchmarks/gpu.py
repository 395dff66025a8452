"""What one GPU does with the training step, against what its memory and its products allow.

    python -m benchmarks.gpu [--words 72603] [--vector_size 128] [--dataset DATASET]

Batches are made up as in `benchmarks.step`. A row is the median of some rounds, all rows in turn in
each; a round is 100 steps in one call of what `pmc2vec train` runs on a GPU, from batches that lie
there already. Bytes are what a step must move: 2 + (2w + K) / S rows of a target read, their
gradients written and read, 2 + K / S rows read and written again; operations are those of its
products. With a dataset, the input's speed alone too, of an epoch with its own draws and of one
that draws anew.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.batches import BLOCK, made_up, shape_of
from pmc2vec.dataset.records import RecordShape
from trainer.distribution.single_device import XlaSteps
from trainer.input_pipeline import GROUP, Groups, open_dataset, training_batches
from trainer.model import SkipGram
from trainer.objectives import gradient_function
from trainer.optimizers import Adagrad

STEPS = 100
TOKENS = (2048, 8192, 32768)


def gigabytes() -> float:
    """Returns how many are read and written in a second where one large array is copied."""
    numbers = tf.random.uniform([1 << 28])
    copy = tf.function(lambda: numbers + 1.0, jit_compile=True)
    return 2 * 4 * (1 << 28) / _seconds(copy) / 1e9


def gflops(kind: tf.DType) -> float:
    """Returns what one large product of matrices of a type reaches."""
    matrix = tf.cast(tf.random.normal([8192, 8192]), kind)
    product = tf.function(lambda: tf.matmul(matrix, matrix), jit_compile=True)
    return 2 * 8192**3 / _seconds(product) / 1e9


def step(options: argparse.Namespace, tokens: int, *, bfloat16: bool = False) -> Callable[[], Any]:
    """Returns a call of `STEPS` steps of so many tokens."""
    shape = shape_of(*BLOCK)
    model = SkipGram(
        shape,
        words=options.words,
        vector_size=options.vector_size,
        seed=1,
        compute=gradient_function(mixed_precision=bfloat16),
    )
    optimizer = Adagrad()
    slots = optimizer.slots(model.target), optimizer.slots(model.context)
    steps = XlaSteps(tf.distribute.get_strategy(), model, optimizer, slots)
    batch = made_up(options.words, shape, tokens)
    group = type(batch)(*(tf.identity(tf.stack([part] * GROUP)) for part in batch))
    rates = np.full(STEPS, 0.15, np.float32)
    again = tf.data.Dataset.from_tensors(tuple(group)).repeat()
    if tf.config.list_logical_devices("GPU"):
        again = again.apply(tf.data.experimental.prefetch_to_device("/gpu:0", 2))
    groups = Groups(again)
    return lambda: steps.run(groups, STEPS, rates)


def bytes_of(tokens: int, shape: RecordShape, size: int) -> float:
    """Returns what a step must read and write of the tables and of gradients."""
    gathered = 2 + (2 * shape.window + shape.block_negatives) / shape.block
    written = 2 + shape.block_negatives / shape.block
    return tokens * 4 * size * (gathered + 2 * written + 2 * written)


def operations_of(tokens: int, shape: RecordShape, size: int) -> float:
    """Returns those of a step's three products."""
    return 3 * 2 * tokens * (shape.block + 2 * shape.window + shape.block_negatives) * size


def input_rate(folder: str, epoch: int, tokens: int) -> float:
    """Returns how many targets the input makes in a second, by itself, on all cores."""
    dataset = open_dataset(folder)
    records = tokens // dataset.manifest.shape.length
    read = {"seed": 1, "records": records, "redraw": True, "grouped": True}
    took = []
    for _ in range(3):
        began, count = time.perf_counter(), 0
        for group in training_batches(dataset, epoch=epoch, **read):
            count += int(np.prod(group.tokens.shape))
        took.append((time.perf_counter() - began) / count)
    return 1 / min(took)


def _seconds(work: Callable[[], Any]) -> float:
    """Returns the least of some tries of ten in a row."""
    float(tf.reduce_sum(tf.cast(work(), tf.float32)[:1]))
    took = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(10):
            last = work()
        float(tf.reduce_sum(tf.cast(last, tf.float32)[:1]))
        took.append((time.perf_counter() - began) / 10)
    return min(took)


def main() -> None:
    """Measures and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--words", type=int, default=72603)
    parser.add_argument("--vector_size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dataset")
    options = parser.parse_args()
    memory = gigabytes()
    tensor_float, brain = gflops(tf.float32), gflops(tf.bfloat16)
    print(f"memory {memory:.0f} GB/s; products {tensor_float / 1e3:.0f} TFLOP/s in TensorFloat-32, "
          f"{brain / 1e3:.0f} in bfloat16", flush=True)  # fmt: skip
    shape = shape_of(*BLOCK)
    rows = {(tokens, half): step(options, tokens, bfloat16=half)
            for tokens in TOKENS for half in (False, True)}  # fmt: skip
    took: dict[tuple[int, bool], list[float]] = {row: [] for row in rows}
    for work in rows.values():
        work()
    for _ in range(options.rounds):
        for row, work in rows.items():
            began = time.perf_counter()
            work()
            took[row].append((time.perf_counter() - began) / STEPS)
    print(f"\n{'tokens':>8} {'products':10}{'us':>8}{'M targets/s':>13}", end="")
    print(f"{'of memory':>11}{'of products':>13}")
    for (tokens, half), found in took.items():
        seconds = statistics.median(found)
        moved = bytes_of(tokens, shape, options.vector_size) / memory / 1e9
        best = brain if half else tensor_float
        products = operations_of(tokens, shape, options.vector_size) / best / 1e9
        kind = "bfloat16" if half else "float32"
        print(f"{tokens:8,} {kind:10}{seconds * 1e6:8.1f}{tokens / seconds / 1e6:13.1f}"
              f"{moved / seconds:11.1%}{products / seconds:13.1%}")  # fmt: skip
    for epoch in (0, 1) if options.dataset else ():
        rate = input_rate(options.dataset, epoch, TOKENS[0])
        print(f"input, epoch {epoch}: {rate / 1e6:.1f} M targets/s", flush=True)


if __name__ == "__main__":
    main()
