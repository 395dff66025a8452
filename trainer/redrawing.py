"""Windows and negatives drawn anew, for epochs after the draws that a dataset stores.

A dataset of P passes stores windows, negatives and the choice of frequent words for P epochs. A
later epoch reads the records of an earlier one; with the same windows and negatives again, a model
would overfit to them. New ones come from the same distributions. They are drawn in the threads of
the input pipeline, as a pure function of the seed, the epoch and the number of the group of
batches, so that a stopped training continues with the same draws. The choice of frequent words
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
from trainer.devices import Worker


def redraw(
    dataset: Dataset, *, epoch: int, seed: int, records: int, worker: Worker
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Returns a function that draws windows and negatives for a group of batches.

    It takes the number of the group ([] int64, counted from the epoch's first) and the stored
    windows of the worker's R records of it ([R, T] uint8). It returns windows ([R, T] uint8, with
    the stored marks of sentence starts) and negatives ([R, T / S * K] int32). All workers draw what
    one worker would draw for the same records.

    Args:
        dataset: its manifest states how windows and negatives are drawn.
        epoch: counted from 0.
        seed: of the training.
        records: B, of a batch that the worker trains on.
        worker: whose records they are.
    """
    from trainer.cpu_kernels.negative_sampling import draw_negatives, draw_windows, key_from

    shape, alias_columns = dataset.manifest.shape, _packed_alias_table(dataset)
    shrink_windows = bool(dataset.manifest.config["shrink_windows"])

    def draw_arrays(number: np.int64, stored: NDArray[np.uint8]) -> tuple[Any, Any]:
        """Returns windows and negatives as NumPy arrays."""
        # The 0 was the worker's index once; without it all trainings would get other numbers.
        seeds = np.random.SeedSequence([seed, epoch, 0, int(number)])
        window_key, negative_key = seeds.generate_state(2, np.uint64)
        windows = stored.copy()
        negatives = np.empty([len(stored), shape.negatives], np.int32)
        # One worker has the whole group in a row; of several each has a part of each batch.
        part = len(stored) if worker.count == 1 else records
        for first in range(0, len(stored), part or 1):
            first_in_group = first * worker.count + worker.index * records
            rows = slice(first, first + part)
            if shrink_windows:
                key = key_from(window_key, first_in_group * shape.length)
                draw_windows(key, np.uint64(shape.window), windows[rows].reshape(-1))
            key = key_from(negative_key, first_in_group * shape.negatives)
            draw_negatives(key, alias_columns, negatives[rows].reshape(-1))
        return windows, negatives

    def draw(number: Any, stored: Any) -> tuple[Any, Any]:
        """Returns them as tensors of static shapes."""
        windows, negatives = tf.numpy_function(
            draw_arrays, [number, stored], [tf.uint8, tf.int32], stateful=False
        )
        return (
            tf.ensure_shape(windows, [None, shape.length]),
            tf.ensure_shape(negatives, [None, shape.negatives]),
        )

    return draw


@lru_cache(maxsize=1)  # A million words take a second, and every epoch asks.
def _packed_alias_table(dataset: Dataset) -> NDArray[np.uint64]:
    """Returns the noise distribution as `draw_negatives` reads it, [V] uint64.

    The low 32 bits of a column are its `keep` probability times 2 ** 32, the high ones its `alias`:
    both come with one read of memory.
    """
    config, counts = dataset.manifest.config, dataset.vocabulary.counts
    keep, alias = alias_table(noise_distribution(counts, config["noise"], config["ns_exponent"]))
    fractions = np.minimum(keep.astype(np.float64) * 2**32, 2**32 - 1).astype(np.uint64)
    return np.asarray(fractions | alias.astype(np.uint64) << np.uint64(32))


def alias_table(
    probabilities: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Returns an alias table: it draws a word with two reads, however many words there are.

    Each word has a column of equal width. A draw picks a column and a height in it; below `keep` it
    is the column's word, above it the word `alias` (Walker 1977; built as by Vose 1991).

    >>> keep, alias = alias_table(np.array([0.5, 0.25, 0.25]))
    >>> keep.tolist(), alias.tolist()
    ([1.0, 0.75, 0.75], [0, 0, 0])

    Args:
        probabilities: [V] float64, with sum 1.

    Returns:
        keep: [V] float32, from 0 to 1.
        alias: [V] int32.
    """
    heights = (probabilities * len(probabilities)).tolist()
    alias = list(range(len(heights)))
    low = [word for word, height in enumerate(heights) if height < 1]
    high = [word for word, height in enumerate(heights) if height >= 1]
    while low and high:
        short, tall = low.pop(), high[-1]
        alias[short] = tall
        heights[tall] -= 1 - heights[short]
        if heights[tall] < 1:
            low.append(high.pop())
    for word in low + high:  # These heights differ from 1 by rounding only.
        heights[word] = 1.0
    return np.array(heights, np.float32), np.array(alias, np.int32)
