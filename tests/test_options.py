"""pmc2vec/cli/options.py: a dataclass is a program's options."""

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import tyro

from pmc2vec.cli.options import (
    check_options,
    option,
    options_that,
    parse,
    summarize_complaint,
)


@dataclass(frozen=True)
class Config:
    """The options of a program that does not exist."""

    input: tuple[str, ...]
    """Where the articles are: files, folders or globs."""
    output: Path
    """The folder to write, which must not be there yet: it comes whole, with its manifest, or not
    at all."""
    keywords: tuple[str, ...] = ()
    """Keep articles with one of these words."""
    layers: tuple[int, ...] = (3, 4)
    """Some whole numbers."""
    vector_size: int = 128
    """Dimensions of a vector."""
    sample: float = 1e-3
    """How much frequent words are thinned."""
    limit: int | None = None
    """Articles to read."""
    workdir: Path | None = Path("run")
    """A folder or none."""
    optimizer: Literal["adagrad", "sgd"] = "adagrad"
    """How the tables are updated."""
    lowercase: bool = True
    """Fold case."""
    overwrite: bool = False  # Replace what is there.

    def __post_init__(self) -> None:
        if self.vector_size < 1:
            raise ValueError(f"--vector_size {self.vector_size} must be 1 or more")


REQUIRED = ["--input", "a.xml", "b.xml", "--output", "out"]


def parsed(*words: str) -> Config:
    return parse(
        Config,
        words,
        prog="pmc2vec build",
        description="Build a dataset.",
        examples=["pmc2vec build --input a --output b"],
    )


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parsed(*words)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(" (pmc2vec build --help lists the options)\n")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("pmc2vec build: error: ").partition(" (pmc2vec")[0]


def help_text(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        parsed("--help")
    assert not stop.value.code
    return capsys.readouterr().out


def test_defaults_stand_where_nothing_is_given() -> None:
    assert parsed(*REQUIRED) == Config(input=("a.xml", "b.xml"), output=Path("out"))


def test_each_type_is_read() -> None:
    words = ["--keywords", "cancer", "brca 1", "--layers", "7", "--vector_size", "64"]
    words += ["--sample", "1e-5", "--limit", "-1", "--workdir", "w", "--optimizer", "sgd"]
    assert parsed(*REQUIRED, *words) == Config(
        input=("a.xml", "b.xml"),
        output=Path("out"),
        keywords=("cancer", "brca 1"),
        layers=(7,),
        vector_size=64,
        sample=1e-5,
        limit=-1,
        workdir=Path("w"),
        optimizer="sgd",
    )


def test_none_is_a_value_of_what_may_be_none() -> None:
    assert parsed(*REQUIRED, "--workdir", "none").workdir is None
    assert parsed(*REQUIRED, "--limit", "None").limit is None


def test_a_tuple_may_be_given_as_empty() -> None:
    assert parsed(*REQUIRED, "--layers").layers == ()


@pytest.mark.parametrize("word", ["--no_lowercase", "--no-lowercase"])
def test_flags_have_a_negative_with_either_dash(word: str) -> None:
    assert parsed(*REQUIRED, word, "--overwrite") == Config(
        input=("a.xml", "b.xml"), output=Path("out"), lowercase=False, overwrite=True
    )


def test_equals_signs_and_dashes_are_taken_too() -> None:
    assert parsed(*REQUIRED, "--vector-size=7").vector_size == 7


def test_argv_is_the_programs_own_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["build.py", *REQUIRED, "--limit", "5"])
    assert parse(Config, prog="pmc2vec build", description="").limit == 5


def test_a_missing_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--input", "a") == "missing: --output PATH"
    assert refused(capsys) == "missing: --input STR ... --output PATH"


def test_a_misspelt_option_gets_a_proposal(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *REQUIRED, "--vector_sise", "3") == (
        "unrecognized options: --vector_sise, 3; perhaps you meant: --vector_size INT"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--vector_size", "x"], "--vector_size: 'x' is not a whole number"),
        (["--vector_size", "1.5"], "--vector_size: '1.5' is not a whole number"),
        (["--sample", "x"], "--sample: 'x' is not a number"),
        (["--limit", "x"], "--limit: 'x' is not a whole number"),
        (["--layers", "1", "x"], "--layers: 'x' is not a whole number"),
        (["--seed", "1"], "unrecognized options: --seed, 1"),
        (["stray", "--limit", "1", "stray"], "unrecognized options: stray"),
        (["--vector_size", "0"], "--vector_size 0 must be 1 or more"),
        (["--limit", "1", "--limit=2"], "--limit is given twice"),
        (["--no-lowercase", "--no_lowercase"], "--no_lowercase is given twice"),
        (["--limit"], "missing value for argument '--limit'"),
        (["--optimizer", "adam"], "invalid choice 'adam' for argument '--optimizer'"),
    ],
)
def test_a_bad_value_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert refused(capsys, *REQUIRED, *words).startswith(told)


