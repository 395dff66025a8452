"""`pmc2vec.pairs` and `pmc2vec.iterate_pairs`: the pairs of a dataset for a model of one's own."""

import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import pmc2vec
from pmc2vec.dataset.pairs import draw_pair_negatives, repeated
from pmc2vec.dataset.records import VALIDATION, read_shard
from pmc2vec.dataset.skipgrams import explicit_pairs
from pmc2vec.dataset.vocabulary import NoiseSampler
from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset
from trainer.input_pipeline import open_dataset

EXAMPLE = Path(__file__).parent.parent / "examples" / "tutorial_keras.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_dataset(
        tmp_path_factory.mktemp("pairs") / "dataset",
        topic_articles(14, sentences=12),
        passes=2,
        validation_fraction=0.3,
    )


@pytest.fixture(scope="module")
def whole_windows(tmp_path_factory) -> Path:
    """Windows that do not shrink, so that the pairs of every epoch are the same."""
    folder = tmp_path_factory.mktemp("pairs") / "dataset"
    return write_dataset(folder, topic_articles(14, sentences=12), shrink_windows=False)


def stored_pairs(folder: Path, split: str = "train", draw: int = 0) -> Counter:
    dataset, pairs = open_dataset(str(folder)), Counter()
    for shard in dataset.manifest.select(split, draw):
        with (folder / shard.name).open("rb") as file:
            for record in read_shard(file, shard.name):
                targets, contexts, _ = explicit_pairs(record, dataset.manifest.shape)
                pairs.update(zip(targets.tolist(), contexts[:, 0].tolist(), strict=True))
    return pairs


def numpy_batches(folder, **options):
    return list(pmc2vec.iterate_pairs(str(folder), **options))


def tensor_batches(folder, **options):
    return list(pmc2vec.pairs(str(folder), **options).as_numpy_iterator())


BOTH = pytest.mark.parametrize("batches", [numpy_batches, tensor_batches])


@BOTH
def test_shapes_and_types_are_the_tutorials(folder, batches):
    (target, context), label = batches(folder, batch_size=64, negative=4)[0]
    assert (target.shape, context.shape, label.shape) == ((64,), (64, 5), (64, 5))
    assert {part.dtype for part in (target, context, label)} == {np.dtype(np.int64)}
    assert label.tolist() == [[1, 0, 0, 0, 0]] * 64


@BOTH
@pytest.mark.parametrize("form", ["tutorial", "flat", "windows"])
def test_an_epoch_holds_each_pair_once(whole_windows, batches, form):
    pairs = Counter()
    for batch in batches(whole_windows, batch_size=1, form=form, negative=2):
        if form == "tutorial":
            (target, context), _ = batch
            pairs[int(target[0]), int(context[0, 0])] += 1
        elif form == "flat":
            target, context, label = map(int, np.ravel(batch))
            pairs[target, context] += label
        else:
            (context, mask), target = batch
            pairs.update((int(target[0]), word) for word in context[mask].tolist())
            assert not context[~mask].any()
    assert +pairs == stored_pairs(whole_windows)


@BOTH
def test_windows_are_drawn_from_one_to_the_largest_and_anew(folder, batches):
    first = batches(folder, batch_size=1, form="windows")
    widths = np.array([mask.sum() for (_, mask), _ in first])
    assert set(widths.tolist()) == {1, 2, 3, 4, 5, 6}
    assert batches(folder, batch_size=64, seed=1)[0][0][0].tolist() != (
        batches(folder, batch_size=64, seed=2)[0][0][0].tolist()
    )


@BOTH
def test_unique_negatives_are_neither_equal_nor_the_context(folder, batches):
    drawn = Counter()
    for (_, context), _ in batches(folder, batch_size=512, negative=6, unique_negatives=True):
        assert all(len(set(row)) == 7 for row in context.tolist())
        drawn.update(context[:, 1:].ravel().tolist())
    dataset = open_dataset(str(folder))
    noise = dataset.vocabulary.counts**0.75
    # The most frequent word can be drawn but once for a pair; below it all is as the noise.
    share = drawn[10] / drawn[20]
    assert share == pytest.approx(noise[10] / noise[20], rel=0.2)


