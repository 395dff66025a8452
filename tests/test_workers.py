"""Which part of each batch each of several workers reads."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pmc2vec.dataset.records import VALIDATION
from pmc2vec.errors import UserError
from tests.datasets import topic_articles, write_dataset
from tests.test_input_pipeline import rows, stored
from trainer.dataset_reader import open_dataset
from trainer.devices import Worker, this_worker
from trainer.input_pipeline import training_batches, validation_batches

RECORDS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Five shards of unequal length."""
    articles = topic_articles(21, sentences=9)
    return write_dataset(tmp_path_factory.mktemp("workers") / "dataset", articles, num_shards=5,
                         validation_fraction=0.2)  # fmt: skip


@pytest.mark.parametrize("redraw", [False, True])
@pytest.mark.parametrize("count", [2, 3, 16])
def test_the_parts_of_all_workers_are_the_batches_of_one(folder, count, redraw):
    dataset = open_dataset(str(folder))
    options = {"epoch": 1, "seed": 1, "redraw": redraw}
    whole = list(training_batches(dataset, records=RECORDS * count, **options))
    parts = [
        list(training_batches(dataset, records=RECORDS, worker=Worker(at, count), **options))
        for at in range(count)
    ]
    assert len(whole) == dataset.steps(1, RECORDS * count)
    for batch, *shares in zip(whole, *parts, strict=True):
        for feature, *shared in zip(batch, *shares, strict=True):
            assert [part.shape[0] for part in shared] == [RECORDS] * count
            np.testing.assert_array_equal(np.concatenate(shared), feature)


@pytest.mark.parametrize("redraw", [False, True])
def test_a_worker_continues_where_it_stopped(folder, redraw):
    dataset, worker = open_dataset(str(folder)), Worker(1, 2)
    steps = dataset.steps(1, RECORDS * 2)
    whole, rest, none = (
        list(training_batches(dataset, epoch=1, seed=1, records=RECORDS, skip=skip, worker=worker,
                              redraw=redraw))
        for skip in (0, 2, steps)
    )  # fmt: skip
    assert len(rest) == steps - 2
    assert none == []
    for one, other in zip(rest, whole[2:], strict=True):
        for feature, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(feature, same)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_workers_share_the_validation_split(folder, count):
    dataset = open_dataset(str(folder))
    records = sum(shard.records for shard in dataset.manifest.select(VALIDATION))
    limit = -(-records // (RECORDS * count))
    read: Counter[tuple[int, ...]] = Counter()
    for index in range(count):
        worker = Worker(index, count)
        batches = list(validation_batches(dataset, records=RECORDS, limit=limit, worker=worker))
        assert len(batches) == limit
        read.update(rows(batches))
    assert read == Counter(stored(dataset, VALIDATION, 0))


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
