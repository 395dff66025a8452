"""A GPU, and one shared out as two: the CPU's tables, vectors that mean something, equal copies.

Products are in TensorFloat-32 there, of 10 bits, and rows are added in any order: numbers agree up
to that, and are not the same in two runs.
"""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset
from tests.test_devices import run
from tests.test_single_device import COUNT, in_programs, one_by_one
from trainer.config import TrainConfig
from trainer.task import train

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        pytest.skip("there is no GPU")
    for gpu in gpus:  # Some memory is left for the process of its own.
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    return write_dataset(tmp_path_factory.mktemp("gpu") / "dataset", topic_articles())


def learned(workdir: Path) -> None:
    """Checks that words are near to those of their topic."""
    vectors = Vectors.load(workdir)
    words = ("a1", "b1", "c2", "d3")
    near = [(word, other) for word in words for other, _ in vectors.most_similar(word, topn=5)]
    assert sum(word[0] == other[0] for word, other in near) >= 17, near


@pytest.mark.parametrize(
    "options", [{}, {"tied": True}, {"architecture": "cbow"}], ids=["two tables", "tied", "cbow"]
)
@pytest.mark.usefixtures("dataset")
def test_programs_there_are_the_steps_of_a_cpu(options):
    found = in_programs([COUNT], **options)
    with tf.device("CPU"):
        expected = one_by_one(**options)
    np.testing.assert_allclose(found[0][:, :2], expected[0][:, :2], rtol=2e-3)
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert np.abs(other).max() > 0.05
        np.testing.assert_allclose(one, other, atol=0.02 * np.abs(other).max())


def test_it_learns_and_a_finished_training_goes_on(dataset, tmp_path):
    options = {"vector_size": 8, "batch_size": 256, "seed": 3}
    for epochs in (2, 4):
        train(TrainConfig(dataset=str(dataset), workdir=tmp_path, epochs=epochs, **options))
    learned(tmp_path)


SHARED = """
import sys
import numpy as np
from pmc2vec.machine import load_tensorflow

load_tensorflow()
import tensorflow as tf
from trainer.input_pipeline import open_dataset, training_batches
from trainer.model import SkipGram
from trainer.optimizers import Adagrad
from trainer.distribution.replicas import Replicas
from trainer.schedule import LearningRateSchedule

(gpu,) = tf.config.list_physical_devices("GPU")[:1]
half = tf.config.LogicalDeviceConfiguration(memory_limit=2048)
tf.config.set_visible_devices([gpu], "GPU")
tf.config.set_logical_device_configuration(gpu, [half, half])
two = tf.distribute.MirroredStrategy(
    ["GPU:0", "GPU:1"], tf.distribute.ReductionToOneDevice())  # NCCL wants two chips.
dataset = open_dataset(sys.argv[1])

def new_model():
    return SkipGram(dataset.manifest.shape, words=len(dataset.vocabulary), vector_size=8, seed=1)

def trained(strategy, sync_every):
    replicas = Replicas(strategy, new_model, Adagrad(), LearningRateSchedule(0.1, 0.1, 100),
                        sync_every=sync_every)
    groups = training_batches(dataset, epoch=0, seed=1, records=8, grouped=True)
    steps = dataset.steps(0, 8)
    totals = replicas.train(replicas.batch_groups(groups), first_step=0, steps=steps)
    variables = [replicas.model.target, replicas.model.context, *replicas.slots[0]]
    copies = [[copy.numpy() for copy in strategy.experimental_local_results(variable)]
              for variable in variables]
    return totals.sum(0), copies

with tf.device("GPU:0"):
    alone, tables = trained(tf.distribute.get_strategy(), None)
for sync_every, most in ((None, 0.02), (10, 0.5)):
    (loss, pairs, _), copies = trained(two, sync_every)
    assert pairs == alone[1]
    assert abs(loss / alone[0] - 1) < most
    for both, (one,) in zip(copies, tables):
        assert len(both) == 2
        assert np.abs(both[0] - both[1]).max() < 1e-3
        if sync_every is None:
            assert np.abs(both[0] - one).max() < most * np.abs(one).max()
print("equal")
"""


def test_copies_on_two_devices_stay_equal(dataset):
    assert run(SHARED, dataset) == "equal\n"
