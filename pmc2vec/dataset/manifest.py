"""manifest.json: what a dataset holds. Written last; a dataset without it is not finished.

The trainer has no option for anything that the manifest knows: the shape of a record, the shards
and their digests, the vocabulary. Part of the contract in `records`, split off for its length.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pmc2vec.dataset.records import SPLITS, RecordShape
from pmc2vec.errors import UserError

NAME = "manifest.json"
CORPUS = "corpus.json"
"""What `manifest.json` is to a dataset, to its corpus: see `stages.completion`."""

FORMAT = "pmc2vec dataset"
VERSION = 1


@dataclass(frozen=True)
class Shard:
    """One TFRecord file.

    Attributes:
        name: file name inside the dataset.
        split: `train` or `validation`.
        draw: which of the `--passes` independent draws it belongs to, from 0.
        records: records in the file.
        targets: tokens that are not padding.
        pairs: skip-gram pairs that the records stand for.
        words: corpus tokens that went in, before vocabulary and subsampling.
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
    """The vocabulary's file: its name, number of words, digest, and token counts.

    Attributes:
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
        since: of an increment: the dataset before, its digest and how many input files it knows.
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
    format: str = field(default=FORMAT)
    version: int = field(default=VERSION)

    def select(self, split: str, draw: int | None = None) -> tuple[Shard, ...]:
        """Returns the shards of a split, of one draw where `draw` is given, in name order."""
        if split not in SPLITS:
            raise ValueError(f"no split {split!r}; there are {SPLITS}")
        chosen = (s for s in self.shards if s.split == split and draw in (None, s.draw))
        return tuple(sorted(chosen, key=lambda shard: shard.name))

    @property
    def passes(self) -> int:
        """Independent draws of the training split."""
        return 1 + max((shard.draw for shard in self.shards), default=0)

    def to_json(self) -> str:
        """Returns the manifest as indented JSON with a final newline."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def from_json(text: str, where: str) -> Manifest:
    """Returns the manifest in `text`.

    Raises:
        UserError: not JSON, not ours, of another version, or incomplete; names `where`.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where}: not JSON (line {error.lineno}: {error.msg}); build the dataset again"
        ) from error
    found = raw.get("format") if isinstance(raw, dict) else None
    if found != FORMAT:
        raise UserError(f"{where}: not a manifest of ours (format {found!r}); give --dataset a "
                        "folder that `pmc2vec build` wrote")  # fmt: skip
    if raw.get("version") != VERSION:
        raise UserError(
            f"{where}: dataset version {raw.get('version')}, this program reads version "
            f"{VERSION}; build the dataset again with this version of pmc2vec"
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
