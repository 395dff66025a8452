"""A dataset folder -> tf.data batches of skip-gram records.

The order of an epoch is a pure function of (seed, epoch): its shards in random order, four read in
turn, and SHUFFLE_RECORDS records at a time shuffled. So a training that stopped after n batches of
an epoch continues with the same order without its first n batches, and no checkpoint of tf.data is
needed. (`Dataset.shuffle` cannot do this: its order depends on TensorFlow's global seed too, which
any program may have set.)

Of several processes each reads all shards in this order, and parses its part of each batch: of 8
records that two processes share, the first has records 0 to 3 and the second 4 to 7. So together
they have the batches of one process, which costs little: to read a record takes a fraction of the
time to parse it.

Records are parsed in groups of up to 50 batches, since parsing one batch at a time costs several
times as much. The trainer takes whole groups (`grouped=True`, `BatchGroups`).

    dataset = open_dataset("s3://bucket/dataset")
    for batch in training_batches(dataset, epoch=0, seed=1, records=8):
        ...  # batch.tokens: [8, 512] int32
    for group in training_batches(dataset, epoch=0, seed=1, records=8, grouped=True):
        ...  # group.tokens: [50, 8, 512] int32
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pmc2vec.dataset.manifest import Shard
from pmc2vec.dataset.records import (
    RECORD_FEATURES,
    VALIDATION,
    RecordFeature,
    RecordShape,
)
from pmc2vec.machine import available_cores
from trainer import redrawing
from trainer.dataset_reader import Dataset, open_dataset
from trainer.devices import SINGLE_WORKER, Worker

__all__ = [
    "Batch", "BatchGroups", "empty_batches", "open_dataset", "pad_to_steps",
    "training_batches", "validation_batches",
]  # fmt: skip

SHUFFLE_RECORDS = 32768
"""Records that are shuffled together: 120 MB and some 16 million targets (docs/experiments.md)."""

OPEN_SHARDS = 4
"""Shards that are read in turn, so that a batch has text of many articles.

Few, so that they do not all end at the end of the epoch, where the batches would consist of what
each shard ends with."""

READ_RECORDS = 64
"""Records that are read from a shard before the next shard's turn, and copied together."""

GROUP_BATCHES = 50
"""Batches that are parsed together, unless they have more than SHUFFLE_RECORDS records."""

