"""What happens at which step: the epochs, the learning rate, and how many steps a call does.

    schedule = EpochSchedule.for_dataset(dataset, epochs=5, batch_size=2048)
    rate = LearningRateSchedule(0.4, 0.05, steps=schedule.step_limit, warmup=0.1)
    rate.at(np.arange(100))  # [100] float32

A schedule depends on the dataset and the options alone, so a continued training has the same one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.dataset_reader import Dataset

_MIN_STEPS, _MAX_STEPS = 100, 1000  # Of a call; see StepsPerCall.
_CALL_SECONDS = 0.25


@dataclass(frozen=True)
class TrainingPosition:
    """How far a training is, and what it has measured. Every checkpoint holds one.

    All fields are int or float. Their names are names of variables in the checkpoint.

    Attributes:
        epoch: finished epochs.
        epoch_step: steps done in the epoch after them.
        step: steps done in all epochs.
        seconds: time spent on them.
        loss: sum over the pairs of this epoch; of the epoch before where `epoch_step` is 0.
        pairs: the number of these pairs.
        hits: the pairs whose logit is above those of their `negative` negatives.
        validation_loss: mean per pair at the last validation; NaN before the first.
        validation_accuracy: share of hits at the last validation; NaN before the first.
        validated_step: the step of the last validation; -1 before the first.
        best_loss: the lowest validation loss so far; where early stopping goes by word pairs, the
            highest correlation, negated.
        stale: validations since then, none of which was better.
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

    @property
    def mean_loss(self) -> float:
        """The mean loss per pair of the epoch."""
        return self.loss / max(self.pairs, 1)

    @property
    def accuracy(self) -> float:
        """The share of hits of the epoch."""
        return self.hits / max(self.pairs, 1)


@dataclass(frozen=True)
class EpochSchedule:
    """The steps and the words of each epoch, and the step at which the training ends.

    The dataset's passes take turns, so that a million epochs need no longer plan than the passes.

    Attributes:
        records: in a batch of all workers together.
        steps: of the epochs of one turn through the passes.
        words: of the same epochs: tokens of the corpus before subsampling.
        step_limit: the last step; at most the steps of all epochs.
    """

    records: int
    steps: tuple[int, ...]
    words: tuple[int, ...]
    step_limit: int

    @classmethod
    def for_dataset(
        cls,
        dataset: Dataset,
        *,
        epochs: int,
        batch_size: int,
        max_steps: int | None = None,
        max_words: int | None = None,
    ) -> EpochSchedule:
        """Returns the schedule of a training on a dataset.

        Args:
            dataset: the training data.
            epochs: passes over it.
            batch_size: tokens in a step of all workers.
            max_steps: ends the training at this step, if the epochs do not end before.
            max_words: ends the training at the first step that reaches so many words.
        """
        records = batch_size // dataset.manifest.shape.length
        turn = range(dataset.manifest.passes)
        steps = tuple(dataset.steps(epoch, max(1, records)) for epoch in turn)
        words = tuple(dataset.words(epoch) for epoch in turn)
        turns, rest = divmod(epochs, len(turn))
        limit = turns * sum(steps) + sum(steps[:rest])
        if max_steps is not None:
            limit = min(limit, max_steps)
        schedule = cls(records, steps, words, limit)
        if max_words is None:
            return schedule
        return replace(schedule, step_limit=schedule.steps_for_words(max_words))

    @property
    def total_words(self) -> int:
        """The words until the step limit."""
        return self.words_after(self.step_limit)

    def steps_of(self, epoch: int) -> int:
        """Returns the steps of an epoch, counted from 0."""
        return self.steps[epoch % len(self.steps)]

    def steps_left(self, position: TrainingPosition) -> int:
        """Returns the steps to the end of the position's epoch, or to the step limit."""
        return min(
            self.steps_of(position.epoch) - position.epoch_step, self.step_limit - position.step
        )

    def steps_for_words(self, words: int) -> int:
        """Returns the number of steps that train on so many words, at most the step limit."""
        turns, words = divmod(words, sum(self.words))
        steps_before = turns * sum(self.steps)
        for steps, epoch_words in zip(self.steps, self.words, strict=True):
            if words <= epoch_words:
                return min(self.step_limit, steps_before + math.ceil(words / epoch_words * steps))
            steps_before, words = steps_before + steps, words - epoch_words
        return self.step_limit

    def epochs_after(self, step: int) -> float:
        """Returns the epochs that the first `step` steps are, with the part of the last one."""
        turns, step = divmod(step, sum(self.steps))
        epochs = float(turns * len(self.steps))
        for steps in self.steps:
            if step < steps:
                return epochs + step / steps
            epochs, step = epochs + 1, step - steps
        return epochs

    def words_after(self, step: int) -> int:
        """Returns the words that the first `step` steps stand for."""
        turns, step = divmod(step, sum(self.steps))
        words_before = turns * sum(self.words)
        for steps, epoch_words in zip(self.steps, self.words, strict=True):
            if step < steps:
                return words_before + round(step / steps * epoch_words)
            words_before, step = words_before + epoch_words, step - steps
        return words_before


