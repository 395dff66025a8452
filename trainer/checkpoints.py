"""Checkpoints: the tables, the optimizer's slots, and the position of the training.

    checkpoints/ckpt-2400.index, ...   the last few, named by the steps done
    checkpoints/best/ckpt-1800.index   the one with the lowest validation loss

TensorFlow writes the data of a checkpoint first and its index last, so the index files tell which
checkpoints there are. (TensorFlow also lists them in a file `checkpoint`. We write it for other
programs but do not read it: if that file were damaged, all checkpoints would seem lost.) Where the
newest checkpoint cannot be read, the one before it is taken.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from pmc2vec.errors import UserError
from pmc2vec.storage.files import is_remote
from trainer.distribution.replicas import Replicas
from trainer.schedule import TrainingPosition

BEST_NAME = "best"

# For some damage TensorFlow's reader raises Python's own errors: IndexError for a file cut short.
_READ_ERRORS = (tf.errors.OpError, AssertionError, LookupError, RuntimeError, ValueError)

_GLOB_CHARACTERS = re.compile(r"[*?\[\\]")

_TEMPORARY_PATTERNS = ("checkpoint.tmp*", "ckpt-*_temp*", "ckpt-*.tempstate*")
"""Files that TensorFlow leaves behind when it is killed while it writes."""


class Checkpoints:
    """The checkpoints of one training.

    Attributes:
        folder: where they are.
    """

    def __init__(
        self,
        folder: str,
        replicas: Replicas,
        *,
        keep: int,
        warn: Callable[[str], None],
        chief: bool = True,
    ) -> None:
        """Looks into `folder`, which need not exist, and removes partial files.

        Args:
            folder: any path that TensorFlow can write.
            replicas: the tables and slots to save and restore.
            keep: number of the last checkpoints to keep.
            warn: shows a line to the user.
            chief: whether this process writes the checkpoints.
        """
        self.folder = folder.rstrip("/")
        best_folder = f"{self.folder}/{BEST_NAME}"
        self._chief = chief
        if chief:
            for each in (self.folder, best_folder):
                _remove_partial_files(each)
        self._warn = warn
        self._position = {
            name: tf.Variable(value, dtype=tf.int64 if isinstance(value, int) else tf.float64)
            for name, value in dataclasses.asdict(TrainingPosition()).items()
        }
        target_slots, context_slots = map(list, replicas.slots)
        self._checkpoint = tf.train.Checkpoint(
            model=replicas.model,
            slots={"target": target_slots, "context": context_slots},
            position=self._position,
        )
        self._keep = keep
        self._manager = tf.train.CheckpointManager(self._checkpoint, self.folder, max_to_keep=None)
        self._best_manager = tf.train.CheckpointManager(
            self._checkpoint, best_folder, max_to_keep=None
        )

    def restore(self) -> TrainingPosition:
        """Reads the newest checkpoint that can be read into tables and slots.

        Without one the training is new, and a best checkpoint of an earlier start is removed.

        Returns:
            Its position; that of a new training where there is no checkpoint.

        Raises:
            UserError: there are checkpoints, and none can be read.
        """
        paths = list_checkpoints(self.folder)
        for path in reversed(paths):
            try:
                self._read(path)
            except _READ_ERRORS as error:
                self._warn(f"{path}: passed over, it cannot be read ({_reason(error)})")
            else:
                return self._read_position()
        if paths:
            raise UserError(
                f"{self.folder}: none of {len(paths)} checkpoints can be read; "
                "remove the workdir to train from the start"
            )
        if self._chief:
            _remove_old(self._best_manager.directory, keep=0)
        return TrainingPosition()

    def restore_best(self) -> TrainingPosition:
        """Reads the best checkpoint into tables and slots; returns its position.

        Raises:
            UserError: it cannot be read.
        """
        paths = list_checkpoints(self._best_manager.directory)
        path = paths[-1] if paths else f"{self._best_manager.directory}/ckpt"
        try:
            self._read(path)
        except _READ_ERRORS as error:
            raise UserError(
                f"{path}: the best checkpoint cannot be read ({_reason(error)}); train without "
                "--early_stopping to get the last vectors instead"
            ) from error
        return self._read_position()

    def save(self, position: TrainingPosition) -> None:
        """Writes a checkpoint, then removes the oldest beyond `keep`."""
        self._write(self._manager, position, keep=self._keep)

    def save_best(self, position: TrainingPosition) -> None:
        """Writes the best checkpoint, then removes the one before."""
        self._write(self._best_manager, position, keep=1)

    def _write(
        self, manager: tf.train.CheckpointManager, position: TrainingPosition, *, keep: int
    ) -> None:
        for name, value in dataclasses.asdict(position).items():
            self._position[name].assign(value)
        try:
            _sync_to_disk(manager.save(checkpoint_number=position.step))
            _remove_old(manager.directory, keep)
        except tf.errors.OpError as error:
            earlier = (
                "the one before it is whole, and the same command goes on from there"
                if list_checkpoints(manager.directory)
                else "there is none before it, so the same command begins again"
            )
            raise UserError(
                f"{manager.directory}: the checkpoint of step {position.step:,} cannot be written "
                f"({_reason(error)}); {earlier}"
            ) from error

    def _read(self, path: str) -> None:
        with _literal_path(path) as literal:
            self._checkpoint.restore(literal).assert_consumed()

    def _read_position(self) -> TrainingPosition:
        values = {name: value.numpy().item() for name, value in self._position.items()}
        return TrainingPosition(**values)


def list_checkpoints(folder: str) -> list[str]:
    """Returns the whole checkpoints in a folder, oldest first, named as TensorFlow names them.

    A checkpoint with an empty file is not whole: after a power failure a file may have its name
    already and its bytes not yet.
    """
    names = [path.removesuffix(".index") for path in _match(folder, "ckpt-*.index")]
    whole = [path for path in names if all(map(_file_size, _files_of(path)))]
    return sorted(whole, key=lambda path: int(path.rpartition("-")[2]))


@contextlib.contextmanager
def _literal_path(checkpoint: str) -> Iterator[str]:
    """Yields a path of the checkpoint that TensorFlow reads although it takes it as a glob.

    TensorFlow 2.x looks for `runs/a[1]/ckpt-6.index` by a glob, which matches `runs/a1` alone, and
    then opens the path as it is: no escape suits both. So a link without such characters leads to
    the folder; in a bucket there are no links.
    """
    folder, _, name = checkpoint.rpartition("/")
    if is_remote(checkpoint) or not _GLOB_CHARACTERS.search(folder):
        yield checkpoint
        return
    with tempfile.TemporaryDirectory(prefix="pmc2vec-") as temporary:
        link = Path(temporary, "checkpoints")
        link.symlink_to(Path(folder).absolute(), target_is_directory=True)
        yield f"{link}/{name}"


def _match(folder: str, pattern: str) -> list[str]:
    """Returns the paths of what is in a folder and has a name that matches.

    `tf.io.gfile.glob` would take the folder as a pattern too: for `runs/a[1]` it lists `runs/a1`.
    """
    if not tf.io.gfile.isdir(folder):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(folder))
    return sorted(f"{folder}/{name}" for name in names if fnmatch.fnmatchcase(name, pattern))


def _files_of(checkpoint: str) -> list[str]:
    """Returns the files of a checkpoint, the index first."""
    folder, _, name = checkpoint.rpartition("/")
    return sorted(_match(folder, f"{name}.*"), key=lambda path: not path.endswith(".index"))


def _file_size(path: str) -> int:
    return int(tf.io.gfile.stat(path).length)


def _sync_to_disk(path: str) -> None:
    """Waits until a checkpoint on a local disk is written; TensorFlow does not call fsync.

    Args:
        path: as TensorFlow names it.
    """
    if is_remote(path):
        return
    for file in _files_of(path):
        with Path(file).open("rb") as opened:
            os.fsync(opened.fileno())


def _remove_partial_files(folder: str) -> None:
    """Removes what a killed writer has left, and lists the whole checkpoints for TensorFlow."""
    whole = list_checkpoints(folder)
    files = [*_match(folder, "ckpt-*.index"), *_match(folder, "ckpt-*.data-*")]
    partial = [path for path in files if re.sub(r"\.(index|data-[^/]*)$", "", path) not in whole]
    for pattern in _TEMPORARY_PATTERNS:
        partial += _match(folder, pattern)
    for path in dict.fromkeys(partial):  # A file may match two patterns.
        (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)
    _record_checkpoints(folder, whole)


def _remove_old(folder: str, keep: int) -> None:
    """Removes all but the newest checkpoints of a folder.

    CheckpointManager would give each path to a glob, and so remove files of other folders.
    """
    whole = list_checkpoints(folder)
    newest = whole[max(len(whole) - keep, 0) :]
    for path in whole[: len(whole) - len(newest)]:
        for file in _files_of(path):  # The index first: what is left without it is no checkpoint.
            tf.io.gfile.remove(file)
    _record_checkpoints(folder, newest)


def _record_checkpoints(folder: str, whole: list[str]) -> None:
    """Writes the file `checkpoint`, by which TensorFlow's programs find checkpoints."""
    if whole:
        names = [path.rpartition("/")[2] for path in whole]
        lines = [f'model_checkpoint_path: "{names[-1]}"']
        lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
        with tf.io.gfile.GFile(f"{folder}/checkpoint.tmp", "w") as file:
            file.write("\n".join(lines) + "\n")
        tf.io.gfile.rename(f"{folder}/checkpoint.tmp", f"{folder}/checkpoint", overwrite=True)


def _reason(error: Exception) -> str:
    """Returns TensorFlow's message without the names of its operations."""
    line = str(error).strip().partition("\n")[0]
    return re.sub(r"\{\{.*?\}\} ?| ?\[Op:\w+\]", "", line)
