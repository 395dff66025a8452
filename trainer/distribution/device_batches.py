"""What each device gets of some batches; an axis for the steps comes first."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from pmc2vec.dataset.records import RECORD_FEATURES
from trainer.input_pipeline import Batch


def portions_of(batches: Batch, strategy: tf.distribute.Strategy) -> Batch:
    """Returns the batches' records dealt to this process's devices, as many in a row to each.

    Args:
        batches: [n, B, T] parts; B is a multiple of the devices.
        strategy: knows the devices; where there is one, it gets the batches as they are.

    Returns:
        Parts that `strategy.run` passes on, to each device its own.
    """
    if strategy.num_replicas_in_sync == 1:
        return batches
    devices = strategy.extended.worker_devices
    count = batches.tokens.shape[1] // len(devices)

    def dealt(part: Any) -> Any:
        """Returns a part of the batches, to each device its records."""

        def of_device(context: tf.distribute.ReplicaContext) -> Any:
            """Returns one device's."""
            at = context.replica_id_in_sync_group % len(devices)
            with tf.device("CPU"):  # Not the whole of it to each device.
                own = part[:, at * count : (at + 1) * count]
            with tf.device(devices[at]):
                return tf.identity(own)

        return strategy.experimental_distribute_values_from_function(of_device)

    return Batch(*map(dealt, batches))


def filled_up(batches: Batch, steps: int) -> Batch:
    """Returns so many batches, the last of them padding."""
    missing = [[0, steps - batches.tokens.shape[0]], [0, 0], [0, 0]]
    if not missing[0][1]:
        return batches
    return Batch(
        *(
            tf.pad(part, missing, constant_values=tf.cast(feature.filler, part.dtype))
            for feature, part in zip(RECORD_FEATURES, batches, strict=True)
        )
    )


def at_step(batches: Batch, step: Any) -> Batch:
    """Returns one of them."""
    return Batch(*(part[step] for part in batches))
