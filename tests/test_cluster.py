"""Two processes that train together, named by TF_CONFIG; and one of them dies."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset
from trainer.distribution.replicas import Replicas
from trainer.input_pipeline import open_dataset, training_batches
from trainer.model import SkipGram
from trainer.optimizers import Adagrad
from trainer.schedule import LearningRateSchedule

ROOT = Path(__file__).parent.parent
STEPS = 60

WORKER = """
import os
import signal
import sys
from pmc2vec.cli.exit_codes import run_program
from pmc2vec.machine import load_tensorflow

load_tensorflow()
from trainer import task
from trainer.distribution.replicas import Replicas

dies_at, *words = sys.argv[1:]
train, calls = Replicas.train, []

def counted(self, *args, **options):
    calls.append(1)
    if len(calls) == int(dies_at):
        os.kill(os.getpid(), signal.SIGKILL)
    return train(self, *args, **options)

Replicas.train = counted
sys.exit(run_program(lambda: task.main(words)))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Three shards, which both workers read."""
    folder = tmp_path_factory.mktemp("cluster") / "dataset"
    return write_dataset(folder, topic_articles(24, sentences=20), num_shards=3)


def free_addresses(count: int) -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    return addresses


def run(dataset: Path, workdir: Path, *words: str, dies_at=(0, 0), own=((), ())):
    """Trains in two processes; returns the exit status of each and what it printed.

    Args:
        dataset: what to train on.
        workdir: of both.
        words: options of both.
        dies_at: for each, the call of the compiled steps in which it is killed.
        own: for each, options of its own.
    """
    config = {"cluster": {"worker": free_addresses(2)}}
    options = (
        f"--dataset {dataset} --workdir {workdir} --vector_size 8 --batch_size 256 --seed 3 "
        "--alpha 0.05 --warmup 0 --initial_accumulator_value 1 --validate_every 10 "
        f"--max_steps {STEPS} --checkpoint_every 0 --output_vectors sum"
    ).split()
    started = []
    for index in range(2):
        config["task"] = {"type": "worker", "index": index}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        command = [sys.executable, "-c", WORKER, str(dies_at[index]), *options, *words, *own[index]]
        started.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
    printed = [process.communicate()[0] for process in started]
    return [process.returncode for process in started], printed


def in_one_process(dataset: Path) -> np.ndarray:
    """The vectors of one device that is given the batches of both workers."""
    opened = open_dataset(str(dataset))
    replicas = Replicas(
        tf.distribute.get_strategy(),
        lambda: SkipGram(
            opened.manifest.shape, words=len(opened.vocabulary), vector_size=8, seed=3
        ),
        Adagrad(),
        LearningRateSchedule(0.05, 0.05, STEPS),
    )
    first, epoch = 0, 0
    while first < STEPS:
        batches = training_batches(
            opened, epoch=epoch, seed=3, records=8, redraw=True, grouped=True
        )
        count = min(opened.steps(epoch, 8), STEPS - first)
        replicas.train(replicas.batch_groups(batches), first_step=first, steps=count)
        first, epoch = first + count, epoch + 1
    return replicas.model.word_vectors("sum")


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--sync_every", "10")], ids=["in step", "averaged"])
def test_a_worker_dies_and_all_started_again_end_as_if_none_had(dataset, tmp_path, words):
    whole = tmp_path / "whole"
    status, printed = run(dataset, whole, *words)
    assert status == [0, 0], printed
    assert "trained " in printed[0]
    assert "trained " not in printed[1]
    if not words:
        found = Vectors.load(whole).matrix
        assert np.abs(found).max() > 0.1
        np.testing.assert_allclose(found, in_one_process(dataset), rtol=2e-3, atol=1e-4)

    for dies_at in ((0, 3), (3, 0)):
        status, printed = run(dataset, tmp_path / "run", *words, dies_at=dies_at)
        dead = dies_at.index(3)
        assert status[dead] == -9
        assert status[1 - dead] == 1
        last = printed[1 - dead].rstrip().splitlines()[-1]
        assert last.startswith("pmc2vec: error: another worker of the cluster is gone, so this ")
    status, printed = run(dataset, tmp_path / "run", *words)
    assert status == [0, 0], printed
    assert "continues after step" in printed[0]
    for name in ("vectors.tsv", "metadata.tsv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_workers_that_do_not_see_the_same_checkpoints_are_told(dataset, tmp_path):
    status, printed = run(dataset, tmp_path / "run", dies_at=(0, 3))
    assert status == [1, -9], printed
    apart = (("--checkpoint_dir", str(tmp_path / name)) for name in ("run/checkpoints", "other"))
    status, printed = run(dataset, tmp_path / "run", own=tuple(apart))
    assert status == [1, 1]
    assert "others do not; give a --checkpoint_dir that all see" in printed[0] + printed[1]


@pytest.mark.slow
def test_workers_with_other_options_do_not_begin(dataset, tmp_path):
    own = ((), ("--early_stopping", "3", "--optimizer", "sgd"))
    status, printed = run(dataset, tmp_path / "run", own=own)
    assert status == [2, 2], printed
    for text in printed:
        assert re.search(
            r"error: worker 1 \(.*\) has early_stopping 3 and optimizer sgd, "
            r"worker 0 has None and adagrad; start all workers",
            text,
        )
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_a_worker_that_waits_says_so_answers_and_hears_sigterm(dataset, tmp_path):
    config = {"cluster": {"worker": free_addresses(2)}, "task": {"type": "worker", "index": 1}}
    (address,) = free_addresses(1)
    command = [sys.executable, "-m", "trainer.task", "--dataset", dataset]
    command += ["--workdir", tmp_path / "run", "--metrics_port", address.partition(":")[2]]
    environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE
    ) as process:
        lines = iter(process.stderr.readline, "")
        assert any("waits for worker 0 (127.0.0.1:" in line for line in lines)
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=60) as answer:
            assert answer.read().startswith(b"wait for workers: moved")
        process.terminate()
        assert process.wait() == 143
