"""Agreement with people: equal to gensim's on the same vectors, and to published values."""

import json

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given
from hypothesis import strategies as st

from pmc2vec.commands.evaluate import main
from pmc2vec.errors import UserError
from pmc2vec.vectors.evaluation import (
    WordPairScore,
    confidence_interval,
    pearson,
    read_analogies,
    read_pairs,
    spearman,
)
from pmc2vec.vectors.keyed_vectors import Vectors

# --- as gensim ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both() -> tuple[Vectors, KeyedVectors]:
    """The same 400 words for both: two cases of some, and families of shifted vectors."""
    rng = np.random.default_rng(7)
    bases = rng.standard_normal((100, 12))
    shift = rng.standard_normal(12)
    words, rows = [], []
    for number, base in enumerate(bases):
        near = 0.35 * rng.standard_normal((3, 12))
        words += [f"w{number}", f"x{number}", f"W{number}", f"Y{number}"]
        rows += [base, base + shift + near[0], base + near[1], base - shift + near[2]]
    matrix = np.array(rows, np.float32) * rng.uniform(0.5, 3, (400, 1)).astype(np.float32)
    theirs = KeyedVectors(12)
    theirs.add_vectors(words, matrix)
    return Vectors(words, matrix), theirs


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory):
    rng = np.random.default_rng(8)
    rows = ["# a comment"]
    for _ in range(150):
        one, other = rng.integers(0, 130, 2)
        cases = rng.choice(["w", "W", "x", "y", "Y"], 2)
        rows.append(f"{cases[0]}{one}\t{cases[1]}{other}\t{rng.integers(0, 20) / 2}")
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def analogies_file(tmp_path_factory):
    rng = np.random.default_rng(9)
    rows = []
    for section in ("plural of plants", "no one knows", "Y"):
        rows.append(f": {section}")
        for _ in range(60):
            one, other = rng.integers(0, 105, 2)
            kinds = {"Y": ("w", "Y", "w", "Y")}.get(section, ("w", "x", "W", "x"))
            if section == "no one knows":
                kinds = ("u", "v", "u", "v")
            at = (one, one, other, other)
            rows.append(" ".join(f"{kind}{n}" for kind, n in zip(kinds, at, strict=True)))
        rows.append("w1 x1 w1 x1")  # The answer is in the question.
        rows.append("only three words")
    path = tmp_path_factory.mktemp("analogies") / "questions.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


CONVENTIONS = [
    {"restrict_vocab": 300_000, "case_insensitive": True, "dummy4unknown": False},
    {"restrict_vocab": 150, "case_insensitive": True, "dummy4unknown": False},
    {"restrict_vocab": 300_000, "case_insensitive": False, "dummy4unknown": False},
    {"restrict_vocab": 300, "case_insensitive": False, "dummy4unknown": True},
    {"restrict_vocab": 150, "case_insensitive": True, "dummy4unknown": True},
]


@pytest.mark.parametrize("conventions", CONVENTIONS)
def test_word_pairs_score_as_in_gensim(both, pairs_file, conventions):
    ours, theirs = both
    score = ours.evaluate_word_pairs(pairs_file, **conventions)
    (pearson_, _), (spearman_, _), oov_ratio = theirs.evaluate_word_pairs(
        str(pairs_file), **conventions
    )
    assert 0 < score.covered < score.total == 150
    assert score.pearson == pytest.approx(pearson_, abs=1e-6)
    assert score.spearman == pytest.approx(spearman_, abs=1e-6)
    assert score.oov_ratio == pytest.approx(oov_ratio)


@pytest.mark.parametrize("conventions", CONVENTIONS)
def test_analogies_are_judged_as_in_gensim(both, analogies_file, conventions):
    ours, theirs = both
    share, sections = ours.evaluate_word_analogies(analogies_file, **conventions)
    expected = theirs.evaluate_word_analogies(str(analogies_file), **conventions)
    assert (share, sections) == expected
    assert 0 < share < 1
    assert [section["section"] for section in sections] == [
        "plural of plants", "no one knows", "Y", "Total accuracy",
    ]  # fmt: skip


