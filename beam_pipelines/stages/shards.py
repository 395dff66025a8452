"""Corpus and vocabulary -> TFRecord shards.

A shard reads its own row groups of the corpus from the files. With 16 shards, shard 3 has the row
groups 3, 19, 35, ..., so each shard mixes all archives. A draw is one independent set of windows,
subsampling and negatives (`--passes`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from operator import itemgetter
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from beam_pipelines.stages import corpus_files, phrases
from beam_pipelines.stages.corpus_files import Part, sorted_parts
from beam_pipelines.stages.output_folder import Heartbeat, OutputFolder
from beam_pipelines.stages.phrases import Phrases, join_passes
from pmc2vec.dataset import records, skipgrams, vocabulary
from pmc2vec.dataset.manifest import Shard, VocabularyFile
from pmc2vec.storage.files import atomic_file, open_binary, read_text

# `pc.index_in` builds a hash table of the vocabulary in every call, which pays for itself only over
# some million words: bytes of text that are looked up in one call.
_LOOKUP_BYTES = 8 << 20
# Row groups whose footers are in memory at once, at about 2 kB each: a part is opened again for
# each of its groups, and must not parse its footer again.
_FOOTER_GROUPS = 4096


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
        sequence_length, long_sequences: see `skipgrams.limit_sentences`; None for no limit.
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
    sequence_length: int | None = None
    long_sequences: skipgrams.LongSentenceRule = "cut"

    def split(self, article_id: str, *, first: str = "") -> str:
        """Returns the split that an article belongs to.

        Args:
            article_id: of the article.
            first: the article that is trained on in any case; see `first_if_all_held_out`.
        """
        held_out = skipgrams.is_validation(article_id, self.validation_fraction, self.seed)
        return records.VALIDATION if held_out and article_id != first else records.TRAIN


@dataclass(frozen=True, eq=False)
class DrawingTables:
    """What a worker needs to draw records from text.

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
        """Yields ([n] int32 ids, [sentences] int64 lengths) of each article.

        Words that are not in the vocabulary have the id of UNKNOWN_WORD, or -1 where it is no word.
        Each call builds a hash table of all words, so give it many texts.
        """
        lines = pa.concat_arrays([self._joined(text.sentences) for text in texts])
        words = pc.split_pattern(lines, " ")
        ids = pc.index_in(words.flatten(), self.words).fill_null(self.unknown_id).to_numpy()
        lengths = pc.list_value_length(words).to_numpy().astype(np.int64)
        bounds = np.cumsum([len(text.sentences) for text in texts])[:-1]
        by_article = np.split(lengths, bounds)
        ends = np.cumsum([article.sum() for article in by_article])[:-1]
        yield from zip(np.split(ids, ends), by_article, strict=True)

    @cached_property
    def unknown_id(self) -> int:
        """The id of words that are not in the vocabulary."""
        has_unknown = len(self.words) and self.words[0].as_py() == vocabulary.UNKNOWN_WORD
        return 0 if has_unknown else -1

    def _joined(self, sentences: pa.StringArray) -> pa.StringArray:
        if not self.phrases:
            return sentences
        lines = (" ".join(join_passes(line, self.phrases)) for line in sentences.to_pylist())
        return pa.array(lines, pa.string())


@lru_cache(maxsize=1)
def _read_tables(output: OutputFolder, file: VocabularyFile, sampling: Sampling) -> DrawingTables:
    path = output.path(file.name)
    words = vocabulary.parse_vocabulary(read_text(path) or "", path)
    passes = range(1, sampling.phrases + 1)
    joined = tuple(phrases.read_phrases(output, number) for number in passes)
    return drawing_tables(words, sampling, joined)


def drawing_tables(
    words: vocabulary.Vocabulary, sampling: Sampling, joined: tuple[Phrases, ...] = ()
) -> DrawingTables:
    """Returns the probabilities that the counts of `words` give under `sampling`."""
    noise = vocabulary.noise_distribution(words.counts, sampling.noise, sampling.ns_exponent)
    keep = vocabulary.keep_probabilities(words.counts, sampling.sample, sampling.subsampling)
    return DrawingTables(
        pa.array(words.words, pa.string()), keep, vocabulary.NoiseSampler(noise), joined
    )


