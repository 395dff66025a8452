"""pmc2vec/cli.py: a table of commands, each imported when it runs."""

import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

import pmc2vec
from beam_pipelines import __version__
from pmc2vec import cli

PROGRAMS = {
    "programs_of_a_test.py": """
import sys
from beam_pipelines.records import UserError

def echo(argv):
    print("echo", *argv)
    return 5

def fails(argv):
    raise UserError("no article in articles/: give --input a folder with .xml files")

def stopped(argv):
    raise KeyboardInterrupt
""",
    "needs_what_is_not_there.py": "import an_engine_that_is_not_there.core\n",
    "has_a_fault.py": "import pmc2vec.a_module_that_we_forgot\n",
}

COMMANDS: Mapping[str, cli.Command] = {
    "echo": cli.Command("programs_of_a_test:echo", "Say it again"),
    "fails": cli.Command("programs_of_a_test:fails", "Fail"),
    "stopped": cli.Command("programs_of_a_test:stopped", "Be interrupted"),
    "engine": cli.Command("needs_what_is_not_there:main", "Need more"),
    "fault": cli.Command("has_a_fault:main", "Need what we forgot"),
}

NOT_INSTALLED = (
    "error: engine needs an_engine_that_is_not_there, which is not installed; "
    "pip install 'pmc2vec[beam,trainer]' installs what both halves need"
)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Puts the commands above in place of the real ones."""
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(cli, "COMMANDS", COMMANDS)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_and_examples(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert cli.main(argv) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("usage: pmc2vec <command> [options]\n")
    for name, command in cli.COMMANDS.items():
        assert f"  {name:10}  {command.summary}\n" in said.out
    assert "\nexamples:\n  pmc2vec demo\n" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pmc2vec {__version__}\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("trian", "; did you mean 'train'?"), ("--input", ""), ("xyzzy", "")],
)
def test_an_unknown_command_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], word: str, hint: str
) -> None:
    assert cli.main([word, "--epochs", "3"]) == 2
    assert capsys.readouterr() == (
        "",
        f"pmc2vec: error: no command {word!r}{hint} (pmc2vec --help lists them)\n",
    )


@pytest.mark.usefixtures("commands")
def test_a_command_gets_the_words_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["echo", "--a", "b c", "--", "-d"]) == 5
    assert capsys.readouterr().out == "echo --a b c -- -d\n"


@pytest.mark.usefixtures("commands")
def test_argv_is_the_processs_own_where_none_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["pmc2vec", "echo", "x"])
    assert cli.main() == 5
    assert capsys.readouterr().out == "echo x\n"


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("fails", 1, "error: no article in articles/: give --input a folder with .xml files"),
        ("stopped", 130, "interrupted"),
        ("engine", 1, NOT_INSTALLED),
    ],
)
def test_a_command_that_fails_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], name: str, status: int, told: str
) -> None:
    assert cli.main([name]) == status
    assert capsys.readouterr() == ("", f"pmc2vec: {told}\n")


@pytest.mark.usefixtures("commands")
def test_a_module_of_ours_that_is_missing_is_a_fault() -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_we_forgot"):
        cli.main(["fault"])


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there(name: str) -> None:
    assert callable(cli.load(name))


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_that_fits(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert not stop.value.code
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: pmc2vec {name} ")
    assert "\nexamples:\n" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_refuses_an_option_it_does_not_have(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--an_option_of_no_program", "1"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"pmc2vec {name}: error: ")


@pytest.mark.parametrize(
    ("name", "engine"), [("build", "tensorflow"), ("train", "apache_beam"), ("--help", "tyro")]
)
def test_a_command_does_not_load_what_it_does_not_need(name: str, engine: str) -> None:
    code = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", {engine!r} in sys.modules))
from pmc2vec.cli import main
raise SystemExit(main([{name!r}, "--help"]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("usage: pmc2vec ")
    assert run.stdout.endswith("loaded: False\n")


def test_python_m_pmc2vec_is_pmc2vec() -> None:
    command = [sys.executable, "-m", "pmc2vec", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == f"pmc2vec {__version__}\n"


@pytest.mark.parametrize("name", ["build", "train", "Vectors"])
def test_public_names_are_those_of_their_modules(name: str) -> None:
    home = {"build": "beam_pipelines.build", "train": "trainer.task", "Vectors": "trainer.vectors"}
    assert getattr(pmc2vec, name) is getattr(import_module(home[name]), name)
    assert name in dir(pmc2vec)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'pmc2vec' has no attribute 'biuld'"):
        pmc2vec.biuld  # noqa: B018
