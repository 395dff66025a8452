"""trainer.task: whole trainings on a small dataset, interrupted, continued, and refused."""

import fcntl
import json
import logging
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pmc2vec.cli.exit_codes import run_program
from pmc2vec.cli.signals import stop_request
from pmc2vec.commands import main
from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset
from trainer import task
from trainer.config import TrainConfig
from trainer.distribution.replicas import Replicas
from trainer.task import train
from trainer.workdir import EXPORTED_NAMES

ROOT = Path(__file__).parent.parent

TABLES = ("vectors.tsv", "metadata.tsv")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Four topics in 40 articles: some 500 records of 32 tokens."""
    return write_dataset(tmp_path_factory.mktemp("task") / "dataset", topic_articles())


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """For what fails before, or soon after, it begins to train."""
    articles = topic_articles(6, sentences=6)
    return write_dataset(tmp_path_factory.mktemp("task") / "small", articles)


def config(dataset: Path, workdir: Path, **options) -> TrainConfig:
    defaults = {"vector_size": 8, "batch_size": 128, "epochs": 2, "log_every": 20, "seed": 3}
    return TrainConfig(dataset=str(dataset), workdir=workdir, **{**defaults, **options})


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory) -> tuple[Path, task.TrainSummary]:
    """A training of two epochs that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("task") / "run"
    return workdir, train(config(dataset, workdir, validate_every=50, probe_words=("a1", "zebra")))


def tables(workdir: Path) -> list[bytes]:
    return [(workdir / name).read_bytes() for name in TABLES]


def interrupt_after(monkeypatch, calls: int, number: signal.Signals) -> None:
    """Sends this process a signal during a call of the compiled steps."""
    whole, done = Replicas.train, []

    def steps(self, *args, **options):
        done.append(1)
        if len(done) == calls:
            signal.raise_signal(number)
        return whole(self, *args, **options)

    monkeypatch.setattr(Replicas, "train", steps)


# --- what comes out ----------------------------------------------------------------------------


def test_words_of_a_topic_become_neighbours(finished):
    vectors = Vectors.load(finished[0])
    probes = ["a1", "b1", "c2", "d3"]
    near = [(probe, word) for probe in probes for word, _ in vectors.most_similar(probe, topn=5)]
    assert sum(probe[0] == word[0] for probe, word in near) >= 18, near


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "cbow"},
        {"objective": "softmax"},
        {"tie_embeddings": True},
        {"architecture": "cbow", "objective": "softmax", "mixed_precision": "on"},
    ],
    ids=str,
)
def test_each_way_of_training_learns_the_topics_its_own_way(finished, dataset, tmp_path, options):
    train(config(dataset, tmp_path / "run", **options))
    vectors = Vectors.load(tmp_path / "run")
    near = [(p, word) for p in ("a1", "b1", "c1") for word, _ in vectors.most_similar(p, topn=4)]
    assert sum(probe[0] == word[0] for probe, word in near) >= 10, near
    assert tables(tmp_path / "run") != tables(finished[0])
    with pytest.raises(UserError, match=f"was trained with {next(iter(options))} "):
        train(config(dataset, tmp_path / "run"))


def test_the_summary_says_what_was_done(finished):
    workdir, summary = finished
    data = json.loads((Path(summary.workdir) / "provenance.json").read_text())
    assert summary.workdir == workdir
    assert (summary.epochs, summary.vector_size) == (2, 8)
    assert summary.words == len(Vectors.load(workdir)) == 97
    assert summary.trained_words == 2 * 14_430
    assert summary.steps == 2 * 113
    assert summary.loss < 2.5 < 6 * np.log(2)  # That of the first tables.
    assert 0.3 < summary.validation_accuracy <= 1
    assert data["scores"]["validation_loss"] == summary.validation_loss
    assert data["trained"]["trained_words"] == summary.trained_words
    assert data["config"]["vector_size"] == 8
    assert data["dataset"]["licences"] == {"CC BY": 1}


