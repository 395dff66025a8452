"""The totals of steps, gathered into points of a curve.

What trains tells of many steps at a time, whatever the curves want: a call that ended where a point
is due would leave a GPU idle most of the time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Point(NamedTuple):
    """What some steps came to.

    Attributes:
        first: steps of the training before them.
        step: the last of them.
        loss: mean over their pairs.
        accuracy: share of the pairs whose logit beats those of `negative` noise words.
        seconds: that they took.
    """

    first: int
    step: int
    loss: float
    accuracy: float
    seconds: float


class Curve:
    """Steps in the order of the training, from which a point comes now and then.

    >>> curve = Curve(every=2, step=5)
    >>> curve.add(np.array([[3.0, 2, 1], [4.0, 2, 0], [4.0, 2, 1]]), seconds=6)
    [Point(first=5, step=6, loss=1.5, accuracy=0.5, seconds=2.0), \
Point(first=6, step=8, loss=2.0, accuracy=0.25, seconds=4.0)]
    """

    def __init__(self, *, every: int, step: int) -> None:
        """Begins after a step.

        Args:
            every: steps between two points; they lie at multiples of it.
            step: how many are done.
        """
        self._every = every
        self._first = self._step = step
        self._totals, self._seconds = np.zeros(3), 0.0

    def add(self, totals: NDArray[np.float64], seconds: float) -> list[Point]:
        """Adds steps and returns the points that they complete.

        Args:
            totals: [n, 3], loss, pairs and hits of each step.
            seconds: that they took together; each is taken to have lasted as long as the others.
        """
        points, each = [], seconds / max(len(totals), 1)
        while len(totals):
            count = min(len(totals), self._every - self._step % self._every)
            self._totals += totals[:count].sum(0)
            self._seconds += count * each
            self._step += count
            totals = totals[count:]
            if self._step % self._every == 0:
                points.append(self._point())
        return points

    def _point(self) -> Point:
        (loss, pairs, hits), took = self._totals.tolist(), self._seconds
        point = Point(self._first, self._step, loss / max(pairs, 1), hits / max(pairs, 1), took)
        self._first, self._totals, self._seconds = self._step, np.zeros(3), 0.0
        return point
