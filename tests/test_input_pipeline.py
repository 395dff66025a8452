"""trainer.input_pipeline: what is checked before training, and what order the records come in."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.dataset import manifest as manifests
from pmc2vec.dataset.records import PADDING, TRAIN, VALIDATION, RecordShape, read_shard
from pmc2vec.errors import UserError
from tests.datasets import topic_articles, write_dataset
from trainer.dataset_reader import Dataset, open_dataset, shard_read_error
from trainer.input_pipeline import BatchGroups, training_batches, validation_batches

RECORDS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_dataset(
        tmp_path_factory.mktemp("data") / "dataset", topic_articles(30), num_shards=3, passes=2
    )


@pytest.fixture
def copy(tmp_path) -> Path:
    """A dataset to damage."""
    return write_dataset(tmp_path / "dataset", topic_articles(8, sentences=5), num_shards=2)


def rows(batches) -> list[tuple[int, ...]]:
    """Each record of the batches as one tuple, padding records left out."""
    return [
        tuple(np.concatenate(parts).tolist())
        for batch in batches
        for parts in zip(*(part.numpy() for part in batch), strict=True)
        if (parts[0] != PADDING).any()
    ]


def group_batches(groups):
    """The batches of groups, in turn."""
    for group in groups:
        yield from zip(*(tf.unstack(part) for part in group), strict=True)


def stored(dataset: Dataset, split: str, draw: int) -> list[tuple[int, ...]]:
    found = []
    for shard in dataset.manifest.select(split, draw):
        with Path(dataset.path(shard.name)).open("rb") as file:
            found += [
                tuple(np.concatenate([r.tokens, r.windows, r.negatives]).tolist())
                for r in read_shard(file, shard.name)
            ]
    return found


def test_the_order_does_not_depend_on_tensorflows_own_seed(folder):
    dataset = open_dataset(str(folder))
    before = rows(training_batches(dataset, epoch=0, seed=1, records=RECORDS))
    tf.random.set_seed(7)
    assert rows(training_batches(dataset, epoch=0, seed=1, records=RECORDS)) == before


def test_an_epoch_holds_every_record_of_its_draw_once(folder):
    dataset = open_dataset(str(folder))
    epochs = [rows(training_batches(dataset, epoch=e, seed=1, records=RECORDS)) for e in range(3)]
    for epoch, draw in enumerate((0, 1, 0)):
        assert sorted(epochs[epoch]) == sorted(stored(dataset, TRAIN, draw))
    assert set(epochs[0]).isdisjoint(epochs[1])


def test_the_order_is_a_function_of_seed_and_epoch(folder):
    dataset = open_dataset(str(folder))

    def order(seed: int, epoch: int) -> list[tuple[int, ...]]:
        return rows(training_batches(dataset, epoch=epoch, seed=seed, records=RECORDS))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(2, 0)
    assert order(1, 0) != order(1, 2)  # The same draw.
    assert order(1, 0) != stored(dataset, TRAIN, 0)


@pytest.mark.parametrize("skip", [0, 1, 7])
def test_skipping_batches_leaves_the_rest_as_it_was(folder, skip):
    dataset = open_dataset(str(folder))
    whole = list(training_batches(dataset, epoch=1, seed=5, records=RECORDS))
    rest = list(training_batches(dataset, epoch=1, seed=5, records=RECORDS, skip=skip))
    assert len(whole) == dataset.steps(1, RECORDS)
    assert rows(rest) == rows(whole[skip:])


def test_all_batches_have_one_shape_and_the_last_is_padded(folder):
    dataset = open_dataset(str(folder))
    records = 7
    shape = dataset.manifest.shape
    batches = training_batches(dataset, epoch=0, seed=1, records=records)
    assert batches.element_spec.tokens.shape == (records, shape.length)
    assert batches.element_spec.windows.shape == (records, shape.length)
    assert batches.element_spec.negatives.shape == (records, shape.negatives)
    missing = -sum(shard.records for shard in dataset.shards(0)) % records
    assert missing, "choose a number that does not divide the records"
    *_, last = batches
    assert (last.tokens.numpy()[-missing:] == PADDING).all()
    assert (last.tokens.numpy()[:-missing] != PADDING).any(1).all()
    assert not last.windows.numpy()[-missing:].any()


def test_validation_batches_are_the_same_each_time_and_limited(folder):
    dataset = open_dataset(str(folder))
    once = rows(validation_batches(dataset, records=RECORDS, limit=10**6))
    assert once == rows(validation_batches(dataset, records=RECORDS, limit=10**6))
    assert sorted(once) == sorted(stored(dataset, VALIDATION, 0))
    assert rows(validation_batches(dataset, records=RECORDS, limit=2)) == once[: 2 * RECORDS]


def test_groups_hold_the_batches_and_begin_where_one_was_left(folder):
    dataset = open_dataset(str(folder))
    batches = list(training_batches(dataset, epoch=0, seed=1, records=RECORDS))
    for skip in (0, 1, 7):
        groups = training_batches(
            dataset, epoch=0, seed=1, records=RECORDS, skip=skip, grouped=True
        )
        assert rows(group_batches(groups)) == rows(batches[skip:])


def test_the_end_of_an_iterator_waits_for_no_tuning(folder):
    dataset = open_dataset(str(folder))
    read = {"records": RECORDS}
    for made in (
        training_batches(dataset, epoch=0, seed=1, **read),
        training_batches(dataset, epoch=0, seed=1, grouped=True, **read),
        validation_batches(dataset, limit=2, **read),
    ):
        assert made.options().autotune.enabled is False


def test_words_and_steps_count_the_draw_of_the_epoch(folder):
    dataset = open_dataset(str(folder))
    records = [len(stored(dataset, TRAIN, draw)) for draw in (0, 1)]
    assert [dataset.steps(epoch, 5) for epoch in range(3)] == [
        -(-records[draw] // 5) for draw in (0, 1, 0)
    ]
    train = dataset.manifest.select(TRAIN, 1)
    assert dataset.words(3) == sum(shard.words for shard in train) > 0


def test_reads_what_tensorflow_can_read(folder):
    assert len(rows(training_batches(open_dataset(f"file://{folder}"), epoch=0, seed=1, records=4)))


@pytest.mark.parametrize(
    ("ruin", "says"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json, so this dataset"),
        (lambda folder: _edit(folder, version=99), "dataset version 99, this program reads"),
        (lambda folder: _edit(folder, format="other"), "not a manifest of ours"),
        (lambda folder: _shard(folder).unlink(), "train-00001-of-00002.tfrecord: missing"),
        (lambda folder: _cut(_shard(folder)), "train-00001-of-00002.tfrecord: 100 bytes, but"),
        (
            lambda folder: (folder / "vocabulary.tsv").write_text("word\tcount\nthe\t3\n"),
            "vocabulary.tsv: not the vocabulary that the manifest describes",
        ),
        (lambda folder: (folder / "vocabulary.tsv").unlink(), "vocabulary.tsv: cannot be read"),
    ],
)
def test_a_ruined_dataset_is_told_in_one_line(copy, ruin, says):
    ruin(copy)
    with pytest.raises(UserError) as caught:
        open_dataset(str(copy))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_and_an_empty_dataset_are_told(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder; give --dataset"):
        open_dataset(str(tmp_path / "nowhere"))
    lonely = write_dataset(tmp_path / "lonely", {"PMC1": [["alone"]]}, validation_fraction=0)
    with pytest.raises(UserError, match="lonely: no pairs to train on"):
        open_dataset(str(lonely))


def test_a_damaged_record_is_named_with_its_shard_and_byte(copy):
    path = _shard(copy)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    dataset = open_dataset(str(copy))
    shards = dataset.shards(0)
    with pytest.raises(tf.errors.DataLossError) as caught:
        rows(training_batches(dataset, epoch=0, seed=1, records=RECORDS))
    told = str(shard_read_error(dataset, shards, caught.value))
    frame = shards[1].bytes // shards[1].records
    at = len(data) // 2 // frame * frame
    assert told == f"{path}: damaged record at byte {at}; build the dataset again"


def test_records_of_another_shape_are_refused(tmp_path):
    folder = write_dataset(tmp_path / "dataset", topic_articles(4, sentences=4))
    other = RecordShape(length=64, block=8, block_negatives=6, window=3, negative=5)
    _edit(folder, shape=vars(other))
    dataset = open_dataset(str(folder))
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        rows(training_batches(dataset, epoch=0, seed=1, records=RECORDS))
    told = str(shard_read_error(dataset, dataset.shards(0), caught.value))
    assert told.startswith(f"{folder}: its records are not what the manifest describes (")
    assert "\n" not in told


def _shard(folder: Path) -> Path:
    return folder / "train-00001-of-00002.tfrecord"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _edit(folder: Path, **fields: object) -> None:
    path = folder / manifests.MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


# --- batches out of groups ----------------------------------------------------------------------


def walk(sizes=(3, 2)):
    """Groups of so many batches, each of 2 records, numbered."""
    numbers = iter(range(sum(sizes)))
    made = [np.array([next(numbers) for _ in range(size)], np.int32) for size in sizes]
    parts = [np.broadcast_to(group[:, None, None], [len(group), 2, 4]).copy() for group in made]
    spec = tf.TensorSpec([None, 2, 4], tf.int32)
    groups = tf.data.Dataset.from_generator(
        lambda: ((part, part, part) for part in parts), output_signature=(spec, spec, spec)
    )
    return BatchGroups(groups)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ([9, 9], [[0, 1, 2], [3, 4]]),
        ([3, 2], [[0, 1, 2], [3, 4]]),
        ([1, 9, 1, 1], [[0], [1, 2], [3], [4]]),
        ([2, 2, 2], [[0, 1], [2], [3, 4]]),
    ],
)
def test_takes_up_to_the_end_of_a_group(asked, given):
    groups = walk()
    found = [groups.take_up_to(most) for most in asked]
    assert [batches.tokens[:, 0, 0].numpy().tolist() for batches in found] == given
    for batches in found:
        for part in batches:
            assert np.array_equal(part, batches.tokens)
    with pytest.raises(tf.errors.OutOfRangeError):
        groups.take_up_to(1)


def test_takes_as_many_as_asked_of_however_many_groups():
    groups = walk((3, 2, 2))
    found = [groups.take(count) for count in (2, 4, 1)]
    assert [batches.tokens[:, 0, 0].numpy().tolist() for batches in found] == [
        [0, 1], [2, 3, 4, 5], [6],
    ]  # fmt: skip
    with pytest.raises(tf.errors.OutOfRangeError):
        walk().take(6)
