"""Word vectors: read from a file, asked for neighbours and analogies, compared with people.

The product of training, which needs nothing of the trainer: NumPy does the arithmetic. Methods are
named as in gensim's KeyedVectors; docs/api.md says where they differ.

    >>> vectors = Vectors(["cat", "lion", "car"], np.array([[2, 0], [3, 1], [0, 1]], np.float32))
    >>> [(word, round(cosine, 2)) for word, cosine in vectors.most_similar("cat")]
    [('lion', 0.95), ('car', 0.0)]
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors import evaluation
from pmc2vec.vectors.evaluation import AnalogySection, WordPairScore
from pmc2vec.vectors.formats import registry, workdir_files
from pmc2vec.vectors.formats.vector_table import Counts, Matrix, VectorTable, row_norms

AnalogyMethod = Literal["3cosadd", "3cosmul"]
Neighbours = list[tuple[str, float]]

# Words that an unknown word is compared with, at most: a third of a second.
_MAX_COMPARED_WORDS = 20_000


class Vectors:
    """Words with their vectors, most frequent first.

    Attributes:
        words: V words; the id of a word is its index here. gensim's `index_to_key`.
        matrix: [V, D] float32, a row for each word. gensim's `vectors`.
        counts: [V] int64, tokens of each word in the corpus; None where the file does not say.
    """

    def __init__(self, words: Sequence[str], matrix: Matrix, counts: Counts | None = None) -> None:
        if matrix.ndim != 2 or len(words) != len(matrix):
            raise ValueError(f"{len(words)} words do not fit a matrix of shape {matrix.shape}")
        if counts is not None and len(counts) != len(words):
            raise ValueError(f"{len(words)} words do not fit {len(counts)} counts")
        self.words = list(words)
        self.matrix = matrix
        self.counts = counts

    @classmethod
    def load(cls, path: str | Path) -> Vectors:
        """Returns the vectors in a workdir or a file.

        Args:
            path: a workdir; or a file, whose content says what it is: word2vec's text or binary
                format or GloVe's, which may be compressed (gzip, bzip2, xz, zstd, zip); gensim's
                KeyedVectors; Parquet; a table of numbers with metadata.tsv beside it; NumPy's
                format with words.txt or metadata.tsv beside it (memory-mapped). docs/formats.md
                lists them.

        Raises:
            UserError: it is not there, is damaged or of another format; names the file.
        """
        return cls(*registry.read_vectors(Path(path)))

    def save(self, folder: str | Path) -> None:
        """Writes vectors.tsv, metadata.tsv and vectors.npy into a folder, which `load` then reads.

        Raises:
            UserError: a word holds a tab or an end of line.
        """
        workdir_files.write_workdir(Path(folder), self._table)

    # --- words and rows ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.ids

    def __getitem__(self, word: str | Sequence[str]) -> Matrix:
        """Returns the vector of a word, [D] float32; of a list of n words, [n, D]."""
        if isinstance(word, str):
            return np.asarray(self.matrix[self.get_index(word)])
        return np.asarray(self.matrix[[self.get_index(entry) for entry in word]])

    @property
    def vector_size(self) -> int:
        """Dimensions of a vector, D."""
        return int(self.matrix.shape[1])

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word to id; the first one, where a file has a word twice."""
        last = len(self.words) - 1
        return {word: last - back for back, word in enumerate(reversed(self.words))}

    @property
    def index_to_key(self) -> list[str]:
        """The words, as gensim names them."""
        return self.words

    @property
    def key_to_index(self) -> dict[str, int]:
        """Word to id, as gensim names it."""
        return self.ids

    @property
    def vectors(self) -> Matrix:
        """The matrix, [V, D] float32, as gensim names it."""
        return self.matrix

    @cached_property
    def norms(self) -> Matrix:
        """[V] float32, the length of each vector.

        Raises:
            UserError: a vector is not finite; names its word.
        """
        return row_norms(self._table)

    def get_index(self, word: str) -> int:
        """Returns the word's id.

        Raises:
            UnknownWordError: it is not in the vocabulary; names words that look like it.
        """
        if word not in self.ids:
            raise UnknownWordError(word, self.suggestions(word))
        return self.ids[word]

    def get_vector(self, word: str, norm: bool = False) -> Matrix:
        """Returns the word's vector, [D] float32; of length 1 where `norm`."""
        vector = self[word]
        return np.asarray(vector / self._divisors[self.ids[word]]) if norm else vector

    # --- questions -----------------------------------------------------------------------------

    def most_similar(
        self,
        positive: str | Sequence[str] = (),
        negative: str | Sequence[str] = (),
        topn: int = 10,
        *,
        restrict_vocab: int | None = None,
        min_count: int = 0,
    ) -> Neighbours:
        """Returns the `topn` words of the highest cosine with the query, highest first.

        The query is the sum of the unit vectors of `positive` minus those of `negative`. Words of
        the query are not among the answers.

        Args:
            positive: a word or several.
            negative: words to be subtracted.
            topn: number of neighbours, at least 1.
            restrict_vocab: look only among the first words, so many.
            min_count: look only among words with at least so many tokens in the corpus.

        Raises:
            UnknownWordError: a word is not in the vocabulary.
            UserError: `min_count` is given, and these vectors have no counts.
        """
        plus, minus = self._query_ids(positive, negative)
        signs = np.repeat([1.0, -1.0], [len(plus), len(minus)])
        cosines = self._cosines(signs @ self._units(plus + minus), restrict_vocab)
        return self._top_words(cosines, plus + minus, topn, min_count)

    def most_similar_cosmul(
        self,
        positive: str | Sequence[str] = (),
        negative: str | Sequence[str] = (),
        topn: int = 10,
        *,
        restrict_vocab: int | None = None,
        min_count: int = 0,
    ) -> Neighbours:
        """Returns the `topn` words of the highest 3CosMul score (Levy and Goldberg 2014).

        The score is the product of the cosines with `positive`, each moved from [-1, 1] to [0, 1],
        divided by the product for `negative`. Arguments and errors are those of `most_similar`.
        """
        plus, minus = self._query_ids(positive, negative)
        # A matmul for each word: one with all the words, a narrow matrix, takes twice as long.
        similarities = [
            (1 + self._cosines(unit, restrict_vocab)) / 2 for unit in self._units(plus + minus)
        ]
        divisor = np.prod(similarities[len(plus) :], axis=0) if minus else np.float32(1)
        scores = np.asarray(
            np.prod(similarities[: len(plus)], axis=0)
            / (divisor + np.float32(evaluation.COSMUL_EPSILON))
        )
        return self._top_words(scores, plus + minus, topn, min_count)

    def similar_by_word(
        self, word: str, topn: int = 10, restrict_vocab: int | None = None
    ) -> Neighbours:
        """Returns the neighbours of one word: `most_similar` under gensim's other name."""
        return self.most_similar(word, topn=topn, restrict_vocab=restrict_vocab)

    def similar_by_vector(
        self, vector: Sequence[float] | Matrix, topn: int = 10, restrict_vocab: int | None = None
    ) -> Neighbours:
        """Returns the `topn` words of the highest cosine with a vector, [D]."""
        query = np.asarray(vector, np.float64)
        if query.shape != (self.vector_size,):
            raise ValueError(f"a vector of shape {query.shape}, not ({self.vector_size},)")
        return self._top_words(self._cosines(query, restrict_vocab), [], topn, 0)

    def analogy(
        self, a: str, b: str, c: str, topn: int = 10, *, method: AnalogyMethod = "3cosadd"
    ) -> Neighbours:
        """Returns the best answers to "a is to b as c is to ?", with their scores.

        Args:
            a: first word of the example.
            b: second word of the example.
            c: the word whose counterpart is asked for.
            topn: number of answers.
            method: 3cosadd, the words nearest to b - a + c (Mikolov, Yih and Zweig 2013); or
                3cosmul, which multiplies cosines instead (Levy and Goldberg 2014).
        """
        search = self.most_similar_cosmul if method == "3cosmul" else self.most_similar
        return search([b, c], [a], topn)

    def similarity(self, a: str, b: str) -> float:
        """Returns the cosine of two words, -1 to 1."""
        first, second = self._units([self.get_index(a), self.get_index(b)])
        return float(first @ second)

    def distance(self, a: str, b: str) -> float:
        """Returns 1 minus the cosine of two words, 0 to 2."""
        return 1 - self.similarity(a, b)

    def n_similarity(self, a: Sequence[str], b: Sequence[str]) -> float:
        """Returns the cosine of the mean vectors of two lists of words."""
        if not a or not b:
            raise ValueError("a list of words to compare is empty")
        first, second = (self[list(words)].mean(axis=0, dtype=np.float64) for words in (a, b))
        return evaluation.cosine(first, second)

    def rank_by_centrality(self, words: Sequence[str]) -> list[tuple[float, str]]:
        """Returns each word with its cosine to the mean of their unit vectors, highest first.

        The cosine comes first, as in gensim.
        """
        if not words:
            raise ValueError("no word to rank")
        units = self._units([self.get_index(word) for word in words])  # [n, D]
        mean = units.mean(axis=0)
        mean /= np.linalg.norm(mean) or 1.0
        return sorted(zip((units @ mean).tolist(), words, strict=True), reverse=True)

    def doesnt_match(self, words: Sequence[str]) -> str:
        """Returns the word that is farthest from the mean of their unit vectors."""
        if len(words) < 2:
            raise ValueError("name two words or more")
        return self.rank_by_centrality(words)[-1][1]

    def suggestions(self, word: str, limit: int = 3) -> list[str]:
        """Returns words of the vocabulary that look like `word`, most alike first."""
        return similar_spellings(word, self.words, limit)

    # --- agreement with people -----------------------------------------------------------------

    def evaluate_word_pairs(
        self,
        pairs: str | Path | Iterable[tuple[str, str, float]],
        *,
        restrict_vocab: int | None = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
        phrases: bool = False,
    ) -> WordPairScore:
        """Returns how cosines agree with people's scores for the same pairs of words.

        Args:
            pairs: two entries and a score each, or a file of them (`evaluation.read_pairs`).
            restrict_vocab: use only the first words, so many; None uses all.
            case_insensitive: compare words in upper case; of words that are then the same, the
                first counts.
            dummy4unknown: count a pair with an unknown entry as cosine 0; else leave it out.
            phrases: take the mean of the words' vectors for an unknown entry of several words.
                gensim does not have this.
        """
        return evaluation.evaluate_word_pairs(
            self.matrix,
            evaluation.read_pairs(Path(pairs)) if isinstance(pairs, str | Path) else pairs,
            vocabulary=evaluation.evaluation_vocabulary(
                self.words[:restrict_vocab], case_insensitive=case_insensitive
            ),
            dummy4unknown=dummy4unknown,
            phrases=phrases,
        )

    def evaluate_word_analogies(
        self,
        analogies: str | Path,
        *,
        restrict_vocab: int | None = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
        method: AnalogyMethod = "3cosadd",
    ) -> tuple[float, list[AnalogySection]]:
        """Returns the share of analogies answered correctly, and which ones, by section.

        Args:
            analogies: file in Google's format: `: section`, then four words in each row.
            restrict_vocab: use only the first words, so many, also as answers; None uses all.
            case_insensitive: compare words in upper case; of words that are then the same, the
                first counts.
            dummy4unknown: count an analogy with an unknown word as wrong; else leave it out.
            method: how to answer; see `analogy`.

        Returns:
            The share, 0 to 1, and the sections. The last one, "Total accuracy", holds them all.
        """
        return evaluation.evaluate_analogies(
            self.matrix[:restrict_vocab],
            self.norms[:restrict_vocab],
            evaluation.read_analogies(Path(analogies)),
            words=self.words,
            vocabulary=evaluation.evaluation_vocabulary(
                self.words[:restrict_vocab], case_insensitive=case_insensitive
            ),
            dummy4unknown=dummy4unknown,
            cosmul=method == "3cosmul",
        )

    # --- arithmetic ----------------------------------------------------------------------------

    @property
    def _table(self) -> VectorTable:
        return VectorTable(self.words, self.matrix, self.counts)

    @cached_property
    def _divisors(self) -> Matrix:
        return evaluation.divisors(self.norms)

    def _query_ids(
        self, positive: str | Sequence[str], negative: str | Sequence[str]
    ) -> tuple[list[int], list[int]]:
        if isinstance(negative, int):
            raise TypeError(f"negative words come second, as in gensim; write topn={negative}")
        plus, minus = (
            [self.get_index(word) for word in ([words] if isinstance(words, str) else words)]
            for words in (positive, negative)
        )
        if not plus and not minus:
            raise ValueError("no word is given; name one or several")
        return plus, minus

    def _units(self, ids: Sequence[int]) -> NDArray[np.float64]:
        rows = self.matrix[list(ids)].astype(np.float64)
        return np.asarray(rows / self._divisors[list(ids), None])

    def _cosines(self, query: NDArray[np.float64], restrict_vocab: int | None) -> Matrix:
        """Returns the cosines of `query`, [D], with the first words; with all where None."""
        unit = (query / (float(np.linalg.norm(query)) or 1.0)).astype(np.float32)
        cosines: Matrix = np.asarray(self.matrix)[:restrict_vocab] @ unit
        cosines /= self._divisors[:restrict_vocab]
        return cosines

    def _top_words(
        self, scores: Matrix, query_ids: Sequence[int], topn: int, min_count: int
    ) -> Neighbours:
        """Returns the `topn` words of the highest scores, equal ones by id; changes `scores`."""
        if min_count and self.counts is None:
            raise UserError("these vectors have no counts; leave --min_count out")
        scores[[word_id for word_id in query_ids if word_id < len(scores)]] = -np.inf
        if min_count and self.counts is not None:
            scores[self.counts[: len(scores)] < min_count] = -np.inf
        return [(self.words[word_id], float(scores[word_id])) for word_id in top_k(scores, topn)]


