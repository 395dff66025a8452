"""`pmc2vec analogy`: what it prints, and how it fails."""

import json

import pytest

from pmc2vec.commands.analogy import main as analogy_main


def test_analogy_lists_answers_best_first(family, capsys):
    assert analogy_main(["man", "woman", "father", "--vectors", family, "--topn", "2"]) == 0
    assert capsys.readouterr().out == (
        "answer\tcosine\tcount\n"
        "mother\t0.9597\t20\n"
        "[b]table[/b]\t0.0096\t10\n"
    )  # fmt: skip
    assert analogy_main(["man", "woman", "father", "--vectors", family, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["word"] == "mother"


def test_analogy_by_products_has_a_score_and_no_cosine(family, capsys):
    asked = ["man", "woman", "father", "--vectors", family, "--topn", "1", "--method", "3cosmul"]
    assert analogy_main(asked) == 0
    assert capsys.readouterr().out == "answer\tscore\tcount\nmother\t2.9142\t20\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["a", "b"], "c"),
        (["a", "b", "c", "--topn", "-1"], "--topn -1: must be at least 1"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(family, capsys, words, complaint):
    with pytest.raises(SystemExit) as stop:
        analogy_main([*words, "--vectors", family])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        analogy_main(["--help"])
    assert stop.value.code == 0
    assert "examples:\n  pmc2vec " in capsys.readouterr().out
