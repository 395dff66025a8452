"""A dataset folder -> tf.data batches of skip-gram records.

What is stored is described by the manifest; what the model eats is a `Batch`. The order of an
epoch is a pure function of (seed, epoch): its shards in random order, interleaved, and so many
records at a time shuffled. (`Dataset.shuffle` will not do: it depends on TensorFlow's global
seed, which any program may have set.) So an epoch that was left after n batches is continued by
the same order without its first n batches, and nothing else is kept.

Several processes share an epoch by shards, each shard read by one of them; where there are fewer
shards than processes, by records.

Records are parsed in groups of up to 50 batches, since a batch by itself costs several times as
much; whoever trains takes groups or, of each group, its batches.

    dataset = open_dataset("gs://bucket/dataset")
    for batch in training_batches(dataset, epoch=0, seed=1, records=8):
        ...  # batch.tokens: [8, 512] int32
    for group in training_batches(dataset, epoch=0, seed=1, records=8, grouped=True):
        ...  # group.tokens: [50, 8, 512] int32
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from pmc2vec.dataset.manifest import Shard
from pmc2vec.dataset.records import (
    PADDING,
    RECORD_FEATURES,
    SENTENCE_START,
    TRAIN,
    VALIDATION,
    WINDOW_BITS,
    RecordFeature,
    RecordShape,
)
from pmc2vec.errors import UserError
from pmc2vec.machine import available_cores
from trainer import redrawing
from trainer.dataset_reader import Dataset, damage, open_dataset, shards_of
from trainer.distribution.devices import ALONE, Worker

__all__ = [
    "Batch", "Dataset", "damage", "open_dataset", "pair_dataset", "training_batches",
    "validation_batches",
]  # fmt: skip

SHUFFLE_RECORDS = 32768
"""Records that are shuffled at a time: 120 MB and some 16 million targets (docs/experiments.md)."""

OPEN_SHARDS = 4
"""Shards that are read in turn, so that neighbours in a batch come from many articles.

Few, so that what an epoch ends with is not what each shard ends with."""

PIECE = 64
"""Records that are read from a shard before the next one's turn, and shuffled into a window."""

GROUP = 50
"""Batches that are parsed together, unless they hold more than SHUFFLE_RECORDS records."""

