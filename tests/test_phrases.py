import numpy as np
import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.stages.phrases import join_passes, join_phrases, phrase_scores

PHRASES = {"breast": {"cancer", "milk"}, "new": {"york"}}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("breast cancer cells", "breast_cancer cells"),
        ("the breast milk of new york", "the breast_milk of new_york"),
        ("breast breast cancer", "breast breast_cancer"),
        ("cancer breast", "cancer breast"),
        ("breast", "breast"),
        ("", ""),
    ],
)
def test_phrases_are_joined_from_the_left(words, expected):
    assert join_phrases(words.split(), PHRASES) == expected.split()


def test_a_word_is_in_one_phrase_only():
    assert join_phrases(["a", "a", "a"], {"a": {"a"}}) == ["a_a", "a"]


def test_a_later_pass_sees_what_earlier_ones_joined():
    assert join_passes("new york city", [PHRASES, {"new_york": {"city"}}]) == ["new_york_city"]


def test_the_score_is_that_of_the_paper_with_gensims_scale():
    pairs, firsts, seconds = np.array([8, 5]), np.array([10, 10]), np.array([20, 20])
    found = phrase_scores(pairs, firsts, seconds, distinct=1000, min_count=5)
    assert found.tolist() == [3 / 200 * 1000, 0.0]


def test_phrases_and_scores_are_gensims(tmp_path):
    phrases = pytest.importorskip("gensim.models.phrases", reason="gensim is not installed")
    rng = np.random.default_rng(0)
    words = [f"w{n}" for n in range(60)]
    followed = {word: [word, f"then{word}"] for word in words[3::7]}
    drawn = [[words[n] for n in rng.zipf(1.4, 12) % 60] for _ in range(900)]
    text = [[w for word in line for w in followed.get(word, [word])] for line in drawn]
    (tmp_path / "t.txt").write_text("\n".join(map(" ".join, text)))
    options = BuildConfig(
        input=(str(tmp_path / "t.txt"),), output=str(tmp_path / "d"), phrases=1,
        phrase_min_count=3, phrase_threshold=2.0, min_count=1, num_shards=1,
    )  # fmt: skip
    assert build(options, ("--direct_num_workers=1",)).funnel["tokens"] == sum(map(len, text))
    rows = (tmp_path / "d/phrases-1.tsv").read_text().splitlines()[1:]
    ours = {f"{a}_{b}": float(score) for a, b, score in (row.split("\t") for row in rows)}
    model = phrases.Phrases(text, min_count=3, threshold=2.0)
    theirs = model.export_phrases()
    assert len(ours) > 5
    assert ours == pytest.approx(theirs, rel=1e-5)
    joined = [join_phrases(sentence, _nested(ours)) for sentence in text]
    assert joined == [phrases.Phraser(model)[sentence] for sentence in text]


def _nested(found):
    nested = {}
    for phrase in found:
        first, second = phrase.split("_")
        nested.setdefault(first, set()).add(second)
    return nested
