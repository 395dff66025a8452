"""`kill -9` at random moments, then the same command: the tables of an undisturbed training."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets import topic_articles, write_dataset
from trainer.config import TrainConfig
from trainer.task import train

ROOT = Path(__file__).parent.parent

# The process is killed by the system, at a line of Python that it comes by: in a step, in a
# checkpoint half written, between an epoch and its validation, or while vectors are written.
KILLED = """
import os
import signal
import sys
from pmc2vec.cli.exit_codes import run_program
from pmc2vec.machine import load_tensorflow

load_tensorflow()
import trainer.loop
from trainer import task

left, *words = sys.argv[1:]
left = int(left)

def count(frame, event, _):
    global left
    name = frame.f_code.co_filename
    if "/trainer/" not in name and not name.endswith("checkpoint_management.py"):
        return None
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return count

sys.settrace(count)
sys.exit(run_program(lambda: task.main(words)))
"""


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", topic_articles(24, sentences=20))
    options = {"vector_size": 8, "batch_size": 128, "epochs": 3, "seed": 3, "validate_every": 40}
    whole = train(TrainConfig(dataset=str(dataset), workdir=tmp_path / "whole", **options))
    workdir = tmp_path / "run"
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [f"--dataset={dataset}", f"--workdir={workdir}", "--checkpoint_every=0", *words]
    draw, moments = random.Random(5), []
    while True:
        moments.append(draw.randrange(2000, 4500 + 400 * len(moments)))
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(moments[-1]), *command],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert len(moments) < 30
    assert len(moments) > 3
    for name in ("vectors.tsv", "metadata.tsv"):
        assert (workdir / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    facts = json.loads((workdir / "provenance.json").read_text())
    assert (facts["trained"]["epochs"], facts["trained"]["steps"]) == (3, whole.steps)
    assert facts["scores"]["loss"] == whole.loss
    assert facts["scores"]["validation_loss"] == whole.validation_loss
    assert not list(workdir.glob("*.tmp"))
    print(f"killed {len(moments) - 1} times")
