"""How many steps are done in a call, between two looks at the clock and at signals.

As many as take a quarter of a second, in hundreds, up to a thousand: a GPU does a hundred in eight
milliseconds and then waits for its host, and nobody who stops a training should wait for long.
"""

from __future__ import annotations

_LEAST, _MOST = 100, 1000
_SECONDS = 0.25


class Pace:
    """Sizes of calls, which end where something is due between two steps.

    >>> pace = Pace(validate_every=350)
    >>> pace.steps(after=300, left=999), pace.steps(after=350, left=999)
    (50, 100)
    >>> pace.took(100, seconds=0.05)
    >>> pace.steps(after=700, left=999), pace.steps(after=700, left=20)
    (350, 20)
    """

    def __init__(self, *, validate_every: int, sync_every: int | None = None) -> None:
        """Begins with short calls.

        Args:
            validate_every: steps between two measurements on held-out articles.
            sync_every: steps between two averages of the tables, if they are averaged.
        """
        self._validate_every, self._sync_every = validate_every, sync_every or 1
        self._call = _LEAST

    def steps(self, *, after: int, left: int) -> int:
        """Returns how many steps to do next.

        A call ends with an average, so it ends where one is due.

        Args:
            after: steps of the training that are done.
            left: to the end of the epoch, or of the training.
        """
        call = max(self._call // self._sync_every, 1) * self._sync_every
        until_average = call - after % self._sync_every
        return min(until_average, left, self._validate_every - after % self._validate_every)

    def took(self, steps: int, *, seconds: float) -> None:
        """Takes note of how long so many steps took."""
        hundreds = int(steps / seconds * _SECONDS) // _LEAST * _LEAST
        self._call = min(max(hundreds, _LEAST), _MOST)
