"""A training from where it stands to the end of its epochs: the phases that `task` puts in order.

A phase leaves the tables, the position and what was told about them in step with each other, so
that a checkpoint between any two calls of the compiled step continues as if there had been none.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console

from pmc2vec.cli.console import Progress, progress
from pmc2vec.cli.metrics import progress_metrics
from pmc2vec.cli.signals import StopRequest
from pmc2vec.dataset.manifest import Shard
from pmc2vec.dataset.records import TRAIN, VALIDATION
from pmc2vec.errors import UserError
from pmc2vec.vectors.evaluation import is_analogy_file, read_pairs
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.checkpoints import Checkpoints
from trainer.config import TrainConfig
from trainer.dataset_reader import Dataset, check_unchanged, damage
from trainer.distribution.devices import ALONE, Worker
from trainer.distribution.replicas import Replicas
from trainer.input_pipeline import Groups, training_batches, validation_batches
from trainer.objectives import NEGATIVE_SAMPLING, SKIPGRAM, gradient_function
from trainer.optimizers import Adagrad, Optimizer, Sgd, initial_accumulator_value
from trainer.schedule import LearningRate, Pace, Plan, Position
from trainer.tensorboard_logging import (
    Curve,
    Monitor,
    Point,
    Scores,
    log_neighbours,
    open_monitor,
)
from trainer.warm_start import start_from
from trainer.workdir import check_present

logger = logging.getLogger(__name__)


class Training:
    """A model in training.

    Attributes:
        config: the options, resolved.
        dataset: what it is trained on.
        plan: steps and words of the epochs.
        replicas: the model and its optimizer.
        position: where it stands.
    """

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        strategy: tf.distribute.Strategy,
        *,
        stop: StopRequest,
        on: Console,
        worker: Worker = ALONE,
    ) -> None:
        """Makes the model, and takes up the newest checkpoint if there is one.

        Args:
            config: the options, resolved.
            dataset: what to train on.
            strategy: knows the devices.
            stop: what asks to stop.
            on: where to tell of progress.
            worker: which of the processes that train together this is.

        Raises:
            UserError: the devices cannot share a batch; the checkpoints belong to a longer training
                or cannot be read; there is nothing to validate, compare or start from as asked.
        """
        assert config.batch_size is not None
        assert config.checkpoint_dir is not None
        self.config, self.dataset, self.worker = config, dataset, worker
        self._stop, self._console = stop, on
        self.plan = Plan.of(
            dataset,
            epochs=config.epochs,
            batch_size=config.batch_size,
            workers=worker.count,
            max_steps=config.max_steps,
            max_words=config.max_words,
        )
        self._word_pairs = WordPairSets.read(config.evaluate)
        self._validation_steps = self._count_validation_steps()
        if config.early_stopping and not self._validation_steps:
            raise UserError(
                f"--early_stopping {config.early_stopping}: {config.dataset} has no validation "
                "records; build it with --validation_fraction, or train without"
            )
        self.replicas = new_replicas(config, dataset, strategy, self.plan, self._tell)
        self._checkpoints = Checkpoints(
            config.checkpoint_dir,
            self.replicas,
            keep=config.keep_checkpoints,
            tell=self._tell,
            chief=worker.chief,
        )
        self.position = self._take_up()
        self._saved_at = time.monotonic()
        self._pace = Pace(validate_every=config.validate_every, sync_every=config.sync_every)
        self._curve = Curve(every=config.log_every, step=self.position.step)
        self._ahead: Groups | None = None
        self._began: float
        self._progress: Progress
        self._monitor: Monitor

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Shows progress, and writes TensorBoard's files, while the work inside runs."""
        assert self.config.log_dir is not None
        if self.position.step:
            self._tell(f"continues after step {self.position.step:,}")
        if not self._validation_steps:
            self._tell("the dataset has no validation records, so there is no validation loss")
        self._monitor = open_monitor(
            self.config.log_dir if self.worker.chief else None,
            self.config.probe_words,
            self.dataset.vocabulary,
            self._tell,
        )
        with contextlib.closing(self._monitor):
            self._ahead = self._batches()
            self.replicas.prepare(self._records)
            self._began = time.monotonic() - self.position.seconds
            with progress(
                "train",
                "words",
                total=self.plan.total_words,
                start=self.plan.words_after(self.position.step),
                on=self._console,
            ) as self._progress:
                yield

    # --- the phases of an epoch ----------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to train."""
        return (
            self.position.epoch >= self.config.epochs
            or self.position.step >= self.plan.limit
            or self.out_of_patience
        )

    @property
    def out_of_patience(self) -> bool:
        """Whether the validation loss has not fallen for as long as early stopping waits."""
        patience = self.config.early_stopping
        return patience is not None and self.position.stale >= patience

    def train_epoch(self) -> None:
        """Trains to the end of the epoch, or to where the training ends within it.

        Raises:
            UserError: a shard cannot be read; the loss is not finite.
            SystemExit: a signal asked to stop; a checkpoint was written.
        """
        epoch = self.position.epoch
        if not self.position.epoch_step:
            self.position = replace(self.position, loss=0.0, pairs=0.0, hits=0.0)
        groups, self._ahead = self._ahead or self._batches(), None
        while (left := self.plan.left(self.position)) > 0 and not self.out_of_patience:
            for point in self._steps(groups, self._pace.steps(after=self.position.step, left=left)):
                self._log(point)
            if self.position.step % self.config.validate_every == 0:
                self.validate()
            # At the end there is more to do before this can be left.
            if self.plan.left(self.position) > 0:
                self._save_if_due()
        if self.position.epoch_step == self.plan.steps[epoch]:
            self.position = replace(self.position, epoch=epoch + 1, epoch_step=0)
        del groups
        if not self.finished:
            self._ahead = self._batches()

    def validate(self) -> None:
        """Measures the validation loss; the tables with the lowest one are kept as the best."""
        at = self.position
        if not self._validation_steps or at.validated_step == at.step:
            return
        batches = validation_batches(
            self.dataset,
            records=self._records,
            limit=self._validation_steps,
            worker=self.worker,
            grouped=True,
        )
        with self._failures(VALIDATION):
            groups = self.replicas.iterate(batches)
            totals = self.replicas.evaluate(groups, steps=self._validation_steps)
        summed, pairs, hits = totals.sum(0).tolist()
        loss, accuracy = summed / max(pairs, 1), hits / max(pairs, 1)
        if not math.isfinite(loss):
            raise diverged(self.config, at.step)
        self._monitor.scalars(VALIDATION, at.step, loss=loss, accuracy=accuracy)
        best = loss < at.best_loss
        self.position = replace(
            at,
            seconds=self._seconds,
            validation_loss=loss,
            validation_accuracy=accuracy,
            validated_step=at.step,
            best_loss=min(loss, at.best_loss),
            stale=0 if best else at.stale + 1,
        )
        if best and self.worker.chief:
            self._checkpoints.save_best(self.position)

    def report(self) -> None:
        """Tells how the epoch went, how well the vectors agree with people, and neighbours."""
        if not self.worker.chief:
            return
        at = self.position
        self._tell(epoch_line(at, self.plan, epochs=self.config.epochs))
        matrix = self.matrix()
        scores = self.scores(matrix)
        self._monitor.agreement(at.step, scores)
        for told in score_lines(scores):
            self._tell(told)
        self._monitor.norms(at.step, matrix)
        neighbours = self._monitor.neighbours(at.step, matrix)
        if not self._console.quiet:
            log_neighbours(neighbours)

    def save(self) -> None:
        """Writes a checkpoint; none of numbers that are not finite or of other data.

        Raises:
            UserError: the loss is not finite, the dataset is another, or the disk is full.
        """
        if not self.replicas.finite():
            raise diverged(self.config, self.position.step)
        check_unchanged(self.dataset)
        if self.worker.chief:
            assert self.config.workdir is not None
            check_present(self.config.workdir)
        self.position = replace(self.position, seconds=self._seconds)
        self._saved_at = time.monotonic()
        if self.worker.chief:
            self._checkpoints.save(self.position)

    def choose(self) -> Position:
        """Sets the tables to those that are to come out, and returns where they stood.

        With early stopping those are the best; without, the last. After this nothing is trained.
        """
        at, patience = self.position, self.config.early_stopping
        if patience is None or math.isinf(at.best_loss) or not self.worker.chief:
            return at
        if self.out_of_patience:
            self._tell(f"stopped early: no lower validation loss in {patience} measurements")
        chosen = self._checkpoints.restore_best()
        self._tell(
            f"the vectors are those of step {chosen.step:,} of {at.step:,}, which had the lowest "
            f"validation loss, {chosen.validation_loss:.4f}"
        )
        return chosen

    def scores(self, matrix: NDArray[np.float32]) -> Scores:
        """Returns how well vectors agree with each set of word pairs.

        Args:
            matrix: [V, D] float32.
        """
        return self._word_pairs.scores(Vectors(self.dataset.vocabulary.words, matrix))

    def matrix(self) -> NDArray[np.float32]:
        """Returns the word vectors as they come out, [V, D] float32."""
        return self.replicas.model.vectors(add_context=self.config.add_context)

    # --- between them --------------------------------------------------------------------------

    @property
    def _records(self) -> int:
        """Records in a batch of this process."""
        return self.plan.records // self.worker.count

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _take_up(self) -> Position:
        """Returns where the newest checkpoint stands; where there is none, the start."""
        config, position = self.config, self._checkpoints.restore()
        if (position.epoch, position.epoch_step) > (config.epochs, 0):
            raise UserError(
                f"{config.workdir}: has been trained for {position.epoch} epochs already; "
                f"--epochs {config.epochs} is less"
            )
        if not position.step and config.init_from is not None:
            words = self.dataset.vocabulary.words
            self._tell(start_from(config.init_from, config, self.replicas, words))
        if not self.replicas.agree_on(position.step):
            raise UserError(
                f"{config.checkpoint_dir}: this worker finds the checkpoint of step "
                f"{position.step:,} there and others do not; give a --checkpoint_dir that all see"
            )
        return position

    def _batches(self) -> Groups:
        """Returns a walk through what is left of the epoch, which begins to be read at once."""
        return self.replicas.iterate(
            training_batches(
                self.dataset,
                epoch=self.position.epoch,
                seed=self.config.seed,
                records=self._records,
                skip=self.position.epoch_step,
                worker=self.worker,
                redraw=self.config.redraw,
                grouped=True,
            )
        )

    def _failures(self, split: str) -> AbstractContextManager[None]:
        draw = self.position.epoch % self.dataset.manifest.passes if split == TRAIN else None
        shards = self.dataset.manifest.select(split, draw)
        return user_errors(self.dataset, shards, workers=self.worker.count)

    def _steps(self, groups: Groups, count: int) -> list[Point]:
        """Trains so many steps, and returns the points of the curves that lie in them."""
        at, began = self.position, time.monotonic()
        with self._failures(TRAIN):
            totals = self.replicas.train(groups, first=at.step, steps=count)
        took = time.monotonic() - began
        infinite = np.flatnonzero(~np.isfinite(totals[:, 0]))
        if len(infinite):
            raise diverged(self.config, at.step + int(infinite[0]))
        loss, pairs, hits = totals.sum(0).tolist()
        self.position = replace(
            at,
            epoch_step=at.epoch_step + count,
            step=at.step + count,
            seconds=self._seconds,
            loss=at.loss + loss,
            pairs=at.pairs + pairs,
            hits=at.hits + hits,
        )
        words = self.plan.words_after(self.position.step)
        progress_metrics.set(train_step=at.step + count, train_epoch=at.epoch, train_words=words)
        self._progress.update(
            words,
            epoch=f"epoch {at.epoch + 1} of {self.config.epochs}",
            loss=loss / max(pairs, 1),
        )
        self._pace.took(count, seconds=took)
        return self._curve.add(totals, took)

    def _log(self, point: Point) -> None:
        words = self.plan.words_after(point.step) - self.plan.words_after(point.first)
        self._monitor.scalars(
            TRAIN,
            point.step,
            loss=point.loss,
            accuracy=point.accuracy,
            learning_rate=float(self.replicas.rate.at(np.array(point.step - 1))),
            words_per_second=words / point.seconds,
        )

    def _save_if_due(self) -> None:
        if self._stop.signal is not None:
            self.save()
            name = signal.Signals(self._stop.signal).name
            self._tell(
                f"stopped by {name} after step {self.position.step:,}; "
                "the same command continues from there"
            )
            raise SystemExit(128 + self._stop.signal)
        if time.monotonic() - self._saved_at >= self.config.checkpoint_every:
            self.save()

    def _count_validation_steps(self) -> int:
        shards = self.dataset.manifest.select(VALIDATION)
        batches = math.ceil(sum(shard.records for shard in shards) / self.plan.records)
        return min(batches, self.config.validation_steps)

    def _tell(self, line: str) -> None:
        if not self._console.quiet:
            logger.info("%s", line, extra={"stage": "train"})


