"""A dataset folder, checked against its manifest before anything is trained on.

dataset = open_dataset("gs://bucket/dataset")
dataset.steps(epoch=0, records=8)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import tensorflow as tf

from pmc2vec.dataset import manifest as manifests
from pmc2vec.dataset.manifest import Manifest, Shard
from pmc2vec.dataset.records import TRAIN, read_tfrecords
from pmc2vec.dataset.vocabulary import Vocabulary, parse_vocabulary
from pmc2vec.errors import UserError
from trainer.distribution.devices import Worker

_CONNECTIONS = 16  # Files that are looked at together.


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

    def steps(self, epoch: int, records: int, workers: int = 1) -> int:
        """Returns the batches in an epoch, the same number for every worker.

        Args:
            epoch: counted from 0.
            records: in a batch of one worker; batches are padded at the end.
            workers: how many processes share the epoch.
        """
        shards = self.shards(epoch)
        if len(shards) < workers:
            most = -(-sum(shard.records for shard in shards) // workers)
        else:
            most = max(
                sum(shard.records for shard in shards_of(shards, Worker(index, workers)))
                for index in range(workers)
            )
        return -(-most // records)


def open_dataset(folder: str) -> Dataset:
    """Returns the dataset in `folder`, its files checked against the manifest.

    Raises:
        UserError: it is not finished, not ours or of another version; a file is missing or not as
            long as the manifest says; the vocabulary is another one; there is nothing to train on.
    """
    folder = str(folder)
    where = f"{folder.rstrip('/')}/{manifests.MANIFEST_NAME}"
    if not tf.io.gfile.exists(where):
        if not tf.io.gfile.isdir(folder):
            raise UserError(f"{folder}: no such folder; give --dataset what pmc2vec build wrote")
        raise UserError(
            f"{folder}: no {manifests.MANIFEST_NAME}, so this dataset is not finished; "
            "run pmc2vec build again"
        )
    text = _read(where)
    manifest = manifests.parse_manifest(text.decode(errors="replace"), where)
    file = manifest.vocabulary
    path = f"{folder.rstrip('/')}/{file.name}"
    vocabulary = _read(path)
    if hashlib.sha256(vocabulary).hexdigest() != file.sha256:
        raise UserError(
            f"{path}: not the vocabulary that the manifest describes; build the dataset again"
        )
    dataset = Dataset(
        folder,
        manifest,
        hashlib.sha256(text).hexdigest(),
        parse_vocabulary(vocabulary.decode(), path),
    )
    _check_sizes(dataset)
    if not sum(shard.pairs for shard in dataset.shards(0)):
        raise UserError(f"{folder}: no pairs to train on; build it from more text")
    return dataset


def check_unchanged(dataset: Dataset) -> None:
    """Looks whether the files are still those that were opened.

    A shard that was cut short or a folder that was built anew while it was read changes what is
    learned, and not every such change ends in an error of TensorFlow's.

    Raises:
        UserError: a file is missing or has another size, or the manifest is another.
    """
    path = dataset.path(manifests.MANIFEST_NAME)
    if hashlib.sha256(_read(path)).hexdigest() != dataset.digest:
        raise UserError(
            f"{path}: another dataset was built here during training; train on it in another "
            "--workdir, or bring back the one before and give the same command again"
        )
    _check_sizes(dataset)


def shards_of(shards: Sequence[Shard], worker: Worker) -> tuple[Shard, ...]:
    """Returns the shards that a worker reads: each one's records come to nearly the same.

    The longest shard first, each goes to the worker that has fewest records by then.
    """
    held: list[list[Shard]] = [[] for _ in range(worker.count)]
    records = [0] * worker.count
    for shard in sorted(shards, key=lambda shard: (-shard.records, shard.name)):
        least = records.index(min(records))
        held[least].append(shard)
        records[least] += shard.records
    return tuple(held[worker.index])


def damage(dataset: Dataset, shards: Sequence[Shard], error: Exception) -> UserError:
    """Returns what to tell the user after TensorFlow failed to read `shards` with `error`.

    TensorFlow names neither shard nor byte, so the shards are read again, one by one.
    """
    for shard in shards:
        path = dataset.path(shard.name)
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                for _ in read_tfrecords(file, path):
                    pass
            _check_size(dataset, shard)  # One that was cut between two records has no error in it.
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
        raise UserError(
            f"{path}: cannot be read ({error.message}); mend that and give the same command again"
        ) from error


def _check_sizes(dataset: Dataset) -> None:
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(lambda shard: _check_size(dataset, shard), dataset.manifest.shards))


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
