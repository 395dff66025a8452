"""What this machine can do at best: products and copies on all cores."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import numpy as np


def gflops() -> float:
    """Returns what NumPy's product of large float32 matrices reaches."""
    matrix = np.random.default_rng(0).random((3072, 3072), np.float32)
    return 2 * 3072**3 / _best(lambda: matrix @ matrix) / 1e9


def gigabytes() -> float:
    """Returns how many are read and written in a second when every core copies."""
    sources = [np.ones(1 << 25, np.float32) for _ in range(os.cpu_count() or 1)]
    copies = [np.empty_like(source) for source in sources]

    def copy() -> None:
        threads = [
            threading.Thread(target=np.copyto, args=both)
            for both in zip(copies, sources, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return 2 * sum(source.nbytes for source in sources) / _best(copy) / 1e9


def _best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
