"""What a training comes to in steps and words, and how an epoch of it went."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.dataset_reader import Dataset

_LEAST, _MOST = 100, 1000
_SECONDS = 0.25


@dataclass(frozen=True)
class Position:
    """Where a training stands, and what it has seen; numbers only, kept in each checkpoint.

    Attributes:
        epoch: epochs done.
        epoch_step: steps done of the epoch after them.
        step: steps done of all epochs.
        seconds: spent on them.
        loss: summed over the pairs of this epoch or, where `epoch_step` is 0, of the one before.
        pairs: how many those are.
        hits: those whose logit beats those of `negative` noise words.
        validation_loss: mean per pair, when it was last measured; NaN before.
        validation_accuracy: share of hits, likewise.
        validated_step: the step after which it was last measured; -1 before.
        best_loss: the lowest validation loss so far.
        stale: measurements since then that were not lower.
    """

    epoch: int = 0
    epoch_step: int = 0
    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    pairs: float = 0.0
    hits: float = 0.0
    validation_loss: float = math.nan
    validation_accuracy: float = math.nan
    validated_step: int = -1
    best_loss: float = math.inf
    stale: int = 0


@dataclass(frozen=True)
class Plan:
    """What the epochs come to.

    Attributes:
        records: in a batch of all workers.
        steps: of each epoch.
        words: of each epoch: corpus tokens before subsampling.
        limit: steps after which the training ends, at most those of all epochs.
    """

    records: int
    steps: tuple[int, ...]
    words: tuple[int, ...]
    limit: int

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        *,
        epochs: int,
        batch_size: int,
        workers: int = 1,
        max_steps: int | None = None,
        max_words: int | None = None,
    ) -> Plan:
        """Returns the plan for a dataset.

        Args:
            dataset: what is trained on.
            epochs: passes over it.
            batch_size: tokens in a step of all workers.
            workers: processes that share it.
            max_steps: a limit beside the epochs.
            max_words: another: the step that reaches so many is the last.
        """
        records = batch_size // dataset.manifest.shape.length
        steps = tuple(
            dataset.steps(epoch, max(1, records // workers), workers) for epoch in range(epochs)
        )
        words = tuple(dataset.words(epoch) for epoch in range(epochs))
        limit = sum(steps) if max_steps is None else min(sum(steps), max_steps)
        plan = cls(records, steps, words, limit)
        return plan if max_words is None else replace(plan, limit=plan.steps_for(max_words))

    @property
    def total_words(self) -> int:
        """Words until the limit."""
        return self.words_after(self.limit)

    def left(self, at: Position) -> int:
        """Returns the steps to the end of a position's epoch, or to where the training ends."""
        return min(self.steps[at.epoch] - at.epoch_step, self.limit - at.step)

    def steps_for(self, words: int) -> int:
        """Returns the steps, up to the limit, after which so many words are done."""
        before = 0
        for steps, whole in zip(self.steps, self.words, strict=True):
            if words <= whole:
                return min(self.limit, before + math.ceil(words / whole * steps))
            before, words = before + steps, words - whole
        return self.limit

    def words_after(self, step: int) -> int:
        """Returns the words that so many steps stand for."""
        done = 0
        for steps, whole in zip(self.steps, self.words, strict=True):
            if step < steps:
                return done + round(step / steps * whole)
            done, step = done + whole, step - steps
        return done


@dataclass(frozen=True)
class LearningRate:
    """A rate that falls on a straight line over all the steps of a training, and rises before.

    Contexts are noise at first, and what a rare word learns from them it keeps: so the first steps
    are short ones (docs/experiments.md).

    >>> LearningRate(0.5, 0.0, steps=4, warmup=0.5).at(np.arange(4)).tolist()
    [0.25, 0.375, 0.25, 0.125]

    Attributes:
        first: at step 0, but for the warmup.
        last: where it would be at `steps`.
        steps: planned, of all epochs.
        warmup: share of the steps in which the rate is multiplied by what rises to 1.
    """

    first: float
    last: float
    steps: int
    warmup: float = 0.0

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the rates of steps, [n] float32; of one step, [] float32."""
        fall = np.float32((self.last - self.first) / max(self.steps, 1))
        line = np.float32(self.first) + fall * steps.astype(np.float32)
        rise = np.float32(max(self.warmup * self.steps, 1))
        return np.asarray(line * np.minimum(np.float32(1), (steps + 1).astype(np.float32) / rise))


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
