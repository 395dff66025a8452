"""Word ids -> banded skip-gram records with negatives; and the explicit pairs they stand for.

A record holds a run of tokens and, for each, its drawn window: that is the set of skip-gram pairs,
without writing each token once per pair. Pair (i, j) exists if both tokens stand in the same
sentence and 0 < |i - j| <= window[i] (the target's). Rules: Mikolov et al. 2013, in the order of
word2vec.c: words outside the vocabulary go, then subsampling, then the window is drawn.

Everything random is a function of (seed, draw, article id): see `article_rng`.

    >>> ids = np.array([0, 1, 2, 3], np.int32)
    >>> run = draw_article("PMC1", ids, np.array([4]), keep=np.ones(4), window=1, draw=Draw(seed=1))
    >>> run.tokens.tolist(), run.windows.tolist()
    ([0, 1, 2, 3], [129, 1, 1, 1])
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from pmc2vec.dataset.records import PADDING, SENTENCE_START, WINDOW_BITS, Record, RecordShape
from pmc2vec.dataset.vocabulary import NoiseWords

Ids = NDArray[np.int32]
Windows = NDArray[np.uint8]


_TOGETHER = 1 << 15
"""Tokens whose negatives are drawn at once, which costs a third of record by record."""


@dataclass(frozen=True)
class Draw:
    """What randomness depends on beside the article: the seed and the number of the pass."""

    seed: int
    index: int = 0


@dataclass(frozen=True, eq=False)
class Run:
    """The kept tokens of one article.

    Attributes:
        article_id: names the random stream of the negatives.
        tokens: [n] int32 word ids.
        windows: [n] uint8, as in `records.Record`.
    """

    article_id: str
    tokens: Ids
    windows: Windows


def article_rng(draw: Draw, purpose: str, article_id: str) -> np.random.Generator:
    """Returns the generator of one article for one purpose; equal arguments, equal numbers.

    Philox keyed with a hash: no state is shared between articles, so that neither the worker nor
    the order in which articles arrive can change what is drawn.
    """
    name = f"{draw.seed}\0{draw.index}\0{purpose}\0{article_id}".encode()
    key: Any = _Key(name)  # NumPy's types know one class of this kind only.
    return np.random.Generator(np.random.Philox(key))


class _Key(ISeedSequence):
    """A hash as Philox's key, [2] uint64; given as `key=`, NumPy asks the system for a seed too."""

    def __init__(self, name: bytes) -> None:
        digest = hashlib.blake2b(name, digest_size=16).digest()
        self._key = np.frombuffer(digest, np.uint64)

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> Any:  # noqa: ARG002
        """Returns the key, which is what Philox asks for."""
        return self._key


def is_validation(article_id: str, fraction: float, seed: int) -> bool:
    """Tells whether an article belongs to the validation split, of which `fraction` do."""
    name = f"{seed}\0split\0{article_id}".encode()
    digest = hashlib.blake2b(name, digest_size=8).digest()
    return int.from_bytes(digest, "little") < fraction * 2.0**64


def draw_article(
    article_id: str,
    ids: Ids,
    lengths: NDArray[np.int64],
    *,
    keep: NDArray[np.float64],
    window: int,
    draw: Draw,
    shrink_windows: bool = True,
) -> Run:
    """Returns the article's kept tokens with a window drawn for each.

    Args:
        article_id: names the random stream.
        ids: [n] int32, the article's tokens; negative where a token is not in the vocabulary.
        lengths: [sentences] int64, tokens in each sentence; they sum to n.
        keep: [V] float64, `vocabulary.keep_probabilities`.
        window: largest window, 1 to 127.
        draw: seed and pass.
        shrink_windows: draw each window from 1..window; otherwise all are `window`.
    """
    rng = article_rng(draw, "windows", article_id)
    known = np.flatnonzero(ids >= 0)
    kept = known[rng.random(len(known)) < keep[ids[known]]]
    tokens = ids[kept]
    if shrink_windows:
        windows = rng.integers(1, window + 1, len(tokens), dtype=np.uint8)
    else:
        windows = np.full(len(tokens), window, np.uint8)
    begins = np.cumsum(lengths) - lengths
    starts = np.searchsorted(kept, begins)  # Where nothing of a sentence is kept, the next one's.
    windows[starts[starts < len(kept)]] |= SENTENCE_START
    return Run(article_id, tokens, windows)


