"""What makes a stage finished: corpus.json for the corpus, manifest.json for the dataset.

corpus.json is written when every part is, and manifest.json last of all, each at once. Beside the
corpus stand rejected.jsonl, one line for each document that could not be read, and SOURCES.tsv,
which may be published with vectors: the articles that they were made from, with their licences;
those of an increment come after those of the datasets before. superseded.tsv lists the articles of
earlier datasets of which the increment has a newer edition: what was learned of them stays learned.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from beam_pipelines.inputs.article_versions import LISTED, SELECTION_NAME, read_selection
from beam_pipelines.stages import duplicates, history
from beam_pipelines.stages.corpus_files import Part, sorted_parts, sum_summaries
from beam_pipelines.stages.corpus_parts import NOT_DOWNLOADED
from beam_pipelines.stages.output_folder import (
    REJECTED_NAME,
    SOURCES_NAME,
    SUMMARIES_FOLDER,
    SUPERSEDED_NAME,
    OutputFolder,
)
from beam_pipelines.stages.shards import Sampling
from pmc2vec.dataset import records
from pmc2vec.dataset.manifest import CORPUS_NAME, MANIFEST_NAME, Manifest, Shard, VocabularyFile
from pmc2vec.errors import UserError
from pmc2vec.storage.files import (
    atomic_file,
    exists,
    join,
    open_binary,
    read_text,
    remove_files,
    write_text,
)

CORPUS_FORMAT = "pmc2vec corpus"
CORPUS_VERSION = 1
SUPERSEDED_EARLIER = "superseded_earlier"
"""In an increment's funnel: articles of earlier datasets of which it has a newer edition."""

_SOURCE_COLUMNS = ("article_id", "licence", "pmcid", "pmid", "doi", "year", "journal", "source",
                   "archive", "member")  # fmt: skip
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SOURCES_HEADER = b"article_id\tlicence\tplace\tpmcid\tpmid\tdoi\tyear\tjournal\tsource\n"


@dataclass(frozen=True)
class Corpus:
    """A finished corpus.

    Attributes:
        parts: names of its parts with the tokens of their row groups.
        funnel: articles read, rejected and dropped by reason, kept; sentences, tokens.
        licences: kept articles by licence.
        config: the options that made it.
        inputs: each input file and its size in bytes.
    """

    parts: tuple[Part, ...]
    funnel: dict[str, int]
    licences: dict[str, int]
    config: dict[str, Any]
    inputs: tuple[tuple[str, int], ...]


