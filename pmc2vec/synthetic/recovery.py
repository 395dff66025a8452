"""How much of a planted truth word vectors have recovered.

A right pipeline passes every threshold here on the default sample. Reading it wrongly costs at
least one: glued or split tokens leave planted words out of the vocabulary, kept references, tables
or captions let decoys in, and so do the articles that the keyword filter should have dropped.
Analogies are solved by 3CosAdd (Mikolov, Yih and Zweig 2013): the word nearest to b - a + c.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pmc2vec.synthetic.ground_truth import Truth

SYNONYM_RANK: Final = 5
"""A synonym is found if it is among so many nearest neighbours."""
ANALOGY_RANK: Final = 5
TOPIC_NEIGHBOURS: Final = 10

MIN_WORDS: Final = 1.0
MIN_SYNONYMS: Final = 0.80
MIN_ANALOGIES: Final = 0.60  # Losing the words of one of the two relations costs half.
MIN_TOPICS: Final = 0.70

Matrix = NDArray[np.floating]


@dataclass(frozen=True)
class Score:
    """One line of the result: what was measured, its value, and the least (or most) that passes."""

    name: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Recovery:
    """What vectors know of a truth; shares are in 0..1, of everything that was planted.

    Attributes:
        words: share of the planted words that are in the vocabulary.
        synonyms: share of synonyms with their partner among the 5 nearest neighbours.
        analogies: share of analogies whose answer is the nearest word.
        analogies_near: share of analogies whose answer is among the 5 nearest words.
        topics: same-topic share of the 10 nearest neighbours, mean over all topic words.
        missing: kind of planted word -> those not in the vocabulary.
        decoys: kind of decoy -> those in the vocabulary; none of them should be.
    """

    words: float
    synonyms: float
    analogies: float
    analogies_near: float
    topics: float
    missing: Mapping[str, tuple[str, ...]]
    decoys: Mapping[str, tuple[str, ...]]

    @property
    def decoys_found(self) -> int:
        """Decoys in the vocabulary."""
        return sum(map(len, self.decoys.values()))

    @property
    def scores(self) -> tuple[Score, ...]:
        """What is judged, in the order in which it is worth reading."""
        judged = (
            ("planted words in the vocabulary", self.words, MIN_WORDS),
            ("synonyms among 5 neighbours", self.synonyms, MIN_SYNONYMS),
            ("analogies solved", self.analogies, MIN_ANALOGIES),
            ("neighbours of the same topic", self.topics, MIN_TOPICS),
        )
        found = self.decoys_found
        return (
            *(Score(name, value, least, value >= least) for name, value, least in judged),
            Score("decoys in the vocabulary", found, 0, found == 0),
        )

    @property
    def passed(self) -> bool:
        """Whether every score passed."""
        return all(score.passed for score in self.scores)


def recovery(truth: Truth, words: Sequence[str], matrix: Matrix) -> Recovery:
    """Returns how much of `truth` the vectors have recovered.

    Args:
        truth: what was planted.
        words: the V words of the vocabulary, in lower case.
        matrix: [V, D], the vector of each word.

    Raises:
        ValueError: `matrix` has not one row for each of `words`.
    """
    if matrix.ndim != 2 or len(matrix) != len(words):
        raise ValueError(f"{len(words)} words need [{len(words)}, D] vectors, not {matrix.shape}")
    space = _Space(words, _units(matrix))
    groups = _planted(truth)
    planted = set().union(*groups.values())
    first, near = _analogies(truth, space)
    return Recovery(
        words=_share(len(planted & space.rows.keys()), len(planted)),
        synonyms=_synonyms(truth, space),
        analogies=first,
        analogies_near=near,
        topics=_topics(truth, space),
        missing=_present({kind: group - space.rows.keys() for kind, group in groups.items()}),
        decoys=_present(
            {kind: space.rows.keys() & set(group) for kind, group in truth.decoys.items()}
        ),
    )


class _Space:
    """Words and their unit vectors.

    Attributes:
        words: the V words.
        units: [V, D], of length 1 (or 0).
        rows: word -> its row.
    """

    def __init__(self, words: Sequence[str], units: Matrix) -> None:
        self.words = words
        self.units = units
        self.rows = {word: row for row, word in enumerate(words)}

    def nearest(self, queries: Matrix, without: NDArray[np.intp], count: int) -> list[list[str]]:
        """Returns the `count` words nearest to each query, the nearest first.

        Args:
            queries: [Q, D].
            without: [Q, N], rows that are no answer to each query.
            count: words to return, less where the vocabulary has fewer.
        """
        cosines = queries @ self.units.T  # [Q, V]
        np.put_along_axis(cosines, without, -np.inf, axis=1)
        count = min(count, len(self.words) - without.shape[1])
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        return [[self.words[row] for row in found] for found in order]

    def neighbours(self, words: Sequence[str], count: int) -> list[list[str]]:
        """Returns the `count` words nearest to each of `words`, without itself."""
        rows = np.array([self.rows[word] for word in words], np.intp)
        return self.nearest(self.units[rows], rows[:, np.newaxis], count)


def _synonyms(truth: Truth, space: _Space) -> float:
    asked = [(word, set(group) - {word}) for group in truth.synonyms for word in group]
    known = [(word, partners) for word, partners in asked if word in space.rows]
    near = space.neighbours([word for word, _ in known], SYNONYM_RANK)
    found = sum(not partners.isdisjoint(n) for (_, partners), n in zip(known, near, strict=True))
    return _share(found, len(asked))


def _analogies(truth: Truth, space: _Space) -> tuple[float, float]:
    """Returns the shares whose answer is the nearest word, and among the nearest."""
    known = [each for each in truth.analogies if space.rows.keys() >= set(each)]
    asked = np.array([[space.rows[word] for word in each] for each in known], np.intp)
    a, b, c = asked.reshape(-1, 4).T[:3]
    near = space.nearest(
        space.units[b] - space.units[a] + space.units[c], np.stack([a, b, c], 1), ANALOGY_RANK
    )
    first = sum(each[3] == n[0] for each, n in zip(known, near, strict=True))
    among = sum(each[3] in n for each, n in zip(known, near, strict=True))
    return _share(first, len(truth.analogies)), _share(among, len(truth.analogies))


def _topics(truth: Truth, space: _Space) -> float:
    asked = [(word, set(group)) for group in truth.topics.values() for word in group]
    known = [(word, group) for word, group in asked if word in space.rows]
    near = space.neighbours([word for word, _ in known], TOPIC_NEIGHBOURS)
    same = sum(len(group & set(n)) for (_, group), n in zip(known, near, strict=True))
    return _share(same, len(asked) * TOPIC_NEIGHBOURS)


def _planted(truth: Truth) -> dict[str, set[str]]:
    """Returns kind -> planted words: those that are asked for, and those that may be misread."""
    return {
        "topics": {word for group in truth.topics.values() for word in group},
        "synonyms": {word for group in truth.synonyms for word in group},
        "analogies": {word for each in truth.analogies for word in each},
        **{kind: set(group) for kind, group in truth.dressed.items()},
    }


def _present(groups: Mapping[str, AbstractSet[str]]) -> dict[str, tuple[str, ...]]:
    """Returns the groups that have words, each sorted."""
    return {kind: tuple(sorted(group)) for kind, group in groups.items() if group}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _units(matrix: Matrix) -> Matrix:
    """Returns the rows at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.where(lengths > 0, lengths, 1))
