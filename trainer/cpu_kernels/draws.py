"""Windows and negatives drawn as machine code.

The i-th number of a stream is a hash of its key and of i: the generator splitmix64 (Steele, Lea and
Flood 2014), whose numbers depend on none before. TensorFlow's take four times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pmc2vec.dataset.records import SENTENCE_START
from trainer.cpu_kernels.compilation import compiled, kept

_STRIDE = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF, _LOW = np.uint64(32), np.uint64(2**32 - 1)
_MARK = np.uint8(SENTENCE_START)


@compiled
def _hash(key: Any, at: int) -> Any:
    """Returns 64 random bits."""
    bits = key + np.uint64(at) * _STRIDE
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))


def _windows(key, window, windows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Draws a width from 1 to `window` for every token, and leaves the marks of sentences.

    Args:
        key: of the stream, uint64.
        window: the largest, uint64.
        windows: [n] uint8, changed.
    """
    for at in range(len(windows)):
        width = ((_hash(key, at) >> _HALF) * window >> _HALF) + np.uint64(1)
        windows[at] = windows[at] & _MARK | np.uint8(width)


def _negatives(key, columns, negatives):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Draws words by an alias table, without a branch, which would be guessed wrongly.

    Args:
        key: of the stream, uint64.
        columns: [V] uint64: of each column how much is its own, in 2 ** -32, and above 32 bits
            whose the rest is.
        negatives: [n] int32, set.
    """
    words = np.uint64(len(columns))
    for at in range(len(negatives)):
        bits = _hash(key, at)
        column = (bits >> _HALF) * words >> _HALF
        both = columns[column]
        own = np.uint64(0) - np.uint64((bits & _LOW) < (both & _LOW))  # All bits, or none.
        other = both >> _HALF
        negatives[at] = np.int32(other ^ ((other ^ column) & own))


draw_windows, draw_negatives = kept(_windows, parallel=False), kept(_negatives, parallel=False)
