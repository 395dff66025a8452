"""A training from where it stands to the end of its epochs: the phases that `task` puts in order.

A phase leaves the tables, the position and what was told about them in step with each other, so
that a checkpoint between any two calls of the compiled step continues as if there had been none.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console

from beam_pipelines.progress import Progress, progress
from beam_pipelines.records import TRAIN, VALIDATION, UserError
from trainer.checkpoints import Checkpoints
from trainer.config import TrainConfig
from trainer.data import Dataset, damage, training_batches, validation_batches
from trainer.monitor import Monitor, probe_words, show_neighbours
from trainer.optimizers import Adagrad, Optimizer, Sgd
from trainer.plan import Meter, Plan
from trainer.replicas import LearningRate, Replicas, Sums
from trainer.signals import StopRequest

STEPS_PER_CALL = 50
"""Steps between two looks at the clock and at signals; a tenth of a second or so on a CPU."""

_OPTIMIZERS: dict[str, type[Optimizer]] = {"adagrad": Adagrad, "sgd": Sgd}

_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnavailableError,
)


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
    ) -> None:
        """Makes the model, and takes up the newest checkpoint if there is one.

        Raises:
            UserError: the devices cannot share a batch; the checkpoints belong to a longer training
                or cannot be read.
        """
        assert config.alpha is not None
        assert config.min_alpha is not None
        assert config.batch_size is not None
        assert config.checkpoint_dir is not None
        self.config, self.dataset = config, dataset
        self._stop, self._console = stop, on
        self.plan = Plan.of(dataset, epochs=config.epochs, batch_size=config.batch_size)
        devices = strategy.num_replicas_in_sync
        if self.plan.records % devices:
            share = devices * dataset.manifest.shape.length
            raise UserError(
                f"--batch_size {config.batch_size} is {self.plan.records} records, which {devices} "
                f"devices cannot share; give a multiple of {share}"
            )
        self.replicas = Replicas(
            strategy,
            _OPTIMIZERS[config.optimizer](),
            LearningRate(config.alpha, config.min_alpha, sum(self.plan.steps)),
            dataset.manifest.shape,
            words=len(dataset.vocabulary),
            vector_size=config.vector_size,
            seed=config.seed,
        )
        self._checkpoints = Checkpoints(
            config.checkpoint_dir, self.replicas, keep=config.keep_checkpoints, tell=self._tell
        )
        self._validation_steps = self._count_validation_steps()
        self.position = self._checkpoints.restore()
        if (self.position.epoch, self.position.epoch_step) > (config.epochs, 0):
            raise UserError(
                f"{config.workdir}: has been trained for {self.position.epoch} epochs already; "
                f"--epochs {config.epochs} is less"
            )
        self._began = time.monotonic() - self.position.seconds
        self._saved_at = time.monotonic()
        self._validated_at = -1
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
        vocabulary = self.dataset.vocabulary
        unknown = [word for word in self.config.probe_words if word not in vocabulary.ids]
        if unknown:
            self._tell(f"not in the vocabulary, so not probed: {' '.join(unknown)}")
        probes = [word for word in self.config.probe_words if word in vocabulary.ids]
        self._monitor = Monitor(
            self.config.log_dir,
            probes=probes or probe_words(vocabulary),
            words=vocabulary.words,
        )
        with (
            contextlib.closing(self._monitor),
            progress(
                "train",
                "words",
                total=sum(self.plan.words),
                start=self.plan.words_done(self.position),
                on=self._console,
            ) as self._progress,
        ):
            yield

    # --- the phases of an epoch ----------------------------------------------------------------

    def train_epoch(self) -> None:
        """Trains to the end of the epoch.

        Raises:
            UserError: a shard cannot be read; the loss is not finite.
            SystemExit: a signal asked to stop; a checkpoint was written.
        """
        epoch = self.position.epoch
        if not self.position.epoch_step:
            self.position = replace(self.position, loss=0.0, pairs=0.0, hits=0.0)
        iterator = self.replicas.iterate(
            training_batches(
                self.dataset,
                epoch=epoch,
                seed=self.config.seed,
                records=self.plan.records,
                skip=self.position.epoch_step,
            )
        )
        meter = self._new_meter()
        while (left := self.plan.steps[epoch] - self.position.epoch_step) > 0:
            sums = self._steps(iterator, self._until_next(left))
            meter.add(sums)
            step = self.position.step
            if step % self.config.log_every == 0:
                self._log(meter)
                meter = self._new_meter()
            if step % self.config.validate_every == 0:
                self.validate()
            self._save_if_due()
        self.position = replace(self.position, epoch=epoch + 1, epoch_step=0)

    def validate(self) -> None:
        """Measures the validation loss; the tables with the lowest one are kept as the best."""
        if not self._validation_steps or self._validated_at == self.position.step:
            return
        self._validated_at = self.position.step
        batches = validation_batches(
            self.dataset, records=self.plan.records, limit=self._validation_steps
        )
        iterator = self.replicas.iterate(batches)
        try:
            sums = self.replicas.evaluate(iterator, steps=self._validation_steps)
        except _UNREADABLE as error:
            raise damage(self.dataset, self.dataset.manifest.select(VALIDATION), error) from error
        loss, accuracy = sums.loss / max(sums.pairs, 1), sums.hits / max(sums.pairs, 1)
        if not math.isfinite(loss):
            self._fail_diverged(self.position.step)
        self._monitor.scalars(VALIDATION, self.position.step, loss=loss, accuracy=accuracy)
        best = loss < self.position.best_loss
        self.position = replace(
            self.position,
            seconds=self._seconds,
            validation_loss=loss,
            validation_accuracy=accuracy,
            best_loss=min(loss, self.position.best_loss),
        )
        if best:
            self._checkpoints.save_best(self.position)

    def report(self) -> None:
        """Tells how the epoch went, and what the neighbours of the probe words are now."""
        at = self.position
        line = f"epoch {at.epoch} of {self.config.epochs}: loss {at.loss / max(at.pairs, 1):.4f}, "
        line += f"accuracy {at.hits / max(at.pairs, 1):.3f}"
        if not math.isnan(at.validation_loss):
            line += f"; validation loss {at.validation_loss:.4f}, "
            line += f"accuracy {at.validation_accuracy:.3f}"
        self._tell(line)
        show_neighbours(self._monitor.neighbours(at.step, self.matrix()), self._console)

    def save(self) -> None:
        """Writes a checkpoint; one with numbers that are not finite is never written."""
        if not self.replicas.finite():
            self._fail_diverged(self.position.step)
        self.position = replace(self.position, seconds=self._seconds)
        self._checkpoints.save(self.position)
        self._saved_at = time.monotonic()

    def matrix(self) -> NDArray[np.float32]:
        """Returns the word vectors, [V, D] float32."""
        return np.asarray(self.replicas.model.target.numpy())

    # --- between them --------------------------------------------------------------------------

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _until_next(self, left: int) -> int:
        step, config = self.position.step, self.config
        until_log = config.log_every - step % config.log_every
        until_validation = config.validate_every - step % config.validate_every
        return min(STEPS_PER_CALL, left, until_log, until_validation)

    def _steps(self, iterator: Any, count: int) -> Sums:
        at = self.position
        try:
            sums = self.replicas.train(iterator, first=at.step, steps=count)
        except _UNREADABLE as error:
            raise damage(self.dataset, self.dataset.shards(at.epoch), error) from error
        if sums.diverged is not None:
            self._fail_diverged(sums.diverged)
        self.position = replace(
            at,
            epoch_step=at.epoch_step + count,
            step=at.step + count,
            seconds=self._seconds,
            loss=at.loss + sums.loss,
            pairs=at.pairs + sums.pairs,
            hits=at.hits + sums.hits,
        )
        self._progress.update(
            self.plan.words_done(self.position),
            epoch=f"epoch {at.epoch + 1} of {self.config.epochs}",
            loss=sums.loss / max(sums.pairs, 1),
        )
        return sums

    def _new_meter(self) -> Meter:
        return Meter(self._seconds, self.plan.words_done(self.position))

    def _log(self, meter: Meter) -> None:
        words = self.plan.words_done(self.position) - meter.words
        self._monitor.scalars(
            TRAIN,
            self.position.step,
            loss=meter.loss / max(meter.pairs, 1),
            accuracy=meter.hits / max(meter.pairs, 1),
            learning_rate=self.replicas.rate.at(self.position.step - 1),
            words_per_second=words / (self._seconds - meter.seconds),
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

    def _fail_diverged(self, step: int) -> NoReturn:
        raise UserError(
            f"step {step:,}: the loss or a vector is no longer a finite number; lower --alpha "
            f"({self.config.alpha}) or --batch_size ({self.config.batch_size}) and train in "
            f"another --workdir; the checkpoints in {self.config.checkpoint_dir} are from before"
        )

    def _tell(self, line: str) -> None:
        self._console.print(f"train: {line}", markup=False, soft_wrap=True)
