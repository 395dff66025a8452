"""The highest of many scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def highest(scores: NDArray[np.floating], topn: int) -> NDArray[np.intp]:
    """Returns where the `topn` highest of [V] scores are, highest first, equal ones in order.

    >>> highest(np.array([1.0, 3.0, -np.inf, 3.0, 2.0]), 3).tolist()
    [1, 3, 4]

    Fewer where the others are minus infinity.
    """
    if topn < 1:
        raise ValueError(f"topn must be at least 1, not {topn}")
    found = min(topn, int(np.count_nonzero(scores > -np.inf)))
    if not found:
        return np.empty(0, np.intp)
    floor = np.partition(scores, len(scores) - found)[len(scores) - found]
    best = np.flatnonzero(scores >= floor)
    return best[np.lexsort((best, -scores[best]))][:found]
