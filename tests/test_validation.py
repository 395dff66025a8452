"""Early stopping, the best checkpoint, agreement with people, and limits: what ends a training."""

import contextlib
import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors
from pmc2vec.vectors.output_vectors import combine_tables
from tests.datasets import topic_articles, write_dataset
from trainer import task
from trainer.checkpoints import Checkpoints
from trainer.config import TrainConfig
from trainer.history import read_history
from trainer.input_pipeline import open_dataset
from trainer.schedule import EpochSchedule
from trainer.task import train


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """So few articles that they can be learnt by heart: some 30 records, a third held out."""
    articles = topic_articles(12, sentences=6, topics=20)
    folder = tmp_path_factory.mktemp("validation") / "few"
    return write_dataset(folder, articles, validation_fraction=0.3)


@pytest.fixture
def pairs(few, tmp_path) -> Path:
    """Four pairs of known words and one of another; higher scores where the topic is the same."""
    words = open_dataset(str(few)).vocabulary.words
    path = tmp_path / "topics.tsv"
    rows = [(a, b, 5 * (a[0] == b[0]) + n / 9) for n, (a, b) in enumerate(pairwise(words[1:6]))]
    path.write_text("".join(f"{a}\t{b}\t{score}\n" for a, b, score in [*rows, ("a1", "lynx", 1)]))
    return path


def config(dataset: Path, workdir: Path, **options) -> TrainConfig:
    defaults = {"vector_size": 16, "batch_size": 128, "log_every": 10, "seed": 3, "redraw": False}
    return TrainConfig(dataset=str(dataset), workdir=workdir, **{**defaults, **options})


def curve(workdir: Path, split: str, tag: str) -> list[tuple[int, float]]:
    folder = workdir / split if split == "validation" else workdir
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return [
        (event.step, tf.make_ndarray(event.tensor_proto).item()) for event in events.Tensors(tag)
    ]


# --- over-fitting ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_heart(few, tmp_path_factory) -> tuple[Path, task.TrainSummary]:
    """A training that goes on for too long."""
    workdir = tmp_path_factory.mktemp("validation") / "by_heart"
    return workdir, train(config(few, workdir, epochs=40))


def test_the_curves_show_what_is_learnt_by_heart(by_heart):
    workdir, summary = by_heart
    losses = [loss for _, loss in curve(workdir, "train", "loss")]
    held_out = [loss for _, loss in curve(workdir, "validation", "loss")]
    assert losses[-1] < 0.7 * losses[0]
    best = held_out.index(min(held_out))
    assert 0 < best < len(held_out) // 2
    assert held_out[-1] > 1.1 * held_out[best]
    assert summary.validation_loss == pytest.approx(held_out[-1])
    assert summary.vectors_step == summary.steps


def test_fresh_draws_are_learnt_by_heart_later(few, by_heart, tmp_path):
    train(config(few, tmp_path / "fresh", epochs=40, redraw=True))
    (stored, stored_at), (fresh, fresh_at) = (
        min((loss, step) for step, loss in curve(workdir, "validation", "loss"))
        for workdir in (by_heart[0], tmp_path / "fresh")
    )
    assert fresh < stored
    assert fresh_at > 1.5 * stored_at


def test_early_stopping_gives_the_best_vectors_and_can_go_on(few, tmp_path, capfd):
    workdir = tmp_path / "run"
    summary = train(config(few, workdir, epochs=40, early_stopping=3))
    told = capfd.readouterr().err
    held_out = curve(workdir, "validation", "loss")
    losses = [loss for _, loss in held_out]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 3
    assert (summary.vectors_step, summary.steps) == (held_out[best][0], held_out[-1][0])
    assert summary.validation_loss == pytest.approx(losses[best])
    assert "stopped early: no lower validation loss in 3 measurements" in told
    assert f"the vectors are those of step {summary.vectors_step:,} of {summary.steps:,}" in told
    assert f"validation loss of step {summary.vectors_step:,} " in task.summary_lines(summary)[2]

    reader = tf.train.load_checkpoint(str(workdir / "checkpoints" / "best"))
    target, context = (
        reader.get_tensor(f"model/{name}/.ATTRIBUTES/VARIABLE_VALUE")
        for name in ("target", "context")
    )
    best_vectors = combine_tables(target.copy(), context, kind="balanced")
    assert Vectors.load(workdir).matrix == pytest.approx(best_vectors, rel=1e-5, abs=1e-6)
    provenance = json.loads((workdir / "provenance.json").read_text())
    assert provenance["trained"]["vectors_step"] == summary.vectors_step
    assert provenance["scores"]["validation_loss"] == summary.validation_loss

    assert train(config(few, workdir, epochs=40, early_stopping=3)) == summary
    assert f"{workdir} is finished" in capfd.readouterr().err
    more = train(config(few, workdir, epochs=40, early_stopping=5))
    assert more.steps == curve(workdir, "validation", "loss")[best + 5][0]
    assert more.steps > summary.steps
    assert more.vectors_step == summary.vectors_step


