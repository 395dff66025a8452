"""`pmc2vec odd-one-out`: what it prints, and how it fails."""

import json
import sys

import pytest

from pmc2vec.commands.odd_one_out import main as odd_one_out_main


def test_the_odd_word_is_told(family, capsys):
    assert odd_one_out_main(["man", "father", "woman", "--vectors", family]) == 0
    assert capsys.readouterr().out == "woman\n"
    assert odd_one_out_main(["man", "father", "woman", "--vectors", family, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "odd": "woman",
        "cosines": {"father": 1.0, "man": 0.707107, "woman": -0.707107},
        "counts": {"father": 30, "man": 50, "woman": 40},
    }


def test_a_person_sees_all_words_with_their_counts(family, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert odd_one_out_main(["man", "father", "woman", "--vectors", family]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["│", "woman", "│", "-0.7071", "│", "40", "│"] in rows


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["man", "woman"], "name three words or more"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(family, capsys, words, complaint):
    with pytest.raises(SystemExit) as stop:
        odd_one_out_main([*words, "--vectors", family])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        odd_one_out_main(["--help"])
    assert stop.value.code == 0
    assert "examples:\n  pmc2vec " in capsys.readouterr().out