def new_replicas(
    config: TrainConfig,
    dataset: Dataset,
    strategy: tf.distribute.Strategy,
    plan: Plan,
    tell: Callable[[str], None] = lambda _: None,
) -> Replicas:
    """Returns the model that the options ask for; `tell` takes lines for the user.

    Raises:
        UserError: the devices cannot share a batch.
    """
    assert config.alpha is not None
    assert config.min_alpha is not None
    assert config.warmup is not None
    devices = strategy.num_replicas_in_sync
    if plan.records % devices:
        raise UserError(
            f"--batch_size {config.batch_size} is {plan.records} records, which {devices} devices "
            f"cannot share; give a multiple of {devices * dataset.manifest.shape.length}"
        )
    native = config.native and _fits_native(config, strategy)
    return Replicas(
        strategy,
        _optimizer(config, dataset, plan),
        LearningRate(config.alpha, config.min_alpha, plan.limit, config.warmup),
        dataset.manifest.shape,
        words=len(dataset.vocabulary),
        vector_size=config.vector_size,
        seed=config.seed,
        compute=gradient_function(
            config.architecture, config.objective, mixed_precision=config.mixed_precision == "on"
        ),
        tied=config.tie_embeddings,
        sync_every=config.sync_every,
        native=native,
        mixed_precision=native and _multiplies_bfloat16(config),
        tell=tell,
    )


