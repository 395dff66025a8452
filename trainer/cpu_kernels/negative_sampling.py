"""Random windows and negatives, drawn for an epoch by machine code.

The i-th number of a stream is a hash of the stream's key and i, as in SplitMix64 (Steele, Lea and
Flood 2014, "Fast splittable pseudorandom number generators"). So any number can be computed
without those before it, and resuming in the middle of an epoch draws the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pmc2vec.dataset.records import SENTENCE_START, WINDOW_BITS
from trainer.cpu_kernels.compilation import cached_njit, inline_njit

# SplitMix64: the increment (2**64 divided by the golden ratio) and both multipliers of the hash.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1, _MULTIPLIER_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_32, _LOW_32_BITS = np.uint64(32), np.uint64(2**32 - 1)
_SENTENCE_BIT, _WINDOW_BITS = np.uint8(SENTENCE_START), np.uint8(WINDOW_BITS)


def key_from(key: np.uint64, i: int) -> np.uint64:
    """Returns the key of the stream that begins with the i-th number of another stream."""
    return np.uint64((int(key) + i * int(_INCREMENT)) % 2**64)


@inline_njit
def _random_bits(key: Any, i: int) -> Any:
    """Returns 64 random bits, the i-th of a stream."""
    bits = key + np.uint64(i) * _INCREMENT
    bits = (bits ^ (bits >> np.uint64(30))) * _MULTIPLIER_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MULTIPLIER_2
    return bits ^ (bits >> np.uint64(31))


def _draw_windows(key, window, windows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Draws a window from 1 to `window` for every target; the sentence bit of each token stays.

    A token whose window is 0 is no target, and stays none.

    Args:
        key: of the stream, uint64.
        window: the largest, uint64.
        windows: [n] uint8, changed.
    """
    for i in range(len(windows)):
        # 32 random bits times n, without the lower 32 bits, are a number below n (Lemire 2019).
        width = ((_random_bits(key, i) >> _SHIFT_32) * window >> _SHIFT_32) + np.uint64(1)
        if windows[i] & _WINDOW_BITS:
            windows[i] = windows[i] & _SENTENCE_BIT | np.uint8(width)


def _draw_negatives(key, alias_table, negatives):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Draws word ids by the alias method (Walker 1977).

    Args:
        key: of the stream, uint64.
        alias_table: [V] uint64. The lower 32 bits of entry v: the probability, times 2**32, that v
            itself is drawn where v was picked; the upper 32: the word that is drawn otherwise.
        negatives: [n] int32, set.
    """
    words = np.uint64(len(alias_table))
    for i in range(len(negatives)):
        bits = _random_bits(key, i)
        column = (bits >> _SHIFT_32) * words >> _SHIFT_32
        entry = alias_table[column]
        alias = entry >> _SHIFT_32
        # All bits, or none: a branch would be mispredicted half of the time.
        keep = np.uint64(0) - np.uint64((bits & _LOW_32_BITS) < (entry & _LOW_32_BITS))
        negatives[i] = np.int32(alias ^ ((alias ^ column) & keep))


draw_windows = cached_njit(_draw_windows, parallel=False)
draw_negatives = cached_njit(_draw_negatives, parallel=False)
