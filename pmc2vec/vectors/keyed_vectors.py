"""Word vectors: read from a file, asked for neighbours and analogies, compared with people.

The product of training, which needs nothing of the trainer: NumPy does the arithmetic. Methods are
named as in gensim's KeyedVectors; docs/api.md says where they differ.

    >>> vectors = Vectors(["cat", "lion", "car"], np.array([[2, 0], [3, 1], [0, 1]], np.float32))
    >>> [(word, round(cosine, 2)) for word, cosine in vectors.most_similar("cat")]
    [('lion', 0.95), ('car', 0.0)]
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors import evaluation
from pmc2vec.vectors.evaluation import AnalogySection, WordPairScore
from pmc2vec.vectors.formats import registry, workdir_files
from pmc2vec.vectors.formats.vector_table import (
    Counts,
    Matrix,
    VectorTable,
    first_places,
    row_norms,
)
from pmc2vec.vectors.subwords import Subwords

AnalogyMethod = Literal["3cosadd", "3cosmul"]
Neighbours = list[tuple[str, float]]
Key = str | int
"""A word, or its id."""
WeightedTerm = tuple[Key | NDArray[Any], float]
Term = Key | NDArray[Any] | WeightedTerm
"""A part of a query: a word, its id, or a vector [D]; alone, or in a pair with its weight."""

# Words that an unknown word is compared with, at most: a third of a second.
_MAX_COMPARED_WORDS = 20_000

# `frequency_floor`: tokens of a neighbour, and tokens of a corpus for each of them.
_FLOOR = 50
_TOKENS_FOR_EACH_OF_FLOOR = 70_000

# Scores of which `top_k` first looks at the highest alone.
_BLOCK_SCORES = 256

# Cosines that `most_similar_each` holds at once: 64 MB.
_BATCH_SCORES = 1 << 24


class Vectors:
    """Words with their vectors, most frequent first.

    Where a word is an argument, its id will do. The arrays are read-only.

    Attributes:
        words: V words; the id of a word is its index here. gensim's `index_to_key`.
        matrix: [V, D] float32, a row for each word. gensim's `vectors`.
        counts: [V] int64, tokens of each word in the corpus; None where the file does not say.
        subwords: n-grams, by which a word that was not counted has a vector; None without them.
            `word in vectors` asks whether it was counted, and only counted words are answers.
    """

    def __init__(
        self,
        words: Sequence[str],
        matrix: Matrix,
        counts: Counts | None = None,
        subwords: Subwords | None = None,
    ) -> None:
        if matrix.ndim != 2 or len(words) != len(matrix):
            raise ValueError(f"{len(words)} words do not fit a matrix of shape {matrix.shape}")
        if counts is not None and len(counts) != len(words):
            raise ValueError(f"{len(words)} words do not fit {len(counts)} counts")
        self.words = list(words)
        self.matrix: Matrix = _read_only(matrix)
        self.counts = None if counts is None else _read_only(counts)
        self.subwords = subwords

    @classmethod
    def load(cls, path: str | Path, *, subwords: bool = True) -> Vectors:
        """Returns the vectors in a workdir or a file.

        Args:
            path: a workdir; or a file, whose content says what it is: word2vec's text or binary
                format or GloVe's, which may be compressed (gzip, bzip2, xz, zstd, zip); gensim's
                KeyedVectors; Parquet; a table of numbers with metadata.tsv beside it; NumPy's
                format with words.txt or metadata.tsv beside it (memory-mapped); safetensors with
                words.txt beside it; a model of fastText. docs/formats.md lists them.
            subwords: give words that were not counted vectors too, where there are n-grams.

        Raises:
            UserError: it is not there, is damaged or of another format; names the file.
        """
        table = registry.read_vectors(Path(path))
        return cls(*(table if subwords else table._replace(subwords=None)))

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

    def __getitem__(self, word: Key | Sequence[Key]) -> Matrix:
        """Returns the vector of a word, [D] float32; of a list of n words, [n, D].

        Raises:
            UnknownWordError: a word was not counted, and there are no n-grams of it.
        """
        if isinstance(word, str | int | np.integer):
            if (vector := self._ngram_vector(word)) is not None:
                return vector
            return np.asarray(self.matrix[self.get_index(word)])
        if self.subwords is None or all(entry in self.ids for entry in word):
            return np.asarray(self.matrix[[self.get_index(entry) for entry in word]])
        return np.stack([self[entry] for entry in word])

    @property
    def vector_size(self) -> int:
        """Dimensions of a vector, D."""
        return int(self.matrix.shape[1])

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word to id; the first one, where a file has a word twice."""
        return first_places(self.words)

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
        return _read_only(row_norms(self._table))

    def fill_norms(self, force: bool = False) -> None:
        """Computes `norms`, which are otherwise computed when they are first needed."""
        if force:
            self._forget("norms", "_divisors")
        self.norms  # noqa: B018  # Kept by cached_property.

    def get_index(self, word: Key, default: int | None = None) -> int:
        """Returns the word's id; `default` where it is given and the word is unknown.

        Raises:
            UnknownWordError: it is not in the vocabulary; names words that look like it.
        """
        if not isinstance(word, str) and 0 <= word < len(self):
            return int(word)
        if isinstance(word, str) and word in self.ids:
            return self.ids[word]
        if default is not None:
            return default
        raise UnknownWordError(word, self.suggestions(word) if isinstance(word, str) else ())

    def get_count(self, word: Key) -> int | None:
        """Returns the word's tokens in the corpus; None where these vectors have no counts.

        A word that has a vector by its n-grams alone has 0.
        """
        word_id = -1 if self._ngram_vector(word) is not None else self.get_index(word)
        return None if self.counts is None else int(self.counts[word_id]) if word_id >= 0 else 0

    def frequency_floor(self, words: Sequence[Key]) -> int:
        """Returns how often a word must occur to be worth showing as a neighbour of `words`.

        The vector of a word that was hardly seen is mostly chance, and is near to others by chance.
        So a neighbour occurs 50 times, or 14 times in a million tokens of a small corpus, or as
        often as the rarest word of the query. docs/decisions/0018 has the measurement.

        >>> vectors = Vectors(["a", "b"], np.eye(2, dtype=np.float32), np.array([7_000_000, 9]))
        >>> vectors.frequency_floor(["a"]), vectors.frequency_floor(["a", "b"])
        (50, 9)

        Args:
            words: those of the query; none for a query by vectors alone.

        Returns:
            The floor for `min_count`; 0 where these vectors have no counts.
        """
        if self.counts is None:
            return 0
        word_counts = (self.get_count(word) or 0 for word in words)
        # A word that was not counted says nothing of how often its neighbours should occur.
        rarest = min((count for count in word_counts if count), default=_FLOOR)
        return min(_FLOOR, self._token_count // _TOKENS_FOR_EACH_OF_FLOOR, rarest)

    def get_vector(self, word: Key, norm: bool = False) -> Matrix:
        """Returns the word's vector, [D] float32; of length 1 where `norm`."""
        return self._units([word])[0].astype(np.float32) if norm else self[word]

    def get_mean_vector(
        self,
        words: Sequence[Key | NDArray[Any]],
        weights: Sequence[float] | NDArray[Any] | None = None,
        pre_normalize: bool = True,
        post_normalize: bool = False,
        ignore_missing: bool = True,
    ) -> Matrix:
        """Returns the weighted mean of vectors, [D] float32; zeros where no word is known.

        Args:
            words: words, or vectors [D].
            weights: of each; by default 1. The sum is divided by the sum of their absolute values.
            pre_normalize: take the words' vectors at length 1; vectors are taken as they are.
            post_normalize: return the mean at length 1.
            ignore_missing: leave unknown words out; else they are an error.

        Raises:
            ValueError: there is no word, or not a weight for each.
            UnknownWordError: a word is not in the vocabulary, without `ignore_missing`.
        """
        weights = [1.0] * len(words) if weights is None else list(weights)
        if not len(words) or len(weights) != len(words):
            raise ValueError(f"{len(words)} words and {len(weights)} weights; give one for each")
        total, total_weight = np.zeros(self.vector_size), 0.0
        for word, weight in zip(words, weights, strict=True):
            if not ignore_missing or isinstance(word, np.ndarray) or self.has_vector(word):
                total += weight * self._term_vector(word, normalize=pre_normalize)
                total_weight += abs(weight)
        mean = total / (total_weight or 1.0)
        if post_normalize:
            mean /= np.linalg.norm(mean) or 1.0
        return mean.astype(np.float32)

    def add_vectors(
        self,
        words: str | Sequence[str],
        vectors: Matrix | Sequence[Matrix],
        *,
        replace: bool = False,
    ) -> None:
        """Adds words with their vectors, [n, D], after the others; their counts are 0.

        Args:
            words: n words, or one.
            vectors: of each.
            replace: replace the vectors of words that are there already; else they stay.

        Raises:
            ValueError: not a vector of D numbers for each word.
        """
        words = [words] if isinstance(words, str) else list(words)
        rows = np.asarray(vectors, np.float32).reshape(-1, np.shape(vectors)[-1])
        if rows.shape != (len(words), self.vector_size):
            raise ValueError(
                f"{len(words)} words need [{len(words)}, {self.vector_size}] vectors, "
                f"not {rows.shape}"
            )
        row_of_word = first_places(words)
        additions = [word for word in dict.fromkeys(words) if word not in self.ids]
        matrix = np.concatenate([self.matrix, rows[[row_of_word[word] for word in additions]]])
        if replace:
            for word, row in row_of_word.items():
                if word in self.ids:
                    matrix[self.ids[word]] = rows[row]
        self.words = [*self.words, *additions]
        self.matrix = _read_only(matrix)
        if self.counts is not None:
            self.counts = _read_only(np.append(self.counts, np.zeros(len(additions), np.int64)))
        self._forget("ids", "norms", "_divisors", "_is_lower_case", "_token_count")

    def vectors_for_all(self, words: Iterable[str]) -> Vectors:
        """Returns the vectors of those of `words` that have one, each once; unseen ones count 0."""
        vocabulary = [word for word in dict.fromkeys(words) if self.has_vector(word)]
        if not vocabulary:
            return Vectors([], self.matrix[:0], None if self.counts is None else self.counts[:0])
        counts = None if self.counts is None else np.array(list(map(self.get_count, vocabulary)))
        return Vectors(vocabulary, self[vocabulary], counts, self.subwords)

    def not_counted(self, words: Iterable[Key]) -> list[str]:
        """Returns those of `words` that have a vector by their n-grams alone, each once."""
        return [
            word
            for word in dict.fromkeys(words)
            if isinstance(word, str) and self._ngram_vector(word) is not None
        ]

    def has_vector(self, word: Key) -> bool:
        """Returns whether a word has a vector: it was counted, or there are n-grams of it."""
        return self.get_index(word, -1) >= 0 or self._ngram_vector(word) is not None

    def match_case(self, word: str) -> str:
        """Returns the word in lower case, where the vocabulary is and has it only so; else `word`.

        >>> Vectors(["melanoma"], np.ones((1, 2), np.float32)).match_case("Melanoma")
        'melanoma'
        """
        lower = word.lower()
        if word in self.ids or not (lower in self.ids or self.subwords) or not self._is_lower_case:
            return word
        return lower

    # --- questions -----------------------------------------------------------------------------

    @overload
    def most_similar(
        self,
        positive: Term | Sequence[Term] = ...,
        negative: Term | Sequence[Term] = ...,
        topn: int = ...,
        *,
        restrict_vocab: int | None = ...,
        min_count: int | None = ...,
    ) -> Neighbours: ...

    @overload
    def most_similar(
        self,
        positive: Term | Sequence[Term],
        negative: Term | Sequence[Term] = ...,
        *,
        topn: None,
        restrict_vocab: int | None = ...,
        min_count: int | None = ...,
    ) -> Matrix: ...

    def most_similar(
        self,
        positive: Term | Sequence[Term] = (),
        negative: Term | Sequence[Term] = (),
        topn: int | None = 10,
        *,
        restrict_vocab: int | None = None,
        min_count: int | None = 0,
    ) -> Neighbours | Matrix:
        """Returns the `topn` words of the highest cosine with the query, highest first.

        The query is the sum of the unit vectors of `positive` minus those of `negative`. A vector
        counts as it is. Words of the query are not among the answers.

        Args:
            positive: a word or several; ids, vectors, and pairs such as `("man", -1.7)`, whose
                weight counts in place of 1.
            negative: what is subtracted.
            topn: number of neighbours, at least 1; None returns the cosines of all words, [V].
            restrict_vocab: look only among the first words, so many.
            min_count: look only among words with at least so many tokens in the corpus; None takes
                the `frequency_floor` of the query.

        Raises:
            UnknownWordError: a word is not in the vocabulary.
            UserError: `min_count` is given, and these vectors have no counts.
        """
        plus, minus = self._weighted_terms(positive, negative)
        terms = plus + minus
        query = self._query_vector(terms)
        cosines = self._cosines(query, slice(restrict_vocab))
        return cosines if topn is None else self._top_words(cosines, terms, topn, min_count)

    def most_similar_each(
        self,
        queries: Iterable[Term | Sequence[Term]],
        topn: int = 10,
        *,
        restrict_vocab: int | None = None,
        min_count: int | None = 0,
    ) -> Iterator[Neighbours]:
        """Yields the neighbours of each query, in order: `most_similar` for many queries, faster.

        The queries are answered some at a time, by one product of matrices.

        Args:
            queries: each is what `most_similar` takes as `positive`.
            topn: number of neighbours, at least 1.
            restrict_vocab: look only among the first words, so many.
            min_count: as for `most_similar`.

        Raises:
            UnknownWordError: a word is not in the vocabulary.
            UserError: `min_count` is given, and these vectors have no counts.
        """
        remaining = iter(queries)
        batch_size = max(1, _BATCH_SCORES // max(1, len(self)))
        while batch := [_with_weights(query, 1.0) for query in islice(remaining, batch_size)]:
            rows = np.array([self._query_vector(terms) for terms in batch])
            cosines = self._cosines(rows, slice(restrict_vocab))
            for terms, scores in zip(batch, cosines, strict=True):
                yield self._top_words(scores, terms, topn, min_count)

    def most_similar_cosmul(
        self,
        positive: Key | NDArray[Any] | Sequence[Key | NDArray[Any]] = (),
        negative: Key | NDArray[Any] | Sequence[Key | NDArray[Any]] = (),
        topn: int = 10,
        *,
        restrict_vocab: int | None = None,
        min_count: int = 0,
    ) -> Neighbours:
        """Returns the `topn` words of the highest 3CosMul score (Levy and Goldberg 2014).

        The score is the product of the cosines with `positive`, each moved from [-1, 1] to [0, 1],
        divided by the product for `negative`. Arguments and errors are those of `most_similar`,
        without weights.
        """
        plus, minus = self._weighted_terms(positive, negative)
        # A matmul for each word: one with all the words, a narrow matrix, takes twice as long.
        similarities = [
            (1 + self._cosines(self._term_vector(term), slice(restrict_vocab))) / 2
            for term, _ in plus + minus
        ]
        divisor = np.prod(similarities[len(plus) :], axis=0) if minus else np.float32(1)
        scores = np.asarray(
            np.prod(similarities[: len(plus)], axis=0)
            / (divisor + np.float32(evaluation.COSMUL_EPSILON))
        )
        return self._top_words(scores, plus + minus, topn, min_count)

    def similar_by_word(
        self, word: Key, topn: int = 10, restrict_vocab: int | None = None
    ) -> Neighbours:
        """Returns the neighbours of one word: `most_similar` under gensim's other name."""
        return self.most_similar(word, topn=topn, restrict_vocab=restrict_vocab)

    def similar_by_vector(
        self, vector: Sequence[float] | Matrix, topn: int = 10, restrict_vocab: int | None = None
    ) -> Neighbours:
        """Returns the `topn` words of the highest cosine with a vector, [D]."""
        query = self._term_vector(np.asarray(vector))
        return self._top_words(self._cosines(query, slice(restrict_vocab)), [], topn, 0)

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
        if method == "3cosmul":
            return self.most_similar_cosmul([b, c], [a], topn)
        return self.most_similar([b, c], [a], topn)

    def similarity(self, a: Key, b: Key) -> float:
        """Returns the cosine of two words, -1 to 1."""
        first, second = self._units([a, b])
        return float(first @ second)

    def distance(self, a: Key, b: Key) -> float:
        """Returns 1 minus the cosine of two words, 0 to 2."""
        return 1 - self.similarity(a, b)

    def distances(self, word: Key | NDArray[Any], other_words: Sequence[Key] = ()) -> Matrix:
        """Returns the distance of a word or vector from each of `other_words`, else from all words.

        A distance is 1 minus the cosine, [n] float32; that of a word from itself is 0.
        """
        if other_words:
            units = self._units(other_words)
            cosines = units @ self._term_vector(word)
            if isinstance(word, np.ndarray):
                cosines /= np.linalg.norm(word) or 1.0
            return np.asarray(1 - cosines, np.float32)
        return np.asarray(1 - self._cosines(self._term_vector(word), slice(None)))

    def closer_than(self, a: Key, b: Key) -> list[str]:
        """Returns the words that are nearer to `a` than `b` is, most frequent first."""
        distances, own_id = self.distances(a), self.get_index(a, -1)
        place = self.get_index(b, -1)
        limit = distances[place] if place >= 0 else self.distance(a, b)
        nearer = np.flatnonzero(distances < limit).tolist()
        return [self.words[word_id] for word_id in nearer if word_id != own_id]

    def rank(self, a: Key, b: Key) -> int:
        """Returns the place of `b` among the neighbours of `a`; 1 is the nearest."""
        return len(self.closer_than(a, b)) + 1

    def most_similar_to_given(self, word: Key, words: Sequence[str]) -> str:
        """Returns that of `words` which is nearest to `word`."""
        return max(words, key=lambda other: self.similarity(word, other))

    def relative_cosine_similarity(self, a: Key, b: Key, topn: int = 10) -> float:
        """Returns the cosine of two words over the sum of those of a's `topn` neighbours.

        Above 1 / topn the words are nearer than the neighbours of `a` are on average: more likely
        synonyms (Leeuwenberg et al. 2016).
        """
        neighbours = self.most_similar(a, topn=topn)
        return self.similarity(a, b) / sum(cosine for _, cosine in neighbours)

    def n_similarity(self, a: Sequence[Key], b: Sequence[Key]) -> float:
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
        units = self._units(words)  # [n, D]
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
        unseen: bool = False,
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
            unseen: take words that were not counted by their n-grams; they then count as covered.
        """
        return evaluation.evaluate_word_pairs(
            self.matrix,
            evaluation.read_pairs(Path(pairs)) if isinstance(pairs, str | Path) else pairs,
            vocabulary=evaluation.evaluation_vocabulary(
                self.words[:restrict_vocab], case_insensitive=case_insensitive
            ),
            dummy4unknown=dummy4unknown,
            phrases=phrases,
            unseen=self._unseen_vector if unseen else lambda _: None,
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
        return VectorTable(self.words, self.matrix, self.counts, self.subwords)

    @cached_property
    def _divisors(self) -> Matrix:
        return evaluation.divisors(self.norms)

    @cached_property
    def _token_count(self) -> int:
        return 0 if self.counts is None else int(self.counts.sum())

    @cached_property
    def _is_lower_case(self) -> bool:
        return all(word == word.lower() for word in self.words)

    def _forget(self, *names: str) -> None:
        """Drops cached properties, which are computed again when they are needed."""
        for name in names:
            self.__dict__.pop(name, None)

    def _weighted_terms(
        self, positive: Term | Sequence[Term], negative: Term | Sequence[Term]
    ) -> tuple[list[WeightedTerm], list[WeightedTerm]]:
        """Returns what is added and what is subtracted, each with its weight."""
        if isinstance(negative, int):
            raise TypeError(f"negative words come second, as in gensim; write topn={negative}")
        plus = _with_weights(positive, 1.0)
        minus = _with_weights(negative, -1.0)
        if not plus and not minus:
            raise ValueError("no word is given; name one or several")
        return plus, minus

    def _term_vector(
        self, term: Key | NDArray[Any], *, normalize: bool = True
    ) -> NDArray[np.float64]:
        """Returns a vector as it is, and that of a word, of length 1 where `normalize`; [D]."""
        if not isinstance(term, np.ndarray):
            return np.asarray(self._units([term])[0] if normalize else self[term], np.float64)
        if term.shape != (self.vector_size,):
            raise ValueError(f"a vector of shape {term.shape}, not ({self.vector_size},)")
        return term.astype(np.float64)

    def _units(self, words: Sequence[Key]) -> NDArray[np.float64]:
        """Returns the vectors of words, of length 1, [n, D]."""
        units = np.empty((len(words), self.vector_size))
        for place, word in enumerate(words):
            if (vector := self._ngram_vector(word)) is None:
                word_id = self.get_index(word)
                units[place] = self.matrix[word_id].astype(np.float64) / self._divisors[word_id]
            else:
                units[place] = vector.astype(np.float64) / (np.linalg.norm(vector) or 1.0)
        return units

    def _unseen_vector(self, word: str) -> Matrix | None:
        return self._ngram_vector(self.match_case(word))

    def _ngram_vector(self, word: Key) -> Matrix | None:
        """Returns the vector of a word that was not counted, [D]; None without n-grams of it."""
        if self.subwords is None or not isinstance(word, str) or word in self.ids:
            return None
        if not self.subwords.count_ngrams(word):
            return None
        return np.asarray(self.subwords.vectors([word])[0])

    def _query_vector(self, terms: Sequence[WeightedTerm]) -> NDArray[np.float64]:
        """Returns the weighted sum of the terms, [D]."""
        rows = np.array([self._term_vector(term) for term, _ in terms])
        return np.asarray(np.array([weight for _, weight in terms]) @ rows)

    def _cosines(self, queries: NDArray[np.float64], rows: slice | list[int]) -> Matrix:
        """Returns the cosines of words with a query, [D] -> [n], or with several, [Q, D] -> [Q, n].

        Args:
            queries: not brought to length one.
            rows: ids of the n words.
        """
        lengths = np.linalg.norm(queries, axis=-1, keepdims=True)
        units = (queries / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        cosines: Matrix = units @ np.asarray(self.matrix)[rows].T
        cosines /= self._divisors[rows]
        return cosines

    def _top_words(
        self,
        scores: Matrix,
        terms: Sequence[WeightedTerm],
        topn: int,
        min_count: int | None,
    ) -> Neighbours:
        """Returns the `topn` words of the highest scores, equal ones by id; changes `scores`."""
        words = [term for term, _ in terms if not isinstance(term, np.ndarray)]
        query_ids = [word_id for word in words if (word_id := self.get_index(word, -1)) >= 0]
        if min_count is None:
            min_count = self.frequency_floor(query_ids)
        scores[[word_id for word_id in query_ids if word_id < len(scores)]] = -np.inf
        if min_count:
            if self.counts is None:
                raise UserError("these vectors have no counts; leave --min_count out")
            scores[self.counts[: len(scores)] < min_count] = -np.inf
        return [(self.words[word_id], float(scores[word_id])) for word_id in top_k(scores, topn)]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _with_weights(terms: Any, weight: float) -> list[WeightedTerm]:
    """Returns each of the terms, of which there may be one alone, with its weight or `weight`."""
    if isinstance(terms, str | int | np.integer) or getattr(terms, "ndim", 0) == 1:
        terms = [terms]
    return [
        (term[0], float(term[1])) if isinstance(term, tuple) else (term, weight) for term in terms
    ]


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
    candidates = np.flatnonzero(scores >= _lower_bound(scores, count))
    return candidates[np.lexsort((candidates, -scores[candidates]))][:count]


def _lower_bound(scores: NDArray[np.floating], count: int) -> np.floating:
    """Returns a number that at least `count` of the scores reach, and few others.

    The maxima of blocks give one much faster than a partition of all scores.
    """
    blocks = len(scores) // _BLOCK_SCORES
    if blocks > count:
        maxima = scores[: blocks * _BLOCK_SCORES].reshape(blocks, _BLOCK_SCORES).max(axis=1)
        bound: np.floating = np.partition(maxima, blocks - count)[blocks - count]
        if bound > -np.inf:
            return bound
    lowest: np.floating = np.partition(scores, len(scores) - count)[len(scores) - count]
    return lowest


# --- unknown words -----------------------------------------------------------------------------


class UnknownWordError(UserError, KeyError):
    """A word that the vocabulary lacks; the message names words that look like it.

    >>> print(UnknownWordError("fathr", ["father"]))
    'fathr' is not in the vocabulary; did you mean father?
    """

    def __init__(self, word: Key, suggestions: Sequence[str]) -> None:
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
