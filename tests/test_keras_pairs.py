"""The pairs of a dataset against those of TensorFlow's word2vec tutorial, by Keras's own code."""

import re
import string
from collections import Counter

import numpy as np
import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from pmc2vec.dataset import records, skipgrams, vocabulary

LINE_LENGTH, WORDS = 10, 60

# The settings of https://www.tensorflow.org/text/tutorials/word2vec.
TUTORIAL = {
    "tokenizer": "tutorial", "text_unit": "line", "sequence_length": LINE_LENGTH,
    "unknown": "keep", "min_count": 1, "max_final_vocab": WORDS, "window": 2,
    "shrink_windows": False, "negative": 4, "noise": "log_uniform", "subsampling": "keras",
    "validation_fraction": 0.0, "num_shards": 1,
}  # fmt: skip


def text_lines():
    """Lines of one to twenty words with sentence ends and capitals; no two words as frequent."""
    rng = np.random.default_rng(1)
    counts = {f"w{number}": 1000 // number + 101 - number for number in range(1, 101)}
    words = rng.permutation(np.repeat(list(counts), list(counts.values()))).tolist()
    # `W1 w7 w1 w2. W3 ...` is two sentences.
    marked = [
        word.upper() if at % 4 == 0 else f"{word}." if at % 4 == 3 else word
        for at, word in enumerate(words)
    ]
    ends = np.cumsum(rng.integers(1, 21, len(words)))
    return [" ".join(part) for part in np.split(marked, ends[ends < len(words)])]


def tutorial_sequences(lines):
    """The tutorial's code: ([lines, 10] ids, words by id)."""
    import tensorflow as tf

    def custom_standardization(input_data):
        lowercase = tf.strings.lower(input_data)
        return tf.strings.regex_replace(lowercase, f"[{re.escape(string.punctuation)}]", "")

    layer = tf.keras.layers.TextVectorization(
        standardize=custom_standardization, max_tokens=WORDS + 2, output_mode="int",
        output_sequence_length=LINE_LENGTH,
    )  # fmt: skip
    layer.adapt(tf.data.Dataset.from_tensor_slices(lines).batch(1024))
    return layer(tf.constant(lines)).numpy(), layer.get_vocabulary()


def tutorial_pairs(sequences, words, sampling_table):
    """The pairs of words that Keras's `skipgrams` makes of each sequence."""
    import tensorflow as tf

    pairs = []
    for sequence in sequences:
        couples, _ = tf.keras.preprocessing.sequence.skipgrams(
            sequence, vocabulary_size=len(words), sampling_table=sampling_table,
            window_size=2, negative_samples=0, shuffle=False,
        )  # fmt: skip
        pairs += [(words[target], words[context]) for target, context in couples]
    return Counter(pairs)


def our_pairs(tmp_path, lines, **options):
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    settings = {**TUTORIAL, "record_length": 1 << 16, "block": 2, "block_negatives": 1, **options}
    config = BuildConfig(input=(f"{tmp_path}/lines.txt",), output=f"{tmp_path}/data", **settings)
    manifest = build(config, ("--direct_num_workers=1",))
    text = (tmp_path / "data/vocabulary.tsv").read_text(encoding="utf-8")
    words = vocabulary.parse_vocabulary(text, "vocabulary").words
    pairs = Counter()
    for shard in manifest.shards:
        with (tmp_path / "data" / shard.name).open("rb") as file:
            for record in records.read_shard(file, shard.name):
                targets, contexts, _ = skipgrams.explicit_pairs(record, manifest.shape)
                pairs.update(
                    (words[t], words[c]) for t, c in zip(targets, contexts[:, 0], strict=True)
                )
    assert pairs.total() == sum(shard.pairs for shard in manifest.shards)
    return pairs, words


@pytest.fixture(scope="module")
def tutorial():
    lines = text_lines()
    return lines, *tutorial_sequences(lines)


def test_without_subsampling_the_pairs_are_the_tutorials_one_by_one(tutorial, tmp_path):
    lines, sequences, words = tutorial
    pairs, our_words = our_pairs(tmp_path, lines, sample=0)
    assert ["", *our_words] == words
    assert pairs == tutorial_pairs(sequences, words, None)
    assert pairs["[UNK]", "w1"] > 0


def test_subsampling_thins_targets_and_leaves_contexts_as_keras_does(tutorial, tmp_path):
    import tensorflow as tf

    lines, sequences, words = tutorial
    pairs, _ = our_pairs(tmp_path, lines, sample=1e-2)
    table = tf.keras.preprocessing.sequence.make_sampling_table(len(words), sampling_factor=1e-2)
    theirs = tutorial_pairs(sequences, words, table)
    # A token that is kept has up to four pairs, so a count of pairs has a variance of some four.
    noise = 4 * np.sqrt(2 * 4 * theirs.total())
    assert abs(pairs.total() - theirs.total()) < noise
    expected = Counter()
    for (target, context), count in tutorial_pairs(sequences, words, None).items():
        expected[context] += count * table[words.index(target)]
    for context in ("w1", "w2", "[UNK]"):
        count = sum(n for (_, other), n in pairs.items() if other == context)
        assert count == pytest.approx(expected[context], abs=4 * np.sqrt(4 * expected[context]))
