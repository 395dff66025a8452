"""Corpus and vocabulary -> TFRecord shards.

Shard s of a draw takes every `num_shards`-th row group of the corpus, from the s-th, so that each
shard mixes archives and no article crosses a stage boundary of the Beam job.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beam_pipelines.stages import corpus_files, phrases
from beam_pipelines.stages.corpus_parts import Part, sorted_parts
from beam_pipelines.stages.heartbeats import Heartbeat
from beam_pipelines.stages.output import Output
from beam_pipelines.stages.phrases import Phrases, join_all
from pmc2vec.dataset import records, skipgrams, vocabulary
from pmc2vec.dataset.manifest import Shard, VocabularyFile
from pmc2vec.storage.files import atomic_file, open_binary, read_text

_LOOKED_UP_TOGETHER = 8 << 20  # Bytes of text, some million words.
_FOOTERS = 4096  # Row groups whose places in their files are held in memory; 2 kB each in a file.


@dataclass(frozen=True)
class Sampling:
    """How records are drawn.

    Attributes:
        shape: of a record.
        sample, subsampling: see `vocabulary.keep_probabilities`.
        noise, ns_exponent: see `vocabulary.noise_distribution`.
        shrink_windows: see `skipgrams.sample_article`.
        validation_fraction: share of the articles in the validation split.
        seed: of everything random.
        num_shards: training shards of each draw.
        passes: independent draws.
        phrases: passes of `phrases` that are joined first.
    """

    shape: records.RecordShape
    sample: float
    subsampling: vocabulary.SubsamplingRule
    noise: vocabulary.NoiseKind
    ns_exponent: float
    shrink_windows: bool
    validation_fraction: float
    seed: int
    num_shards: int
    passes: int
    phrases: int

    def split(self, article_id: str) -> str:
        """Returns the split that an article belongs to."""
        held_out = skipgrams.is_validation(article_id, self.validation_fraction, self.seed)
        return records.VALIDATION if held_out else records.TRAIN


@dataclass(frozen=True, eq=False)
class Lookup:
    """What a worker needs to draw records.

    Attributes:
        words: [V] string, by id.
        keep: [V] float64 keep probabilities.
        noise: where negatives come from.
        phrases: of each pass, to be joined first.
    """

    words: pa.StringArray
    keep: NDArray[np.float64]
    noise: vocabulary.NoiseSampler
    phrases: tuple[Phrases, ...] = ()

    def articles(
        self, texts: Sequence[corpus_files.Tokens]
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Yields ([n] int32 ids, -1 for other words; [sentences] int64 lengths) of each article.

        The table of words is made anew in every call, so texts should be many.
        """
        lines = pa.concat_arrays([self._joined(text.sentences) for text in texts])
        words = pc.split_pattern(lines, " ")
        ids = pc.index_in(words.flatten(), self.words).fill_null(-1).to_numpy()
        lengths = pc.list_value_length(words).to_numpy().astype(np.int64)
        bounds = np.cumsum([len(text.sentences) for text in texts])[:-1]
        by_article = np.split(lengths, bounds)
        ends = np.cumsum([article.sum() for article in by_article])[:-1]
        yield from zip(np.split(ids, ends), by_article, strict=True)

    def _joined(self, sentences: pa.StringArray) -> pa.StringArray:
        if not self.phrases:
            return sentences
        lines = (" ".join(join_all(line, self.phrases)) for line in sentences.to_pylist())
        return pa.array(lines, pa.string())


@lru_cache(maxsize=1)
def _lookup(output: Output, file: VocabularyFile, sampling: Sampling) -> Lookup:
    path = output.path(file.name)
    found = vocabulary.parse_vocabulary(read_text(path) or "", path)
    passes = range(1, sampling.phrases + 1)
    return lookup(found, sampling, tuple(phrases.read(output, number) for number in passes))


def lookup(
    found: vocabulary.Vocabulary, sampling: Sampling, joined: tuple[Phrases, ...] = ()
) -> Lookup:
    """Returns what the vocabulary's counts mean under `sampling`."""
    noise = vocabulary.noise_distribution(found.counts, sampling.noise, sampling.ns_exponent)
    keep = vocabulary.keep_probabilities(found.counts, sampling.sample, sampling.subsampling)
    words = pa.array(found.words, pa.string())
    return Lookup(words, keep, vocabulary.NoiseSampler(noise), joined)


class _ShardWriter:
    """Writes one shard, and knows at the end what is in it."""

    def __init__(self, file: BinaryIO, packer: skipgrams.RecordPacker) -> None:
        self._file, self._packer, self._digest = file, packer, hashlib.sha256()
        self._counts: Counter[str] = Counter(records=0, targets=0, pairs=0, words=0, bytes=0)

    def add(self, run: skipgrams.SampledArticle, words: int) -> None:
        """Takes an article and writes the records that are complete; `words` is how many it had."""
        self._counts["words"] += words
        for made in self._packer.add(run):
            self._write(made)

    def _write(self, made: list[records.Record]) -> None:
        data = b"".join(records.encode_tfrecords(made))
        self._file.write(data)
        self._digest.update(data)
        self._counts.update(records=len(made), bytes=len(data))
        targets = sum(int(np.count_nonzero(record.tokens != records.PADDING)) for record in made)
        self._counts.update(targets=targets, pairs=skipgrams.count_pairs(made))

    def close(self, name: str, split: str, draw: int) -> Shard:
        """Writes the last records; returns what the shard holds, for the manifest."""
        self._write(self._packer.close())
        return Shard(name, split, draw, **self._counts, sha256=self._digest.hexdigest())


