"""What a dataset or a workdir holds, after a check: the facts that `pmc2vec inspect` shows.

Facts are plain dictionaries, ready for JSON. The first fault is a UserError that names the file. A
quick check of a dataset compares names, sizes and the vocabulary with the manifest; a deep one
reads every record with the NumPy reader that the trainer uses too. A workdir is finished when the
vectors and, written last, provenance.json are there; it is read without TensorFlow.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pmc2vec.cli.console import progress
from pmc2vec.dataset import manifest as manifests
from pmc2vec.dataset import vocabulary as vocabularies
from pmc2vec.dataset.manifest import CORPUS_NAME, Manifest, Shard
from pmc2vec.dataset.records import (
    PADDING,
    SENTENCE_START,
    SPLITS,
    TRAIN,
    WINDOW_BITS,
    Record,
    RecordShape,
    read_shard,
)
from pmc2vec.dataset.skipgrams import count_pairs, explicit_pairs
from pmc2vec.dataset.vocabulary import Vocabulary
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.workdir_files import (
    METADATA_TSV,
    VECTORS_NPY,
    VECTORS_TSV,
    read_word_metadata,
)
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.workdir import CHECKPOINTS_NAME, CONFIG_NAME, PROVENANCE_NAME

# The text that TensorFlow keeps beside its checkpoints, one field of it.
_STATE = "checkpoint"
_NEWEST = re.compile(r'^model_checkpoint_path: "(.+)"$', re.MULTILINE)

AGAIN = "build the dataset again"

_CORPUS_FACTS = ("code_version", "parts", "funnel", "licences", "config", "inputs")

SHOWN_WORDS = 10
SHOWN_TOKENS = 40
SHOWN_PAIRS = 6


# --- a dataset ---------------------------------------------------------------------------------


def dataset_facts(folder: Path, *, deep: bool = False) -> dict[str, Any]:
    """Returns what a finished dataset holds, after checking it.

    Args:
        folder: of the dataset.
        deep: read every record of every shard too, with progress on stderr.

    Raises:
        UserError: the dataset is not finished, or a file is missing or not what the manifest says.
    """
    manifest = read_manifest(folder)
    vocabulary = check_vocabulary(folder, manifest)
    check_sizes(folder, manifest)
    if deep:
        check_records(folder, manifest)
    return {
        "kind": "dataset",
        "folder": str(folder),
        "code_version": manifest.code_version,
        "checked": "every record" if deep else "sizes",
        "funnel": dict(manifest.funnel),
        "licences": dict(manifest.licences),
        "vocabulary": vocabulary_facts(manifest, vocabulary),
        "shape": asdict(manifest.shape),
        "splits": split_facts(manifest),
        "example": example(folder, manifest, vocabulary),
        "config": dict(manifest.config),
        "inputs": [list(file) for file in manifest.inputs],
    }


def corpus_facts(folder: Path) -> dict[str, Any]:
    """Returns what a finished corpus holds, from which no dataset was made yet.

    Raises:
        UserError: corpus.json is not what a build writes.
    """
    path = folder / CORPUS_NAME
    try:
        corpus_manifest = json.loads(path.read_text(encoding="utf-8"))
        return {
            "kind": "corpus",
            "folder": str(folder),
            **{name: corpus_manifest[name] for name in _CORPUS_FACTS},
        }
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not what a build writes ({error!r}); {AGAIN}") from error


def read_manifest(folder: Path) -> Manifest:
    """Returns the manifest of a dataset; no manifest means not finished."""
    path = folder / manifests.MANIFEST_NAME
    if not path.is_file():
        raise UserError(
            f"{folder}: no {manifests.MANIFEST_NAME}, so the dataset is not finished; "
            "run the same `pmc2vec build` again"
        )
    return manifests.parse_manifest(path.read_text(encoding="utf-8"), str(path))


def vocabulary_facts(manifest: Manifest, vocabulary: Vocabulary) -> dict[str, Any]:
    """Returns sizes, and the words at both ends with their counts."""
    rows = list(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True))
    file = manifest.vocabulary
    return {
        "size": file.size,
        "tokens": file.tokens,
        "dropped_words": file.dropped_words,
        "dropped_tokens": file.dropped_tokens,
        "most_frequent": dict(rows[:SHOWN_WORDS]),
        "least_frequent": dict(rows[SHOWN_WORDS:][-SHOWN_WORDS:]),
    }


def split_facts(manifest: Manifest) -> list[dict[str, Any]]:
    """Returns sums over the shards of each split and draw."""
    rows = []
    for split in SPLITS:
        for draw in sorted({shard.draw for shard in manifest.select(split)}):
            shards = manifest.select(split, draw)
            sums = {
                name: sum(getattr(shard, name) for shard in shards)
                for name in ("records", "targets", "pairs", "words", "bytes")
            }
            bytes_per_pair = round(sums["bytes"] / sums["pairs"], 3) if sums["pairs"] else None
            rows.append(
                {"split": split, "draw": draw, "shards": len(shards), **sums}
                | {"bytes_per_pair": bytes_per_pair}
            )
    return rows


# --- checks ------------------------------------------------------------------------------------


def check_vocabulary(folder: Path, manifest: Manifest) -> Vocabulary:
    """Returns the vocabulary; a UserError where it is not the one of the manifest."""
    file = manifest.vocabulary
    path = folder / file.name
    data = _bytes(path)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise UserError(f"{path}: not the file that the manifest describes (sha256); {AGAIN}")
    vocabulary = vocabularies.parse_vocabulary(data.decode(), str(path))
    if (len(vocabulary), vocabulary.tokens) != (file.size, file.tokens):
        raise UserError(
            f"{path}: {len(vocabulary)} words of {vocabulary.tokens} tokens, the manifest says "
            f"{file.size} of {file.tokens}; {AGAIN}"
        )
    return vocabulary


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Raises UserError where a shard is missing or has another size than the manifest says."""
    for shard in manifest.shards:
        path = folder / shard.name
        if not path.is_file():
            raise UserError(f"{path}: no such file, but the manifest lists it; {AGAIN}")
        if (size := path.stat().st_size) != shard.bytes:
            raise UserError(f"{path}: {size:,} bytes, the manifest says {shard.bytes:,}; {AGAIN}")


