"""trainer.cpu_kernels: machine code that does what `trainer.model` says."""

import mmap
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.dataset.records import PADDING, RecordShape
from tests.test_model import SHAPES, D, V, batch_of, draw_records, draw_tables, pairwise
from trainer.cpu_kernels import buffers, compilation, step
from trainer.cpu_kernels.llvm_intrinsics import HAS_BFLOAT16
from trainer.distribution import native_step
from trainer.distribution.native_step import NativeStepRunner
from trainer.input_pipeline import BatchGroups
from trainer.model import SkipGram, gradients
from trainer.objectives import gradient_function
from trainer.optimizers import Adagrad, Sgd

RATE = 0.1
SHORT_LAST_PIECE = RecordShape(length=20, block=4, block_negatives=3, window=4, negative=5)
NEEDS_BFLOAT16 = pytest.mark.skipif(
    not HAS_BFLOAT16, reason="this processor does not multiply bfloat16"
)


def stacked(records, times=1):
    """Returns `times` batches of the same records, as the kernels take them."""
    return tuple(np.stack([part.numpy()] * times) for part in batch_of(records))


def tables_of(variables, sums=0.0) -> buffers.Tables:
    copies = [tf.identity(variable).numpy().copy() for variable in variables]
    accumulators = [np.full(V if sums else 0, sums, np.float32) for _ in range(2)]
    return buffers.Tables(*copies, *accumulators)


