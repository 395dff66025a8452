"""What a training was from its first step to its last, over all its starts: WORKDIR/history.json.

It has a stretch for each start with other rates, and a record for each epoch. The report and
provenance.json are made from it. A training that goes on from a checkpoint forgets what it had
recorded after it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from trainer.config import TrainConfig
from trainer.schedule import EpochSchedule, TrainingPosition
from trainer.workdir import write_json

HISTORY_NAME = "history.json"

_RISE = 1.01
"""A validation loss so many times the lowest is one that rises; less is noise of few articles."""


@dataclass(frozen=True)
class Stretch:
    """The steps from one start to the next with other rates.

    Attributes:
        first_step: the step before the first of them.
        epochs: that were planned.
        steps: that were planned.
        alpha: the learning rate at the start of what was planned.
        min_alpha: at its end.
        warmup: share of the steps in which it rises.
    """

    first_step: int
    epochs: int
    steps: int
    alpha: float
    min_alpha: float
    warmup: float


@dataclass(frozen=True)
class EpochRecord:
    """An epoch, or what was trained of it.

    Attributes:
        epoch: its number, from 1.
        step: its last.
        seconds: of training, from the beginning.
        loss: mean per pair.
        accuracy: share of pairs whose logit is above those of the negatives.
        validation_loss: None where it was not measured. Likewise validation_accuracy.
        validation_accuracy: see above.
        spearman: correlation with each file of word pairs that has one.
        neighbours: words and cosines of each probe word.
    """

    epoch: int
    step: int
    seconds: float
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    spearman: Mapping[str, float] = field(default_factory=dict)
    neighbours: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """The stretches and the epochs of a training, in order."""

    stretches: tuple[Stretch, ...] = ()
    epochs: tuple[EpochRecord, ...] = ()

    def until(self, step: int) -> History:
        """Returns what was recorded up to a step."""
        return History(
            tuple(s for s in self.stretches if s.first_step < max(step, 1)),
            tuple(record for record in self.epochs if record.step <= step),
        )

    def with_stretch(self, stretch: Stretch) -> History:
        """Returns the history with a stretch, unless the last one is the same plan."""
        last = self.stretches[-1] if self.stretches else None
        if last is not None and replace(last, first_step=stretch.first_step) == stretch:
            return self
        return replace(self, stretches=(*self.stretches, stretch))

    def with_epoch(self, record: EpochRecord) -> History:
        """Returns the history with another epoch, in place of an earlier look at it."""
        earlier = tuple(
            earlier_record for earlier_record in self.epochs if earlier_record.epoch != record.epoch
        )
        return replace(self, epochs=(*earlier, record))


def read_history(workdir: Path) -> History:
    """Returns the history of a workdir; an empty one where there is none that can be read."""
    try:
        values = json.loads((workdir / HISTORY_NAME).read_text(encoding="utf-8"))
        return History(
            tuple(Stretch(**stretch) for stretch in values["stretches"]),
            tuple(EpochRecord(**record) for record in values["epochs"]),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return History()  # Of version 0.1, or damaged: the vectors do not depend on it.


def write_history(workdir: Path, history: History) -> None:
    """Writes a history."""
    write_json(workdir / HISTORY_NAME, asdict(history))


def new_stretch(config: TrainConfig, schedule: EpochSchedule, step: int) -> Stretch:
    """Returns the stretch that a start at a step begins; `config` is resolved."""
    assert config.alpha is not None
    assert config.min_alpha is not None
    return Stretch(
        step,
        config.epochs,
        schedule.step_limit,
        config.alpha,
        config.min_alpha,
        config.warmup or 0.0,
    )


def epoch_record(
    position: TrainingPosition,
    spearman: Mapping[str, float],
    neighbours: Mapping[str, Sequence[tuple[str, float]]],
) -> EpochRecord:
    """Returns the record of the epoch that a position is at the end of, or within."""
    measured = not math.isnan(position.validation_loss)
    return EpochRecord(
        epoch=position.epoch + bool(position.epoch_step),
        step=position.step,
        seconds=position.seconds,
        loss=position.mean_loss,
        accuracy=position.accuracy,
        validation_loss=position.validation_loss if measured else None,
        validation_accuracy=position.validation_accuracy if measured else None,
        spearman=spearman,
        neighbours=neighbours,
    )


def longer_plan_line(history: History) -> str | None:
    """Returns a line where the last stretch is longer than the one before; else None."""
    if len(history.stretches) < 2:
        return None
    before, now = history.stretches[-2:]
    if now.steps <= before.steps:
        return None
    return (
        f"{now.steps:,} steps where {before.steps:,} were planned: the learning rate has fallen by "
        "the shorter plan and goes on by the longer one, so the vectors are not those of "
        f"{now.epochs} epochs from the start; provenance.json has both"
    )


def overfitting_line(history: History) -> str | None:
    """Returns a line where the validation loss rises while the training loss falls; else None."""
    losses = [
        (record.loss, record.validation_loss)
        for record in history.epochs
        if record.validation_loss is not None
    ]
    if len(losses) < 2:
        return None
    (loss_before, before), (loss, now) = losses[-2:]
    lowest = min(validation for _, validation in losses)
    if not (loss < loss_before and before < now and now > _RISE * lowest):
        return None
    epoch = next(r.epoch for r in history.epochs if r.validation_loss == lowest)
    return (
        f"validation loss rises ({lowest:.4f} after epoch {epoch}, now {now:.4f}) while training "
        "loss falls: the model learns these texts by heart; more text helps, or fewer --epochs "
        "(word pairs may still gain, --evaluate shows it)"
    )
