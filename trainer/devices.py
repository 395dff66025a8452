"""Which devices train, as a `tf.distribute` strategy.

Several processes train together where the variable TF_CONFIG lists them, as Vertex AI and Kubeflow
set it:

    {"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}

The chief, or the first worker where there is none, writes all files. The others read its
checkpoints, so `--checkpoint_dir` must be a folder that all of them see.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pmc2vec.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf


TF_CONFIG = "TF_CONFIG"

_TRAINING_TASKS = ("chief", "worker")  # In the order in which TensorFlow numbers them.


@dataclass(frozen=True)
class Worker:
    """One of the processes that train together.

    Attributes:
        index: from 0.
        count: number of processes.
    """

    index: int = 0
    count: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process writes the files."""
        return self.index == 0


SINGLE_WORKER = Worker()


def this_worker() -> Worker:
    """Returns which worker this process is, by TF_CONFIG.

    >>> os.environ["TF_CONFIG"] = (
    ...     '{"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]},'
    ...     ' "task": {"type": "worker", "index": 1}}'
    ... )
    >>> this_worker()
    Worker(index=2, count=3)
    >>> del os.environ["TF_CONFIG"]

    Raises:
        UserError: it has not the form above, or this task is neither chief nor worker.
    """
    text = os.environ.get(TF_CONFIG)
    if not text:
        return SINGLE_WORKER
    try:
        config = json.loads(text)
        tasks = {kind: len(config.get("cluster", {}).get(kind, ())) for kind in _TRAINING_TASKS}
        kind = config.get("task", {}).get("type", "worker")
        index = int(config.get("task", {}).get("index", 0))
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"TF_CONFIG: not of the form that TensorFlow gives it ({error}); unset or mend it"
        ) from error
    count = sum(tasks.values())
    if count < 2:
        return SINGLE_WORKER
    if kind not in tasks or not 0 <= index < tasks[kind]:
        raise UserError(
            f"TF_CONFIG: task {kind} {index} is none of {tasks['chief']} chiefs and "
            f"{tasks['worker']} workers; only those train"
        )
    return Worker(index + (tasks["chief"] if kind == "worker" else 0), count)


def worker_addresses() -> list[str]:
    """Returns the address of each worker, host:port, in the order of `Worker.index`."""
    cluster = json.loads(os.environ[TF_CONFIG])["cluster"]
    return [str(address) for kind in _TRAINING_TASKS for address in cluster.get(kind, ())]


def distribution_strategy(devices: int | None = None) -> tf.distribute.Strategy:
    """Returns the strategy that trains on all GPUs, or on the CPU where there is none.

    One device needs no mirrors and gets TensorFlow's default strategy. In a cluster it waits for
    the other processes.

    Args:
        devices: of this process; None for all GPUs, or one CPU device. Several CPU devices share
            the same cores: they are for trying out what several GPUs would do.

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
    if this_worker().count > 1:
        return _cluster_strategy(gpus[:count], count)
    if count == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        _split_cpu(count)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"{kind}:{at}" for at in range(count)])


def _cluster_strategy(gpus: list[tf.config.PhysicalDevice], count: int) -> tf.distribute.Strategy:
    """Returns the strategy of a cluster, once all its processes are there."""
    import tensorflow as tf

    if gpus:
        tf.config.set_visible_devices(gpus, "GPU")
    elif count > 1:
        raise UserError(f"--devices {count}: in a cluster without GPUs each process has one device")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"TF_CONFIG: the cluster does not come together ({reason}); "
            "start all its processes again"
        ) from error


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
