"""How a training fails: what TensorFlow raises, in words for the user."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from pmc2vec.dataset.manifest import Shard
from pmc2vec.errors import UserError
from trainer.config import TrainConfig
from trainer.dataset_reader import Dataset, damage

_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnavailableError,
)

# What a collective operation ends with when a process that takes part in it is gone.
_GONE = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


@contextlib.contextmanager
def told(dataset: Dataset, shards: Sequence[Shard], *, workers: int) -> Iterator[None]:
    """Raises as a UserError what the work inside fails with.

    Args:
        dataset: what it reads.
        shards: those of it.
        workers: processes that take part.
    """
    gone: tuple[Any, ...] = _GONE if workers > 1 else ()
    try:
        yield
    except gone as error:
        raise UserError(
            "another worker of the cluster is gone, so this one ends too; start all of them again "
            "with the same command, and they continue from the last checkpoint"
        ) from error
    except _UNREADABLE as error:
        raise damage(dataset, shards, error) from error


def diverged(config: TrainConfig, step: int) -> UserError:
    """Returns what to tell the user when numbers are no longer finite after `step`."""
    return UserError(
        f"step {step:,}: the loss or a vector is no longer a finite number; lower --alpha "
        f"({config.alpha}) or --batch_size ({config.batch_size}) and train in "
        f"another --workdir; the checkpoints in {config.checkpoint_dir} are from before"
    )
