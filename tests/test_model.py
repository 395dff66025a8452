"""trainer.model and trainer.optimizers: the banded arithmetic equals the pairs it stands for."""

from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.dataset.records import PADDING, SENTENCE_START, Record, RecordShape
from pmc2vec.dataset.skipgrams import explicit_pairs
from pmc2vec.vectors.output_vectors import OutputVectors, combine_tables
from trainer.distribution.single_device import XlaStepRunner
from trainer.input_pipeline import Batch, BatchGroups
from trainer.model import (
    SkipGram,
    _rows_as_int64,
    batch_pair_mask,
    frame,
    gradients,
    overlap_add,
    table_rows,
)
from trainer.objectives import gradient_function
from trainer.optimizers import Adagrad, RowGradients, Sgd

V, D = 23, 6

SHAPES = [
    RecordShape(length=24, block=8, block_negatives=6, window=3, negative=5),
    RecordShape(length=16, block=4, block_negatives=3, window=4, negative=5),  # window == block
    RecordShape(length=16, block=16, block_negatives=4, window=5, negative=4),  # one block
    RecordShape(length=6, block=1, block_negatives=2, window=1, negative=1),
    RecordShape(length=20, block=10, block_negatives=8, window=7, negative=2),  # 2 w > S
]


def draw_records(shape: RecordShape, seed: int = 0) -> list[Record]:
    """A full record, one with much padding, one of padding alone, and one long sentence."""
    rng = np.random.default_rng(seed)
    records = []
    for used in (shape.length, shape.length // 2 + 1, 0, shape.length):
        tokens = rng.integers(0, V, shape.length, dtype=np.int32)
        windows = rng.integers(1, shape.window + 1, shape.length).astype(np.uint8)
        if len(records) < 3:
            windows[rng.random(shape.length) < 0.25] |= SENTENCE_START
        tokens[used:], windows[used:] = PADDING, 0
        records.append(Record(tokens, windows, rng.integers(0, V, shape.negatives, dtype=np.int32)))
    return records


def batch_of(records: list[Record]) -> Batch:
    return Batch(
        *(
            tf.constant(np.stack([getattr(record, name) for record in records]))
            for name in ("tokens", "windows", "negatives")
        )
    )


def draw_tables(seed: int = 0) -> tuple[tf.Variable, tf.Variable]:
    rng = np.random.default_rng(seed)
    return tuple(tf.Variable(rng.normal(size=(V, D)).astype(np.float32)) for _ in range(2))


def softplus(x):
    return np.logaddexp(0.0, x)


def pairwise(target, context, records, shape) -> tuple[float, int, int]:
    """Loss, pairs and hits, one pair after the other, in float64, from the explicit pairs."""
    loss, count, hits = 0.0, 0, 0
    for record in records:
        for word, contexts in zip(*explicit_pairs(record, shape)[:2], strict=True):
            logits = context[contexts].astype(np.float64) @ target[word].astype(np.float64)
            noise = shape.negative / shape.block_negatives * softplus(logits[1:]).sum()
            loss += softplus(-logits[0]) + noise
            hits += int((logits[0] > logits[1 : 1 + shape.negative]).all())
            count += 1
    return loss, count, hits


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_banded_loss_is_that_of_the_explicit_pairs(shape):
    records = draw_records(shape)
    target, context = draw_tables()
    totals = gradients(target, context, batch_of(records), shape).totals
    loss, count, hits = pairwise(target.numpy(), context.numpy(), records, shape)
    assert count > 5
    assert float(totals.loss) == pytest.approx(loss, rel=2e-6)
    assert (int(totals.pairs), int(totals.hits)) == (count, hits)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_gradients_are_those_of_automatic_differentiation(shape):
    records = draw_records(shape, seed=1)
    target, context = draw_tables(seed=1)
    listed = [explicit_pairs(record, shape)[:2] for record in records]
    words = np.concatenate([words for words, _ in listed])
    contexts = np.concatenate([contexts for _, contexts in listed])
    with tf.GradientTape() as tape:
        logits = tf.einsum(
            "pd,pcd->pc", tf.gather(target, words), tf.gather(context, contexts)
        )  # [P, 1 + K]
        weight = shape.negative / shape.block_negatives
        loss = tf.reduce_sum(tf.nn.softplus(-logits[:, 0]))
        loss += weight * tf.reduce_sum(tf.nn.softplus(logits[:, 1:]))
    expected = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [target, context])]

    found = gradients(target, context, batch_of(records), shape)
    for parts, whole in zip((found.target, found.context), expected, strict=True):
        dense = np.zeros((V, D))
        for ids, rows in parts:
            np.add.at(dense, ids.numpy(), rows.numpy().astype(np.float64))
        np.testing.assert_allclose(dense, whole.numpy(), rtol=1e-4, atol=2e-5)


def test_each_token_and_negative_has_one_row_and_padding_has_zeros():
    shape = SHAPES[0]
    records = draw_records(shape)
    found = gradients(*draw_tables(), batch_of(records), shape)
    tokens = np.stack([record.tokens for record in records])
    sizes = [len(part.ids) for part in (*found.target, *found.context)]
    assert sizes == [tokens.size, tokens.size, 4 * shape.negatives]
    for part in (found.target[0], found.context[0]):
        assert not part.rows.numpy()[tokens.ravel() == PADDING].any()
    assert not found.context[1].rows.numpy()[2 * shape.negatives : 3 * shape.negatives].any()