PARSERS = max(1, min(8, available_cores() // 4))
"""Groups that are parsed at the same time; one where the step has few cores for itself."""

PREFETCH = 16
"""Batches made ahead of the step."""

_as_written = tf.autograph.experimental.do_not_convert  # To be rewritten takes half a second.

_PAIRED_RECORDS = 64  # Records whose pairs are shuffled together; some 200,000 pairs.


class Batch(NamedTuple):
    """Records as the model eats them; B of them, each of the manifest's `RecordShape`.

    Attributes:
        tokens: [B, T] int32 word ids, `PADDING` where there is none.
        windows: [B, T] uint8, as in `records.Record`.
        negatives: [B, T / S * K] int32 word ids.
    """

    tokens: Any
    windows: Any
    negatives: Any


def training_batches(
    dataset: Dataset,
    *,
    epoch: int,
    seed: int,
    records: int,
    skip: int = 0,
    worker: Worker = ALONE,
    redraw: bool = False,
    grouped: bool = False,
) -> tf.data.Dataset:
    """Returns a worker's batches of an epoch; all workers' together hold each record once.

    The last batch is padded to `records`; a worker with fewer batches than another gets batches of
    padding.

    Args:
        dataset: where to read.
        epoch: counted from 0; chooses the draw, and the order together with `seed`.
        seed: of the order.
        records: B, records in a batch.
        skip: batches that were trained on already.
        worker: who reads.
        redraw: draw windows and negatives anew for an epoch after those that are stored.
        grouped: return groups of batches, `Batch`es with an axis before.
    """
    shards = dataset.shards(epoch)
    by_shard = len(shards) >= worker.count
    rng = np.random.default_rng([seed, epoch])
    mine = shards_of(shards, worker) if by_shard and worker.count > 1 else shards
    order = [mine[at] for at in rng.permutation(len(mine))]
    pieces = _serialized(dataset, order)
    if not by_shard:
        pieces = pieces.unbatch().shard(worker.count, worker.index).batch(PIECE)
    first, rest = divmod(skip, _group(records))
    shuffled = _shuffled(pieces, int(rng.integers(2**62)), records * _group(records))
    drawn = None
    if redraw and epoch >= dataset.manifest.passes:
        drawn = redrawing.redraw(dataset, epoch=epoch, seed=seed, worker=worker)
    shape = dataset.manifest.shape
    groups = _grouped(shuffled.skip(first), shape, records, first=first, drawn=drawn)

    @_as_written
    def left(number: Any, group: Batch) -> Batch:
        """Returns a group without what was trained on of the first."""
        return Batch(*(part[tf.where(number == 0, rest, 0) :] for part in group))

    if rest:
        groups = groups.enumerate().map(left)
    if worker.count > 1:
        groups = _padded(
            groups, dataset.steps(epoch, records, worker.count) - skip, _group(records)
        )
    return groups if grouped else groups.unbatch().prefetch(PREFETCH)


def validation_batches(
    dataset: Dataset, *, records: int, limit: int, worker: Worker = ALONE, grouped: bool = False
) -> tf.data.Dataset:
    """Returns the batches of the validation split, at most `limit`; the same ones every time.

    The shards are read in turn, so that the first `limit` batches hold a part of each. Of several
    workers each gets exactly `limit`, the last ones padding. With `grouped` as `training_batches`.
    """
    serialized = _serialized(dataset, dataset.manifest.select(VALIDATION)).unbatch()
    mine = serialized.take(limit * records * worker.count).shard(worker.count, worker.index)
    groups = _grouped(mine.batch(records * _group(records)), dataset.manifest.shape, records)
    if worker.count > 1:
        groups = _padded(groups, limit, _group(records))
    return groups if grouped else groups.unbatch()


def pair_dataset(
    folder: str,
    *,
    batch_size: int = 1024,
    num_ns: int | None = None,
    epoch: int = 0,
    seed: int = 1,
    split: str = TRAIN,
) -> tf.data.Dataset:
    """Returns explicit pairs in the shapes of TensorFlow's word2vec tutorial, batch by batch.

    Each element is `((target, context), label)`: target [B] int64, a word; context
    [B, 1 + num_ns] int64, its context and after it negatives; label [B, 1 + num_ns] int64, 1 for
    the context and 0 for the others. `model.fit` takes it as it is. Pairs that are left over from
    the last batch are dropped, as in the tutorial.

    A record's K negatives of a block are dealt to its pairs in turn.

    Args:
        folder: that `pmc2vec build` wrote.
        batch_size: B, pairs.
        num_ns: negatives of a pair; by default the dataset's `negative`, at most its K.
        epoch: counted from 0; chooses the draw, and the order together with `seed`.
        seed: of the order.
        split: `train` or `validation`.

    Raises:
        UserError: as `open_dataset`; or there are not so many negatives.
    """
    dataset = open_dataset(folder)
    shape = dataset.manifest.shape
    negatives = min(shape.negative, shape.block_negatives) if num_ns is None else num_ns
    if not 1 <= negatives <= shape.block_negatives:
        raise UserError(
            f"num_ns {num_ns}: the records of {folder} hold {shape.block_negatives} negatives for "
            "a pair; ask for 1 to as many"
        )
    batches = (
        training_batches(dataset, epoch=epoch, seed=seed, records=_PAIRED_RECORDS)
        if split == TRAIN
        else validation_batches(dataset, records=_PAIRED_RECORDS, limit=2**31)
    )

    @_as_written
    def expand(number: Any, batch: Batch) -> Any:
        """Returns the pairs of a batch, shuffled: ((target, context), label)."""
        target, context, drawn = _pairs(batch, shape, negatives)
        draw = tf.stack([tf.constant(seed, tf.int64), number])
        order = tf.argsort(tf.random.stateless_uniform(tf.shape(target), draw))
        words = tf.concat([context[:, None], drawn], 1)
        label = tf.one_hot(tf.zeros_like(target), 1 + negatives, dtype=tf.int64)
        return tf.nest.map_structure(lambda part: tf.gather(part, order), ((target, words), label))

    pairs = batches.enumerate().map(expand, num_parallel_calls=available_cores())
    shards = dataset.shards(epoch) if split == TRAIN else dataset.manifest.select(split)
    count = sum(shard.pairs for shard in shards) // batch_size
    whole = pairs.rebatch(batch_size, drop_remainder=True)
    return whole.apply(tf.data.experimental.assert_cardinality(count)).prefetch(PREFETCH)


def _pairs(batch: Batch, shape: RecordShape, negatives: int) -> tuple[Any, Any, Any]:
    """Returns target [P], context [P] and negatives [P, num_ns] of the pairs of a batch, int64."""
    w, length = shape.window, shape.length
    offsets = np.array([*range(-w, 0), *range(1, w + 1)])
    around = np.arange(length)[:, None] + offsets + w  # [T, 2w], places in what is padded
    starts = tf.cast(batch.windows >= SENTENCE_START, tf.int32)
    sentences = tf.where(batch.tokens == PADDING, -1, tf.cumsum(starts, 1))
    reach = tf.cast(batch.windows, tf.int32) & WINDOW_BITS

    def neighbours(numbers: Any) -> Any:
        """Returns [R, T, 2w]: what stands around each of [R, T] numbers, -1 beyond the ends."""
        return tf.gather(tf.pad(numbers, [[0, 0], [w, w]], constant_values=-1), around, axis=1)

    paired = (
        (neighbours(sentences) == sentences[..., None])
        & (sentences[..., None] >= 0)
        & (np.abs(offsets) <= reach[..., None])
    )
    places = tf.cast(tf.where(paired), tf.int32)  # [P, 3]: record, token, offset
    turn = tf.range(tf.shape(places)[0])[:, None] * negatives + np.arange(negatives)
    drawn = places[:, 1:2] // shape.block * shape.block_negatives + turn % shape.block_negatives
    records = tf.broadcast_to(places[:, :1], tf.shape(drawn))
    found = (
        tf.gather_nd(batch.tokens, places[:, :2]),
        tf.gather_nd(neighbours(batch.tokens), places),
        tf.gather_nd(batch.negatives, tf.stack([records, drawn], 2)),
    )
    target, context, noise = (tf.cast(part, tf.int64) for part in found)
    return target, context, noise


def _serialized(dataset: Dataset, shards: Sequence[Shard]) -> tf.data.Dataset:
    """Returns the shards' records, some of each in turn: vectors of up to `PIECE` strings."""
    paths = tf.data.Dataset.from_tensor_slices([dataset.path(shard.name) for shard in shards])
    return paths.interleave(
        _as_written(lambda path: tf.data.TFRecordDataset(path).batch(PIECE)),
        cycle_length=min(OPEN_SHARDS, len(shards)),
        num_parallel_calls=min(OPEN_SHARDS, len(shards)),
        deterministic=True,
    )


def _shuffled(pieces: tf.data.Dataset, seed: int, records: int) -> tf.data.Dataset:
    """Returns groups of so many records, shuffled; the last may be shorter.

    A window's records are copied a few at a time, into memory that is near and in use already.
    """

    @_as_written
    def permuted(number: Any, window: Any) -> tf.data.Dataset:
        """Returns a window's records in a drawn order, `PIECE` at a time."""
        drawn = tf.random.stateless_uniform(
            tf.shape(window), tf.stack([tf.constant(seed, tf.int64), number])
        )
        order = tf.data.Dataset.from_tensor_slices(tf.argsort(drawn, stable=True))
        return order.batch(PIECE).map(lambda places: tf.gather(window, places))

    windows = pieces.rebatch(SHUFFLE_RECORDS).prefetch(1).enumerate()
    return windows.flat_map(permuted).rebatch(records)


def _group(records: int) -> int:
    """Returns how many batches of so many records are parsed together."""
    return max(1, min(GROUP, SHUFFLE_RECORDS // records))


def _grouped(
    serialized: tf.data.Dataset,
    shape: RecordShape,
    records: int,
    *,
    first: int = 0,
    drawn: Callable[[Any, Any], tuple[Any, Any]] | None = None,
) -> tf.data.Dataset:
    """Returns groups of batches, parsed as wholes: record by record costs ten times as much.

    Args:
        serialized: groups of records, each a vector of strings; the last may be shorter.
        shape: of the records.
        records: B, in a batch.
        first: number of the first group.
        drawn: see `draws.redraw`.
    """
    # Negatives that are drawn anew are not read.
    read = [f for f in RECORD_FEATURES if drawn is None or f.name != "negatives"]
    features = {feature.name: tf.io.FixedLenFeature([], tf.string) for feature in read}

    @_as_written
    def parse(number: Any, serialized: Any) -> Batch:
        """Returns the batches of a group of records, the last one padded."""
        found = tf.io.parse_example(serialized, features)

        def numbers(feature: RecordFeature) -> Any:
            """Returns a feature of the records, [n * B, width]."""
            kind = tf.as_dtype(feature.dtype)
            rows = tf.io.decode_raw(found[feature.name], kind)
            rows = tf.ensure_shape(rows, [None, feature.width(shape)])
            missing = -tf.shape(rows)[0] % records
            filler = tf.cast(feature.filler, kind)
            return tf.pad(rows, [[0, missing], [0, 0]], constant_values=filler)

        parts = {feature.name: numbers(feature) for feature in read}
        if drawn is not None:
            parts["windows"], parts["negatives"] = drawn(number, parts["windows"])
        return Batch(
            **{name: tf.reshape(part, [-1, records, part.shape[1]]) for name, part in parts.items()}
        )

    groups = serialized.enumerate(first).map(parse, num_parallel_calls=PARSERS).prefetch(2)
    options = tf.data.Options()
    # With it the end of an iterator waits, for up to ten seconds, for a thread that tunes.
    options.autotune.enabled = False
    # An iterator reads its first batches while whoever made it does something else.
    options.experimental_warm_start = True
    return groups.with_options(options)


def _padded(groups: tf.data.Dataset, count: int, size: int) -> tf.data.Dataset:
    """Returns groups of `size`, and of padding until there are `count` batches."""
    empty = Batch(
        *(
            tf.fill([size, *part.shape[1:]], tf.cast(feature.filler, part.dtype))
            for feature, part in zip(RECORD_FEATURES, groups.element_spec, strict=True)
        )
    )
    padding = tf.data.Dataset.from_tensors(empty).repeat()
    return groups.concatenate(padding).unbatch().take(count).batch(size).prefetch(1)


class Groups:
    """A walk through groups of batches, up to the end of one at a time."""

    def __init__(self, groups: tf.data.Dataset) -> None:
        """Takes groups as `data.training_batches` returns them, `grouped`."""
        self._groups: Iterator[tuple[tf.Tensor, ...]] = iter(groups)
        self._held: Batch | None = None
        self._begin = 0

    def take(self, most: int) -> Batch:
        """Returns at least one batch and at most so many, with an axis for them before.

        Raises:
            tf.errors.OpError: a shard cannot be read.
            tf.errors.OutOfRangeError: there are no more.
        """
        if self._held is None:
            try:
                self._held = Batch(*next(self._groups))
            except StopIteration:
                raise tf.errors.OutOfRangeError(None, None, "End of sequence") from None
            self._begin = 0
        whole, begin = self._held, self._begin
        size = whole.tokens.shape[0]
        self._begin += most
        if self._begin >= size:
            self._held = None
        if begin == 0 and most >= size:
            return whole
        return Batch(*(part[begin : begin + most] for part in whole))

    def take_all(self, count: int) -> Batch:
        """Returns so many batches, of however many groups; errors as of `take`."""
        taken = [self.take(count)]
        while (left := count - sum(part.tokens.shape[0] for part in taken)) > 0:
            taken.append(self.take(left))
        if len(taken) == 1:
            return taken[0]
        return Batch(*(tf.concat(parts, 0) for parts in zip(*taken, strict=True)))


def no_batches(shape: RecordShape, records: int) -> Batch:
    """Returns what `Groups.take` would of batches of so many records, but none: [0, B, T] parts."""
    return Batch(*(tf.zeros([0, records, f.width(shape)], f.dtype) for f in RECORD_FEATURES))
