"""Where the time of a training step goes, against what this machine could do.

    python -m benchmarks.step [--words 72603] [--vector_size 128] [--threads 2]

Batches are made up: words by Zipf's law after word2vec's subsampling, sentences of 16 tokens. A row
is the median of some rounds, all variants in turn in each; a round is 50 steps in one call, without
an input pipeline. The bound is the time of the step's products at the speed of the best large
float32 product here, measured before; for the native step those of the band and the negatives, for
XLA's those of the square. The native step's batches differ from each other, as in a training: the
rows of one that comes again are still in a cache. XLA's are one.

    native             what `pmc2vec train` runs on one CPU
    gradients          the same without the update of the tables
    one core           the same as `native` on one core
    float32, bfloat16  the same with products of these; `native` has what is faster here
    S 16, K 32 ...     the native step with other blocks; 4,096 tokens ...: with other batches
    XLA                what it runs for other architectures, and on GPUs
    without XLA        the same operations, one after the other
    XLA: gradients     loss and gradients, without the update
    XLA: gather        rows of tokens, frames and negatives, summed
    XLA: products      the three matrix products
    XLA: update        Adagrad with the rows of a step, scattered
    XLA: bfloat16      the step with products in bfloat16
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import tensorflow as tf

from benchmarks.batches import BLOCK, made_up, shape_of
from benchmarks.machine import gflops
from trainer import objectives
from trainer.cpu_kernels import arrays, kernels
from trainer.cpu_kernels.llvm_intrinsics import FASTER_IN_BFLOAT16, HAS_BFLOAT16, HIGH
from trainer.model import SkipGram, frame, gradients
from trainer.optimizers import Adagrad

Work = Callable[[], Any]
STEPS = 50
SHAPES = ((8, 16), (16, 32), (32, 32), (32, 64))
TOKENS = 2048


def many(work: Callable[[], Any], *, compiled: bool = True) -> Work:
    """Returns a call that does the work STEPS times; what it returns is added up."""
    once = tf.function(work, jit_compile=True) if compiled else work

    @tf.function
    def call() -> Any:
        total = tf.constant(0.0)
        for _ in tf.range(STEPS):
            total += once()
        return total

    return call


def native(options: argparse.Namespace, block: int, negatives: int, tokens: int = TOKENS, *,
           cores: int = 0, update: bool = True,
           bfloat16: bool = FASTER_IN_BFLOAT16) -> Work:  # fmt: skip
    """Returns whole steps of blocks of such a shape, by our own machine code."""
    shape, size = shape_of(block, negatives), options.vector_size
    batches = [made_up(options.words, shape, tokens, seed) for seed in range(STEPS)]
    batch = [np.stack(parts) for parts in zip(*batches, strict=True)]
    rates = np.full(STEPS if update else 0, 0.15, np.float32)
    model = SkipGram(shape, words=options.words, vector_size=size, seed=1)
    kept = [np.ones(options.words, np.float32) for _ in range(2)]
    tables = arrays.Tables(model.target.numpy(), model.context.numpy(), *kept)
    cores = cores or options.threads
    sizes = arrays.sizes_of(shape, size, unit=2 if bfloat16 else 1)
    room = kernels.buffers_of(shape, sizes, tokens // shape.length, cores)

    def call() -> Any:
        numba.set_num_threads(cores)
        given = (*batch, rates)
        found = kernels.train(given, tuple(tables), tuple(sizes), room, cores)
        return found[:, :, 0].sum()

    return call


def xla(options: argparse.Namespace, *, bfloat16: bool = False, compiled: bool = True) -> Work:
    """Returns whole steps of the default blocks, by TensorFlow."""
    shape = shape_of(*BLOCK)
    compute = objectives.gradient_function(mixed_precision=bfloat16)
    model = SkipGram(
        shape, words=options.words, vector_size=options.vector_size, seed=1, compute=compute
    )
    optimizer, batch = Adagrad(), made_up(options.words, shape, TOKENS)
    slots = [optimizer.slots(table) for table in (model.target, model.context)]

    def once() -> Any:
        found = model.gradients(batch)
        optimizer.update(model.target, slots[0], found.target, tf.constant(0.15))
        optimizer.update(model.context, slots[1], found.context, tf.constant(0.15))
        return found.totals.loss

    return many(once, compiled=compiled)


def pieces(options: argparse.Namespace) -> dict[str, Work]:
    """Returns the pieces of XLA's step with the default blocks, each by itself."""
    shape = shape_of(*BLOCK)
    model = SkipGram(shape, words=options.words, vector_size=options.vector_size, seed=1)
    batch = made_up(options.words, shape, TOKENS)
    ids = tf.reshape(batch.tokens, [-1, shape.blocks, shape.block])
    framed = tf.concat(
        [frame(ids, shape.window), tf.reshape(batch.negatives, [*ids.shape[:2], -1])], 2
    )
    found = gradients(model.target, model.context, batch, shape)
    optimizer = Adagrad()
    slots = optimizer.slots(model.target), optimizer.slots(model.context)
    targets, candidates = tf.gather(model.target, ids), tf.gather(model.context, framed)
    rate = tf.constant(1e-9)

    def gather() -> Any:
        rows = tf.gather(model.target, ids), tf.gather(model.context, framed)
        return sum(tf.reduce_sum(each) for each in rows)

    def products() -> Any:
        logits = tf.matmul(candidates, targets, transpose_b=True)
        back = tf.matmul(logits, targets), tf.matmul(logits, candidates, transpose_a=True)
        return sum(tf.reduce_sum(each) for each in back)

    def update() -> Any:
        optimizer.update(model.target, slots[0], found.target, rate)
        optimizer.update(model.context, slots[1], found.context, rate)
        return rate

    def loss_and_gradients() -> Any:
        every = model.gradients(batch)
        parts = (*every.target, *every.context)
        return every.totals.loss + sum(tf.reduce_sum(part.rows) for part in parts)

    return {
        "XLA: gradients": many(loss_and_gradients),
        "XLA: gather": many(gather),
        "XLA: products": many(products),
        "XLA: update": many(update),
    }


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--words", type=int, default=72603)
    parser.add_argument("--vector_size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # As `trainer.cpu_kernels.steps`.
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    best = gflops() * 1e9

    near = 10 + HIGH
    band, square = near + BLOCK[1], BLOCK[0] + 10 + BLOCK[1]  # Columns of a target's products.
    rows: dict[str, tuple[Work, int, int]] = {
        "native": (native(options, *BLOCK), TOKENS, band),
        "gradients": (native(options, *BLOCK, update=False), TOKENS, band),
        "one core": (native(options, *BLOCK, cores=1), TOKENS, band),
        "float32": (native(options, *BLOCK, bfloat16=False), TOKENS, band),
        "bfloat16": (native(options, *BLOCK, bfloat16=HAS_BFLOAT16), TOKENS, band),
        **{f"S {s}, K {k}": (native(options, s, k), TOKENS, near + k) for s, k in SHAPES},
        **{f"{n:,} tokens": (native(options, *BLOCK, n), n, band) for n in (1024, 4096, 8192)},
        "XLA": (xla(options), TOKENS, square),
        "without XLA": (xla(options, compiled=False), TOKENS, square),
        **{name: (work, TOKENS, square) for name, work in pieces(options).items()},
        "XLA: bfloat16": (xla(options, bfloat16=True), TOKENS, square),
    }
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for work, _, _ in rows.values():
        work()
    for _ in range(options.rounds):
        for name, (work, _, _) in rows.items():
            began = time.perf_counter()
            float(work())
            seconds[name].append((time.perf_counter() - began) / STEPS)
    size = f"{options.words:,} words, {options.vector_size} dimensions"
    print(f"{size}, {options.threads} threads; large product {best / 1e9:.0f} GFLOP/s; ", end="")
    print(f"medians of {options.rounds} rounds\n")
    print(f"{'':18}{'ms':>8}{'lowest':>8}{'M targets/s':>13}{'of bound':>10}")
    for name, (_, tokens, width) in rows.items():
        took = statistics.median(seconds[name])
        bound = tokens * 3 * 2 * width * options.vector_size / best
        print(f"{name:18}{took * 1e3:8.2f}{min(seconds[name]) * 1e3:8.2f}"
              f"{tokens / took / 1e6:13.2f}{bound / took:10.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
