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
import shlex
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console

from pmc2vec import __version__
from pmc2vec.cli.console import clock_time, stderr_console, verbosity
from pmc2vec.cli.exit_codes import run_program
from pmc2vec.cli.metrics import serve_metrics
from pmc2vec.cli.options import options_that, parse
from pmc2vec.cli.signals import StopRequest, stop_request
from pmc2vec.machine import load_tensorflow
from pmc2vec.storage.files import join
from pmc2vec.storage.object_stores import parse_storage_options, use_storage_options
from pmc2vec.vectors.formats.workdir_files import write_vectors
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.config import TrainConfig
from trainer.devices import (
    Worker,
    distribution_strategy,
    this_worker,
    worker_addresses,
)
from trainer.distribution.rendezvous import meet_workers
from trainer.remote_workdir import RemoteWorkdir
from trainer.report import REPORT_NAME, ReportFacts, write_report
from trainer.workdir import (
    EXPORTED_NAMES,
    PROVENANCE_NAME,
    check_same_options,
    is_finished,
    locked_workdir,
    read_options,
    write_json,
    write_options,
)

if TYPE_CHECKING:
    import tensorflow as tf

    from trainer.dataset_reader import Dataset
    from trainer.loop import Training
    from trainer.schedule import TrainingPosition

logger = logging.getLogger(__name__)

_DEFAULT = "default"  # In config.json the value of a rate that was not given.
_RATES = ("alpha", "min_alpha", "warmup")

# Options that may change between two starts, but not between two workers: with other steps or
# validations one of them would wait for ever in a collective operation.
_SAME_ON_ALL_WORKERS = (
    "epochs", "max_steps", "max_words", "early_stopping", "validate_every", "validation_steps",
    "log_every", "devices", "publish_diverged", "probe_every", "early_stopping_measure",
)  # fmt: skip


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
        remote_workdir: its URL, where it is in an object store; `workdir` is then a copy of it.
        probe_words: words whose neighbours were shown.
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
    remote_workdir: str | None = None
    probe_words: tuple[str, ...] = field(default=(), compare=False)

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
        UserError: the dataset or the workdir cannot be used, the workers differ or do not come
            together, or the loss diverged.
        SystemExit: exit code 128 plus the signal, after a request to stop and a checkpoint.
    """
    load_tensorflow()
    from trainer.dataset_reader import open_dataset
    from trainer.loop import Training

    worker = this_worker()
    console = stderr_console() if worker.chief else Console(quiet=True)
    use_storage_options(parse_storage_options(config.storage_option))
    remote = RemoteWorkdir(config.remote_workdir(), worker)
    dataset = open_dataset(config.dataset, config.cache_dir)
    targets = config.epochs * sum(shard.targets for shard in dataset.shards(0))
    given_config, config = config, config.resolved(dataset.manifest.shape.length, targets)
    options = _recorded_options(given_config, config, dataset, worker)
    if worker.chief and given_config.batch_size not in {None, config.batch_size}:
        _warn_of_batch_size(given_config.batch_size, config.batch_size, dataset)
    with contextlib.ExitStack() as stack:
        stack.enter_context(serve_metrics(config.metrics_port))
        if worker.chief:
            assert config.workdir is not None
            stack.enter_context(locked_workdir(config.workdir))
            remote.download(config.workdir)
            _check_workdir(config, options)
        strategy = _connected_strategy(config, options, worker)
        # Only now: in a cluster TensorFlow connects to the other workers in C++, where a Python
        # handler of signals never runs.
        request = stack.enter_context(stop or contextlib.nullcontext(StopRequest()))
        training = Training(config, dataset, strategy, stop=request, console=console, worker=worker)
        training.after_save = remote.upload
        _train_epochs(training, options)
        summary = _publish(training, options, _changed_options(given_config))
        summary = replace(summary, remote_workdir=remote.url)
        remote.upload()
        return summary


def _warn_of_batch_size(batch_size: int | None, tokens: int | None, dataset: Dataset) -> None:
    """Says what became of a `--batch_size` that is not whole records."""
    logger.warning(
        "--batch_size %s: a step takes whole records, so here %s tokens; to have smaller steps "
        "build with a --record_length below %s",
        batch_size,
        tokens,
        dataset.manifest.shape.length,
        extra={"stage": "train"},
    )


def _connected_strategy(
    config: TrainConfig, options: _RecordedOptions, worker: Worker
) -> tf.distribute.Strategy:
    """Returns the strategy of the devices, when all workers have come and have the same options.

    Raises:
        UserError: the workers differ or do not come together.
    """
    if worker.count == 1:
        return distribution_strategy(config.devices)
    facts = {**options.fixed, "code_version": __version__}
    facts |= {name: getattr(config, name) for name in _SAME_ON_ALL_WORKERS}
    addresses = worker_addresses()
    with meet_workers(worker, addresses, facts, seconds=config.wait_for_workers):
        return distribution_strategy(config.devices)


class _RecordedOptions(NamedTuple):
    """The options of a training as config.json has them.

    Attributes:
        fixed: those on which the vectors depend, the dataset's digest and the number of workers.
        free: the others, which may change from one start to the next.
    """

    fixed: dict[str, Any]
    free: dict[str, Any]


def _recorded_options(
    requested: TrainConfig, config: TrainConfig, dataset: Dataset, worker: Worker
) -> _RecordedOptions:
    """Returns the options to record.

    Args:
        requested: the options as the user gave them.
        config: the same, resolved.
        dataset: the training data.
        worker: which of the processes that train together this is.
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
    # The default of a rate depends on the number of epochs, which may grow. So config.json records
    # that it is the default, not its value.
    rates = {name: getattr(requested, name) for name in _RATES}
    fixed |= {name: _DEFAULT if rate is None else rate for name, rate in rates.items()}
    recorded = options_that(TrainConfig, "recorded")
    return _RecordedOptions(fixed, {name: options[name] for name in free if name in recorded})


