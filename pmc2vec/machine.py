"""The machine that a program runs on: its CPU cores, TensorFlow's start, garbage collection.

Both the trainer and the formats of vectors need these, so they stand below both.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Of cgroup v2: "150000 100000" is 150000 microseconds of CPU time in each 100000; or "max 100000".
_CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"


def available_cores(limit_file: Path = _CGROUP_CPU_LIMIT) -> int:
    """Returns how many CPU cores this process may use, by its affinity and its container's limit.

    Args:
        limit_file: the file in which Linux states the limit of the container.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Only Linux has it.
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        microseconds, period = limit_file.read_text().split()
    except (OSError, ValueError):
        return count
    if microseconds == "max":
        return count
    return max(1, min(count, int(microseconds) // int(period)))


def load_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages, and without Keras.

    Keras is loaded when `tf.keras` is first used.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _stderr_on_failure_only(), _keras_deferred(), garbage_collection_paused():
        import tensorflow as tf

        # The first look for GPUs prints an "error" on every machine without one.
        tf.config.list_physical_devices()


@contextlib.contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Turns Python's cyclic garbage collector off inside, for the import of large packages.

    Modules make a million objects and no garbage; without the collector, Beam's load in three
    quarters of the time.
    """
    enabled_before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled_before:
            gc.enable()


def skip_garbage_collection_at_exit() -> None:
    """Ends the process without a last garbage collection, which takes up to two seconds."""
    atexit.register(gc.freeze)


@contextlib.contextmanager
def _keras_deferred() -> Iterator[None]:
    """Keeps TensorFlow from loading Keras while it is itself loaded inside.

    TensorFlow 2.16 and later load Keras 3 at once, which takes as long as TensorFlow where there
    are Matplotlib and scikit-learn. With this variable it looks for the package tf_keras, which is
    not installed, and goes on without. It reads the variable again when `tf.keras` is first used.
    """
    value_before = os.environ.get(_LEGACY_KERAS)
    os.environ.setdefault(_LEGACY_KERAS, "1")
    try:
        yield
    finally:
        if value_before is None:
            del os.environ[_LEGACY_KERAS]


@contextlib.contextmanager
def _stderr_on_failure_only() -> Iterator[None]:
    """Holds back what is written to stderr, and shows it only where the work inside fails.

    It works on the file descriptor: TensorFlow's C++ libraries print to it before they read
    TF_CPP_MIN_LOG_LEVEL.
    """
    sys.stderr.flush()
    real_stderr = os.dup(2)
    with tempfile.TemporaryFile() as buffer:
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(real_stderr, 2)
            buffer.seek(0)
            os.write(2, buffer.read())
            raise
        finally:
            os.dup2(real_stderr, 2)
            os.close(real_stderr)