PARALLEL_PARSES = max(1, min(8, available_cores() // 4))
"""Groups that are parsed at the same time. One where there are few cores: the step needs them."""

PREFETCH_BATCHES = 16

# AutoGraph would rewrite the source of each mapped function, which takes half a second in all. None
# of them has Python control flow over tensors.
_no_autograph = tf.autograph.experimental.do_not_convert


class Batch(NamedTuple):
    """The features of B records, with a row for each; see `records.RECORD_FEATURES`.

    Functions that treat all features alike go by that table, not by these names. A group of batches
    has one more axis before.

    Attributes:
        tokens: [B, T] int32 word ids, `PADDING` where there is none.
        windows: [B, T] uint8, as in `records.Record`.
        negatives: [B, T / S * K] int32 word ids.
    """

    tokens: Any
    windows: Any
    negatives: Any


# --- batches -----------------------------------------------------------------------------------


def training_batches(
    dataset: Dataset,
    *,
    epoch: int,
    seed: int,
    records: int,
    skip: int = 0,
    worker: Worker = SINGLE_WORKER,
    redraw: bool = False,
    grouped: bool = False,
) -> tf.data.Dataset:
    """Returns a worker's part of each batch of an epoch; the last batch is padded.

    The parts of all workers, put together, are the batches of one worker with as many records.

    Args:
        dataset: the dataset to read.
        epoch: counted from 0; selects the stored draw and, with `seed`, the order.
        seed: of the order.
        records: B, records of a batch that this worker trains on.
        skip: batches at the start of the epoch to leave out.
        worker: the process that reads.
        redraw: draw windows and negatives anew in an epoch after the stored draws.
        grouped: return groups of batches.
    """
    rng = np.random.default_rng([seed, epoch])
    shards = dataset.shards(epoch)
    serialized = _read_shards(dataset, [shards[i] for i in rng.permutation(len(shards))])
    group_size = _group_size(records * worker.count)
    first_group, skip_in_group = divmod(skip, group_size)
    group_records = records * worker.count * group_size
    shuffled = _shuffle(serialized, int(rng.integers(2**62)), group_records).skip(first_group)
    draw = None
    if redraw and epoch >= dataset.manifest.passes:
        draw = redrawing.redraw(dataset, epoch=epoch, seed=seed, records=records, worker=worker)
    shape = dataset.manifest.shape
    groups = _parse_groups(shuffled, shape, records, worker, first_group=first_group, draw=draw)
    if skip_in_group:
        groups = groups.enumerate().map(partial(_skip_in_first_group, skip=skip_in_group))
    return groups if grouped else groups.unbatch().prefetch(PREFETCH_BATCHES)


def validation_batches(
    dataset: Dataset,
    *,
    records: int,
    limit: int,
    worker: Worker = SINGLE_WORKER,
    grouped: bool = False,
) -> tf.data.Dataset:
    """Returns the batches of the validation split, at most `limit`; the same ones every time.

    The shards are read in turn, so that the first `limit` batches have a part of each. `records`,
    `worker` and `grouped` are as for `training_batches`.
    """
    group_records = records * worker.count * _group_size(records * worker.count)
    serialized = _read_shards(dataset, dataset.manifest.select(VALIDATION)).unbatch()
    serialized = serialized.take(limit * records * worker.count).batch(group_records)
    groups = _parse_groups(serialized, dataset.manifest.shape, records, worker)
    return groups if grouped else groups.unbatch()


class BatchGroups:
    """Takes any number of batches out of groups, up to the end of one group at a time.

    Attributes:
        waiting_seconds: the time in which the next group was not ready.
    """

    def __init__(self, groups: tf.data.Dataset) -> None:
        """Begins with the first group; `groups` are of `training_batches(grouped=True)`."""
        self._groups: Iterator[tuple[tf.Tensor, ...]] = iter(groups)
        self._group: Batch | None = None
        self._begin = 0
        self.waiting_seconds = 0.0

    def take_up_to(self, limit: int) -> Batch:
        """Returns at least one batch and at most `limit`, with an axis for them before.

        Raises:
            tf.errors.OpError: a shard cannot be read.
            tf.errors.OutOfRangeError: there are no more batches.
        """
        if self._group is None:
            asked_at = time.monotonic()
            try:
                self._group = Batch(*next(self._groups))
            except StopIteration:
                raise tf.errors.OutOfRangeError(None, None, "End of sequence") from None
            self.waiting_seconds += time.monotonic() - asked_at
            self._begin = 0
        group, begin = self._group, self._begin
        size = batch_count(group)
        self._begin += limit
        if self._begin >= size:
            self._group = None
        if begin == 0 and limit >= size:
            return group
        return Batch(*(feature[begin : begin + limit] for feature in group))

    def take(self, count: int) -> Batch:
        """Returns exactly `count` batches, of one or several groups; errors as `take_up_to`."""
        parts = [self.take_up_to(count)]
        while (missing := count - sum(map(batch_count, parts))) > 0:
            parts.append(self.take_up_to(missing))
        if len(parts) == 1:
            return parts[0]
        return Batch(*(tf.concat(features, 0) for features in zip(*parts, strict=True)))


def batch_count(group: Batch) -> int:
    """Returns how many batches a group has."""
    return int(group.tokens.shape[0])


def empty_batches(shape: RecordShape, records: int) -> Batch:
    """Returns a group of no batches: features [0, B, width]."""
    return Batch(*(tf.zeros([0, records, f.width(shape)], f.dtype) for f in RECORD_FEATURES))


def pad_to_steps(group: Batch, steps: int) -> Batch:
    """Returns a group of `steps` batches, the last of them padding; [n, B, width] features."""
    missing = steps - batch_count(group)
    if not missing:
        return group
    return Batch(
        *(
            tf.pad(
                values,
                [[0, missing], [0, 0], [0, 0]],
                constant_values=tf.cast(feature.filler, values.dtype),
            )
            for feature, values in zip(RECORD_FEATURES, group, strict=True)
        )
    )


# --- reading, shuffling, parsing ---------------------------------------------------------------


def _read_shards(dataset: Dataset, shards: Sequence[Shard]) -> tf.data.Dataset:
    """Returns the shards' records, some of each in turn: vectors of READ_RECORDS strings."""
    if dataset.cache is None:
        paths = tf.data.Dataset.from_tensor_slices([dataset.local_path(s) for s in shards])
    else:

        @_no_autograph
        def copy(index: Any) -> Any:
            """Returns the path of a shard's copy."""
            path = tf.numpy_function(lambda i: dataset.local_path(shards[i]), [index], tf.string)
            return tf.ensure_shape(path, [])

        # Two shards are brought ahead of those that are open.
        paths = tf.data.Dataset.range(len(shards)).map(copy).prefetch(2)
    return paths.interleave(
        _no_autograph(lambda path: tf.data.TFRecordDataset(path).batch(READ_RECORDS)),
        cycle_length=min(OPEN_SHARDS, len(shards)),
        num_parallel_calls=min(OPEN_SHARDS, len(shards)),
        deterministic=True,
    )


def _shuffle(serialized: tf.data.Dataset, seed: int, records: int) -> tf.data.Dataset:
    """Returns groups of so many records in a random order; the last one may be shorter.

    The records of a shuffle buffer are gathered READ_RECORDS at a time: into memory that is in a
    cache and already mapped, instead of a new copy of the whole buffer.
    """

    @_no_autograph
    def permute(number: Any, buffer: Any) -> tf.data.Dataset:
        """Returns a buffer's records in random order, READ_RECORDS at a time."""
        buffer_seed = tf.stack([tf.constant(seed, tf.int64), number])
        keys = tf.random.stateless_uniform(tf.shape(buffer), buffer_seed)
        order = tf.data.Dataset.from_tensor_slices(tf.argsort(keys, stable=True))
        return order.batch(READ_RECORDS).map(lambda indices: tf.gather(buffer, indices))

    buffers = serialized.rebatch(SHUFFLE_RECORDS).prefetch(1).enumerate()
    return buffers.flat_map(permute).rebatch(records)


def _group_size(records: int) -> int:
    """Returns how many batches of so many records make a group."""
    return max(1, min(GROUP_BATCHES, SHUFFLE_RECORDS // records))


def _parse_groups(
    serialized: tf.data.Dataset,
    shape: RecordShape,
    records: int,
    worker: Worker,
    *,
    first_group: int = 0,
    draw: Callable[[Any, Any], tuple[Any, Any]] | None = None,
) -> tf.data.Dataset:
    """Returns groups of batches. Parsing record by record would cost ten times as much.

    Args:
        serialized: a vector of strings for each group, the records of all workers; the last one may
            be shorter.
        shape: of the records.
        records: B, of a batch that the worker trains on.
        worker: whose records of each batch are parsed.
        first_group: number of the first group.
        draw: draws windows and negatives anew; see `redrawing.redraw`.
    """
    # Negatives that are drawn anew are not read.
    read_features = [f for f in RECORD_FEATURES if draw is None or f.name != "negatives"]
    parse_spec = {feature.name: tf.io.FixedLenFeature([], tf.string) for feature in read_features}

    @_no_autograph
    def parse(number: Any, strings: Any) -> Batch:
        """Returns the worker's part of the batches of a group, the last one padded."""
        count = tf.size(strings)
        batches = -(-count // (records * worker.count))
        if worker.count > 1:
            strings = strings[tf.range(count) // records % worker.count == worker.index]
        examples = tf.io.parse_example(strings, parse_spec)
        features = {
            feature.name: _decode_feature(
                examples[feature.name], feature, shape, rows=batches * records
            )
            for feature in read_features
        }
        if draw is not None:
            features["windows"], features["negatives"] = draw(number, features["windows"])
        return Batch(
            **{
                name: tf.reshape(values, [-1, records, values.shape[1]])
                for name, values in features.items()
            }
        )

    groups = serialized.enumerate(first_group).map(parse, num_parallel_calls=PARALLEL_PARSES)
    options = tf.data.Options()
    # With autotuning the destructor of an iterator waits up to ten seconds for the tuning thread
    # (seen with TensorFlow 2.21). There is nothing to tune: every degree of parallelism is given.
    options.autotune.enabled = False
    # The iterator reads its first batches at once, while the step is compiled.
    options.experimental_warm_start = True
    return groups.prefetch(2).with_options(options)


def _decode_feature(values: Any, feature: RecordFeature, shape: RecordShape, rows: Any) -> Any:
    """Returns a feature of all records, [rows, width], padded at the end.

    Args:
        values: a string for each record; there may be none.
        feature: the dtype, width and filler of the rows.
        shape: of the records.
        rows: [] int32.
    """
    dtype, count = tf.as_dtype(feature.dtype), tf.size(values)
    # Of no strings decode_raw makes an array of width 0.
    decoded = tf.reshape(tf.io.decode_raw(values, dtype), [count, feature.width(shape)])
    filler = tf.cast(feature.filler, dtype)
    return tf.pad(decoded, [[0, rows - count], [0, 0]], constant_values=filler)


@_no_autograph
def _skip_in_first_group(number: Any, group: Batch, *, skip: int) -> Batch:
    """Returns a group; the first one, number 0, without `skip` batches."""
    return Batch(*(feature[tf.where(number == 0, skip, 0) :] for feature in group))
