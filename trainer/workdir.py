"""The workdir of a training: its options, its lock, and whether it is finished.

config.json is written when the first step is possible: a start that failed claims nothing. It holds
the options on which the vectors depend, and a workdir with checkpoints is continued with the same
ones only. provenance.json is written last: a workdir with it is finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pmc2vec.dataset.manifest import MANIFEST_NAME
from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats.projector import PROJECTOR_CONFIG
from pmc2vec.vectors.formats.workdir_files import METADATA_TSV, VECTORS_TSV

CONFIG_NAME = "config.json"
PROVENANCE_NAME = "provenance.json"
CHECKPOINTS_NAME = "checkpoints"
LOCK_NAME = ".lock"

_CONFIG_FORMAT = "pmc2vec training"
_CONFIG_VERSION = 1

EXPORTED_NAMES = (VECTORS_TSV, METADATA_TSV, PROJECTOR_CONFIG, PROVENANCE_NAME)
"""The files of a finished workdir."""


@contextlib.contextmanager
def locked_workdir(folder: Path) -> Iterator[None]:
    """Makes the workdir and locks it against a second trainer while the work inside runs.

    Raises:
        UserError: another process trains in it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another --workdir"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{folder}: another process is training here; wait for it, stop it, "
                "or choose another --workdir"
            ) from error
        except OSError:
            pass  # Some network filesystems have no locks. There the user has to take care.
        yield


def read_options(folder: Path) -> dict[str, Any]:
    """Returns the contents of config.json; {} where there is none.

    Raises:
        UserError: the workdir is a dataset; its config.json is damaged or not ours.
    """
    if (folder / MANIFEST_NAME).exists():
        raise UserError(f"{folder}: a dataset, not a workdir; choose another --workdir")
    path = folder / CONFIG_NAME
    if not path.exists():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON; choose another --workdir") from error
    if not isinstance(config, dict) or config.get("format") != _CONFIG_FORMAT:
        raise UserError(f"{path}: not written by pmc2vec train; choose another --workdir")
    if config.get("version") != _CONFIG_VERSION:
        raise UserError(
            f"{path}: version {config.get('version')}, this program continues version "
            f"{_CONFIG_VERSION}; choose another --workdir"
        )
    return config


def check_same_options(folder: Path, recorded: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Checks that a training goes on with the options on which its vectors depend.

    Args:
        folder: the workdir.
        recorded: the contents of its config.json; where it is empty, it was lost.
        fixed: these options now.

    Raises:
        UserError: one differs.
    """
    differing = [name for name in fixed if recorded and recorded.get(name) != fixed[name]]
    if differing:
        changes = ", ".join(
            f"{name} {recorded.get(name)} (now {fixed[name]})" for name in differing
        )
        raise UserError(
            f"{folder}: was trained with {changes}; give the same again, "
            "or choose another --workdir"
        )


def write_options(folder: Path, fixed: Mapping[str, Any], free: Mapping[str, Any]) -> None:
    """Writes config.json.

    Args:
        folder: the workdir.
        fixed: options on which the vectors depend.
        free: options that may change from one start to the next.
    """
    value = {"format": _CONFIG_FORMAT, "version": _CONFIG_VERSION, **fixed, **free}
    write_json(folder / CONFIG_NAME, value)


def check_workdir_exists(folder: Path) -> None:
    """Checks that the locked workdir has not been removed.

    TensorFlow would make its folders again, and the rest would look like a finished training.

    Raises:
        UserError: it has been removed.
    """
    if not (folder / CONFIG_NAME).exists():
        raise UserError(
            f"{folder}: removed during training; bring it back and the same command continues, "
            "else it begins again"
        )


def is_finished(folder: Path, *, step: int, output_vectors: str) -> bool:
    """Returns whether a workdir is finished and its vectors are those of a step.

    Args:
        folder: the workdir.
        step: the step whose vectors are wanted.
        output_vectors: see `TrainConfig`.
    """
    if not all((folder / name).exists() for name in EXPORTED_NAMES):
        return False
    provenance = json.loads((folder / PROVENANCE_NAME).read_text(encoding="utf-8"))
    trained, config = (provenance.get(name, {}) for name in ("trained", "config"))
    return bool(
        trained.get("vectors_step") == step and config.get("output_vectors") == output_vectors
    )


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON file atomically."""
    with atomic_local_file(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