def test_without_early_stopping_the_last_vectors_come_out_again(few, tmp_path):
    workdir = tmp_path / "run"
    best = train(config(few, workdir, epochs=20, early_stopping=30))
    assert best.vectors_step < best.steps
    last = train(config(few, workdir, epochs=20))
    assert last.vectors_step == last.steps == best.steps
    assert last.validation_loss > best.validation_loss
    provenance = json.loads((workdir / "provenance.json").read_text())
    assert provenance["trained"]["vectors_step"] == last.steps


class KilledError(Exception):
    """Stands for the end of a process."""


@pytest.mark.slow
def test_killed_after_every_checkpoint_it_stops_at_the_same_step(few, tmp_path, monkeypatch):
    options = {"epochs": 40, "early_stopping": 1, "validate_every": 4}
    expected = train(config(few, tmp_path / "whole", **options))
    save, starts = Checkpoints.save, 0

    def save_and_die(self, position):
        save(self, position)
        raise KilledError

    monkeypatch.setattr(Checkpoints, "save", save_and_die)
    while not (tmp_path / "run" / "provenance.json").exists():
        starts += 1
        with contextlib.suppress(KilledError):
            found = train(config(few, tmp_path / "run", checkpoint_every=0, **options))
    assert starts > 2
    assert (found.steps, found.vectors_step) == (expected.steps, expected.vectors_step)
    assert found.validation_loss == expected.validation_loss
    tables = [Vectors.load(tmp_path / name).matrix for name in ("whole", "run")]
    assert (tables[0] == tables[1]).all()


def test_early_stopping_needs_validation_records(tmp_path):
    folder = write_dataset(tmp_path / "dataset", topic_articles(4, sentences=4),
                           validation_fraction=0)  # fmt: skip
    with pytest.raises(UserError, match=r"--early_stopping 2: .* has no validation records; build"):
        train(config(folder, tmp_path / "run", early_stopping=2))


# --- agreement with people ---------------------------------------------------------------------


def test_each_epoch_tells_how_well_vectors_agree_with_people(few, pairs, tmp_path, capfd):
    workdir = tmp_path / "run"
    summary = train(config(few, workdir, epochs=3, evaluate=(pairs,)))
    told = [line for line in capfd.readouterr().err.splitlines() if "topics: Spearman" in line]
    assert len(told) == 3
    assert told[-1].endswith("on 4 of 5 pairs")
    points = curve(workdir, "validation", "quality/spearman/topics")
    assert [step for step, _ in points] == [summary.steps // 3 * epoch for epoch in (1, 2, 3)]
    expected = Vectors.load(workdir).evaluate_word_pairs(pairs)
    assert points[-1][1] == pytest.approx(expected.spearman)
    found = json.loads((workdir / "provenance.json").read_text())["scores"]["word_pairs"]
    assert found == {"topics": {"spearman": expected.spearman, "covered": 4, "total": 5}}
    assert summary.word_pairs == found


def test_pairs_that_nobody_knows_have_no_correlation(few, tmp_path, capfd):
    path = tmp_path / "animals.tsv"
    path.write_text("lynx\tcat\t8\ndog\twolf\t7\n")
    summary = train(config(few, tmp_path / "run", epochs=1, evaluate=(path,)))
    assert "animals: no Spearman, 0 of 2 pairs are known" in capfd.readouterr().err
    assert summary.word_pairs == {"animals": {"spearman": None, "covered": 0, "total": 2}}
    json.loads((tmp_path / "run" / "provenance.json").read_text(), parse_constant=pytest.fail)


def test_early_stopping_may_go_by_word_pairs_and_needs_no_validation(few, tmp_path, pairs):
    options = {"evaluate": (pairs,), "early_stopping": 2, "early_stopping_measure": pairs.stem}
    with pytest.raises(ValueError, match="must be loss or the name of a file of --evaluate"):
        config(few, tmp_path / "run", early_stopping=2, early_stopping_measure="men")
    summary = train(config(few, tmp_path / "run", epochs=12, validation_steps=1, **options))
    scores = [r.spearman[pairs.stem] for r in read_history(tmp_path / "run").epochs]
    assert summary.word_pairs[pairs.stem]["spearman"] == pytest.approx(max(scores), abs=1e-6)
    # Two measurements that were not better end it; equal is not better.
    assert len(scores) == 12 or max(scores) in scores[:-2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (": capital\nathens greece oslo norway\n", "holds analogies; --evaluate takes word pairs"),
        ("cat\tdog\n", "line 1 is not two entries and a score"),
        (None, "cannot be read"),
    ],
)
def test_a_file_of_something_else_is_told_before_anything_is_trained(few, tmp_path, text, says):
    path = tmp_path / "pairs.tsv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=f"pairs.tsv: .*{says}"):
        train(config(few, tmp_path / "run", evaluate=(path,)))
    assert not (tmp_path / "run" / "validation").exists()