@dataclass(frozen=True)
class LearningRateSchedule:
    """A learning rate with a linear decay over all steps, after a linear warmup.

    Contexts are noise at first, and a rare word keeps what it learns from them. So the first steps
    are short (docs/experiments.md).

    >>> LearningRateSchedule(0.5, 0.0, steps=4, warmup=0.5).at(np.arange(4)).tolist()
    [0.25, 0.375, 0.25, 0.125]

    Attributes:
        first: the rate at step 0, before the factor of the warmup.
        last: the rate at step `steps`.
        steps: of the whole training.
        warmup: share of the steps in which the rate is multiplied by a factor that rises to 1.
    """

    first: float
    last: float
    steps: int
    warmup: float = 0.0

    def at(self, steps: NDArray[np.int64]) -> NDArray[np.float32]:
        """Returns the rates of steps, [n] float32; of a single step, [] float32."""
        slope = np.float32((self.last - self.first) / max(self.steps, 1))
        decayed = np.float32(self.first) + slope * steps.astype(np.float32)
        warmup_steps = np.float32(max(self.warmup * self.steps, 1))
        factor = np.minimum(np.float32(1), (steps + 1).astype(np.float32) / warmup_steps)
        return np.asarray(decayed * factor)


class StepsPerCall:
    """How many steps to do in one call, between two looks at the clock and at signals.

    A call has as many as take a quarter of a second, in hundreds, from 100 to 1000. A GPU does a
    hundred steps in eight milliseconds and then waits for its host, so shorter calls would leave it
    idle; longer ones would make a user wait after Ctrl-C. A call ends early where a validation is
    due, and always at an average of the tables.

    >>> steps_per_call = StepsPerCall([350])
    >>> steps_per_call.next(step=300, steps_left=999), steps_per_call.next(step=350, steps_left=999)
    (50, 100)
    >>> steps_per_call.measure(100, seconds=0.05)
    >>> steps_per_call.next(step=700, steps_left=999), steps_per_call.next(step=700, steps_left=20)
    (350, 20)
    """

    def __init__(self, stops_every: Sequence[int], *, sync_every: int | None = None) -> None:
        """Begins with the shortest calls.

        Args:
            stops_every: a call ends at every multiple of one of these numbers of steps, such as
                where a validation is due.
            sync_every: steps between two averages of the tables; None if they are not averaged.
        """
        self._stops_every, self._sync_every = tuple(stops_every), sync_every or 1
        self._steps = _MIN_STEPS

    def next(self, *, step: int, steps_left: int) -> int:
        """Returns how many steps to do next.

        Args:
            step: steps done so far.
            steps_left: steps to the end of the epoch, or of the training.
        """
        steps = max(self._steps // self._sync_every, 1) * self._sync_every
        until_average = steps - step % self._sync_every
        until_stops = (every - step % every for every in self._stops_every)
        return min(until_average, steps_left, *until_stops)

    def measure(self, steps: int, *, seconds: float) -> None:
        """Takes the time of a call into account for the next ones."""
        hundreds = int(steps / seconds * _CALL_SECONDS) // _MIN_STEPS * _MIN_STEPS
        self._steps = min(max(hundreds, _MIN_STEPS), _MAX_STEPS)