def test_large_logits_neither_overflow_nor_vanish():
    shape = RecordShape(length=2, block=2, block_negatives=1, window=1, negative=1)
    record = Record(np.array([0, 1], "i4"), np.array([1, 1], "u1"), np.array([2], "i4"))
    target = tf.Variable([[1e3], [1e3], [0.0]])
    context = tf.Variable([[-1.0], [-1.0], [1.0]])
    found = gradients(target, context, batch_of([record]), shape)
    assert float(found.totals.loss) == pytest.approx(4e3)  # Each of 2 pairs and 2 negatives: 1e3.
    np.testing.assert_allclose(found.target[0].rows.numpy(), [[2.0], [2.0]])


def test_compiled_by_xla_it_is_the_same():
    shape = SHAPES[0]
    batch, (target, context) = batch_of(draw_records(shape)), draw_tables()
    eager = gradients(target, context, batch, shape)
    compiled = tf.function(lambda b: gradients(target, context, b, shape), jit_compile=True)(batch)
    for a, b in zip(tf.nest.flatten(eager), tf.nest.flatten(compiled), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)


def test_the_mask_is_written_out_for_a_small_record():
    shape = RecordShape(length=4, block=2, block_negatives=1, window=2, negative=1)
    start = SENTENCE_START
    record = Record(
        np.array([5, 6, 7, PADDING], "i4"),
        np.array([start + 2, 1, start + 2, 0], "u1"),
        np.zeros(2, "i4"),
    )
    # The frame of block 0 is tokens -2 .. 3, that of block 1 is tokens 0 .. 5.
    assert batch_pair_mask(batch_of([record]), shape).numpy().astype(int).tolist() == [
        [
            [[0, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0]],
            [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
        ]
    ]


@pytest.mark.parametrize(("size", "halo"), [(4, 1), (4, 3), (4, 4), (1, 1)])
def test_overlap_add_is_frame_transposed(size, halo):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, size, 2))
    y = rng.normal(size=(2, 3, size + 2 * halo, 2))
    framed, added = frame(tf.constant(x), halo).numpy(), overlap_add(tf.constant(y), halo).numpy()
    assert framed.shape == y.shape
    assert added.shape == x.shape
    assert (framed * y).sum() == pytest.approx((x * added).sum())


def test_the_first_tables_are_those_of_word2vec_and_depend_on_the_seed_alone():
    def tables(seed: int):
        model = SkipGram(SHAPES[0], words=V, vector_size=D, seed=seed)
        return model.target.numpy(), model.context.numpy()

    target, context = tables(1)
    assert np.abs(target).max() <= 0.5 / D
    assert np.abs(target).max() > 0.4 / D
    assert not context.any()
    assert np.array_equal(target, tables(1)[0])
    assert not np.array_equal(target, tables(2)[0])


@pytest.fixture
def chunks_of_three_rows(monkeypatch):
    monkeypatch.setattr("pmc2vec.vectors.output_vectors._CHUNK_ROWS", 3)  # V is no multiple.


@pytest.mark.usefixtures("chunks_of_three_rows")
@pytest.mark.parametrize("kind", get_args(OutputVectors))
def test_the_word_vectors_are_those_of_both_tables_and_leave_them_as_they_are(kind):
    model = SkipGram(SHAPES[0], words=V, vector_size=D, seed=1)
    target, context = (table.numpy() for table in draw_tables())
    model.target.assign(target)
    model.context.assign(context)
    expected = combine_tables(target.copy(), context, kind=kind)
    assert expected.shape == (V, 2 * D if kind == "concatenate" else D)
    assert np.array_equal(model.word_vectors(kind), expected)
    assert np.array_equal(model.target.numpy(), target)
    assert np.array_equal(model.context.numpy(), context)


@pytest.mark.usefixtures("chunks_of_three_rows")
def test_one_table_is_published_as_it_is_or_balanced():
    model = SkipGram(SHAPES[0], words=V, vector_size=D, seed=1, tied=True)
    table = draw_tables()[0].numpy()
    model.target.assign(table)
    for kind in ("sum", "target", "concatenate"):
        assert np.array_equal(model.word_vectors(kind), table)
    # A fifth of the same vector on top makes it longer and turns it nowhere.
    balanced = combine_tables(table.copy(), table, kind="balanced")
    np.testing.assert_allclose(model.word_vectors("balanced"), balanced, atol=1e-6)
    assert np.array_equal(model.target.numpy(), table)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "xla"])
