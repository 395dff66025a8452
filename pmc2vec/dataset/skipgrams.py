"""Articles as word ids -> skip-gram records with negatives; and the pairs that a record stands for.

A record holds consecutive tokens and one drawn window for each. This defines the skip-gram pairs
without storing them: token i is a target of context j if both stand in the same sentence and
0 < |i - j| <= window[i]. The rules are those of Mikolov et al. 2013 in the order of word2vec.c:
words outside the vocabulary are removed, then frequent words are subsampled, then the windows are
drawn, so that a window reaches across removed words.

All randomness is a function of (seed, draw, article id); see `article_rng`.

    >>> ids, sentence_lengths = np.array([0, 1, 2, 3], np.int32), np.array([4])
    >>> article = sample_article(
    ...     "PMC1", ids, sentence_lengths, keep=np.ones(4), window=1, seed=RandomSeed(1)
    ... )
    >>> article.tokens.tolist(), article.windows.tolist()
    ([0, 1, 2, 3], [129, 1, 1, 1])
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from pmc2vec.dataset.records import PADDING, SENTENCE_START, WINDOW_BITS, Record, RecordShape
from pmc2vec.dataset.vocabulary import NoiseSampler

WordIds = NDArray[np.int32]

LongSentenceRule = Literal["cut", "split"]

# The packer fills a buffer of this many tokens and draws the negatives of all its records at once,
# which is faster than record by record. The records do not depend on the size.
_TOKENS_BETWEEN_DRAWS = 1 << 15


@dataclass(frozen=True)
class RandomSeed:
    """What the random numbers of a dataset depend on, beside the article.

    Attributes:
        seed: the option `--seed`.
        draw: which of the `--passes` independent draws, from 0.
    """

    seed: int
    draw: int = 0


@dataclass(frozen=True, eq=False)
class SampledArticle:
    """The tokens of one article that are left after subsampling.

    Attributes:
        article_id: names the random stream of the negatives.
        tokens: [n] int32 word ids.
        windows: [n] uint8, as in `records.Record`.
    """

    article_id: str
    tokens: WordIds
    windows: NDArray[np.uint8]


def article_rng(seed: RandomSeed, purpose: str, article_id: str) -> np.random.Generator:
    """Returns the random generator of one article for one purpose.

    Equal arguments give equal numbers. The generator is Philox, keyed with a hash of the
    arguments. Articles share no state, so the numbers depend neither on the worker nor on the
    order of the articles.
    """
    name = f"{seed.seed}\0{seed.draw}\0{purpose}\0{article_id}".encode()
    sequence: Any = _HashedSeed(name)  # NumPy's stubs accept only its own SeedSequence.
    return np.random.Generator(np.random.Philox(sequence))


class _HashedSeed(ISeedSequence):
    """A hash of a name as Philox's key, [2] uint64.

    `Philox(key=...)` would take the same key, but it also reads entropy from the system for a seed
    that it does not use, which costs more than the rest of `article_rng`.
    """

    def __init__(self, name: bytes) -> None:
        digest = hashlib.blake2b(name, digest_size=16).digest()
        self._key = np.frombuffer(digest, np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> Any:  # noqa: ARG002
        """Returns the key. Philox asks for two words of uint64, which is what the key has."""
        return self._key


def is_validation(article_id: str, fraction: float, seed: int) -> bool:
    """Returns whether an article belongs to the validation split.

    A hash of the id decides, so an article stays in its split when others are added.

    Args:
        article_id: of the article.
        fraction: expected share of the articles in the validation split, 0 to 1.
        seed: the option `--seed`.
    """
    name = f"{seed}\0split\0{article_id}".encode()
    digest = hashlib.blake2b(name, digest_size=8).digest()
    return int.from_bytes(digest, "little") < fraction * 2.0**64


def sample_article(
    article_id: str,
    ids: WordIds,
    lengths: NDArray[np.int64],
    *,
    keep: NDArray[np.float64],
    window: int,
    seed: RandomSeed,
    shrink_windows: bool = True,
    thin_targets: bool = False,
) -> SampledArticle:
    """Returns the article's tokens after subsampling, with a window drawn for each.

    Where only targets are thinned, as by `keras.preprocessing.sequence.skipgrams`, every token
    stays as a context, and one that is no target has a window of 0.

    Args:
        article_id: names the random stream.
        ids: [n] int32, the article's tokens; negative where a token is not in the vocabulary.
        lengths: [sentences] int64, tokens in each sentence; they sum to n.
        keep: [V] float64, `vocabulary.keep_probabilities`.
        window: largest window, 1 to 127.
        seed: of the draw.
        shrink_windows: draw each window from 1..window; otherwise all are `window`.
        thin_targets: `keep` is the probability that a token is a target, and no token is removed.
    """
    rng = article_rng(seed, "windows", article_id)
    in_vocabulary = np.flatnonzero(ids >= 0)
    is_sampled = rng.random(len(in_vocabulary)) < keep[ids[in_vocabulary]]
    places = in_vocabulary if thin_targets else in_vocabulary[is_sampled]
    tokens = ids[places]
    if shrink_windows:
        windows = rng.integers(1, window + 1, len(tokens), dtype=np.uint8)
    else:
        windows = np.full(len(tokens), window, np.uint8)
    if thin_targets:
        windows[~is_sampled] = 0
    sentence_begins = np.cumsum(lengths) - lengths
    # A sentence whose first tokens were removed starts at its first token that is left. If none is
    # left, the search returns the start of the next sentence, which has the bit set twice.
    starts = np.searchsorted(places, sentence_begins)
    windows[starts[starts < len(places)]] |= SENTENCE_START
    return SampledArticle(article_id, tokens, windows)


def limit_sentences(
    ids: WordIds, lengths: NDArray[np.int64], size: int | None, rule: LongSentenceRule = "cut"
) -> tuple[WordIds, NDArray[np.int64]]:
    """Returns the tokens and sentence lengths of an article whose sentences have a largest length.

    >>> ids, lengths = np.array([1, 2, 3, 4, 5], np.int32), np.array([4, 1])
    >>> [part.tolist() for part in limit_sentences(ids, lengths, 3, "cut")]
    [[1, 2, 3, 5], [3, 1]]
    >>> [part.tolist() for part in limit_sentences(ids, lengths, 3, "split")]
    [[1, 2, 3, 4, 5], [3, 1, 1]]

    Args:
        ids: [n] int32.
        lengths: [sentences] int64; they sum to n.
        size: the largest length; None for no limit.
        rule: `cut` drops what is beyond, as TextVectorization's `output_sequence_length` does;
            `split` makes further sentences of it.
    """
    if size is None:
        return ids, lengths
    if rule == "split":
        pieces = -(-lengths // size)
        last_pieces = np.cumsum(pieces) - 1
        limited = np.full(int(pieces.sum()), size, np.int64)
        limited[last_pieces[lengths > 0]] = (lengths - (pieces - 1) * size)[lengths > 0]
        return ids, limited
    begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return ids[np.arange(len(ids)) - begins < size], np.minimum(lengths, size)


def pack_records(
    articles: Iterable[SampledArticle], shape: RecordShape, noise: NoiseSampler, seed: RandomSeed
) -> Iterator[Record]:
    """Yields records of `shape.length` consecutive tokens; the last one is padded.

    Args:
        articles: in the order of the shard.
        shape: T, S, K.
        noise: draws the negatives.
        seed: of the draw.
    """
    packer = RecordPacker(shape, noise, seed)
    for article in articles:
        for records in packer.add(article):
            yield from records
    yield from packer.close()


class RecordPacker:
    """Cuts a stream of articles into records: `pack_records` for a caller with several streams.

    A record may begin in the middle of an article and end in the next one. Its negatives come from
    the random stream of the article in which it begins, at that offset in the article.
    """

    def __init__(self, shape: RecordShape, noise: NoiseSampler, seed: RandomSeed) -> None:
        self._shape, self._noise, self._seed = shape, noise, seed
        size = max(_TOKENS_BETWEEN_DRAWS // shape.length, 1) * shape.length
        self._tokens, self._windows = np.empty(size, np.int32), np.empty(size, np.uint8)
        self._buffered = 0  # Tokens in the buffers.
        self._stream_names: list[str] = []  # Of each record that begins in the buffers.

    def add(self, article: SampledArticle) -> Iterator[list[Record]]:
        """Adds an article; yields the complete records each time that the buffer is full."""
        offset = 0  # Tokens of the article that are in the buffer or in records.
        while offset < len(article.tokens):
            count = min(len(self._tokens) - self._buffered, len(article.tokens) - offset)
            begin, end = self._buffered, self._buffered + count
            self._tokens[begin:end] = article.tokens[offset : offset + count]
            self._windows[begin:end] = article.windows[offset : offset + count]
            length = self._shape.length
            record_begins = range(offset + -begin % length, offset + count, length)
            self._stream_names += (f"{article.article_id}\0{at}" for at in record_begins)
            self._buffered, offset = end, offset + count
            if end == len(self._tokens):
                yield self._records()

    def close(self) -> list[Record]:
        """Returns the records that are left, the last of them padded."""
        end = len(self._stream_names) * self._shape.length
        self._tokens[self._buffered : end] = PADDING
        self._windows[self._buffered : end] = 0
        return self._records()

    def _records(self) -> list[Record]:
        """Returns the records in the buffers and empties them; draws the negatives for all."""
        names, self._stream_names, self._buffered = self._stream_names, [], 0
        uniform = np.empty((len(names), self._shape.negatives))
        for name, row in zip(names, uniform, strict=True):
            article_rng(self._seed, "negatives", name).random(out=row)
        negatives = self._noise.sample(uniform.reshape(-1)).reshape(uniform.shape)
        rows = len(names), self._shape.length
        end = rows[0] * rows[1]
        tokens, windows = self._tokens[:end].copy(), self._windows[:end].copy()
        features = zip(tokens.reshape(rows), windows.reshape(rows), negatives, strict=True)
        return [Record(*values) for values in features]


def sentence_numbers(record: Record) -> NDArray[np.int64]:
    """Returns [T] int64: the same number for tokens of the same sentence, -1 for padding."""
    numbers = np.cumsum(record.windows >= SENTENCE_START)
    return np.where(record.tokens == PADDING, -1, numbers)


def pair_mask(record: Record, distance: int) -> NDArray[np.bool_]:
    """Returns [T - d] bool: whether target i has a pair with context i + d, or with i - d.

    For d > 0 entry i stands for (i, i + d); for d < 0 entry i stands for (i + |d|, i).
    """
    reach = (record.windows & WINDOW_BITS).astype(np.int64)
    sentences = sentence_numbers(record)
    steps = abs(distance)
    left, right = sentences[:-steps], sentences[steps:]
    window = reach[:-steps] if distance > 0 else reach[steps:]
    return np.asarray((left == right) & (left >= 0) & (window >= steps))


def count_pairs(records: Sequence[Record]) -> int:
    """Returns the number of pairs that records stand for, without listing them.

    It is much faster for many records at once than for one after the other.
    """
    if not records:
        return 0
    tokens = np.stack([record.tokens for record in records])
    windows = np.stack([record.windows for record in records])
    real = tokens != PADDING
    places = np.arange(tokens.shape[1])
    starts = (windows >= SENTENCE_START) | ~real
    starts[:, 0] = True
    first = np.maximum.accumulate(np.where(starts, places, 0), axis=1)
    # [N, T]: where the sentence of each token ends. A running minimum from the right of the starts
    # after each token; a token's own start does not count, hence the shift by one.
    next_starts = np.where(starts, places, tokens.shape[1])[:, :0:-1]
    end = np.full(tokens.shape, tokens.shape[1])
    end[:, :-1] = np.minimum.accumulate(next_starts, axis=1)[:, ::-1]
    reach = np.where(real, windows & WINDOW_BITS, 0)
    return int(np.minimum(reach, places - first).sum() + np.minimum(reach, end - 1 - places).sum())


def explicit_pairs(record: Record, shape: RecordShape) -> tuple[WordIds, WordIds, WordIds]:
    """Returns the explicit pairs that the record stands for, in the TensorFlow tutorial's shape.

    Returns:
        targets: [P] int32.
        contexts: [P, 1 + K] int32, the true context and then the negatives of the target's block.
        labels: [P, 1 + K] int32, 1 for the context and 0 for the negatives.

    The pairs are in the order of their targets and, for a target, of distance -w .. w. In the loss
    each negative has the weight `negative / K`.
    """
    size = shape.length
    target_places, context_places = [], []
    for distance in range(-shape.window, shape.window + 1):
        if distance and abs(distance) < size:
            left = np.flatnonzero(pair_mask(record, distance))
            target = left if distance > 0 else left - distance
            target_places.append(target)
            context_places.append(target + distance)
    target = np.concatenate(target_places)
    context = np.concatenate(context_places)
    order = np.lexsort((context, target))
    target, context = target[order], context[order]
    negatives = record.negatives.reshape(shape.blocks, shape.block_negatives)
    contexts = np.concatenate(
        (record.tokens[context][:, None], negatives[target // shape.block]), axis=1
    )
    labels = np.zeros_like(contexts)
    labels[:, 0] = 1
    return record.tokens[target], contexts, labels
