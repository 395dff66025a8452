"""Batches that are made up: words by Zipf's law after word2vec's subsampling."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pmc2vec.dataset.records import SENTENCE_START, RecordShape
from pmc2vec.dataset.vocabulary import keep_probabilities, noise_distribution
from trainer.input_pipeline import Batch

SENTENCE = 16
BLOCK = (16, 16)
"""S and K."""


def made_up(words: int, shape: RecordShape, tokens: int, seed: int = 1) -> Batch:
    """Returns a batch of so many tokens; another seed, another batch."""
    rng = np.random.default_rng(seed)
    counts = (1e7 / np.arange(1, words + 1)).astype(np.int64) + 1
    kept = counts * keep_probabilities(counts, 1e-3)
    records = tokens // shape.length
    windows = rng.integers(1, shape.window + 1, [records, shape.length]).astype(np.uint8)
    windows[:, ::SENTENCE] |= SENTENCE_START
    return Batch(
        tf.constant(rng.choice(words, [records, shape.length], p=kept / kept.sum()), tf.int32),
        tf.constant(windows),
        tf.constant(
            rng.choice(words, [records, shape.negatives], p=noise_distribution(counts)), tf.int32
        ),
    )


def shape_of(block: int, negatives: int) -> RecordShape:
    """Returns the shape of records with such blocks."""
    return RecordShape(length=512, block=block, block_negatives=negatives, window=5, negative=5)