def write_shards(
    index: int, parts: Sequence[Part], file: VocabularyFile, *, output: Output, sampling: Sampling
) -> list[Shard]:
    """Writes training shard `index` and, in the first draw, the validation shard of that number.

    Shard s of a draw takes every `num_shards`-th row group of the corpus, from the s-th, in an
    order of its own.
    """
    if not file.size:
        return []
    draw_index, place = divmod(index, sampling.num_shards)
    splits = records.SPLITS if draw_index == 0 else (records.TRAIN,)
    count = {records.TRAIN: sampling.num_shards * sampling.passes}
    names = {
        split: records.shard_name(split, index, count.get(split, sampling.num_shards))
        for split in splits
    }
    draw = skipgrams.RandomSeed(sampling.seed, draw_index)
    table = _lookup(output, file, sampling)
    with ExitStack() as stack:
        writers = {
            split: _ShardWriter(
                stack.enter_context(atomic_file(output.path(name))),
                skipgrams.RecordPacker(sampling.shape, table.noise, draw),
            )
            for split, name in names.items()
        }
        heartbeat = output.heartbeat(f"records-{index:05d}")
        groups = _groups(parts, place, draw=draw, output=output, sampling=sampling)
        _draw_all(groups, writers, table=table, draw=draw, sampling=sampling, heartbeat=heartbeat)
        return [writer.close(names[split], split, draw_index) for split, writer in writers.items()]


def _draw_all(
    groups: Iterable[list[corpus_files.Tokens]],
    writers: dict[str, _ShardWriter],
    *,
    table: Lookup,
    draw: skipgrams.RandomSeed,
    sampling: Sampling,
    heartbeat: Heartbeat,
) -> None:
    words = 0
    for group in _together(groups):
        texts = [text for text in group if sampling.split(text.article_id) in writers]
        if not texts:
            continue
        for text, (ids, lengths) in zip(texts, table.articles(texts), strict=True):
            run = skipgrams.sample_article(
                text.article_id,
                ids,
                lengths,
                keep=table.keep,
                window=sampling.shape.window,
                seed=draw,
                shrink_windows=sampling.shrink_windows,
            )
            writers[sampling.split(text.article_id)].add(run, len(ids))
            words += len(ids)
            heartbeat.beat({"words": words})
    heartbeat.beat({"words": words}, last=True)


def _groups(
    parts: Sequence[Part],
    place: int,
    *,
    draw: skipgrams.RandomSeed,
    output: Output,
    sampling: Sampling,
) -> Iterator[list[corpus_files.Tokens]]:
    """Yields a shard's row groups in an order drawn for it.

    In the corpus's own order every shard, and so every epoch, would go from the oldest archive to
    the newest, and the vectors would lean towards what was read last (docs/experiments.md).
    """
    parts = sorted_parts(parts)
    mine = [(part, group) for part in parts for group in range(len(part.groups))]
    mine = mine[place :: sampling.num_shards]
    rng = skipgrams.article_rng(draw, "order", str(place))
    drawn, turns = rng.random(len(mine)).tolist(), _turns(parts, rng)
    found = [
        (turns[part.name], key, part, group) for (part, group), key in zip(mine, drawn, strict=True)
    ]
    for _, together in groupby(sorted(found, key=itemgetter(0, 1)), key=itemgetter(0)):
        footers: dict[str, pq.FileMetaData] = {}
        for _, _, part, group in together:
            with open_binary(output.corpus_path("corpus", f"{part.name}.parquet")) as file:
                reader = pq.ParquetFile(file, metadata=footers.get(part.name))
                footers[part.name] = reader.metadata
                yield list(corpus_files.read_group(reader, group))


def _together(groups: Iterable[list[corpus_files.Tokens]]) -> Iterator[list[corpus_files.Tokens]]:
    """Yields the texts of several row groups: to look up their words has a price for each time."""
    held: list[corpus_files.Tokens] = []
    for group in groups:
        held += group
        if sum(text.sentences.nbytes for text in held) >= _LOOKED_UP_TOGETHER:
            yield held
            held = []
    if held:
        yield held


def _turns(parts: Sequence[Part], rng: np.random.Generator) -> dict[str, int]:
    """Returns when each part is read: in a drawn order, as many at once as footers may be held."""
    turns, turn, held = {}, 0, 0
    for at in rng.random(len(parts)).argsort().tolist():
        groups = len(parts[at].groups)
        if held and held + groups > _FOOTERS:
            turn, held = turn + 1, 0
        turns[parts[at].name], held = turn, held + groups
    return turns
