"""trainer.warm_start: new text, new words, and the vectors of an earlier training."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset
from trainer.config import TrainConfig
from trainer.input_pipeline import open_dataset
from trainer.task import train

OLD, NEW = "abcd", "wxyz"  # Topics; of the increment's words half are new.


def increment(articles: int = 30) -> dict[str, list[list[str]]]:
    """More articles on the same four topics, every other word of each a new one: `w` goes with a.

    `a1 a2 a3 a4` becomes `a1 w2 a3 w4`.
    """
    texts = topic_articles(articles, seed=7)
    for sentences in texts.values():
        for sentence in sentences:
            for at in range(0, len(sentence), 2):
                if sentence[at] != "the":
                    sentence[at] = NEW[OLD.index(sentence[at][0])] + sentence[at][1:]
    return {f"PMC9{name}": text for name, text in texts.items()}


def config(dataset: Path, workdir: Path, **options) -> TrainConfig:
    defaults = {"vector_size": 8, "batch_size": 128, "epochs": 2, "seed": 3}
    return TrainConfig(dataset=str(dataset), workdir=workdir, **{**defaults, **options})


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("continuation")
    dataset = write_dataset(folder / "first", topic_articles())
    train(config(dataset, folder / "run"))
    return folder / "run"


@pytest.fixture(scope="module")
def more(tmp_path_factory) -> Path:
    """The dataset of the increment alone."""
    return write_dataset(tmp_path_factory.mktemp("continuation") / "more", increment())


@pytest.fixture(scope="module")
def grown(earlier, more, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("continuation") / "grown"
    train(config(more, workdir, init_from=earlier, epochs=1))
    return workdir


def topic(word: str) -> str:
    return OLD[NEW.index(word[0])] if word[0] in NEW else word[0]


def shared_neighbours(one: Vectors, other: Vectors, words: list[str]) -> float:
    """Mean share of the nearest 10 words that both have, among words that both know."""
    both = [word for word in one.words if word in other]
    one, other = (Vectors(both, vectors[both]) for vectors in (one, other))
    near = [[{w for w, _ in v.most_similar(word, topn=10)} for v in (one, other)] for word in words]
    return float(np.mean([len(a & b) / 10 for a, b in near]))


def test_old_words_keep_their_neighbours(earlier, more, grown, tmp_path):
    before, after = Vectors.load(earlier), Vectors.load(grown)
    words = [word for word in before.words if word in after and word != "the"]
    assert len(words) > 50
    train(config(more, tmp_path / "fresh", epochs=1))
    kept = shared_neighbours(before, after, words)
    by_chance = shared_neighbours(before, Vectors.load(tmp_path / "fresh"), words)
    assert kept > 0.6
    assert kept > by_chance + 0.2
    same = [before[w] @ after[w] / before.norms[before.ids[w]] / after.norms[after.ids[w]]
            for w in words]  # fmt: skip
    assert np.mean(same) > 0.9


def test_new_words_get_neighbours_of_their_topic_old_and_new(grown):
    vectors = Vectors.load(grown)
    probes = [f"{letter}{number}" for letter in NEW for number in range(1, 5)]
    near = [(p, word) for p in probes for word, _ in vectors.most_similar(p, topn=5)]
    assert sum(topic(p) == topic(word) for p, word in near) > 0.85 * len(near), near
    known = [word for word in vectors.words if word[0] in OLD]
    old = Vectors([*known, *probes], vectors[[*known, *probes]])
    nearest = {p: [w for w, _ in old.most_similar(p, topn=30) if w[0] in OLD][:3] for p in probes}
    right = [topic(p) == word[0] for p, found in nearest.items() for word in found]
    assert np.mean(right) > 0.85, nearest


def test_it_starts_from_the_earlier_rows_and_what_the_optimizer_remembered(earlier, more, tmp_path):
    """Divergence at the first step would move rows, so the rate is next to nothing."""
    train(config(more, tmp_path / "run", init_from=earlier, epochs=1, alpha=1e-30, max_steps=1))
    before, after = (
        tf.train.load_checkpoint(str(folder / "checkpoints"))
        for folder in (earlier, tmp_path / "run")
    )
    old, new = Vectors.load(earlier), open_dataset(str(more)).vocabulary
    both = [word for word in new.words if word in old]
    unknown = [new.ids[word] for word in new.words if word not in old]
    at, to = [old.ids[word] for word in both], [new.ids[word] for word in both]
    assert len(both) > 50 < len(unknown)
    for name in ("model/target", "model/context", "slots/target/0", "slots/context/0"):
        values = [
            reader.get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE") for reader in (before, after)
        ]
        change = 1e-6 if name.startswith("model") else 0.2  # One step's squares are added.
        np.testing.assert_allclose(values[1][to], values[0][at], rtol=change, atol=1e-5)
        if name == "model/context":
            assert not np.abs(values[1][unknown]).max() > 1e-20
        if name == "model/target":
            assert 0.4 / 8 < np.abs(values[1][unknown]).max() <= 0.5 / 8


def test_it_says_how_many_words_it_knows_and_does_not_start_over(earlier, more, tmp_path, capfd):
    gone = shutil.copytree(earlier, tmp_path / "earlier")
    options = config(more, tmp_path / "run", init_from=gone, epochs=1)
    train(options)
    words = open_dataset(str(more)).vocabulary.words
    known = sum(word in Vectors.load(earlier) for word in words)
    line = f"{known} words start from their vectors in {gone}, {len(words) - known} are new"
    assert line in capfd.readouterr().err
    shutil.rmtree(gone)
    train(config(more, tmp_path / "run", init_from=gone, epochs=2))
    assert "start from their vectors" not in capfd.readouterr().err


def test_the_vectors_that_came_out_are_those_that_go_on(tmp_path, more):
    """After early stopping that is the best checkpoint, not the newest."""
    dataset = write_dataset(
        tmp_path / "few", topic_articles(12, sentences=6, topics=20), validation_fraction=0.3
    )
    stopped = train(config(dataset, tmp_path / "run", epochs=40, early_stopping=3, vector_size=16,
                           redraw=False))  # fmt: skip
    assert stopped.vectors_step < stopped.steps
    train(config(dataset, tmp_path / "next", epochs=1, vector_size=16, init_from=tmp_path / "run",
                 alpha=1e-30, max_steps=1))  # fmt: skip
    one, other = (Vectors.load(tmp_path / name).matrix for name in ("run", "next"))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_one_table_goes_on_too(tmp_path, more):
    tied = {"tie_embeddings": True, "epochs": 1, "optimizer": "sgd"}
    train(config(more, tmp_path / "run", **tied))
    train(config(more, tmp_path / "next", **tied, init_from=tmp_path / "run", alpha=1e-30))
    one, other = (Vectors.load(tmp_path / name).matrix for name in ("run", "next"))
    np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"vector_size": 9}, r"was trained with vector_size 8 \(now 9\); give the same, or start"),
        ({"optimizer": "sgd", "architecture": "cbow"},
         r"architecture skipgram \(now cbow\), optimizer adagrad \(now sgd\)"),
    ],
)  # fmt: skip
def test_a_workdir_of_other_tables_is_refused(earlier, more, tmp_path, options, says):
    with pytest.raises(UserError, match=f"^--init_from {earlier}: .*{says}") as caught:
        train(config(more, tmp_path / "run", init_from=earlier, **options))
    assert "\n" not in str(caught.value)


def test_what_is_not_finished_or_lost_its_checkpoint_is_refused(earlier, more, tmp_path):
    with pytest.raises(UserError, match=r"no config.json, so there is no finished training; give"):
        train(config(more, tmp_path / "run", init_from=tmp_path / "nowhere"))
    copy = shutil.copytree(earlier, tmp_path / "copy")
    other = {"init_from": copy}
    for path in [*(copy / "checkpoints").glob("ckpt-*"), *(earlier / "checkpoints").glob("x")]:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"copy/checkpoints/ckpt-\d+: cannot be read"):
        train(config(more, tmp_path / "run2", **other))
    (copy / "provenance.json").unlink()
    with pytest.raises(UserError, match=r"no provenance.json, so there is no finished"):
        train(config(more, tmp_path / "run3", **other))


def test_a_file_of_vectors_starts_a_training_too(more, tmp_path):
    """One step of no length: the vectors that come out are those that went in."""
    words = [f"{letter}1" for letter in OLD] + ["unheard"]
    matrix = np.random.default_rng(2).normal(size=(len(words), 8)).astype(np.float32)
    rows = (f"{w} {' '.join(map(str, row))}\n" for w, row in zip(words, matrix, strict=True))
    (tmp_path / "glove.txt").write_text("".join(rows))
    options = {"init_from": tmp_path / "glove.txt", "output_vectors": "target", "max_steps": 1}
    train(config(more, tmp_path / "run", optimizer="sgd", alpha=1e-30, min_alpha=0, **options))
    vectors = Vectors.load(tmp_path / "run")
    np.testing.assert_array_equal(vectors[words[:-1]], matrix[:-1])
    assert np.linalg.norm(vectors["w2"]) < 0.2
    with pytest.raises(UserError, match="vectors of 8 numbers, not 9; give --vector_size 8"):
        train(config(more, tmp_path / "other", vector_size=9, **options))
