"""Correlations of two samples, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # of 95 %


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Returns the rank correlation of two samples, ties sharing their mean rank.

    >>> round(spearman([1, 2, 3, 4], [10, 20, 20, 50]), 4)
    0.9487

    NaN for fewer than two values, or where all values of a sample are the same.
    """
    if len(x) < 2:
        return math.nan
    return pearson(*(_mean_ranks(np.asarray(sample, np.float64)) for sample in (x, y)))


def pearson(
    x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64]
) -> float:
    """Returns the correlation of two samples; NaN as in `spearman`.

    >>> round(pearson([1, 2, 3, 4], [10, 20, 20, 50]), 4)
    0.8944
    """
    a, b = (np.asarray(sample, np.float64) for sample in (x, y))
    if len(a) < 2:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else math.nan


def interval(correlation: float, size: int, *, ranks: bool = False) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a correlation of `size` pairs.

    Fisher's z, whose standard error is 1/sqrt(n - 3), or for ranks sqrt((1 + r^2/2) / (n - 3))
    (Bonett and Wright 2000, Psychometrika 65).

    >>> [round(end, 3) for end in interval(0.6, 100)]
    [0.457, 0.712]

    NaN where there are fewer than four pairs or no correlation.
    """
    if size < 4 or math.isnan(correlation):
        return math.nan, math.nan
    if abs(correlation) >= 1:
        return correlation, correlation
    error = math.sqrt((1 + ranks * correlation**2 / 2) / (size - 3))
    z = math.atanh(correlation)
    return math.tanh(z - _Z * error), math.tanh(z + _Z * error)


def _mean_ranks(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, repeats = np.unique(sample, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(repeats) - (repeats - 1) / 2.0)[places])
