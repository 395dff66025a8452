"""trainer.objectives: every architecture with every objective equals plain NumPy, and autodiff."""

from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.dataset.records import WINDOW_BITS, Record, RecordShape
from pmc2vec.dataset.skipgrams import sentence_numbers
from tests.test_model import SHAPES, D, V, batch_of, draw_records, draw_tables
from trainer import model
from trainer.objectives import (
    ARCHITECTURES,
    OBJECTIVES,
    gradient_function,
    matmul_bfloat16,
    skipgram,
)

EVERY = list(product(ARCHITECTURES, OBJECTIVES))


def contexts_of(record: Record) -> list[tuple[int, list[int], int]]:
    """Each token that has contexts: its place, theirs, and its word."""
    sentences, reach = sentence_numbers(record), record.windows & WINDOW_BITS
    places = range(len(record.tokens))
    found = [
        [j for j in places if 0 < abs(i - j) <= reach[i] and sentences[i] == sentences[j] >= 0]
        for i in places
    ]
    return [(i, js, int(record.tokens[i])) for i, js in enumerate(found) if js]


def predictions(architecture: str, records: list[Record], shape: RecordShape):
    """Each prediction: words whose target rows are averaged, the right word, the negatives."""
    for record in records:
        negatives = record.negatives.reshape(shape.blocks, -1)
        for place, places, word in contexts_of(record):
            noise = negatives[place // shape.block].tolist()
            contexts = [int(record.tokens[j]) for j in places]
            if architecture == "cbow":
                yield contexts, word, noise
            else:
                yield from (([word], context, noise) for context in contexts)


def reference(architecture, objective, target, context, records, shape):
    """Loss, predictions and hits, one after the other, in float64.

    The right word may be among the negatives: their logits are then equal but for rounding, and
    hits are counted apart from such ties.
    """
    share = shape.negative / shape.block_negatives
    loss, count, hits, ties = 0.0, 0, 0, 0
    for inputs, right, noise in predictions(architecture, records, shape):
        hidden = target[inputs].astype(np.float64).mean(0)
        positive, negative = context[right] @ hidden, context[noise].astype(np.float64) @ hidden
        if objective == "softmax":
            loss += np.log(np.exp(positive) + share * np.exp(negative).sum()) - positive
        else:
            loss += np.log1p(np.exp(-positive)) + share * np.log1p(np.exp(negative)).sum()
        if right in noise[: shape.negative]:
            ties += 1
        else:
            hits += int((positive > negative[: shape.negative]).all())
        count += 1
    return loss, count, hits, ties


@pytest.mark.parametrize(("architecture", "objective"), EVERY)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_banded_loss_is_that_of_the_explicit_predictions(architecture, objective, shape):
    records = draw_records(shape)
    target, context = draw_tables()
    compute = gradient_function(architecture, objective)
    totals = compute(target, context, batch_of(records), shape).totals
    loss, count, hits, ties = reference(
        architecture, objective, target.numpy(), context.numpy(), records, shape
    )
    assert count > 5
    assert float(totals.loss) == pytest.approx(loss, rel=3e-6)
    assert int(totals.pairs) == count
    assert hits <= int(totals.hits) <= hits + ties
    assert hits > 0


def differentiated(architecture, objective, target, context, records, shape):
    """The gradients of both tables, [V, D], from TensorFlow's tape over explicit predictions."""
    listed = list(predictions(architecture, records, shape))
    owners = np.repeat(np.arange(len(listed)), [len(inputs) for inputs, _, _ in listed])
    inputs = np.concatenate([inputs for inputs, _, _ in listed])
    outputs = np.array([[right, *noise] for _, right, noise in listed])
    share = shape.negative / shape.block_negatives
    with tf.GradientTape() as tape:
        hidden = tf.math.segment_mean(tf.gather(target, inputs), owners)
        logits = tf.einsum("pd,pcd->pc", hidden, tf.gather(context, outputs))  # [P, 1 + K]
        if objective == "softmax":
            shifted = logits + np.log([1.0, *[share] * shape.block_negatives]).astype(np.float32)
            loss = -tf.reduce_sum(tf.nn.log_softmax(shifted)[:, 0])
        else:
            loss = tf.reduce_sum(tf.nn.softplus(-logits[:, 0]))
            loss += share * tf.reduce_sum(tf.nn.softplus(logits[:, 1:]))
    return [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, [target, context])]