def test_help_has_every_option_its_text_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(help_text(capsys).replace("│", " ").split())
    for told in (
        "usage: pmc2vec build [-h] [OPTIONS] Build a dataset.",
        "--input STR ... Where the articles are: files, folders or globs. (required)",
        "--output PATH The folder to write, which must not be there yet: it comes whole, with its",
        "manifest, or not at all. (required)",
        "--keywords STR ... Keep articles with one of these words. (default: none)",
        "--layers INT ... Some whole numbers. (default: 3 4)",
        "--sample FLOAT How much frequent words are thinned. (default: 0.001)",
        "--limit INT|none Articles to read. (default: none)",
        "--workdir PATH|none A folder or none. (default: run)",
        "--optimizer {adagrad,sgd} How the tables are updated. (default: adagrad)",
        "--lowercase, --no_lowercase Fold case. (default: True)",
        "--overwrite, --no_overwrite Replace what is there. (default: False)",
        "examples: pmc2vec build --input a --output b",
    ):
        assert told in text


@pytest.mark.parametrize("columns", ["240", "100", "72"])
def test_help_fits_the_terminal_and_100_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    longest = max(map(len, help_text(capsys).splitlines()))
    assert longest == min(100, int(columns))
    assert os.environ["COLUMNS"] == columns


def test_help_is_plain_text_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\033" not in help_text(capsys)


def test_positional_arguments_are_read() -> None:
    @dataclass(frozen=True)
    class Inspection:
        folders: tyro.conf.Positional[tuple[Path, ...]]
        check: bool = True

    config = parse(Inspection, ["a", "b", "--no_check"], prog="pmc2vec inspect", description="")
    assert config == Inspection((Path("a"), Path("b")), check=False)


class Terminal(io.TextIOWrapper):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_usage_error_is_as_plain_on_any_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", Terminal(io.BytesIO(), encoding=encoding))
    with pytest.raises(SystemExit):
        parsed("--output", "a", "--vector_sise", "3")
    assert capsys.readouterr().err == (
        "pmc2vec build: error: missing: --input STR ...; unrecognized options: --vector_sise 3 "
        "(pmc2vec build --help lists the options)\n"
    )


def test_gist_of_what_it_does_not_understand_is_its_text() -> None:
    assert summarize_complaint("Something else\nwent wrong.\n") == "something else went wrong"


@dataclass(frozen=True)
class Facts:
    """The options of another program that does not exist."""

    output: Path
    """The folder to write."""
    batch_size: int | None = option(None, minimum=1, default_text="2048, or 512 for sgd")
    """Tokens in a step,
    rounded to whole records."""
    cores: int = option(2, rare=True, may_change=True)
    """Cores to use."""
    words: tuple[str, ...] = ()
    """Words to show."""
    fast: bool = True
    """Be quick."""

    def __post_init__(self) -> None:
        check_options(self)


def facts_parsed(*words: str) -> Facts:
    return parse(Facts, words, prog="pmc2vec try", description="", examples=["pmc2vec try"])


def test_help_leaves_rare_options_to_help_all_and_names_the_resolved_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = {}
    for word in ("--help", "--help_all"):
        with pytest.raises(SystemExit) as stop:
            facts_parsed(word)
        assert not stop.value.code
        shown[word] = " ".join(capsys.readouterr().out.replace("│", " ").split())
    text = "Tokens in a step, rounded to whole records. (default: 2048, or 512 for sgd)"
    assert all(text in told for told in shown.values())
    assert "--cores" not in shown["--help"]
    assert "pmc2vec try --help_all shows all options, 1 more" in shown["--help"]
    assert "--cores INT Cores to use. (default: 2)" in shown["--help_all"]
    assert facts_parsed("--output", "o", "--cores", "3") == Facts(Path("o"), cores=3)


def test_facts_are_found_by_name_and_minimums_are_held(capsys: pytest.CaptureFixture[str]) -> None:
    assert options_that(Facts, "may_change") == ("cores",)
    with pytest.raises(SystemExit):
        facts_parsed("--output", "o", "--batch_size", "0")
    assert "--batch_size 0: must be at least 1" in capsys.readouterr().err


def test_options_in_a_file_are_overridden_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "options.toml"
    path.write_text('output = "o"\ncores = 3\nwords = ["a b", "c"]\nfast = false\n')
    for words in (["--options_file", str(path)], [f"--options_file={path}"]):
        assert facts_parsed(*words) == Facts(Path("o"), cores=3, words=("a b", "c"), fast=False)
    assert facts_parsed(f"--options_file={path}", "--fast", "--cores=4") == Facts(
        Path("o"), cores=4, words=("a b", "c")
    )
    path.write_text("coers = 3\n")
    for bad in (path, tmp_path / "none.toml"):
        with pytest.raises(SystemExit) as stop:
            facts_parsed("--options_file", str(bad))
        assert stop.value.code == 2
    told = capsys.readouterr().err
    assert f"--options_file {path}: there is no option coers" in told
    assert "none.toml: cannot be read" in told