class _ShardWriter:
    """Writes one shard and counts what goes into it."""

    def __init__(self, file: BinaryIO, packer: skipgrams.RecordPacker) -> None:
        self._file, self._packer, self._digest = file, packer, hashlib.sha256()
        self._counts: Counter[str] = Counter(records=0, targets=0, pairs=0, words=0, bytes=0)

    def add(self, run: skipgrams.SampledArticle, words: int) -> None:
        """Adds an article of `words` words and writes the records that are now complete."""
        self._counts["words"] += words
        for batch in self._packer.add(run):
            self._write(batch)

    def _write(self, batch: list[records.Record]) -> None:
        data = b"".join(records.encode_tfrecords(batch))
        self._file.write(data)
        self._digest.update(data)
        self._counts.update(records=len(batch), bytes=len(data))
        targets = sum(int(np.count_nonzero(record.tokens != records.PADDING)) for record in batch)
        self._counts.update(targets=targets, pairs=skipgrams.count_pairs(batch))

    def close(self, name: str, split: str, draw: int) -> Shard:
        """Writes the last records; returns what the shard holds, for the manifest."""
        self._write(self._packer.close())
        return Shard(name, split, draw, **self._counts, sha256=self._digest.hexdigest())


def write_shards(
    index: int,
    parts: Sequence[Part],
    file: VocabularyFile,
    *,
    output: OutputFolder,
    sampling: Sampling,
) -> list[Shard]:
    """Writes training shard `index` and, in the first draw, the validation shard of that number.

    The validation split is the same in every draw, so the first one writes it.
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
    tables = _read_tables(output, file, sampling)
    first = first_if_all_held_out(parts, output=output, sampling=sampling)
    with ExitStack() as stack:
        writers = {
            split: _ShardWriter(
                stack.enter_context(atomic_file(output.path(name))),
                skipgrams.RecordPacker(sampling.shape, tables.noise, draw),
            )
            for split, name in names.items()
        }
        heartbeat = output.heartbeat(f"records-{index:05d}")
        groups = _row_groups(parts, place, draw=draw, output=output, sampling=sampling)
        _draw_articles(
            groups, writers, first, tables=tables, draw=draw, sampling=sampling, heartbeat=heartbeat
        )
        return [writer.close(names[split], split, draw_index) for split, writer in writers.items()]


def first_if_all_held_out(
    parts: Iterable[Part], *, output: OutputFolder, sampling: Sampling
) -> str:
    """Returns the first article where the split would hold out every one, else an empty string.

    So a corpus of one article, or of one text file, is trained on. Usually the first ids that are
    read show that there is another article to train on.
    """
    first = ""
    for part in sorted_parts(parts) if sampling.validation_fraction else ():
        with open_binary(output.corpus_path("corpus", f"{part.name}.parquet")) as file:
            reader = pq.ParquetFile(file)
            for group in range(reader.num_row_groups):
                ids = reader.read_row_group(group, columns=["article_id"])["article_id"]
                for article_id in ids.to_pylist():
                    if sampling.split(article_id) == records.TRAIN:
                        return ""
                    first = first or article_id
    return first


def why_no_pairs(
    parts: Sequence[Part], words: vocabulary.Vocabulary, *, output: OutputFolder, sampling: Sampling
) -> str:
    """Returns what took the tokens of a corpus in whose training shards there is no pair.

    Args:
        parts: of the corpus.
        words: its vocabulary.
        output: the dataset.
        sampling: how its records were drawn.
    """
    if not words.words:
        return "no word is frequent enough for the vocabulary; lower --min_count"
    first = first_if_all_held_out(parts, output=output, sampling=sampling)
    held_out = 0
    for part in parts:
        with open_binary(output.corpus_path("corpus", f"{part.name}.parquet")) as file:
            reader = pq.ParquetFile(file)
            for group in range(reader.num_row_groups):
                for text in corpus_files.read_group(reader, group):
                    if sampling.split(text.article_id, first=first) == records.VALIDATION:
                        held_out += sum(len(line.split(" ")) for line in text.sentences.to_pylist())
    keep = vocabulary.keep_probabilities(words.counts, sampling.sample, sampling.subsampling)
    total, left = words.tokens, float(keep @ words.counts)
    causes = [f"{total:,} are words of the vocabulary"]
    if held_out:
        causes.append(f"{held_out:,} are held out by --validation_fraction")
    if left < total:
        causes.append(f"--sample {sampling.sample} leaves about {left:,.0f}")
    return f"{', '.join(causes)}; no two are beside each other" + (
        "; give --sample 0 or more text" if left < total else "; give more text, lower --min_count"
    )


def _draw_articles(
    groups: Iterable[list[corpus_files.Tokens]],
    writers: dict[str, _ShardWriter],
    first: str,
    *,
    tables: DrawingTables,
    draw: skipgrams.RandomSeed,
    sampling: Sampling,
    heartbeat: Heartbeat,
) -> None:
    words = 0
    for group in _lookup_batches(groups):
        texts = [text for text in group if sampling.split(text.article_id, first=first) in writers]
        if not texts:
            continue
        for text, (ids, lengths) in zip(texts, tables.articles(texts), strict=True):
            limited = skipgrams.limit_sentences(
                ids, lengths, sampling.sequence_length, sampling.long_sequences
            )
            run = skipgrams.sample_article(
                text.article_id,
                *limited,
                keep=tables.keep,
                window=sampling.shape.window,
                seed=draw,
                shrink_windows=sampling.shrink_windows,
                thin_targets=sampling.subsampling == "keras",
            )
            writers[sampling.split(text.article_id, first=first)].add(run, len(ids))
            words += len(ids)
            heartbeat.beat({"words": words})
    heartbeat.beat({"words": words}, last=True)


def _row_groups(
    parts: Sequence[Part],
    place: int,
    *,
    draw: skipgrams.RandomSeed,
    output: OutputFolder,
    sampling: Sampling,
) -> Iterator[list[corpus_files.Tokens]]:
    """Yields a shard's row groups in a random order of its own.

    In the order of the corpus every epoch would go from the oldest archive to the newest, and the
    vectors would lean towards what was read last (docs/experiments.md).
    """
    parts = sorted_parts(parts)
    groups = [(part, group) for part in parts for group in range(len(part.groups))]
    groups = groups[place :: sampling.num_shards]
    rng = skipgrams.article_rng(draw, "order", str(place))
    keys, rounds = rng.random(len(groups)).tolist(), _reading_rounds(parts, rng)
    keyed = [
        (rounds[part.name], key, part, group)
        for (part, group), key in zip(groups, keys, strict=True)
    ]
    for _, same_round in groupby(sorted(keyed, key=itemgetter(0, 1)), key=itemgetter(0)):
        footers: dict[str, pq.FileMetaData] = {}
        for _, _, part, group in same_round:
            with open_binary(output.corpus_path("corpus", f"{part.name}.parquet")) as file:
                reader = pq.ParquetFile(file, metadata=footers.get(part.name))
                footers[part.name] = reader.metadata
                yield list(corpus_files.read_group(reader, group))


def _lookup_batches(
    groups: Iterable[list[corpus_files.Tokens]],
) -> Iterator[list[corpus_files.Tokens]]:
    """Yields the texts of several row groups, enough for one lookup of their words."""
    batch: list[corpus_files.Tokens] = []
    for group in groups:
        batch += group
        if sum(text.sentences.nbytes for text in batch) >= _LOOKUP_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _reading_rounds(parts: Sequence[Part], rng: np.random.Generator) -> dict[str, int]:
    """Returns name of part -> round in which it is read.

    The parts of a round are drawn at random. Their row groups are read in mixed order, so the
    footers of all of them are in memory: at most _FOOTER_GROUPS row groups, or one part.
    """
    rounds, current, size = {}, 0, 0
    for at in rng.random(len(parts)).argsort().tolist():
        groups = len(parts[at].groups)
        if size and size + groups > _FOOTER_GROUPS:
            current, size = current + 1, 0
        rounds[parts[at].name], size = current, size + groups
    return rounds
