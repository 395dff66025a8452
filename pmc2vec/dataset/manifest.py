"""manifest.json: what a dataset holds.

It is written last. A dataset without it is not finished. The trainer takes from it the shape of a
record, the shards with their digests, and the vocabulary, and has no options for these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pmc2vec.dataset.records import SPLITS, RecordShape
from pmc2vec.errors import UserError

MANIFEST_NAME = "manifest.json"
CORPUS_NAME = "corpus.json"
"""The manifest of the corpus alone; written when every part of the corpus is complete."""

MANIFEST_FORMAT = "pmc2vec dataset"
MANIFEST_VERSION = 1


@dataclass(frozen=True)
class Shard:
    """One TFRecord file.

    Attributes:
        name: file name inside the dataset.
        split: `train` or `validation`.
        draw: which of the `--passes` independent draws it belongs to, from 0.
        records: number of records in the file.
        targets: tokens that are not padding.
        pairs: skip-gram pairs that the records stand for.
        words: corpus tokens of its articles, before vocabulary and subsampling.
        bytes: size of the file.
        sha256: hex digest of the file.
    """

    name: str
    split: str
    draw: int
    records: int
    targets: int
    pairs: int
    words: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class VocabularyFile:
    """The file of the vocabulary.

    Attributes:
        name: file name inside the dataset.
        size: number of words.
        sha256: hex digest of the file.
        tokens: tokens of the corpus (both splits) that are in the vocabulary.
        dropped_words: distinct words below `min_count` or past `max_final_vocab`.
        dropped_tokens: their tokens; `tokens + dropped_tokens` is all of the corpus.
    """

    name: str
    size: int
    sha256: str
    tokens: int
    dropped_words: int
    dropped_tokens: int


@dataclass(frozen=True)
class Manifest:
    """A finished dataset.

    Attributes:
        shape: of every record.
        shards: every shard of every split and draw.
        vocabulary: its file.
        funnel: articles read, rejected by reason, kept; sentences, tokens.
        licences: kept articles by licence.
        config: the resolved options of `pmc2vec build`.
        inputs: each input file and its size in bytes.
        code_version: of pmc2vec.
        since: of an increment: the earlier dataset, its digest and its number of input files.
    """

    shape: RecordShape
    shards: tuple[Shard, ...]
    vocabulary: VocabularyFile
    funnel: Mapping[str, int]
    licences: Mapping[str, int]
    config: Mapping[str, Any]
    inputs: tuple[tuple[str, int], ...]
    code_version: str
    since: Mapping[str, Any] | None = None
    format: str = MANIFEST_FORMAT
    version: int = MANIFEST_VERSION

    def select(self, split: str, draw: int | None = None) -> tuple[Shard, ...]:
        """Returns the shards of a split in name order; only those of `draw` if it is given."""
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; there are {SPLITS}")
        shards = (s for s in self.shards if s.split == split and draw in (None, s.draw))
        return tuple(sorted(shards, key=lambda shard: shard.name))

    @property
    def passes(self) -> int:
        """Number of independent draws of the training split."""
        return 1 + max((shard.draw for shard in self.shards), default=0)

    def to_json(self) -> str:
        """Returns the manifest as indented JSON with a final newline."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def parse_manifest(text: str, where: str) -> Manifest:
    """Returns the manifest that the text of a manifest.json describes.

    Args:
        text: of the file.
        where: the file's path, for messages.

    Raises:
        UserError: the text is not JSON, not a manifest of pmc2vec, of another version, or
            incomplete.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where}: not JSON (line {error.lineno}: {error.msg}); build the dataset again"
        ) from error
    file_format = raw.get("format") if isinstance(raw, dict) else None
    if file_format != MANIFEST_FORMAT:
        raise UserError(
            f"{where}: not a manifest of ours (format {file_format!r}); give --dataset a "
            "folder that `pmc2vec build` wrote"
        )
    if raw.get("version") != MANIFEST_VERSION:
        raise UserError(
            f"{where}: dataset version {raw.get('version')}, this program reads version "
            f"{MANIFEST_VERSION}; build the dataset again with this version of pmc2vec"
        )
    try:
        return Manifest(
            **{
                **raw,
                "shape": RecordShape(**raw["shape"]),
                "shards": tuple(Shard(**shard) for shard in raw["shards"]),
                "vocabulary": VocabularyFile(**raw["vocabulary"]),
                "inputs": tuple((path, size) for path, size in raw["inputs"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where}: incomplete manifest ({error}); build the dataset again"
        ) from error
