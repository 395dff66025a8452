"""Checkpoints: the tables, what the optimizer remembers, and where in the training they stand.

    checkpoints/ckpt-2400.index, ...   the last few, by the steps done
    checkpoints/best/ckpt-1800.index   the ones with the lowest validation loss

TensorFlow writes a checkpoint's data first and its index last, so the index files say which there
are. (The file `checkpoint` says it too, for TensorFlow's other programs; were it believed and
damaged, all would seem lost.) One that cannot be read is passed over for the one before it.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from pmc2vec.errors import UserError
from trainer.distribution.replicas import Replicas
from trainer.schedule import Position

BEST = "best"

# TensorFlow's reader has Python's errors for some of its own: IndexError for a file cut short.
_UNREADABLE = (tf.errors.OpError, AssertionError, LookupError, RuntimeError, ValueError)


_TEMPORARY = ("checkpoint.tmp*", "ckpt-*_temp*", "ckpt-*.tempstate*")
"""What TensorFlow leaves behind when it is killed while it writes."""


class Checkpoints:
    """The checkpoints of one training.

    Attributes:
        folder: where they are; any path that TensorFlow can write.
    """

    def __init__(
        self,
        folder: str,
        replicas: Replicas,
        *,
        keep: int,
        tell: Callable[[str], None],
        chief: bool = True,
    ) -> None:
        """Looks into `folder`, which need not be there.

        Args:
            folder: where they are.
            replicas: whose tables and slots to keep.
            keep: how many of the last ones.
            tell: shows a line to the user.
            chief: whether this process is the one that writes here.
        """
        self.folder = folder.rstrip("/")
        best = f"{self.folder}/{BEST}"
        if chief:
            for each in (self.folder, best):
                _tidy(each)
        self._tell = tell
        self._position = {
            name: tf.Variable(value, dtype=tf.int64 if isinstance(value, int) else tf.float64)
            for name, value in dataclasses.asdict(Position()).items()
        }
        target_slots, context_slots = map(list, replicas.slots)
        self._all = tf.train.Checkpoint(
            model=replicas.model,
            slots={"target": target_slots, "context": context_slots},
            position=self._position,
        )
        self._manager = tf.train.CheckpointManager(self._all, self.folder, max_to_keep=keep)
        self._best = tf.train.CheckpointManager(self._all, best, max_to_keep=1)

    def restore(self) -> Position:
        """Sets tables and slots to the newest checkpoint that can be read; returns its position.

        Raises:
            UserError: there are checkpoints, and none can be read.
        """
        found = list(reversed(written(self.folder)))
        for path in found:
            try:
                self._all.restore(path).assert_consumed()
            except _UNREADABLE as error:
                self._tell(f"{path}: passed over, it cannot be read ({_reason(error)})")
            else:
                return self._read_position()
        if found:
            raise UserError(
                f"{self.folder}: none of {len(found)} checkpoints can be read; "
                "remove the workdir to train from the start"
            )
        return Position()

    def restore_best(self) -> Position:
        """Sets tables and slots to the best so far; returns the position they were in.

        Raises:
            UserError: that checkpoint cannot be read.
        """
        path = (written(self._best.directory) or [f"{self._best.directory}/ckpt"])[-1]
        try:
            self._all.restore(path).assert_consumed()
        except _UNREADABLE as error:
            raise UserError(
                f"{path}: the best checkpoint cannot be read ({_reason(error)}); train without "
                "--early_stopping to get the last vectors instead"
            ) from error
        return self._read_position()

    def save(self, position: Position) -> None:
        """Writes a checkpoint, then removes those that are too many."""
        self._write(self._manager, position)

    def save_best(self, position: Position) -> None:
        """Writes the tables as the best so far, then removes those before."""
        self._write(self._best, position)

    def _write(self, manager: tf.train.CheckpointManager, position: Position) -> None:
        for name, value in dataclasses.asdict(position).items():
            self._position[name].assign(value)
        try:
            _settle(manager.save(checkpoint_number=position.step))
        except tf.errors.OpError as error:
            raise UserError(
                f"{manager.directory}: the checkpoint of step {position.step:,} cannot be written "
                f"({_reason(error)}); the one before it is whole, and the same command goes on "
                "from there"
            ) from error

    def _read_position(self) -> Position:
        return Position(**{name: value.numpy().item() for name, value in self._position.items()})


def written(folder: str) -> list[str]:
    """Returns the checkpoints in a folder, as TensorFlow names them, by their steps.

    A file without a byte is one that had its name before the power failed, and not yet its bytes.
    """
    paths = [path.removesuffix(".index") for path in tf.io.gfile.glob(f"{folder}/ckpt-*.index")]
    whole = [path for path in paths if all(map(_length, tf.io.gfile.glob(f"{path}.*")))]
    return sorted(whole, key=lambda path: int(path.rpartition("-")[2]))


def _length(path: str) -> int:
    """Returns how many bytes a file has."""
    return int(tf.io.gfile.stat(path).length)


def _settle(path: str) -> None:
    """Waits until a checkpoint is on the disk, if it is on one of this machine's.

    Args:
        path: as TensorFlow names it, which does not wait itself.
    """
    folder, name = os.path.split(path)
    for file in Path(folder).glob(f"{name}.*"):  # Of gs:// there is none.
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _tidy(folder: str) -> None:
    """Removes what a writer that was killed has left, and lists what is whole for TensorFlow."""
    whole = written(folder)
    parts = tf.io.gfile.glob([f"{folder}/ckpt-*.index", f"{folder}/ckpt-*.data-*"])
    left = [path for path in parts if re.sub(r"\.(index|data-[^/]*)$", "", path) not in whole]
    for path in (
        *left,
        *(path for name in _TEMPORARY for path in tf.io.gfile.glob(f"{folder}/{name}")),
    ):
        (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)
    if whole:
        names = [path.rpartition("/")[2] for path in whole]
        lines = [f'model_checkpoint_path: "{names[-1]}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
        with tf.io.gfile.GFile(f"{folder}/checkpoint.tmp", "w") as file:
            file.write("\n".join(lines) + "\n")
        tf.io.gfile.rename(f"{folder}/checkpoint.tmp", f"{folder}/checkpoint", overwrite=True)


def _reason(error: Exception) -> str:
    """Returns what TensorFlow says, without the names of its operations."""
    line = str(error).strip().partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} ?| ?\[Op:\w+\]", "", line)
