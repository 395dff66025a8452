"""examples/: every script through its real entry, on little."""

import importlib.util
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pmc2vec.commands import main
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

NOUNS = "king queen night day love hate house water street river horse crown sword letter".split()
VERBS = "saw found lost wanted knew gave took held heard left".split()


def lines(count):
    """Returns lines of a play of nobody's: `the king of York saw the night.`"""
    rng = random.Random(count)
    return [
        f"The {rng.choice(NOUNS)} of York {rng.choice(VERBS)} the {rng.choice(NOUNS)}, and the "
        f"{rng.choice(NOUNS)} {rng.choice(VERBS)} a {rng.choice(NOUNS)}."
        for _ in range(count)
    ]  # fmt: skip


def run(*words, cwd):
    """Returns what a script printed."""
    folder = cwd / "bin"  # `pmc2vec` as this Python has it.
    folder.mkdir(exist_ok=True)
    command = folder / "pmc2vec"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pmc2vec "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def load(name):
    """Returns an example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    assert main.main(["sample", "--output", str(folder / "bulk"), "--articles", "200"]) == 0
    return folder


def test_the_notebook_in_four_commands(sample):
    (command,) = re.findall(
        r"^\$ (examples/.*)$", (EXAMPLES / "README.md").read_text(), re.MULTILINE
    )
    script, *words = command.split()
    out = run(ROOT / script, *words, cwd=sample)
    assert re.search(r"^melanoma\t\S+\t0\.\d+\t\d+$", out, re.MULTILINE)
    assert re.search(r"dropped, no keyword +-\d", out)
    assert Vectors.load(sample / "cancer/run/vectors.bin").vector_size == 128


def test_shakespeare(tmp_path):
    (tmp_path / "plays.txt").write_text("\n".join(lines(2000)))
    # Some twenty words a hundred times over: the examples' rates are for real texts.
    words = ("plays.txt", "out", "--epochs", "1", "--alpha", "0.02")
    out = run(EXAMPLES / "shakespeare.sh", *words, cwd=tmp_path)
    vectors = Vectors.load(tmp_path / "out/run")
    assert set(NOUNS) < set(vectors.words)
    assert out.count("\nking\t") == out.count("\nlove\t") == 5


def test_a_folder_of_novels(tmp_path):
    (tmp_path / "novels").mkdir()
    for name in ("one", "two"):
        text = re.sub(r"(\.\n(?:.*\n){4})", r"\1\n", "\n".join(lines(1000)))
        (tmp_path / f"novels/{name}.txt").write_text(text)
    words = ("novels", "out", "--epochs", "1", "--alpha", "0.02")
    out = run(EXAMPLES / "novels.sh", *words, cwd=tmp_path)
    assert {"york", "house"} < set(Vectors.load(tmp_path / "out/run").words)
    assert out.count("\nhouse\t") == 5


def test_neighbours_are_told_while_training(tmp_path):
    write_dataset(tmp_path / "dataset", topic_articles(8))
    script = EXAMPLES / "neighbours_while_training.sh"
    out = run(script, "dataset", "run", "a1", "b1", cwd=tmp_path)
    assert len(re.findall(r"^  a1 +[a-d]\d+ [01]\.\d\d, ", out, re.MULTILINE)) == 5
    assert "all of it: pmc2vec tensorboard --workdir run" in out


def test_the_lesson_shows_what_vectors_are_good_for(sample, capsys):
    build = ["build", "--input", str(sample / "bulk"), "--output", str(sample / "all")]
    assert main.main(build) == 0
    train = ["train", "--dataset", str(sample / "all"), "--workdir", str(sample / "run")]
    assert main.main([*train, "--vector_size", "48", "--epochs", "12"]) == 0
    lesson = load("embeddings_lesson")
    capsys.readouterr()
    assert lesson.main(["--bulk", str(sample / "bulk"), "--run", str(sample / "run")]) == 0
    out = capsys.readouterr().out
    share = {n: int(p) for n, p in re.findall(r"^([\w-]+) +(\d+)% of the texts", out, re.MULTILINE)}
    assert share["frozen"] > share["random"] + 15
    assert share["fine-tuned"] > share["random"] + 15
    assert re.search(r"^[\d,]+ of [\d,]+ analogies are right$", out, re.MULTILINE)


def test_the_word_that_moved_is_found_whatever_the_rotation(tmp_path, capsys):
    rng = np.random.default_rng(1)
    words = [f"word{n}" for n in range(200)]
    then = rng.normal(size=(200, 16)).astype(np.float32)
    rotation, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    now = (then @ rotation + 0.1 * rng.normal(size=then.shape)).astype(np.float32)
    now[7] = now[30] + 0.1 * rng.normal(size=16)
    for name, matrix, names in (("then", then, words), ("now", now[::-1], words[::-1])):
        rows = (f"{w} {' '.join(map(str, row))}\n" for w, row in zip(names, matrix, strict=True))
        (tmp_path / f"{name}.txt").write_text(f"200 16\n{''.join(rows)}")
    example = load("words_that_moved")
    files = ["--earlier", str(tmp_path / "then.txt"), "--later", str(tmp_path / "now.txt")]
    assert example.main([*files, "--topn", "2"]) == 0
    first, second = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert first[0] == "word7"
    assert first[3].startswith("word30, ")
    assert float(first[1]) < 0.8 < float(second[1])


def test_ones_own_text_needs_three_commands_and_two_minutes(tmp_path):
    """build, train, neighbours, with nothing but defaults, on a text of 1 MB."""
    (tmp_path / "mine.txt").write_text("\n".join(lines(15_000)))
    for words in (
        "build --input mine.txt --output dataset",
        "train --dataset dataset --workdir run",
        "neighbours king --vectors run",
    ):
        out = run(sys.executable, "-m", "pmc2vec", *words.split(), cwd=tmp_path)
    assert out.count("\nking\t") == 10


def test_every_script_is_in_the_table():
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    ours = {path.name for path in EXAMPLES.iterdir()} - {"README.md", "__pycache__"}
    assert {name for name in ours if f"({name})" not in table} == set()
