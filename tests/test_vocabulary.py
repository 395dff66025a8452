import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmc2vec.dataset.vocabulary import (
    NoiseSampler,
    Vocabulary,
    format_vocabulary,
    keep_probabilities,
    noise_distribution,
    parse_vocabulary,
    rank_words,
    with_unknown_word,
)
from pmc2vec.errors import UserError

COUNTS = np.array([100, 10, 1], np.int64)


def test_words_stand_by_falling_count_and_then_by_code_point():
    vocabulary = rank_words(["b", "α", "a", "rare"], np.array([3, 9, 3, 1]), min_count=2)
    assert list(vocabulary.words) == ["α", "a", "b"]
    assert vocabulary.counts.tolist() == [9, 3, 3]
    assert vocabulary.ids == {"α": 0, "a": 1, "b": 2}
    assert vocabulary.tokens == 15


def test_max_final_vocab_keeps_the_most_frequent():
    vocabulary = rank_words(["a", "b", "c"], np.array([1, 3, 2]), min_count=1, max_final_vocab=2)
    assert vocabulary.words == ["b", "c"]


def test_the_unknown_word_is_the_first_and_takes_tokens_that_read_like_it():
    vocabulary = rank_words(["the", "[UNK]", "of"], np.array([9, 4, 3]), min_count=1)
    vocabulary = with_unknown_word(vocabulary, 2)
    assert (vocabulary.words, vocabulary.counts.tolist()) == (["[UNK]", "the", "of"], [6, 9, 3])


def test_word2vec_keeps_by_the_square_root_rule():
    # f = 0.5, t = 0.1: sqrt(0.2) + 0.2
    assert keep_probabilities(np.array([5, 5]), 0.1) == pytest.approx([0.64721] * 2, abs=1e-5)
    assert keep_probabilities(COUNTS, 1.0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("sample", "rule"), [(0.0, "word2vec"), (1e-3, "none"), (0.0, "keras")])
def test_no_threshold_keeps_all(sample, rule):
    assert keep_probabilities(COUNTS, sample, rule).tolist() == [1, 1, 1]


def test_the_keras_rule_is_keras_own():
    import tensorflow as tf

    table = tf.keras.preprocessing.sequence.make_sampling_table(51, 1e-3)  # its word 0 is padding
    assert keep_probabilities(np.ones(50, np.int64), 1e-3, "keras") == pytest.approx(table[1:])


def test_noise_is_count_to_the_exponent():
    # 16 ** 0.75 = 8
    assert noise_distribution(np.array([16, 1])).tolist() == pytest.approx([8 / 9, 1 / 9])
    assert noise_distribution(np.array([16, 1]), ns_exponent=0.0).tolist() == [0.5, 0.5]


def test_log_uniform_is_tensorflows_sampler():
    import tensorflow as tf

    # With one draw the expected count of an id is its probability.
    _, expected, _ = tf.random.log_uniform_candidate_sampler(
        [list(range(20))], num_true=20, num_sampled=1, unique=False, range_max=20
    )
    assert noise_distribution(np.ones(20), "log_uniform") == pytest.approx(expected.numpy()[0])


def test_uniform_noise_is_uniform():
    assert noise_distribution(COUNTS, "uniform").tolist() == pytest.approx([1 / 3] * 3)


WORDS = st.text(st.characters(blacklist_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]), min_size=1)


@given(st.lists(WORDS, unique=True))
def test_a_vocabulary_survives_its_file(words):
    counts = np.arange(len(words), 0, -1)
    read = parse_vocabulary(format_vocabulary(Vocabulary(words, counts)), "v")
    assert list(read.words) == words
    assert read.counts.tolist() == counts.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "v: line 1 is not 'word\\tcount'"),
        ("word\tcount\nfever\t3\ncold 4\n", "v: line 3 is not a word, a tab and a count"),
        ("word\tcount\nfever\t-3\n", "v: line 2 is not"),
    ],
)
def test_a_damaged_file_names_its_line(text, message):
    with pytest.raises(UserError) as caught:
        parse_vocabulary(text, "v")
    assert str(caught.value).startswith(message)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=40), st.integers(0, 2**32))
def test_noise_words_are_those_that_a_search_finds(weights, seed):
    distribution = np.array(weights) / sum(weights)
    sums = np.cumsum(distribution)
    uniform = np.random.default_rng(seed).random(200)
    uniform[:2] = 0, 1 - 2.0**-53
    ids = NoiseSampler(distribution).sample(uniform)
    search = np.searchsorted(sums, uniform * sums[-1], side="right")
    assert ids.tolist() == np.minimum(search, len(sums) - 1).tolist()
    assert ids.dtype == np.int32
