"""`--init_from`: a training that starts from the rows of an earlier one.

Rows are mapped by word: those of a word that both vocabularies hold come from the earlier
checkpoint, with both tables and with what the optimizer remembers of them; the others start as
they always do. The accumulators must come along: a word that was trained long has a large one, and
so moves little and keeps its neighbours, while a new word starts with a full learning rate. With
fresh accumulators the first steps would throw the old words about, as in gensim, where
`build_vocab(update=True)` gives old and new words the same rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pmc2vec.cli.options import options_that
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.workdir_files import METADATA_TSV, read_metadata
from trainer.checkpoints import BEST
from trainer.config import TrainConfig
from trainer.distribution.replicas import Replicas
from trainer.workdir import CHECKPOINTS, CONFIG, PROVENANCE

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True, eq=False)
class Earlier:
    """A finished training to start from.

    Attributes:
        words: its vocabulary, V words.
        checkpoint: the one that its vectors are from.
    """

    words: Sequence[str]
    checkpoint: str


def start_from(folder: Path, config: TrainConfig, replicas: Replicas, words: Sequence[str]) -> str:
    """Sets the rows of the words that a workdir knows, and returns a line that counts them.

    Args:
        folder: the workdir.
        config: of the training that is to start from it.
        replicas: its model, which was just made.
        words: its vocabulary.

    Raises:
        UserError: as `open_earlier` and `carry_over`.
    """
    known = carry_over(open_earlier(folder, config), replicas, words)
    return f"{known:,} words start from their vectors in {folder}, {len(words) - known:,} are new"


def open_earlier(folder: Path, config: TrainConfig) -> Earlier:
    """Returns the finished training in a workdir.

    Args:
        folder: the workdir.
        config: of the training that is to start from it.

    Raises:
        UserError: it is not finished, or was trained with other options that matter.
    """
    recorded, provenance = _json(folder / CONFIG), _json(folder / PROVENANCE)
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
    for place in (str(folder / CHECKPOINTS), recorded["checkpoint_dir"]):
        for path in (f"{place}/ckpt-{step}", f"{place}/{BEST}/ckpt-{step}"):
            if tf.io.gfile.exists(f"{path}.index"):
                return Earlier(read_metadata(folder / METADATA_TSV)[0], path)
    raise UserError(
        f"--init_from {folder}: the checkpoint of step {step:,} is not in "
        f"{recorded['checkpoint_dir']}; copy it back, or start from another workdir"
    )


def carry_over(earlier: Earlier, replicas: Replicas, words: Sequence[str]) -> int:
    """Sets the rows of the words that were known before; returns how many they are.

    Args:
        earlier: where they come from.
        replicas: a model that was just made.
        words: its vocabulary.

    Raises:
        UserError: the checkpoint cannot be read, or does not fit the words.
    """
    before = {word: at for at, word in enumerate(earlier.words)}
    kept = [(at, before[word]) for at, word in enumerate(words) if word in before]
    new, old = np.array(kept, np.int64).reshape(-1, 2).T
    try:
        reader = tf.train.load_checkpoint(earlier.checkpoint)
        for name, variable in _variables(replicas).items():
            found = reader.get_tensor(name + _VALUE)
            if found.shape[:1] != (len(earlier.words),):
                raise UserError(
                    f"{earlier.checkpoint}: {name} has {len(found):,} rows, but the workdir's "
                    f"{METADATA_TSV} {len(earlier.words):,} words; start from another workdir"
                )
            values = variable.numpy()
            values[new] = found[old]
            del found
            replicas.assign(variable, values)
    except (tf.errors.OpError, LookupError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{earlier.checkpoint}: cannot be read ({reason}); start from another workdir"
        ) from error
    return len(kept)


def _variables(replicas: Replicas) -> Mapping[str, tf.Variable]:
    """Returns the variables that have a row for each word, by their names in a checkpoint."""
    model = replicas.model
    tables = {"model/target": model.target}
    if not model.tied:
        tables["model/context"] = model.context
    slots = zip(("target", "context"), replicas.slots, strict=True)
    return tables | {
        f"slots/{table}/{number}": slot for table, kept in slots for number, slot in enumerate(kept)
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"--init_from {path.parent}: no {path.name}, so there is no finished training; "
            "give a workdir of pmc2vec train"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); give another --init_from") from error
    return found
