"""`pmc2vec train`: word vectors from a dataset.

    pmc2vec train --dataset dataset --workdir run
    python -m trainer.task --dataset gs://bucket/dataset --workdir run --epochs 3

or from Python: `pmc2vec.train(TrainConfig(dataset="dataset", workdir=Path("run")))`.

The workdir identifies a training. The same command on the same workdir continues it, and gives the
vectors that it would have given without the stop. On one CPU device equal seeds give equal bits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pmc2vec import __version__
from pmc2vec.cli.console import clock_time, stderr_console, verbosity
from pmc2vec.cli.exit_codes import run_program
from pmc2vec.cli.metrics import serve_metrics
from pmc2vec.cli.options import options_that, parse
from pmc2vec.cli.signals import StopRequest, stop_request
from pmc2vec.machine import load_tensorflow
from pmc2vec.storage.object_stores import parse_storage_options, use_storage_options
from pmc2vec.vectors.formats.workdir_files import write_vectors
from trainer.config import TrainConfig
from trainer.devices import Worker, distribution_strategy, this_worker
from trainer.workdir import (
    EXPORTED_NAMES,
    PROVENANCE_NAME,
    is_finished,
    locked_workdir,
    record_options,
    write_json,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.dataset_reader import Dataset
    from trainer.loop import Training
    from trainer.schedule import TrainingPosition

logger = logging.getLogger(__name__)

_DEFAULT = "default"  # In config.json the value of a rate that was not given.
_RATES = ("alpha", "min_alpha", "warmup")


@dataclass(frozen=True)
class TrainSummary:
    """The result of a training.

    Attributes:
        workdir: the folder with the files.
        words: in the vocabulary, V.
        vector_size: D.
        epochs: finished passes over the corpus.
        steps: updates of the tables.
        vectors_step: the step whose vectors are exported; the last one, except with early stopping.
        trained_words: tokens of the corpus, before subsampling, in all epochs.
        seconds: of training, over all starts.
        loss: mean per pair over the last epoch, or over what was trained of it.
        accuracy: share of pairs whose logit is above those of the negatives, likewise.
        validation_loss: of the exported vectors; None without validation records.
        validation_accuracy: likewise.
        word_pairs: for each file of `--evaluate`, by its name: Spearman's correlation of the
            exported vectors (None where there is none), pairs covered, pairs in all.
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


