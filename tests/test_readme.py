import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import parsed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def test_the_walk_through_works_as_written(tmp_path):
    """Runs every `$` line and the Python example, one after the other, in an empty folder."""
    commands = [line[2:] for block in blocks("console") for line in block.splitlines()]
    assert len(commands) >= 8
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "pmc2vec"
        done = subprocess.run(
            [sys.executable, "-m", "pmc2vec", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
        assert done.stdout.strip()
    (example,) = blocks("python")
    (tmp_path / "example.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("[('")


def test_every_make_target_in_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"s"}
    assert {"demo", "test"} <= named & targets
    assert named - targets == set()


def options(command):
    """Returns the options in the README's table of a command."""
    (table,) = re.findall(rf"\| `pmc2vec {command}`.*?\n\n", README + "\n", re.DOTALL)
    return re.findall(r"`--(\w+)[ `]", table)


@pytest.mark.parametrize(
    ("command", "config"),
    [
        ("build", "beam_pipelines.config:BuildConfig"),
        ("train", "trainer.config:TrainConfig"),
    ],
)
def test_every_option_in_a_table_exists(command, config):
    from dataclasses import fields
    from importlib import import_module

    module, name = config.split(":")
    known = {field.name for field in fields(getattr(import_module(module), name))}
    assert len(options(command)) > 5
    assert set(options(command)) - known == set()


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_is_shown_can_be_given(path):
    for command in re.findall(r"^\$ pmc2vec (.*)$", path.read_text("utf-8"), re.MULTILINE):
        parsed(shlex.split(command))


def test_every_file_that_is_linked_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
