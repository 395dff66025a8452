"""fastText's subwords: a word's vector is the mean of its own row and the rows of its n-grams.

An n-gram is `min_n` to `max_n` characters of `<word>`. Its hash says in which of `bucket` buckets
it is, and n-grams that share a bucket share a row (Bojanowski et al. 2017). fastText allocates a
row for each bucket. Here only buckets that occur in a vocabulary have one, and a bucket without a
row counts as a row of zeros.

    >>> ngrams = Ngrams(min_n=3, max_n=6, bucket=2_000_000)
    >>> index = index_words(["ab", "abc"], ngrams)
    >>> index.starts.tolist(), index.rows.tolist()
    ([0, 4, 11], [0, 3, 9, 6, 1, 3, 7, 5, 8, 4, 2])

Word 0 has row 0 and the rows of `<ab`, `ab>` and `<ab>`; word 1 has `<ab` in common with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

END_OF_SENTENCE = "</s>"
"""The one word that has no n-grams in fastText."""

_HASH_START, _HASH_FACTOR = np.uint32(2166136261), np.uint32(16777619)  # FNV-1a
_INDEX_WORDS = 1 << 15  # Words whose n-grams are hashed at once: some 100 MB.
_COMPOSE_WORDS = 1024  # Words of 30 n-grams and 300 dimensions are 37 MB of rows.


class Ngrams(NamedTuple):
    """Which n-grams a word has, and in how many buckets they are; named as in fastText.

    Attributes:
        min_n: characters of the shortest n-grams, `<` and `>` around the word included.
        max_n: characters of the longest; below `min_n` a word has no n-grams.
        bucket: how many buckets there are.
    """

    min_n: int
    max_n: int
    bucket: int


class WordIndex(NamedTuple):
    """The rows of each word of a vocabulary of V words, in a table of R rows.

    Attributes:
        starts: [V + 1] int64; word i has rows[starts[i]:starts[i + 1]], its own row i first.
        rows: int32.
        buckets: [R - V] int32, ascending: row V + i is that of buckets[i].
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    buckets: NDArray[np.int32]

    @property
    def table_size(self) -> int:
        """Rows of the table, R."""
        return len(self.starts) - 1 + len(self.buckets)


def index_words(words: Sequence[str], ngrams: Ngrams) -> WordIndex:
    """Returns the rows of each word; only buckets that occur get a row.

    A word that has a bucket twice has its row twice, as in fastText.
    """
    counts = np.ones(len(words), np.int64)
    chunks = []
    for begin in range(0, len(words), _INDEX_WORDS):
        places, buckets = hash_ngrams(words[begin : begin + _INDEX_WORDS], ngrams)
        order = np.argsort(places, kind="stable")
        counts[begin : begin + _INDEX_WORDS] += np.bincount(
            places, minlength=len(counts[begin : begin + _INDEX_WORDS])
        )
        chunks.append(buckets[order].astype(np.int32))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    all_buckets = np.concatenate([np.empty(0, np.int32), *chunks])
    occurs = np.zeros(ngrams.bucket, np.bool_)
    occurs[all_buckets] = True
    row_of_bucket = len(words) - 1 + np.cumsum(occurs, dtype=np.int32)
    rows = np.empty(starts[-1], np.int32)
    is_own = np.zeros(len(rows), np.bool_)
    is_own[starts[:-1]] = True
    rows[is_own] = np.arange(len(words))
    rows[~is_own] = row_of_bucket[all_buckets]
    return WordIndex(starts, rows, np.flatnonzero(occurs).astype(np.int32))


