"""`pmc2vec vector`: what it prints, and how it fails."""

import json

import numpy as np
import pytest

from pmc2vec.commands import main
from pmc2vec.commands.vector import main as vector_main
from pmc2vec.vectors.formats.workdir_files import write_vectors


def test_a_line_holds_a_word_and_its_numbers(family, capsys):
    assert vector_main(["father", "[b]table[/b]", "--vectors", family]) == 0
    assert capsys.readouterr().out == "father\t1.0\t1.0\t0.0\n[b]table[/b]\t0.0\t0.1\t5.0\n"


def test_vectors_at_length_1(family, capsys):
    assert vector_main(["father", "--vectors", family, "--norm"]) == 0
    assert capsys.readouterr().out == "father\t0.70710677\t0.70710677\t0.0\n"


def test_json_has_the_same_digits(family, capsys):
    assert vector_main(["Father", "[b]table[/b]", "--vectors", family, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "Father": [1.0, 1.0, 0.0],
        "[b]table[/b]": [0.0, 0.1, 5.0],
    }


def test_numbers_read_back_as_the_same_float32(tmp_path, capsys):
    row = np.random.default_rng(0).normal(size=(1, 50)).astype(np.float32) * np.float32(1e-7)
    write_vectors(tmp_path, ["a"], np.array([1]), row)
    assert vector_main(["a", "--vectors", str(tmp_path)]) == 0
    numbers = capsys.readouterr().out.split("\t")[1:]
    assert np.array_equal(np.array(numbers, np.float32), row[0])


def test_an_unknown_word_is_one_line_and_exit_code_1(family, capsys):
    assert main.main(["vector", "fathr", "--vectors", family]) == 1
    message = "pmc2vec: error: 'fathr' is not in the vocabulary; did you mean father?\n"
    assert capsys.readouterr() == ("", message)


def test_no_word_is_a_usage_error(family, capsys):
    with pytest.raises(SystemExit) as stop:
        vector_main(["--vectors", family])
    assert stop.value.code == 2
    assert "no word is given" in capsys.readouterr().err
