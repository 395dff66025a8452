"""The PTransforms of the build; each lifts one pure function that goes from files to files.

Articles, tokens and records never pass from one stage to the next through Beam: it moves only names
and counts (docs/decisions/0003). Where a stage needs the files of another but none of its values,
`WaitOn` is the barrier. The fields of a transform are the keyword arguments of its function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton
from apache_beam.transforms.util import WaitOn

from beam_pipelines.stages import corpus_parts, duplicates, phrases, shards, word_counts
from beam_pipelines.stages.finishing import write_corpus, write_manifest
from beam_pipelines.stages.output_folder import CATALOGUE_FOLDER, OutputFolder
from beam_pipelines.stages.partitions import PARTITIONS

COUNTS_FOLDER = "counts"
"""Counts of the words of each part, and their merge in a build without phrases."""
PAIRS_FOLDER = "pairs"
"""Counts of words and of pairs of neighbours for phrase pass N, in `pairs-N`."""
PHRASED_FOLDER = "phrased"
"""Counts of words with all phrases joined, and their merge."""


def _options(transform: Any) -> dict[str, Any]:
    return {field.name: getattr(transform, field.name) for field in fields(transform)}


@dataclass
class Distribute(beam.PTransform):
    """Makes a PCollection of `items` whose elements may run on different workers.

    `beam.Reshuffle` would do, but it draws its keys. Here the key is the place in `items`: the
    local engine gives each worker a fixed set of keys, and so the same items in every run.
    """

    items: Sequence[Any]

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Groups the items by their place: engines spread work where keys are grouped."""
        return (
            pipeline
            | "Place" >> beam.Create(list(enumerate(self.items)), reshuffle=False)
            | beam.GroupByKey()
            | beam.FlatMap(lambda placed: placed[1])
        )


