"""Which shards and batches each of several workers reads."""

from collections import Counter
from pathlib import Path

import pytest

from pmc2vec.dataset.manifest import Shard
from pmc2vec.dataset.records import TRAIN, VALIDATION
from pmc2vec.errors import UserError
from tests.datasets import topic_articles, write_dataset
from tests.test_input_pipeline import rows, stored
from trainer.dataset_reader import open_dataset, shards_of_worker
from trainer.devices import Worker, this_worker
from trainer.input_pipeline import training_batches, validation_batches

RECORDS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Five shards of unequal length."""
    articles = topic_articles(21, sentences=9)
    return write_dataset(tmp_path_factory.mktemp("workers") / "dataset", articles, num_shards=5,
                         validation_fraction=0.2)  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 16])
def test_every_record_is_read_once_in_an_epoch_by_any_number_of_workers(folder, count):
    dataset = open_dataset(str(folder))
    steps = dataset.steps(0, RECORDS, count)
    found: Counter[tuple[int, ...]] = Counter()
    for index in range(count):
        batches = list(
            training_batches(dataset, epoch=0, seed=1, records=RECORDS, worker=Worker(index, count))
        )
        assert len(batches) == steps
        assert {batch.tokens.shape[0] for batch in batches} == {RECORDS}
        found.update(rows(batches))
    assert found == Counter(stored(dataset, TRAIN, 0))


@pytest.mark.parametrize("count", [2, 7])
def test_a_worker_continues_where_it_stopped(folder, count):
    dataset, worker = open_dataset(str(folder)), Worker(1, count)
    steps = dataset.steps(0, RECORDS, count)
    whole, rest, none = (
        list(training_batches(dataset, epoch=0, seed=1, records=RECORDS, skip=skip, worker=worker))
        for skip in (0, 2, steps)
    )
    assert rows(rest) == rows(whole[2:])
    assert len(rest) == steps - 2
    assert none == []


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_workers_share_the_validation_split(folder, count):
    dataset = open_dataset(str(folder))
    records = sum(shard.records for shard in dataset.manifest.select(VALIDATION))
    limit = -(-records // (RECORDS * count))
    found: Counter[tuple[int, ...]] = Counter()
    for index in range(count):
        worker = Worker(index, count)
        batches = list(validation_batches(dataset, records=RECORDS, limit=limit, worker=worker))
        assert len(batches) == limit
        found.update(rows(batches))
    assert found == Counter(stored(dataset, VALIDATION, 0))


def test_shards_are_dealt_so_that_no_worker_has_much_more_than_another():
    lengths = [90, 80, 30, 30, 20, 20, 10]
    shards = [
        Shard(f"train-{at}", TRAIN, 0, records, 0, 0, 0, 0, "")
        for at, records in enumerate(lengths)
    ]
    dealt = [shards_of_worker(shards, Worker(index, 3)) for index in range(3)]
    assert sorted(shard.name for mine in dealt for shard in mine) == [s.name for s in shards]
    assert [sum(shard.records for shard in mine) for mine in dealt] == [90, 100, 90]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", Worker(0, 1)),
        ("{}", Worker(0, 1)),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}', Worker(0, 1)),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}',
         Worker(1, 2)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker"}}',
         Worker(1, 2)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief"}}',
         Worker(0, 2)),
    ],
)  # fmt: skip
def test_tf_config_says_who_one_is(monkeypatch, config, expected):
    monkeypatch.setenv("TF_CONFIG", config)
    assert this_worker() == expected
    assert this_worker().chief == (expected.index == 0)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{", "not of the form that TensorFlow gives it"),
        ("[1]", "not of the form"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
         "task ps 0 is none of 0 chiefs and 2 workers"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
         "task worker 2 is none of"),
    ],
)  # fmt: skip
def test_a_wrong_tf_config_is_told(monkeypatch, config, says):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError, match=f"^TF_CONFIG: .*{says}"):
        this_worker()
