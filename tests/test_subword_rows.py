"""trainer.subword_rows: a step over words and their n-grams is that of plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.vectors.subwords import Ngrams, index_words
from tests.test_model import SHAPES, D, V, batch_of, draw_records
from trainer import subword_rows
from trainer.distribution.single_device import XlaStepRunner
from trainer.input_pipeline import BatchGroups
from trainer.model import SkipGram
from trainer.objectives import gradient_function
from trainer.optimizers import Adagrad, RowGradients, Sgd
from trainer.subword_rows import SubwordRows

NGRAMS = Ngrams(3, 6, 50)
WORDS = ["a", "β", *(f"word{number}" * (1 + number % 3) for number in range(V - 2))]


@pytest.fixture
def rows(monkeypatch):
    monkeypatch.setattr(subword_rows, "_CHUNK_ROWS", 16)  # So that a batch has many chunks.
    return SubwordRows(WORDS, NGRAMS)


def draw_table(rows, seed=1):
    rng = np.random.default_rng(seed)
    return tf.Variable(rng.normal(size=(rows.table_size(V), D)).astype(np.float32))


INDEX = index_words(WORDS, NGRAMS)


def rows_of(word_id):
    return INDEX.rows[INDEX.starts[word_id] : INDEX.starts[word_id + 1]]


def plain_update(table, sums, ids, gradients, rate):
    """A step of Adagrad, or of gradient descent where there are no sums, row by row."""
    if sums is not None:
        for word_id, gradient in zip(ids, gradients, strict=True):
            for row in rows_of(word_id):
                sums[row] += (gradient**2).mean()
    for word_id, gradient in zip(ids, gradients, strict=True):
        for row in rows_of(word_id):
            table[row] -= rate * gradient / (1 if sums is None else np.sqrt(sums[row]))


@pytest.mark.parametrize("compiled", [False, True])
def test_the_vector_of_a_word_is_the_mean_of_its_rows(rows, compiled):
    table, ids = draw_table(rows), np.int32([[3, 0, 3], [V - 1, 1, 0]])
    lookup = tf.function(lambda ids: rows.lookup(table, ids), jit_compile=compiled)
    expected = [[table.numpy()[rows_of(word_id)].mean(0) for word_id in row] for row in ids]
    np.testing.assert_allclose(lookup(tf.constant(ids)), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows.compose(table.numpy())[ids], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", [Sgd(), Adagrad(0.5)])
def test_an_update_is_that_of_each_occurrence_of_each_row(rows, optimizer):
    table, rng = draw_table(rows), np.random.default_rng(2)
    slots = optimizer.slots(table)
    ids = rng.integers(0, 6, 20)  # Words that come again and again.
    ids[5] = V - 1
    gradients = rng.normal(size=(20, D)).astype(np.float32)
    expected = table.numpy().astype(np.float64)
    sums = np.full(len(expected), 0.5) if slots else None
    plain_update(expected, sums, ids, gradients, 0.3)

    @tf.function(jit_compile=True)
    def update(first, second):
        rows.update(optimizer, table, slots, [first, second], tf.constant(0.3))

    halves = [slice(0, 12), slice(12, 20)]
    update(*(RowGradients(tf.constant(ids[half], tf.int32), gradients[half]) for half in halves))
    np.testing.assert_allclose(table, expected, rtol=1e-4, atol=1e-5)
    if slots:
        np.testing.assert_allclose(slots[0], sums, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_xla_trains_them(architecture):
    rows = SubwordRows(WORDS, NGRAMS)
    model = SkipGram(SHAPES[0], words=V, vector_size=D, seed=1, input_rows=rows,
                     gradient_function=gradient_function(architecture))  # fmt: skip
    optimizer, batch = Adagrad(), batch_of(draw_records(SHAPES[0], seed=4))
    slots = optimizer.slots(model.target), optimizer.slots(model.context)
    runner = XlaStepRunner(tf.distribute.get_strategy(), model, optimizer, slots)
    groups = BatchGroups(tf.data.Dataset.from_tensors(tuple(part[None] for part in batch)).repeat())
    totals = runner.run(groups, 20, np.full(20, 0.5, np.float32))
    assert totals[-1, 0] < 0.9 * totals[0, 0]
    assert model.word_vectors("target").shape == (V, D)


def test_rows_have_names_by_which_another_vocabulary_finds_them():
    rows = SubwordRows(WORDS, NGRAMS)
    names = rows.names(WORDS)
    assert len(names) == len(set(names)) == rows.table_size(V)
    assert names[:V] == WORDS
    fewer = rows.names(WORDS[:3])
    assert set(fewer) < set(names)
    assert fewer[:3] == WORDS[:3]
