"""The workdir: whose configuration it is, who is training in it, and what came out.

config.json is written before the first step and says what the vectors depend on; a workdir is only
ever continued with the same. provenance.json is written last: with it the training is finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pmc2vec.dataset import manifest as manifests
from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats.workdir_files import METADATA_TSV, PROJECTOR_CONFIG, VECTORS_TSV

CONFIG = "config.json"
PROVENANCE = "provenance.json"
LOCK = ".lock"
CHECKPOINTS = "checkpoints"

FORMAT = "pmc2vec training"
VERSION = 1

EXPORTS = (VECTORS_TSV, METADATA_TSV, PROJECTOR_CONFIG, PROVENANCE)


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Makes the workdir and holds it against a second trainer while the work inside runs.

    Raises:
        UserError: another process trains in it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("w")
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
            pass  # Some network filesystems have no locks: there the user has to take care.
        yield


def record_options(folder: Path, fixed: Mapping[str, Any], free: Mapping[str, Any]) -> None:
    """Writes config.json, if the workdir is new or is to be continued with the same options.

    Args:
        folder: the workdir.
        fixed: options on which the vectors depend: they must be the recorded ones.
        free: options that may change from one start to the next.

    Raises:
        UserError: the workdir is a dataset, or has a config.json of ours with other `fixed` options
            or one that is not ours.
    """
    if (folder / manifests.MANIFEST_NAME).exists():
        raise UserError(f"{folder}: a dataset, not a workdir; choose another --workdir")
    path = folder / CONFIG
    if path.exists():
        recorded = _read(path)
        differing = [name for name in fixed if recorded.get(name) != fixed[name]]
        if differing:
            changes = ", ".join(
                f"{name} {recorded.get(name)} (now {fixed[name]})" for name in differing
            )
            raise UserError(
                f"{folder}: was trained with {changes}; give the same again, "
                "or choose another --workdir"
            )
    write_json(path, {"format": FORMAT, "version": VERSION, **fixed, **free})


def check_present(folder: Path) -> None:
    """Looks whether the workdir that was claimed is still there.

    TensorFlow would make its folders again, and the rest would look like a finished training.

    Raises:
        UserError: it is gone.
    """
    if not (folder / CONFIG).exists():
        raise UserError(
            f"{folder}: gone while it was trained in; the same command goes on when it is back, "
            "or begins again"
        )


def exported(folder: Path, *, step: int, add_context: bool) -> bool:
    """Returns whether a workdir is finished, with the vectors of a step.

    Args:
        folder: the workdir.
        step: the one after which the vectors were as they are to come out.
        add_context: see `TrainConfig`.
    """
    if not all((folder / name).exists() for name in EXPORTS):
        return False
    provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    trained, config = (provenance.get(name, {}) for name in ("trained", "config"))
    return bool(trained.get("vectors_step") == step and config.get("add_context") == add_context)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    with atomic_local_file(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON; choose another --workdir") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError(f"{path}: not written by pmc2vec train; choose another --workdir")
    if found.get("version") != VERSION:
        raise UserError(
            f"{path}: version {found.get('version')}, this program continues version {VERSION}; "
            "choose another --workdir"
        )
    return found