def pack(
    runs: Iterable[Run], shape: RecordShape, noise: NoiseWords, draw: Draw
) -> Iterator[Record]:
    """Yields records of `shape.length` consecutive tokens; the last one is padded.

    Args:
        runs: articles in order.
        shape: T, S, K.
        noise: where negatives come from.
        draw: seed and pass.
    """
    packer = Packer(shape, noise, draw)
    for run in runs:
        for made in packer.add(run):
            yield from made
    yield from packer.close()


class Packer:
    """Cuts a stream of runs into records, as `pack`, for a caller who feeds several streams.

    A record may begin in the middle of an article and hold the beginning of the next. Its
    negatives come from the stream of the article in which it begins, named by the offset.
    """

    def __init__(self, shape: RecordShape, noise: NoiseWords, draw: Draw) -> None:
        self._shape, self._noise, self._draw = shape, noise, draw
        size = max(_TOGETHER // shape.length, 1) * shape.length
        self._tokens, self._windows = np.empty(size, np.int32), np.empty(size, np.uint8)
        self._filled = 0
        self._begins: list[str] = []

    def add(self, run: Run) -> Iterator[list[Record]]:
        """Takes an article; yields lists of records where there are enough complete ones."""
        taken = 0
        while taken < len(run.tokens):
            count = min(len(self._tokens) - self._filled, len(run.tokens) - taken)
            begin, end = self._filled, self._filled + count
            self._tokens[begin:end] = run.tokens[taken : taken + count]
            self._windows[begin:end] = run.windows[taken : taken + count]
            begins = range(taken + -begin % self._shape.length, taken + count, self._shape.length)
            self._begins += (f"{run.article_id}\0{at}" for at in begins)
            self._filled, taken = end, taken + count
            if end == len(self._tokens):
                yield self._records()

    def close(self) -> list[Record]:
        """Returns the records that are left, the last of them padded."""
        end = len(self._begins) * self._shape.length
        self._tokens[self._filled : end] = PADDING
        self._windows[self._filled : end] = 0
        return self._records()

    def _records(self) -> list[Record]:
        """Returns a record for each place where one begins, negatives drawn for all at once."""
        begins, self._begins, self._filled = self._begins, [], 0
        uniform = np.empty((len(begins), self._shape.negatives))
        for begin, row in zip(begins, uniform, strict=True):
            article_rng(self._draw, "negatives", begin).random(out=row)
        negatives = self._noise.at(uniform.reshape(-1)).reshape(uniform.shape)
        rows = len(begins), self._shape.length
        end = rows[0] * rows[1]
        tokens, windows = self._tokens[:end].copy(), self._windows[:end].copy()
        parts = zip(tokens.reshape(rows), windows.reshape(rows), negatives, strict=True)
        return [Record(*part) for part in parts]


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
    apart = abs(distance)
    left, right = sentences[:-apart], sentences[apart:]
    window = reach[:-apart] if distance > 0 else reach[apart:]
    return np.asarray((left == right) & (left >= 0) & (window >= apart))


def count_pairs(records: Sequence[Record]) -> int:
    """Returns the number of pairs that records stand for, without listing them.

    Many records at once cost a tenth of one after the other.
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
    nexts = np.where(starts, places, tokens.shape[1])[:, :0:-1]
    end = np.full(tokens.shape, tokens.shape[1])
    end[:, :-1] = np.minimum.accumulate(nexts, axis=1)[:, ::-1]
    reach = np.where(real, windows & WINDOW_BITS, 0)
    return int(np.minimum(reach, places - first).sum() + np.minimum(reach, end - 1 - places).sum())


def pairs(record: Record, shape: RecordShape) -> tuple[Ids, Ids, Ids]:
    """Returns the explicit pairs that the record stands for, in the TensorFlow tutorial's shape.

    Returns:
        targets: [P] int32.
        contexts: [P, 1 + K] int32, the true context and then the negatives of the target's block.
        labels: [P, 1 + K] int32, 1 for the context and 0 for the negatives.

    Each negative weighs `negative / K` in the loss; by target, then by distance -w .. w.
    """
    size = shape.length
    targets, others = [], []
    for distance in range(-shape.window, shape.window + 1):
        if distance and abs(distance) < size:
            left = np.flatnonzero(pair_mask(record, distance))
            target = left if distance > 0 else left - distance
            targets.append(target)
            others.append(target + distance)
    at = np.concatenate(targets)
    other = np.concatenate(others)
    order = np.lexsort((other, at))
    at, other = at[order], other[order]
    negatives = record.negatives.reshape(shape.blocks, shape.block_negatives)[at // shape.block]
    contexts = np.concatenate((record.tokens[other][:, None], negatives), axis=1)
    labels = np.zeros_like(contexts)
    labels[:, 0] = 1
    return record.tokens[at], contexts, labels
