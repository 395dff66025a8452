"""The PTransforms of the build, each lifting one pure function from files to files.

Articles, tokens and records never cross a stage boundary: what Beam shuffles is names and counts.
A side input is the barrier between two stages. Keys are given, never drawn, so that the local
engine spreads the same work in the same way every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam import pvalue

from beam_pipelines.inputs.work_items import WorkItem
from beam_pipelines.stages import corpus_parts, editions, phrases, shards, word_counts
from beam_pipelines.stages.finishing import write_corpus, write_manifest
from beam_pipelines.stages.output import Output
from pmc2vec.dataset.manifest import VocabularyFile

COUNTS = "counts"
PAIRS = "pairs"
PHRASED = "phrased"
"""Folders of counts: of words, of words and pairs for each pass, of words with phrases joined."""


@dataclass
class Spread(beam.PTransform):
    """Makes a PCollection of `items` whose elements may run on different workers."""

    items: Sequence[Any]

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Keys each item with its place and groups, which is where an engine spreads work."""
        return (
            pipeline
            | "Place" >> beam.Create(list(enumerate(self.items)), reshuffle=False)
            | beam.GroupByKey()
            | beam.FlatMap(lambda placed: placed[1])
        )


@dataclass
class ResolveEditions(beam.PTransform):
    """Bundles of work items -> what is left out; lifts `editions.write_left_out`."""

    output: Output

    def expand(self, bundles: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of how many editions each partition leaves out."""
        listed = (
            bundles
            | beam.FlatMap(lambda bundle: [item for item in bundle if item.byte_range.index == 0])
            | beam.Map(_catalogue, output=self.output)
        )
        return (
            bundles.pipeline
            | "Partitions" >> Spread(range(editions.PARTITIONS))
            | beam.Map(editions.write_left_out, pvalue.AsList(listed), output=self.output)
        )


def _catalogue(item: WorkItem, *, output: Output) -> str:
    paths = [path for path, _ in item.files]
    return editions.write_catalogue(item.catalogue, paths, output=output)


@dataclass
class WriteParts(beam.PTransform):
    """Bundles of work items, editions resolved -> Parts of the corpus; lifts `parts.write_part`."""

    output: Output
    reading: corpus_parts.Reading

    def expand(self, inputs: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        """Returns a PCollection of Part."""
        bundles, resolved = inputs
        return (
            bundles
            | beam.FlatMap(lambda bundle: bundle)
            | beam.Map(
                corpus_parts.write_part,
                pvalue.AsList(resolved),
                output=self.output,
                reading=self.reading,
            )
        )


@dataclass
class MergeCounts(beam.PTransform):
    """Names of counted parts -> what each partition dropped; lifts `counts.merge_partition`."""

    output: Output
    counted: str
    folder: str
    min_count: int
    words: bool = False

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of (words, tokens) dropped."""
        return (
            names.pipeline
            | "Partitions" >> Spread(range(word_counts.PARTITIONS))
            | beam.Map(
                word_counts.merge_partition,
                pvalue.AsList(names),
                counted=self.counted,
                output=self.output,
                folder=self.folder,
                min_count=self.min_count,
                words=self.words,
            )
        )


@dataclass
class FindPhrases(beam.PTransform):
    """Names of parts -> names of parts counted with phrases; lifts `phrases.write_phrases`.

    An increment finds none: it joins those of the dataset that it is built since.

    Attributes:
        output: the dataset.
        parts: names of all parts.
        passes: of phrase detection, at least 1.
        min_count, threshold: of a phrase.
    """

    output: Output
    parts: Sequence[str]
    passes: int
    min_count: int
    threshold: float

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of the names of parts, when they are counted in PHRASED."""
        before = names
        for number in range(1, self.passes + 1) if self.output.since is None else ():
            folder = f"{PAIRS}-{number}"
            counted = self._count(before, number, folder, pairs=True)
            source = self.output.path(folder)
            dropped = counted | f"Merge pass {number}" >> MergeCounts(
                self.output, source, folder, self.min_count + 1
            )
            before = (
                names.pipeline
                | f"Pass {number}" >> beam.Create([number])
                | f"Write pass {number}"
                >> beam.Map(
                    phrases.write_phrases,
                    pvalue.AsList(dropped),
                    output=self.output,
                    folder=folder,
                    min_count=self.min_count,
                    threshold=self.threshold,
                )
            )
        return self._count(before, self.passes + 1, PHRASED, pairs=False)

    def _count(
        self, before: beam.PCollection, number: int, folder: str, *, pairs: bool
    ) -> beam.PCollection:
        return (
            before.pipeline
            | f"Parts {number}" >> Spread(self.parts)
            | f"Count {number}"
            >> beam.Map(
                phrases.write_counts,
                pvalue.AsList(before),
                output=self.output,
                passes=number - 1,
                folder=folder,
                pairs=pairs,
            )
        )


@dataclass
class WriteVocabulary(beam.PTransform):
    """Names of counted parts -> one VocabularyFile; lifts `counts.write_vocabulary`."""

    output: Output
    counted: str
    folder: str
    min_count: int
    max_final_vocab: int | None

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of one VocabularyFile."""
        dropped = names | MergeCounts(
            self.output, self.counted, self.folder, self.min_count, words=True
        )
        return (
            names.pipeline
            | "Once" >> beam.Create([self.max_final_vocab])
            | beam.Map(
                _vocabulary,
                pvalue.AsList(dropped),
                output=self.output,
                folder=self.folder,
                min_count=self.min_count,
            )
        )


def _vocabulary(
    max_final_vocab: int | None, dropped: list[tuple[int, int]], **options: Any
) -> VocabularyFile:
    return word_counts.write_vocabulary(dropped, max_final_vocab=max_final_vocab, **options)


@dataclass
class WriteShards(beam.PTransform):
    """Parts and vocabulary -> Shards; lifts `shards.write_shards`."""

    output: Output
    sampling: shards.Sampling

    def expand(self, inputs: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        """Returns a PCollection of Shard, of both splits and every draw."""
        made, vocabulary = inputs
        return (
            made.pipeline
            | "Shards" >> Spread(range(self.sampling.num_shards * self.sampling.passes))
            | beam.FlatMap(
                shards.write_shards,
                pvalue.AsList(made),
                pvalue.AsSingleton(vocabulary),
                output=self.output,
                sampling=self.sampling,
            )
        )


@dataclass
class WriteCorpus(beam.PTransform):
    """Parts -> corpus.json; lifts `completion.write_corpus`."""

    output: Output
    config: dict[str, Any]
    inputs: tuple[tuple[str, int], ...]
    code_version: str

    def expand(self, made: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of one number: the articles kept."""
        return (
            made.pipeline
            | beam.Create([self.inputs])
            | beam.Map(
                _corpus,
                pvalue.AsList(made),
                output=self.output,
                config=self.config,
                code_version=self.code_version,
            )
        )


def _corpus(
    inputs: tuple[tuple[str, int], ...], made: list[corpus_parts.Part], **options: Any
) -> int:
    return write_corpus(made, inputs=inputs, **options)


@dataclass
class WriteManifest(beam.PTransform):
    """Corpus, vocabulary and shards -> manifest.json; lifts `completion.write_manifest`."""

    output: Output
    sampling: shards.Sampling
    config: dict[str, Any]
    code_version: str

    def expand(self, inputs: tuple[beam.PCollection, ...]) -> beam.PCollection:
        """Returns a PCollection of one bool: whether there is anything to train on."""
        corpus, vocabulary, written = inputs
        return vocabulary | beam.Map(
            write_manifest,
            pvalue.AsList(written),
            pvalue.AsList(corpus),
            output=self.output,
            sampling=self.sampling,
            config=self.config,
            code_version=self.code_version,
        )