def compose_words(index: WordIndex, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the mean of each word's rows, [V, D] float32, from a table [R, D]."""
    vectors = np.empty((len(index.starts) - 1, table.shape[1]), np.float32)
    for begin in range(0, len(vectors), _COMPOSE_WORDS):
        end = min(begin + _COMPOSE_WORDS, len(vectors))
        starts = index.starts[begin : end + 1]
        rows = table[index.rows[starts[0] : starts[-1]]]
        sums = np.add.reduceat(rows, starts[:-1] - starts[0], axis=0)
        vectors[begin:end] = sums / np.diff(starts)[:, None].astype(np.float32)
    return vectors


class Subwords(NamedTuple):
    """The n-grams of published vectors, by which a word that was not counted gets a vector.

    Attributes:
        ngrams: lengths, and number of buckets.
        matrix: [R, D] float32, rows of buckets; it may be memory-mapped.
        buckets: [R] int32, ascending, the bucket of each row; None where row i is bucket i.
    """

    ngrams: Ngrams
    matrix: NDArray[np.float32]
    buckets: NDArray[np.int32] | None = None

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Returns the mean of the rows of each word's n-grams, [n, D] float32.

        These are the vectors that fastText has for words outside its vocabulary. A word without
        n-grams, such as the empty one, has zeros.
        """
        vectors = np.zeros((len(words), self.matrix.shape[1]), np.float32)
        for begin in range(0, len(words), _COMPOSE_WORDS):
            chunk = list(words[begin : begin + _COMPOSE_WORDS])
            places, rows = self._rows(chunk)
            counts = np.bincount(places, minlength=len(chunk))
            order = np.argsort(places, kind="stable")
            places, rows = places[order], rows[order]
            gathered = np.asarray(self.matrix[np.maximum(rows, 0)])
            gathered[rows < 0] = 0
            composed = np.flatnonzero(counts)
            if len(composed):
                starts = (np.cumsum(counts) - counts)[composed]
                sums = np.add.reduceat(gathered, starts, axis=0)
                vectors[begin + composed] = sums / counts[composed, None].astype(np.float32)
        return vectors

    def own_rows(
        self, words: Sequence[str], vectors: NDArray[np.float32]
    ) -> Iterator[NDArray[np.float32]]:
        """Yields rows of words, some at a time, whose means with their n-grams are these vectors.

        So a program that composes vectors as fastText does gets the same.

        Args:
            words: V words.
            vectors: [V, D] float32.
        """
        for begin in range(0, len(words), _COMPOSE_WORDS):
            chunk = list(words[begin : begin + _COMPOSE_WORDS])
            places, _ = self._rows(chunk)
            counts = np.bincount(places, minlength=len(chunk))[:, None]
            target_sums = (counts + 1.0) * vectors[begin : begin + _COMPOSE_WORDS]
            yield (target_sums - counts * self.vectors(chunk).astype(np.float64)).astype(np.float32)

    def count_ngrams(self, word: str) -> int:
        """Returns how many of a word's n-grams have a row."""
        return int(np.count_nonzero(self._rows([word])[1] >= 0))

    def _rows(self, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the n-grams of words as (place of the word, row), -1 where there is no row."""
        places, buckets = hash_ngrams(words, self.ngrams)
        if self.buckets is None:
            return places, buckets
        rows = np.searchsorted(self.buckets, buckets)
        rows[rows == len(self.buckets)] = 0
        has_row = len(self.buckets) > 0 and self.buckets[rows] == buckets
        return places, np.where(has_row, rows, -1)


def hash_ngrams(
    words: Sequence[str], ngrams: Ngrams
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the n-grams of words as (place of the word, bucket), both [N] int64.

    `<` and `>` alone are no n-grams. The bucket of an n-gram is FNV-1a of its UTF-8 bytes, of which
    fastText takes those above 127 as negative numbers (`Dictionary::hash` in dictionary.cc).

    >>> hash_ngrams(["ab"], Ngrams(3, 6, 2_000_000))[0].size  # <ab, ab> and <ab>
    3

    Args:
        words: the words; `</s>` has no n-grams.
        ngrams: their lengths, and how many buckets there are.
    """
    # The bytes of all words one after the other, and of each byte: whose it is, and whether a
    # character begins with it.
    padded = [b"" if word == END_OF_SENTENCE else f"<{word}>".encode() for word in words]
    data = np.frombuffer(b"".join(padded), np.uint8)
    sizes = np.array([len(word) for word in padded], np.int64)
    ends = np.cumsum(sizes)
    place_of_byte = np.repeat(np.arange(len(words)), sizes)
    begins_character = (data & 0xC0) != 0x80
    signed = data.view(np.int8).astype(np.int32).view(np.uint32)

    start = np.flatnonzero(begins_character)
    places = place_of_byte[start]
    at, end = start.copy(), ends[places]
    is_first = start == end - sizes[places]
    hashes = np.full(len(start), _HASH_START)
    none = np.empty(0, np.int64)
    parts = [(none, none)]
    for n in range(1, ngrams.max_n + 1 if ngrams.bucket else 1):
        is_inside = at < end
        places, at, end, is_first = (values[is_inside] for values in (places, at, end, is_first))
        hashes, at = _hash_character(hashes[is_inside], at, end, signed, begins_character)
        if n < ngrams.min_n:
            continue
        is_ngram = ~(is_first | (at == end)) if n == 1 else np.full(len(at), True)
        parts.append((places[is_ngram], hashes[is_ngram].astype(np.int64) % ngrams.bucket))
    ngram_places, buckets = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return ngram_places, buckets


def _hash_character(
    hashes: NDArray[np.uint32],
    at: NDArray[np.int64],
    end: NDArray[np.int64],
    signed: NDArray[np.uint32],
    begins_character: NDArray[np.bool_],
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Returns the hashes with the character at each place added, and the place after it."""
    hashes = (hashes ^ signed[at]) * _HASH_FACTOR
    at = at + 1
    while True:  # The other bytes of the character, at most three.
        goes_on = np.flatnonzero(at < end)
        goes_on = goes_on[~begins_character[at[goes_on]]]
        if not len(goes_on):
            return hashes, at
        hashes[goes_on] = (hashes[goes_on] ^ signed[at[goes_on]]) * _HASH_FACTOR
        at[goes_on] += 1


def bucket_chunks(subwords: Subwords, rows: int) -> Iterator[NDArray[np.float32]]:
    """Yields the rows of all buckets, [bucket, D], so many at a time; zeros where there is none."""
    bucket, size = subwords.ngrams.bucket, subwords.matrix.shape[1]
    for begin in range(0, bucket, rows):
        end = min(begin + rows, bucket)
        if subwords.buckets is None:
            yield np.asarray(subwords.matrix[begin:end])
            continue
        first, last = np.searchsorted(subwords.buckets, [begin, end])
        chunk = np.zeros((end - begin, size), np.float32)
        chunk[subwords.buckets[first:last] - begin] = subwords.matrix[first:last]
        yield chunk
