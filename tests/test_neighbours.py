"""`pmc2vec neighbours`: what it prints, in a pipe and on a terminal, and how it fails."""

import contextlib
import io
import json
import os
import pty
import sys

import numpy as np
import pytest

from pmc2vec.cli.prompt import line_batches
from pmc2vec.commands import main
from pmc2vec.commands.neighbours import main as neighbours_main
from pmc2vec.vectors.keyed_vectors import Vectors


def type_into_stdin(monkeypatch, text: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stream)


def test_neighbours_in_a_pipe_are_tab_separated_lines_with_a_header(family, capsys):
    assert neighbours_main(["father", "man", "--vectors", family, "--topn", "2"]) == 0
    assert capsys.readouterr().out == (
        "word\tneighbour\tcosine\tcount\n"
        "father\tman\t0.7071\t50\n"
        "father\t[b]table[/b]\t0.0141\t10\n"
        "man\tfather\t0.7071\t30\n"
        "man\t[b]table[/b]\t0.0000\t10\n"
    )


def test_neighbours_on_a_terminal_are_a_table_with_words_as_they_are(family, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert neighbours_main(["--vectors", family, "father", "mother", "--topn", "3"]) == 0
    out = capsys.readouterr().out
    assert (out.count("father"), out.count("mother")) == (2, 2)  # Asked for, and a neighbour.
    assert out.count("[b]table[/b]") == 2
    assert "0.7071" in out
    assert "\t" not in out


def test_neighbours_as_json(family, capsys):
    assert neighbours_main(["father", "--vectors", family, "--topn", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "father": [{"word": "man", "cosine": 0.707107, "count": 50}]
    }


def test_counts_are_left_open_where_the_file_has_none(tmp_path, capsys):
    path = tmp_path / "foreign.txt"
    path.write_text("2 1\na 1\nb 1\n")
    assert neighbours_main(["a", "--vectors", str(path)]) == 0
    assert capsys.readouterr().out == "word\tneighbour\tcosine\tcount\na\tb\t1.0000\t\n"
    assert neighbours_main(["a", "--vectors", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["a"][0]["count"] is None


def test_an_unknown_word_is_named_after_the_answers_for_the_others(family, capsys):
    assert main.main(["neighbours", "man", "fathr", "--vectors", family, "--topn", "1"]) == 1
    out, err = capsys.readouterr()
    assert out == "word\tneighbour\tcosine\tcount\nman\tfather\t0.7071\t30\n"
    assert err == ("pmc2vec: error: 'fathr' is not in the vocabulary; did you mean father?\n")
    assert main.main(["neighbours", "fathr", "--vectors", family]) == 1
    assert capsys.readouterr().out == ""
    words = ["man", "fathr", "--vectors", family, "--json", "--topn", "1"]
    assert neighbours_main(words) == 1
    assert list(json.loads(capsys.readouterr().out)) == ["man"]


def test_words_are_found_in_lower_case_where_the_vocabulary_is(family, tmp_path, capsys):
    assert neighbours_main(["Father - MAN + woman", "--vectors", family, "--topn", "1"]) == 0
    assert capsys.readouterr().out.endswith("\nFather - MAN + woman\tmother\t0.9597\t20\n")
    cased = tmp_path / "cased.txt"
    cased.write_text("3 1\nThe 1\nus 1\nUS 2\n")
    assert main.main(["neighbours", "Us", "--vectors", str(cased)]) == 1
    assert "'Us' is not in the vocabulary; did you mean us?" in capsys.readouterr().err


def test_a_word_of_a_sum_may_have_a_weight(family, capsys):
    query = "0.5*woman + mother - 0.25*father"
    assert neighbours_main([query, "--vectors", family, "--topn", "1"]) == 0
    # The sum is [-0.5, 0, 0] + [-1, 1, 0] / sqrt(2) - 0.25 [1, 1, 0] / sqrt(2).
    assert capsys.readouterr().out.endswith(f"\n{query}\t[b]table[/b]\t0.0072\t10\n")


def test_a_byte_order_mark_is_no_part_of_the_first_word(family, capsys, monkeypatch):
    type_into_stdin(monkeypatch, "\ufefffather\n")
    assert neighbours_main(["--vectors", family, "--topn", "1"]) == 0
    assert capsys.readouterr().out.endswith("\nfather\tman\t0.7071\t50\n")


def test_no_vectors_is_one_line_and_status_1(tmp_path, capsys):
    assert main.main(["neighbours", "man", "--vectors", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pmc2vec: error: {tmp_path}/vectors.tsv: no such file; give a workdir")


def test_a_question_with_signs_is_answered_as_one(family, capsys):
    assert neighbours_main(["father - man + woman", "--vectors", family, "--topn", "1"]) == 0
    assert capsys.readouterr().out.endswith("\nfather - man + woman\tmother\t0.9597\t20\n")


def test_min_count_leaves_out_rare_neighbours(family, capsys):
    assert neighbours_main(["father", "--vectors", family, "--topn", "2", "--min_count", "20"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("\t")[1] for row in rows[1:]] == ["man", "mother"]
    assert neighbours_main(["father", "--vectors", family, "--restrict_vocab", "2"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split("\t")[1] for row in rows[1:]] == ["man", "woman"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["man", "--min_count", "-1"], "--min_count -1: must be at least 0"),
        (["man", "--restrict_vocab", "0"], "--restrict_vocab 0: must be at least 1"),
        (["man", "--topn", "0"], "--topn 0: must be at least 1"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(family, capsys, words, complaint):
    with pytest.raises(SystemExit) as stop:
        neighbours_main([*words, "--vectors", family])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_a_comparison_says_which_neighbours_another_training_confirms(family, tmp_path, capsys):
    other = tmp_path / "other.txt"
    other.write_text("4 2\nfather 1 0\nwoman 0 1\nmother 1 1\nuncle 2 0\n")
    words = ["father", "man", "--vectors", family, "--compare", str(other), "--topn", "2"]
    assert main.main(["neighbours", *words]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "word\tneighbour\tnearest in\tcosine\tplace\tother cosine\tother place\tcount",
        "father\tman\tfirst\t0.7071\t1\t\t\t50",
        "father\t[b]table[/b]\tfirst\t0.0141\t2\t\t\t10",
        "father\tuncle\tsecond\t\t\t1.0000\t1\t",
        "father\tmother\tsecond\t0.0000\t3\t0.7071\t2\t20",
    ]
    assert err.startswith(f"pmc2vec: error: {other}: 'man' is not in the vocabulary;")


@pytest.fixture
def corpus_vectors(tmp_path) -> str:
    """Vectors in which a word that was seen five times is the nearest of all."""
    path = tmp_path / "run"
    matrix = np.array([[1, 0], [1, 0.1], [1, 0.3], [0, 1]], np.float32)
    counts = np.array([388, 5, 100, 10_000_000])
    Vectors(["melanoma", "non-hodgkin", "metastatic", "the"], matrix, counts).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("options", "neighbours"),
    [
        ([], ["metastatic", "the"]),
        (["--min_count", "1"], ["non-hodgkin", "metastatic", "the"]),
        (["--min_count", "101"], ["the"]),
    ],
)
def test_a_word_that_was_hardly_seen_is_no_neighbour_by_default(
    corpus_vectors, capsys, options, neighbours
):
    assert neighbours_main(["melanoma", "--vectors", corpus_vectors, "--json", *options]) == 0
    (near,) = json.loads(capsys.readouterr().out).values()
    assert [entry["word"] for entry in near] == neighbours


def test_a_rare_word_has_neighbours_as_rare_as_itself(corpus_vectors, capsys):
    assert neighbours_main(["non-hodgkin", "--vectors", corpus_vectors, "--topn", "1"]) == 0
    assert capsys.readouterr().out.endswith("non-hodgkin\tmelanoma\t0.9950\t388\n")


# --- words from a pipe, and from a person ------------------------------------------------------


def test_without_words_a_pipe_is_read_line_by_line(family, capsys, monkeypatch):
    type_into_stdin(monkeypatch, "father\n\n  man  \nfathr\nwoman\n")
    assert neighbours_main(["--vectors", family, "--topn", "1"]) == 1
    out, err = capsys.readouterr()
    assert out == (
        "word\tneighbour\tcosine\tcount\n"
        "father\tman\t0.7071\t50\n"
        "man\tfather\t0.7071\t30\n"
        "woman\tmother\t0.7071\t20\n"
    )
    assert err == "pmc2vec: error: 'fathr' is not in the vocabulary; did you mean father?\n"


def test_words_of_a_pipe_as_json_are_one_object(family, capsys, monkeypatch):
    type_into_stdin(monkeypatch, "father\nman\n")
    assert neighbours_main(["--vectors", family, "--topn", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {asked: near[0]["word"] for asked, near in found.items()} == {
        "father": "man",
        "man": "father",
    }


def test_a_program_that_waits_for_an_answer_gets_it_before_it_writes_the_next_word():
    reader, writer = os.pipe()
    batches = line_batches(open(reader, encoding="utf-8"))  # noqa: PTH123, SIM115
    os.write(writer, "β-cat".encode())
    os.write(writer, b"enin\nfev")
    assert next(batches) == ["β-catenin"]
    os.write(writer, b"er\ncough\nrash")
    assert next(batches) == ["fever", "cough"]
    os.close(writer)
    assert list(batches) == [["rash"]]


def dialogue(command: list[str], lines: list[bytes]) -> tuple[str, int]:
    """Runs a command on a terminal of its own and types each line when it is asked for one."""
    process, terminal = pty.fork()
    if not process:
        os.environ.update(TERM="xterm", COLUMNS="80")
        os.execv(command[0], command)
    said = b""
    for line in lines:
        before = said.count(b"words> ")
        while said.count(b"words> ") == before:
            said += os.read(terminal, 1024)
        os.write(terminal, line)
    with contextlib.suppress(OSError):  # What a terminal does when its program has ended.
        while more := os.read(terminal, 1024):
            said += more
    os.close(terminal)
    return said.decode(), os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_terminal_is_asked_and_completes_words(family):
    command = [sys.executable, "-m", "pmc2vec", "neighbours", "--vectors", family, "--topn", "1"]
    said, status = dialogue(command, [b"fat\t\n", b"wmoan\n", b"\x04"])
    assert status == 0
    assert "words> father" in said  # Completed by readline.
    assert "0.7071" in said
    assert "'wmoan' is not in the vocabulary; did you mean woman, man?" in said


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as stop:
        neighbours_main(["--help"])
    assert stop.value.code == 0
    assert "examples:\n  pmc2vec " in capsys.readouterr().out
