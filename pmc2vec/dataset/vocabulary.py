"""The vocabulary: words with their counts, most frequent first; a word's id is its place.

Holds the rules that turn counts into probabilities: which words stay (`min_count`,
`max_final_vocab`), how often a word is kept (subsampling) and how often it is drawn as noise.

    >>> vocabulary = rank(["fever", "the", "of"], np.array([2, 9, 9]), min_count=3)
    >>> vocabulary.words, vocabulary.counts.tolist()
    (['of', 'the'], [9, 9])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError

NAME = "vocabulary.tsv"
HEADER = "word\tcount"

Noise = Literal["unigram", "log_uniform", "uniform"]
Subsampling = Literal["word2vec", "keras", "none"]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words by id.

    Attributes:
        words: V words, by falling count and then by code point.
        counts: [V] int64, their tokens in the corpus.
    """

    words: Sequence[str]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word to id."""
        return {word: index for index, word in enumerate(self.words)}

    @property
    def tokens(self) -> int:
        """Tokens of the corpus that are in the vocabulary."""
        return int(self.counts.sum())


def rank(
    words: Sequence[str],
    counts: NDArray[np.int64],
    *,
    min_count: int = 5,
    max_final_vocab: int | None = None,
) -> Vocabulary:
    """Returns the vocabulary of counted words.

    Keeps words that occur `min_count` times or more and, of those, the `max_final_vocab` most
    frequent; ties go to the smaller code point, so that the result depends on nothing else.
    (gensim instead raises min_count until the words fit.)
    """
    keep = np.flatnonzero(counts >= min_count).tolist()
    kept = [words[index] for index in keep]
    order = sorted(range(len(kept)), key=lambda at: (-int(counts[keep[at]]), kept[at]))
    order = order[:max_final_vocab]
    return Vocabulary([kept[at] for at in order], counts[keep][order].astype(np.int64))


def keep_probabilities(
    counts: NDArray[np.int64], sample: float, rule: Subsampling = "word2vec"
) -> NDArray[np.float64]:
    """Returns [V] float64: the probability that an occurrence of each word is kept.

    `word2vec`: sqrt(t / f) + t / f with f the word's share of the counted tokens and t `sample`
    (Mikolov et al. 2013, as in word2vec.c and gensim). `keras`: the rule of
    `keras.utils.make_sampling_table`, sqrt(t / f) with f from the word's rank under Zipf's law
    instead of its count. `none`, or a `sample` of 0: everything is kept.
    """
    if rule == "none" or sample == 0 or not len(counts):
        return np.ones(len(counts))
    if rule == "keras":
        ranks = np.arange(1, len(counts) + 1)
        gamma = 0.577  # as Keras rounds Euler's constant
        inverse = ranks * (np.log(ranks) + gamma) + 0.5 - 1.0 / (12.0 * ranks)
        ratio = sample * inverse
        return np.asarray(np.minimum(1.0, np.sqrt(ratio)))
    ratio = sample * counts.sum() / counts
    return np.asarray(np.minimum(1.0, np.sqrt(ratio) + ratio))


def noise_distribution(
    counts: NDArray[np.int64], noise: Noise = "unigram", ns_exponent: float = 0.75
) -> NDArray[np.float64]:
    """Returns [V] float64, summing to 1: the probability that each word is drawn as noise.

    `unigram`: count ** ns_exponent (Mikolov et al. 2013). `log_uniform`: log((r + 2) / (r + 1)) by
    rank r from 0, as `tf.random.log_uniform_candidate_sampler`. `uniform`: all alike.
    """
    if noise == "unigram":
        weights = counts.astype(np.float64) ** ns_exponent
    elif noise == "log_uniform":
        ranks = np.arange(len(counts), dtype=np.float64)
        weights = np.log1p(1.0 / (ranks + 1.0))
    else:
        weights = np.ones(len(counts))
    return np.asarray(weights / weights.sum(), np.float64)


class NoiseWords:
    """Words of a noise distribution: where uniform numbers stand in its running sum.

    A table says for each of many equal parts of 0 to 1 which word its beginning falls to; from
    there it is a step or two to the word of a number. A search looks at 17 places of 100,000.

    >>> NoiseWords(np.array([0.5, 0.25, 0.25])).at(np.array([0.0, 0.49, 0.5, 0.99])).tolist()
    [0, 0, 1, 2]
    """

    def __init__(self, distribution: NDArray[np.float64]) -> None:
        """Takes what `noise_distribution` returns."""
        self._sums = np.cumsum(distribution)
        parts = 1 << max(10, 2 + len(distribution).bit_length())  # Part numbers are exact.
        begins = np.arange(parts) / parts * self._sums[-1]
        self._first = np.searchsorted(self._sums, begins, side="right").astype(np.int32)

    def at(self, uniform: NDArray[np.float64]) -> NDArray[np.int32]:
        """Returns the word of each number.

        Args:
            uniform: [n] float64, from 0 to below 1.

        Returns:
            [n] int32: word i for sum[i - 1] <= number * sum[-1] < sum[i].
        """
        found: NDArray[np.int32] = self._first[(uniform * len(self._first)).astype(np.int64)]
        scaled = uniform * self._sums[-1]
        # Rounded up to the whole sum, a number is the last word's.
        scaled = np.minimum(scaled, np.nextafter(self._sums[-1], 0))
        before = np.flatnonzero(self._sums[found] <= scaled)
        while len(before):
            found[before] += 1
            before = before[self._sums[found[before]] <= scaled[before]]
        return found


def to_tsv(vocabulary: Vocabulary) -> str:
    """Returns the file's text: a header and then word, tab, count, by id."""
    rows = (f"{w}\t{c}" for w, c in zip(vocabulary.words, vocabulary.counts.tolist(), strict=True))
    return "\n".join((HEADER, *rows)) + "\n"


def from_tsv(text: str, where: str) -> Vocabulary:
    """Returns the vocabulary in `text`.

    Raises:
        UserError: it is not what `to_tsv` writes; names `where` and the line.
    """
    header, *rows = text.removesuffix("\n").split("\n")
    if header != HEADER:
        raise UserError(f"{where}: line 1 is not {HEADER!r}; build the dataset again")
    words: list[str] = []
    counts = np.empty(len(rows), np.int64)
    for index, row in enumerate(rows):
        word, tab, count = row.partition("\t")
        if not tab or not count.isdigit():
            raise UserError(f"{where}: line {index + 2} is not a word, a tab and a count")
        words.append(word)
        counts[index] = int(count)
    return Vocabulary(words, counts)