def check_records(folder: Path, manifest: Manifest) -> None:
    """Raises UserError at the first shard whose records are not what the manifest says."""
    total = sum(shard.records for shard in manifest.shards)
    number = itertools.count(1)
    with progress("inspect", "records", total=total) as work:
        for shard in manifest.shards:
            for _ in checked_records(folder / shard.name, shard, manifest):
                work.update(next(number), shard=shard.name)


def checked_records(path: Path, shard: Shard, manifest: Manifest) -> Iterator[Record]:
    """Yields the records of a shard; after the last one its sums and its digest are checked."""
    totals = dict.fromkeys(("records", "targets", "pairs"), 0)
    with path.open("rb") as file:
        try:
            for record in read_shard(file, str(path)):
                check_record(record, manifest.shape, manifest.vocabulary.size)
                totals["records"] += 1
                totals["targets"] += int(np.count_nonzero(record.tokens != PADDING))
                totals["pairs"] += count_pairs([record])
                yield record
        except ValueError as error:
            raise UserError(f"{path}: record {totals['records']}: {error}; {AGAIN}") from error
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for name, count in totals.items():
        if count != getattr(shard, name):
            raise UserError(
                f"{path}: {count:,} {name}, the manifest says {getattr(shard, name):,}; {AGAIN}"
            )
    if digest != shard.sha256:
        raise UserError(f"{path}: not the file that the manifest describes (sha256); {AGAIN}")