@dataclass
class ReadParts(beam.PTransform):
    """Bundles of work items -> parts with all copies; lifts `corpus_parts.read_part`."""

    output: OutputFolder
    reading: corpus_parts.Reading

    def expand(self, bundles: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of names of parts."""
        items = bundles | beam.FlatMap(lambda bundle: bundle)
        return items | beam.Map(corpus_parts.read_part, **_options(self))


@dataclass
class ResolveDuplicates(beam.PTransform):
    """Names of parts -> which copies do not count; lifts `duplicates.write_left_out`.

    Attributes:
        output: the dataset.
        groups: see `partitions.group_count`; what is gathered is lifted from
            `duplicates.gather_copies` and `duplicates.gather_left_out`.
    """

    output: OutputFolder
    groups: int

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of numbers, one for each file that is written."""
        pipeline = names.pipeline
        if self.groups:
            groups = pipeline | "Groups" >> Distribute(range(self.groups))
            names = groups | beam.Map(duplicates.gather_copies, AsList(names), **_options(self))
        left_out = (
            pipeline
            | "Partitions" >> Distribute(range(PARTITIONS))
            | beam.Map(duplicates.write_left_out, AsList(names), output=self.output)
        )
        if not self.groups:
            return left_out
        return (
            pipeline
            | "Groups of parts" >> Distribute(range(self.groups))
            | WaitOn(left_out)
            | beam.Map(duplicates.gather_left_out, **_options(self))
        )


@dataclass
class FinishParts(beam.PTransform):
    """Work items -> parts without duplicates; lifts `corpus_parts.finish_part`."""

    output: OutputFolder
    reading: corpus_parts.Reading
    groups: int

    def expand(self, inputs: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        """Returns a PCollection of Part, finished after the duplicates are resolved."""
        items, resolved = inputs
        return items | WaitOn(resolved) | beam.Map(corpus_parts.finish_part, **_options(self))


@dataclass
class WriteCorpus(beam.PTransform):
    """Parts -> corpus.json; lifts `finishing.write_corpus`."""

    output: OutputFolder
    config: dict[str, Any]
    inputs: tuple[tuple[str, int], ...]
    code_version: str

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of one number: the articles kept."""
        return parts | beam.combiners.ToList() | beam.Map(write_corpus, **_options(self))


@dataclass
class MergeCounts(beam.PTransform):
    """Names of counted parts -> merged counts; lifts `word_counts.merge_partition`.

    Attributes:
        output, counted, folder, min_count, for_vocabulary: of `merge_partition`.
        groups: see `partitions.group_count`; `word_counts.gather_counts` makes them.
    """

    output: OutputFolder
    counted: str
    folder: str
    min_count: int
    groups: int
    for_vocabulary: bool = False

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of (words, tokens) that each partition drops."""
        pipeline, options = names.pipeline, _options(self)
        groups = options.pop("groups")
        if groups:
            names = (
                pipeline
                | "Groups" >> Distribute(range(groups))
                | beam.Map(
                    word_counts.gather_counts,
                    AsList(names),
                    counted=self.counted,
                    output=self.output,
                    groups=groups,
                )
            )
            options["counted"] = self.output.path(CATALOGUE_FOLDER)
        return (
            pipeline
            | "Partitions" >> Distribute(range(PARTITIONS))
            | beam.Map(word_counts.merge_partition, AsList(names), **options)
        )


@dataclass
class CountPhrases(beam.PTransform):
    """Names of parts -> the same, when they are counted; lifts `phrases.write_counts`."""

    parts: Sequence[str]
    output: OutputFolder
    passes: int
    folder: str
    pairs: bool

    def expand(self, earlier: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of names of parts, counted after `earlier` is finished."""
        parts = earlier.pipeline | Distribute(self.parts) | WaitOn(earlier)
        return parts | beam.Map(
            phrases.write_counts,
            output=self.output,
            passes=self.passes,
            folder=self.folder,
            pairs=self.pairs,
        )


@dataclass
class WritePhrases(beam.PTransform):
    """Names of parts -> the phrases of one pass; lifts `phrases.write_phrases`."""

    parts: Sequence[str]
    output: OutputFolder
    number: int
    min_count: int
    threshold: float
    groups: int

    def expand(self, earlier: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of one number, how many; `earlier` ends before the pass begins."""
        folder = f"{PAIRS_FOLDER}-{self.number}"
        source, floor = self.output.path(folder), self.min_count + 1
        return (
            earlier
            | CountPhrases(self.parts, self.output, self.number - 1, folder, pairs=True)
            | MergeCounts(self.output, source, folder, floor, self.groups)
            | beam.combiners.ToList()
            | beam.Map(
                phrases.write_phrases,
                number=self.number,
                output=self.output,
                folder=folder,
                min_count=self.min_count,
                threshold=self.threshold,
            )
        )


@dataclass
class JoinPhrases(beam.PTransform):
    """Names of parts -> names of parts that are counted in PHRASED_FOLDER, with phrases joined.

    An increment finds no phrases: it joins those of the dataset that it is built since.

    Attributes:
        parts: names of all parts.
        output: the dataset.
        passes: of phrase detection, at least 1.
        min_count, threshold: of a phrase.
        groups: of `MergeCounts`.
    """

    parts: Sequence[str]
    output: OutputFolder
    passes: int
    min_count: int
    threshold: float
    groups: int

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of names of parts."""
        earlier = names
        for number in range(1, self.passes + 1) if self.output.since is None else ():
            earlier = earlier | f"Pass {number}" >> WritePhrases(
                self.parts, self.output, number, self.min_count, self.threshold, self.groups
            )
        return earlier | CountPhrases(
            self.parts, self.output, self.passes, PHRASED_FOLDER, pairs=False
        )


@dataclass
class WriteVocabulary(beam.PTransform):
    """Names of counted parts -> one VocabularyFile; lifts `word_counts.write_vocabulary`."""

    output: OutputFolder
    counted: str
    folder: str
    min_count: int
    max_final_vocab: int | None
    groups: int
    with_unknown: bool = False

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Returns a PCollection of one VocabularyFile."""
        merge = MergeCounts(
            self.output,
            self.counted,
            self.folder,
            self.min_count,
            self.groups,
            for_vocabulary=True,
        )
        return (
            names
            | merge
            | beam.combiners.ToList()
            | beam.Map(
                word_counts.write_vocabulary,
                output=self.output,
                folder=self.folder,
                min_count=self.min_count,
                max_final_vocab=self.max_final_vocab,
                with_unknown=self.with_unknown,
            )
        )


@dataclass
class WriteShards(beam.PTransform):
    """Parts and vocabulary -> shards; lifts `shards.write_shards`."""

    output: OutputFolder
    sampling: shards.Sampling

    def expand(self, inputs: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        """Returns a PCollection of Shard, of both splits and every draw."""
        parts, vocabulary = inputs
        numbers = range(self.sampling.num_shards * self.sampling.passes)
        return (
            parts.pipeline
            | Distribute(numbers)
            | beam.FlatMap(
                shards.write_shards, AsList(parts), AsSingleton(vocabulary), **_options(self)
            )
        )


@dataclass
class WriteManifest(beam.PTransform):
    """Corpus, vocabulary and shards -> manifest.json; lifts `finishing.write_manifest`."""

    output: OutputFolder
    sampling: shards.Sampling
    config: dict[str, Any]
    code_version: str

    def expand(self, inputs: tuple[beam.PCollection, ...]) -> beam.PCollection:
        """Returns a PCollection of one bool: whether there is anything to train on."""
        corpus, vocabulary, written = inputs
        return (
            written
            | beam.combiners.ToList()
            | WaitOn(corpus)
            | beam.Map(write_manifest, AsSingleton(vocabulary), **_options(self))
        )