def test_adagrad_adds_up_repeated_rows(compiled):
    rng = np.random.default_rng(3)
    start = rng.normal(size=(V, D)).astype(np.float32)
    ids = [np.array([4, 2, 4, 4, 0], "i4"), np.array([2, 9], "i4")]
    rows = [rng.normal(size=(len(part), D)).astype(np.float32) for part in ids]

    accumulator = np.full(V, 1e-6)
    expected = start.astype(np.float64)
    for _ in range(2):
        for part, values in zip(ids, rows, strict=True):
            for at, row in zip(part, values, strict=True):
                accumulator[at] += np.mean(row.astype(np.float64) ** 2)
        for part, values in zip(ids, rows, strict=True):
            for at, row in zip(part, values, strict=True):
                expected[at] -= 0.2 * row / np.sqrt(accumulator[at])

    table, adagrad = tf.Variable(start), Adagrad(initial=1e-6)
    slots = adagrad.slots(table)
    gradient = [RowGradients(*part) for part in zip(ids, rows, strict=True)]
    step = tf.function(
        lambda rate: adagrad.update(table, slots, gradient, rate), jit_compile=compiled
    )
    for _ in range(2):
        step(tf.constant(0.2))
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slots[0].numpy(), accumulator, rtol=1e-5)
    assert np.array_equal(table.numpy()[10:], start[10:])


def test_sgd_adds_up_repeated_rows():
    table = tf.Variable(np.zeros((3, 2), np.float32))
    rows = np.array([[1, 2], [10, 20], [3, 4]], np.float32)
    Sgd().update(table, (), [RowGradients(np.array([2, 0, 2]), rows)], tf.constant(0.5))
    assert table.numpy().tolist() == [[-5, -10], [0, 0], [-2, -3]]


def test_rows_read_by_pairs_are_the_rows():
    table = tf.Variable(np.random.default_rng(1).normal(size=[V, 6]).astype(np.float32))
    ids = tf.constant([[0, 3, 3], [V - 1, 1, 0]])
    for read in (_rows_as_int64, tf.function(_rows_as_int64, jit_compile=True), table_rows):
        assert np.array_equal(read(table, ids), table.numpy()[ids])


# --- several rows of the input table for a word ------------------------------------------------


class SharedRows:
    """A word is the mean of its own row and of one of three rows that it shares with others."""

    one_row_per_word = False

    def table_size(self, words):
        return words + 3

    def lookup(self, table, word_ids):
        return (tf.gather(table, word_ids) + tf.gather(table, V + word_ids % 3)) / 2

    def update(self, optimizer, table, slots, gradients, rate):
        shared = [RowGradients(V + ids % 3, rows) for ids, rows in gradients]
        optimizer.update(table, slots, [*gradients, *shared], rate)

    def compose(self, table):
        return (table[:V] + table[V + np.arange(V) % 3]) / 2

    def names(self, words):
        return [*words, "#0", "#1", "#2"]


def dense(parts, rows):
    """A gradient as a whole table."""
    total = np.zeros((rows, D))
    for ids, values in parts:
        np.add.at(total, ids.numpy(), values.numpy().astype(np.float64))
    return total


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
@pytest.mark.parametrize("objective", ["negative_sampling", "softmax"])
def test_a_word_may_be_the_mean_of_several_rows(architecture, objective):
    batch, rows = batch_of(draw_records(SHAPES[0], seed=3)), SharedRows()
    model = SkipGram(SHAPES[0], words=V, vector_size=D, seed=1, input_rows=rows,
                     gradient_function=gradient_function(architecture, objective))  # fmt: skip
    assert model.target.shape == (V + 3, D)
    model.context.assign(draw_tables(seed=3)[1])
    words = model.word_vectors("target")
    assert words.shape == (V, D)

    composed = SkipGram(SHAPES[0], words=V, vector_size=D, seed=1,
                        gradient_function=gradient_function(architecture, objective))  # fmt: skip
    composed.target.assign(words)
    composed.context.assign(model.context)
    found, expected = model.gradients(batch), composed.gradients(batch)
    np.testing.assert_allclose(found.totals, expected.totals, rtol=1e-5)
    np.testing.assert_allclose(
        dense(found.context, V), dense(expected.context, V), rtol=1e-4, atol=1e-6
    )
    of_words = dense(expected.target, V)
    np.testing.assert_allclose(dense(found.target, V), of_words, rtol=1e-4, atol=1e-6)
    before = model.target.numpy()
    rows.update(Sgd(), model.target, (), found.target, tf.constant(2.0))
    shared = [of_words[number::3].sum(0) for number in range(3)]
    np.testing.assert_allclose(
        before - model.target, 2 * np.concatenate([of_words, shared]), rtol=1e-4, atol=1e-6
    )


def test_an_optimizer_and_xla_train_several_rows_of_a_word():
    batch, optimizer = batch_of(draw_records(SHAPES[0], seed=4)), Adagrad()
    model = SkipGram(SHAPES[0], words=V, vector_size=D, seed=1, input_rows=SharedRows())
    slots = optimizer.slots(model.target), optimizer.slots(model.context)
    assert slots[0][0].shape == (V + 3,)
    runner = XlaStepRunner(tf.distribute.get_strategy(), model, optimizer, slots)
    groups = BatchGroups(tf.data.Dataset.from_tensors(tuple(part[None] for part in batch)).repeat())
    totals = runner.run(groups, 20, np.full(20, 0.5, np.float32))
    assert totals[-1, 0] < 0.9 * totals[0, 0]