def test_two_sets_of_one_name_are_refused(few, tmp_path, pairs):
    (tmp_path / "other").mkdir()
    other = pairs.rename(tmp_path / "other" / "topics.tsv")
    pairs.write_text(other.read_text())
    with pytest.raises(UserError, match="both would be shown as topics; rename one"):
        train(config(few, tmp_path / "run", evaluate=(pairs, other)))


# --- limits ------------------------------------------------------------------------------------


def test_steps_and_words_limit_a_training_and_more_continue_it(few, tmp_path):
    sgd = {"epochs": 4, "optimizer": "sgd", "alpha": 0.05, "min_alpha": 0.05}
    whole = train(config(few, tmp_path / "whole", **sgd))
    part = train(config(few, tmp_path / "run", max_steps=9, **sgd))
    assert (part.steps, part.epochs) == (9, 9 // (whole.steps // 4))
    assert (tmp_path / "run" / "vectors.tsv").exists()
    words = whole.trained_words // 2
    half = train(config(few, tmp_path / "run", max_words=words, **sgd))
    assert words <= half.trained_words <= words + whole.trained_words / whole.steps
    train(config(few, tmp_path / "run", max_steps=10**6, **sgd))
    names = ("vectors.tsv", "metadata.tsv")
    assert [(tmp_path / "run" / name).read_bytes() for name in names] == [
        (tmp_path / "whole" / name).read_bytes() for name in names
    ]


def test_the_learning_rate_rises_and_falls_to_its_end_at_the_limit(few, tmp_path):
    workdir = tmp_path / "run"
    falling = {"alpha": 0.1, "min_alpha": 0.01, "warmup": 0.75, "max_steps": 20, "epochs": 40}
    summary = train(config(few, workdir, **falling))
    points = dict(curve(workdir, "train", "speed/learning_rate"))
    assert summary.steps == 20
    assert points[10] == pytest.approx((0.1 - 0.09 * 9 / 20) * 10 / 15)
    assert points[20] == pytest.approx(0.1 - 0.09 * 19 / 20)


def test_a_plan_counts_words_as_its_steps_go(few):
    dataset = open_dataset(str(few))
    plan = EpochSchedule.for_dataset(dataset, epochs=3, batch_size=128)
    each, words = plan.steps[0], plan.words[0]
    assert (plan.step_limit, plan.total_words) == (3 * each, 3 * words)
    for wanted in (1, words // 2, words, words + 1, 2 * words + 7, 3 * words, 9 * words):
        limited = EpochSchedule.for_dataset(dataset, epochs=3, batch_size=128, max_words=wanted)
        assert limited.total_words >= min(wanted, 3 * words) - 1
        assert limited.step_limit == min(3 * each, math.ceil(wanted / words * each - 1e-9))
        assert (
            EpochSchedule.for_dataset(
                dataset, epochs=3, batch_size=128, max_words=wanted, max_steps=2
            ).step_limit
            <= 2
        )