def test_the_workdir_holds_what_it_should(finished):
    workdir, summary = finished
    names = {path.name for path in workdir.iterdir()}
    assert names >= {"config.json", "checkpoints", "validation", *EXPORTED_NAMES}
    assert not {name for name in names if name.endswith(".tmp")}
    recorded = json.loads((workdir / "config.json").read_text())
    rates = ("alpha", "min_alpha", "warmup")
    assert [recorded[name] for name in (*rates, "batch_size")] == [*["default"] * 3, 128]
    used = json.loads((workdir / "provenance.json").read_text())["config"]
    assert [used[name] for name in rates] == [0.15, 0.05, 0.1]
    newest = tf.train.latest_checkpoint(workdir / "checkpoints")
    assert Path(newest).name == f"ckpt-{summary.steps}"
    best = tf.train.latest_checkpoint(workdir / "checkpoints" / "best")
    reader = tf.train.load_checkpoint(best)
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    assert reader.get_tensor(f"position/best_loss{value}") <= summary.validation_loss
    assert reader.get_tensor(f"model/target{value}").shape == (97, 8)


def test_tensorboard_finds_curves_and_neighbours(finished):
    workdir, summary = finished
    curves = {}
    for split, folder in (("train", "."), ("validation", "validation")):
        events = EventAccumulator(str(workdir / folder), size_guidance={"tensors": 0})
        events.Reload()
        for tag in events.Tags()["tensors"]:
            if tag.startswith(("corpus/", "options/", "_hparams_")) or tag == "projector":
                continue
            curves[split, tag] = events.Tensors(tag)
            metadata = events.summary_metadata[tag]
            assert metadata.summary_description
    assert set(curves) == {
        ("train", "loss"), ("train", "quality/accuracy"), ("train", "speed/epoch"),
        ("train", "speed/learning_rate"), ("train", "speed/words_per_second"),
        ("train", "speed/waiting_for_data"), ("train", "neighbours"), ("train", "vectors/norms"),
        ("train", "words"),
        ("validation", "loss"), ("validation", "quality/accuracy"),
    }  # fmt: skip
    steps = {key: [event.step for event in events] for key, events in curves.items()}
    assert steps["train", "loss"] == list(range(20, 221, 20))
    assert steps["validation", "loss"] == [50, 100, 113, 150, 200, 226]
    assert steps["train", "neighbours"] == [113, 226]
    (last,) = tf.make_ndarray(curves["validation", "loss"][-1].tensor_proto).ravel()
    assert last == pytest.approx(summary.validation_loss)
    table = tf.make_ndarray(curves["train", "neighbours"][-1].tensor_proto).item().decode()
    assert table.splitlines()[2].startswith("| a1 | a")
    assert "zebra" not in table


# --- continued ---------------------------------------------------------------------------------


def test_stopped_in_an_epoch_and_continued_the_tables_are_the_same(
    finished, dataset, tmp_path, monkeypatch, capfd
):
    interrupt_after(monkeypatch, 1, signal.SIGTERM)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        train(config(dataset, tmp_path / "run"), stop=stop_request())
    assert stop.value.code == 143
    assert "stopped by SIGTERM after step 100; the same command continues" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == handler
    assert not (tmp_path / "run" / "vectors.tsv").exists()
    assert not (tmp_path / "run" / "provenance.json").exists()
    monkeypatch.undo()

    summary = train(config(dataset, tmp_path / "run", checkpoint_every=0))
    assert "train: continues after step 100" in capfd.readouterr().err
    assert tables(tmp_path / "run") == tables(finished[0])
    assert (summary.loss, summary.accuracy) == (finished[1].loss, finished[1].accuracy)
    assert summary.validation_loss == finished[1].validation_loss


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_checkpoint_that_never_came_to_the_disk_is_none(
    finished, dataset, tmp_path, monkeypatch, capfd, part
):
    interrupt_after(monkeypatch, 1, signal.SIGTERM)
    with pytest.raises(SystemExit):
        train(config(dataset, tmp_path / "run"), stop=stop_request())
    monkeypatch.undo()
    (path,) = (tmp_path / "run" / "checkpoints").glob(f"ckpt-*.{part}")
    os.truncate(path, 0)  # As ext4 leaves a name whose bytes came too late.
    capfd.readouterr()
    train(config(dataset, tmp_path / "run"))
    assert "continues after step" not in capfd.readouterr().err
    assert tables(tmp_path / "run") == tables(finished[0])


def test_more_epochs_continue_a_finished_training(dataset, tmp_path):
    # A rate that changes would follow the longer line, and Adagrad starts by what is planned.
    level = {"alpha": 0.15, "min_alpha": 0.15, "warmup": 0.0, "initial_accumulator_value": 0.1}
    train(config(dataset, tmp_path / "straight", epochs=2, **level))
    train(config(dataset, tmp_path / "run", epochs=1, **level))
    assert train(config(dataset, tmp_path / "run", epochs=2, **level)).epochs == 2
    assert tables(tmp_path / "run") == tables(tmp_path / "straight")
    with pytest.raises(UserError, match="has been trained for 2 epochs already; --epochs 1 is"):
        train(config(dataset, tmp_path / "run", epochs=1, **level))


