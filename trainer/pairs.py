"""The explicit pairs of a dataset as a `tf.data.Dataset`, for a Keras model of one's own.

    pairs = pmc2vec.pairs("dataset", batch_size=1024, negative=4, seed=0)
    model.fit(pairs, epochs=5)

The forms of the elements and the rules of the draws are those of `pmc2vec.dataset.pairs`, which
has them in NumPy. Here all is in the graph, without Python functions, so that the dataset also
works on the workers of tf.data's service and under a distribution strategy. Each iteration, as
`fit` begins one for each epoch, draws windows, negatives and the order anew, by a random number
that tf.data draws for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pmc2vec.dataset.pairs import PairOptions
from pmc2vec.dataset.records import PADDING, SENTENCE_START, TRAIN, WINDOW_BITS
from pmc2vec.dataset.vocabulary import noise_distribution
from trainer.dataset_reader import Dataset, open_dataset
from trainer.redrawing import alias_table

_OPEN_SHARDS, _READ_RECORDS = 4, 64  # As for the trainer's own batches; see `input_pipeline`.
_SHUFFLE_RECORDS = 4096
_CHUNK_RECORDS = 64  # Records whose pairs are shuffled together; some 200,000 pairs.
_PREFETCH_BATCHES = 16

# None of the mapped functions has Python control flow over tensors, and the rewriting by AutoGraph
# takes half a second.
_no_autograph = tf.autograph.experimental.do_not_convert


def pairs(dataset: str, *, seed: int = 0, split: str = TRAIN, **options: Any) -> tf.data.Dataset:
    """Returns batches of explicit pairs, drawn anew in each iteration.

    The number of batches is not known, since windows are drawn. With several `--passes` of the
    build, an iteration takes one of them at random.

    Args:
        dataset: written by `pmc2vec build`, local or in an object store.
        seed: of the draws; two datasets with the same seed give the same batches.
        split: `train` or `validation`.
        **options: attributes of `PairOptions`: batch_size, negative, form, unique_negatives.

    Raises:
        UserError: as `open_dataset`, or an option cannot be.
    """
    pair_options, opened = PairOptions(**options), open_dataset(dataset)
    manifest = opened.manifest
    expand = _Expansion(opened, pair_options)
    draws = range(manifest.passes) if split == TRAIN else [0]
    paths = [[opened.local_path(s) for s in manifest.select(split, draw)] for draw in draws]

    @_no_autograph
    def shuffled_paths(number: Any) -> tf.data.Dataset:
        """Returns the shards of an epoch in random order."""
        chosen = tf.gather(paths, number % len(paths))
        keys = tf.random.stateless_uniform([len(paths[0])], tf.stack([number, 0]))
        return tf.data.Dataset.from_tensor_slices(tf.gather(chosen, tf.argsort(keys)))

    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
    serialized = numbers.take(1).flat_map(shuffled_paths)
    serialized = serialized.interleave(
        tf.data.TFRecordDataset, cycle_length=_OPEN_SHARDS, block_length=_READ_RECORDS
    )
    chunks = serialized.shuffle(_SHUFFLE_RECORDS, seed=seed).batch(_CHUNK_RECORDS)
    expanded = tf.data.Dataset.zip((chunks, numbers)).map(
        expand, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    batches = expanded.rebatch(pair_options.batch_size, drop_remainder=True)
    return batches.prefetch(_PREFETCH_BATCHES)


class _Expansion:
    """Turns serialized records and a random number into elements, as `pairs.chunk_pairs` does."""

    def __init__(self, dataset: Dataset, options: PairOptions) -> None:
        manifest = dataset.manifest
        self._shape, self._options = manifest.shape, options
        self._negative = options.negatives_of(manifest)
        self._shrink_windows = bool(manifest.config.get("shrink_windows", True))
        config = manifest.config
        self._keep, self._alias = alias_table(
            noise_distribution(dataset.vocabulary.counts, config["noise"], config["ns_exponent"])
        )

    @_no_autograph
    def __call__(self, serialized: Any, number: Any) -> Any:
        """Returns the elements of a chunk, in random order.

        Args:
            serialized: [N] string.
            number: [] int64, random.
        """
        spec = {name: tf.io.FixedLenFeature([], tf.string) for name in ("tokens", "windows")}
        features = tf.io.parse_example(serialized, spec)
        tokens = tf.io.decode_raw(features["tokens"], tf.int32)
        windows = tf.io.decode_raw(features["windows"], tf.uint8)
        if self._shrink_windows:
            windows = self._drawn_windows(windows, number)
        target, context, mask = self._window_contexts(
            tf.ensure_shape(tokens, [None, self._shape.length]),
            tf.ensure_shape(windows, [None, self._shape.length]),
        )
        if self._options.form == "windows":
            parts = ((context, mask), target)
            return _permuted(parts, tf.shape(target)[0], tf.stack([number, 2]))
        where = tf.where(mask)  # [P, 2]: row, offset
        target, context = tf.gather(target, where[:, 0]), tf.gather_nd(context, where)
        words = tf.concat([context[:, None], self._negatives(context, number)], 1)
        label = tf.one_hot(tf.zeros_like(context), 1 + self._negative, dtype=tf.int64)
        if self._options.form == "tutorial":
            parts = ((target, words), label)
            return _permuted(parts, tf.shape(target)[0], tf.stack([number, 2]))
        flat = (
            tf.repeat(target, 1 + self._negative),
            *(tf.reshape(p, [-1]) for p in (words, label)),
        )
        return _permuted(flat, tf.size(words), tf.stack([number, 2]))

    def _drawn_windows(self, windows: Any, number: Any) -> Any:
        new_windows = tf.random.stateless_uniform(
            tf.shape(windows), tf.stack([number, 1]), 1, self._shape.window + 1, tf.int32
        )
        new_windows = tf.cast(new_windows, tf.uint8) | (windows & SENTENCE_START)
        return tf.where(windows & WINDOW_BITS > 0, new_windows, windows)

    def _window_contexts(self, tokens: Any, windows: Any) -> tuple[Any, Any, Any]:
        """Returns what `pmc2vec.dataset.pairs.window_contexts` returns."""
        w = self._shape.window
        offsets = np.array([*range(-w, 0), *range(1, w + 1)])
        around = np.arange(self._shape.length)[:, None] + offsets + w  # [T, 2w]
        starts = tf.cumsum(tf.cast(windows >= SENTENCE_START, tf.int32), 1)
        sentences = tf.where(tokens == PADDING, -1, starts)

        def neighbours(values: Any) -> Any:
            """Returns [N, T, 2w]: the values around each of [N, T], -1 beyond the record."""
            padded = tf.pad(values, [[0, 0], [w, w]], constant_values=-1)
            return tf.gather(padded, around, axis=1)

        reach = tf.cast(windows & WINDOW_BITS, tf.int32)[..., None]
        mask = (
            (neighbours(sentences) == sentences[..., None])
            & (sentences[..., None] >= 0)
            & (np.abs(offsets) <= reach)
        )
        is_target = tf.reduce_any(mask, 2)
        mask = tf.boolean_mask(mask, is_target)
        context = tf.where(mask, tf.boolean_mask(neighbours(tokens), is_target), 0)
        target = tf.boolean_mask(tokens, is_target)
        return tf.cast(target, tf.int64), tf.cast(context, tf.int64), mask

    def _negatives(self, context: Any, number: Any) -> Any:
        """Returns what `pmc2vec.dataset.pairs.draw_pair_negatives` returns, [P, n] int64."""
        shape = [tf.shape(context)[0], self._negative]

        def draw(turn: Any) -> Any:
            """Returns independent draws, [P, n], by the alias method."""
            columns = tf.random.stateless_uniform(
                shape, tf.stack([number, 3 + 2 * turn]), 0, len(self._keep), tf.int64
            )
            heights = tf.random.stateless_uniform(shape, tf.stack([number, 4 + 2 * turn]))
            alias = tf.cast(tf.gather(self._alias, columns), tf.int64)
            return tf.where(heights < tf.gather(self._keep, columns), columns, alias)

        def is_repeated(negatives: Any) -> Any:
            """Returns where a negative is the context or a negative before it, [P, n]."""
            words = tf.concat([context[:, None], negatives], 1)
            is_same_word = words[:, :, None] == words[:, None, :]
            before = np.tril(np.ones([1 + self._negative] * 2, bool), -1)
            return tf.reduce_any(is_same_word & before, 2)[:, 1:]

        negatives = draw(tf.constant(0, tf.int64))
        if not self._options.unique_negatives:
            return negatives
        _, negatives = tf.while_loop(
            lambda _, negatives: tf.reduce_any(is_repeated(negatives)),
            lambda turn, negatives: (
                turn + 1,
                tf.where(is_repeated(negatives), draw(turn), negatives),
            ),
            (tf.constant(1, tf.int64), negatives),
        )
        return negatives


def _permuted(parts: Any, size: Any, seed: Any) -> Any:
    order = tf.argsort(tf.random.stateless_uniform([size], seed))
    return tf.nest.map_structure(lambda part: tf.gather(part, order), parts)
