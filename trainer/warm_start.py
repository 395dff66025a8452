"""`--init_from`: a training that starts from the tables of an earlier one, or from word vectors.

Rows are matched by name: a row of the new tables that the earlier training had too gets its values,
in both tables and in the slots of the optimizer; the others start as they always do. The context
table has a row for each word; `InputRows.names` names the rows of the target table.

Adagrad's accumulators must be copied too. A word that was trained long has a large accumulator, so
it moves little and keeps its neighbours, while a new word starts with the full learning rate. With
new accumulators the first steps would move the old words far. (gensim's
`build_vocab(update=True)` does so: it gives old and new words the same rate.)

A file of word vectors has neither a context table nor accumulators: its rows become rows of the
target table, and all words learn at the full rate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.cli.options import options_that
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.workdir_files import METADATA_TSV, read_word_metadata
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.checkpoints import BEST_NAME
from trainer.config import TrainConfig
from trainer.distribution.replicas import Replicas
from trainer.workdir import CHECKPOINTS_NAME, CONFIG_NAME, PROVENANCE_NAME

_VALUE_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
"""What tf.train.Checkpoint appends to the path of a variable."""


@dataclass(frozen=True, eq=False)
class FinishedTraining:
    """A training to start from.

    Attributes:
        words: its vocabulary, V words.
        checkpoint: the path of the checkpoint that its vectors are from.
    """

    words: Sequence[str]
    checkpoint: str


def warm_start(folder: Path, config: TrainConfig, replicas: Replicas, words: Sequence[str]) -> str:
    """Copies the rows of the words that an earlier training has; returns a line that counts them.

    Args:
        folder: its workdir; or a file, or a folder of files, that `Vectors.load` reads.
        config: of the new training.
        replicas: its model, just made.
        words: its vocabulary.

    Raises:
        UserError: as `open_finished_training`, `copy_rows` and `copy_vectors`.
    """
    is_workdir = (folder / CONFIG_NAME).exists()
    if folder.is_file() or (not is_workdir and any(folder.glob("vectors.*"))):
        vectors = Vectors.load(folder)
        copy_vectors(vectors, folder, replicas, words)
        earlier_words: Sequence[str] = vectors.words
    else:
        earlier = open_finished_training(folder, config)
        copy_rows(earlier, replicas, words)
        earlier_words = earlier.words
    count = len({*earlier_words} & {*words})
    return f"{count:,} words start from their vectors in {folder}, {len(words) - count:,} are new"


def open_finished_training(folder: Path, config: TrainConfig) -> FinishedTraining:
    """Returns the finished training in a workdir.

    Args:
        folder: the workdir.
        config: of the training that starts from it.

    Raises:
        UserError: it is not finished, its options do not fit, or its checkpoint is missing.
    """
    recorded, provenance = _read_json(folder / CONFIG_NAME), _read_json(folder / PROVENANCE_NAME)
    # Where one of these differs, the tables of one training mean nothing to the other.
    same = options_that(TrainConfig, "same_for_warm_start")
    differing = [name for name in same if recorded.get(name) != getattr(config, name)]
    if differing:
        changes = ", ".join(
            f"{name} {recorded.get(name)} (now {getattr(config, name)})" for name in differing
        )
        raise UserError(
            f"--init_from {folder}: was trained with {changes}; give the same, "
            "or start from another workdir"
        )
    step = provenance["trained"]["vectors_step"]
    # The workdir may have been moved since, with its checkpoints or without.
    for checkpoint_dir in (str(folder / CHECKPOINTS_NAME), recorded["checkpoint_dir"]):
        for path in (f"{checkpoint_dir}/ckpt-{step}", f"{checkpoint_dir}/{BEST_NAME}/ckpt-{step}"):
            if tf.io.gfile.exists(f"{path}.index"):
                return FinishedTraining(read_word_metadata(folder / METADATA_TSV)[0], path)
    raise UserError(
        f"--init_from {folder}: the checkpoint of step {step:,} is not in "
        f"{recorded['checkpoint_dir']}; copy it back, or start from another workdir"
    )


def copy_rows(earlier: FinishedTraining, replicas: Replicas, words: Sequence[str]) -> None:
    """Sets the rows of tables and slots that an earlier training has too.

    Args:
        earlier: where the rows come from.
        replicas: a model that was just made.
        words: its vocabulary.

    Raises:
        UserError: the checkpoint cannot be read, or has not a row for each name.
    """
    try:
        reader = tf.train.load_checkpoint(earlier.checkpoint)
        for path, variable, shared in _row_variables(replicas, earlier.words, words):
            earlier_values = reader.get_tensor(path + _VALUE_SUFFIX)
            if earlier_values.shape[:1] != (shared.earlier_count,):
                raise UserError(
                    f"{earlier.checkpoint}: {path} has {len(earlier_values):,} rows, but the words "
                    f"of the workdir's {METADATA_TSV} need {shared.earlier_count:,}; start from "
                    "another workdir"
                )
            values = variable.numpy()
            values[shared.rows] = earlier_values[shared.earlier_rows]
            del earlier_values  # A gigabyte or two, before the assignment makes another copy.
            replicas.assign(variable, values)
    except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{earlier.checkpoint}: cannot be read ({reason}); start from another workdir"
        ) from error


def copy_vectors(vectors: Vectors, path: Path, replicas: Replicas, words: Sequence[str]) -> None:
    """Sets the rows of the target table of which there are vectors.

    Args:
        vectors: where the rows come from.
        path: of their file, for messages.
        replicas: a model that was just made.
        words: its vocabulary.

    Raises:
        UserError: they have another size, or no word in common.
    """
    model = replicas.model
    shared = _shared_rows(vectors.words, model.input_rows.names(words))
    size = model.target.shape[1]
    if vectors.vector_size != size:
        raise UserError(
            f"--init_from {path}: vectors of {vectors.vector_size} numbers, not {size}; give "
            f"--vector_size {vectors.vector_size}"
        )
    if not len(shared.rows):
        raise UserError(f"--init_from {path}: has no word of the dataset; give other vectors")
    values = model.target.numpy()
    values[shared.rows] = vectors.matrix[shared.earlier_rows]
    replicas.assign(model.target, values)


class _SharedRows(NamedTuple):
    """The rows that two tables both have, by their names.

    Attributes:
        earlier_count: rows of the earlier table.
        earlier_rows: [n] int64.
        rows: [n] int64, the same in the new table.
    """

    earlier_count: int
    earlier_rows: NDArray[np.int64]
    rows: NDArray[np.int64]


def _shared_rows(earlier_names: Sequence[str | int], names: Sequence[str | int]) -> _SharedRows:
    """Returns the rows whose names occur in both."""
    earlier_index = {name: row for row, name in enumerate(earlier_names)}
    shared = [(earlier_index[n], row) for row, n in enumerate(names) if n in earlier_index]
    earlier_rows, rows = np.array(shared, np.int64).reshape(-1, 2).T
    return _SharedRows(len(earlier_names), earlier_rows, rows)


def _row_variables(
    replicas: Replicas, earlier_words: Sequence[str], words: Sequence[str]
) -> Iterator[tuple[str, tf.Variable, _SharedRows]]:
    """Yields tables and slots: the path in a checkpoint, the variable, and the rows to copy."""
    model, (target_slots, context_slots) = replicas.model, replicas.slots
    inputs = _shared_rows(model.input_rows.names(earlier_words), model.input_rows.names(words))
    yield "model/target", model.target, inputs
    for number, slot in enumerate(target_slots):
        yield f"slots/target/{number}", slot, inputs
    if not model.tied:
        outputs = _shared_rows(earlier_words, words)
        yield "model/context", model.context, outputs
        for number, slot in enumerate(context_slots):
            yield f"slots/context/{number}", slot, outputs


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"--init_from {path.parent}: no {path.name}, so there is no finished training; "
            "give a workdir of pmc2vec train, or a file of word vectors"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give another --init_from") from error
    return value