@pytest.mark.parametrize("positive", [["w3"], ["w3", "x8"], ["x1", "w2"]])
@pytest.mark.parametrize("negative", [[], ["w1"], ["w4", "x5"]])
def test_neighbours_are_those_of_gensim(both, positive, negative):
    ours, theirs = both
    for method in ("most_similar", "most_similar_cosmul"):
        near = getattr(ours, method)(positive, negative=negative, topn=20)
        expected = getattr(theirs, method)(positive=positive, negative=negative, topn=20)
        assert [word for word, _ in near] == [word for word, _ in expected]
        assert [score for _, score in near] == pytest.approx([s for _, s in expected], rel=1e-4)


def test_other_questions_are_answered_as_in_gensim(both):
    ours, theirs = both
    words = ["w1", "x1", "Y1", "w50"]
    assert ours.doesnt_match(words) == theirs.doesnt_match(words)
    for one, other in zip(ours.rank_by_centrality(words), theirs.rank_by_centrality(words),
                          strict=True):  # fmt: skip
        assert one == (pytest.approx(other[0], abs=1e-6), other[1])
    assert ours.similarity("w1", "x1") == pytest.approx(theirs.similarity("w1", "x1"), abs=1e-6)
    assert ours.distance("w1", "x1") == pytest.approx(theirs.distance("w1", "x1"), abs=1e-6)
    assert ours.n_similarity(words[:2], words[2:]) == pytest.approx(
        theirs.n_similarity(words[:2], words[2:]), abs=1e-6
    )
    near = ours.similar_by_vector(ours["w9"] + ours["x9"], topn=5)
    expected = theirs.similar_by_vector(theirs["w9"] + theirs["x9"], topn=5)
    assert [word for word, _ in near] == [word for word, _ in expected]
    np.testing.assert_allclose(ours.get_vector("w2", norm=True),
                               theirs.get_vector("w2", norm=True), rtol=1e-6)  # fmt: skip


def test_products_of_cosines_answer_analogies_too(both, analogies_file):
    ours, theirs = both
    _, sections = ours.evaluate_word_analogies(
        analogies_file, method="3cosmul", case_insensitive=False
    )
    a, b, c, d = sections[0]["correct"][0]
    assert theirs.most_similar_cosmul(positive=[b, c], negative=[a], topn=1)[0][0] == d


# --- by hand -----------------------------------------------------------------------------------


@pytest.fixture
def family() -> Vectors:
    return Vectors(
        ["man", "woman", "father", "mother", "table"],
        np.array([[1, 0, 0], [-1, 0, 0], [1, 1, 0], [-1, 1, 0], [0, 0.1, 5]], np.float32),
    )


def test_word_pairs_are_scored_where_both_entries_are_known(family):
    score = family.evaluate_word_pairs(
        [
            ("man", "father", 9.0),
            ("Man", "woman", 1.0),
            ("man", "table", 5.0),
            ("man", "unicorn", 7.0),
            ("old man", "woman", 7.0),
        ]
    )
    # Cosines 0.7071, -1 and 0 beside 9, 1 and 5.
    assert score == WordPairScore(
        spearman=pytest.approx(1.0), pearson=pytest.approx(0.9952, abs=1e-4), covered=3, total=5,
        compared=3,
    )  # fmt: skip
    assert score.oov_ratio == 40.0
    assert np.isnan(score.spearman_interval).all()


def test_unknown_pairs_may_count_as_cosine_zero(family):
    pairs = [("man", "father", 3.0), ("man", "woman", 1.0), ("man", "unicorn", 2.0)]
    score = family.evaluate_word_pairs(pairs, dummy4unknown=True)
    assert (score.covered, score.total, score.compared) == (2, 3, 3)
    assert score.spearman == pytest.approx(1.0)


def test_an_entry_of_several_words_is_their_mean_where_asked_for():
    vectors = Vectors(
        ["heart", "attack", "infarct", "tax"],
        np.array([[2, 0], [0, 2], [1, 1], [1, -1]], np.float32),
    )
    pairs = [("Heart attack", "infarct", 9.0), ("heart", "infarct", 5.0), ("infarct", "tax", 0.0)]
    score = vectors.evaluate_word_pairs(pairs, phrases=True)
    assert (score.spearman, score.covered) == (pytest.approx(1.0), 3)
    assert vectors.evaluate_word_pairs(pairs).covered == 2
    reversed_scores = [(a, b, -number) for a, b, number in pairs]
    assert vectors.evaluate_word_pairs(reversed_scores, phrases=True).spearman == pytest.approx(-1)


