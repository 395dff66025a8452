"""Vectors with n-grams: asked for words that nobody counted, written, and read back."""

import numpy as np
import pytest
from gensim.models.fasttext import load_facebook_model, load_facebook_vectors

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.registry import export_vectors, read_vectors
from pmc2vec.vectors.formats.subword_file import SUBWORDS_FILE
from pmc2vec.vectors.formats.vector_table import VectorTable
from pmc2vec.vectors.keyed_vectors import UnknownWordError, Vectors
from pmc2vec.vectors.subwords import Ngrams, Subwords, index_words

WORDS = ["insulin", "β-catenin", "a", "α", "मधुमेह", "il-2", "日本", "e\u0301", "x" * 120]
UNSEEN = ["insulins", "β-catenins", "pro-insulin", "x" * 130, "α1", "日本語", "il-23", "q", "</s>"]
NGRAMS = Ngrams(3, 6, 5000)


@pytest.fixture
def table():
    rng, buckets = np.random.default_rng(1), index_words(WORDS, NGRAMS).buckets
    rows = rng.normal(size=(len(buckets), 7)).astype(np.float32)
    counts = np.arange(len(WORDS), 0, -1)
    matrix = rng.normal(size=(len(WORDS), 7)).astype(np.float32)
    return VectorTable(WORDS, matrix, counts, Subwords(NGRAMS, rows, buckets))


@pytest.mark.parametrize(
    ("name", "file"),
    [("tsv", ""), ("numpy", "vectors.npy"), ("safetensors", "vectors.safetensors"),
     ("fasttext_binary", "model.bin")],
)  # fmt: skip
def test_unseen_words_have_the_same_vectors_after_a_round_trip(tmp_path, table, name, file):
    list(export_vectors(tmp_path, table, [name]))
    vectors = Vectors.load(tmp_path / file)
    assert vectors.words == WORDS
    np.testing.assert_allclose(vectors.matrix, table.matrix, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        vectors.subwords.vectors(UNSEEN), table.subwords.vectors(UNSEEN), rtol=1e-5, atol=1e-6
    )
    assert Vectors.load(tmp_path / file, subwords=False).subwords is None


def test_gensim_reads_a_model_with_the_same_vectors(tmp_path, table):
    ((paths, _),) = export_vectors(tmp_path, table, ["fasttext_binary"])
    assert [path.name for path in paths] == ["model.bin"]
    theirs = load_facebook_vectors(str(paths[0]))
    assert theirs.index_to_key == WORDS
    np.testing.assert_allclose(theirs.vectors, table.matrix, rtol=1e-4, atol=1e-5)
    for word in UNSEEN[:-1]:  # gensim has n-grams of </s>.
        expected = table.subwords.vectors([word])[0]
        np.testing.assert_allclose(theirs[word], expected, rtol=1e-4, atol=1e-5)
    assert load_facebook_model(str(paths[0])).wv.vector_size == 7


def test_a_model_without_ngrams_is_one_for_gensim(tmp_path, table):
    ((paths, _),) = export_vectors(tmp_path, table._replace(subwords=None), ["fasttext_binary"])
    theirs, ours = load_facebook_vectors(str(paths[0])), read_vectors(paths[0])
    assert ours.subwords is None
    for matrix in (theirs.vectors, ours.matrix):
        np.testing.assert_allclose(matrix, table.matrix, rtol=1e-5)


def test_an_unseen_word_is_asked_like_any_other(table):
    vectors = Vectors(*table)
    assert "insulins" not in vectors
    assert vectors.has_vector("insulins")
    assert np.array_equal(vectors["insulins"], table.subwords.vectors(["insulins"])[0])
    assert vectors[["insulins", "a"]].shape == (2, 7)
    assert vectors.get_count("insulins") == 0
    nearest = vectors.most_similar("insulins", topn=3)
    assert nearest[0][1] == pytest.approx(vectors.similarity("insulins", nearest[0][0]))
    assert {word for word, _ in nearest} < set(WORDS)
    assert vectors.distance("insulins", "insulins") == pytest.approx(0, abs=1e-6)
    assert vectors.rank("insulins", nearest[0][0]) == 1
    assert len(vectors.analogy("insulin", "insulins", "a", 2)) == 2
    assert vectors.doesnt_match(["insulins", "insulin", "日本"]) in {"insulins", "insulin", "日本"}
    assert vectors.vectors_for_all(["insulins", "q", "a"]).words == ["insulins", "a"]


@pytest.mark.parametrize("word", ["q", "", "</s>"])
def test_a_word_without_ngrams_of_the_vocabulary_is_unknown(table, word):
    vectors = Vectors(*table)
    assert not vectors.has_vector(word)
    with pytest.raises(UnknownWordError):
        vectors[word]
    with pytest.raises(UnknownWordError):
        vectors.most_similar(word)


def test_an_export_without_ngrams_removes_those_of_other_vectors(tmp_path, table):
    list(export_vectors(tmp_path, table, ["numpy"]))
    assert (tmp_path / SUBWORDS_FILE).is_file()
    list(export_vectors(tmp_path, table._replace(subwords=None), ["numpy"]))
    assert not (tmp_path / SUBWORDS_FILE).is_file()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:40],
        lambda data: data[:-4],
        lambda data: data.replace(b'bucket": "5000', b'bucket": "0005'),
        lambda data: data.replace(b"[0, ", b"[9, "),
    ],
)
def test_damaged_ngrams_are_named(tmp_path, table, damage):
    list(export_vectors(tmp_path, table, ["numpy"]))
    path = tmp_path / SUBWORDS_FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=SUBWORDS_FILE):
        read_vectors(tmp_path / "vectors.npy")