def run_steps(tables, shape, records, *, rates, cores=2, packing=1, piece=1):
    """Trains on the records once for each rate; returns [steps, 3] loss, pairs and hits.

    Without rates it only measures. Pieces are as short as possible, so that records have several.
    """
    sizes = buffers.kernel_sizes(shape, tables.target.shape[1], packing=packing, piece=piece)
    return step.train(
        (*stacked(records, max(len(rates), 1)), np.array(rates, np.float32)),
        tuple(tables),
        tuple(sizes),
        step.new_buffers(shape, sizes, len(records), cores),
        cores,
    ).sum(1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_loss_is_that_of_the_explicit_pairs(shape):
    records, variables = draw_records(shape), draw_tables()
    ((loss, pairs, hits),) = run_steps(tables_of(variables), shape, records, rates=[])
    expected = pairwise(*(variable.numpy() for variable in variables), records, shape)
    assert loss == pytest.approx(expected[0], rel=2e-6)
    assert (pairs, hits) == expected[1:]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_step_of_gradient_descent_is_the_models(shape):
    records, variables = draw_records(shape, seed=2), draw_tables(seed=2)
    tables = tables_of(variables)
    run_steps(tables, shape, records, rates=[RATE])
    expected = gradients(*variables, batch_of(records), shape)
    for variable, parts in zip(variables, (expected.target, expected.context), strict=True):
        Sgd().update(variable, (), parts, RATE)
    for ours, theirs in zip(tables, variables, strict=False):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_steps_of_adagrad_are_the_models(shape, tied):
    records, variables = draw_records(shape, seed=3), draw_tables(seed=3)
    tables = tables_of(variables, sums=1.0)
    if tied:
        variables = (variables[0],) * 2
        tables = buffers.Tables(*(tables.target,) * 2, *(tables.target_sums,) * 2)
    optimizer = Adagrad(initial=1.0)
    slots = [optimizer.slots(variable) for variable in variables]
    rates = [RATE, RATE / 2, RATE / 4]
    run_steps(tables, shape, records, rates=rates)
    for rate in rates:
        expected = gradients(*variables, batch_of(records), shape)
        parts = [expected.target, expected.context]
        if tied:
            optimizer.update(variables[0], slots[0], parts[0] + parts[1], rate)
        else:
            for variable, slot, part in zip(variables, slots, parts, strict=True):
                optimizer.update(variable, slot, part, rate)
    np.testing.assert_allclose(tables.target, variables[0].numpy(), rtol=1e-4, atol=5e-5)
    np.testing.assert_allclose(tables.context, variables[1].numpy(), rtol=1e-4, atol=5e-5)
    np.testing.assert_allclose(tables.target_sums, slots[0][0].numpy(), rtol=1e-4)


@pytest.fixture(scope="module")
def numpy_step():
    """Returns the function that the package's README explains the step with."""
    text = (Path(step.__file__).parent / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names = {}
    exec(code, names)
    return names["train_step"]


@pytest.mark.parametrize("shape", [*SHAPES, SHORT_LAST_PIECE], ids=str)
def test_the_step_in_plain_numpy_that_the_readme_shows_is_that_of_the_kernels(shape, numpy_step):
    records = draw_records(shape, seed=8)
    start = [variable.numpy() / 4 for variable in draw_tables(seed=8)]
    tables = tables_of(start, sums=0.5)
    run_steps(tables, shape, records, rates=[RATE])
    expected = [table.astype(np.float64) for table in tables_of(start, sums=0.5)]
    batch = [(record.tokens, record.windows, record.negatives) for record in records]
    numpy_step(*expected, batch, shape=shape, rate=RATE)
    assert np.abs(tables.context - start[1]).max() > 0.01
    for ours, plain in zip(tables, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-6, atol=1e-6)


@NEEDS_BFLOAT16
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_mixed_precision_is_that_of_the_model(shape):
    records, variables = draw_records(shape, seed=6), draw_tables(seed=6)
    tables = tables_of(variables)
    ((loss, pairs, _),) = run_steps(tables, shape, records, rates=[RATE], packing=2)
    mixed, batch = gradient_function(mixed_precision=True), batch_of(records)
    results = tf.function(lambda: mixed(*variables, batch, shape), jit_compile=True)()
    exact = gradients(*variables, batch_of(records), shape)
    assert loss == pytest.approx(float(results.totals.loss), rel=1e-4)
    assert abs(loss - float(exact.totals.loss)) > 1e-5 * loss
    assert pairs == float(results.totals.pairs)
    for variable, parts in zip(variables, (results.target, results.context), strict=True):
        Sgd().update(variable, (), parts, RATE)
    for ours, theirs in zip(tables, variables, strict=False):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("size", [1, 16, 50])
def test_any_number_of_dimensions(size):
    shape = SHAPES[0]
    records, rng = draw_records(shape), np.random.default_rng(4)
    start = [rng.normal(size=(V, size)).astype(np.float32) / size for _ in range(2)]
    tables = tables_of(start)
    ((loss, _, _),) = run_steps(tables, shape, records, rates=[RATE])
    variables = [tf.Variable(table) for table in start]
    expected = gradients(*variables, batch_of(records), shape)
    assert loss == pytest.approx(float(expected.totals.loss), rel=1e-5)
    Sgd().update(variables[0], (), expected.target, RATE)
    np.testing.assert_allclose(tables.target, variables[0].numpy(), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("packing", [1, pytest.param(2, marks=NEEDS_BFLOAT16)])
def test_the_bits_do_not_depend_on_the_number_of_cores(packing):
    shape = SHAPES[0]
    results = []
    for cores in (1, 2, 3):
        tables = tables_of(draw_tables(seed=5), sums=0.5)
        run_steps(
            tables,
            shape,
            draw_records(shape, seed=5),
            rates=[RATE] * 4,
            cores=cores,
            packing=packing,
        )
        results.append(tables)
    assert np.abs(results[0].target - draw_tables(seed=5)[0].numpy()).max() > 0.01
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("shape", [*SHAPES, SHORT_LAST_PIECE], ids=str)
def test_a_record_may_be_taken_in_pieces(shape):
    records = draw_records(shape, seed=7)
    results = []
    for piece in (1, 100):
        tables = tables_of(draw_tables(seed=7), sums=0.5)
        totals = run_steps(tables, shape, records, rates=[RATE] * 3, piece=piece)
        results.append((*tables, totals))
    for pieces, whole in zip(*results, strict=True):
        np.testing.assert_allclose(pieces, whole, rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("shape", [*SHAPES, SHORT_LAST_PIECE], ids=str)
def test_each_word_of_a_batch_has_a_row_of_the_gradients(shape):
    sizes = buffers.kernel_sizes(shape, D, piece=1)
    gradients_of_batch = buffers.new_gradients(sizes, 3)
    index = buffers.gradient_index(shape, sizes, 3)
    lengths = {"targets": shape.length, "contexts": shape.length, "negatives": shape.negatives}
    for name, length in lengths.items():
        rows = getattr(index, name)
        assert len(set(rows)) == len(rows) == 3 * length
        assert rows.max() < getattr(gradients_of_batch, name).mean_squares.size
    neighbors = index.neighbor_contexts[index.neighbor_contexts >= 0]
    ends = range(sizes.piece, shape.length, sizes.piece)
    near = [
        t for t in range(shape.length) for end in ends if -shape.window <= t - end < shape.window
    ]
    assert len(set(neighbors)) == len(neighbors) == 3 * len(near)
    assert not set(neighbors) & set(index.contexts)


def test_measuring_changes_nothing():
    shape = SHAPES[0]
    tables = tables_of(draw_tables(), sums=1.0)
    before = [table.copy() for table in tables]
    run_steps(tables, shape, draw_records(shape), rates=[])
    for table, copy in zip(tables, before, strict=True):
        np.testing.assert_array_equal(table, copy)


@pytest.mark.parametrize("ruin", [np.nan, np.inf, -np.inf, 3e38])
def test_a_table_that_diverged_shows_in_the_loss(ruin):
    shape = SHAPES[0]
    tables = tables_of(draw_tables())
    tables.target[:, 1] = ruin
    ((loss, _, _),) = run_steps(tables, shape, draw_records(shape), rates=[])
    assert not np.isfinite(loss)


def test_large_logits_neither_overflow_nor_vanish():
    shape = SHAPES[3]  # Blocks of one token, and windows of one.
    (record, *_) = draw_records(shape)
    record.tokens[:], record.negatives[:] = 0, 1
    record.windows[:] = 1
    tables = tables_of(draw_tables())
    tables.target[0], tables.context[0], tables.context[1] = 1e3 / D, -1.0, 1.0
    ((loss, pairs, hits),) = run_steps(tables, shape, [record], rates=[])
    assert (pairs, hits) == (10, 0)
    assert loss == pytest.approx(10 * 1e3 * (1 + shape.negative), rel=1e-6)


def test_what_is_written_into_a_variables_memory_is_its_value(tmp_path):
    variable = tf.Variable(tf.zeros([100, 16]))
    native_step.variable_memory(variable)[3, 4] = 7
    assert variable.numpy()[3, 4] == 7
    saved = tf.train.Checkpoint(v=variable).save(str(tmp_path / "v"))
    variable.assign(tf.ones([100, 16]))
    native_step.variable_memory(variable)[0, 0] = 2
    assert variable.numpy()[0, :2].tolist() == [2, 1]
    tf.train.Checkpoint(v=variable).restore(saved).assert_consumed()
    assert native_step.variable_memory(variable)[3, 4] == variable.numpy()[3, 4] == 7


def huge_page_kb(address: int) -> int:
    """Returns how many kB of the mapping around an address are in huge pages."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and line.startswith("AnonHugePages"):
            return int(line.split()[1])
    return 0


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="huge pages are Linux's")
def test_memory_in_use_moves_to_huge_pages():
    memory = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    numbers = np.frombuffer(memory, np.uint8)
    numbers[:] = np.arange(len(numbers)) % 251
    middle = numbers.ctypes.data + len(numbers) // 2
    assert huge_page_kb(middle) == 0
    moved = native_step.move_to_huge_pages(numbers.ctypes.data + 5, len(numbers) - 10)
    assert np.array_equal(numbers, np.arange(len(numbers)) % 251)
    if not moved:
        pytest.skip("this system moves nothing to huge pages")
    assert huge_page_kb(middle) >= 12 << 10


def test_steps_train_the_models_own_tables_in_calls_of_any_length():
    shape = SHAPES[0]
    batches = tf.data.Dataset.from_tensor_slices(stacked(draw_records(shape, seed=6), times=7))
    results = []
    for calls in ([7], [1, 2, 4]):
        model = SkipGram(shape, words=V, vector_size=D, seed=1)
        slots = tuple(Adagrad().slots(table) for table in (model.target, model.context))
        native, groups = NativeStepRunner(model, slots), BatchGroups(batches.batch(3))
        totals = [native.run(groups, n, np.full(n, RATE, np.float32)) for n in calls]
        results.append((np.concatenate(totals), model.target.numpy(), slots[1][0].numpy()))
    assert results[0][0].shape == (7, 3)
    assert results[0][0][0, 0] > results[0][0][-1, 0]  # The loss falls.
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_preparing_compiles_what_the_first_batch_needs_and_trains_nothing(monkeypatch):
    shape = SHAPES[0]
    batches = tf.data.Dataset.from_tensor_slices(stacked(draw_records(shape, seed=6), times=2))
    model = SkipGram(shape, words=V, vector_size=D, seed=1)
    slots = tuple(Adagrad().slots(table) for table in (model.target, model.context))
    before = [part.numpy() for part in (model.target, model.context, slots[0][0], slots[1][0])]
    signatures, train = [], step.train

    def recording_train(*args):
        signatures.append(numba.typeof(args))  # What machine code is compiled for.
        return train(*args)

    monkeypatch.setattr(native_step, "train", recording_train)
    native = NativeStepRunner(model, slots)
    native.prepare(records=1)
    after = [part.numpy() for part in (model.target, model.context, slots[0][0], slots[1][0])]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    native.run(BatchGroups(batches.batch(2)), 2, np.full(2, RATE, np.float32))
    assert signatures[0] == signatures[1]


def test_code_that_cannot_be_cached_is_compiled_all_the_same():
    names = {}
    exec("def double(x):\n    return 2 * x", names)  # It has no file.
    assert compilation.cached_njit(names["double"])(21) == 42


def test_the_user_is_told_while_the_step_is_compiled(monkeypatch):
    messages: list[str] = []
    monkeypatch.setattr(native_step, "_COMPILING_AFTER", 0.01)
    with native_step._warn_if_slow(messages.append):
        time.sleep(0.3)
    assert messages == ["compiling the step for this processor, once; it takes up to a minute"]
    monkeypatch.setattr(native_step, "_COMPILING_AFTER", 60)
    with native_step._warn_if_slow(messages.append):
        pass
    assert len(messages) == 1


def test_cached_code_is_that_of_these_sources():
    (cell,) = step.train.py_func.__closure__
    assert cell.cell_contents == compilation.source_digest()


def test_padding_has_no_gradient():
    shape = SHAPES[0]
    (_, _, padding, _) = draw_records(shape)
    assert (padding.tokens == PADDING).all()
    tables = tables_of(draw_tables(), sums=1.0)
    ((loss, pairs, hits),) = run_steps(tables, shape, [padding], rates=[RATE])
    assert (loss, pairs, hits) == (0, 0, 0)
    for table, before in zip(tables, tables_of(draw_tables(), sums=1.0), strict=True):
        np.testing.assert_array_equal(table, before)


@pytest.mark.slow  # Numba compiles everything again.
def test_the_kernels_need_no_instructions_of_one_processor(tmp_path):
    # As on AArch64, or before AVX: registers of 8 numbers, which LLVM makes of what there is.
    program = (
        "import sys, pytest; from trainer.cpu_kernels.llvm_intrinsics import describe_target; "
        "print(describe_target(bfloat16=False)); sys.exit(pytest.main(sys.argv[1:]))"
    )
    options = ["-q", "-p", "no:xdist", __file__, "-k", "explicit_pairs or are_the_models"]
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": tmp_path}
    command = [sys.executable, "-c", program, *options]
    done = subprocess.run(
        command, env={**os.environ, **generic}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    expected = "generic, 8 numbers at a time instead of 16, products in float32"
    assert done.stdout.splitlines()[0] == expected


def test_the_log_says_what_the_kernels_run_on():
    model = SkipGram(SHAPES[0], words=V, vector_size=D, seed=1)
    hardware = NativeStepRunner(model, ((), ())).hardware
    assert re.fullmatch(
        r"\d+ cores?, machine code for [\w.-]+( with AVX-512|, 8 numbers at a time instead of 16)"
        ", products in float32",
        hardware,
    )
