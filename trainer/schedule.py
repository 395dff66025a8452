"""What a training comes to in steps and words, and how an epoch of it went."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from trainer.checkpoints import Position
from trainer.input_pipeline import Dataset


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


def epoch_line(at: Position, plan: Plan, *, epochs: int) -> str:
    """Returns how an epoch went, or what was trained of it."""
    line = f"epoch {at.epoch + bool(at.epoch_step)} of {epochs}"
    if at.epoch_step:
        line += f", {at.epoch_step:,} of {plan.steps[at.epoch]:,} steps"
    line += f": loss {at.loss / max(at.pairs, 1):.4f}, "
    line += f"accuracy {at.hits / max(at.pairs, 1):.3f}"
    if not math.isnan(at.validation_loss):
        line += f"; validation loss {at.validation_loss:.4f}, "
        line += f"accuracy {at.validation_accuracy:.3f}"
    return line
