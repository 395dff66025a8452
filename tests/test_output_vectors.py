"""The published vectors: what becomes of a target and a context table."""

import numpy as np
import pytest

from pmc2vec.vectors import output_vectors
from pmc2vec.vectors.output_vectors import combine_tables

RNG = np.random.default_rng(1)
TARGET = RNG.normal(size=(40, 6)).astype(np.float32) + 3
CONTEXT = RNG.normal(size=(40, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(output_vectors, "_CHUNK_ROWS", 7)  # 40 is no multiple of it.


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_target_table_is_published_as_it_was_trained():
    assert np.array_equal(combine_tables(TARGET.copy(), CONTEXT, kind="target"), TARGET)


def test_the_sum_is_of_targets_less_their_mean_and_contexts():
    total = combine_tables(TARGET.copy(), CONTEXT, kind="sum")
    np.testing.assert_allclose(total, TARGET - TARGET.mean(0) + CONTEXT, rtol=1e-5, atol=1e-5)


def test_both_tables_stand_side_by_side():
    both = combine_tables(TARGET.copy(), CONTEXT, kind="concatenate")
    assert np.array_equal(both, np.hstack([TARGET, CONTEXT]))


def test_balanced_vectors_are_those_of_the_whole_tables_at_once():
    mixed = unit(TARGET - TARGET.mean(0) + 0.2 * (CONTEXT - CONTEXT.mean(0)))
    mixed = unit(mixed - mixed.mean(0))
    _, singular_values, axes = np.linalg.svd(mixed / np.sqrt(40), full_matrices=False)
    expected = unit(mixed @ axes.T / singular_values**0.25)  # On the principal axes.
    vectors = combine_tables(TARGET.copy(), CONTEXT, kind="balanced")
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_random_words_of_balanced_vectors_are_not_alike():
    plain, vectors = unit(TARGET), combine_tables(TARGET.copy(), CONTEXT, kind="balanced")
    assert (plain @ plain.T).mean() > 0.8
    assert abs((vectors @ vectors.T).mean()) < 0.03


@pytest.mark.parametrize("rows", [np.zeros((3, 4)), np.ones((1, 4)), np.ones((3, 4))])
def test_tables_without_any_difference_stay_finite(rows):
    rows = rows.astype(np.float32)
    assert np.isfinite(combine_tables(rows.copy(), rows, kind="balanced")).all()
