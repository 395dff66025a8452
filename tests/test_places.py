"""Folders of any name, spelling and storage: what a build reads, writes and leaves alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from pmc2vec.errors import UserError
from pmc2vec.storage import files
from pmc2vec.storage.object_stores import use_storage_options
from tests.bulk import write_bulk
from tests.datasets import topic_articles, write_dataset
from tests.object_server import KINDS, no_cloud, object_server
from trainer.config import TrainConfig
from trainer.task import train

__all__ = ["no_cloud"]

ALONE = ("--direct_num_workers=1",)
SMALL = {"min_count": 2, "num_shards": 2, "record_length": 64, "block": 8, "block_negatives": 4}


def digests(manifest):
    return [(shard.name, shard.sha256) for shard in manifest.shards]


def paths(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_overwriting_a_folder_leaves_the_files_of_a_neighbour_that_its_name_matches(tmp_path):
    bulk = write_bulk(tmp_path / "in[1]", articles=4)
    ours, neighbour = tmp_path / "out[a]", tmp_path / "outa"
    made = build(
        BuildConfig(input=(bulk,), output=str(neighbour), **SMALL), ("--direct_num_workers=1",)
    )
    before = paths(neighbour)
    for overwrite in (False, False, True):
        options = BuildConfig(input=(bulk,), output=str(ours), overwrite=overwrite, **SMALL)
        assert digests(build(options, ALONE)) == digests(made)
    assert paths(neighbour) == before
    foreign = tmp_path / "foreign[a]"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("1")
    with pytest.raises(UserError, match="not empty and not a dataset"):
        build(BuildConfig(input=(bulk,), output=str(foreign), **SMALL))
    assert paths(foreign) == ["thesis.txt"]


@pytest.mark.parametrize("option", ["corpus", "since"])
@pytest.mark.parametrize("spelling", ["./d", "d/", "x/../d", "link", "absolute"])
def test_an_output_that_is_the_dataset_to_read_is_refused(tmp_path, monkeypatch, option, spelling):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    given = str(tmp_path / "d") if spelling == "absolute" else spelling
    source = {"corpus": given} if option == "corpus" else {"since": given, "input": ("in",)}
    with pytest.raises(ValueError, match=f"--output must not be the dataset that --{option} names"):
        BuildConfig(output="d", overwrite=True, **source)


@pytest.mark.parametrize("kind", KINDS)
def test_a_build_from_and_into_a_bucket_is_that_of_a_local_folder(kind, tmp_path, no_cloud):
    bulk = write_bulk(tmp_path / "bulk", articles=4)
    local = build(BuildConfig(input=(bulk,), output=str(tmp_path / "data"), **SMALL))
    with object_server(kind, tmp_path / "buckets") as server:
        use_storage_options(server.options)
        for path in (tmp_path / "bulk").iterdir():
            with files.atomic_file(f"s3://bucket/bulk/{path.name}") as file:
                file.write(path.read_bytes())
        use_storage_options({})
        output = "s3://bucket/sets/data[1]"
        options = BuildConfig(
            input=("s3://bucket/bulk/*.tar.gz",), output=output, **SMALL,
            storage_option=tuple(f"{key}={value}" for key, value in server.options.items()),
        )  # fmt: skip
        remote = build(options)  # In processes of its own, which get the options with the job.
        assert digests(remote) == digests(local)
        assert remote.funnel == local.funnel
        assert digests(build(options)) == digests(local)  # Finished already.
        text = files.read_text("s3://bucket/sets/data[1]/manifest.json")
        assert "secret-of-tests" not in text + files.read_text(
            "s3://bucket/sets/data[1]/build.json"
        )
        assert json.loads(text)["inputs"][0][0] == "s3://bucket/bulk/oa_0.tar.gz"


# --- training ----------------------------------------------------------------------------------

TINY = {"epochs": 2, "vector_size": 8, "batch_size": 64, "log_every": 1}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("trained") / "dataset", topic_articles(40))


def test_training_keeps_the_checkpoints_of_a_neighbour_that_its_folders_name_matches(
    dataset, tmp_path
):
    neighbour, ours = tmp_path / "run1", tmp_path / "run[12]"
    options = TINY | {"dataset": str(dataset), "keep_checkpoints": 1}
    train(TrainConfig(workdir=neighbour, **options))
    shutil.copytree(neighbour, ours)
    before = paths(neighbour)
    more = train(TrainConfig(workdir=ours, **options | {"epochs": 4}))
    assert more.steps == 2 * train(TrainConfig(workdir=neighbour, **options)).steps
    assert paths(neighbour) == before
    names = [path.name for path in (ours / "checkpoints").glob("ckpt-*.index")]
    assert names == [f"ckpt-{more.steps}.index"]


@pytest.mark.parametrize("name", ["proj [2024]", "what?", "a*b", "back\\slash", "plain"])
def test_a_training_goes_on_in_a_folder_of_any_name(dataset, tmp_path, name):
    options = TINY | {"dataset": str(dataset), "workdir": tmp_path / name / "run"}
    half = train(TrainConfig(**options))
    whole = train(TrainConfig(**options | {"epochs": 4}))
    assert whole.steps == 2 * half.steps
    assert train(TrainConfig(**options | {"epochs": 4})).steps == whole.steps


def _train_into_a_bucket(options: dict[str, Any], folder: Path) -> None:
    """Trains five steps on one machine and the rest on another, as in one local folder."""
    for max_steps in (5, None):
        train(TrainConfig(**options | {"workdir": folder / "twice", "max_steps": max_steps}))
    url = "s3://bucket/runs/a[1]"
    options |= {"workdir": Path(url)}
    train(TrainConfig(**options | {"max_steps": 5}))
    half = {path.removeprefix(url) for path, _ in files.list_files(url)}
    assert {"/config.json", "/checkpoints/ckpt-5.index", "/vectors.tsv"} < half
    summary = train(TrainConfig(**options | {"cache_dir": folder / "other machine"}))
    assert summary.remote_workdir == url
    whole = {path.removeprefix(url) for path, _ in files.list_files(url)}
    below = (path for path in summary.workdir.rglob("*") if path.is_file())
    assert whole == {f"/{path.relative_to(summary.workdir)}" for path in below} - {"/.lock"}
    assert files.read_bytes(f"{url}/vectors.tsv") == (folder / "twice/vectors.tsv").read_bytes()
    # The first machine takes what the bucket has now: it is finished.
    assert train(TrainConfig(**options)).steps == summary.steps
    assert "secret-of-tests" not in files.read_text(f"{url}/config.json")


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_from_a_bucket_is_that_of_a_local_folder(kind, dataset, tmp_path, no_cloud):
    train(TrainConfig(dataset=str(dataset), workdir=tmp_path / "local", **TINY))
    with object_server(kind, tmp_path / "buckets") as server:
        use_storage_options(server.options)
        for path in dataset.iterdir():
            with files.atomic_file(f"s3://bucket/d[1]/{path.name}") as file:
                file.write(path.read_bytes())
        given = tuple(f"{key}={value}" for key, value in server.options.items())
        options = TINY | {"dataset": "s3://bucket/d[1]", "cache_dir": tmp_path / "cache"}
        train(TrainConfig(workdir=tmp_path / "remote", storage_option=given, **options))
        _train_into_a_bucket(options | {"storage_option": given}, tmp_path)
        files.write_text("s3://bucket/d[1]/manifest.json", "{}")
        with pytest.raises(UserError, match="not a manifest of ours"):
            train(TrainConfig(workdir=tmp_path / "other", storage_option=given, **options))
    vectors = [np.loadtxt(tmp_path / name / "vectors.tsv") for name in ("local", "remote")]
    assert np.array_equal(*vectors)
    assert "secret-of-tests" not in (tmp_path / "remote/config.json").read_text()
    copies = sorted(p.stat().st_size for p in (tmp_path / "cache").iterdir() if p.is_file())
    assert copies == sorted(path.stat().st_size for path in dataset.glob("*.tfrecord"))
