"""What a program knows of its own progress, for whoever watches it from outside.

    note(build_articles_read=120, build_articles_kept=31)

`progress`, the display of a build and the monitor of a training write here; `metrics` and `logs`
read. A figure that is not in FIGURES is a KeyError, so that each has its one line of explanation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "build_articles_read": "Articles read so far, those that are dropped included.",
        "build_articles_kept": "Articles kept so far.",
        "build_input_bytes": "Bytes of input files read so far, as they are stored.",
        "build_xml_bytes": "Bytes of XML read so far, unpacked.",
        "build_files": "Finished files, of a build whose engine tells no more.",
        "train_step": "Steps done, of all epochs.",
        "train_epoch": "Whole epochs done.",
        "train_words": "Corpus words done, before subsampling, all epochs together.",
        "train_loss": "Of the objective, mean per pair since the last point.",
        "train_accuracy": "Share of pairs that beat the noise words.",
        "train_learning_rate": "Of the optimizer, at the last step.",
        "train_words_per_second": "Corpus words per second since the last point.",
        "validation_loss": "Of the objective, mean per pair of the validation split.",
        "validation_accuracy": "Share of validation pairs that beat the noise words.",
    }
)


@dataclass
class Figures:
    """The figures of this process.

    Attributes:
        clock: seconds from any moment.
        stage: what is being done, such as `read` or `train`.
        unit: what `done` and `total` count.
        done: of the stage.
        total: of the stage; None where nobody knows.
        values: name in FIGURES to value.
        watched: whether someone may ask for them, so that they are kept up under --quiet too.
        moved: by the clock, when anything changed last.
    """

    clock: Callable[[], float] = time.monotonic
    stage: str = "start"
    unit: str = ""
    done: int = 0
    total: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    watched: bool = False
    moved: float = field(init=False)

    def __post_init__(self) -> None:
        self.moved = self.clock()

    def at(self, stage: str, unit: str, done: int, total: int | None) -> None:
        """Takes down how far a stage is."""
        if (stage, done) != (self.stage, self.done):
            self.moved = self.clock()
        self.stage, self.unit, self.done, self.total = stage, unit, done, total

    def note(self, **values: float) -> None:
        """Takes down figures by their names in FIGURES."""
        for name, value in values.items():
            FIGURES[name]
            if self.values.get(name) != value:
                self.moved = self.clock()
            self.values[name] = value

    @property
    def idle(self) -> float:
        """Seconds since anything changed."""
        return self.clock() - self.moved


known = Figures()
"""Those of this process."""

note = known.note
