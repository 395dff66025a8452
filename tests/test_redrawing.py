"""What later epochs draw has the stored draws' distribution, and can be repeated."""

import numpy as np
import pytest

from pmc2vec.dataset.records import PADDING, SENTENCE_START, WINDOW_BITS
from pmc2vec.dataset.vocabulary import noise_distribution
from tests.datasets import topic_articles, write_dataset
from trainer.cpu_kernels.negative_sampling import draw_windows
from trainer.input_pipeline import open_dataset, training_batches

RECORDS = 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("draws") / "dataset"
    return open_dataset(str(write_dataset(folder, topic_articles(60), passes=2)))


def epoch(dataset, number, **options):
    """Returns tokens, windows and negatives of an epoch, each [records, ...]."""
    options = {"seed": 1, "records": RECORDS, "redraw": True, **options}
    batches = list(training_batches(dataset, epoch=number, **options))
    return [
        np.concatenate([part.numpy() for part in parts]) for parts in zip(*batches, strict=True)
    ]


def test_stored_draws_come_first(dataset):
    for number in (0, 1):
        for one, other in zip(
            epoch(dataset, number), epoch(dataset, number, redraw=False), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_a_later_epoch_has_the_same_tokens_with_other_windows_and_negatives(dataset):
    stored, drawn = epoch(dataset, 2, redraw=False), epoch(dataset, 2)
    np.testing.assert_array_equal(stored[0], drawn[0])
    real = stored[0] != PADDING
    np.testing.assert_array_equal(
        stored[1][real] >= SENTENCE_START, drawn[1][real] >= SENTENCE_START
    )
    assert 0.5 < (stored[1] != drawn[1])[real].mean() < 0.8  # of 3 widths, 2 in 3 are others
    assert (stored[2] != drawn[2]).mean() > 0.9


def test_windows_and_negatives_have_their_distributions(dataset):
    epochs = [epoch(dataset, number) for number in range(2, 8)]
    real = np.concatenate([tokens.ravel() != PADDING for tokens, _, _ in epochs])
    widths = np.concatenate([windows.ravel() for _, windows, _ in epochs])[real] & WINDOW_BITS
    assert set(np.unique(widths)) == {1, 2, 3}
    shares = np.bincount(widths)[1:] / len(widths)
    np.testing.assert_allclose(shares, 1 / 3, atol=4 * np.sqrt(2 / 9 / len(widths)))
    drawn = np.concatenate([negatives.ravel() for _, _, negatives in epochs])
    expected = noise_distribution(dataset.vocabulary.counts) * len(drawn)
    found = np.bincount(drawn, minlength=len(expected))
    chi_squared = ((found - expected) ** 2 / expected).sum()
    freedom = len(expected) - 1
    assert abs(chi_squared - freedom) < 5 * np.sqrt(2 * freedom)


def test_draws_are_a_function_of_seed_epoch_and_batch(dataset):
    whole = epoch(dataset, 2)
    for one, other in zip(whole, epoch(dataset, 2), strict=True):
        np.testing.assert_array_equal(one, other)
    rest = epoch(dataset, 2, skip=3)
    for one, other in zip(whole, rest, strict=True):
        np.testing.assert_array_equal(one[3 * RECORDS :], other)
    assert (whole[2] != epoch(dataset, 2, seed=2)[2]).mean() > 0.9
    assert (whole[2] != epoch(dataset, 4)[2]).mean() > 0.9


def test_windows_that_do_not_shrink_stay(tmp_path):
    folder = write_dataset(tmp_path / "dataset", topic_articles(8), shrink_windows=False)
    dataset = open_dataset(str(folder))
    np.testing.assert_array_equal(epoch(dataset, 1)[1], epoch(dataset, 1, redraw=False)[1])


def test_a_token_that_is_no_target_stays_none():
    stored = np.array([128, 0, 3, 130], np.uint8)
    draw_windows(np.uint64(1), np.uint64(3), stored)
    assert (stored > 0).tolist() == [True, False, True, True]
    assert (stored & WINDOW_BITS > 0).tolist() == [False, False, True, True]