@pytest.mark.parametrize(
    ("x", "y", "rho"),
    [
        ([1, 2, 3, 4, 5], [5, 6, 7, 8, 7], 0.8207826816681233),  # scipy.stats.spearmanr's example
        ([1, 2, 2, 3], [1, 2, 3, 4], 0.9486832980505138),
        ([1, 2, 3], [9, 5, 1], -1.0),
        (
            [106, 100, 86, 101, 99, 103, 97, 113, 112, 110],
            [7, 27, 2, 50, 28, 29, 20, 12, 6, 17],
            -29 / 165,
        ),
    ],
)
def test_spearman_equals_published_values(x, y, rho):
    assert spearman(x, y) == pytest.approx(rho, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20))
def test_correlations_are_those_of_scipy(pairs):
    from scipy import stats

    x, y = map(list, zip(*pairs, strict=True))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(spearman(x, y))
        assert np.isnan(pearson(x, y))
    else:
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
        assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


def test_correlation_of_nothing_is_nan():
    for correlation in (spearman, pearson):
        assert np.isnan(correlation([], []))
        assert np.isnan(correlation([1], [2]))


def test_the_interval_of_pearson_is_that_of_scipy():
    from scipy import stats

    x, y = np.random.default_rng(1).standard_normal((2, 40))
    correlation = stats.pearsonr(x, x + y)
    expected = correlation.confidence_interval(0.95)
    assert confidence_interval(correlation.statistic, 40) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


def test_intervals_at_the_ends():
    assert confidence_interval(1.0, 10) == (1.0, 1.0)
    assert np.isnan(confidence_interval(0.5, 3)).all()
    assert np.isnan(confidence_interval(float("nan"), 30)).all()
    low, high = confidence_interval(
        0.6, 103, ranks=True
    )  # z = 0.6931, error sqrt(1.18 / 100) = 0.1086
    assert (low, high) == (pytest.approx(0.4464, abs=1e-4), pytest.approx(0.7192, abs=1e-4))


# --- files -------------------------------------------------------------------------------------


def test_pairs_are_read_past_header_comments_and_more_columns(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(
        b"\xef\xbb\xbfword 1\tword 2\tmean\r\n# note\r\nheart attack\tnaus\xc3\xa9e\t6.5\tx\r\n\r\n"
    )
    assert read_pairs(path) == [("heart attack", "nausée", 6.5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\t1\na b 2\n", "pairs.tsv: line 2 is not two entries and a score"),
        (b"a\tb\t1\na\tb\tx\n", "pairs.tsv: line 2 is not two entries and a score"),
        (b"a\tb\t1\na\tb\tnan\n", "pairs.tsv: line 2 is not two entries and a score"),
        (b"a b 1\n", "pairs.tsv: line 1 is not two entries and a score"),
        (b"", "pairs.tsv: holds no word pairs"),
        (b"one\ttwo\tscore\n", "pairs.tsv: holds no word pairs"),
        (b"\xff\xfe", "pairs.tsv: cannot be read"),
        (None, "pairs.tsv: cannot be read .*No such file"),
    ],
)
def test_a_file_without_pairs_is_named_with_the_line(tmp_path, content, message):
    path = tmp_path / "pairs.tsv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_pairs(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a b c d\n", "line 1 comes before any `: section`"),
        (": empty\n", "holds no analogies"),
    ],
)
def test_a_file_without_analogies_is_told(tmp_path, content, message):
    path = tmp_path / "questions.txt"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_analogies(path)


# --- pmc2vec evaluate --------------------------------------------------------------------------


@pytest.fixture
def run(family, tmp_path) -> str:
    family.save(tmp_path)
    return str(tmp_path)


