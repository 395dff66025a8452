"""`pair_dataset`: the pairs of a dataset in the shapes of TensorFlow's tutorial."""

import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.dataset.records import VALIDATION, read_shard
from pmc2vec.dataset.skipgrams import explicit_pairs
from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset
from trainer.input_pipeline import open_dataset, pair_dataset

EXAMPLE = Path(__file__).parent.parent / "examples" / "tutorial_keras.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_dataset(
        tmp_path_factory.mktemp("pairs") / "dataset",
        topic_articles(14, sentences=12),
        passes=2,
        validation_fraction=0.3,
    )


def stored(folder: Path, split: str = "train", draw: int = 0) -> list[tuple[int, int, set[int]]]:
    """Each pair of the shards with the negatives of its block, one after the other."""
    dataset, found = open_dataset(str(folder)), []
    for shard in dataset.manifest.select(split, draw):
        with (folder / shard.name).open("rb") as file:
            for record in read_shard(file, shard.name):
                words, contexts = explicit_pairs(record, dataset.manifest.shape)[:2]
                found += [
                    (int(word), int(row[0]), frozenset(row[1:].tolist()))
                    for word, row in zip(words, contexts, strict=True)
                ]
    return found


def test_shapes_and_types_are_the_tutorials(folder):
    dataset = pair_dataset(str(folder), batch_size=64, num_ns=4)
    assert int(dataset.cardinality()) == len(stored(folder)) // 64
    (target, context), label = dataset.element_spec
    assert (target.shape, context.shape, label.shape) == ((64,), (64, 5), (64, 5))
    assert {part.dtype for part in (target, context, label)} == {tf.int64}
    for (targets, contexts), labels in dataset.take(3):
        assert (targets.shape, contexts.shape) == ((64,), (64, 5))
        assert labels.numpy().tolist() == [[1, 0, 0, 0, 0]] * 64


@pytest.mark.parametrize(("epoch", "draw"), [(0, 0), (1, 1), (2, 0)])
def test_an_epoch_holds_each_pair_once_with_negatives_of_its_block(folder, epoch, draw):
    expected = stored(folder, draw=draw)
    blocks: dict[tuple[int, int], set[int]] = {}
    for word, context, negatives in expected:
        blocks.setdefault((word, context), set()).update(negatives)
    found: Counter[tuple[int, int]] = Counter()
    dealt: Counter[int] = Counter()
    for (target, context), _ in pair_dataset(str(folder), batch_size=1, epoch=epoch).batch(512):
        for word, row in zip(target.numpy().ravel(), context.numpy().reshape(-1, 6), strict=True):
            pair = (int(word), int(row[0]))
            found[pair] += 1
            assert set(row[1:].tolist()) <= blocks[pair]
            dealt.update(row[1:].tolist())
    assert found == Counter((word, context) for word, context, _ in expected)
    assert len(dealt) > 50


def test_the_order_is_a_function_of_seed_and_epoch_and_mixes_articles(folder):
    def order(**options) -> np.ndarray:
        batches = pair_dataset(str(folder), batch_size=256, **options)
        return np.concatenate([target.numpy() for (target, _), _ in batches.take(4)])

    assert np.array_equal(order(), order())
    assert not np.array_equal(order(), order(seed=2))
    assert not np.array_equal(order(), order(epoch=2))
    assert np.mean(np.diff(order()) == 0) < 0.3  # A target's pairs do not stand side by side.


def test_the_validation_split_is_there_too(folder):
    expected = stored(folder, VALIDATION)
    found = list(pair_dataset(str(folder), batch_size=1, split=VALIDATION))
    assert len(found) == len(expected) > 100


@pytest.mark.parametrize("num_ns", [0, 7])
def test_more_negatives_than_a_block_has_are_refused(folder, num_ns):
    with pytest.raises(UserError, match=f"num_ns {num_ns}: .* hold 6 negatives for a pair; ask"):
        pair_dataset(str(folder), num_ns=num_ns)


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
    found = Vectors.load(vectors)
    near = [
        (p, word) for p in ("a1", "b1", "c1", "d1") for word, _ in found.most_similar(p, topn=3)
    ]
    assert sum(p[0] == word[0] for p, word in near) >= 9, near
