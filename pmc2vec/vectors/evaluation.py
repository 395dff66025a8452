"""How well vectors agree with people: word pairs with scores, and analogies.

What counts, what is left out and what is compared is as in gensim 4's KeyedVectors, and so are the
scores: words are compared in upper case, and only the first 300,000 are used. Confidence intervals
are Fisher's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.vector_table import Matrix, first_places

Analogy = tuple[str, str, str, str]

# Added to the divisor of 3CosMul, so that it is not 0: the value of Levy and Goldberg (2014).
COSMUL_EPSILON = 1e-6

_NORMAL_QUANTILE = 1.959963984540054  # Of 97.5 %, so that 95 % lie between minus and plus it.
_BATCH_COSINES = 1 << 24  # Cosines held at once, 64 MB.
_CANDIDATES = 5  # Answers to an analogy that gensim looks at.


@dataclass(frozen=True)
class WordPairScore:
    """How well cosines agree with people's scores of pairs of words.

    Attributes:
        spearman: rank correlation of the compared pairs, -1 to 1; NaN where there is none.
        pearson: linear correlation of the same pairs; NaN where there is none.
        covered: pairs with both entries in the vocabulary.
        total: pairs in the file.
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
        """95 % confidence interval of `spearman`; see `confidence_interval`."""
        return confidence_interval(self.spearman, self.compared, ranks=True)

    @property
    def pearson_interval(self) -> tuple[float, float]:
        """95 % confidence interval of `pearson`; see `confidence_interval`."""
        return confidence_interval(self.pearson, self.compared)


class AnalogySection(TypedDict):
    """The analogies of a section by whether the answer is right; keys are those of gensim.

    Words are in upper case where they were compared so.
    """

    section: str
    correct: list[Analogy]
    incorrect: list[Analogy]


class EvaluationVocabulary(NamedTuple):
    """The words that an evaluation uses.

    Attributes:
        ids: id of each word, which is in upper case where `case_insensitive`.
        case_insensitive: whether words are compared in upper case.
    """

    ids: Mapping[str, int]
    case_insensitive: bool

    def normalized(self, word: str) -> str:
        """Returns the word as it is compared."""
        return word.upper() if self.case_insensitive else word


def evaluation_vocabulary(words: Sequence[str], *, case_insensitive: bool) -> EvaluationVocabulary:
    """Returns the vocabulary for `words`; of words that are compared as the same, the first."""
    compared = [word.upper() for word in words] if case_insensitive else words
    return EvaluationVocabulary(first_places(compared), case_insensitive)


# --- word pairs --------------------------------------------------------------------------------


def evaluate_word_pairs(
    matrix: Matrix,
    pairs: Iterable[tuple[str, str, float]],
    *,
    vocabulary: EvaluationVocabulary,
    dummy4unknown: bool,
    phrases: bool,
    unseen: Callable[[str], Matrix | None] = lambda _: None,
) -> WordPairScore:
    """Returns how cosines of rows of `matrix` agree with scores: `Vectors.evaluate_word_pairs`."""
    cosines, scores, total, covered = [], [], 0, 0
    for first_entry, second_entry, score in pairs:
        total += 1
        first, second = (
            _entry_vector(matrix, entry, vocabulary, phrases, unseen)
            for entry in (first_entry, second_entry)
        )
        if first is not None and second is not None:
            covered += 1
            cosines.append(cosine(first, second))
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


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Returns the cosine of two vectors, [D]; 0 where one is zero, and 1 where they are the same.

    Rounding would give 0.9999999999999999 for some words with themselves and 1 for others, and so
    different ranks.
    """
    if a.any() and np.array_equal(a, b):
        return 1.0
    return float(a @ b) / (float(np.linalg.norm(a) * np.linalg.norm(b)) or 1.0)


def _entry_vector(
    matrix: Matrix,
    entry: str,
    vocabulary: EvaluationVocabulary,
    phrases: bool,
    unseen: Callable[[str], Matrix | None],
) -> NDArray[np.float64] | None:
    """Returns the vector of an entry, [D]; None where it is unknown.

    Args:
        matrix: [V, D].
        entry: a word, or several where `phrases`.
        vocabulary: of the rows.
        phrases: whether an unknown entry is the mean of its words.
        unseen: returns the vector of a word that has no row, or None.
    """
    word = vocabulary.normalized(entry)
    if word in vocabulary.ids:
        return np.asarray(matrix[vocabulary.ids[word]], np.float64)
    parts = entry.split() if phrases else [entry]
    rows = [
        matrix[vocabulary.ids[word]]
        if (word := vocabulary.normalized(part)) in vocabulary.ids
        else unseen(part)
        for part in parts
    ]
    if not rows or any(row is None for row in rows):
        return None
    return np.asarray(np.mean(np.asarray(rows, np.float32), axis=0, dtype=np.float64))


def read_pairs(path: Path) -> list[tuple[str, str, float]]:
    """Returns the rows of a word-pair file: two entries and a score, tab-separated.

        melanoma<TAB>carcinoma<TAB>7.5

    Empty lines, lines that begin with `#`, and a header (a first line whose third column is not a
    number) are left out. Further columns are ignored.

    Raises:
        UserError: there is no such file, or a row is of another form; names the line.
    """
    pairs = []
    for number, line in enumerate(_read_lines(path), start=1):
        fields = [field.strip() for field in line.split("\t")]
        if fields == [""] or line.startswith("#"):
            continue
        score = _finite_number(fields[2]) if len(fields) > 2 else None
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


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); give a file of word pairs or analogies"
        ) from error


def _finite_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# --- correlations ------------------------------------------------------------------------------
# As in scipy.stats, to which a test compares them; importing that takes longer than an evaluation.


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Returns the rank correlation of two samples; equal values share their mean rank.

    >>> round(spearman([1, 2, 3, 4], [10, 20, 20, 50]), 4)
    0.9487

    NaN for fewer than two values, or where all values of a sample are the same.
    """
    if len(x) < 2:
        return math.nan
    return pearson(*(_mean_ranks(np.asarray(sample, np.float64)) for sample in (x, y)))


