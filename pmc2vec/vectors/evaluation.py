"""How well vectors agree with people: word pairs with scores, and analogies.

What counts, what is skipped and what is compared is as in gensim 4's KeyedVectors, and so are the
figures: words are compared in upper case, and only the first 300,000 are known. Intervals are
Fisher's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.correlations import interval, pearson, spearman

if TYPE_CHECKING:
    from pmc2vec.vectors.word_vectors import Vectors

Analogy = tuple[str, str, str, str]

_BATCH = 1 << 24  # cosines held at once
_TRIED = 5  # answers that gensim looks at
_EPSILON = 1e-6  # Levy and Goldberg's, that no divisor is 0.


@dataclass(frozen=True)
class WordPairScore:
    """How well cosines agree with people's scores of pairs of words.

    Attributes:
        spearman: rank correlation of the covered pairs, -1 to 1; NaN where there is none.
        pearson: correlation of the same.
        covered: pairs with both entries in the vocabulary.
        total: pairs in all.
        compared: pairs in the correlations: those covered, or all where unknown ones count as 0.
    """

    spearman: float
    pearson: float
    covered: int
    total: int
    compared: int

    @property
    def oov_ratio(self) -> float:
        """Pairs with an unknown entry, in percent of all."""
        return 100 * (self.total - self.covered) / self.total if self.total else 0.0

    @property
    def spearman_interval(self) -> tuple[float, float]:
        """95 % confidence interval of `spearman`: Fisher's z as `interval` has it for ranks."""
        return interval(self.spearman, self.compared, ranks=True)

    @property
    def pearson_interval(self) -> tuple[float, float]:
        """95 % confidence interval of `pearson`: Fisher's z."""
        return interval(self.pearson, self.compared)


class AnalogySection(TypedDict):
    """Analogies of a section by answer: gensim's keys, and so are the words in upper case."""

    section: str
    correct: list[Analogy]
    incorrect: list[Analogy]


class KnownWords(NamedTuple):
    """The words that an evaluation knows.

    Attributes:
        ids: of each word, in upper case where `folded`.
        folded: whether words are compared in upper case.
    """

    ids: Mapping[str, int]
    folded: bool

    def fold(self, word: str) -> str:
        """Returns the word as it is compared."""
        return word.upper() if self.folded else word


def known_words(words: Sequence[str], *, folded: bool) -> KnownWords:
    """Returns the words that an evaluation knows; of those alike the first."""
    last = len(words) - 1
    return KnownWords(
        {
            word.upper() if folded else word: last - back
            for back, word in enumerate(reversed(words))
        },
        folded,
    )


# --- word pairs --------------------------------------------------------------------------------


def word_pairs(
    vectors: Vectors,
    pairs: Iterable[tuple[str, str, float]],
    *,
    known: KnownWords,
    dummy4unknown: bool,
    phrases: bool,
) -> WordPairScore:
    """Returns the agreement of cosines with scores; see `Vectors.evaluate_word_pairs`."""
    cosines, scores, total, covered = [], [], 0, 0
    for first, second, score in pairs:
        total += 1
        one, other = (_entry(vectors, entry, known, phrases) for entry in (first, second))
        if one is not None and other is not None:
            covered += 1
            lengths = float(np.linalg.norm(one) * np.linalg.norm(other)) or 1.0
            cosines.append(float(one @ other) / lengths)
            scores.append(score)
        elif dummy4unknown:
            cosines.append(0.0)
            scores.append(score)
    return WordPairScore(
        spearman=spearman(cosines, scores),
        pearson=pearson(cosines, scores),
        covered=covered,
        total=total,
        compared=len(scores),
    )


def _entry(
    vectors: Vectors, entry: str, known: KnownWords, phrases: bool
) -> NDArray[np.float64] | None:
    folded = known.fold(entry)
    for words in ([folded], folded.split() if phrases else []):
        if words and all(word in known.ids for word in words):
            rows = vectors.matrix[[known.ids[word] for word in words]]
            return np.asarray(rows.mean(axis=0, dtype=np.float64))
    return None


def read_pairs(path: Path) -> list[tuple[str, str, float]]:
    """Returns the rows of a word-pair file: two entries and a score, tab-separated.

    Empty lines, lines that begin with `#`, and a first line whose third column is no number (a
    header) are passed over. More columns are not read.

    Raises:
        UserError: there is no such file, or a row is of another form; names the line.
    """
    pairs = []
    for number, line in enumerate(_lines(path), start=1):
        fields = [field.strip() for field in line.split("\t")]
        if fields == [""] or line.startswith("#"):
            continue
        score = _number(fields[2]) if len(fields) > 2 else None
        if score is not None:
            pairs.append((fields[0], fields[1], score))
        elif number > 1 or len(fields) < 3:
            raise UserError(
                f"{path}: line {number} is not two entries and a score, tab-separated: "
                f"{line[:60]!r}"
            )
    if not pairs:
        raise UserError(f"{path}: holds no word pairs; each row is two entries and a score")
    return pairs


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); give a file of word pairs or analogies"
        ) from error


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# --- analogies ---------------------------------------------------------------------------------


