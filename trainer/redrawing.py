"""Windows and negatives drawn anew, for epochs that the dataset has no draws of its own for.

A dataset of P passes holds windows, negatives and the choice of frequent words for P epochs. A
later epoch reads the records of an earlier one; trained on the same draws again, a model learns
them by heart. New windows and negatives come from the same distributions, in the input's own
threads, as a pure function of the seed, the epoch and the number of the group of batches, so that a
training that was stopped continues with what it would have drawn. The choice of frequent words
stays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.dataset.vocabulary import noise_distribution
from trainer.dataset_reader import Dataset
from trainer.distribution.devices import Worker


def redraw(
    dataset: Dataset, *, epoch: int, seed: int, worker: Worker
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Returns the function from the number of a group and its windows to what is drawn for it.

    It takes the number ([] int64, counted from the epoch's first group) and windows ([R, T] uint8,
    of its R records) and returns windows ([R, T] uint8, the marks of sentences as they were) and
    negatives ([R, T / S * K] int32).

    Args:
        dataset: its manifest says how windows and negatives are drawn.
        epoch: counted from 0.
        seed: of the training.
        worker: each draws for itself.
    """
    from trainer.cpu_kernels.negative_sampling import draw_negatives, draw_windows

    shape, columns = dataset.manifest.shape, _columns(dataset)
    shrink = bool(dataset.manifest.config["shrink_windows"])

    def draw(number: np.int64, stored: NDArray[np.uint8]) -> tuple[Any, Any]:
        """Returns what `redraw` promises, in NumPy."""
        keys = np.random.SeedSequence([seed, epoch, worker.index, int(number)])
        of_windows, of_negatives = keys.generate_state(2, np.uint64)
        windows = stored.copy()
        if shrink:
            draw_windows(of_windows, np.uint64(shape.window), windows.reshape(-1))
        negatives = np.empty([len(stored), shape.negatives], np.int32)
        draw_negatives(of_negatives, columns, negatives.reshape(-1))
        return windows, negatives

    def drawn(number: Any, windows: Any) -> tuple[Any, Any]:
        """Returns it as tensors of known shapes."""
        found = tf.numpy_function(draw, [number, windows], [tf.uint8, tf.int32], stateful=False)
        widths = shape.length, shape.negatives
        fresh, negatives = (
            tf.ensure_shape(part, [None, width]) for part, width in zip(found, widths, strict=True)
        )
        return fresh, negatives

    return drawn


@lru_cache(maxsize=1)  # For a million words it takes a second.
def _columns(dataset: Dataset) -> NDArray[np.uint64]:
    """Returns the noise distribution as `native.draws` reads it, [V] uint64."""
    config, counts = dataset.manifest.config, dataset.vocabulary.counts
    own, other = alias_table(noise_distribution(counts, config["noise"], config["ns_exponent"]))
    parts = np.minimum(own.astype(np.float64) * 2**32, 2**32 - 1).astype(np.uint64)
    return np.asarray(parts | other.astype(np.uint64) << np.uint64(32))


def alias_table(
    probabilities: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Returns what draws from a distribution in two looks, however many words there are.

    A column for each word, of equal width: below the height `own` it is the word's, above it
    another's (Walker 1977, in Vose's form of 1991).

    >>> own, other = alias_table(np.array([0.5, 0.25, 0.25]))
    >>> own.tolist(), other.tolist()
    ([1.0, 0.75, 0.75], [0, 0, 0])

    Args:
        probabilities: [V] float64, which sum to 1.

    Returns:
        own: [V] float32, from 0 to 1.
        other: [V] int32.
    """
    heights = (probabilities * len(probabilities)).tolist()
    other = list(range(len(heights)))
    low = [at for at, height in enumerate(heights) if height < 1]
    high = [at for at, height in enumerate(heights) if height >= 1]
    while low and high:
        short, tall = low.pop(), high[-1]
        other[short] = tall
        heights[tall] -= 1 - heights[short]
        if heights[tall] < 1:
            low.append(high.pop())
    for at in low + high:  # All that differs from 1 here is rounding.
        heights[at] = 1.0
    return np.array(heights, np.float32), np.array(other, np.int32)