def test_more_epochs_continue_what_was_trained_with_the_default_rate(dataset, tmp_path):
    summary = train(config(dataset, tmp_path / "run", epochs=1))
    assert train(config(dataset, tmp_path / "run", epochs=2)).steps == 2 * summary.steps
    other = r"was trained with alpha default \(now 0.3\)"
    with pytest.raises(UserError, match=other):
        train(config(dataset, tmp_path / "run", epochs=3, alpha=0.3))


def test_a_finished_training_is_left_alone_but_for_missing_files(finished, dataset, capfd):
    workdir, summary = finished
    before = tables(workdir)
    again = config(dataset, workdir, validate_every=50)
    assert train(again) == summary
    assert f"{workdir} is finished" in capfd.readouterr().err
    (workdir / "vectors.tsv").unlink()
    assert train(again) == summary
    assert tables(workdir) == before


def test_either_table_comes_out_of_a_finished_training(dataset, tmp_path):
    run, alone = tmp_path / "run", tmp_path / "alone"
    train(config(dataset, run, epochs=1))
    train(config(dataset, alone, epochs=1, output_vectors="target"))
    both, own = tables(run), tables(alone)
    assert both[0] != own[0]
    train(config(dataset, run, epochs=1, add_context=False))
    assert tables(run) == own
    found = json.loads((run / "provenance.json").read_text())
    assert found["config"]["output_vectors"] == "target"
    train(config(dataset, run, epochs=1))
    assert tables(run) == both


def test_a_broken_checkpoint_is_passed_over_and_two_are_told(dataset, tmp_path, capfd):
    workdir = tmp_path / "run"
    train(config(dataset, workdir))
    expected = tables(workdir)
    newest, oldest = (
        workdir / "checkpoints" / f"ckpt-{step}.data-00000-of-00001" for step in (226, 113)
    )
    newest.write_bytes(newest.read_bytes()[:1000])
    for name in EXPORTED_NAMES:
        (workdir / name).unlink()
    train(config(dataset, workdir))
    told = capfd.readouterr().err
    assert "ckpt-226: passed over, it cannot be read" in told
    assert "continues after step 113" in told
    assert tables(workdir) == expected

    for path in (newest, oldest):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="none of 2 checkpoints can be read; remove the workdir"):
        train(config(dataset, workdir))


def test_called_as_a_library_it_leaves_signals_hooks_and_logging_alone(
    dataset, tmp_path, monkeypatch
):
    train_steps, states = Replicas.train, []

    def state():
        root = logging.getLogger()
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        return [*handlers, sys.excepthook, root.level, list(root.handlers)]

    def steps(self, *args, **options):
        states.append(state())
        return train_steps(self, *args, **options)

    before = state()
    monkeypatch.setattr(Replicas, "train", steps)
    train(config(dataset, tmp_path / "run", epochs=1))
    assert states
    assert all(seen == before for seen in [*states, state()])


# --- TensorFlow's start ------------------------------------------------------------------------

NO_KERAS = """
import os, sys
from trainer.config import TrainConfig
from trainer.task import train

train(TrainConfig(dataset=sys.argv[1], workdir=sys.argv[2], vector_size=8, epochs=1))
import tensorflow as tf
assert not [name for name in sys.modules if name.startswith("keras.src")]
assert "TF_USE_LEGACY_KERAS" not in os.environ

from tensorflow.keras import layers
assert tf.keras.__version__.startswith("3.")
assert layers.Dense(2)(tf.zeros([1, 3])).shape == (1, 2)
"""


def test_a_training_loads_keras_only_when_it_is_asked_for(dataset, tmp_path):
    subprocess.run([sys.executable, "-c", NO_KERAS, dataset, tmp_path / "run"], check=True)


# --- on several devices ------------------------------------------------------------------------