def _optimizer(config: TrainConfig, dataset: Dataset, plan: Plan) -> Optimizer:
    """Returns the optimizer; Adagrad starts by what is planned when a training begins."""
    if config.optimizer == "sgd":
        return Sgd()
    if config.initial_accumulator_value is not None:
        return Adagrad(config.initial_accumulator_value)
    targets = plan.limit * plan.records * dataset.manifest.shape.length
    return Adagrad(initial_accumulator_value(targets, config.vector_size))


def _fits_native(config: TrainConfig, strategy: tf.distribute.Strategy) -> bool:
    """Returns whether our own machine code knows what is asked for: the default, on one CPU."""
    if strategy.num_replicas_in_sync > 1 or tf.config.list_logical_devices("GPU"):
        return False
    if (config.architecture, config.objective) != (SKIPGRAM, NEGATIVE_SAMPLING):
        return False
    from trainer.cpu_kernels.llvm_intrinsics import HAS_BFLOAT16

    return HAS_BFLOAT16 or config.mixed_precision != "on"


def _multiplies_bfloat16(config: TrainConfig) -> bool:
    """Returns whether our own machine code is to multiply in bfloat16."""
    from trainer.cpu_kernels.llvm_intrinsics import FASTER_IN_BFLOAT16

    return {"on": True, "off": False, "auto": FASTER_IN_BFLOAT16}[config.mixed_precision]