def dense(parts) -> np.ndarray:
    whole = np.zeros((V, D))
    for ids, rows in parts:
        np.add.at(whole, ids.numpy(), rows.numpy().astype(np.float64))
    return whole


@pytest.mark.parametrize(("architecture", "objective"), EVERY)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradients_are_those_of_automatic_differentiation(architecture, objective, shape):
    records = draw_records(shape, seed=1)
    target, context = draw_tables(seed=1)
    found = gradient_function(architecture, objective)(target, context, batch_of(records), shape)
    expected = differentiated(architecture, objective, target, context, records, shape)
    np.testing.assert_allclose(dense(found.target), expected[0], rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(dense(found.context), expected[1], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("architecture", "objective"), EVERY)
def test_with_one_table_the_gradient_is_that_of_one_table(architecture, objective):
    shape, (table, _) = SHAPES[0], draw_tables(seed=2)
    records = draw_records(shape, seed=2)
    found = gradient_function(architecture, objective)(table, table, batch_of(records), shape)
    copies = [tf.Variable(table), tf.Variable(table)]
    target, context = differentiated(architecture, objective, *copies, records, shape)
    whole = dense(found.target + found.context)
    np.testing.assert_allclose(whole, target + context, rtol=1e-4, atol=4e-5)


@pytest.mark.parametrize(("architecture", "objective"), EVERY)
def test_compiled_by_xla_it_is_the_same(architecture, objective):
    shape, (target, context) = SHAPES[0], draw_tables()
    batch, compute = batch_of(draw_records(shape)), gradient_function(architecture, objective)
    eager = compute(target, context, batch, shape)
    compiled = tf.function(lambda b: compute(target, context, b, shape), jit_compile=True)(batch)
    assert float(eager.totals.loss) == pytest.approx(float(compiled.totals.loss))
    for a, b in zip(tf.nest.flatten(eager[1:]), tf.nest.flatten(compiled[1:]), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)


def test_with_as_many_negatives_as_noise_words_softmax_is_keras_cross_entropy():
    shape = RecordShape(length=16, block=4, block_negatives=3, window=2, negative=3)
    records, (target, context) = draw_records(shape), draw_tables()
    listed = list(predictions("skipgram", records, shape))
    words = np.array([word for (word,), _, _ in listed])
    outputs = np.array([[right, *noise] for _, right, noise in listed])
    logits = tf.einsum("pd,pcd->pc", tf.gather(target, words), tf.gather(context, outputs))
    labels = np.eye(4)[np.zeros(len(listed), int)]
    loss = tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum")
    found = gradient_function("skipgram", "softmax")(target, context, batch_of(records), shape)
    assert float(found.totals.loss) == pytest.approx(float(loss(labels, logits)), rel=1e-5)


def test_the_default_is_the_fused_one_and_equals_its_parts():
    shape, tables = SHAPES[1], draw_tables()
    batch = batch_of(draw_records(shape))
    assert gradient_function() is model.gradients
    parts = skipgram(*tables, batch, shape, objective=OBJECTIVES["negative_sampling"],
                     matmul=tf.matmul)  # fmt: skip
    for a, b in zip(tf.nest.flatten(parts), tf.nest.flatten(model.gradients(*tables, batch, shape)),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_mixed_precision_rounds_to_bfloat16_and_adds_in_float32(architecture):
    shape, (target, context) = SHAPES[0], draw_tables()
    batch = batch_of(draw_records(shape))
    exact = gradient_function(architecture)(target, context, batch, shape)
    mixed = gradient_function(architecture, mixed_precision=True)
    compiled = tf.function(lambda b: mixed(target, context, b, shape), jit_compile=True)
    found = compiled(batch)
    assert {part.dtype for part in tf.nest.flatten(found)} == {tf.float32, tf.int32}
    loss, whole = float(found.totals.loss), float(exact.totals.loss)
    assert loss == pytest.approx(whole, rel=0.01)
    assert abs(loss - whole) > 1e-5 * whole
    difference = dense(found.target) - dense(exact.target)
    assert np.abs(difference).max() < 0.03 * np.abs(dense(exact.target)).max()

    ones = tf.ones([1, 1, 2**12 + 1])
    total = tf.function(lambda: matmul_bfloat16(ones, ones, transpose_b=True), jit_compile=True)
    assert total().numpy().item() == 2**12 + 1  # In bfloat16 it would stop at 256.
