"""A dataset folder, opened and checked against its manifest before anything is trained on.

    dataset = open_dataset("s3://bucket/dataset")
    dataset.steps(epoch=0, records=8)

The shards of a dataset in an object store are copied to a local cache, where the digests of the
manifest are checked, and TensorFlow reads the copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pmc2vec.dataset.manifest import MANIFEST_NAME, Manifest, Shard, parse_manifest
from pmc2vec.dataset.records import TRAIN, read_tfrecords
from pmc2vec.dataset.vocabulary import Vocabulary, parse_vocabulary
from pmc2vec.errors import UserError
from pmc2vec.storage import files
from pmc2vec.storage.local_cache import DEFAULT_CACHE, LocalCache

_STAT_THREADS = 16  # Files of an object store whose sizes are asked for at the same time.


@dataclass(frozen=True, eq=False)
class Dataset:
    """A finished dataset.

    Attributes:
        folder: a local path or a URL; see `pmc2vec.storage`.
        manifest: the contents of manifest.json.
        digest: hex SHA-256 of manifest.json; it identifies the dataset.
        vocabulary: the words.
        cache: where shards are copied to, or None for a local dataset.
    """

    folder: str
    manifest: Manifest
    digest: str
    vocabulary: Vocabulary
    cache: LocalCache | None = None

    def path(self, name: str) -> str:
        """Returns the path of a file of the dataset."""
        return f"{self.folder.rstrip('/')}/{name}"

    def local_path(self, shard: Shard) -> str:
        """Returns the path of a shard on this machine, after copying it where it is not.

        Raises:
            UserError: it cannot be copied, or is another file than the manifest describes.
        """
        if self.cache is None:
            return str(files.local_path(self.path(shard.name)))
        path = self.path(shard.name)
        return str(self.cache.fetch(path, size=shard.bytes, sha256=shard.sha256))

    def shards(self, epoch: int) -> tuple[Shard, ...]:
        """Returns the training shards of an epoch. The stored draws take turns."""
        return self.manifest.select(TRAIN, epoch % self.manifest.passes)

    def words(self, epoch: int) -> int:
        """Returns the tokens of the corpus, before subsampling, that an epoch stands for."""
        return sum(shard.words for shard in self.shards(epoch))

    def steps(self, epoch: int, records: int) -> int:
        """Returns the batches in an epoch.

        Args:
            epoch: counted from 0.
            records: in a batch, of all workers together. The last batch is padded.
        """
        return -(-sum(shard.records for shard in self.shards(epoch)) // records)


def open_dataset(folder: str, cache_dir: Path | None = None) -> Dataset:
    """Returns the dataset in `folder`, after a check of its files.

    Args:
        folder: a local path or a URL.
        cache_dir: for copies of the shards, where the dataset is in an object store; by default
            ~/.cache/pmc2vec.

    Raises:
        UserError: the dataset is not finished, not ours or of another version; a file is missing or
            has another size than the manifest states; the vocabulary is another one; there are no
            pairs to train on.
    """
    folder = str(folder)
    manifest_path = f"{folder.rstrip('/')}/{MANIFEST_NAME}"
    if not files.exists(manifest_path):
        if not files.is_folder(folder):
            raise UserError(f"{folder}: no such folder; give --dataset what pmc2vec build wrote")
        raise UserError(
            f"{folder}: no {MANIFEST_NAME}, so this dataset is not finished; "
            "run pmc2vec build again"
        )
    manifest_bytes = _read_file(manifest_path)
    manifest = parse_manifest(manifest_bytes.decode(errors="replace"), manifest_path)
    vocabulary_path = f"{folder.rstrip('/')}/{manifest.vocabulary.name}"
    vocabulary_bytes = _read_file(vocabulary_path)
    if hashlib.sha256(vocabulary_bytes).hexdigest() != manifest.vocabulary.sha256:
        raise UserError(
            f"{vocabulary_path}: not the vocabulary that the manifest describes; build the dataset "
            "again"
        )
    dataset = Dataset(
        folder,
        manifest,
        hashlib.sha256(manifest_bytes).hexdigest(),
        parse_vocabulary(vocabulary_bytes.decode(), vocabulary_path),
        LocalCache(cache_dir or Path(DEFAULT_CACHE).expanduser())
        if files.is_remote(folder)
        else None,
    )
    _check_sizes(dataset)
    if not sum(shard.pairs for shard in dataset.shards(0)):
        raise UserError(f"{folder}: no pairs to train on; build it from more text")
    return dataset


def check_unchanged(dataset: Dataset) -> None:
    """Checks that the files are still those that were opened.

    A shard that is cut short or a folder that is built anew during a training changes what the
    model learns, and TensorFlow does not report every such change.

    Raises:
        UserError: a file is missing or has another size, or the manifest is another one.
    """
    path = dataset.path(MANIFEST_NAME)
    if hashlib.sha256(_read_file(path)).hexdigest() != dataset.digest:
        raise UserError(
            f"{path}: another dataset was built here during training; train on it in another "
            "--workdir, or bring back the one before and give the same command again"
        )
    _check_sizes(dataset)


def shard_read_error(dataset: Dataset, shards: Sequence[Shard], error: Exception) -> UserError:
    """Returns the error to show after TensorFlow failed to read `shards` with `error`.

    TensorFlow names neither the shard nor the byte, so the shards are read again, one by one.
    """
    for shard in shards:
        path = dataset.path(shard.name)
        try:
            with files.open_binary(path) as file:
                for _ in read_tfrecords(file, path):
                    pass
            _check_size(dataset, shard)  # A shard that was cut between two records reads well.
        except UserError as user_error:
            return user_error
        except OSError as os_error:
            return UserError(f"{path}: cannot be read ({os_error})")
    reason = str(error).partition("\n")[0]
    return UserError(
        f"{dataset.folder}: its records are not what the manifest describes ({reason}); "
        "build the dataset again"
    )


def _read_file(path: str) -> bytes:
    try:
        data = files.read_bytes(path)
    except UserError as error:
        raise UserError(f"{error}; mend that and give the same command again") from error
    if data is None:
        raise UserError(
            f"{path}: cannot be read (no such file); mend that and give the same command again"
        )
    return data


def _check_sizes(dataset: Dataset) -> None:
    with ThreadPoolExecutor(_STAT_THREADS) as pool:
        list(pool.map(lambda shard: _check_size(dataset, shard), dataset.manifest.shards))


def _check_size(dataset: Dataset, shard: Shard) -> None:
    path = dataset.path(shard.name)
    metadata = files.file_metadata(path)
    if metadata is None:
        raise UserError(f"{path}: missing, though the manifest lists it; build the dataset again")
    if metadata.size != shard.bytes:
        raise UserError(
            f"{path}: {metadata.size:,} bytes, but the manifest says {shard.bytes:,}; copy it "
            "again or build the dataset again"
        )
