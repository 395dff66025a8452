"""`pmc2vec similarity`: what it prints, and how it fails."""

import json
import sys

import pytest

from pmc2vec.commands.similarity import main as similarity_main


def test_similarity_is_a_number(family, capsys):
    assert similarity_main(["man", "father", "--vectors", family]) == 0
    assert capsys.readouterr().out == "0.7071\n"
    assert similarity_main(["man", "father", "--vectors", family, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "words": ["man", "father"], "cosine": 0.707107, "counts": [50, 30],
    }  # fmt: skip


def test_a_person_sees_how_often_the_words_were_seen(family, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert similarity_main(["man", "Father", "--vectors", family]) == 0
    assert capsys.readouterr().out == "0.7071  man seen 50 times, father 30\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["man"], "missing"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(family, capsys, words, complaint):
    with pytest.raises(SystemExit) as stop:
        similarity_main([*words, "--vectors", family])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        similarity_main(["--help"])
    assert stop.value.code == 0
    assert "examples:\n  pmc2vec " in capsys.readouterr().out