def pearson(
    x: Sequence[float] | NDArray[np.float64], y: Sequence[float] | NDArray[np.float64]
) -> float:
    """Returns the linear correlation of two samples; NaN as in `spearman`.

    >>> round(pearson([1, 2, 3, 4], [10, 20, 20, 50]), 4)
    0.8944
    """
    a, b = (np.asarray(sample, np.float64) for sample in (x, y))
    if len(a) < 2:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else math.nan


def confidence_interval(
    correlation: float, size: int, *, ranks: bool = False
) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a correlation of `size` pairs.

    Fisher's z, whose standard error is 1/sqrt(n - 3), or for ranks sqrt((1 + r^2/2) / (n - 3))
    (Bonett and Wright 2000, Psychometrika 65).

    >>> [round(end, 3) for end in confidence_interval(0.6, 100)]
    [0.457, 0.712]

    NaN where there are fewer than four pairs or no correlation.
    """
    if size < 4 or math.isnan(correlation):
        return math.nan, math.nan
    if abs(correlation) >= 1:
        return correlation, correlation
    error = math.sqrt((1 + ranks * correlation**2 / 2) / (size - 3))
    z = math.atanh(correlation)
    return math.tanh(z - _NORMAL_QUANTILE * error), math.tanh(z + _NORMAL_QUANTILE * error)


def _mean_ranks(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, repeats = np.unique(sample, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(repeats) - (repeats - 1) / 2.0)[places])


# --- analogies ---------------------------------------------------------------------------------


def read_analogies(path: Path) -> list[tuple[str, list[Analogy]]]:
    """Returns the sections of a file of analogies in Google's format, each with its name.

        : family
        man woman father mother

    Empty lines and lines of other than four words are left out, as in gensim.

    Raises:
        UserError: there is no such file, it has no `: section` before its first analogy, or holds
            no analogies.
    """
    sections: list[tuple[str, list[Analogy]]] = []
    for number, line in enumerate(_read_lines(path), start=1):
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


def is_analogy_file(path: Path) -> bool:
    """Returns whether the first line of a file that is not a comment is a `: section` header.

    Raises:
        UserError: the file cannot be read.
    """
    lines = (line for line in _read_lines(path) if line.strip() and not line.startswith("#"))
    return next(lines, "").startswith(": ")


def evaluate_analogies(
    matrix: Matrix,
    norms: Matrix,
    sections: Sequence[tuple[str, Sequence[Analogy]]],
    *,
    words: Sequence[str],
    vocabulary: EvaluationVocabulary,
    dummy4unknown: bool,
    cosmul: bool,
) -> tuple[float, list[AnalogySection]]:
    """Returns the share of right answers, and each section: `Vectors.evaluate_word_analogies`.

    Args:
        matrix: [V, D] float32, vectors of the words that may be answers.
        norms: [V] float32, their lengths.
        sections: name and analogies of each.
        words: V words or more.
        vocabulary: of the same words.
        dummy4unknown: count an analogy with an unknown word as wrong; else leave it out.
        cosmul: answer by 3CosMul instead of 3CosAdd.
    """
    scored: list[AnalogySection] = []
    for name, questions in sections:
        section = AnalogySection(section=name, correct=[], incorrect=[])
        normalized = [_normalized_analogy(question, vocabulary) for question in questions]
        answerable = [
            question for question in normalized if all(word in vocabulary.ids for word in question)
        ]
        answer_list = _answers(
            matrix, norms, answerable, words=words, vocabulary=vocabulary, cosmul=cosmul
        )
        answers = dict(zip(answerable, answer_list, strict=True))
        for question in normalized:
            if question in answers:
                right = answers[question] == question[3]
                section["correct" if right else "incorrect"].append(question)
            elif dummy4unknown:
                section["incorrect"].append(question)
        scored.append(section)
    total = AnalogySection(
        section="Total accuracy",
        correct=list(chain.from_iterable(section["correct"] for section in scored)),
        incorrect=list(chain.from_iterable(section["incorrect"] for section in scored)),
    )
    return accuracy(total), [*scored, total]


def accuracy(section: AnalogySection) -> float:
    """Returns the share of right answers, 0 to 1; 0 where there are no questions."""
    total = len(section["correct"]) + len(section["incorrect"])
    return len(section["correct"]) / total if total else 0.0


def divisors(norms: Matrix) -> Matrix:
    """Returns the norms, infinite where a vector is zero, so that its cosines become 0."""
    return np.where(norms > 0, norms, np.float32(np.inf))


def _normalized_analogy(question: Analogy, vocabulary: EvaluationVocabulary) -> Analogy:
    a, b, c, d = map(vocabulary.normalized, question)
    return a, b, c, d


def _answers(
    matrix: Matrix,
    norms: Matrix,
    questions: Sequence[Analogy],
    *,
    words: Sequence[str],
    vocabulary: EvaluationVocabulary,
    cosmul: bool,
) -> list[str | None]:
    """Returns the answer to each question; many questions make one matmul."""
    lengths = divisors(norms)
    # 3CosMul holds three cosines for each question and word.
    batch_questions = max(1, _BATCH_COSINES // len(matrix) // 3)
    answers: list[str | None] = []
    for start in range(0, len(questions), batch_questions):
        batch = questions[start : start + batch_questions]
        ids = np.array([[vocabulary.ids[word] for word in question[:3]] for question in batch])
        units = matrix[ids] / lengths[ids, None]  # [n, 3, D]
        scores = _answer_scores(matrix, lengths, units, cosmul)  # [n, V]
        np.put_along_axis(scores, ids, -np.inf, axis=1)
        count = min(_CANDIDATES, len(matrix))
        best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.lexsort((best, -np.take_along_axis(scores, best, axis=1)), axis=1)
        best = np.take_along_axis(best, order, axis=1)
        for question, query_ids, row in zip(batch, ids.tolist(), best.tolist(), strict=True):
            candidates = [
                vocabulary.normalized(words[word_id]) for word_id in row if word_id not in query_ids
            ]
            answers.append(_first_other(question, candidates))
    return answers


def _answer_scores(matrix: Matrix, lengths: Matrix, units: Matrix, cosmul: bool) -> Matrix:
    """Returns the score of each word for each question, [n, V], from the units of a, b and c."""
    if not cosmul:
        query = units[:, 1] + units[:, 2] - units[:, 0]  # [n, D]
        return np.asarray(query @ matrix.T / lengths)
    similarities = (1 + units @ matrix.T / lengths) / 2  # [n, 3, V]
    return np.asarray(
        similarities[:, 1] * similarities[:, 2] / (similarities[:, 0] + np.float32(COSMUL_EPSILON))
    )


def _first_other(question: Analogy, candidates: Sequence[str]) -> str | None:
    """Returns the first candidate that is not in the question, or the last one where all are.

    In upper case a candidate may equal a word of the question though it is another word.
    """
    return next(
        (word for word in candidates if word not in question[:3]),
        candidates[-1] if candidates else None,
    )
