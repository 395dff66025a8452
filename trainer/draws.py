"""Windows and negatives drawn anew, for epochs that the dataset has no draws of its own for.

A dataset of P passes holds windows, negatives and the choice of frequent words for P epochs. A
later epoch reads the records of an earlier one; trained on the same draws again, a model learns
them by heart. New windows and negatives come from the same distributions, in the input's own
threads, as a pure function of the seed, the epoch and the number of the batch, so that a training
that was stopped continues with what it would have drawn. The choice of frequent words stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from beam_pipelines.records import SENTENCE_START
from beam_pipelines.vocabulary import noise_distribution
from trainer.dataset import Dataset
from trainer.devices import Worker


def redraw(
    dataset: Dataset, *, epoch: int, seed: int, worker: Worker
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Returns the function from the number of a batch and its windows to what is drawn for it.

    It takes the number ([] int64, counted from the epoch's first batch) and windows ([B, T] uint8)
    and returns windows ([B, T] uint8, the marks of sentences as they were) and negatives
    ([B, T / S * K] int32).

    Args:
        dataset: its manifest says how windows and negatives are drawn.
        epoch: counted from 0.
        seed: of the training.
        worker: each draws for itself.
    """
    config, shape = dataset.manifest.config, dataset.manifest.shape
    counts = dataset.vocabulary.counts
    noise = np.cumsum(noise_distribution(counts, config["noise"], config["ns_exponent"]))
    noise /= noise[-1]
    streams = np.random.default_rng([seed, epoch, worker.index]).integers(2**62, size=2)
    shrink = bool(config["shrink_windows"])

    def drawn(number: Any, windows: Any) -> tuple[Any, Any]:
        of_windows, of_negatives = (tf.stack([tf.constant(s), number]) for s in streams)
        if shrink:
            widths = tf.random.stateless_uniform(
                tf.shape(windows), of_windows, 1, shape.window + 1, tf.int32
            )
            windows = (windows & SENTENCE_START) | tf.cast(widths, tf.uint8)
        places = tf.random.stateless_uniform(
            [tf.shape(windows)[0] * shape.negatives], of_negatives, dtype=tf.float64
        )
        negatives = tf.searchsorted(tf.constant(noise), places, side="right")
        return windows, tf.reshape(negatives, [-1, shape.negatives])

    return drawn