TWO_DEVICES = """
import sys
import numpy as np
from pmc2vec.machine import load_tensorflow
from trainer.devices import distribution_strategy

load_tensorflow()
import tensorflow as tf
from trainer.input_pipeline import open_dataset, training_batches, validation_batches
from trainer.model import SkipGram
from trainer.optimizers import Adagrad
from trainer.distribution.replicas import Replicas
from trainer.schedule import LearningRateSchedule

mirrored = distribution_strategy(2)
assert isinstance(mirrored, tf.distribute.MirroredStrategy)
assert len(tf.config.list_logical_devices("CPU")) == 2
dataset = open_dataset(sys.argv[1])

def new_model():
    return SkipGram(dataset.manifest.shape, words=len(dataset.vocabulary), vector_size=8, seed=1)

found = []
for one in (tf.distribute.get_strategy(), mirrored):
    replicas = Replicas(one, new_model, Adagrad(), LearningRateSchedule(0.05, 0.01, 100))
    how = {"records": 4, "grouped": True}
    batches = training_batches(dataset, epoch=0, seed=1, **how)
    trained = replicas.train(replicas.batch_groups(batches), first_step=0, steps=40)
    validation = replicas.batch_groups(validation_batches(dataset, limit=5, **how))
    measured = replicas.evaluate(validation, steps=5)
    model = replicas.model
    found.append([model.target.numpy(), model.context.numpy(), trained, measured])
assert np.abs(found[0][1]).max() > 0.01
for a, b in zip(*found):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
copies = mirrored.experimental_local_results(replicas.model.target)
assert len(copies) == 2 and np.array_equal(*(copy.numpy() for copy in copies))
print("equal")
"""


def test_two_devices_train_the_tables_of_one(dataset):
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(dataset)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "equal\n", done.stderr


def test_devices_that_cannot_share_a_batch_or_are_too_late_are_told(small, tmp_path):
    tf.config.list_logical_devices()  # TensorFlow has started, with one CPU device.
    with pytest.raises(UserError, match="--devices 3: TensorFlow has started with fewer"):
        train(config(small, tmp_path / "run", devices=3))


# --- refused -----------------------------------------------------------------------------------


def test_a_workdir_of_other_options_is_refused_by_name(finished, dataset, small):
    workdir = finished[0]
    before = {path: path.read_bytes() for path in workdir.glob("*.*")}
    with pytest.raises(UserError) as caught:
        train(config(dataset, workdir, vector_size=9, optimizer="sgd"))
    assert str(caught.value) == (
        f"{workdir}: was trained with vector_size 8 (now 9), optimizer adagrad (now sgd); "
        "give the same again, or choose another --workdir"
    )
    with pytest.raises(UserError, match=r"was trained with manifest_sha256 \w{64} \(now \w{64}\)"):
        train(config(small, workdir))
    assert {path: path.read_bytes() for path in workdir.glob("*.*")} == before


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("manifest.json", "{}", "a dataset, not a workdir"),
        ("config.json", "{", "config.json: not JSON"),
        ("config.json", '{"format": "other"}', "config.json: not written by pmc2vec train"),
        ("config.json", '{"format": "pmc2vec training", "version": 7}', "config.json: version 7"),
    ],
)
def test_a_folder_of_something_else_is_refused(small, tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"{says}.*choose another --workdir"):
        train(config(small, tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {".lock", name}


def test_a_second_trainer_on_the_workdir_is_refused(small, tmp_path):
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is training here; wait for it"):
            train(config(small, tmp_path))


def test_divergence_names_the_step_and_leaves_no_broken_checkpoint(small, tmp_path):
    workdir = tmp_path / "run"
    diverging = config(small, workdir, optimizer="sgd", alpha=1e20, checkpoint_every=0)
    with pytest.raises(UserError, match=r"^step \d+: the loss or a vector is no longer") as c:
        train(diverging)
    assert str(c.value).endswith(
        "; lower --alpha (1e+20) or --batch_size (128) and give the command again: "
        "no checkpoint has been written"
    )
    assert not any((workdir / name).exists() for name in EXPORTED_NAMES)
    assert tf.train.latest_checkpoint(workdir / "checkpoints") is None


def test_divergence_after_a_checkpoint_asks_for_another_workdir(small, tmp_path, monkeypatch):
    train(config(small, tmp_path / "run", epochs=1))
    monkeypatch.setattr(Replicas, "is_finite", lambda self: False)
    with pytest.raises(UserError, match=r"in another --workdir; the checkpoints in .* before"):
        train(config(small, tmp_path / "run", epochs=2))


def test_a_start_that_failed_does_not_claim_the_workdir(small, tmp_path):
    workdir = tmp_path / "run"
    (tmp_path / "pairs.tsv").write_text("no pairs")
    with pytest.raises(UserError, match=r"pairs.tsv"):
        train(config(small, workdir, evaluate=(tmp_path / "pairs.tsv",)))
    assert not (workdir / "config.json").exists()
    with pytest.raises(UserError, match=r"the loss or a vector is no longer a finite"):
        train(config(small, workdir, optimizer="sgd", alpha=1e20))
    # Nothing was saved, so there is nothing that other options could spoil.
    assert train(config(small, workdir, epochs=1)).epochs == 1


def test_a_loss_above_chance_is_warned_of_once_and_not_published(small, tmp_path, capfd):
    workdir, options = tmp_path / "run", {"optimizer": "sgd", "alpha": 0.5, "log_every": 1}
    with pytest.raises(UserError, match=r"ends with loss .* have 4.1589, so no vectors are writ"):
        train(config(small, workdir, **options))
    assert capfd.readouterr().err.count("that of vectors that know nothing: the training") == 1
    assert not any((workdir / name).exists() for name in EXPORTED_NAMES)
    train(config(small, workdir, publish_diverged=True, **options))
    assert all((workdir / name).exists() for name in EXPORTED_NAMES)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"early_stopping": 1, "validate_every": 5, "alpha": 9.0, "publish_diverged": True},
            "a higher --early_stopping",
        ),
        ({"max_steps": 2}, "a higher --max_steps or --max_words"),
        ({"epochs": 1}, "more --epochs"),
    ],
    ids=str,
)
def test_a_finished_workdir_names_what_would_continue_it(dataset, tmp_path, capfd, options, says):
    for _ in range(2):
        train(config(dataset, tmp_path / "run", **options))
    assert f"is finished; {says} would continue it" in capfd.readouterr().err


