"""trainer.distribution.single_device: many steps in a program are those steps one by one."""

import numpy as np
import pytest
import tensorflow as tf

from tests.test_model import SHAPES, D, V, batch_of, draw_records
from trainer.distribution.single_device import MAX_PROGRAM_STEPS, XlaStepRunner
from trainer.input_pipeline import Batch, BatchGroups
from trainer.model import SkipGram
from trainer.objectives import gradient_function
from trainer.optimizers import Adagrad

SHAPE = SHAPES[0]
COUNT = MAX_PROGRAM_STEPS["CPU"] + 4
RATES = np.linspace(0.2, 0.1, COUNT, dtype=np.float32)


def batches():
    """COUNT batches, one by one and as one group."""
    every = [batch_of(draw_records(SHAPE, seed=at)) for at in range(COUNT)]
    return every, Batch(*(np.stack(parts) for parts in zip(*every, strict=True)))


def made(*, tied=False, architecture="skipgram"):
    """A model, an optimizer and what it remembers."""
    model = SkipGram(SHAPE, words=V, vector_size=D, seed=1, tied=tied,
                     gradient_function=gradient_function(architecture))  # fmt: skip
    optimizer = Adagrad()
    slots = optimizer.slots(model.target), () if tied else optimizer.slots(model.context)
    return model, optimizer, slots


def numbers(model, slots):
    return [part.numpy() for part in (model.target, model.context, *slots[0], *slots[1])]


def in_programs(lengths, groups=COUNT, **options):
    """Totals and tables after calls of such lengths, of groups of so many batches."""
    model, optimizer, slots = made(**options)
    steps = XlaStepRunner(tf.distribute.get_strategy(), model, optimizer, slots)
    walk = BatchGroups(tf.data.Dataset.from_tensor_slices(tuple(batches()[1])).batch(groups))
    ends = np.cumsum(lengths)
    totals = [
        steps.run(walk, n, RATES[end - n : end]) for n, end in zip(lengths, ends, strict=True)
    ]
    return [np.concatenate(totals), *numbers(model, slots)]


def one_by_one(*, tied=False, **options):
    """The same by the model's and the optimizer's own functions."""
    model, optimizer, slots = made(tied=tied, **options)
    totals = []
    for batch, rate in zip(batches()[0], RATES, strict=True):
        found = model.gradients(batch)
        if tied:
            optimizer.update(model.target, slots[0], found.target + found.context, rate)
        else:
            optimizer.update(model.target, slots[0], found.target, rate)
            optimizer.update(model.context, slots[1], found.context, rate)
        totals.append(np.stack(found.totals))
    return [np.stack(totals), *numbers(model, slots)]


@pytest.mark.parametrize(
    "options", [{}, {"tied": True}, {"architecture": "cbow"}], ids=["two tables", "tied", "cbow"]
)
def test_programs_are_the_steps_one_by_one(options):
    found, expected = in_programs([COUNT], **options), one_by_one(**options)
    assert found[0].shape == (COUNT, 3)
    assert np.abs(expected[1] - made(**options)[0].target.numpy()).max() > 0.01
    hits = [totals[0][:, 2] for totals in (found, expected)]
    assert np.abs(hits[0] - hits[1]).max() <= 3  # Where a right word is a negative too.
    found[0], expected[0] = found[0][:, :2], expected[0][:, :2]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("lengths", "groups"), [([1, COUNT - 1], 14), ([3, 4, 7], 5), ([14], 1)])
def test_calls_and_groups_of_any_length_train_the_same(lengths, groups):
    for one, other in zip(in_programs(lengths, groups), in_programs([COUNT]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_preparing_compiles_the_program_and_changes_nothing():
    model, optimizer, slots = made()
    steps = XlaStepRunner(tf.distribute.get_strategy(), model, optimizer, slots)
    before = numbers(model, slots)
    walk = BatchGroups(tf.data.Dataset.from_tensor_slices(tuple(batches()[1])).batch(COUNT))
    steps.prepare(batches()[1].tokens.shape[1])
    for one, other in zip(before, numbers(model, slots), strict=True):
        np.testing.assert_array_equal(one, other)
    steps.run(walk, COUNT, RATES)
    assert steps._train_program.experimental_get_tracing_count() == 1


def test_measuring_changes_nothing():
    model, optimizer, slots = made()
    steps = XlaStepRunner(tf.distribute.get_strategy(), model, optimizer, slots)
    before = numbers(model, slots)
    walk = BatchGroups(tf.data.Dataset.from_tensor_slices(tuple(batches()[1])).batch(COUNT))
    totals = steps.run(walk, COUNT, np.zeros(0, np.float32))
    expected = [np.stack(model.totals(batch)) for batch in batches()[0]]
    np.testing.assert_allclose(totals, expected, rtol=1e-5)
    for one, other in zip(before, numbers(model, slots), strict=True):
        np.testing.assert_array_equal(one, other)
