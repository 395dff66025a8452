"""A dataset folder -> tf.data batches of skip-gram records.

What is stored is described by the manifest, and is checked here before anything is trained on; what
the model eats is a `Batch`. The order of an epoch is a pure function of (seed, epoch): its shards
in random order, interleaved, then shuffled through a buffer. So an epoch that was left after n
batches is continued by the same order without its first n batches, and nothing else is kept.

    dataset = open_dataset("gs://bucket/dataset")
    for batch in training_batches(dataset, epoch=0, seed=1, records=8):
        ...  # batch.tokens: [8, 512] int32
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from beam_pipelines import manifest as manifests
from beam_pipelines.manifest import Manifest, Shard
from beam_pipelines.records import (
    FEATURES,
    NEGATIVES,
    PADDING,
    TOKENS,
    TRAIN,
    VALIDATION,
    WINDOWS,
    RecordShape,
    UserError,
    read_frames,
)
from beam_pipelines.vocabulary import Vocabulary, from_tsv

SHUFFLE_RECORDS = 4096
"""Records among which the next one is drawn: 15 MB and some two million targets."""

OPEN_SHARDS = 16
"""Shards that are read in turn, so that neighbours in a batch come from many articles."""

PREFETCH = 16
"""Batches made ahead of the step."""


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


@dataclass(frozen=True, eq=False)
class Dataset:
    """A finished dataset whose files are there.

    Attributes:
        folder: where it is; any path that TensorFlow can read, `gs://` too.
        manifest: what it holds.
        digest: hex SHA-256 of manifest.json, which names this dataset and no other.
        vocabulary: its words.
    """

    folder: str
    manifest: Manifest
    digest: str
    vocabulary: Vocabulary

    def path(self, name: str) -> str:
        """Returns the path of a file of the dataset."""
        return f"{self.folder.rstrip('/')}/{name}"

    def shards(self, epoch: int) -> tuple[Shard, ...]:
        """Returns the training shards of an epoch: those of the draw whose turn it is."""
        return self.manifest.select(TRAIN, epoch % self.manifest.passes)

    def words(self, epoch: int) -> int:
        """Returns the corpus tokens that an epoch stands for, as they were before subsampling."""
        return sum(shard.words for shard in self.shards(epoch))

    def steps(self, epoch: int, records: int) -> int:
        """Returns the batches of `records` records in an epoch; the last one may be padded."""
        return -(-sum(shard.records for shard in self.shards(epoch)) // records)


def open_dataset(folder: str) -> Dataset:
    """Returns the dataset in `folder`, its files checked against the manifest.

    Raises:
        UserError: it is not finished, not ours or of another version; a file is missing or not as
            long as the manifest says; the vocabulary is another one; there is nothing to train on.
    """
    folder = str(folder)
    where = f"{folder.rstrip('/')}/{manifests.NAME}"
    if not tf.io.gfile.exists(where):
        if not tf.io.gfile.isdir(folder):
            raise UserError(f"{folder}: no such folder; give --dataset what pmc2vec build wrote")
        raise UserError(
            f"{folder}: no {manifests.NAME}, so this dataset is not finished; "
            "run pmc2vec build again"
        )
    text = _read(where)
    manifest = manifests.from_json(text.decode(errors="replace"), where)
    file = manifest.vocabulary
    path = f"{folder.rstrip('/')}/{file.name}"
    vocabulary = _read(path)
    if hashlib.sha256(vocabulary).hexdigest() != file.sha256:
        raise UserError(
            f"{path}: not the vocabulary that the manifest describes; build the dataset again"
        )
    dataset = Dataset(
        folder, manifest, hashlib.sha256(text).hexdigest(), from_tsv(vocabulary.decode(), path)
    )
    with ThreadPoolExecutor(OPEN_SHARDS) as pool:
        list(pool.map(lambda shard: _check_size(dataset, shard), manifest.shards))
    if not sum(shard.pairs for shard in dataset.shards(0)):
        raise UserError(f"{folder}: no pairs to train on; build it from more text")
    return dataset


def training_batches(
    dataset: Dataset, *, epoch: int, seed: int, records: int, skip: int = 0
) -> tf.data.Dataset:
    """Returns the batches of an epoch, each record once; the last batch is padded to `records`.

    Args:
        dataset: where to read.
        epoch: counted from 0; chooses the draw, and the order together with `seed`.
        seed: of the order.
        records: B, records in a batch.
        skip: batches that were trained on already.
    """
    shards = dataset.shards(epoch)
    rng = np.random.default_rng([seed, epoch])
    order = [shards[at] for at in rng.permutation(len(shards))]
    serialized = _serialized(dataset, order).shuffle(
        SHUFFLE_RECORDS, seed=int(rng.integers(2**62)), reshuffle_each_iteration=False
    )
    return _batched(serialized.skip(skip * records), dataset.manifest.shape, records)


def validation_batches(dataset: Dataset, *, records: int, limit: int) -> tf.data.Dataset:
    """Returns the batches of the validation split, at most `limit`; the same ones every time.

    The shards are read in turn, so that the first `limit` batches hold a part of each.
    """
    shards = dataset.manifest.select(VALIDATION)
    serialized = _serialized(dataset, shards).take(limit * records)
    return _batched(serialized, dataset.manifest.shape, records)


def damage(dataset: Dataset, shards: Sequence[Shard], error: Exception) -> UserError:
    """Returns what to tell the user after TensorFlow failed to read `shards` with `error`.

    TensorFlow names neither shard nor byte, so the shards are read again, one by one.
    """
    for shard in shards:
        path = dataset.path(shard.name)
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                for _ in read_frames(file, path):
                    pass
        except UserError as found:
            return found
        except tf.errors.OpError as found:
            return UserError(f"{path}: cannot be read ({found.message})")
    reason = str(error).partition("\n")[0]
    return UserError(
        f"{dataset.folder}: its records are not what the manifest describes ({reason}); "
        "build the dataset again"
    )


def _read(path: str) -> bytes:
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return bytes(file.read())
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be read ({error.message})") from error


def _check_size(dataset: Dataset, shard: Shard) -> None:
    path = dataset.path(shard.name)
    try:
        found = tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError as error:
        raise UserError(
            f"{path}: missing, though the manifest lists it; build the dataset again"
        ) from error
    except tf.errors.OpError as error:
        raise UserError(f"{path}: cannot be read ({error.message})") from error
    if found != shard.bytes:
        raise UserError(
            f"{path}: {found:,} bytes, but the manifest says {shard.bytes:,}; copy it again "
            "or build the dataset again"
        )


def _serialized(dataset: Dataset, shards: Sequence[Shard]) -> tf.data.Dataset:
    """Returns the shards' records in turn, each a scalar string."""
    paths = tf.data.Dataset.from_tensor_slices([dataset.path(shard.name) for shard in shards])
    return paths.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(OPEN_SHARDS, len(shards)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _batched(serialized: tf.data.Dataset, shape: RecordShape, records: int) -> tf.data.Dataset:
    """Returns `Batch`es parsed as wholes: record by record costs ten times as much."""
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in FEATURES}

    def parse(serialized: Any) -> Batch:
        found = tf.io.parse_example(serialized, features)

        def numbers(name: str, kind: tf.DType, width: int, filler: int) -> Any:
            read = tf.ensure_shape(tf.io.decode_raw(found[name], kind), [None, width])
            missing = records - tf.shape(read)[0]
            padded = tf.pad(read, [[0, missing], [0, 0]], constant_values=tf.cast(filler, kind))
            return tf.ensure_shape(padded, [records, width])

        return Batch(
            numbers(TOKENS, tf.int32, shape.length, PADDING),
            numbers(WINDOWS, tf.uint8, shape.length, 0),
            numbers(NEGATIVES, tf.int32, shape.negatives, 0),
        )

    batches = serialized.batch(records).map(parse, num_parallel_calls=1)
    return batches.prefetch(PREFETCH)