def check_record(record: Record, shape: RecordShape, vocabulary_size: int) -> None:
    """Raises ValueError where a record breaks what `records.Record` promises.

    Args:
        record: to check.
        shape: that it must have.
        vocabulary_size: V; ids are below it.
    """
    lengths = (len(record.tokens), len(record.windows), len(record.negatives))
    if lengths != (shape.length, shape.length, shape.negatives):
        raise ValueError(
            f"{lengths} tokens, windows and negatives instead of "
            f"{(shape.length, shape.length, shape.negatives)}"
        )
    real = int(np.count_nonzero(record.tokens != PADDING))
    tokens, windows = record.tokens[:real], record.windows[:real] & WINDOW_BITS
    if not real or (record.tokens[real:] != PADDING).any() or record.windows[real:].any():
        raise ValueError("padding stands elsewhere than after the last token")
    for name, ids in (("tokens", tokens), ("negatives", record.negatives)):
        if ids.min() < 0 or ids.max() >= vocabulary_size:
            raise ValueError(
                f"{name} from {ids.min()} to {ids.max()}, but ids are 0 to {vocabulary_size - 1}"
            )
    if windows.min() < 1 or windows.max() > shape.window:
        raise ValueError(
            f"windows from {windows.min()} to {windows.max()}, not 1 to {shape.window}"
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {AGAIN}") from error


# --- an example --------------------------------------------------------------------------------


def example(folder: Path, manifest: Manifest, vocabulary: Vocabulary) -> dict[str, Any] | None:
    """Returns the beginning of the first training record as words, or None where there is none.

    Returns:
        `shard`; `tokens`, each with its `window` and whether it `starts` a sentence; and `pairs`,
        each with its `target`, `context` and the `negatives` of its block.
    """
    for shard in manifest.select(TRAIN):
        record = next(checked_records(folder / shard.name, shard, manifest), None)
        if record is not None:
            words = vocabulary.words
            ids = record.tokens[record.tokens != PADDING][:SHOWN_TOKENS].tolist()
            windows = record.windows.tolist()
            targets, contexts, _ = explicit_pairs(record, manifest.shape)
            return {
                "shard": shard.name,
                "tokens": [
                    {
                        "word": words[id_],
                        "window": window & WINDOW_BITS,
                        "starts": window >= SENTENCE_START,
                    }
                    for id_, window in zip(ids, windows, strict=False)
                ],
                "pairs": [
                    {
                        "target": words[target],
                        "context": words[context],
                        "negatives": [words[id_] for id_ in negatives],
                    }
                    for target, (context, *negatives) in zip(
                        targets[:SHOWN_PAIRS].tolist(),
                        contexts[:SHOWN_PAIRS].tolist(),
                        strict=True,
                    )
                ],
            }
    return None


# --- a workdir ---------------------------------------------------------------------------------


def workdir_facts(folder: Path, *, deep: bool = False) -> dict[str, Any]:
    """Returns what a workdir holds.

    Args:
        folder: the workdir.
        deep: read every vector too.

    Raises:
        UserError: a file is damaged, or does not fit another; names it.
    """
    provenance = _json(folder / PROVENANCE_NAME)
    return {
        "kind": "workdir",
        "folder": str(folder),
        "finished": provenance is not None and (folder / VECTORS_TSV).is_file(),
        "config": _json(folder / CONFIG_NAME),
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
    newest_by_folder = {}
    for state in sorted((folder / CHECKPOINTS_NAME).rglob(_STATE)):
        newest = _NEWEST.search(state.read_text(encoding="utf-8"))
        if newest is None or not state.with_name(f"{Path(newest[1]).name}.index").is_file():
            named = newest[1] if newest else "none"
            raise UserError(
                f"{state}: names the checkpoint {named}, which is not there; "
                "train again in a new workdir"
            )
        newest_by_folder[str(state.parent.relative_to(folder))] = Path(newest[1]).name
    return newest_by_folder


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
        words, _ = read_word_metadata(folder / METADATA_TSV)
        with path.open("rb") as file:
            size = file.readline().count(b"\t") + 1
        extra = {}
    return {"words": len(words), "vector_size": size, "most_frequent": words[:SHOWN_WORDS], **extra}


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
