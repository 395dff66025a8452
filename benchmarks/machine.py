"""What this machine is, and how fast it is at best. Every benchmark prints it above its table."""

from __future__ import annotations

import os
import platform
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pmc2vec.dataset.records import RecordShape


def describe_machine() -> str:
    """Returns date, processor, memory and load, in a line: others' work makes a machine slower."""
    cpu_info, memory_info = Path("/proc/cpuinfo").read_text(), Path("/proc/meminfo").read_text()
    name = re.search(r"model name\s*: (.*)", cpu_info)
    kilobytes = re.search(r"MemTotal:\s*(\d+)", memory_info)
    features = [
        feature for feature in ("avx2", "avx512f", "avx512_bf16") if f" {feature} " in cpu_info
    ]
    return ", ".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            f"{os.cpu_count()} cores of {name[1] if name else platform.machine()}",
            " ".join(features) or "no AVX2",
            f"{int(kilobytes[1]) >> 20 if kilobytes else 0} GiB",
            f"load {os.getloadavg()[0]:.1f}",
        ]
    )


def matmul_gflops() -> float:
    """Returns the speed of NumPy's product of large float32 matrices, on all cores."""
    matrix = np.random.default_rng(0).random((3072, 3072), np.float32)
    return 2 * 3072**3 / _least_seconds(lambda: matrix @ matrix) / 1e9


def copy_gigabytes() -> float:
    """Returns GB read and written in a second when every core copies a large array."""
    sources = [np.ones(1 << 25, np.float32) for _ in range(os.cpu_count() or 1)]
    copies = [np.empty_like(source) for source in sources]

    def copy() -> None:
        threads = [
            threading.Thread(target=np.copyto, args=arrays)
            for arrays in zip(copies, sources, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return 2 * sum(source.nbytes for source in sources) / _least_seconds(copy) / 1e9


def gpu_matmul_gflops(dtype: str) -> float:
    """Returns the speed of a large product on the GPU; float32 is TensorFloat-32 by default."""
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal([8192, 8192]), dtype)
    product = tf.function(lambda: tf.matmul(matrix, matrix)[0, 0], jit_compile=True)
    return 2 * 8192**3 / _least_seconds(lambda: float(product())) / 1e9


def gpu_copy_gigabytes() -> float:
    """Returns GB read and written in a second when the GPU copies a large array."""
    import tensorflow as tf

    numbers = tf.random.uniform([1 << 28])
    copy = tf.function(lambda: numbers + 1.0, jit_compile=True)
    return 2 * 4 * (1 << 28) / _least_seconds(lambda: float(copy()[0])) / 1e9


def operations_per_target(shape: RecordShape, vector_size: int, *, banded: bool = True) -> float:
    """Returns the floating-point operations of a target's three products.

    The kernels of one CPU compute the band of contexts, 2w and up to 4 more, XLA all of the frame.
    """
    contexts = 2 * shape.window + (4 if banded else shape.block)
    return 3 * 2 * (contexts + shape.block_negatives) * vector_size


def bytes_per_target(shape: RecordShape, vector_size: int) -> float:
    """Returns what must pass through memory: rows are read, read again and written.

    These are a target's own two rows, and its part of the K rows of the block's negatives.
    """
    return 3 * (2 + shape.block_negatives / shape.block) * vector_size * 4


def _least_seconds(work: Callable[[], Any]) -> float:
    """Returns the least time of six runs: what the machine does when nothing disturbs it."""
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
