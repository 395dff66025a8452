"""The planted truth as a file, and its score on vectors small enough to see."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pmc2vec.errors import UserError
from pmc2vec.synthetic.ground_truth import (
    BrokenArticle,
    GroundTruth,
    Recovery,
    measure_recovery,
    planted_ground_truth,
    read_ground_truth,
)
from pmc2vec.vectors.keyed_vectors import Vectors


def small_truth(**fields) -> GroundTruth:
    """A truth that asks for nothing but what is given."""
    whole = planted_ground_truth(
        config={}, archives=("a.tar.gz",), on_subject=3, off_subject=1, reference_only=1, broken=()
    )
    empty = {"topics": {}, "synonyms": (), "analogies": (), "dressed": {}, "decoys": {}}
    return dataclasses.replace(whole, **{**empty, **fields})


def scored(truth: GroundTruth, vectors: dict[str, list[float]]):
    matrix = np.array(list(vectors.values()), np.float32)
    return measure_recovery(truth, Vectors(list(vectors), matrix.reshape(len(vectors), -1)))


# --- truth.json ------------------------------------------------------------------------------


def test_truth_survives_its_file(tmp_path):
    truth = planted_ground_truth(
        config={"seed": 7, "off_subject": 0.25},
        archives=("a.tar.gz", "b.tar.gz"),
        on_subject=30,
        off_subject=9,
        reference_only=2,
        broken=(BrokenArticle("b.tar.gz", "PMC001xxxxxx/PMC1100001.xml", "truncated"),),
    )
    truth.write(tmp_path / "truth.json")
    assert read_ground_truth(tmp_path) == read_ground_truth(tmp_path / "truth.json") == truth
    assert [path.name for path in tmp_path.iterdir()] == ["truth.json"]
    values = json.loads((tmp_path / "truth.json").read_text())
    assert (values["format"], values["version"], values["articles"]) == (
        "pmc2vec.truth",
        1,
        40,
    )


def test_planted_truth_is_as_large_as_it_should_be():
    truth = planted_ground_truth(
        config={}, archives=(), on_subject=0, off_subject=0, reference_only=0, broken=()
    )
    assert len(truth.topics) == 8
    assert len(truth.synonyms) == 25
    assert len(truth.analogies) == 2 * 12 * 11
    assert ("gout", "allopurinol", "malaria", "artesunate") in truth.analogies
    assert ("psoriasis", "il23r", "malaria", "g6pd") in truth.analogies
    assert ("fever", "pyrexia") in truth.synonyms
    assert set(truth.dressed) == {
        "italic", "subscript", "cited", "edge", "unicode", "figure reference",
    }  # fmt: skip
    assert {"cftr", "snca", "scn1a"} < set(truth.dressed["italic"])
    assert {"abl1", "g6pd", "il23r"} < set(truth.dressed["subscript"])
    assert truth.keywords == ("cancer", "melanoma", "carcinoma")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        ("{", "Expecting property name"),
        ("[]", r"expected pmc2vec\.truth version 1, found None"),
        (
            '{"format": "pmc2vec.truth", "version": 2}',
            r"found \('pmc2vec.truth', 2\)",
        ),
        ('{"format": "pmc2vec.truth", "version": 1}', "its fields do not fit"),
    ],
)
def test_a_truth_that_cannot_be_read_is_refused_by_name(tmp_path, content, complaint):
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f"{path}: .*{complaint}"):
        read_ground_truth(tmp_path)


# --- recovery --------------------------------------------------------------------------------


def test_a_synonym_is_found_among_five_neighbours_and_not_sixth():
    near = {f"n{i}": [1.0, 0.1 + i / 100] for i in range(5)}
    vectors = {"fever": [1.0, 0.0], "pyrexia": [1.0, 0.3], **near}
    truth = small_truth(synonyms=(("fever", "pyrexia"),))
    # From fever, n0 to n4 are nearer than pyrexia; from pyrexia, only fever is farther than they.
    assert scored(truth, vectors).synonyms == 0.0
    del vectors["n0"]
    assert scored(truth, vectors).synonyms == 1.0


def test_a_synonym_that_is_not_in_the_vocabulary_is_not_found():
    truth = small_truth(synonyms=(("fever", "pyrexia"), ("renal", "nephric")))
    vectors = {"fever": [1.0, 0.0], "pyrexia": [1.0, 0.1], "renal": [0.0, 1.0]}
    assert scored(truth, vectors).synonyms == 0.5
    assert scored(truth, vectors).words == 0.75
    assert scored(truth, vectors).missing == {"synonyms": ("nephric",)}


def test_an_analogy_is_solved_by_adding_without_its_own_words():
    vectors = {
        "gout": [1.0, 0.0, 0.0],
        "allopurinol": [1.0, 0.0, 1.0],
        "malaria": [0.0, 1.0, 0.0],
        "artesunate": [0.0, 1.0, 1.0],
        "rigors": [0.1, 1.0, 0.2],
    }
    solved = ("gout", "allopurinol", "malaria", "artesunate")
    wrong = ("gout", "allopurinol", "malaria", "rigors")  # is second
    absent = ("gout", "allopurinol", "malaria", "quinine")
    result = scored(small_truth(analogies=(solved, wrong, absent, absent)), vectors)
    assert result.analogies == 0.25
    assert result.analogies_near == 0.5


def test_topics_are_the_share_of_ten_neighbours():
    first = {f"a{i}": [1.0, i / 1000] for i in range(11)}
    second = {f"b{i}": [i / 1000, 1.0] for i in range(11)}
    topics = {"a": tuple(first), "b": tuple(second)}
    vectors = {**first, **second}
    assert scored(small_truth(topics=topics), vectors).topics == 1.0
    swapped = {"a": (*list(first)[:10], "b0"), "b": (*list(second)[1:], "a10")}
    # 10 words with 9 of 10 neighbours right and one with none, in each topic.
    assert scored(small_truth(topics=swapped), vectors).topics == pytest.approx(90 / 110)


def test_lengths_do_not_count():
    truth = small_truth(synonyms=(("fever", "pyrexia"),))
    far = {f"n{i}": [9.0, 9.0] for i in range(5)}
    vectors = {**far, "fever": [1.0, 0.0], "pyrexia": [0.01, 0.0]}
    assert scored(truth, vectors).synonyms == 1.0
    assert scored(truth, {**vectors, "pyrexia": [0.0, 0.0]}).synonyms == 0.0


def test_one_decoy_or_one_missing_word_fails_what_else_is_perfect():
    truth = small_truth(
        synonyms=(("fever", "pyrexia"),),
        decoys={"author": ("brandvold",), "table": ("stubhead", "columella")},
        dressed={"italic": ("naevus",)},
    )
    vectors = {"fever": [1.0, 0.0], "pyrexia": [1.0, 0.1], "naevus": [0.0, 1.0]}
    assert scored(truth, vectors).passed
    caught = scored(truth, {**vectors, "stubhead": [1.0, 1.0]})
    assert (caught.passed, caught.num_decoys, caught.decoys) == (
        False,
        1,
        {"table": ("stubhead",)},
    )
    assert [score.name for score in caught.scores if not score.passed] == [
        "decoys in the vocabulary"
    ]
    del vectors["naevus"]
    glued = scored(truth, {**vectors, "thenaevus": [0.0, 1.0]})
    assert not glued.passed
    assert glued.missing == {"italic": ("naevus",)}


def test_scores_are_judged_against_their_thresholds():
    good = Recovery(
        words=1.0,
        synonyms=0.8,
        analogies=0.6,
        analogies_near=0.0,
        topics=0.7,
        missing={},
        decoys={},
    )
    assert good.passed
    for worse in ({"words": 0.99}, {"synonyms": 0.79}, {"analogies": 0.59}, {"topics": 0.69}):
        assert not dataclasses.replace(good, **worse).passed


def test_random_vectors_fail():
    truth = planted_ground_truth(
        config={}, archives=(), on_subject=0, off_subject=0, reference_only=0, broken=()
    )
    words = sorted({word for group in truth.topics.values() for word in group})
    words += sorted({word for each in truth.analogies for word in each})
    words += sorted({w for group in truth.dressed.values() for w in group} - set(words))
    matrix = np.random.default_rng(0).normal(size=(len(words), 64)).astype(np.float32)
    result = measure_recovery(truth, Vectors(words, matrix))
    assert result.words == 1.0
    assert max(result.synonyms, result.analogies_near, result.topics) < 0.25
    assert not result.passed
