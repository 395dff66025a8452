"""Small datasets for the trainer's tests, made in one loop from the pure functions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pmc2vec import __version__
from pmc2vec.dataset import manifest, vocabulary
from pmc2vec.dataset.records import (
    SPLITS,
    TRAIN,
    VALIDATION,
    Record,
    RecordShape,
    encode_tfrecords,
    shard_name,
)
from pmc2vec.dataset.skipgrams import (
    RandomSeed,
    SampledArticle,
    count_pairs,
    is_validation,
    pack_records,
    sample_article,
)

Sentences = Sequence[Sequence[str]]


def topic_articles(
    articles: int = 40, *, sentences: int = 30, length: int = 12, topics: int = 4, seed: int = 0
) -> dict[str, list[list[str]]]:
    """Returns articles whose sentences draw their words from one topic each, and from `the`.

    Words are named `<topic letter><number>`: those of one letter belong together.
    """
    rng = np.random.default_rng(seed)
    texts: dict[str, list[list[str]]] = {}
    for number in range(articles):
        text = []
        for _ in range(sentences):
            letter = chr(ord("a") + int(rng.integers(topics)))
            words = [f"{letter}{min(int(n), 24)}" for n in rng.geometric(0.12, length)]
            text.append([*words[: length // 2], "the", *words[length // 2 :]])
        texts[f"PMC{number}"] = text
    return texts


def write_dataset(
    folder: Path,
    sentences_by_article: Mapping[str, Sentences],
    *,
    shape: RecordShape | None = None,
    num_shards: int = 2,
    validation_fraction: float = 0.1,
    passes: int = 1,
    seed: int = 1,
    sample: float = 0.0,
    min_count: int = 1,
    shrink_windows: bool = True,
) -> Path:
    """Writes a finished dataset of the articles into `folder` and returns it."""
    shape = shape or RecordShape(length=32, block=8, block_negatives=6, window=3, negative=5)
    splits = {
        name: VALIDATION if is_validation(name, validation_fraction, seed) else TRAIN
        for name in sentences_by_article
    }
    counter = Counter(
        word
        for name, sentences in sentences_by_article.items()
        if splits[name] == TRAIN
        for sentence in sentences
        for word in sentence
    )
    words = vocabulary.rank_words(
        list(counter), np.array(list(counter.values()), np.int64), min_count=min_count
    )
    keep = vocabulary.keep_probabilities(words.counts, sample)
    noise = vocabulary.NoiseSampler(vocabulary.noise_distribution(words.counts))

    def run(name: str, draw: RandomSeed) -> SampledArticle:
        sentences = sentences_by_article[name]
        ids = [words.ids.get(word, -1) for sentence in sentences for word in sentence]
        return sample_article(
            name,
            np.array(ids, np.int32),
            np.array([len(sentence) for sentence in sentences], np.int64),
            keep=keep,
            window=shape.window,
            seed=draw,
            shrink_windows=shrink_windows,
        )

    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for split in SPLITS:
        draws = passes if split == TRAIN else 1
        names = sorted(name for name in splits if splits[name] == split)
        for index in range(num_shards * draws):
            draw = RandomSeed(seed, index // num_shards)
            mine = names[index % num_shards :: num_shards]
            records = list(pack_records((run(name, draw) for name in mine), shape, noise, draw))
            shards.append(
                _write_shard(
                    folder / shard_name(split, index, num_shards * draws),
                    records,
                    split=split,
                    draw=draw.draw,
                    words=sum(len(s) for name in mine for s in sentences_by_article[name]),
                )
            )
    text = vocabulary.format_vocabulary(words)
    (folder / vocabulary.VOCABULARY_NAME).write_text(text, encoding="utf-8")
    config = {"noise": "unigram", "ns_exponent": 0.75, "shrink_windows": shrink_windows}
    _write_manifest(folder, shape, shards, words, text, counter, config)
    return folder


def _write_shard(
    path: Path, records: Sequence[Record], *, split: str, draw: int, words: int
) -> manifest.Shard:
    data = b"".join(encode_tfrecords(records))
    path.write_bytes(data)
    return manifest.Shard(
        name=path.name,
        split=split,
        draw=draw,
        records=len(records),
        targets=sum(int((record.tokens >= 0).sum()) for record in records),
        pairs=count_pairs(records),
        words=words,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _write_manifest(
    folder: Path,
    shape: RecordShape,
    shards: Sequence[manifest.Shard],
    words: vocabulary.Vocabulary,
    text: str,
    counter: Counter[str],
    config: Mapping[str, object],
) -> None:
    described = manifest.VocabularyFile(
        name=vocabulary.VOCABULARY_NAME,
        size=len(words),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        tokens=words.tokens,
        dropped_words=len(counter) - len(words),
        dropped_tokens=counter.total() - words.tokens,
    )
    finished = manifest.Manifest(
        shape=shape,
        shards=tuple(shards),
        vocabulary=described,
        funnel={"articles_kept": 1},
        licences={"CC BY": 1},
        config=config,
        inputs=(),
        code_version=__version__,
    )
    (folder / manifest.MANIFEST_NAME).write_text(finished.to_json(), encoding="utf-8")
