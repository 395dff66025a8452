"""The vocabulary: words with their counts, most frequent first. A word's id is its place.

The module also holds the rules that turn counts into probabilities: which words are in the
vocabulary (`min_count`, `max_final_vocab`), how often an occurrence of a word is kept
(subsampling), and how often a word is drawn as a negative (noise distribution).

    >>> vocabulary = rank_words(["fever", "the", "of"], np.array([2, 9, 9]), min_count=3)
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

VOCABULARY_NAME = "vocabulary.tsv"
VOCABULARY_HEADER = "word\tcount"

UNKNOWN_WORD = "[UNK]"
"""The word that stands for all others under `build --unknown keep`; named as TextVectorization's.

It is word 0, whatever its count."""

NoiseKind = Literal["unigram", "log_uniform", "uniform"]
SubsamplingRule = Literal["word2vec", "keras", "none"]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words by id.

    Attributes:
        words: V words, by falling count and then by code point; UNKNOWN_WORD first, if it is one.
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


def rank_words(
    words: Sequence[str],
    counts: NDArray[np.int64],
    *,
    min_count: int = 5,
    max_final_vocab: int | None = None,
) -> Vocabulary:
    """Returns the vocabulary of counted words.

    It has the words that occur `min_count` times or more and, of those, the `max_final_vocab` most
    frequent. Words with equal counts are ordered by code point, so the result does not depend on
    the order of `words`. (gensim raises min_count instead until the words fit.)
    """
    frequent = np.flatnonzero(counts >= min_count).tolist()
    order = sorted(frequent, key=lambda place: (-int(counts[place]), words[place]))
    order = order[:max_final_vocab]
    return Vocabulary([words[place] for place in order], counts[order].astype(np.int64))


def with_unknown_word(vocabulary: Vocabulary, tokens: int) -> Vocabulary:
    """Returns the vocabulary with UNKNOWN_WORD as its first word.

    Args:
        vocabulary: of `rank_words`. If the corpus has tokens that read so, they count as unknown.
        tokens: of the corpus that are in no vocabulary.
    """
    counts = vocabulary.counts
    if UNKNOWN_WORD in vocabulary.ids:
        index = vocabulary.ids[UNKNOWN_WORD]
        tokens += int(counts[index])
        counts = np.delete(counts, index)
    words = [word for word in vocabulary.words if word != UNKNOWN_WORD]
    return Vocabulary([UNKNOWN_WORD, *words], np.concatenate(([np.int64(tokens)], counts)))


def keep_probabilities(
    counts: NDArray[np.int64], sample: float, rule: SubsamplingRule = "word2vec"
) -> NDArray[np.float64]:
    """Returns [V] float64: the probability that subsampling keeps an occurrence of each word.

    Args:
        counts: [V] int64, tokens of each word.
        sample: the threshold t; 0 keeps everything.
        rule: `word2vec`: sqrt(t / f) + t / f, where f is the word's share of the tokens (Mikolov et
            al. 2013, in the form of word2vec.c and gensim). `keras`: the rule of
            `keras.utils.make_sampling_table`, sqrt(t / f), where f follows from the word's rank by
            Zipf's law and not from its count; as in Keras's `skipgrams`, it thins targets only (see
            `skipgrams.sample_article`). `none`: everything is kept.
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
    counts: NDArray[np.int64], noise: NoiseKind = "unigram", ns_exponent: float = 0.75
) -> NDArray[np.float64]:
    """Returns [V] float64, the probability that each word is drawn as a negative; the sum is 1.

    Args:
        counts: [V] int64, tokens of each word.
        noise: `unigram`: count ** ns_exponent (Mikolov et al. 2013). `log_uniform`:
            log((r + 2) / (r + 1)) for the rank r from 0, as in
            `tf.random.log_uniform_candidate_sampler`. `uniform`: the same for each word.
        ns_exponent: for `unigram`.
    """
    if noise == "unigram":
        weights = counts.astype(np.float64) ** ns_exponent
    elif noise == "log_uniform":
        ranks = np.arange(len(counts), dtype=np.float64)
        weights = np.log1p(1.0 / (ranks + 1.0))
    else:
        weights = np.ones(len(counts))
    return np.asarray(weights / weights.sum(), np.float64)


class NoiseSampler:
    """Draws words of a noise distribution by the inverse of its cumulative sum.

    A table divides 0 to 1 into equal parts and holds, for the beginning of each part, the word
    there. The word of a number is that word or one of the next few. This is faster than a binary
    search, which reads 17 places of memory for 100,000 words.

    >>> NoiseSampler(np.array([0.5, 0.25, 0.25])).sample(np.array([0.0, 0.49, 0.5, 0.99])).tolist()
    [0, 0, 1, 2]
    """

    def __init__(self, distribution: NDArray[np.float64]) -> None:
        """Takes what `noise_distribution` returns."""
        self._sums = np.cumsum(distribution)
        # A power of two, so that number * parts is exact. At least twice the words, so that a part
        # holds few of them.
        parts = 1 << max(10, 2 + len(distribution).bit_length())
        begins = np.arange(parts) / parts * self._sums[-1]
        self._first = np.searchsorted(self._sums, begins, side="right").astype(np.int32)

    def sample(self, uniform: NDArray[np.float64]) -> NDArray[np.int32]:
        """Returns the word id for each uniform random number.

        Args:
            uniform: [n] float64, from 0 to below 1.

        Returns:
            [n] int32: word i for sum[i - 1] <= number * sum[-1] < sum[i].
        """
        ids: NDArray[np.int32] = self._first[(uniform * len(self._first)).astype(np.int64)]
        scaled = uniform * self._sums[-1]
        # The product may round up to the whole sum, which would be past the last word.
        scaled = np.minimum(scaled, np.nextafter(self._sums[-1], 0))
        too_low = np.flatnonzero(self._sums[ids] <= scaled)
        while len(too_low):
            ids[too_low] += 1
            too_low = too_low[self._sums[ids[too_low]] <= scaled[too_low]]
        return ids


def format_vocabulary(vocabulary: Vocabulary) -> str:
    """Returns the text of vocabulary.tsv: a header, then word, tab, count for each word by id."""
    rows = (f"{w}\t{c}" for w, c in zip(vocabulary.words, vocabulary.counts.tolist(), strict=True))
    return "\n".join((VOCABULARY_HEADER, *rows)) + "\n"


def parse_vocabulary(text: str, where: str) -> Vocabulary:
    """Returns the vocabulary that the text of a vocabulary.tsv describes.

    Args:
        text: of the file.
        where: the file's path, for messages.

    Raises:
        UserError: the text is not what `format_vocabulary` writes; names `where` and the line.
    """
    header, *rows = text.removesuffix("\n").split("\n")
    if header != VOCABULARY_HEADER:
        raise UserError(f"{where}: line 1 is not {VOCABULARY_HEADER!r}; build the dataset again")
    words: list[str] = []
    counts = np.empty(len(rows), np.int64)
    for index, row in enumerate(rows):
        word, tab, count = row.partition("\t")
        if not tab or not count.isdigit():
            raise UserError(f"{where}: line {index + 2} is not a word, a tab and a count")
        words.append(word)
        counts[index] = int(count)
    return Vocabulary(words, counts)
