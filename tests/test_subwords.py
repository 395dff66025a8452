"""pmc2vec.vectors.subwords: n-grams and their rows are those of fastText."""

import numpy as np

from pmc2vec.vectors.subwords import (
    Ngrams,
    Subwords,
    bucket_chunks,
    compose_words,
    hash_ngrams,
    index_words,
)

NGRAMS = Ngrams(3, 6, 2_000_000)
WORDS = ["insulin", "β-catenin", "a", "α", "मधुमेह", "il-2", "日本", "e\u0301", "", "x" * 120, "</s>"]


def fnv1a(ngram: bytes) -> int:
    """FNV-1a of signed bytes, as `Dictionary::hash` of fastText has it."""
    value = 2166136261
    for byte in ngram:
        value = ((value ^ (byte - 256 if byte > 127 else byte)) * 16777619) % 2**32
    return value


def rows_by_definition(word, ngrams):
    """The buckets of a word, one by one."""
    if word == "</s>":
        return []
    text = f"<{word}>"
    return sorted(
        fnv1a(text[begin : begin + n].encode()) % ngrams.bucket
        for n in range(ngrams.min_n, ngrams.max_n + 1)
        for begin in range(len(text) - n + 1)
        if n > 1 or 0 < begin < len(text) - 1
    )


def test_ngrams_and_their_buckets_are_those_of_the_definition():
    for ngrams in (NGRAMS, Ngrams(1, 2, 1000), Ngrams(4, 4, 7), Ngrams(3, 2, 1000)):
        places, buckets = hash_ngrams(WORDS, ngrams)
        for place, word in enumerate(WORDS):
            assert sorted(buckets[places == place].tolist()) == rows_by_definition(word, ngrams)


def test_buckets_are_those_of_fasttext():
    # `get_subword_id` of fastText 0.9.2 with 2,000,000 buckets, less the number of words.
    assert hash_ngrams(["ab", "α"], NGRAMS)[1].tolist() == [209508, 1241756, 579212, 621742]
    assert 1596397 in hash_ngrams(["β-catenin"], NGRAMS)[1]  # β-c
    assert 1807856 in hash_ngrams(["मधुमेह"], NGRAMS)[1]  # मधु


def test_only_buckets_that_occur_have_a_row():
    ngrams = Ngrams(3, 4, 50)
    index = index_words(WORDS, ngrams)
    occurring = sorted({bucket for word in WORDS for bucket in rows_by_definition(word, ngrams)})
    assert index.buckets.tolist() == occurring
    assert index.table_size == len(WORDS) + len(occurring)
    for place, word in enumerate(WORDS):
        own, *rows = index.rows[index.starts[place] : index.starts[place + 1]].tolist()
        assert own == place
        buckets = [occurring[row - len(WORDS)] for row in rows]
        assert sorted(buckets) == rows_by_definition(word, ngrams)


def test_a_vocabulary_of_many_chunks_has_the_same_rows(monkeypatch):
    whole = index_words(WORDS, NGRAMS)
    monkeypatch.setattr("pmc2vec.vectors.subwords._INDEX_WORDS", 3)
    for ours, expected in zip(index_words(WORDS, NGRAMS), whole, strict=True):
        assert np.array_equal(ours, expected)


def test_a_word_is_the_mean_of_its_rows(monkeypatch):
    monkeypatch.setattr("pmc2vec.vectors.subwords._COMPOSE_WORDS", 4)
    index = index_words(WORDS, NGRAMS)
    table = np.random.default_rng(1).normal(size=(index.table_size, 3)).astype(np.float32)
    vectors = compose_words(index, table)
    for place in range(len(WORDS)):
        rows = index.rows[index.starts[place] : index.starts[place + 1]]
        np.testing.assert_allclose(vectors[place], table[rows].mean(0), rtol=1e-5, atol=1e-6)


def test_an_unseen_word_is_the_mean_of_its_ngrams_and_absent_ones_are_zero(monkeypatch):
    monkeypatch.setattr("pmc2vec.vectors.subwords._COMPOSE_WORDS", 2)
    matrix = np.float32([[1, 0], [0, 8]])
    buckets = np.sort([fnv1a(b"<ab") % 2_000_000, fnv1a(b"abc") % 2_000_000]).astype(np.int32)
    subwords = Subwords(NGRAMS, matrix, buckets)
    # <abc> has <ab abc bc> <abc abc> <abc>: six n-grams, two of which have a row.
    vectors = subwords.vectors(["abc", "", "</s>", "xyz", "abc"])
    assert vectors.sum(1).tolist() == [1.5, 0, 0, 0, 1.5]
    assert [subwords.count_ngrams(word) for word in ("abc", "ab", "", "xyz")] == [2, 1, 0, 0]
    whole = np.concatenate(list(bucket_chunks(subwords, 300_000)))
    assert whole.shape == (2_000_000, 2)
    assert np.array_equal(whole[buckets], matrix)
    assert np.count_nonzero(whole) == 2
    assert np.array_equal(Subwords(NGRAMS, whole).vectors(["abc", "xyz"]), vectors[[0, 3]])
