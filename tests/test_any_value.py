"""No option value and no file name ends in a traceback, or touches a file outside its folder."""

import contextlib
import io
import os
import shutil
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_pipelines import build
from pmc2vec.cli import options
from pmc2vec.cli.exit_codes import run_program
from pmc2vec.commands.main import COMMANDS, load_command
from pmc2vec.vectors.formats.workdir_files import write_vectors
from tests.bulk import article

IN_ONE_FOLDER = settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

PRINTABLE = st.characters(exclude_categories=("C", "Zl", "Zp"))
NUMBERS = (
    "0",
    "-1",
    "7",
    str(2**63 - 1),
    "1e999",
    "nan",
    "-inf",
    "9" * 25,
    "1e-400",
    "0x10",
    "1_000",
    "٣",
    "none",
    "",
)
PATTERNS = ("[", "[z-a]", "[!]", "*", "**/*", "?", "\\", "~", "$HOME", "a=b", "s3://", "x://y", ":")
VALUES = st.sampled_from((*NUMBERS, *PATTERNS)) | st.text(PRINTABLE, max_size=20)

NAMES = st.text(PRINTABLE, min_size=1, max_size=40).filter(
    lambda name: "/" not in name and name not in {".", ".."}
)
ODD_NAMES = ("[z-a]", "a[1]", "*", "%00", "{x}", "-v", "--", "~", "a b", "..x", "\\", "#", "é" * 60)

REQUIRED = MappingProxyType(
    {
        "build": ["--input", "a.xml", "--output", "data"],
        "train": ["--dataset", "data", "--workdir", "run"],
        "update": ["--input", "a.xml", "--root", "site"],
        "tensorboard": ["--workdir", "run"],
        "export": ["--workdir", "run", "--format", "tsv", "--output", "exported"],
        "sample": ["--output", "made"],
    }
)


def outcome(program) -> int:
    """The status of a program, which must end with at most a line of complaint."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = program()
        except SystemExit as stop:
            status = int(stop.code or 0)
    lines = [line for line in told.getvalue().splitlines() if "warning: " not in line]
    assert status in (0, 1, 2, 3)
    assert "Traceback" not in told.getvalue()
    assert status != 2 or len(lines) == 1, lines
    return status


@pytest.mark.parametrize("name", COMMANDS)
def test_no_value_of_an_option_is_a_traceback(name):
    module, _, kind = COMMANDS[name].options.partition(":")
    config_class = getattr(import_module(module), kind)
    option_names = st.sampled_from([field.name for field in fields(config_class)])

    @settings(max_examples=12)
    @given(option_names, st.lists(VALUES, max_size=2))
    def check(option: str, values: list[str]) -> None:
        required = REQUIRED.get(name, [])
        if f"--{option}" in required:
            at = required.index(f"--{option}")
            required = required[:at] + required[at + 2 :]
        words = [*required, f"--{option}", *values]
        outcome(lambda: options.parse(config_class, words, prog=name, description="") and 0)

    check()


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def neighbours(tmp_path, monkeypatch):
    """Files that patterns and odd names could reach, and an empty folder beside them."""
    for name in ("a1", "b", "outa", "v", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.txt").write_text(name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def check_only_in_work(folder: Path, programs) -> list[int]:
    """Runs programs in the folder `work`, which is emptied after; nothing beside it may change."""
    work = folder / "work"
    before = {name: data for name, data in snapshot(folder).items() if name.split("/")[0] != "work"}
    statuses = [outcome(program) for program in programs]
    after = {name: data for name, data in snapshot(folder).items() if name.split("/")[0] != "work"}
    assert after == before
    for path in work.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return statuses


@pytest.mark.parametrize("name", ODD_NAMES)
def test_build_takes_a_file_and_a_folder_of_an_odd_name(neighbours, name):
    work = neighbours / "work"
    (work / name).mkdir()
    (work / name / f"{name[:40]}.xml").write_bytes(article(1, "melanoma"))
    words = ["--input", f"{work}/{name}", "--output", f"{work}/d/{name}", "--min_count", "1"]
    words += ["--stop_after", "corpus", "--overwrite", "--", "--direct_num_workers=1"]
    assert check_only_in_work(neighbours, [lambda: build.main(words)]) == [0]


@IN_ONE_FOLDER
@given(name=NAMES | st.sampled_from(ODD_NAMES), pattern=VALUES)
def test_build_of_any_pattern_touches_nothing_beside_it(neighbours, name, pattern):
    words = [f"--input={pattern}", f"--output={name}", "--stop_after=corpus", "--overwrite"]
    if os.path.lexists(pattern) or "://" in pattern or "*" in pattern:
        return  # Reads what is there, or asks the network.
    (status,) = check_only_in_work(neighbours, [lambda: build.main(words)])
    assert status in (1, 2)


def queries_of(work: Path, name: str) -> dict[str, list[str]]:
    """Vectors and word pairs in files of a name, and what to ask of them by each command."""
    folder, pairs = work / name, work / f"{name[:40]}.tsv"
    folder.mkdir()
    matrix = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    write_vectors(folder, ["a", "b", "c"], np.array([3, 2, 1]), matrix)
    pairs.write_text("a\tb\t1\nb\tc\t2\na\tc\t3\n")
    return {
        "neighbours": ["a", f"--vectors={folder}"],
        "similarity": ["a", "b", f"--vectors={folder}"],
        "analogy": ["a", "b", "c", f"--vectors={folder}"],
        "odd-one-out": ["a", "b", "c", f"--vectors={folder}"],
        "vector": ["a", f"--vectors={folder}"],
        "evaluate": ["--files", str(pairs), f"--vectors={folder}"],
        "export": [f"--workdir={folder}", "--format=word2vec", f"--output={folder}/{name}"],
        "inspect": [str(folder)],
    }


@settings(IN_ONE_FOLDER, max_examples=60)
@given(data=st.data())
def test_no_value_makes_a_query_fail_with_a_traceback(neighbours, data):
    queries = queries_of(neighbours / "work", "run")
    command = data.draw(st.sampled_from(sorted(queries)))
    module, _, kind = COMMANDS[command].options.partition(":")
    names = [field.name for field in fields(getattr(import_module(module), kind))]
    option, value = data.draw(st.sampled_from(names)), data.draw(VALUES)
    given_words = [word for word in queries[command] if not word.startswith(f"--{option}=")]
    words = [*given_words, f"--{option}={value}"]
    check_only_in_work(neighbours, [lambda: run_program(lambda: load_command(command)(words))])


@IN_ONE_FOLDER
@given(name=NAMES | st.sampled_from(ODD_NAMES))
def test_vectors_in_a_folder_of_any_name_are_read_and_written_there_alone(neighbours, name):
    queries = queries_of(neighbours / "work", name)
    statuses = check_only_in_work(
        neighbours,
        [
            lambda words=words, command=command: run_program(lambda: load_command(command)(words))
            for command, words in queries.items()
        ],
    )
    assert set(statuses) <= {0, 1, 2}
    assert statuses[0] == 0