def _check_workdir(config: TrainConfig, options: _RecordedOptions) -> None:
    """Checks that a training that was begun in the workdir had the same options.

    Where it ended before its first checkpoint, there is nothing to continue, and the options may be
    others.

    Raises:
        UserError: it had others, or the workdir is something else.
    """
    from trainer.checkpoints import list_checkpoints

    assert config.workdir is not None
    recorded = read_options(config.workdir)
    folders = {str(config.checkpoint_dir), str(recorded.get("checkpoint_dir"))}
    if (config.workdir / PROVENANCE_NAME).exists() or any(map(list_checkpoints, folders)):
        check_same_options(config.workdir, recorded, options.fixed)


def _train_epochs(training: Training, options: _RecordedOptions) -> None:
    """Trains what is left of the epochs."""
    from trainer.tensorboard_logging import run_description

    config, worker = training.config, training.worker
    assert config.workdir is not None
    if training.is_finished:
        if worker.chief:
            write_options(config.workdir, *options)
        return
    with run_description(config, training.dataset, worker), training.reporting():
        # The model is made and the step is compiled: only now the workdir is this training's.
        if worker.chief:
            write_options(config.workdir, *options)
            (config.workdir / PROVENANCE_NAME).unlink(missing_ok=True)
        while not training.is_finished:
            training.train_epoch()
            training.validate()
            training.save()
            training.report_epoch()
            # Epochs of a few steps have no other place to stop at.
            if not training.is_finished:
                training.stop_if_asked()


def _changed_options(config: TrainConfig) -> dict[str, Any]:
    """Returns the options, as they were given, that are not their defaults."""
    shown = [f for f in fields(config) if f.name not in {"dataset", "workdir"}]
    values = {f.name: (getattr(config, f.name), f.default) for f in shown}
    return {
        name: value
        for name, (value, default) in values.items()
        if value is not None and value != default
    }


