"""`pmc2vec train`: word vectors from a dataset.

    pmc2vec train --dataset dataset --workdir run
    python -m trainer.task --dataset gs://bucket/dataset --workdir run --epochs 3

or from Python: `pmc2vec.train(TrainConfig(dataset="dataset", workdir=Path("run")))`.

The workdir is the key to a training: starting again on the same one continues it, and gives the
vectors that it would have given uninterrupted. On one CPU device equal seeds give equal bits.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beam_pipelines import __version__
from beam_pipelines.exits import run
from beam_pipelines.options import parse
from beam_pipelines.progress import clock_time, console
from trainer.config import TrainConfig
from trainer.devices import load_tensorflow, strategy
from trainer.export import write_vectors
from trainer.signals import stop_request
from trainer.workdir import EXPORTS, PROVENANCE, claim, record_options, write_json

if TYPE_CHECKING:
    from trainer.data import Dataset
    from trainer.training import Training

FREE = (
    "dataset", "workdir", "epochs", "devices", "probe_words", "log_every", "validate_every",
    "validation_steps", "checkpoint_every", "keep_checkpoints", "checkpoint_dir", "log_dir",
)  # fmt: skip
"""Options that may change when a workdir is continued."""


@dataclass(frozen=True)
class TrainSummary:
    """What came out of a training.

    Attributes:
        workdir: where the files are.
        words: in the vocabulary, V.
        vector_size: D.
        epochs: passes over the corpus.
        steps: updates of the tables.
        trained_words: corpus words seen, before subsampling, all epochs together.
        seconds: spent in training, over all starts.
        loss: mean per pair over the last epoch.
        accuracy: share of pairs that beat the noise words, over the last epoch.
        validation_loss: at the end; None without validation records.
        validation_accuracy: likewise.
    """

    workdir: Path
    words: int
    vector_size: int
    epochs: int
    steps: int
    trained_words: int
    seconds: float
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None

    @property
    def words_per_second(self) -> float:
        """Corpus words per second of training."""
        return self.trained_words / self.seconds if self.seconds else 0.0


def train(config: TrainConfig) -> TrainSummary:
    """Trains word vectors, or finishes what was begun in the workdir.

    Raises:
        UserError: the dataset or the workdir is not what it should be, or the loss diverged.
        SystemExit: status 143 or 130, after SIGTERM or Ctrl-C and a checkpoint.
    """
    load_tensorflow()
    from trainer.data import open_dataset
    from trainer.training import Training

    on = console()

    # What to train on, and what of the options that decides.
    dataset = open_dataset(config.dataset)
    config = config.resolved(dataset.manifest.shape.length)
    assert config.workdir is not None
    fixed, free = _options(config, dataset)

    with claim(config.workdir), stop_request() as stop:
        record_options(config.workdir, fixed=fixed, free=free)
        training = Training(config, dataset, strategy(config.devices), stop=stop, on=on)
        complete = all((config.workdir / name).exists() for name in EXPORTS)

        if training.position.epoch < config.epochs:
            complete = False
            (config.workdir / PROVENANCE).unlink(missing_ok=True)
            with training.shown():
                while training.position.epoch < config.epochs:
                    training.train_epoch()
                    training.validate()
                    training.save()
                    training.report()
        elif complete:
            on.print(f"train: {config.workdir} is finished; more --epochs would continue it")

        summary = _summarize(training)
        if not complete:
            vocabulary = dataset.vocabulary
            write_vectors(config.workdir, vocabulary.words, vocabulary.counts, training.matrix())
            write_json(config.workdir / PROVENANCE, _provenance(summary, fixed, free, dataset))
    return summary


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec train` and returns its exit status; prints what came out."""
    config = parse(
        TrainConfig,
        argv,
        prog="pmc2vec train",
        description="Train word vectors on a dataset. The same command again continues what was "
        "interrupted; Ctrl-C and SIGTERM leave a checkpoint.",
        examples=[
            "pmc2vec train --dataset dataset --workdir run",
            "pmc2vec train --dataset dataset --workdir run --epochs 3 --vector_size 300",
            "pmc2vec train --dataset gs://bucket/dataset --workdir run --probe_words tp53 aspirin",
        ],
    )
    print("\n".join(told(train(config))))
    return 0


def told(summary: TrainSummary) -> list[str]:
    """Returns the lines that end the program."""
    count, took = f"{summary.trained_words:,} words", clock_time(summary.seconds)
    speed = f"{summary.words_per_second:,.0f} words/s"
    epochs = "1 epoch" if summary.epochs == 1 else f"{summary.epochs} epochs"
    files = ", ".join(str(summary.workdir / name) for name in EXPORTS[:2])
    lines = [
        f"trained {count} in {took}, {speed} ({epochs}, {summary.steps:,} steps)",
        f"loss {summary.loss:.4f}, accuracy {summary.accuracy:.3f}",
    ]
    if summary.validation_loss is not None:
        loss, accuracy = summary.validation_loss, summary.validation_accuracy
        lines.append(f"validation loss {loss:.4f}, accuracy {accuracy:.3f}")
    lines.append(f"{summary.words:,} vectors of {summary.vector_size} numbers: {files}")
    lines.append(f"see them: tensorboard --logdir {summary.workdir}")
    return lines


def _options(config: TrainConfig, dataset: Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the options on which the vectors depend, the dataset's digest with them; the rest."""
    every = asdict(config)
    every["probe_words"] = list(config.probe_words)
    every["workdir"] = str(config.workdir)
    fixed = {name: value for name, value in every.items() if name not in FREE}
    return {**fixed, "manifest_sha256": dataset.digest}, {name: every[name] for name in FREE}


def _summarize(training: Training) -> TrainSummary:
    at, dataset = training.position, training.dataset
    measured = not math.isnan(at.validation_loss)
    assert training.config.workdir is not None
    return TrainSummary(
        workdir=training.config.workdir,
        words=len(dataset.vocabulary),
        vector_size=training.config.vector_size,
        epochs=at.epoch,
        steps=at.step,
        trained_words=training.plan.words_done(at),
        seconds=at.seconds,
        loss=at.loss / max(at.pairs, 1),
        accuracy=at.hits / max(at.pairs, 1),
        validation_loss=at.validation_loss if measured else None,
        validation_accuracy=at.validation_accuracy if measured else None,
    )


def _provenance(
    summary: TrainSummary, fixed: dict[str, Any], free: dict[str, Any], dataset: Dataset
) -> dict[str, Any]:
    """Returns where the vectors come from and how good they are, for provenance.json."""
    manifest = dataset.manifest
    scores = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    facts = asdict(summary)
    return {
        "code_version": __version__,
        "config": {**fixed, **free},
        "trained": {
            **{name: facts[name] for name in ("epochs", "steps", "trained_words", "seconds")},
            "words_per_second": round(summary.words_per_second),
        },
        "scores": {name: facts[name] for name in scores},
        "dataset": {
            "manifest_sha256": dataset.digest,
            "code_version": manifest.code_version,
            "config": dict(manifest.config),
            "funnel": dict(manifest.funnel),
            "licences": dict(manifest.licences),
        },
    }


if __name__ == "__main__":
    sys.exit(run(main))