_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnavailableError,
)

# What a collective operation ends with when a process that takes part in it is gone.
_GONE = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


@contextlib.contextmanager
def user_errors(dataset: Dataset, shards: Sequence[Shard], *, workers: int) -> Iterator[None]:
    """Raises as a UserError what the work inside fails with.

    Args:
        dataset: what it reads.
        shards: those of it.
        workers: processes that take part.
    """
    gone: tuple[Any, ...] = _GONE if workers > 1 else ()
    try:
        yield
    except gone as error:
        raise UserError(
            "another worker of the cluster is gone, so this one ends too; start all of them again "
            "with the same command, and they continue from the last checkpoint"
        ) from error
    except _UNREADABLE as error:
        raise damage(dataset, shards, error) from error


def diverged(config: TrainConfig, step: int) -> UserError:
    """Returns what to tell the user when numbers are no longer finite after `step`."""
    return UserError(
        f"step {step:,}: the loss or a vector is no longer a finite number; lower --alpha "
        f"({config.alpha}) or --batch_size ({config.batch_size}) and train in "
        f"another --workdir; the checkpoints in {config.checkpoint_dir} are from before"
    )


@dataclass(frozen=True)
class WordPairSets:
    """Files of word pairs, by the name that they are told under.

    Attributes:
        paths: by name.
    """

    paths: Mapping[str, Path]

    @classmethod
    def read(cls, paths: Iterable[Path]) -> WordPairSets:
        """Returns the sets in files, each found to be one.

        Raises:
            UserError: a file is not of word pairs, or two have the same name.
        """
        named: dict[str, Path] = {}
        for path in paths:
            if is_analogy_file(path):
                raise UserError(
                    f"{path}: holds analogies; --evaluate takes word pairs, and "
                    "pmc2vec evaluate takes both"
                )
            read_pairs(path)
            if path.stem in named:
                raise UserError(
                    f"--evaluate {named[path.stem]} {path}: both would be told as {path.stem}; "
                    "rename one"
                )
            named[path.stem] = path
        return cls(named)

    def scores(self, vectors: Vectors) -> Scores:
        """Returns how well vectors agree with each set."""
        return {name: vectors.evaluate_word_pairs(path) for name, path in self.paths.items()}


def score_lines(scores: Scores) -> Sequence[str]:
    """Returns a line for each set."""
    return [
        f"{name}: Spearman {score.spearman:.3f} on {score.covered:,} of {score.total:,} pairs"
        if not math.isnan(score.spearman)
        else f"{name}: no Spearman, {score.covered:,} of {score.total:,} pairs are known"
        for name, score in scores.items()
    ]


def score_facts(scores: Scores) -> dict[str, dict[str, Any]]:
    """Returns the scores as JSON has them: None where there is no correlation."""
    return {
        name: {
            "spearman": None if math.isnan(score.spearman) else score.spearman,
            "covered": score.covered,
            "total": score.total,
        }
        for name, score in scores.items()
    }


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