def _publish(
    training: Training, options: _RecordedOptions, changed_options: dict[str, Any]
) -> TrainSummary:
    """Writes the vectors, and provenance.json last, which marks the workdir finished.

    Only the chief writes, and only what is not there already.

    Args:
        training: at its end.
        options: to record.
        changed_options: those that are not their defaults, for the report.

    Raises:
        UserError: the loss is above that of chance.
    """
    config, dataset = training.config, training.dataset
    assert config.workdir is not None
    position = training.restore_best()
    if not config.publish_diverged:
        training.divergence.check(position)
    vectors = training.word_vectors()
    summary = _summarize(training, position, vectors)
    if not training.worker.chief:
        return summary
    provenance_path = config.workdir / PROVENANCE_NAME
    if is_finished(config.workdir, step=summary.vectors_step, output_vectors=config.output_vectors):
        logger.info(
            "%s is finished; %s would continue it",
            config.workdir,
            training.way_to_continue,
            extra={"stage": "train"},
        )
        return summary
    provenance_path.unlink(missing_ok=True)  # It describes other vectors.
    words, counts = dataset.vocabulary.words, dataset.vocabulary.counts
    write_vectors(
        config.workdir,
        words,
        counts,
        vectors.matrix,
        subwords=vectors.subwords,
        projector_words=config.projector_words,
        probe_words=training.probe_words,
    )
    if line := training.divergence.learned_nothing_line(position):
        logger.warning("%s", line, extra={"stage": "train"})
    facts = ReportFacts(
        config.workdir,
        summary_rows(summary),
        changed_options,
        training.history,
        dataset.manifest,
        vectors,
    )
    write_report(facts)
    rates = {name: getattr(config, name) for name in _RATES}
    provenance = _provenance(summary, {**options.fixed, **rates, **options.free}, dataset)
    provenance["stretches"] = [asdict(stretch) for stretch in training.history.stretches]
    write_json(provenance_path, provenance)
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
    folder = summary.remote_workdir or str(summary.workdir)
    files = ", ".join(join(folder, name) for name in EXPORTED_NAMES[:2])
    lines = [
        f"trained {words} in {seconds}, {speed} ({epochs}, {summary.steps:,} steps)",
        f"loss {summary.loss:.4f}, accuracy {summary.accuracy:.3f}",
    ]
    if summary.validation_loss is not None:
        loss, accuracy = summary.validation_loss, summary.validation_accuracy
        of = "" if summary.vectors_step == summary.steps else f" of step {summary.vectors_step:,}"
        lines.append(f"validation loss{of} {loss:.4f}, accuracy {accuracy:.3f}")
    lines.append(f"{summary.words:,} vectors of {summary.vector_size} numbers: {files}")
    return [*lines, f"how it went: {join(folder, REPORT_NAME)}", *next_commands(summary, folder)]


def next_commands(summary: TrainSummary, folder: str) -> list[str]:
    """Returns lines with three commands to try next, with the words of the training in them.

    Args:
        summary: of the training.
        folder: its workdir, which may be in an object store.
    """
    workdir = shlex.quote(folder)
    words = " ".join(map(shlex.quote, summary.probe_words[:2]))
    commands = [f"tensorboard --workdir {workdir}"]
    if words:
        commands = [
            f"neighbours {words} --vectors {workdir}",
            f"plot {words} --neighbours 20 --vectors {workdir}",
            *commands,
        ]
    return ["try next:", *(f"  pmc2vec {command}" for command in commands)]


def summary_rows(summary: TrainSummary) -> dict[str, str]:
    """Returns the first rows of the report."""
    rows = {
        "vectors": f"{summary.words:,} of {summary.vector_size} numbers",
        "trained": f"{summary.trained_words:,} words in {clock_time(summary.seconds)}, "
        f"{summary.words_per_second:,.0f} words/s",
        "epochs": f"{summary.epochs} ({summary.steps:,} steps)",
        "loss": f"{summary.loss:.4f}",
    }
    if summary.validation_loss is not None:
        rows["validation loss"] = f"{summary.validation_loss:.4f}"
    for name, scores in summary.word_pairs.items():
        if scores["spearman"] is not None:
            rows[f"word pairs {name}"] = (
                f"{scores['spearman']:.3f} on {scores['covered']:,} of {scores['total']:,}"
            )
    return rows


def _summarize(training: Training, exported: TrainingPosition, vectors: Vectors) -> TrainSummary:
    """Returns the result of a training.

    Args:
        training: at its end.
        exported: the position of the tables that are exported.
        vectors: as they are exported.
    """
    position, dataset = training.position, training.dataset
    has_validation = not math.isnan(exported.validation_loss)
    assert training.config.workdir is not None
    return TrainSummary(
        workdir=training.config.workdir,
        words=len(dataset.vocabulary),
        vector_size=vectors.vector_size,
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
        probe_words=training.probe_words,
    )


def _provenance(summary: TrainSummary, options: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Returns the contents of provenance.json: the origin of the vectors and their scores."""
    manifest = dataset.manifest
    counts = ("epochs", "steps", "vectors_step", "trained_words", "seconds")
    scores = ("loss", "accuracy", "validation_loss", "validation_accuracy", "word_pairs")
    facts = asdict(summary)
    return {
        "code_version": __version__,
        "config": options,
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
