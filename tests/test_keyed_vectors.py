"""Vectors: neighbours, analogies, suggestions, agreement with people."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pmc2vec.errors import UserError
from pmc2vec.vectors import keyed_vectors
from pmc2vec.vectors.keyed_vectors import UnknownWordError, Vectors, top_k


@pytest.fixture
def family() -> Vectors:
    """man, woman, father, mother on two axes: sex and parenthood; and a word of another kind."""
    return Vectors(
        ["man", "woman", "father", "mother", "table"],
        np.array(
            [[1, 0, 0], [-1, 0, 0], [1, 1, 0], [-1, 1, 0], [0, 0.1, 5]],
            np.float32,
        ),
        np.array([50, 40, 30, 20, 10]),
    )


# --- questions ---------------------------------------------------------------------------------


def test_a_number_in_the_place_of_negative_words_is_told(family):
    with pytest.raises(TypeError, match="topn=5"):
        family.most_similar("man", 5)


def test_neighbours_are_ordered_by_cosine_and_leave_out_the_word_itself(family):
    near = family.most_similar("father", topn=3)
    assert [word for word, _ in near] == ["man", "table", "mother"]
    assert [cosine for _, cosine in near] == pytest.approx([0.7071068, 0.0141393, 0.0], abs=1e-6)


def test_equal_cosines_are_ordered_by_id():
    vectors = Vectors(list("abcdef"), np.ones((6, 2), np.float32))
    assert [word for word, _ in vectors.most_similar("c", topn=4)] == ["a", "b", "d", "e"]


def test_length_of_a_vector_does_not_matter(family):
    scaled = Vectors(family.words, family.matrix * np.float32([[9], [2], [0.1], [3], [7]]))
    assert scaled.most_similar("man") == [
        (word, pytest.approx(cosine, abs=1e-6)) for word, cosine in family.most_similar("man")
    ]


def test_neighbours_of_several_words_are_those_of_their_mean(family):
    near = family.most_similar(["father", "mother"], topn=5)
    assert [word for word, _ in near] == ["table", "man", "woman"]
    assert [cosine for _, cosine in near] == pytest.approx([0.019996, 0.0, 0.0], abs=1e-6)


def test_topn_beyond_the_vocabulary_gives_all_other_words(family):
    assert len(family.most_similar("man", topn=1000)) == 4
    assert Vectors(["only"], np.ones((1, 2), np.float32)).most_similar("only") == []


def test_equal_cosines_at_the_end_of_the_list_are_chosen_by_id_too():
    matrix = np.zeros((5000, 2), np.float32)
    matrix[:, 0] = 1
    matrix[4321] = [0, 1]
    vectors = Vectors([f"w{number}" for number in range(5000)], matrix)
    assert [word for word, _ in vectors.most_similar("w7", topn=3)] == ["w0", "w1", "w2"]
    assert [word for word, _ in vectors.most_similar("w4321", topn=2)] == ["w0", "w1"]


def test_min_count_leaves_out_rare_neighbours(family):
    near = family.most_similar("father", topn=5, min_count=20)
    assert [word for word, _ in near] == ["man", "mother", "woman"]
    assert family.most_similar("father", min_count=51) == []


def test_min_count_needs_counts(family):
    bare = Vectors(family.words, family.matrix)
    with pytest.raises(UserError, match="have no counts"):
        bare.most_similar("man", min_count=1)


def test_restrict_vocab_looks_among_the_first_words_only(family):
    assert [word for word, _ in family.most_similar("table", restrict_vocab=2)] == ["man", "woman"]
    assert family.most_similar("man", restrict_vocab=1) == []


def test_neighbours_of_a_vector_include_the_word_itself(family):
    assert family.similar_by_vector([2, 2, 0], topn=1) == [("father", pytest.approx(1.0))]
    with pytest.raises(ValueError, match=r"shape \(2,\), not \(3,\)"):
        family.similar_by_vector([1, 2])
    assert family.similar_by_word("father", 2) == family.most_similar("father", topn=2)


@given(
    matrix=arrays(np.float32, (30, 4), elements=st.integers(-5, 5).map(float)),
    query=st.integers(0, 29),
    topn=st.integers(1, 40),
)
def test_neighbours_equal_a_full_sort(matrix, query, topn):
    words = [f"w{number}" for number in range(30)]
    unit = matrix.astype(float) / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    expected = np.sort(np.delete(unit @ unit[query], query))[::-1][:topn]
    near = Vectors(words, matrix).most_similar(words[query], topn=topn)
    assert [cosine for _, cosine in near] == pytest.approx(expected.tolist(), abs=1e-5)
    assert words[query] not in dict(near)


def test_a_zero_vector_has_cosine_zero_with_everything():
    vectors = Vectors(["zero", "a", "b"], np.array([[0, 0], [1, 0], [-1, 0]], np.float32))
    assert vectors.most_similar("zero") == [("a", 0.0), ("b", 0.0)]
    assert vectors.most_similar("a") == [("zero", 0.0), ("b", -1.0)]
    assert vectors.similarity("zero", "a") == 0.0


def test_analogy_is_answered_by_difference_and_sum(family):
    assert family.analogy("man", "woman", "father", topn=1)[0][0] == "mother"
    assert family.analogy("woman", "man", "mother", topn=1)[0][0] == "father"
    plain = family.most_similar(["woman", "father"], negative=["man"])
    assert family.analogy("man", "woman", "father") == plain


def test_similarity_is_the_cosine(family):
    assert family.similarity("man", "father") == pytest.approx(0.70710678)
    assert family.similarity("man", "woman") == -1.0
    assert family.similarity("man", "man") == 1.0


def test_the_word_that_does_not_match_is_farthest_from_the_mean(family):
    assert family.doesnt_match(["man", "father", "table"]) == "table"
    assert family.doesnt_match(["woman", "mother", "man"]) == "man"


def test_vectors_behave_like_a_mapping_from_words(family):
    assert len(family) == 5
    assert family.vector_size == 3
    assert "man" in family
    assert "boy" not in family
    assert 3 not in family
    assert family["father"].tolist() == [1.0, 1.0, 0.0]
    assert family["father"].dtype == np.float32
    assert family[["man", "woman"]].tolist() == [[1, 0, 0], [-1, 0, 0]]
    assert family.index_to_key == ["man", "woman", "father", "mother", "table"]
    assert family.key_to_index == {"man": 0, "woman": 1, "father": 2, "mother": 3, "table": 4}
    assert family.vectors is family.matrix
    assert family.get_index("mother") == 3
    assert family.get_vector("father", norm=True).tolist() == pytest.approx([2**-0.5, 2**-0.5, 0])


def test_products_of_cosines_answer_too(family):
    # (1 + 1/sqrt 2)/2 = 0.854, (1 - 1/sqrt 2)/2 = 0.146; mother: 0.854 * 0.5 / (0.146 + 1e-6).
    (best, score), *_ = family.most_similar_cosmul(["woman", "father"], negative=["man"])
    assert (best, score) == ("mother", pytest.approx(2.9142, abs=1e-3))
    assert family.analogy("man", "woman", "father", 1, method="3cosmul")[0][0] == "mother"
    assert family.most_similar_cosmul("father", topn=1) == [("man", pytest.approx(0.853553))]


def test_distance_and_means_of_lists(family):
    assert family.distance("man", "woman") == 2.0
    assert family.n_similarity(["man", "woman"], ["table"]) == 0.0
    assert family.n_similarity(["father", "mother"], ["table"]) == pytest.approx(0.019996)
    with pytest.raises(ValueError, match="is empty"):
        family.n_similarity([], ["man"])


def test_words_are_ranked_by_their_cosine_to_the_mean(family):
    ranked = family.rank_by_centrality(["table", "man", "father"])
    assert [word for _, word in ranked] == ["father", "man", "table"]
    assert ranked[0][0] == pytest.approx(0.8166, abs=1e-4)


def test_saved_vectors_are_loaded_again(family, tmp_path):
    family.save(tmp_path)
    again = Vectors.load(tmp_path)
    assert (again.words, again.counts.tolist()) == (family.words, family.counts.tolist())
    np.testing.assert_array_equal(again.matrix, family.matrix)


def test_words_matrix_and_counts_must_fit():
    with pytest.raises(ValueError, match="2 words do not fit"):
        Vectors(["a", "b"], np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="1 counts"):
        Vectors(["a", "b"], np.zeros((2, 2), np.float32), np.array([1]))


@pytest.mark.parametrize("topn", [0, -1])
def test_a_topn_below_one_is_refused(family, topn):
    with pytest.raises(ValueError, match="at least 1"):
        family.most_similar("man", topn=topn)


def test_neighbours_of_nothing_are_refused(family):
    with pytest.raises(ValueError, match="no word is given"):
        family.most_similar([])
    assert family.most_similar(negative=["man"], topn=1) == [("woman", 1.0)]


# --- unknown words -----------------------------------------------------------------------------


def test_an_unknown_word_is_a_key_error_of_one_line_with_suggestions(family):
    with pytest.raises(KeyError) as caught:
        family["fathr"]
    assert isinstance(caught.value, UserError)
    assert str(caught.value) == "'fathr' is not in the vocabulary; did you mean father?"
    with pytest.raises(UnknownWordError, match="'xyz' is not in the vocabulary"):
        family.most_similar(["man", "xyz"])


@pytest.mark.parametrize(
    ("word", "meant"),
    [("melanomma", "melanoma"), ("brca1", "BRCA1"), ("nelanoma", "melanoma"), ("Fever", "fever")],
)
def test_suggestions_cover_misspelling_and_case(word, meant):
    words = ["fever", "melanoma", "BRCA1", "carcinoma", "brain"]
    assert Vectors(words, np.ones((5, 2), np.float32)).suggestions(word)[0] == meant


def test_of_equal_spellings_the_more_frequent_is_suggested():
    vectors = Vectors(["Fever", "fever"], np.ones((2, 2), np.float32))
    assert vectors.suggestions("FEVER") == ["Fever"]


def test_many_queries_are_answered_as_each_alone(monkeypatch):
    monkeypatch.setattr(keyed_vectors, "_BATCH_SCORES", 130)  # Three batches.
    rng = np.random.default_rng(5)
    words = [f"w{number}" for number in range(40)]
    vectors = Vectors(words, rng.standard_normal((40, 6)).astype(np.float32), np.arange(40, 0, -1))
    queries = ["w3", ["w1", ("w2", -0.5)], rng.standard_normal(6), [("w39", 2.0)], 7, "w0", "w8"]
    options = {"topn": 5, "restrict_vocab": 30, "min_count": 20}
    answers = list(vectors.most_similar_each(queries, **options))
    for query, near in zip(queries, answers, strict=True):
        alone = vectors.most_similar(query, **options)
        assert [word for word, _ in near] == [word for word, _ in alone]
        np.testing.assert_allclose([c for _, c in near], [c for _, c in alone], rtol=1e-6)


def test_the_frequency_floor_is_the_least_of_three():
    counts = np.array([6_000_000, 60, 20, 3])
    vectors = Vectors(list("abcd"), np.eye(4, dtype=np.float32), counts)
    assert [vectors.frequency_floor([word]) for word in "abcd"] == [50, 50, 20, 3]
    assert (vectors.frequency_floor(["a", "c"]), vectors.frequency_floor([])) == (20, 50)
    small = Vectors(["a", "b"], np.eye(2, dtype=np.float32), np.array([200_000, 9_000]))
    assert small.frequency_floor(["a"]) == 2  # 209,000 tokens.
    assert Vectors(["a"], np.eye(1, dtype=np.float32)).frequency_floor(["a"]) == 0


@given(st.integers(1, 2000), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_top_k_is_the_head_of_a_stable_sort(size, topn, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-30, 30, size).astype(np.float32)  # Many are equal.
    scores[rng.random(size) < 0.4] = -np.inf
    best = np.argsort(-scores, kind="stable")[:topn]
    assert top_k(scores, topn).tolist() == best[scores[best] > -np.inf].tolist()
