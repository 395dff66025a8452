"""Why two words are near: the contexts that they share, and the sentences that have them.

Skip-gram vectors are near where words have the same contexts (Levy and Goldberg 2014: a product of
vectors tends to the mutual information of word and context). So the contexts that bind two words
are those which are more frequent than chance beside both.

    >>> vocabulary = {"skin": 10, "the": 1000, "melanoma": 5, "cmm": 5}
    >>> near = [Counter({"skin": 4, "the": 6}), Counter({"skin": 3, "the": 7})]
    >>> [(context.word, context.counts) for context in shared_contexts(near, vocabulary)]
    [('skin', (4, 3))]
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

# A context word's count is taken to this power, so that rare ones do not bind by one occurrence
# (Levy, Goldberg and Dagan 2015, section 3.2).
_CONTEXT_POWER = 0.75


class SharedContext(NamedTuple):
    """A word that stands beside both of two words more often than chance.

    Attributes:
        word: the context.
        weight: how much it binds the two; above 0.
        counts: how often it stands beside the first and the second word.
    """

    word: str
    weight: float
    counts: tuple[int, int]


def windows(tokens: Sequence[str], word: str, window: int) -> Iterator[Sequence[str]]:
    """Yields the words around each place of `word`, at most `window` on either side.

    >>> list(windows("a b word c d".split(), "word", 1))
    [['b', 'c']]
    """
    for at, token in enumerate(tokens):
        if token == word:
            yield [*tokens[max(0, at - window) : at], *tokens[at + 1 : at + 1 + window]]


def context_counts(sentences: Iterable[Sequence[str]], word: str, window: int) -> Counter[str]:
    """Returns how often each word stands around `word` in sentences of tokens."""
    return Counter(
        context
        for tokens in sentences
        for around in windows(tokens, word, window)
        for context in around
    )


def shared_contexts(
    counts: Sequence[Counter[str]], vocabulary: Mapping[str, int]
) -> list[SharedContext]:
    """Returns the contexts that bind two words, those that bind most first.

    The weight is the product of two positive pointwise mutual informations, as in the cosine of the
    words' rows of them, each discounted where it rests on few occurrences (Pantel and Lin 2002).

    Args:
        counts: contexts of the first and of the second word.
        vocabulary: words of the corpus with their counts.
    """
    total = sum(count**_CONTEXT_POWER for count in vocabulary.values())
    first, second = counts
    near_totals = [(near, near.total()) for near in counts]
    shared = []
    for word in first.keys() & second.keys():
        chance = vocabulary[word] ** _CONTEXT_POWER / total
        weight = math.prod(
            max(0.0, math.log(near[word] / near_total / chance)) * near[word] / (near[word] + 1)
            for near, near_total in near_totals
        )
        if weight:
            shared.append(SharedContext(word, weight, (first[word], second[word])))
    return sorted(shared, key=lambda context: (-context.weight, context.word))


def contexts_around(
    tokens: Sequence[str], words: Sequence[str], weights: Mapping[str, float], window: int
) -> list[str]:
    """Returns those contexts in `weights` that stand around a word of `words`, heaviest first."""
    around = {
        context for word in words for near in windows(tokens, word, window) for context in near
    }
    return sorted(around & weights.keys(), key=lambda context: (-weights[context], context))
