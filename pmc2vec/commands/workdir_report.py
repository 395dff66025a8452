"""What a workdir holds, checked: the facts behind `pmc2vec inspect`, read without TensorFlow.

A workdir is finished when the vectors and, last of all, provenance.json are there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.workdir_files import (
    METADATA_TSV,
    VECTORS_NPY,
    VECTORS_TSV,
    read_metadata,
)
from pmc2vec.vectors.keyed_vectors import Vectors

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
PROVENANCE = "provenance.json"

# The text that TensorFlow keeps beside its checkpoints, one field of it.
_STATE = "checkpoint"
_NEWEST = re.compile(r'^model_checkpoint_path: "(.+)"$', re.MULTILINE)


def workdir_facts(folder: Path, *, deep: bool = False) -> dict[str, Any]:
    """Returns what a workdir holds.

    Args:
        folder: the workdir.
        deep: read every vector too.

    Raises:
        UserError: a file is damaged, or does not fit another; names it.
    """
    provenance = _json(folder / PROVENANCE)
    return {
        "kind": "workdir",
        "folder": str(folder),
        "finished": provenance is not None and (folder / VECTORS_TSV).is_file(),
        "config": _json(folder / CONFIG),
        "checkpoints": checkpoints(folder),
        "vectors": vectors_facts(folder, deep=deep),
        "provenance": provenance,
    }


def unfinished(folder: Path) -> str:
    """Returns the line about a workdir whose training has not ended."""
    return (
        f"{folder}: training is not finished; "
        f"`pmc2vec train --workdir {folder}` with the same options goes on"
    )


def checkpoints(folder: Path) -> dict[str, str]:
    """Returns the newest checkpoint of each folder of checkpoints, by folder.

    Raises:
        UserError: a folder names a checkpoint that is not there.
    """
    found = {}
    for state in sorted((folder / CHECKPOINTS).rglob(_STATE)):
        newest = _NEWEST.search(state.read_text(encoding="utf-8"))
        if newest is None or not state.with_name(f"{Path(newest[1]).name}.index").is_file():
            named = newest[1] if newest else "none"
            raise UserError(
                f"{state}: names the checkpoint {named}, which is not there; "
                "train again in a new workdir"
            )
        found[str(state.parent.relative_to(folder))] = Path(newest[1]).name
    return found


def vectors_facts(folder: Path, *, deep: bool) -> dict[str, Any] | None:
    """Returns the shape of the vectors and their most frequent words; None where there are none."""
    path = folder / VECTORS_TSV
    if not path.is_file():
        return None
    if deep:
        vectors = Vectors.load(path)
        norms = vectors.norms
        _check_copy(folder / VECTORS_NPY, vectors)
        words, size = vectors.words, vectors.vector_size
        extra = {"norms": {"least": float(norms.min()), "greatest": float(norms.max())}}
    else:
        words, _ = read_metadata(folder / METADATA_TSV)
        with path.open("rb") as file:
            size = file.readline().count(b"\t") + 1
        extra = {}
    return {"words": len(words), "vector_size": size, "most_frequent": words[:10], **extra}


def _check_copy(path: Path, vectors: Vectors) -> None:
    """Raises UserError where the copy for quick loading holds other numbers than the table."""
    if path.is_file() and not np.array_equal(Vectors.load(path).matrix, vectors.matrix):
        raise UserError(
            f"{path}: not the numbers of {VECTORS_TSV}; `pmc2vec export --workdir {path.parent} "
            "--format tsv` writes both again"
        )


def _json(path: Path) -> Any:
    """Returns what a JSON file holds; None where there is no file."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); train again in a new workdir") from error
