"""`pmc2vec train` on machines that die; each time the same command ends with the same vectors."""

import contextlib
import functools
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pmc2vec.cli import exit_codes
from tests import faults
from tests.datasets import topic_articles, write_dataset
from tests.faults import TERM, pmc2vec, told
from trainer import task
from trainer.distribution.replicas import Replicas

pytestmark = pytest.mark.slow

OPTIONS = (
    "--vector_size=8 --batch_size=128 --epochs=2 --seed=3 --validate_every=20"
).split()  # A call of the compiled steps ends at 20, 40, 47, the epoch's end, 60, 80 and 94.
STEPS = 94
OFTEN = "--checkpoint_every=0"


class Trained:
    """An undisturbed training: its dataset, its vectors, its moments."""

    def __init__(self, folder: Path) -> None:
        self.dataset = write_dataset(folder / "dataset", topic_articles(24, sentences=20))
        self.folder = folder / "whole"
        whole = pmc2vec("train", *self.command(self.folder), moment=faults.NEVER)
        self.moments = faults.moments(whole)

    def command(self, workdir: Path, *more: str) -> list[str]:
        return [f"--dataset={self.dataset}", f"--workdir={workdir}", *OPTIONS, *more]

    def train(self, workdir: Path, *more: str) -> int:
        """Trains in this process and returns the status."""
        return exit_codes.run_program(lambda: task.main(self.command(workdir, *more)))

    def assert_whole(self, workdir: Path) -> None:
        """The same command ends well, with these vectors, and nothing but files of its own."""
        assert self.train(workdir) == 0
        for name in ("vectors.tsv", "metadata.tsv", "vectors.npy"):
            assert (workdir / name).read_bytes() == (self.folder / name).read_bytes()
        found, whole = (
            json.loads((folder / "provenance.json").read_text())
            for folder in (workdir, self.folder)
        )
        assert found["scores"] == whole["scores"]
        assert found["trained"]["steps"] == whole["trained"]["steps"] == STEPS
        left = [p for p in workdir.rglob("*") if ".tmp" in p.name or "_temp" in p.name]
        assert not left


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


@contextlib.contextmanager
def at_call(number: int, action: Callable[[], object]) -> Iterator[list[int]]:
    """Does something between two calls of the compiled steps, in the middle of an epoch."""
    calls: list[int] = []
    train = Replicas.train

    def counted(self, *args, **options):
        calls.append(1)
        if len(calls) == number:
            action()
        return train(self, *args, **options)

    Replicas.train = counted
    try:
        yield calls
    finally:
        Replicas.train = train


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err
    assert "Traceback" not in err, err
    (line,) = [line for line in err.splitlines() if line.startswith("pmc2vec: error: ")]
    return line


def assert_unfinished(workdir: Path) -> None:
    assert not (workdir / "provenance.json").exists()


def checkpoints(workdir: Path) -> list[int]:
    found = (workdir / "checkpoints").glob("ckpt-*.index")
    return sorted(int(path.stem.removeprefix("ckpt-")) for path in found)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


# --- signals ----------------------------------------------------------------------------------


def test_told_to_end_it_saves_and_says_where(trained, tmp_path, capsys):
    """As on preemption and Ctrl-C: at each call of the compiled steps, until all is trained."""
    # 47 and 94 end an epoch, and are saved when all of it is.
    for step, sent in zip((20, 40, 60, 80), (signal.SIGTERM, signal.SIGINT) * 2, strict=True):
        tell = functools.partial(signal.raise_signal, sent)
        with at_call(1, tell), pytest.raises(SystemExit) as stop:
            trained.train(tmp_path / "run", "--checkpoint_every=1e9")
        assert stop.value.code == 128 + sent
        err = capsys.readouterr().err
        assert f"stopped by {sent.name} after step {step};" in err
        assert checkpoints(tmp_path / "run")[-1] == step
        if step > 20:
            assert f"continues after step {step - 20}" in err
        assert_unfinished(tmp_path / "run")
    with at_call(1, tell):
        assert trained.train(tmp_path / "run") == 0
    trained.assert_whole(tmp_path / "run")


def test_told_to_end_at_random_moments_its_status_is_its_own(trained, tmp_path):
    for number, moment in enumerate(faults.drawn(trained.moments, 7, 3)):
        workdir = tmp_path / str(number)
        done = pmc2vec("train", *trained.command(workdir), moment=moment, action=TERM)
        assert done.returncode in (143, 0), done.stderr
        if done.returncode == 0:  # Told when nothing was left to train: it is soon finished.
            assert (workdir / "provenance.json").exists()
        else:
            assert "stopped by SIGTERM" in done.stderr
            assert "Traceback" not in done.stderr
            assert_unfinished(workdir)
        trained.assert_whole(workdir)


