"""The training loop: from where a training is to the end of its epochs.

`task.train` calls the phases of `Training` in order. Each phase leaves the tables and the position
consistent with each other, so that a checkpoint between any two calls of the compiled step
continues as if the training had not stopped.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console

from pmc2vec.cli.console import Progress, progress
from pmc2vec.cli.metrics import progress_metrics
from pmc2vec.cli.signals import StopRequest
from pmc2vec.dataset.manifest import Shard
from pmc2vec.dataset.records import TRAIN, VALIDATION
from pmc2vec.errors import UserError
from pmc2vec.vectors.evaluation import is_analogy_file, read_pairs
from pmc2vec.vectors.keyed_vectors import Vectors
from pmc2vec.vectors.subwords import Ngrams, Subwords
from trainer.checkpoints import Checkpoints, list_checkpoints
from trainer.config import TrainConfig
from trainer.dataset_reader import Dataset, check_unchanged, shard_read_error
from trainer.devices import SINGLE_WORKER, Worker
from trainer.distribution.replicas import Replicas
from trainer.history import (
    epoch_record,
    longer_plan_line,
    new_stretch,
    overfitting_line,
    read_history,
    write_history,
)
from trainer.input_pipeline import BatchGroups, training_batches, validation_batches
from trainer.model import WORD_ROWS, InputRows, SkipGram
from trainer.objectives import NEGATIVE_SAMPLING, SKIPGRAM, chance_loss, gradient_function
from trainer.optimizers import (
    Adagrad,
    Adam,
    Optimizer,
    RMSprop,
    Sgd,
    initial_accumulator_value,
)
from trainer.schedule import (
    EpochSchedule,
    LearningRateSchedule,
    StepsPerCall,
    TrainingPosition,
)
from trainer.subword_rows import SubwordRows
from trainer.tensorboard_logging import (
    CurvePoint,
    ProbeNeighbours,
    TensorBoardLogger,
    TrainingCurve,
    WordPairScores,
    find_probe_words,
    log_neighbours,
    open_tensorboard_logger,
)
from trainer.warm_start import warm_start
from trainer.workdir import check_workdir_exists

logger = logging.getLogger(__name__)


class Training:
    """A model in training.

    Attributes:
        config: the options, resolved.
        dataset: the training data.
        worker: which of the processes that train together this is.
        schedule: steps and words of the epochs.
        replicas: the model and its optimizer.
        position: how far the training is.
        probe_words: words whose neighbours are shown.
        history: what was measured so far.
        divergence: compares the loss with that of chance.
    """

    # The batches of the next epoch, which are read while the last epoch is validated and saved.
    _next_batches: BatchGroups | None = None

    # The step whose neighbours were logged last, and these.
    _neighbours_at: tuple[int, ProbeNeighbours] = (-1, {})

    # The word vectors of the last step, which are both reported and exported.
    _last_vectors: Vectors | None = None

    # Set by `reporting`.
    _started_at: float
    _progress: Progress
    _tensorboard: TensorBoardLogger

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        strategy: tf.distribute.Strategy,
        *,
        stop: StopRequest,
        console: Console,
        worker: Worker = SINGLE_WORKER,
    ) -> None:
        """Makes the model, and restores the newest checkpoint if there is one.

        Args:
            config: the options, resolved.
            dataset: the training data.
            strategy: the devices.
            stop: is set when a signal asks to stop.
            console: shows progress; where it is quiet, nothing is logged either.
            worker: which of the processes that train together this is.

        Raises:
            UserError: the devices cannot share a batch; the checkpoints belong to a longer training
                or cannot be read; a file of --evaluate or --init_from does not fit; early stopping
                has no validation records.
        """
        assert config.checkpoint_dir is not None
        self.config, self.dataset, self.worker = config, dataset, worker
        self._stop, self._console = stop, console
        self.after_save: Callable[[], None] = lambda: None
        self.schedule = make_schedule(config, dataset)
        self.probe_words = find_probe_words(
            config.probe_words, dataset.vocabulary, seed=config.seed, subwords=config.subwords
        )
        self._word_pair_files = word_pair_files(config.evaluate)
        self._validation_steps = self._count_validation_steps()
        self.replicas = make_replicas(config, dataset, strategy, self.schedule, self._log_line)
        self._checkpoints = Checkpoints(
            config.checkpoint_dir,
            self.replicas,
            keep=config.keep_checkpoints,
            warn=self._log_line,
            chief=worker.chief,
        )
        self.position = self._restore_or_start()
        self.history = read_history(Path(config.workdir or "")).until(self.position.step)
        self._saved_at = time.monotonic()
        self._steps_per_call = StepsPerCall(
            [config.validate_every, *filter(None, [config.probe_every])],
            sync_every=config.sync_every,
        )
        self.divergence = DivergenceMonitor(
            config, self.schedule, negative=dataset.manifest.shape.negative
        )
        self._curve = TrainingCurve(every=config.log_every, step=self.position.step)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Shows progress, and writes TensorBoard's files, while the work inside runs."""
        assert self.config.log_dir is not None
        if self.position.step:
            self._log_line(f"continues after step {self.position.step:,}")
        self.history = self.history.with_stretch(
            new_stretch(self.config, self.schedule, self.position.step)
        )
        if self.position.step and (line := longer_plan_line(self.history)):
            self._log_line(line)
        if not self._validation_steps:
            self._log_line("the dataset has no validation records, so there is no validation loss")
        self._log_line(f"trains on {self.replicas.hardware}")
        self._tensorboard = open_tensorboard_logger(
            self.config if self.worker.chief else None,
            self.probe_words,
            self._log_line,
        )
        with contextlib.closing(self._tensorboard):
            # Reading begins before the step is compiled, so that both run at the same time.
            self._next_batches = self._training_batches()
            self.replicas.prepare(self._records)
            self._started_at = time.monotonic() - self.position.seconds
            with progress(
                "train",
                "words",
                total=self.schedule.total_words,
                start=self.schedule.words_after(self.position.step),
                on=self._console,
            ) as self._progress:
                yield

    # --- the phases of an epoch ----------------------------------------------------------------

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing more to train."""
        return (
            self.position.epoch >= self.config.epochs
            or self.position.step >= self.schedule.step_limit
            or self.out_of_patience
        )

    @property
    def out_of_patience(self) -> bool:
        """Whether early stopping has seen too many validations without a lower loss."""
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
        groups, self._next_batches = self._next_batches or self._training_batches(), None
        with ThreadPoolExecutor(1) as pool:
            # TensorFlow makes the next epoch's pipeline meanwhile; then no core waits for it.
            is_last = epoch + 1 >= self.config.epochs
            pipeline = None if is_last else pool.submit(self._pipeline, epoch + 1)
            self._train_batches(groups)
        if self.position.epoch_step == self.schedule.steps_of(epoch):
            self.position = replace(self.position, epoch=epoch + 1, epoch_step=0)
        del groups  # Its buffers are freed before those of the next epoch fill.
        if pipeline and not self.is_finished:
            self._next_batches = self.replicas.batch_groups(pipeline.result())

    def _train_batches(self, groups: BatchGroups) -> None:
        """Trains on the epoch's batches, to where `train_epoch` ends."""
        while (steps_left := self.schedule.steps_left(self.position)) > 0:
            if self.out_of_patience:
                break
            steps = self._steps_per_call.next(step=self.position.step, steps_left=steps_left)
            for point in self._train_steps(groups, steps):
                self._log_point(point)
            if self.position.step % self.config.validate_every == 0:
                self.validate()
            if self.config.probe_every and self.position.step % self.config.probe_every == 0:
                self.report_neighbours()
            # At the end of an epoch the validation comes first; `task.train` then saves.
            if self.schedule.steps_left(self.position) > 0:
                self._save_if_due()

    def validate(self) -> None:
        """Measures what early stopping compares, and saves the tables if they are the best so far.

        The validation loss is measured wherever there are validation records.
        """
        position, measure = self.position, self.config.early_stopping_measure
        by_loss = measure == "loss"
        if position.validated_step == position.step or (by_loss and not self._validation_steps):
            return
        loss, accuracy = self._validation_loss() if self._validation_steps else (math.nan, math.nan)
        score = loss if by_loss else -self.word_pair_scores(self.word_vectors())[measure].spearman
        is_best = score < position.best_loss
        self.position = replace(
            position,
            seconds=self._seconds,
            validation_loss=loss,
            validation_accuracy=accuracy,
            validated_step=position.step,
            best_loss=min(score, position.best_loss) if is_best else position.best_loss,
            stale=0 if is_best else position.stale + 1,
        )
        if is_best and self.worker.chief:
            self._checkpoints.save_best(self.position)

    def _validation_loss(self) -> tuple[float, float]:
        """Returns loss and accuracy of the validation records, and logs them."""
        batches = validation_batches(
            self.dataset,
            records=self._records,
            limit=self._validation_steps,
            worker=self.worker,
            grouped=True,
        )
        with self._user_errors(VALIDATION):
            groups = self.replicas.batch_groups(batches)
            totals = self.replicas.evaluate(groups, steps=self._validation_steps)
        total_loss, pairs, hits = totals.sum(0).tolist()
        loss, accuracy = total_loss / max(pairs, 1), hits / max(pairs, 1)
        if not math.isfinite(loss):
            raise divergence_error(self.config, self.position.step)
        self._tensorboard.log_scalars(VALIDATION, self.position.step, loss=loss, accuracy=accuracy)
        return loss, accuracy

    def save(self) -> None:
        """Writes a checkpoint, unless the numbers are not finite or the dataset has changed.

        Raises:
            UserError: the loss is not finite, the dataset is another one, or the disk is full.
        """
        if not self.replicas.is_finite():
            raise divergence_error(self.config, self.position.step)
        check_unchanged(self.dataset)
        if self.worker.chief:
            assert self.config.workdir is not None
            check_workdir_exists(self.config.workdir)
        self.position = replace(self.position, seconds=self._seconds)
        self._saved_at = time.monotonic()
        if self.worker.chief:
            self._checkpoints.save(self.position)
            self.after_save()

    def stop_if_asked(self) -> None:
        """Ends the program if a signal asked for it; to be called after `save`.

        Raises:
            SystemExit: a signal asked to stop.
        """
        if self._stop.signal is None:
            return
        name = signal.Signals(self._stop.signal).name
        self._log_line(
            f"stopped by {name} after step {self.position.step:,}; "
            "the same command continues from there"
        )
        raise SystemExit(128 + self._stop.signal)

    def report_epoch(self) -> None:
        """Logs the epoch's losses, the correlations with people's scores, and neighbours."""
        if not self.worker.chief:
            return
        step = self.position.step
        self._log_line(epoch_line(self.position, self.schedule, epochs=self.config.epochs))
        vectors = self.word_vectors()
        if self.is_finished:
            self._last_vectors = vectors
        scores = self.word_pair_scores(vectors)
        self._tensorboard.log_word_pair_scores(step, scores)
        for line in word_pair_lines(scores):
            self._log_line(line)
        self._tensorboard.log_norms(step, vectors.matrix)
        self._tensorboard.log_word_map(step, vectors)
        neighbours = self.report_neighbours(vectors)
        spearman = {
            name: score.spearman for name, score in scores.items() if math.isfinite(score.spearman)
        }
        self.history = self.history.with_epoch(epoch_record(self.position, spearman, neighbours))
        write_history(Path(self.config.workdir or ""), self.history)
        if warning := overfitting_line(self.history):
            logger.warning("%s", warning, extra={"stage": "train"})

    def report_neighbours(self, vectors: Vectors | None = None) -> ProbeNeighbours:
        """Returns the neighbours of the probe words, and logs them once for a step.

        Args:
            vectors: those of this step, where they are at hand.
        """
        step = self.position.step
        if not self.worker.chief or self._neighbours_at[0] == step:
            return self._neighbours_at[1]
        if vectors is None:
            self._log_line(f"step {step:,}")
            vectors = self.word_vectors()
        neighbours = self._tensorboard.log_neighbours(step, vectors)
        self._neighbours_at = step, neighbours
        if not self._console.quiet:
            log_neighbours(neighbours)
        return neighbours

    # --- the result ----------------------------------------------------------------------------

    def restore_best(self) -> TrainingPosition:
        """Sets the tables to those to export, and returns their position.

        With early stopping these are the best tables, else the last. Nothing is trained afterwards.
        """
        position, patience = self.position, self.config.early_stopping
        if patience is None or math.isinf(position.best_loss) or not self.worker.chief:
            return position
        if self.out_of_patience:
            better = self._best.replace("lowest", "lower").replace("highest", "higher")
            self._log_line(f"stopped early: no {better} in {patience} measurements")
        best, self._last_vectors = self._checkpoints.restore_best(), None
        self._log_line(
            f"the vectors are those of step {best.step:,} of {position.step:,}, which had the "
            f"{self._best}, {abs(best.best_loss):.4f}"
        )
        return best

    @property
    def _best(self) -> str:
        measure = self.config.early_stopping_measure
        by_loss = measure == "loss"
        return "lowest validation loss" if by_loss else f"highest correlation with {measure}"

    @property
    def way_to_continue(self) -> str:
        """The option that would continue a training that is finished."""
        if self.out_of_patience:
            return "a higher --early_stopping"
        if self.position.epoch >= self.config.epochs:
            return "more --epochs"
        return "a higher --max_steps or --max_words"

    def word_vectors(self) -> Vectors:
        """Returns the word vectors as they are exported."""
        if self._last_vectors is not None:
            return self._last_vectors
        model, vocabulary = self.replicas.model, self.dataset.vocabulary
        matrix, ngram_rows = model.published(self.config.output_vectors)
        subwords = None
        if ngram_rows is not None and isinstance(model.input_rows, SubwordRows):
            rows = model.input_rows
            subwords = Subwords(rows.ngrams, ngram_rows, rows.index.buckets)
        return Vectors(vocabulary.words, matrix, vocabulary.counts, subwords)

    def word_pair_scores(self, vectors: Vectors) -> WordPairScores:
        """Returns how well vectors agree with each file of --evaluate."""
        return {
            name: vectors.evaluate_word_pairs(path) for name, path in self._word_pair_files.items()
        }

    # --- helpers -------------------------------------------------------------------------------

    @property
    def _records(self) -> int:
        """Records in a batch of this process."""
        return self.schedule.records // self.worker.count

    @property
    def _seconds(self) -> float:
        """Seconds of training, over all starts."""
        return time.monotonic() - self._started_at

    def _restore_or_start(self) -> TrainingPosition:
        """Returns the position of the newest checkpoint, or of a new training."""
        config, position = self.config, self._checkpoints.restore()
        if (position.epoch, position.epoch_step) > (config.epochs, 0):
            raise UserError(
                f"{config.workdir}: has been trained for {position.epoch} epochs already; "
                f"--epochs {config.epochs} is less"
            )
        if not position.step and config.init_from is not None:
            words = self.dataset.vocabulary.words
            self._log_line(warm_start(config.init_from, config, self.replicas, words))
        if not self.replicas.same_on_all_workers(position.step):
            raise UserError(
                f"{config.checkpoint_dir}: this worker finds the checkpoint of step "
                f"{position.step:,} there and others do not; give a --checkpoint_dir that all see"
            )
        # The best so far may be of the other measure: a loss is above 0, and negated correlations
        # of vectors that have learned anything are below.
        by_loss = config.early_stopping_measure == "loss"
        if (position.best_loss < 0) == by_loss and math.isfinite(position.best_loss):
            position = replace(position, best_loss=math.inf, stale=0)
        return position

    def _training_batches(self) -> BatchGroups:
        """Returns the batches that are left of the epoch. Reading begins at once."""
        position = self.position
        return self.replicas.batch_groups(self._pipeline(position.epoch, position.epoch_step))

    def _pipeline(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
        """Returns an epoch's batches without the first `skip`. Reading begins with an iterator."""
        return training_batches(
            self.dataset,
            epoch=epoch,
            seed=self.config.seed,
            records=self._records,
            skip=skip,
            worker=self.worker,
            redraw=self.config.redraw,
            grouped=True,
        )

    def _user_errors(self, split: str) -> AbstractContextManager[None]:
        draw = self.position.epoch % self.dataset.manifest.passes if split == TRAIN else None
        shards = self.dataset.manifest.select(split, draw)
        return user_errors(self.dataset, shards, workers=self.worker.count)

    def _train_steps(self, groups: BatchGroups, steps: int) -> list[CurvePoint]:
        """Does one call of the step, and returns the points of the curves that it completes."""
        position, started_at = self.position, time.monotonic()
        waited_before = groups.waiting_seconds
        with self._user_errors(TRAIN):
            totals = self.replicas.train(groups, first_step=position.step, steps=steps)
        seconds = time.monotonic() - started_at
        not_finite = np.flatnonzero(~np.isfinite(totals[:, 0]))
        if len(not_finite):
            raise divergence_error(self.config, position.step + int(not_finite[0]))
        loss, pairs, hits = totals.sum(0).tolist()
        self.position = replace(
            position,
            epoch_step=position.epoch_step + steps,
            step=position.step + steps,
            seconds=self._seconds,
            loss=position.loss + loss,
            pairs=position.pairs + pairs,
            hits=position.hits + hits,
        )
        words = self.schedule.words_after(self.position.step)
        progress_metrics.set(
            train_step=self.position.step, train_epoch=position.epoch, train_words=words
        )
        self._progress.update(
            words,
            epoch=f"epoch {position.epoch + 1} of {self.config.epochs}",
            loss=loss / max(pairs, 1),
        )
        self._steps_per_call.measure(steps, seconds=seconds)
        return self._curve.add(totals, seconds, groups.waiting_seconds - waited_before)

    def _log_point(self, point: CurvePoint) -> None:
        words = self.schedule.words_after(point.step) - self.schedule.words_after(
            point.previous_step
        )
        self._tensorboard.log_scalars(
            TRAIN,
            point.step,
            loss=point.loss,
            accuracy=point.accuracy,
            epoch_progress=self.schedule.epochs_after(point.step),
            learning_rate=float(self.replicas.rate.at(np.array(point.step - 1))),
            words_per_second=words / point.seconds,
            waiting_for_data=point.waiting,
        )
        if self.worker.chief and (line := self.divergence.warning(point)):
            logger.warning("%s", line, extra={"stage": "train"})

    def _save_if_due(self) -> None:
        if self._stop.signal is not None:
            self.save()
            self.stop_if_asked()
        if time.monotonic() - self._saved_at >= self.config.checkpoint_every:
            self.save()

    def _count_validation_steps(self) -> int:
        config, shards = self.config, self.dataset.manifest.select(VALIDATION)
        batches = math.ceil(sum(shard.records for shard in shards) / self.schedule.records)
        if config.early_stopping and config.early_stopping_measure == "loss" and not batches:
            raise UserError(
                f"--early_stopping {config.early_stopping}: {config.dataset} has no validation "
                "records; build it with --validation_fraction, give --early_stopping_measure, or "
                "train without"
            )
        return min(batches, config.validation_steps)

    def _log_line(self, line: str) -> None:
        if not self._console.quiet:
            logger.info("%s", line, extra={"stage": "train"})


def epoch_line(position: TrainingPosition, schedule: EpochSchedule, *, epochs: int) -> str:
    """Returns a line with the losses of an epoch, or of what was trained of it."""
    line = f"epoch {position.epoch + bool(position.epoch_step)} of {epochs}"
    if position.epoch_step:
        line += f", {position.epoch_step:,} of {schedule.steps_of(position.epoch):,} steps"
    line += f": loss {position.mean_loss:.4f}, accuracy {position.accuracy:.3f}"
    if not math.isnan(position.validation_loss):
        line += f"; validation loss {position.validation_loss:.4f}, "
        line += f"accuracy {position.validation_accuracy:.3f}"
    return line


# --- what the options ask for ------------------------------------------------------------------


def make_schedule(config: TrainConfig, dataset: Dataset) -> EpochSchedule:
    """Returns the steps of a training with these options, resolved."""
    assert config.batch_size is not None
    return EpochSchedule.for_dataset(
        dataset,
        epochs=config.epochs,
        batch_size=config.batch_size,
        max_steps=config.max_steps,
        max_words=config.max_words,
    )


def make_replicas(
    config: TrainConfig,
    dataset: Dataset,
    strategy: tf.distribute.Strategy,
    schedule: EpochSchedule,
    warn: Callable[[str], None] = lambda _: None,
) -> Replicas:
    """Returns the model with the architecture, objective and optimizer of the options.

    Another architecture or another input of the model is chosen here.

    Args:
        config: the options, resolved.
        dataset: the training data.
        strategy: the devices.
        schedule: steps of the training.
        warn: shows a line to the user.

    Raises:
        UserError: the devices cannot share a batch.
    """
    assert config.alpha is not None
    assert config.min_alpha is not None
    assert config.warmup is not None
    devices = strategy.num_replicas_in_sync
    if schedule.records % devices:
        raise UserError(
            f"--batch_size {config.batch_size} is {schedule.records} records, which {devices} "
            "devices cannot share; give a multiple of "
            f"{devices * dataset.manifest.shape.length}"
        )
    native = config.native and _native_fits(config, strategy)
    return Replicas(
        strategy,
        partial(_make_model, config, dataset, native=native),
        _make_optimizer(config, dataset, schedule),
        LearningRateSchedule(config.alpha, config.min_alpha, schedule.step_limit, config.warmup),
        sync_every=config.sync_every,
        native=native,
        mixed_precision=native and _native_uses_bfloat16(config),
        warn=warn,
    )


def _make_model(config: TrainConfig, dataset: Dataset, *, native: bool) -> SkipGram:
    input_rows: InputRows = WORD_ROWS
    if config.subwords:
        ngrams = Ngrams(config.min_n, config.max_n, config.bucket)
        input_rows = SubwordRows(dataset.vocabulary.words, ngrams, native=native)
    return SkipGram(
        dataset.manifest.shape,
        words=len(dataset.vocabulary),
        vector_size=config.vector_size,
        seed=config.seed,
        gradient_function=gradient_function(
            config.architecture, config.objective, mixed_precision=config.mixed_precision == "on"
        ),
        input_rows=input_rows,
        tied=config.tie_embeddings,
    )


def _make_optimizer(config: TrainConfig, dataset: Dataset, schedule: EpochSchedule) -> Optimizer:
    """Returns the optimizer.

    The accumulators of a new training start by the steps that are planned; a continued one reads
    them from its checkpoint.
    """
    optimizers: dict[str, Optimizer] = {"sgd": Sgd(), "adam": Adam(), "rmsprop": RMSprop()}
    if config.optimizer in optimizers:
        return optimizers[config.optimizer]
    if config.initial_accumulator_value is not None:
        return Adagrad(config.initial_accumulator_value)
    targets = schedule.step_limit * schedule.records * dataset.manifest.shape.length
    return Adagrad(initial_accumulator_value(targets, config.vector_size))


def _native_fits(config: TrainConfig, strategy: tf.distribute.Strategy) -> bool:
    """Returns whether `cpu_kernels` can train this: the default model on one CPU device."""
    if strategy.num_replicas_in_sync > 1 or tf.config.list_logical_devices("GPU"):
        return False
    if (config.architecture, config.objective) != (SKIPGRAM, NEGATIVE_SAMPLING):
        return False
    if config.optimizer not in {"adagrad", "sgd"}:
        return False
    from trainer.cpu_kernels.llvm_intrinsics import HAS_BFLOAT16

    return HAS_BFLOAT16 or config.mixed_precision != "on"


def _native_uses_bfloat16(config: TrainConfig) -> bool:
    """Returns whether `cpu_kernels` multiply in bfloat16."""
    from trainer.cpu_kernels.llvm_intrinsics import FASTER_IN_BFLOAT16

    return {"on": True, "off": False, "auto": FASTER_IN_BFLOAT16}[config.mixed_precision]


# --- errors of TensorFlow as errors of the user ------------------------------------------------

_READ_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnavailableError,
)

