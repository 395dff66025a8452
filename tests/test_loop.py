"""trainer.loop: what the options of a training make of its model."""

import contextlib
import signal

import pytest
import tensorflow as tf

from pmc2vec.cli.signals import StopRequest
from tests.datasets import topic_articles, write_dataset
from trainer.config import TrainConfig
from trainer.cpu_kernels import llvm_intrinsics
from trainer.cpu_kernels.llvm_intrinsics import HAS_BFLOAT16
from trainer.input_pipeline import open_dataset
from trainer.loop import make_replicas, make_schedule
from trainer.objectives import gradient_function
from trainer.schedule import EpochSchedule
from trainer.task import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "dataset"
    return open_dataset(str(write_dataset(folder, topic_articles(8))))


def made(dataset, **options):
    options = {"epochs": 2, "vector_size": 8, "batch_size": 128, **options}
    config = TrainConfig(dataset=dataset.folder, workdir="run", **options)
    config = config.resolved(dataset.manifest.shape.length)
    schedule = make_schedule(config, dataset)
    return make_replicas(config, dataset, tf.distribute.get_strategy(), schedule)


def test_adagrad_starts_in_proportion_to_what_is_planned(dataset):
    starts = {
        name: float(made(dataset, **options).slots[0][0][0])
        for name, options in {
            "ten steps": {"max_steps": 10},
            "twenty": {"max_steps": 20, "epochs": 9},
            "more dimensions": {"max_steps": 10, "vector_size": 16},
            "asked for": {"max_steps": 10, "initial_accumulator_value": 0.5},
        }.items()
    }
    assert starts["ten steps"] == pytest.approx(10 * 128 / 3.5e6 * 16)
    assert starts["twenty"] == pytest.approx(2 * starts["ten steps"])
    assert starts["more dimensions"] == pytest.approx(starts["ten steps"] / 2)
    assert starts["asked for"] == 0.5


def test_gradient_descent_remembers_nothing(dataset):
    assert made(dataset, optimizer="sgd").slots == ((), ())


@pytest.mark.parametrize(
    ("options", "native"),
    [
        ({}, True),
        ({"optimizer": "sgd", "tie_embeddings": True}, True),
        ({"native": False}, False),
        ({"architecture": "cbow"}, False),
        ({"objective": "softmax"}, False),
        ({"mixed_precision": "off"}, True),
        ({"mixed_precision": "on"}, HAS_BFLOAT16),
    ],
)
def test_one_cpu_runs_machine_code_where_it_knows_what_is_asked_for(dataset, options, native):
    if tf.config.list_logical_devices("GPU"):
        pytest.skip("a GPU is here")
    assert made(dataset, **options).native == native


@pytest.mark.parametrize(("asked", "taken"), [("on", True), ("off", False), ("auto", False)])
def test_without_machine_code_bfloat16_is_multiplied_where_it_is_asked_for(
    dataset, monkeypatch, asked, taken
):
    found = []

    def asked_for(architecture, objective, *, mixed_precision):
        found.append(mixed_precision)
        return gradient_function(architecture, objective, mixed_precision=mixed_precision)

    monkeypatch.setattr("trainer.loop.gradient_function", asked_for)
    replicas = made(dataset, native=False, mixed_precision=asked)
    assert (found, replicas.native) == ([taken], False)


def test_a_request_to_stop_is_heard_between_epochs_of_few_steps(dataset, tmp_path):
    config = TrainConfig(
        dataset=dataset.folder, workdir=tmp_path / "run", vector_size=8, batch_size=128,
        epochs=10**8, alpha=0.05,
    )  # fmt: skip
    asked = contextlib.nullcontext(StopRequest(signal.SIGTERM))
    with pytest.raises(SystemExit) as stop:
        train(config, stop=asked)
    assert stop.value.code == 143
    steps = EpochSchedule.for_dataset(dataset, epochs=1, batch_size=128).step_limit
    names = [path.name for path in (tmp_path / "run/checkpoints").glob("*.index")]
    assert names == [f"ckpt-{steps}.index"]


@pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor does not multiply bfloat16")
@pytest.mark.parametrize(
    ("asked", "faster", "taken"),
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)],
)
def test_bfloat16_is_multiplied_where_it_is_faster_or_asked_for(
    dataset, monkeypatch, asked, faster, taken
):
    if tf.config.list_logical_devices("GPU"):
        pytest.skip("a GPU is here")
    monkeypatch.setattr(llvm_intrinsics, "FASTER_IN_BFLOAT16", faster)
    assert made(dataset, mixed_precision=asked)._runner.bfloat16 == taken
