"""trainer.cpu_kernels.subword_step: machine code that does what `trainer.subword_rows` says."""

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.vectors.subwords import Ngrams, index_words
from tests.test_cpu_kernels import (  # noqa: F401  # A fixture is found by its name.
    NEEDS_BFLOAT16,
    SHORT_LAST_PIECE,
    numpy_step,
    stacked,
)
from tests.test_model import SHAPES, D, V, batch_of, draw_records
from trainer.cpu_kernels import buffers
from trainer.cpu_kernels.subword_step import new_subword_buffers, train_subwords
from trainer.distribution.single_device import XlaStepRunner
from trainer.input_pipeline import BatchGroups
from trainer.model import SkipGram
from trainer.optimizers import Adagrad
from trainer.subword_rows import SubwordRows

NGRAMS = Ngrams(3, 6, 60)
WORDS = ["a", "β", *(f"word{number}" * (1 + number % 3) for number in range(V - 2))]
INDEX = index_words(WORDS, NGRAMS)
RATES = [0.1, 0.05, 0.02]


def draw_tables(sums, seed=1, size=D):
    rng = np.random.default_rng(seed)
    rows = [INDEX.table_size, V]
    tables = [rng.normal(size=(count, size)).astype(np.float32) / 4 for count in rows]
    return buffers.Tables(
        *tables, *(np.full(count if sums else 0, sums, np.float32) for count in rows)
    )


def run_steps(tables, shape, records, rates, *, cores=2, packing=1):
    sizes = buffers.kernel_sizes(shape, tables.target.shape[1], packing=packing, piece=1)
    return train_subwords(
        (*stacked(records, max(len(rates), 1)), np.array(rates, np.float32)),
        (*tables, INDEX.starts, INDEX.rows), tuple(sizes),
        new_subword_buffers(shape, sizes, len(records), cores, INDEX.starts), cores,
    ).sum(1)  # fmt: skip


@pytest.mark.parametrize("shape", [*SHAPES[:2], SHORT_LAST_PIECE], ids=str)
def test_a_step_is_that_of_plain_numpy(shape, numpy_step):  # noqa: F811
    records, tables = draw_records(shape, seed=3), draw_tables(0.5)
    expected = [table.astype(np.float64) for table in tables]
    run_steps(tables, shape, records, [0.1])
    rows = np.split(INDEX.rows, INDEX.starts[1:-1])
    batch = [(record.tokens, record.windows, record.negatives) for record in records]
    numpy_step(*expected, batch, shape=shape, rate=0.1, rows=rows)
    for ours, plain in zip(tables, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)


def test_steps_are_those_of_xla():
    shape = SHAPES[0]
    records, tables = draw_records(shape, seed=3), draw_tables(1.0)
    model = SkipGram(shape, words=V, vector_size=D, seed=1, input_rows=SubwordRows(WORDS, NGRAMS))
    model.target.assign(tables.target)
    model.context.assign(tables.context)
    optimizer = Adagrad(1.0)
    slots = optimizer.slots(model.target), optimizer.slots(model.context)
    runner = XlaStepRunner(tf.distribute.get_strategy(), model, optimizer, slots)
    batch = tuple(part[None] for part in batch_of(records))
    groups = BatchGroups(tf.data.Dataset.from_tensors(batch).repeat())
    expected = runner.run(groups, len(RATES), np.float32(RATES))
    totals = run_steps(tables, shape, records, RATES)
    np.testing.assert_allclose(totals, expected, rtol=1e-5)
    np.testing.assert_allclose(tables.target, model.target, rtol=1e-4, atol=5e-5)
    np.testing.assert_allclose(tables.context, model.context, rtol=1e-4, atol=5e-5)
    np.testing.assert_allclose(tables.target_sums, slots[0][0], rtol=1e-4)


def test_any_number_of_cores_gives_the_same_bits():
    records = draw_records(SHAPES[0], seed=5)
    every = []
    for cores in (1, 2, 5):
        tables = draw_tables(1.0)
        totals = run_steps(tables, SHAPES[0], records, RATES, cores=cores)
        every.append([totals, *tables])
    for others in every[1:]:
        for one, other in zip(every[0], others, strict=True):
            assert np.array_equal(one, other)


def test_without_rates_nothing_changes():
    records, tables, before = draw_records(SHAPES[0]), draw_tables(1.0), draw_tables(1.0)
    ((loss, pairs, _),) = run_steps(tables, SHAPES[0], records, [])
    assert loss > pairs > 0
    for ours, expected in zip(tables, before, strict=True):
        assert np.array_equal(ours, expected)


@pytest.mark.slow  # Compiles the step once more, for another type.
@NEEDS_BFLOAT16
def test_mixed_precision_is_close():
    records, exact, mixed = draw_records(SHAPES[0], seed=6), draw_tables(1.0), draw_tables(1.0)
    totals = run_steps(exact, SHAPES[0], records, RATES)
    rounded = run_steps(mixed, SHAPES[0], records, RATES, packing=2)
    np.testing.assert_allclose(rounded[:, :2], totals[:, :2], rtol=1e-3)
    np.testing.assert_allclose(mixed.target, exact.target, atol=5e-3)
    assert not np.array_equal(mixed.target, exact.target)


@pytest.mark.parametrize("size", [1, 50])
def test_any_number_of_dimensions(size):
    records, tables = draw_records(SHAPES[0]), draw_tables(1.0, size=size)
    totals = run_steps(tables, SHAPES[0], records, [0.3] * 10)
    assert totals[-1, 0] < totals[0, 0]
