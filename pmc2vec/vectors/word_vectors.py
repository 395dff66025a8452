"""Word vectors, the product: read from a file, asked for neighbours, measured against people.

Stands at the end of the trainer and needs nothing of it; NumPy does the arithmetic. Methods are
named as in gensim's KeyedVectors; docs/api.md says where they differ.

    >>> vectors = Vectors(["cat", "lion", "car"], np.array([[2, 0], [3, 1], [0, 1]], np.float32))
    >>> [(word, round(cosine, 2)) for word, cosine in vectors.most_similar("cat")]
    [('lion', 0.95), ('car', 0.0)]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors import evaluation, vector_files
from pmc2vec.vectors.evaluation import AnalogySection, WordPairScore
from pmc2vec.vectors.formats import registry
from pmc2vec.vectors.suggestions import lookalikes, unknown
from pmc2vec.vectors.top_k import highest
from pmc2vec.vectors.vector_files import Counts, Matrix

Method = Literal["3cosadd", "3cosmul"]
Neighbours = list[tuple[str, float]]

_EPSILON = 1e-6  # Levy and Goldberg's, that no divisor is 0.


class Vectors:
    """Words with their vectors, most frequent first.

    Attributes:
        words: V words; a word's id is its place. gensim's `index_to_key`.
        matrix: [V, D] float32, a row for each word. gensim's `vectors`.
        counts: [V] int64, tokens of each word in the corpus; None where nobody knows.
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
            path: a workdir; or a file: `.tsv` with metadata.tsv beside it, `.npy` with words.txt or
                metadata.tsv beside it (memory-mapped), `.bin` in the word2vec binary format, `.kv`
                saved by gensim, `.parquet`, anything else in the word2vec text format or GloVe's.
                The word2vec formats and GloVe's may be compressed, `.gz`.

        Raises:
            UserError: it is not there, is damaged or of another format; names the file.
        """
        return cls(*registry.read(Path(path)))

    def save(self, folder: str | Path) -> None:
        """Writes vectors.tsv, metadata.tsv and vectors.npy into a folder, which `load` then reads.

        Raises:
            UserError: a word holds a tab or an end of line.
        """
        vector_files.write_workdir(Path(folder), self.words, self.counts, self.matrix)

    # --- words and rows ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.ids

    def __getitem__(self, word: str | Sequence[str]) -> Matrix:
        """Returns the word's vector, [D] float32; of a list of n words theirs, [n, D]."""
        if isinstance(word, str):
            return np.asarray(self.matrix[self.get_index(word)])
        return np.asarray(self.matrix[[self.get_index(one) for one in word]])

    @property
    def vector_size(self) -> int:
        """Dimensions of a vector, D."""
        return int(self.matrix.shape[1])

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word to id; the first, where a foreign file has a word twice."""
        last = len(self.words) - 1
        return {word: last - index for index, word in enumerate(reversed(self.words))}

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
        matrix = np.asarray(self.matrix)
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
        vector_files.check_finite(norms, self.words)
        return np.asarray(norms, np.float32)

    def get_index(self, word: str) -> int:
        """Returns the word's id.

        Raises:
            UnknownWordError: it is not in the vocabulary; names words that look like it.
        """
        if word not in self.ids:
            raise unknown(word, self.words)
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

        The query is the sum of the unit vectors of `positive` less those of `negative`; its own
        words are left out.

        Args:
            positive: a word or several.
            negative: words to be subtracted.
            topn: neighbours, at least 1.
            restrict_vocab: look only among so many words, from the first.
            min_count: look only among words with so many tokens in the corpus.

        Raises:
            UnknownWordError: a word is not in the vocabulary.
            UserError: there is a `min_count` but there are no counts.
        """
        plus, minus = self._asked(positive, negative)
        signs = np.repeat([1.0, -1.0], [len(plus), len(minus)])
        cosines = self._cosines(signs @ self._units(plus + minus), restrict_vocab)
        return self._best(cosines, plus + minus, topn, min_count)

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

        The score is the product of the cosines with `positive`, each moved into 0 to 1, divided by
        that of the cosines with `negative`. Arguments and errors are those of `most_similar`.
        """
        plus, minus = self._asked(positive, negative)
        # A product with each word: with all at once, a matrix so narrow takes twice as long.
        shares = [
            (1 + self._cosines(unit, restrict_vocab)) / 2 for unit in self._units(plus + minus)
        ]
        below = np.prod(shares[len(plus) :], axis=0) if minus else np.float32(1)
        scores = np.asarray(np.prod(shares[: len(plus)], axis=0) / (below + np.float32(_EPSILON)))
        return self._best(scores, plus + minus, topn, min_count)

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
        return self._best(self._cosines(query, restrict_vocab), [], topn, 0)

    def analogy(
        self, a: str, b: str, c: str, topn: int = 10, *, method: Method = "3cosadd"
    ) -> Neighbours:
        """Returns the best answers to "a is to b as c is to ?", with their scores.

        Args:
            a: first word of the example.
            b: second word of the example.
            c: word to be answered.
            topn: answers.
            method: 3cosadd, the words nearest to b - a + c (Mikolov, Yih and Zweig 2013); or
                3cosmul, products in place of sums (Levy and Goldberg 2014).
        """
        ask = self.most_similar_cosmul if method == "3cosmul" else self.most_similar
        return ask([b, c], [a], topn)

    def similarity(self, a: str, b: str) -> float:
        """Returns the cosine of two words, -1 to 1."""
        first, second = self._units([self.get_index(a), self.get_index(b)])
        return float(first @ second)

    def distance(self, a: str, b: str) -> float:
        """Returns 1 less the cosine of two words, 0 to 2."""
        return 1 - self.similarity(a, b)

    def n_similarity(self, a: Sequence[str], b: Sequence[str]) -> float:
        """Returns the cosine of the means of two lists of words; the vectors as they are."""
        if not a or not b:
            raise ValueError("two lists of words are compared, and one is empty")
        one, other = (self[list(words)].mean(axis=0, dtype=np.float64) for words in (a, b))
        return float(one @ other) / (float(np.linalg.norm(one) * np.linalg.norm(other)) or 1.0)

    def rank_by_centrality(self, words: Sequence[str]) -> list[tuple[float, str]]:
        """Returns the words with their cosines to the mean of all as unit vectors, highest first.

        The cosine comes first, as in gensim.
        """
        if not words:
            raise ValueError("no word to rank")
        units = self._units([self.get_index(word) for word in words])  # [n, D]
        mean = units.mean(axis=0)
        mean /= np.linalg.norm(mean) or 1.0
        return sorted(zip((units @ mean).tolist(), words, strict=True), reverse=True)

    def doesnt_match(self, words: Sequence[str]) -> str:
        """Returns the word that is farthest from the mean of all, as unit vectors."""
        if len(words) < 2:
            raise ValueError("which word does not match is a question about two or more")
        return self.rank_by_centrality(words)[-1][1]

    def suggestions(self, word: str, limit: int = 3) -> list[str]:
        """Returns words of the vocabulary that look like `word`, likest first."""
        return lookalikes(word, self.words, limit)

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
            pairs: entries and scores, or a file of them (`evaluation.read_pairs`).
            restrict_vocab: know only so many words, from the first; None knows all.
            case_insensitive: compare words in upper case; the first of those alike counts.
            dummy4unknown: count a pair with an unknown entry as cosine 0, and not leave it out.
            phrases: an unknown entry of several words is the mean of theirs; gensim has no such.
        """
        found = pairs if not isinstance(pairs, str | Path) else evaluation.read_pairs(Path(pairs))
        return evaluation.word_pairs(
            self,
            found,
            known=evaluation.known_words(self.words[:restrict_vocab], folded=case_insensitive),
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
        method: Method = "3cosadd",
    ) -> tuple[float, list[AnalogySection]]:
        """Returns the share of analogies that are answered rightly, and which ones, by section.

        Args:
            analogies: file in Google's format: `: section`, then four words in each row.
            restrict_vocab: know and answer only so many words, from the first; None knows all.
            case_insensitive: compare words in upper case; the first of those alike counts.
            dummy4unknown: count an analogy with an unknown word as wrong, and not leave it out.
            method: how to answer; see `analogy`.

        Returns:
            The share, 0 to 1, and the sections, of which the last is of all: "Total accuracy".
        """
        return evaluation.analogies(
            self,
            evaluation.read_analogies(Path(analogies)),
            known=evaluation.known_words(self.words[:restrict_vocab], folded=case_insensitive),
            restrict_vocab=restrict_vocab,
            dummy4unknown=dummy4unknown,
            product=method == "3cosmul",
        )

    # --- arithmetic ----------------------------------------------------------------------------

    @cached_property
    def _divisors(self) -> Matrix:
        """The norms, infinite where a vector is zero, so that all its cosines are 0."""
        return np.where(self.norms > 0, self.norms, np.float32(np.inf))

    def _asked(
        self, positive: str | Sequence[str], negative: str | Sequence[str]
    ) -> tuple[list[int], list[int]]:
        """Returns the ids of the words of a question."""
        if isinstance(negative, int):
            raise TypeError(f"negative words come second, as in gensim; say topn={negative}")
        plus, minus = (
            [self.get_index(word) for word in ([words] if isinstance(words, str) else words)]
            for words in (positive, negative)
        )
        if not plus and not minus:
            raise ValueError("neighbours of no word were asked for; name one or several")
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

    def _best(self, scores: Matrix, own: Sequence[int], topn: int, min_count: int) -> Neighbours:
        """Returns the `topn` words of the highest scores, equal ones by id; `scores` is used up."""
        if min_count and self.counts is None:
            raise UserError("these vectors come without counts, so there is no --min_count of them")
        scores[[at for at in own if at < len(scores)]] = -np.inf
        if min_count and self.counts is not None:
            scores[self.counts[: len(scores)] < min_count] = -np.inf
        return [(self.words[at], float(scores[at])) for at in highest(scores, topn)]