# A collective operation ends with one of these when a process that takes part in it has ended.
_LOST_WORKER_ERRORS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)


@contextlib.contextmanager
def user_errors(dataset: Dataset, shards: Sequence[Shard], *, workers: int) -> Iterator[None]:
    """Turns TensorFlow's errors of reading and of lost workers into UserErrors.

    Args:
        dataset: the dataset that is read inside.
        shards: the shards of it.
        workers: processes that train together.
    """
    lost_worker: tuple[type[Exception], ...] = _LOST_WORKER_ERRORS if workers > 1 else ()
    try:
        yield
    except lost_worker as error:
        raise UserError(
            "another worker of the cluster is gone, so this one ends too; start all of them again "
            "with the same command, and they continue from the last checkpoint"
        ) from error
    except _READ_ERRORS as error:
        raise shard_read_error(dataset, shards, error) from error


class DivergenceMonitor:
    """Compares the loss with that of chance: of vectors that know nothing, all logits being 0."""

    # Less than so many times the loss of chance may be the noise of few pairs.
    _MARGIN = 1.02

    def __init__(self, config: TrainConfig, schedule: EpochSchedule, *, negative: int) -> None:
        """Begins.

        Args:
            config: the options, resolved.
            schedule: steps of the training.
            negative: negatives of a pair.
        """
        self._config = config
        self._chance_loss = chance_loss(config.objective, negative)
        self._warmup_steps = (config.warmup or 0) * schedule.step_limit
        self._warned = False

    def warning(self, point: CurvePoint) -> str | None:
        """Returns a line where the loss is above that of chance after the warmup, but only once."""
        if (
            self._warned
            or point.previous_step < self._warmup_steps
            or not self._is_high(point.loss)
        ):
            return None
        self._warned = True
        return (
            f"loss {point.loss:.4f} after step {point.step:,} is above "
            f"{self._chance_loss:.4f}, that of vectors that know nothing: the training diverges; "
            f"stop it, {self._remedy}"
        )

    def check(self, position: TrainingPosition) -> None:
        """Checks that the tables of a position predict better than chance.

        Validation loss alone may be high, where few texts are learnt by heart.

        Raises:
            UserError: training loss and validation loss are above that of chance.
        """
        losses = (position.mean_loss, position.validation_loss)
        if position.pairs and all(self._is_high(loss) for loss in losses):
            raise UserError(
                f"the training ends with loss {position.mean_loss:.4f}, but vectors that know "
                f"nothing have {self._chance_loss:.4f}, so no vectors are written; {self._remedy}, "
                "or write them nevertheless with --publish_diverged"
            )

    def learned_nothing_line(self, position: TrainingPosition) -> str | None:
        """Returns a line where the loss has not left that of chance by two parts in a hundred.

        Of a hundred steps or fewer nothing is expected.
        """
        if position.step <= 100 or position.mean_loss < (2 - self._MARGIN) * self._chance_loss:
            return None
        return (
            f"loss {position.mean_loss:.4f} is nearly that of vectors that know nothing "
            f"({self._chance_loss:.4f}): hardly anything was learned; give more --epochs or text, "
            f"or a higher --alpha ({self._config.alpha})"
        )

    def _is_high(self, loss: float) -> bool:
        return not loss <= self._MARGIN * self._chance_loss  # NaN, which was not measured, too.

    @property
    def _remedy(self) -> str:
        return (
            f"lower --alpha ({self._config.alpha}) or --batch_size ({self._config.batch_size}), "
            "and train in another --workdir"
        )


