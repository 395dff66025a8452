from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmc2vec.dataset import skipgrams
from pmc2vec.dataset.records import RECORD_FEATURES, Record, RecordShape
from pmc2vec.dataset.skipgrams import (
    RandomSeed,
    SampledArticle,
    article_rng,
    count_pairs,
    explicit_pairs,
    is_validation,
    pack_records,
    sample_article,
)
from pmc2vec.dataset.vocabulary import NoiseSampler

SHAPE = RecordShape(length=8, block=4, block_negatives=2, window=3, negative=5)
NOISE = NoiseSampler(np.array([0.5, 0.25, 0.25]))


def draw(ids, lengths, *, keep=None, window=3, seed=1, **options):
    keep = np.ones(10) if keep is None else keep
    return sample_article(
        "PMC1", np.array(ids, np.int32), np.array(lengths, np.int64), keep=keep, window=window,
        seed=RandomSeed(seed), **options,
    )  # fmt: skip


def by_definition(record):
    """Lists (i, j) of every pair, straight from the definition."""
    sentence = np.cumsum(record.windows >= 128)
    reach = record.windows & 127
    places = range(len(record.tokens))
    return [
        (i, j)
        for i, j in product(places, places)
        if record.tokens[i] >= 0
        and record.tokens[j] >= 0
        and sentence[i] == sentence[j]
        and 0 < abs(i - j) <= reach[i]
    ]


def test_words_outside_the_vocabulary_close_the_gap():
    run = draw([5, -1, 6, -1, 7], [3, 2], shrink_windows=False)
    assert run.tokens.tolist() == [5, 6, 7]
    assert run.windows.tolist() == [128 + 3, 3, 128 + 3]


def test_a_sentence_without_known_words_leaves_nothing():
    run = draw([5, -1, 6], [1, 1, 1], shrink_windows=False)
    assert run.windows.tolist() == [131, 131]
    assert draw([-1, -1], [2]).tokens.size == 0
    assert draw([], []).tokens.size == 0


def test_subsampling_keeps_with_the_given_probability():
    keep = np.array([1.0, 0.25])
    run = draw([0, 1] * 4000, [8000], keep=keep)
    assert np.count_nonzero(run.tokens == 0) == 4000
    assert np.count_nonzero(run.tokens == 1) == pytest.approx(1000, abs=120)


def test_thinned_targets_have_no_window_and_stay_contexts():
    run = draw([5, 6, 5], [3], keep=np.array([1.0] * 6 + [0.0] * 4), thin_targets=True, window=2,
               shrink_windows=False)  # fmt: skip
    assert run.tokens.tolist() == [5, 6, 5]
    assert run.windows.tolist() == [128 | 2, 0, 2]


@pytest.mark.parametrize("rule", ["cut", "split"])
def test_limited_sentences_hold_their_tokens_in_order(rule):
    lengths = np.array([0, 7, 3, 0, 6, 1])
    ids, limited = skipgrams.limit_sentences(np.arange(17, dtype=np.int32), lengths, 3, rule)
    assert {
        "cut": ([0, 1, 2, 7, 8, 9, 10, 11, 12, 16], [0, 3, 3, 0, 3, 1]),
        "split": ([*range(17)], [3, 3, 1, 3, 3, 3, 1]),
    }[rule] == (ids.tolist(), limited.tolist())


def test_windows_are_uniform_from_one_to_the_largest():
    run = draw([0] * 6000, [6000], window=3)
    assert np.bincount(run.windows[1:])[1:] == pytest.approx([2000] * 3, abs=150)


def test_draws_depend_on_seed_pass_purpose_and_article_alone():
    def numbers(seed=1, index=0, purpose="windows", name="PMC1"):
        return article_rng(RandomSeed(seed, index), purpose, name).random(2).tolist()

    changed = [{"seed": 2}, {"index": 1}, {"purpose": "negatives"}, {"name": "PMC2"}]
    assert numbers() == numbers()
    assert all(numbers(**change) != numbers() for change in changed)


def test_a_run_is_cut_and_the_last_record_padded():
    run = SampledArticle("PMC1", np.arange(10, dtype=np.int32) % 3, np.full(10, 2, np.uint8))
    first, second = pack_records([run], SHAPE, NOISE, RandomSeed(1))
    assert first.tokens.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert second.tokens.tolist() == [2, 0, -1, -1, -1, -1, -1, -1]
    assert second.windows.tolist() == [2, 2, 0, 0, 0, 0, 0, 0]
    assert first.negatives.shape == (4,)


def test_negatives_do_not_depend_on_what_stood_before():
    def runs(*names):
        return [SampledArticle(n, np.zeros(8, np.int32), np.ones(8, np.uint8)) for n in names]

    alone = list(pack_records(runs("PMC2"), SHAPE, NOISE, RandomSeed(1)))
    after = list(pack_records(runs("PMC1", "PMC2"), SHAPE, NOISE, RandomSeed(1)))
    assert alone[0].negatives.tolist() == after[1].negatives.tolist()


@pytest.mark.parametrize("together", [1, 16, 24])
def test_records_do_not_depend_on_how_many_are_drawn_at_once(together, monkeypatch):
    runs = [
        SampledArticle(f"PMC{n}", np.arange(n) % 3, np.full(n, n, np.uint8))
        for n in (3, 30, 0, 8, 7)
    ]
    packed = [list(pack_records(runs, SHAPE, NOISE, RandomSeed(1)))]
    monkeypatch.setattr(skipgrams, "_TOKENS_BETWEEN_DRAWS", together)
    packed.append(list(pack_records(runs, SHAPE, NOISE, RandomSeed(1))))
    assert len(packed[0]) == 6
    for one, other in zip(*packed, strict=True):
        for name in (feature.name for feature in RECORD_FEATURES):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_negatives_follow_the_noise_distribution():
    shape = RecordShape(length=4, block=4, block_negatives=4000, window=1, negative=5)
    run = SampledArticle("PMC1", np.zeros(4, np.int32), np.ones(4, np.uint8))
    (record,) = pack_records([run], shape, NOISE, RandomSeed(1))
    assert np.bincount(record.negatives) == pytest.approx([2000, 1000, 1000], abs=150)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=8, max_size=8),
    st.integers(0, 8),
)
def test_pairs_are_those_of_the_definition(drawn, real):
    tokens = np.where(np.arange(8) < real, np.arange(8), -1).astype(np.int32)
    windows = np.array([b + 128 * s for b, s in drawn], np.uint8)
    windows[real:] = 0
    record = Record(tokens, windows, np.array([7, 8, 9, 6], np.int32))
    expected = by_definition(record)
    targets, contexts, labels = explicit_pairs(record, SHAPE)
    assert list(zip(targets.tolist(), contexts[:, 0].tolist(), strict=True)) == expected
    assert count_pairs([record]) == len(expected)
    assert [c[1:].tolist() for c in contexts] == [[7, 8] if i < 4 else [9, 6] for i, _ in expected]
    assert all(label.tolist() == [1, 0, 0] for label in labels)


def test_the_validation_split_takes_its_share_and_no_more():
    validation = [is_validation(f"PMC{n}", 0.1, seed=1) for n in range(5000)]
    assert sum(validation) == pytest.approx(500, abs=80)
    assert not any(is_validation(f"PMC{n}", 0.0, seed=1) for n in range(100))
    assert validation != [is_validation(f"PMC{n}", 0.1, seed=2) for n in range(5000)]