def test_a_second_trainer_on_one_workdir_is_refused(trained, tmp_path):
    second = []
    with at_call(3, lambda: second.append(pmc2vec("train", *trained.command(tmp_path / "run")))):
        assert trained.train(tmp_path / "run") == 0
    assert second[0].returncode == 1
    assert told(second[0]) == (
        f"pmc2vec: error: {tmp_path / 'run'}: another process is training here; wait for it, "
        "stop it, or choose another --workdir"
    )
    trained.assert_whole(tmp_path / "run")


# --- checkpoints ------------------------------------------------------------------------------


def test_damaged_checkpoints_cost_no_more_than_themselves(trained, tmp_path, capsys):
    half = tmp_path / "half"
    with at_call(4, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(SystemExit):
        trained.train(half, OFTEN)
    newest = checkpoints(half)[-1]
    before = checkpoints(half)[-2]
    index, data = f"ckpt-{newest}.index", f"ckpt-{newest}.data-00000-of-00001"
    capsys.readouterr()

    def copy_with(name: str, change: Callable[[Path], object]) -> str:
        workdir = tmp_path / "run"
        shutil.copytree(half, workdir)
        change(workdir / "checkpoints" / name)
        trained.assert_whole(workdir)
        shutil.rmtree(workdir)
        return capsys.readouterr().err

    # What TensorFlow believes: without it all would begin again.
    for change in (Path.unlink, flip, lambda path: os.truncate(path, 0)):
        assert f"continues after step {newest}" in copy_with("checkpoint", change)
    for name in (index, data):
        for change in (flip, lambda path: os.truncate(path, path.stat().st_size // 2)):
            err = copy_with(name, change)
            assert f"ckpt-{newest}: passed over, it cannot be read (" in err
            assert f"continues after step {before}" in err
    assert f"continues after step {before}" in copy_with(data, Path.unlink)
    # Cut off before its index: it is not one, and what is left of it goes.
    assert f"continues after step {before}" in copy_with(index, Path.unlink)


def test_without_one_whole_checkpoint_it_is_said_and_nothing_is_overwritten(
    trained, tmp_path, capsys
):
    with at_call(2, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(SystemExit):
        trained.train(tmp_path / "run", OFTEN)
    for path in (tmp_path / "run/checkpoints").glob("*.index"):
        flip(path)
    before = faults.digests(tmp_path / "run/checkpoints")
    for name in ("checkpoint", "best/checkpoint"):
        before.pop(name)  # A list for TensorFlow, which is written anew.
    assert trained.train(tmp_path / "run") == 1
    assert "checkpoints can be read; remove the workdir" in one_line(capsys)
    found = faults.digests(tmp_path / "run/checkpoints")
    assert {name: found[name] for name in before} == before


# --- shards -----------------------------------------------------------------------------------


@pytest.fixture
def shard(trained) -> Iterator[Path]:
    path = sorted(trained.dataset.glob("train-*.tfrecord"))[1]
    data = path.read_bytes()
    yield path
    path.write_bytes(data)


def cut_between_records(path: Path) -> None:
    """Takes away the last record: what is left has no error in it."""
    data, at = path.read_bytes(), 0
    while (after := at + int.from_bytes(data[at : at + 8], "little") + 16) < len(data):
        at = after
    os.truncate(path, at)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


FAULTS = (cut, cut_between_records, Path.unlink, flip)


@pytest.mark.parametrize("call", [0, 2, 4], ids=["before", "in the first epoch", "in the last"])
def test_a_damaged_shard_is_named_and_no_vector_comes_of_it(trained, shard, tmp_path, capsys, call):
    """One fault after another, each mended before the next: no checkpoint keeps any of them."""
    data, workdir = shard.read_bytes(), tmp_path / "run"
    if call:
        with at_call(call, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(SystemExit):
            trained.train(workdir, OFTEN)
    for fault in FAULTS:
        if call:
            with at_call(1, functools.partial(fault, shard)) as calls:
                status = trained.train(workdir, OFTEN)
            assert calls
        else:
            fault(shard)
            status = trained.train(workdir, OFTEN)
        if fault is flip and call == 4 and status == 0:
            capsys.readouterr()  # It was read before: what was learned is right.
        else:
            assert status == 1
            assert str(shard) in one_line(capsys)
            assert_unfinished(workdir)
        shard.write_bytes(data)
    trained.assert_whole(workdir)


def test_another_dataset_in_its_place_is_noticed(trained, tmp_path, capsys):
    kept = tmp_path / "kept"

    def replace() -> None:
        trained.dataset.rename(kept)
        write_dataset(trained.dataset, topic_articles(24, sentences=20, seed=9))

    with at_call(3, replace):
        assert trained.train(tmp_path / "run", OFTEN) == 1
    assert "manifest.json: another dataset was built here during training" in one_line(capsys)
    assert_unfinished(tmp_path / "run")
    shutil.rmtree(trained.dataset)
    kept.rename(trained.dataset)
    trained.assert_whole(tmp_path / "run")


# --- disks and folders -------------------------------------------------------------------------


def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(trained, tmp_path, capsys):
    places = set()
    for kilobytes in (20, 60, 100):
        with faults.disk(tmp_path / "small", "tmpfs", f"size={kilobytes}k") as small:
            assert trained.train(small / "run", OFTEN) == 1
            line = one_line(capsys)
            assert "No space left on device" in line or "ENOSPC" in line
            places.add(line.split(" cannot be")[0])
            assert_unfinished(small / "run")
            faults.remount(small, "size=16m")
            trained.assert_whole(small / "run")
            capsys.readouterr()
    assert len(places) >= 3, places


def test_a_workdir_that_cannot_be_written_is_refused(trained, tmp_path, capsys):
    with faults.disk(tmp_path / "disk", "tmpfs", "size=16m") as disk:
        with at_call(2, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(SystemExit):
            trained.train(disk / "run", OFTEN)
        faults.remount(disk, "ro")
        for name in ("run", "new"):
            capsys.readouterr()
            assert trained.train(disk / name) == 1
            assert "cannot be written (Read-only file system)" in one_line(capsys)
        faults.remount(disk, "rw")
        trained.assert_whole(disk / "run")


def test_a_workdir_that_vanishes_is_not_made_again(trained, tmp_path, capsys):
    workdir, away = tmp_path / "run", tmp_path / "away"
    with at_call(5, lambda: workdir.rename(away)):
        assert trained.train(workdir, OFTEN) == 1
    assert f"{workdir}: removed during training" in one_line(capsys)
    assert not (workdir / "vectors.tsv").exists()
    shutil.rmtree(workdir, ignore_errors=True)
    away.rename(workdir)
    trained.assert_whole(workdir)
    assert "continues after step" in capsys.readouterr().err


def test_a_dataset_that_vanishes_is_told(trained, tmp_path, capsys):
    away = tmp_path / "away"
    with at_call(3, lambda: trained.dataset.rename(away)):
        assert trained.train(tmp_path / "run", OFTEN) == 1
    away.rename(trained.dataset)
    line = one_line(capsys)
    assert f"{trained.dataset}/" in line
    assert "cannot be read (" in line
    assert_unfinished(tmp_path / "run")
    trained.assert_whole(tmp_path / "run")


def test_without_power_it_goes_on_from_what_is_on_the_disk(trained, tmp_path):
    disk = faults.image(tmp_path / "disk", 64)
    for moment in faults.drawn(trained.moments, 31, 3)[1:]:  # Before them options are read.
        with faults.disk(tmp_path / "mounted", disk) as mounted:
            shutil.rmtree(mounted / "run", ignore_errors=True)
            os.sync()
            done = pmc2vec(
                "train", *trained.command(mounted / "run", OFTEN),
                moment=moment, action=faults.POWER_OFF, DISK=str(mounted),
            )  # fmt: skip
            assert done.returncode == -signal.SIGKILL, done.stderr
        with faults.disk(tmp_path / "mounted", disk) as mounted:
            assert_unfinished(mounted / "run")
            trained.assert_whole(mounted / "run")


# --- the clock ---------------------------------------------------------------------------------


def test_files_from_the_future_and_the_past_are_taken_as_they_are(trained, tmp_path, capsys):
    with at_call(4, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(SystemExit):
        trained.train(tmp_path / "run", OFTEN)
    newest = checkpoints(tmp_path / "run")[-1]
    for path in (tmp_path / "run").rglob("*"):
        # The older a checkpoint is, the later it seems to be written.
        os.utime(path, (4e9, 4e9) if str(newest) not in path.name else (0, 0))
    capsys.readouterr()
    trained.assert_whole(tmp_path / "run")
    assert f"continues after step {newest}" in capsys.readouterr().err


LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
def test_a_clock_that_is_set_back_changes_nothing(trained, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("+400d")
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    back = f"Path({str(clock)!r}).write_text('-400d')"
    command = trained.command(tmp_path / "run", OFTEN)
    done = pmc2vec("train", *command, moment=trained.moments // 2, action=back, **faked)
    assert done.returncode == 0, done.stderr
    assert clock.read_text() == "-400d"
    trained.assert_whole(tmp_path / "run")
