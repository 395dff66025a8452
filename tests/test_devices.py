"""Several devices, faked on a CPU: averaged tables, and every strategy stopped and continued."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets import topic_articles, write_dataset

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("devices") / "dataset", topic_articles())


def run(code: str, *words: object) -> str:
    """Returns what a Python of its own prints: TensorFlow splits a CPU once in a process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


HEAD = """
import sys
import numpy as np
from pmc2vec.machine import load_tensorflow
from trainer.devices import distribution_strategy

load_tensorflow()
import tensorflow as tf
from trainer.input_pipeline import Batch, open_dataset, training_batches
from trainer.model import SkipGram
from trainer.optimizers import Adagrad, Sgd
from trainer.distribution.single_device import split_between_devices
from trainer.distribution.replicas import Replicas
from trainer.schedule import LearningRateSchedule

DEVICES = int(sys.argv[2])
mirrored = distribution_strategy(DEVICES)
dataset = open_dataset(sys.argv[1])

def make(optimizer, rate, one=mirrored, **options):
    return Replicas(one, new_model, optimizer, LearningRateSchedule(rate, rate, 100), **options)

def new_model():
    return SkipGram(dataset.manifest.shape, words=len(dataset.vocabulary), vector_size=8, seed=1)

def batches():
    return training_batches(dataset, epoch=0, seed=1, records=8, grouped=True)

def copies(replicas):
    variables = [replicas.model.target, replicas.model.context, *replicas.slots[0],
                 *replicas.slots[1]]
    return [np.stack([copy.numpy() for copy in mirrored.experimental_local_results(variable)])
            for variable in variables]
"""

MEAN = """
# Each device gets as many records in a row, on itself.
numbers = np.arange(3 * 8 * 4, dtype=np.int32).reshape(3, 8, 4)
dealt = split_between_devices(Batch(*[tf.constant(numbers)] * 3), mirrored)
for part in dealt:
    own = mirrored.experimental_local_results(part)
    assert [each.shape[1] for each in own] == [8 // DEVICES] * DEVICES
    assert len({each.device for each in own}) == DEVICES
    assert np.array_equal(np.concatenate(own, 1), numbers)

# To prepare changes nothing, in step or apart.
for every in (None, 2):
    prepared = make(Adagrad(), 0.1, sync_every=every)
    before = copies(prepared)
    prepared.prepare(8)
    for one, other in zip(before, copies(prepared)):
        assert np.array_equal(one, other)

# One step apart, its average held back: the copies differ. The average then keeps their mean.
held = make(Adagrad(), 0.1, sync_every=2)
average, held._average_copies = held._average_copies, lambda: None
held.train(held.batch_groups(batches()), first_step=0, steps=5)
before = copies(held)
assert all(np.abs(part[0] - part[-1]).max() > 1e-4 for part in before)
average()
after = copies(held)
for old, new in zip(before, after):
    assert len(new) == DEVICES
    assert all(np.array_equal(new[0], copy) for copy in new)
    np.testing.assert_allclose(new[0], old.astype(np.float64).mean(0), rtol=1e-5, atol=1e-8)

# It is what calls of any length do at every second step, and at their end.
whole, parts = (make(Adagrad(), 0.1, sync_every=2) for _ in range(2))
whole.train(whole.batch_groups(batches()), first_step=0, steps=5)
iterator = parts.batch_groups(batches())
for first, steps in ((0, 2), (2, 2), (4, 1)):
    parts.train(iterator, first_step=first, steps=steps)
for one, other in zip(copies(whole), copies(parts)):
    assert np.array_equal(one, other)
    assert np.array_equal(one[0], one[-1])

# Averaged after every step, gradient descent is that of all devices in step at a part of the rate.
apart, together = make(Sgd(), 0.002 * DEVICES, sync_every=1), make(Sgd(), 0.002)
for replicas in (apart, together):
    replicas.train(replicas.batch_groups(batches()), first_step=0, steps=8)
for one, other in zip(copies(apart), copies(together)):
    assert np.abs(other[0]).max() > 0.005
    np.testing.assert_allclose(one[0], other[0], rtol=1e-3, atol=1e-6)
print("mean")
"""


@pytest.mark.parametrize("devices", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_averaging_keeps_the_mean_and_with_sgd_every_step_is_the_synchronous_one(dataset, devices):
    assert run(HEAD + MEAN, dataset, devices) == "mean\n"


TRAINING = """
import signal
import sys
from pathlib import Path
from trainer.config import TrainConfig
from pmc2vec.cli.signals import stop_request
from pmc2vec.machine import load_tensorflow

load_tensorflow()
from trainer.distribution.replicas import Replicas
from trainer.task import train
from pmc2vec.vectors.keyed_vectors import Vectors

folder, devices, sync_every = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

def config(workdir, **options):
    return TrainConfig(dataset=sys.argv[1], workdir=workdir, vector_size=8, batch_size=256,
                       validate_every=20, validation_steps=1, seed=3, devices=devices,
                       sync_every=sync_every or None, **{"epochs": 4, **options})

train(config(folder / "whole"))
vectors = Vectors.load(folder / "whole")
near = [(p, word) for p in ("a1", "b1", "c2", "d3") for word, _ in vectors.most_similar(p, topn=5)]
assert sum(p[0] == word[0] for p, word in near) >= 17, near

steps, calls = Replicas.train, []

def interrupted(self, *args, **options):
    calls.append(1)
    if len(calls) == 4:
        signal.raise_signal(signal.SIGTERM)
    return steps(self, *args, **options)

Replicas.train = interrupted
try:
    train(config(folder / "run"), stop=stop_request())
except SystemExit as stop:
    assert stop.code == 143
else:
    raise AssertionError("it did not stop")
Replicas.train = steps
train(config(folder / "run"))
for name in ("vectors.tsv", "metadata.tsv"):
    assert (folder / "run" / name).read_bytes() == (folder / "whole" / name).read_bytes()
print("equal")
"""


@pytest.mark.parametrize(
    ("devices", "sync_every"), [(2, 10), pytest.param(4, 4, marks=pytest.mark.slow), (2, 0)]
)
def test_it_learns_and_stopped_and_continued_the_tables_are_the_same(
    dataset, tmp_path, devices, sync_every
):
    assert run(TRAINING, dataset, tmp_path, devices, sync_every).endswith("equal\n")