def test_evaluation_is_a_row_for_each_file_of_pairs(run, tmp_path, capsys):
    good, none = tmp_path / "good.txt", tmp_path / "none.txt"
    good.write_text(
        "man\tfather\t9\nman\tmother\t2\nMan\twoman\t1\nman\told man\t5\nman\ttable\t7\n"
    )
    none.write_text("cat\tdog\t3\n")
    assert main([str(good), str(none), "--vectors", run]) == 0
    out, err = capsys.readouterr()
    # Ranks of -1, -0.707, 0 and 0.707 beside 1, 2, 7 and 9.
    assert out == (
        "file\tspearman\t95% interval\tpearson\t95% interval\tcovered\n"
        f"{good}\t1.000\t1.000 to 1.000\t0.983\t0.399 to 1.000\t4/5\n"
        f"{none}\tnan\tnan to nan\tnan\tnan to nan\t0/1\n"
    )
    assert err == (
        f"pmc2vec evaluate: {good}: 1 pairs have an entry of several words; "
        "--phrases takes the mean of their vectors\n"
    )
    assert main([str(good), "--vectors", run, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main([str(none), "--vectors", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        str(none): {
            "spearman": None,
            "spearman_interval": [None, None],
            "pearson": None,
            "pearson_interval": [None, None],
            "covered": 0,
            "total": 1,
        },
    }


def test_several_sets_of_pairs_have_a_mean(run, tmp_path, capsys):
    one, two = tmp_path / "one.tsv", tmp_path / "two.tsv"
    one.write_text("man\tfather\t9\nman\tmother\t2\nman\twoman\t1\n")
    two.write_text("man\tfather\t1\nman\tmother\t2\nman\twoman\t9\n")
    assert main([str(one), str(two), "--vectors", run]) == 0
    last = capsys.readouterr().out.splitlines()[-1].split("\t")
    assert (last[0], last[1], last[2]) == ("mean of 2", "0.000", "")


def test_several_sets_of_analogies_have_a_mean(run, tmp_path, capsys):
    right, wrong = tmp_path / "right.txt", tmp_path / "wrong.txt"
    right.write_text(": family\nman woman father mother\n")
    wrong.write_text(": family\nman woman mother man\n")
    assert main([str(right), str(wrong), "--vectors", run]) == 0
    accuracies = [line.split("\t")[:3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert accuracies == [
        [str(right), "family", "1.0000"],
        [str(right), "Total accuracy", "1.0000"],
        [str(wrong), "family", "0.0000"],
        [str(wrong), "Total accuracy", "0.0000"],
        ["mean of 2", "", "0.5000"],
    ]


def test_a_word_with_itself_is_1_whatever_its_length():
    rows = np.random.default_rng(1).standard_normal((200, 7)).astype(np.float32)
    words = [f"w{number}" for number in range(200)]
    pairs = [(word, word, 1.0) for word in words] + [("w0", "w1", 0.0)]
    # All pairs but the last share a rank: the cosines are all 1, and not nearly 1.
    assert Vectors(words, rows).evaluate_word_pairs(pairs).spearman == pytest.approx(1, abs=1e-12)


def test_evaluation_is_a_row_for_each_section_of_analogies(run, tmp_path, capsys):
    path = tmp_path / "questions.txt"
    path.write_text(": sex\nman woman father mother\nman woman father table\n: other\na b c d\n")
    assert main([str(path), "--vectors", run]) == 0
    assert capsys.readouterr().out == (
        "file\tsection\taccuracy\tcorrect\tasked\n"
        f"{path}\tsex\t0.5000\t1\t2\n"
        f"{path}\tother\t0.0000\t0\t0\n"
        f"{path}\tTotal accuracy\t0.5000\t1\t2\n"
    )
    assert main([str(path), "--vectors", run, "--dummy4unknown", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)[str(path)]
    assert scores["accuracy"] == 0.333333
    assert scores["sections"][1] == {"section": "other", "accuracy": 0.0, "correct": 0, "asked": 1}


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "examples:\n  pmc2vec evaluate" in capsys.readouterr().out


def test_no_file_is_a_usage_error_of_one_line(run, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--vectors", run])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no file of word pairs or analogies is given" in line


def test_files_that_cannot_be_read_are_named_after_the_scores(run, tmp_path, capsys):
    good, readme = tmp_path / "pairs.tsv", tmp_path / "README.md"
    good.write_text("man\twoman\t1\nman\tfather\t5\nwoman\tmother\t6\n")
    readme.write_text("No pairs here.\n")
    folder = tmp_path / "old"
    folder.mkdir()
    assert main([str(readme), str(good), str(folder), "--vectors", run]) == 1
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()] == ["file", str(good)]
    first, second = err.splitlines()
    assert first.startswith(f"pmc2vec: error: {readme}")
    assert second.startswith(f"pmc2vec: error: {folder}")
    with pytest.raises(UserError, match=r"README\.md"):
        main([str(readme), "--vectors", run])
