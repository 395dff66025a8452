"""pmc2vec/commands/main.py: a table of commands, each imported when it runs."""

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

import pmc2vec
from pmc2vec import __version__
from pmc2vec.cli.console import stderr_console
from pmc2vec.commands import main

PROGRAMS = {
    "programs_of_a_test.py": """
import sys
from pmc2vec.errors import UserError

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

COMMANDS: Mapping[str, main.Command] = {
    "echo": main.Command("programs_of_a_test:echo", "Say it again", "none:none"),
    "fails": main.Command("programs_of_a_test:fails", "Fail", "none:none"),
    "stopped": main.Command("programs_of_a_test:stopped", "Be interrupted", "none:none"),
    "engine": main.Command("needs_what_is_not_there:main", "Need more", "none:none"),
    "fault": main.Command("has_a_fault:main", "Need what we forgot", "none:none"),
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
    monkeypatch.setattr(main, "COMMANDS", COMMANDS)


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_and_examples(
    capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert main.main(argv) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith("usage: pmc2vec <command> [options]\n")
    width = max(map(len, main.COMMANDS))
    for name, command in main.COMMANDS.items():
        assert f"  {name:{width}}  {command.summary}\n" in said.out
    assert "\nexamples:\n  pmc2vec demo\n" in said.out
    assert max(map(len, said.out.splitlines())) <= 100
    assert "by default" not in said.out  # The default is named once, in brackets.
    assert "│ ..." not in said.out  # No list of values is longer than a line.


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"pmc2vec {__version__}\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("trian", "; did you mean 'train'?"), ("--input", ""), ("xyzzy", "")],
)
def test_an_unknown_command_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], word: str, hint: str
) -> None:
    assert main.main([word, "--epochs", "3"]) == 2
    assert capsys.readouterr() == (
        "",
        f"pmc2vec: error: no command {word!r}{hint} (pmc2vec --help lists them)\n",
    )


@pytest.mark.usefixtures("commands")
def test_a_command_gets_the_words_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["echo", "--a", "b c", "--", "-d"]) == 5
    assert capsys.readouterr().out == "echo --a b c -- -d\n"


@pytest.mark.usefixtures("commands")
def test_argv_is_the_processs_own_where_none_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["pmc2vec", "echo", "x"])
    assert main.main() == 5
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
    assert main.main([name]) == status
    assert capsys.readouterr() == ("", f"pmc2vec: {told}\n")


@pytest.mark.usefixtures("commands")
def test_a_module_of_ours_that_is_missing_is_a_fault() -> None:
    with pytest.raises(ModuleNotFoundError, match="a_module_that_we_forgot"):
        main.main(["fault"])


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_is_there(name: str) -> None:
    assert callable(main.load_command(name))


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_help_that_fits(capsys: pytest.CaptureFixture[str], name: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main([name, "--help"])
    assert not stop.value.code
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: pmc2vec {name} ")
    assert "\nexamples:\n" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_refuses_an_option_it_does_not_have(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main.main([name, "--an_option_of_no_program", "1"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"pmc2vec {name}: error: ")


@pytest.mark.parametrize(
    ("name", "engine"), [("build", "tensorflow"), ("train", "apache_beam"), ("--help", "tyro")]
)
def test_a_command_does_not_load_what_it_does_not_need(name: str, engine: str) -> None:
    code = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", {engine!r} in sys.modules))
from pmc2vec.commands.main import main
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
    home = {
        "build": "beam_pipelines.build",
        "train": "trainer.task",
        "Vectors": "pmc2vec.vectors.keyed_vectors",
    }
    assert getattr(pmc2vec, name) is getattr(import_module(home[name]), name)
    assert name in dir(pmc2vec)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'pmc2vec' has no attribute 'biuld'"):
        pmc2vec.biuld  # noqa: B018


# --- completion --------------------------------------------------------------------------------


def completed(script: str, *words: str) -> list[str]:
    """Returns what bash offers for the last of the words of a command line."""
    line = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _pmc2vec; printf '%s\\n' "
    run = subprocess.run(
        ["bash", "-c", script + ask + '"${COMPREPLY[@]}"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stderr == ""
    return run.stdout.split()


@pytest.fixture(scope="module")
def bash() -> str:
    command = [sys.executable, "-m", "pmc2vec", "completion", "bash"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pmc2vec tr", ["train"]),
        ("pmc2vec build --max_f", ["--max_final_vocab"]),
        ("pmc2vec build --no_shr", ["--no_shrink_windows"]),
        ("pmc2vec build --input x --tokenizer bio", ["biomedical"]),
        ("pmc2vec train --optimizer ", ["adagrad", "sgd", "adam", "rmsprop"]),
        ("pmc2vec export --format word2vec_", ["word2vec_binary"]),
        ("pmc2vec neighbours king --vec", ["--vectors"]),
        ("pmc2vec completion z", ["zsh"]),
        ("pmc2vec train --qu", ["--quiet"]),
        ("pmc2vec train --js", ["--json"]),
        ("pmc2vec export --js", []),
    ],
)
def test_bash_completes(bash: str, words: str, offered: list[str]) -> None:
    assert completed(bash, *words.split(" ")) == offered


@pytest.mark.parametrize("name", sorted(main.COMMANDS))
def test_completion_offers_json_where_a_command_takes_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main.load_command(name)(["--help"])
    flags = capsys.readouterr().out.rpartition("and any of: ")[2]
    assert ("--json" in flags) == main.COMMANDS[name].json_result


def test_bash_completes_files_where_nothing_else_is_known(bash: str) -> None:
    assert "/etc/passwd" in completed(bash, "pmc2vec", "train", "--dataset", "/etc/passw")


def test_zsh_takes_bashs_script_and_fish_has_its_own(
    bash: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out == "autoload -U +X bashcompinit && bashcompinit\n" + bash
    assert main.main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "complete -c pmc2vec -n '__fish_seen_subcommand_from train' -l vector_size" in lines
    for name in main.COMMANDS:
        assert any(f" -n __fish_use_subcommand -f -a {name} -d '" in line for line in lines)


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
def test_fish_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", "fish"]) == 0
    (tmp_path / "pmc2vec.fish").write_text(capsys.readouterr().out)
    ask = 'source pmc2vec.fish; complete -C "pmc2vec bui"; complete -C "pmc2vec train --optimizer "'
    run = subprocess.run(
        ["fish", "-c", ask], cwd=tmp_path, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    command, *values = run.stdout.splitlines()
    assert command.split("\t") == ["build", "Turn articles, or any text, into a dataset"]
    assert values == ["adagrad", "sgd"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
@pytest.mark.parametrize(
    ("typed", "shown"),
    [("pmc2vec buil", "pmc2vec build"), ("pmc2vec train --optimizer ad", "--optimizer adagrad")],
)
def test_zsh_completes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: str, shown: str
) -> None:
    """On a terminal, where Tab is pressed."""
    assert main.main(["completion", "zsh"]) == 0
    (tmp_path / "pmc2vec.zsh").write_text(capsys.readouterr().out)
    process, terminal = pty.fork()
    if process == 0:
        environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TERM": "dumb"}
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
    try:
        script = tmp_path / "pmc2vec.zsh"
        begin = f"autoload -Uz compinit; compinit -u -D; source {script}; echo rea''dy\n"
        os.write(terminal, begin.encode())
        assert "ready" in seen(terminal, "ready")
        os.write(terminal, f"{typed}\t".encode())
        assert shown in seen(terminal, shown)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


def seen(terminal: int, awaited: str) -> str:
    """Returns what a terminal shows until it shows what is awaited, or for 20 seconds at most."""
    shown = ""
    while awaited not in shown and select.select([terminal], [], [], 20)[0]:
        shown += os.read(terminal, 4096).decode()
    return shown


# --- verbosity -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verbosity")
    (folder / "mine.txt").write_text(
        "the king saw the queen and loved the queen of the night\n" * 99
    )
    return folder


def ran(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": "/usr/bin:/bin", **env}
    command = [sys.executable, "-m", "pmc2vec", *words]
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def test_a_quiet_build_and_training_print_their_results_as_json_and_nothing_else(
    built: Path,
) -> None:
    run = ran(built, "build", "--input", "mine.txt", "--output", "data", "--quiet", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    facts = json.loads(run.stdout)
    assert facts["funnel"]["sentences"] == 99
    assert facts["vocabulary"]["words"] == 8
    words = ("train", "--dataset", "data", "--workdir", "run", "--epochs", "1")
    run = ran(built, *words, "--quiet", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout)["words"] == 8


def test_a_failure_says_where_it_comes_from_if_verbose(built: Path) -> None:
    words = ("inspect", "nowhere")
    (line,) = ran(built, *words).stderr.splitlines()
    *trace, last = ran(built, *words, "--verbose").stderr.splitlines()
    assert last == line
    assert trace[0] == "Traceback (most recent call last):"


def test_progress_in_a_log_is_lines_without_colour(built: Path) -> None:
    run = ran(built, "build", "--input", "mine.txt", "--output", "again")
    assert run.stderr.startswith("read: 0 of 0 MB")
    assert "\x1b" not in run.stderr + run.stdout


def test_no_color_is_obeyed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert stderr_console().color_system is not None
    monkeypatch.setenv("NO_COLOR", "1")
    assert stderr_console().no_color
