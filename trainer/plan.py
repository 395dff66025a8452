"""What a training comes to in steps and words, and what happened since it was last told."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.checkpoints import Position
from trainer.data import Dataset
from trainer.replicas import Sums


@dataclass(frozen=True)
class Plan:
    """What the epochs come to.

    Attributes:
        records: in a batch.
        steps: of each epoch.
        words: of each epoch: corpus tokens before subsampling.
    """

    records: int
    steps: tuple[int, ...]
    words: tuple[int, ...]

    @classmethod
    def of(cls, dataset: Dataset, *, epochs: int, batch_size: int) -> Plan:
        """Returns the plan for a dataset."""
        records = batch_size // dataset.manifest.shape.length
        return cls(
            records,
            tuple(dataset.steps(epoch, records) for epoch in range(epochs)),
            tuple(dataset.words(epoch) for epoch in range(epochs)),
        )

    def words_done(self, position: Position) -> int:
        """Returns the words that a position stands for."""
        done = sum(self.words[: position.epoch])
        if position.epoch_step:
            share = position.epoch_step / self.steps[position.epoch]
            done += round(share * self.words[position.epoch])
        return done


@dataclass
class Meter:
    """Sums since the last point of the curves.

    Attributes:
        seconds: of training when it was reset.
        words: done when it was reset.
    """

    seconds: float
    words: int
    loss: float = field(default=0.0, init=False)
    pairs: float = field(default=0.0, init=False)
    hits: float = field(default=0.0, init=False)

    def add(self, sums: Sums) -> None:
        """Adds the totals of some steps."""
        self.loss += sums.loss
        self.pairs += sums.pairs
        self.hits += sums.hits