def top_k(scores: NDArray[np.floating], topn: int) -> NDArray[np.intp]:
    """Returns the indices of the `topn` highest of [V] scores, highest first, equal ones in order.

    >>> top_k(np.array([1.0, 3.0, -np.inf, 3.0, 2.0]), 3).tolist()
    [1, 3, 4]

    Minus infinity is never among them.
    """
    if topn < 1:
        raise ValueError(f"topn must be at least 1, not {topn}")
    count = min(topn, int(np.count_nonzero(scores > -np.inf)))
    if not count:
        return np.empty(0, np.intp)
    # Not np.argpartition, which chooses freely among equal scores.
    lowest = np.partition(scores, len(scores) - count)[len(scores) - count]
    candidates = np.flatnonzero(scores >= lowest)
    return candidates[np.lexsort((candidates, -scores[candidates]))][:count]


# --- unknown words -----------------------------------------------------------------------------


class UnknownWordError(UserError, KeyError):
    """A word that the vocabulary lacks; the message names words that look like it.

    >>> print(UnknownWordError("fathr", ["father"]))
    'fathr' is not in the vocabulary; did you mean father?
    """

    def __init__(self, word: str, suggestions: Sequence[str]) -> None:
        hint = "no word of it looks like that"
        if suggestions:
            hint = f"did you mean {', '.join(suggestions)}?"
        super().__init__(f"{word!r} is not in the vocabulary; {hint}")

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would put quotes around the message.


def similar_spellings(word: str, words: Sequence[str], limit: int = 3) -> list[str]:
    """Returns those of `words` that look like `word`, most alike first.

    Only words of about the same length with the same first letter or the same last two letters are
    compared, for difflib takes minutes on a large vocabulary.

    >>> similar_spellings("fathr", ["man", "father", "mother"])
    ['father']
    """
    lower, length = word.casefold(), len(word)
    first, ending = lower[:1], lower[-2:]
    candidates = [
        (candidate.casefold(), candidate)
        for candidate in words
        if abs(len(candidate) - length) <= 2
        and (candidate[:1].casefold() == first or candidate[-2:].casefold() == ending)
    ][:_MAX_COMPARED_WORDS]
    spellings = dict(reversed(candidates))  # Of spellings that differ in case only, the first.
    matches = difflib.get_close_matches(lower, spellings, n=limit, cutoff=0.7)
    return [spellings[match] for match in matches]
