"""Which devices train, as a `tf.distribute` strategy; and TensorFlow without its start-up notes."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from beam_pipelines.records import UserError

if TYPE_CHECKING:
    import tensorflow as tf


def load_tensorflow() -> None:
    """Loads TensorFlow, silently.

    Its libraries print lines before they read TF_CPP_MIN_LOG_LEVEL, among them an "error" on every
    machine without a GPU.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _silence():
        import tensorflow as tf

        tf.config.list_physical_devices()


def strategy(devices: int | None = None) -> tf.distribute.Strategy:
    """Returns the strategy that trains on all GPUs, or on the CPU where there is none.

    One device needs no mirrors and gets TensorFlow's default strategy.

    Args:
        devices: how many; None for all GPUs, or one CPU device. Several CPU devices share the same
            cores: they are for trying out what several GPUs would do.

    Raises:
        UserError: there are not so many.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    count = devices or max(len(gpus), 1)
    if gpus and count > len(gpus):
        raise UserError(f"--devices {count}, but this machine has {len(gpus)} GPUs; lower it")
    with contextlib.suppress(RuntimeError):  # TensorFlow has started: as its user has set it up.
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, enable=True)
    if count == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        _split_cpu(count)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{at}" for at in range(count)])


def _split_cpu(count: int) -> None:
    """Makes `count` logical devices of the CPU; TensorFlow allows it once, and early."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise UserError(
                f"--devices {count}: TensorFlow has started with fewer CPU devices in this process"
            ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Holds back what is written to stderr, and shows it only if the work inside fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