def divergence_error(config: TrainConfig, step: int) -> UserError:
    """Returns the error to raise where numbers are not finite after a step."""
    remedy = "give the command again: no checkpoint has been written"
    if list_checkpoints(config.checkpoint_dir or ""):
        remedy = (
            f"train in another --workdir; the checkpoints in {config.checkpoint_dir} are from "
            "before"
        )
    return UserError(
        f"step {step:,}: the loss or a vector is no longer a finite number; lower --alpha "
        f"({config.alpha}) or --batch_size ({config.batch_size}) and {remedy}"
    )


# --- word pairs with people's scores -----------------------------------------------------------


def word_pair_files(paths: Iterable[Path]) -> dict[str, Path]:
    """Returns the files of --evaluate by name; each is read, so that a wrong one fails at once.

    Raises:
        UserError: a file is not of word pairs, or two have the same name.
    """
    files: dict[str, Path] = {}
    for path in paths:
        if is_analogy_file(path):
            raise UserError(
                f"{path}: holds analogies; --evaluate takes word pairs, and "
                "pmc2vec evaluate takes both"
            )
        read_pairs(path)
        if path.stem in files:
            raise UserError(
                f"--evaluate {files[path.stem]} {path}: both would be shown as {path.stem}; "
                "rename one"
            )
        files[path.stem] = path
    return files


def word_pair_lines(scores: WordPairScores) -> Sequence[str]:
    """Returns a line for each file."""
    return [
        f"{name}: Spearman {score.spearman:.3f} on {score.covered:,} of {score.total:,} pairs"
        if not math.isnan(score.spearman)
        else f"{name}: no Spearman, {score.covered:,} of {score.total:,} pairs are known"
        for name, score in scores.items()
    ]