def train(
    config: TrainConfig, *, stop: AbstractContextManager[StopRequest] | None = None
) -> TrainSummary:
    """Trains word vectors, or finishes the training of the workdir.

    Args:
        config: the options.
        stop: yields what asks the training to stop after a checkpoint. `pmc2vec train` gives
            `signals.stop_request()`. By default nothing does: signals stay with the caller.

    Raises:
        UserError: the dataset or the workdir cannot be used, or the loss diverged.
        SystemExit: status 128 plus the signal, after a request to stop and a checkpoint.
    """
    load_tensorflow()
    from trainer.dataset_reader import open_dataset
    from trainer.loop import Training
    from trainer.tensorboard_logging import run_description

    worker = this_worker()
    console = stderr_console() if worker.chief else Console(quiet=True)

    # The dataset, and the options that depend on it.
    use_storage_options(parse_storage_options(config.storage_option))
    dataset = open_dataset(config.dataset, config.cache_dir)
    targets = config.epochs * sum(shard.targets for shard in dataset.shards(0))
    given_config, config = config, config.resolved(dataset.manifest.shape.length, targets)
    assert config.workdir is not None
    fixed, free = _options(config, dataset, worker)
    # The default of a rate depends on the number of epochs, which may grow. So config.json records
    # that it is the default, not its value.
    rates = {name: getattr(given_config, name) for name in _RATES}
    fixed |= {name: _DEFAULT if rate is None else rate for name, rate in rates.items()}

    with contextlib.ExitStack() as stack:
        stack.enter_context(serve_metrics(config.metrics_port))
        if worker.chief:
            stack.enter_context(locked_workdir(config.workdir))
            record_options(config.workdir, fixed=fixed, free=free)
        strategy = distribution_strategy(config.devices)
        # Only now: in a cluster TensorFlow waits for the other workers in C++, where a Python
        # handler of signals never runs.
        request = stack.enter_context(stop or contextlib.nullcontext(StopRequest()))
        training = Training(config, dataset, strategy, stop=request, console=console, worker=worker)

        # Training.
        if not training.is_finished:
            if worker.chief:
                (config.workdir / PROVENANCE_NAME).unlink(missing_ok=True)
            with run_description(config, dataset, worker), training.reporting():
                while not training.is_finished:
                    training.train_epoch()
                    training.validate()
                    training.save()
                    training.report_epoch()

        # The vectors, written by the chief; provenance.json last, which marks the workdir finished.
        position = training.restore_best()
        vectors = training.word_vectors()
        summary = _summarize(training, position, vectors)
        if is_finished(
            config.workdir, step=summary.vectors_step, output_vectors=config.output_vectors
        ):
            if worker.chief:
                line = "%s is finished; more --epochs would continue it"
                logger.info(line, config.workdir, extra={"stage": "train"})
        elif worker.chief:
            # The old provenance.json describes other vectors.
            (config.workdir / PROVENANCE_NAME).unlink(missing_ok=True)
            words, counts = dataset.vocabulary.words, dataset.vocabulary.counts
            write_vectors(config.workdir, words, counts, vectors)
            fixed |= {name: getattr(config, name) for name in _RATES}
            provenance = _provenance(summary, fixed, free, dataset)
            write_json(config.workdir / PROVENANCE_NAME, provenance)
    return summary


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec train`, prints the result and returns the exit code."""
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
    summary = train(config, stop=stop_request())
    if this_worker().chief:
        facts = {**asdict(summary), "words_per_second": round(summary.words_per_second)}
        print(
            json.dumps(facts, default=str) if verbosity.json else "\n".join(summary_lines(summary))
        )
    return 0


def summary_lines(summary: TrainSummary) -> list[str]:
    """Returns the lines that the program prints at its end."""
    words, seconds = f"{summary.trained_words:,} words", clock_time(summary.seconds)
    speed = f"{summary.words_per_second:,.0f} words/s"
    epochs = "1 epoch" if summary.epochs == 1 else f"{summary.epochs or 'no whole'} epochs"
    files = ", ".join(str(summary.workdir / name) for name in EXPORTED_NAMES[:2])
    lines = [
        f"trained {words} in {seconds}, {speed} ({epochs}, {summary.steps:,} steps)",
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
    """Returns the options on which the vectors depend, and the others.

    The first have two more entries: the dataset's digest and the number of workers.
    """
    options = asdict(config)
    for name in ("workdir", "init_from"):
        options[name] = None if options[name] is None else str(options[name])
    for name in ("probe_words", "evaluate"):
        options[name] = list(map(str, options[name]))
    free = [
        name
        for name in options_that(TrainConfig, "may_change")
        # Averaged tables depend on how many devices train one each.
        if name != "devices" or not config.sync_every
    ]
    fixed = {name: value for name, value in options.items() if name not in free}
    fixed |= {"workers": worker.count, "manifest_sha256": dataset.digest}
    recorded = options_that(TrainConfig, "recorded")
    return fixed, {name: options[name] for name in free if name in recorded}


def _summarize(
    training: Training, exported: TrainingPosition, vectors: NDArray[np.float32]
) -> TrainSummary:
    """Returns the result of a training.

    Args:
        training: at its end.
        exported: the position of the tables that are exported.
        vectors: [V, D] float32.
    """
    position, dataset = training.position, training.dataset
    has_validation = not math.isnan(exported.validation_loss)
    assert training.config.workdir is not None
    return TrainSummary(
        workdir=training.config.workdir,
        words=len(dataset.vocabulary),
        vector_size=vectors.shape[1],
        epochs=position.epoch,
        steps=position.step,
        vectors_step=exported.step,
        trained_words=training.schedule.words_after(position.step),
        seconds=position.seconds,
        loss=position.mean_loss,
        accuracy=position.accuracy,
        validation_loss=exported.validation_loss if has_validation else None,
        validation_accuracy=exported.validation_accuracy if has_validation else None,
        word_pairs={
            name: {
                "spearman": None if math.isnan(score.spearman) else score.spearman,
                "covered": score.covered,
                "total": score.total,
            }
            for name, score in training.word_pair_scores(vectors).items()
        },
    )


def _provenance(
    summary: TrainSummary, fixed: dict[str, Any], free: dict[str, Any], dataset: Dataset
) -> dict[str, Any]:
    """Returns the contents of provenance.json: the origin of the vectors and their scores."""
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