def test_tables_that_the_last_step_broke_are_not_kept(tmp_path):
    folder = write_dataset(
        tmp_path / "dataset", topic_articles(4, sentences=4), validation_fraction=0
    )
    workdir = tmp_path / "run"
    one_step = config(folder, workdir, epochs=1, optimizer="sgd", alpha=3e38, batch_size=10**4)
    with pytest.raises(UserError, match=r"^step 1: the loss or a vector is no longer a finite"):
        train(one_step)
    assert tf.train.latest_checkpoint(workdir / "checkpoints") is None


def test_a_shard_damaged_within_is_named(dataset, tmp_path):
    folder = write_dataset(tmp_path / "damaged", topic_articles(8))
    path = folder / "train-00000-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"^{path}: damaged record at byte [0-9]+; build the datas"):
        train(config(folder, tmp_path / "run"))
    assert not (tmp_path / "run" / "provenance.json").exists()


def test_without_validation_records_it_says_so_and_trains(tmp_path, capfd):
    folder = write_dataset(
        tmp_path / "dataset", topic_articles(4, sentences=4), validation_fraction=0
    )
    summary = train(config(folder, tmp_path / "run", epochs=1, optimizer="sgd"))
    assert capfd.readouterr().err.count("no validation records") == 1
    assert (summary.validation_loss, summary.validation_accuracy) == (None, None)
    assert not list((tmp_path / "run" / "checkpoints" / "best").glob("*.index"))
    assert not [line for line in task.summary_lines(summary) if line.startswith("validation")]


# --- the program -------------------------------------------------------------------------------


def test_failures_are_one_line_and_status_1(tmp_path, capsys):
    status = main.main(["train", "--dataset", str(tmp_path / "no"), "--workdir", str(tmp_path)])
    assert status == 1
    assert capsys.readouterr().err == (
        f"pmc2vec: error: {tmp_path / 'no'}: no such folder; "
        "give --dataset what pmc2vec build wrote\n"
    )


def test_the_program_ends_with_what_came_out(finished, dataset, capsys):
    words = (
        f"--dataset {dataset} --workdir {finished[0]} --vector_size 8 --batch_size 128 --epochs 2 "
        "--seed 3 --validate_every 50"
    ).split()
    assert run_program(lambda: task.main(words)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("trained 28,860 words in 0:")
    assert lines[0].endswith(" words/s (2 epochs, 226 steps)")
    assert lines[-5] == f"how it went: {finished[0] / 'report.html'}"
    assert lines[-4] == "try next:"
    first, *_, last = (shlex.split(line) for line in lines[-3:])
    assert (first[:2], first[-2:]) == (["pmc2vec", "neighbours"], ["--vectors", str(finished[0])])
    assert set(first[2:-2]) <= set(Vectors.load(finished[0]).words)
    assert last == ["pmc2vec", "tensorboard", "--workdir", str(finished[0])]
    assert "neighbours" in (finished[0] / "history.json").read_text()
