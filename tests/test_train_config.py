"""trainer.config: the options of `pmc2vec train`, and what becomes of those not given."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pmc2vec.errors import UserError
from trainer import task
from trainer.config import TrainConfig

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workdir", "run"], "dataset"),
        (["--dataset", "d"], "no --workdir is given, and AIP_MODEL_DIR is not set"),
        (["--dataset", "d", "--workdir", "r", "--epochs", "0"], "--epochs 0: must be at least 1"),
        (["--dataset", "d", "--workdir", "r", "--seed", "-1"], "--seed -1: must be at least 0"),
        (["--dataset", "d", "--workdir", "r", "--alpha", "-1"], "--alpha -1.0: must be a number"),
        (
            ["--dataset", "d", "--workdir", "r", "--initial_accumulator_value", "0"],
            "--initial_accumulator_value 0.0: must be a number above 0",
        ),
        (["--dataset", "d", "--workdir", "r", "--min_alpha", "1"], "must be from 0 to --alpha"),
        (["--dataset", "d", "--workdir", "r", "--warmup", "1"], "--warmup 1.0: must be from 0"),
        (["--dataset", "d", "--workdir", "r", "--window", "5"], "unrecognized options: --window"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(words, says, capsys, monkeypatch):
    monkeypatch.delenv("AIP_MODEL_DIR", raising=False)
    with pytest.raises(SystemExit) as stop:
        task.main(words)
    told = capsys.readouterr().err
    assert stop.value.code == 2
    assert says in told
    assert told.count("\n") == 1


def test_vertex_ai_gives_the_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("AIP_MODEL_DIR", "gs://bucket/model")
    monkeypatch.setenv("AIP_CHECKPOINT_DIR", "gs://bucket/checkpoints")
    monkeypatch.setenv("AIP_TENSORBOARD_LOG_DIR", "gs://bucket/logs")
    found = TrainConfig(dataset="gs://bucket/dataset")
    assert found.remote_workdir() == "gs://bucket/model"
    assert replace(found, cache_dir=tmp_path).resolved(512).workdir.parent == tmp_path / "workdirs"
    monkeypatch.setattr("trainer.config.MOUNT", tmp_path)
    assert found.remote_workdir() is None
    resolved = found.resolved(512)
    assert resolved.workdir == tmp_path / "bucket/model"
    assert resolved.checkpoint_dir == "gs://bucket/checkpoints"
    assert resolved.log_dir == "gs://bucket/logs"
    assert replace(found, workdir=Path("run")).resolved(512).workdir == Path("run")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"checkpoint_dir": "s3://b/c"}, "^--checkpoint_dir s3://b/c: TensorFlow writes to gs://"),
        ({"log_dir": "az://b/logs"}, "^--log_dir az://b/logs: TensorFlow writes to gs:// and to"),
    ],
)
def test_folders_in_other_object_stores_are_refused_in_one_line(options, says):
    with pytest.raises(UserError, match=says):
        TrainConfig(**{"dataset": "s3://b/d", "workdir": Path("run"), **options}).resolved(512)


@pytest.mark.parametrize(
    ("options", "length", "resolved"),
    [
        ({}, 512, (0.55, 0.05, 0.1, 2048)),
        ({"alpha": 0.4}, 500, (0.4, 0.05, 0.1, 2000)),
        ({"vector_size": 512}, 512, (0.275, 0.025, 0.1, 2048)),
        ({"optimizer": "sgd", "vector_size": 512}, 512, (0.025, 0.0001, 0, 512)),
        (
            {"optimizer": "sgd", "alpha": 0.00005, "batch_size": 100, "warmup": 0.02},
            512,
            (0.00005, 0.00005, 0.02, 512),
        ),
        ({"min_alpha": 0.01, "batch_size": 1300, "warmup": 0}, 512, (0.55, 0.01, 0, 1536)),
    ],
)
def test_defaults_follow_the_optimizer_and_the_record(options, length, resolved):
    found = TrainConfig(dataset="d", workdir=Path("run"), **options).resolved(length)
    assert (found.alpha, found.min_alpha, found.warmup, found.batch_size) == resolved


def test_help_and_usage_errors_need_no_tensorflow():
    code = "import sys, trainer.task; print({'tensorflow', 'apache_beam'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_a_training_does_not_start_from_itself(tmp_path):
    with pytest.raises(ValueError, match="must not be the training that --init_from names"):
        TrainConfig(dataset="d", workdir=tmp_path / "run", init_from=tmp_path / "a/../run")
