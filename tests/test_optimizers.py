"""trainer.optimizers: Adam and RMSprop are Keras's."""

import numpy as np
import pytest
import tensorflow as tf

from tests.datasets import topic_articles, write_dataset
from trainer.config import TrainConfig
from trainer.optimizers import Adam, RMSprop, RowGradients, dense_gradient
from trainer.task import train

ROWS, SIZE = 6, 3
PAIRS = [(Adam(), "adam"), (RMSprop(), "rmsprop")]


def step_gradients(step):
    """Two parts of a gradient; row 2 is in both, and twice in one."""
    rng = np.random.default_rng(step)
    return [
        RowGradients(tf.constant(ids), tf.constant(rng.normal(size=(len(ids), SIZE)), tf.float32))
        for ids in ([2, 0, 2], [2, 5])
    ]


@pytest.mark.parametrize(("optimizer", "name"), PAIRS)
def test_steps_are_those_of_keras(optimizer, name):
    start = np.random.default_rng(0).normal(size=(ROWS, SIZE)).astype(np.float32)
    ours, theirs = tf.Variable(start), tf.keras.Variable(start)
    slots, reference = optimizer.slots(ours), tf.keras.optimizers.get(name)
    for step in range(4):
        gradients = step_gradients(step)
        optimizer.update(ours, slots, gradients, tf.constant(0.001))
        reference.apply([dense_gradient(ours, gradients)], [theirs])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-7)
    assert (ours.numpy()[0] != start[0]).all()
    assert (ours.numpy()[1] == start[1]).all()


@pytest.mark.parametrize(("optimizer", "name"), PAIRS)
def test_a_rate_of_zero_changes_nothing(optimizer, name):
    table = tf.Variable(tf.ones([ROWS, SIZE]))
    slots = optimizer.slots(table)
    optimizer.update(table, slots, step_gradients(1), tf.constant(0.001))
    before = [variable.numpy() for variable in (table, *slots)]
    optimizer.update(table, slots, step_gradients(2), tf.constant(0.0))
    for variable, values in zip((table, *slots), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values, err_msg=name)


def test_adam_trains_by_name_with_keras_rate_and_says_what_the_batch_became(tmp_path, caplog):
    dataset = write_dataset(tmp_path / "dataset", topic_articles(20))
    config = TrainConfig(
        dataset=str(dataset), workdir=tmp_path / "run", vector_size=8, optimizer="adam",
        batch_size=20, epochs=2, probe_words=("random:2:9",), probe_neighbours=2, probe_every=70,
    )  # fmt: skip
    assert config.rates() == (0.001, 0.001)
    with caplog.at_level("INFO"):
        summary = train(config)
    assert "--batch_size 20: a step takes whole records, so here 32 tokens" in caplog.text
    assert summary.loss < 0.95 * 6 * np.log(2)
    assert caplog.text.count("step 70\n") == 1
