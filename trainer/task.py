"""`pmc2vec train`: word vectors from a dataset.

    pmc2vec train --dataset dataset --workdir run
    python -m trainer.task --dataset gs://bucket/dataset --workdir run --epochs 3

or from Python: `pmc2vec.train(TrainConfig(dataset="dataset", workdir=Path("run")))`.

The workdir is the key to a training: starting again on the same one continues it, and gives the
vectors that it would have given uninterrupted. On one CPU device equal seeds give equal bits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pmc2vec import __version__
from pmc2vec.cli.console import clock_time, stderr_console, verbosity
from pmc2vec.cli.exit_codes import run_program
from pmc2vec.cli.metrics import serve_metrics
from pmc2vec.cli.options import options_that, parse
from pmc2vec.cli.signals import stop_request
from pmc2vec.machine import load_tensorflow
from pmc2vec.vectors.formats.workdir_files import write_vectors
from trainer.config import TrainConfig
from trainer.distribution.devices import Worker, strategy, this_worker
from trainer.workdir import EXPORTS, PROVENANCE, claim, exported, record_options, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.dataset_reader import Dataset
    from trainer.loop import Training
    from trainer.schedule import Position

logger = logging.getLogger(__name__)

_DEFAULT = "default"  # What stands in config.json for a rate that was not given.
_RATES = ("alpha", "min_alpha", "warmup")


@dataclass(frozen=True)
class TrainSummary:
    """What came out of a training.

    Attributes:
        workdir: where the files are.
        words: in the vocabulary, V.
        vector_size: D.
        epochs: whole passes over the corpus.
        steps: updates of the tables.
        vectors_step: the one after which the vectors were as they came out; the last one, but for
            early stopping.
        trained_words: corpus words seen, before subsampling, all epochs together.
        seconds: spent in training, over all starts.
        loss: mean per pair over the last epoch, or what was trained of it.
        accuracy: share of pairs that beat the noise words, likewise.
        validation_loss: of the vectors that came out; None without validation records.
        validation_accuracy: likewise.
        word_pairs: for each set of `--evaluate`, by its name: Spearman's correlation of the vectors
            that came out (None where there is none), pairs covered, pairs in all.
    """

    workdir: Path
    words: int
    vector_size: int
    epochs: int
    steps: int
    vectors_step: int
    trained_words: int
    seconds: float
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    word_pairs: dict[str, dict[str, Any]]

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
    from trainer.input_pipeline import open_dataset
    from trainer.loop import Training
    from trainer.tensorboard_logging import shown_facts

    worker = this_worker()
    on = stderr_console() if worker.chief else Console(quiet=True)

    # What to train on, and what of the options that decides.
    dataset = open_dataset(config.dataset)
    targets = config.epochs * sum(shard.targets for shard in dataset.shards(0))
    given, config = config, config.resolved(dataset.manifest.shape.length, targets)
    assert config.workdir is not None
    fixed, free = _options(config, dataset, worker)
    # More epochs may continue this, and what is planned decides where the rate starts.
    rates = {name: getattr(given, name) for name in _RATES}
    fixed |= {name: _DEFAULT if rate is None else rate for name, rate in rates.items()}

    with contextlib.ExitStack() as held:
        held.enter_context(serve_metrics(config.metrics_port))
        if worker.chief:
            held.enter_context(claim(config.workdir))
            record_options(config.workdir, fixed=fixed, free=free)
        devices = strategy(config.devices)  # May wait for other workers, where no signal is heard.
        stop = held.enter_context(stop_request())
        training = Training(config, dataset, devices, stop=stop, on=on, worker=worker)

        if not training.finished:
            if worker.chief:
                (config.workdir / PROVENANCE).unlink(missing_ok=True)
            with shown_facts(config, dataset, worker), training.shown():
                while not training.finished:
                    training.train_epoch()
                    training.validate()
                    training.save()
                    training.report()

        # What comes out: by the chief, and last of all the file that says it is finished.
        chosen = training.choose()
        matrix = training.matrix()
        summary = _summarize(training, chosen, matrix)
        step, added = summary.vectors_step, config.add_context
        if exported(config.workdir, step=step, add_context=added):
            if worker.chief:
                line = "%s is finished; more --epochs would continue it"
                logger.info(line, config.workdir, extra={"stage": "train"})
        elif worker.chief:
            vocabulary = dataset.vocabulary
            (config.workdir / PROVENANCE).unlink(missing_ok=True)  # Of other vectors.
            write_vectors(config.workdir, vocabulary.words, vocabulary.counts, matrix)
            fixed |= {name: getattr(config, name) for name in _RATES}
            write_json(config.workdir / PROVENANCE, _provenance(summary, fixed, free, dataset))
    return summary


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec train` and returns its exit status; prints what came out."""
    config = parse(
        TrainConfig,
        argv,
        prog="pmc2vec train",
        description="Train word vectors; after Ctrl-C the same command goes on.",
        examples=[
            "pmc2vec train --dataset dataset --workdir run",
            "pmc2vec train --dataset dataset --workdir run --epochs 3 --vector_size 300",
            "pmc2vec train --dataset gs://bucket/dataset --workdir run --probe_words tp53 aspirin",
            "pmc2vec train --dataset dataset --workdir run --epochs 50 --early_stopping 3",
            "pmc2vec train --dataset december --workdir run2 --init_from run",
        ],
        json_result=True,
    )
    summary = train(config)
    if this_worker().chief:
        facts = {**asdict(summary), "words_per_second": round(summary.words_per_second)}
        print(json.dumps(facts, default=str) if verbosity.json else "\n".join(told(summary)))
    return 0