def test_negatives_follow_the_noise_and_repeat_where_they_may():
    context, rng = np.zeros(4000, np.int64), np.random.default_rng(1)
    noise = NoiseSampler(np.array([0.5, 0.3, 0.2]))
    drawn = draw_pair_negatives(context, 2, noise, rng, unique=False)
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / 8000, [0.5, 0.3, 0.2], atol=0.03)
    assert repeated(context, drawn).any()
    unique = draw_pair_negatives(context, 2, noise, rng, unique=True)
    assert {tuple(row) for row in unique.tolist()} == {(1, 2), (2, 1)}
    # The first of the two is 1 with a probability of .3 / (.3 + .2).
    assert (unique[:, 0] == 1).mean() == pytest.approx(0.6, abs=0.04)


def test_each_iteration_of_the_tensors_draws_anew_and_a_seed_repeats_them(folder):
    first, second = (pmc2vec.pairs(str(folder), batch_size=256, seed=3) for _ in range(2))
    epochs = [
        np.concatenate([target for (target, _), _ in dataset.take(3).as_numpy_iterator()])
        for dataset in (first, first, second)
    ]
    assert (epochs[0] == epochs[2]).all()
    assert (epochs[0] != epochs[1]).mean() > 0.5
    # A target's pairs do not stand side by side.
    assert np.mean(np.diff(epochs[0]) == 0) < 0.3


def test_the_parts_of_an_epoch_are_the_epoch(whole_windows, monkeypatch):
    monkeypatch.setattr("pmc2vec.dataset.pairs.CHUNK_RECORDS", 4)
    parts = [
        Counter(
            (int(target[0]), int(context[0, 0]))
            for (target, context), _ in numpy_batches(whole_windows, batch_size=1, part=(part, 3))
        )
        for part in range(3)
    ]
    assert all(parts)
    assert parts[0] + parts[1] + parts[2] == stored_pairs(whole_windows)


def test_the_validation_split_is_there_too(folder):
    dataset = open_dataset(str(folder))
    expected = sum(shard.pairs for shard in dataset.manifest.select(VALIDATION))
    assert len(numpy_batches(folder, batch_size=1, split=VALIDATION)) == pytest.approx(
        expected, rel=0.1
    )
    assert len(tensor_batches(folder, batch_size=1, split=VALIDATION)) > 100


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "triples"}, "form 'triples': must be one of tutorial, flat, windows"),
        ({"negative": 0}, "must be at least 1"),
        ({"negative": 500, "unique_negatives": True}, "too few for so many different ones"),
    ],
)
def test_what_cannot_be_is_refused(folder, batches, options, message):
    with pytest.raises(UserError, match=message):
        batches(folder, **options)


def test_a_folder_without_a_dataset_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no manifest\.json; give a folder that pmc2vec build"):
        pmc2vec.iterate_pairs(str(tmp_path))


def test_the_service_of_tf_data_serves_them(folder):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    worker = service.WorkerServer(
        service.WorkerConfig(dispatcher_address=dispatcher.target.partition("://")[2])
    )
    dataset = pmc2vec.pairs(str(folder), batch_size=64).apply(
        service.distribute("parallel_epochs", dispatcher.target)
    )
    (target, _), _ = next(iter(dataset))
    assert target.shape == (64,)
    del worker, dispatcher


def test_the_tutorials_model_trains_on_it(folder, tmp_path, capfd):
    main = runpy.run_path(str(EXAMPLE))["main"]
    logs, vectors = tmp_path / "logs", tmp_path / "vectors"
    words = f"--dataset {folder} --log_dir {logs} --output {vectors} --embedding_dim 8 --epochs 4"
    assert main([*words.split(), "--batch_size", "16"]) == 0
    losses = [
        line.split("loss: ")[1] for line in capfd.readouterr().out.splitlines() if "loss" in line
    ]
    first, *_, last = (float(loss.split(" ")[0]) for loss in losses)
    assert first < np.log(5) + 0.01
    assert last < 0.9 * first
    assert list((logs / "train").glob("events.out.tfevents.*"))
    loaded = Vectors.load(vectors)
    near = [
        (p, word) for p in ("a1", "b1", "c1", "d1") for word, _ in loaded.most_similar(p, topn=3)
    ]
    assert sum(p[0] == word[0] for p, word in near) >= 9, near