def write_corpus(
    parts: Sequence[Part],
    *,
    output: OutputFolder,
    config: dict[str, Any],
    inputs: tuple[tuple[str, int], ...],
    code_version: str,
) -> int:
    """Writes what stands beside the corpus and then corpus.json; returns the articles kept."""
    summary = sum_summaries(parts, output)
    ordered = sorted_parts(parts)
    with atomic_file(output.path(REJECTED_NAME)) as rejected:
        for part in ordered:
            lines = read_text(output.path(SUMMARIES_FOLDER, f"{part.name}.{REJECTED_NAME}")) or ""
            rejected.write(lines.encode())
    _write_sources(ordered, output)
    history.write_inputs(inputs, summary.digests, output=output)
    history.write_versions(output=output)
    if exists(selection := output.path(SELECTION_NAME)):
        for reason, count in read_selection(selection).counts.items():
            name = reason if reason == LISTED else f"{NOT_DOWNLOADED}:{reason}"
            summary.funnel[name] += count
    if output.since is not None:
        summary.funnel[SUPERSEDED_EARLIER] = _write_superseded(output.since, output)
    facts = {
        "format": CORPUS_FORMAT,
        "version": CORPUS_VERSION,
        "code_version": code_version,
        "parts": {part.name: part.groups for part in ordered},
        "funnel": dict(sorted(summary.funnel.items())),
        "licences": dict(summary.licences.most_common()),
        "config": config,
        "inputs": inputs,
    }
    write_text(output.path(CORPUS_NAME), json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    return summary.funnel["kept"]


def _write_sources(parts: Iterable[Part], output: OutputFolder) -> None:
    with atomic_file(output.path(SOURCES_NAME)) as sources:
        sources.write(_SOURCES_HEADER)
        sources.writelines(_earlier_sources(output.since))
        for part in parts:
            with open_binary(output.path("corpus", f"{part.name}.parquet")) as file:
                for batch in pq.ParquetFile(file).iter_batches(columns=list(_SOURCE_COLUMNS)):
                    for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                        article, licence, *facts, archive, member = row
                        # A file of its own, or a citation in it: `set.xml#pmid:1`.
                        is_file = member.partition("#")[0] == archive
                        place = member if is_file else f"{archive}/{member}"
                        line = "\t".join(map(_tsv_field, (article, licence, place, *facts)))
                        sources.write(f"{line}\n".encode())


def _tsv_field(text: str) -> str:
    """Returns text without what would end a field or a line: it comes from archives and XML."""
    return _CONTROL_CHARACTERS.sub(" ", text)


def _earlier_sources(since: str | None) -> Iterator[bytes]:
    """Yields the rows of an earlier dataset's SOURCES.tsv; version 0.1 had three columns."""
    columns = _SOURCES_HEADER.count(b"\t")
    if since is not None:
        with open_binary(join(since, SOURCES_NAME)) as sources:
            for row in itertools.islice(sources, 1, None):
                missing = columns - row.count(b"\t")
                yield row.rstrip(b"\n") + b"\t" * missing + b"\n" if missing else row


def _write_superseded(since: str, output: OutputFolder) -> int:
    """Writes superseded.tsv; returns how many articles are in it."""
    ids = {pmcid.encode() for pmcid in duplicates.read_superseded(output)}
    rows_by_id = {row.partition(b"\t")[0]: row for row in _earlier_sources(since)
                  if row.partition(b"\t")[0] in ids}  # fmt: skip
    with atomic_file(output.path(SUPERSEDED_NAME)) as file:
        file.writelines((_SOURCES_HEADER, *rows_by_id.values()))
    return len(rows_by_id)


def read_corpus(output: OutputFolder) -> Corpus:
    """Returns the corpus that the output uses.

    Raises:
        UserError: there is none, it is not finished, or of another version.
    """
    path = output.corpus_path(CORPUS_NAME)
    text = read_text(path)
    if text is None:
        raise UserError(f"{path}: no finished corpus; build it with --stop_after corpus")
    values = json.loads(text)
    if (values.get("format"), values.get("version")) != (CORPUS_FORMAT, CORPUS_VERSION):
        raise UserError(f"{path}: not a corpus of this version of pmc2vec; build it again")
    return Corpus(
        parts=tuple(Part(name, tuple(groups)) for name, groups in values["parts"].items()),
        funnel=values["funnel"],
        licences=values["licences"],
        config=values["config"],
        inputs=tuple((path, size) for path, size in values["inputs"]),
    )


def write_manifest(
    shards: Iterable[Shard],
    vocabulary: VocabularyFile,
    *,
    output: OutputFolder,
    sampling: Sampling,
    config: dict[str, Any],
    code_version: str,
) -> bool:
    """Writes manifest.json; a dataset without anything to train on gets none.

    Args:
        shards: all of them, in any order.
        vocabulary: the file that was written.
        output: the dataset.
        sampling: how records were drawn.
        config: the options, for the manifest.
        code_version: of pmc2vec.

    Returns:
        Whether there is anything to train on.
    """
    corpus = read_corpus(output)
    sorted_shards = tuple(sorted(shards, key=lambda shard: (shard.split, shard.name)))
    if not any(shard.pairs for shard in sorted_shards if shard.split == records.TRAIN):
        return False
    manifest = Manifest(
        shape=sampling.shape,
        shards=sorted_shards,
        vocabulary=vocabulary,
        funnel=corpus.funnel,
        licences=corpus.licences,
        config=config,
        inputs=corpus.inputs,
        code_version=code_version,
        since=_since(output.since) if output.since else None,
    )
    history.gather_partitions(output)
    for pattern in ("counts/merged-*", "pairs-*/*", "phrased/*", "catalogue/*"):
        remove_files(output.folder, pattern)
    write_text(output.path(MANIFEST_NAME), manifest.to_json())
    return True


def _since(dataset: str) -> dict[str, Any]:
    """Returns what the manifest of an increment says of the dataset before."""
    manifest = read_text(join(dataset, MANIFEST_NAME)) or ""
    return {
        "dataset": dataset,
        "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
        "inputs": len(history.read_inputs(dataset)),
    }