def told(summary: TrainSummary) -> list[str]:
    """Returns the lines that end the program."""
    count, took = f"{summary.trained_words:,} words", clock_time(summary.seconds)
    speed = f"{summary.words_per_second:,.0f} words/s"
    epochs = "1 epoch" if summary.epochs == 1 else f"{summary.epochs or 'no whole'} epochs"
    files = ", ".join(str(summary.workdir / name) for name in EXPORTS[:2])
    lines = [
        f"trained {count} in {took}, {speed} ({epochs}, {summary.steps:,} steps)",
        f"loss {summary.loss:.4f}, accuracy {summary.accuracy:.3f}",
    ]
    if summary.validation_loss is not None:
        loss, accuracy = summary.validation_loss, summary.validation_accuracy
        of = "" if summary.vectors_step == summary.steps else f" of step {summary.vectors_step:,}"
        lines.append(f"validation loss{of} {loss:.4f}, accuracy {accuracy:.3f}")
    lines.append(f"{summary.words:,} vectors of {summary.vector_size} numbers: {files}")
    lines.append(f"see them: pmc2vec tensorboard --workdir {summary.workdir}")
    return lines


def _options(
    config: TrainConfig, dataset: Dataset, worker: Worker
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the options on which the vectors depend, and the rest.

    With them the dataset's digest and, where several processes share it, how many they are.
    """
    every = asdict(config)
    for name in ("workdir", "init_from"):
        every[name] = None if every[name] is None else str(every[name])
    for name in ("probe_words", "evaluate"):
        every[name] = list(map(str, every[name]))
    free = [
        name
        for name in options_that(TrainConfig, "may_change")
        # Averaged tables depend on how many devices train one each.
        if name != "devices" or not config.sync_every
    ]
    fixed = {name: value for name, value in every.items() if name not in free}
    fixed |= {"workers": worker.count, "manifest_sha256": dataset.digest}
    return fixed, {name: every[name] for name in free}


def _summarize(training: Training, chosen: Position, matrix: NDArray[np.float32]) -> TrainSummary:
    """Returns what came out.

    Args:
        training: at its end.
        chosen: where its tables stood that came out.
        matrix: the vectors, [V, D] float32.
    """
    from trainer.loop import score_facts

    at, dataset = training.position, training.dataset
    measured = not math.isnan(chosen.validation_loss)
    assert training.config.workdir is not None
    return TrainSummary(
        workdir=training.config.workdir,
        words=len(dataset.vocabulary),
        vector_size=training.config.vector_size,
        epochs=at.epoch,
        steps=at.step,
        vectors_step=chosen.step,
        trained_words=training.plan.words_after(at.step),
        seconds=at.seconds,
        loss=at.loss / max(at.pairs, 1),
        accuracy=at.hits / max(at.pairs, 1),
        validation_loss=chosen.validation_loss if measured else None,
        validation_accuracy=chosen.validation_accuracy if measured else None,
        word_pairs=score_facts(training.scores(matrix)),
    )


def _provenance(
    summary: TrainSummary, fixed: dict[str, Any], free: dict[str, Any], dataset: Dataset
) -> dict[str, Any]:
    """Returns where the vectors come from and how good they are, for provenance.json."""
    manifest = dataset.manifest
    counts = ("epochs", "steps", "vectors_step", "trained_words", "seconds")
    scores = ("loss", "accuracy", "validation_loss", "validation_accuracy", "word_pairs")
    facts = asdict(summary)
    return {
        "code_version": __version__,
        "config": {**fixed, **free},
        "trained": {
            **{name: facts[name] for name in counts},
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
    sys.exit(run_program(main))