def read_analogies(path: Path) -> list[tuple[str, list[Analogy]]]:
    """Returns the sections of a file of analogies in Google's format, each with its name.

    Empty lines and lines of other than four words are passed over, as in gensim.

    Raises:
        UserError: there is no such file, it has no `: section` before its first analogy, or holds
            none at all.
    """
    sections: list[tuple[str, list[Analogy]]] = []
    for number, line in enumerate(_lines(path), start=1):
        words = line.split()
        if line.startswith(": "):
            sections.append((line.lstrip(": ").strip(), []))
        elif len(words) == 4:
            if not sections:
                raise UserError(f"{path}: line {number} comes before any `: section` header")
            sections[-1][1].append((words[0], words[1], words[2], words[3]))
    if not any(analogies for _, analogies in sections):
        raise UserError(f"{path}: holds no analogies; each row is four words, after `: section`")
    return sections


def is_analogies(path: Path) -> bool:
    """Returns whether the first line of a file that is no comment is a `: section` header.

    Raises:
        UserError: the file cannot be read.
    """
    told = (line for line in _lines(path) if line.strip() and not line.startswith("#"))
    return next(told, "").startswith(": ")


def analogies(
    vectors: Vectors,
    sections: Sequence[tuple[str, Sequence[Analogy]]],
    *,
    known: KnownWords,
    restrict_vocab: int | None,
    dummy4unknown: bool,
    product: bool,
) -> tuple[float, list[AnalogySection]]:
    """Returns the share of right answers and each section's; `Vectors.evaluate_word_analogies`."""
    judged: list[AnalogySection] = []
    for name, questions in sections:
        section = AnalogySection(section=name, correct=[], incorrect=[])
        folded = [_folded(question, known) for question in questions]
        asked = [question for question in folded if all(word in known.ids for word in question)]
        answers = dict(zip(asked, _answers(vectors, asked, known, restrict_vocab, product),
                           strict=True))  # fmt: skip
        for question in folded:
            if question in answers:
                right = answers[question] == question[3]
                section["correct" if right else "incorrect"].append(question)
            elif dummy4unknown:
                section["incorrect"].append(question)
        judged.append(section)
    total = AnalogySection(
        section="Total accuracy",
        correct=list(chain.from_iterable(section["correct"] for section in judged)),
        incorrect=list(chain.from_iterable(section["incorrect"] for section in judged)),
    )
    return accuracy(total), [*judged, total]


def accuracy(section: AnalogySection) -> float:
    """Returns the share of right answers, 0 to 1; 0 where nothing was asked."""
    asked = len(section["correct"]) + len(section["incorrect"])
    return len(section["correct"]) / asked if asked else 0.0


def _folded(question: Analogy, known: KnownWords) -> Analogy:
    a, b, c, d = map(known.fold, question)
    return a, b, c, d


def _answers(
    vectors: Vectors,
    questions: Sequence[Analogy],
    known: KnownWords,
    restrict_vocab: int | None,
    product: bool,
) -> list[str | None]:
    """Returns the answer to each question, many questions in one product of matrices."""
    matrix = np.asarray(vectors.matrix)[:restrict_vocab]
    norms = vectors.norms[:restrict_vocab]
    divisors = np.where(norms > 0, norms, np.float32(np.inf))
    step = max(1, _BATCH // len(matrix) // 3)
    found: list[str | None] = []
    for start in range(0, len(questions), step):
        batch = questions[start : start + step]
        ids = np.array([[known.ids[word] for word in question[:3]] for question in batch])
        units = matrix[ids] / divisors[ids, None]  # [n, 3, D]
        scores = _scores(matrix, divisors, units, product)  # [n, V]
        np.put_along_axis(scores, ids, -np.inf, axis=1)
        kept = min(_TRIED, len(matrix))
        best = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
        order = np.lexsort((best, -np.take_along_axis(scores, best, axis=1)), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        for question, own, row in zip(batch, ids.tolist(), best.tolist(), strict=True):
            tried = [known.fold(vectors.words[at]) for at in row if at not in own]
            found.append(_answer(question, tried))
    return found


def _scores(
    matrix: NDArray[np.float32],
    divisors: NDArray[np.float32],
    units: NDArray[np.float32],
    product: bool,
) -> NDArray[np.float32]:
    """Returns each word's score for each question, [n, V], from the units of a, b and c."""
    if not product:
        query = units[:, 1] + units[:, 2] - units[:, 0]  # [n, D]
        return np.asarray(query @ matrix.T / divisors)
    shares = (1 + units @ matrix.T / divisors) / 2  # [n, 3, V]
    return np.asarray(shares[:, 1] * shares[:, 2] / (shares[:, 0] + np.float32(_EPSILON)))


def _answer(question: Analogy, tried: Sequence[str]) -> str | None:
    """Returns the first word tried that is not in the question, the last one where all are."""
    return next((word for word in tried if word not in question[:3]), tried[-1] if tried else None)
