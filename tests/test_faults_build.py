"""`pmc2vec build` on machines that die; each time the same command ends with the same bytes."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from beam_pipelines import build
from pmc2vec.cli import exit_codes
from tests import faults
from tests.bulk import write_bulk
from tests.faults import KILL, POWER_OFF, TERM, digests, drawn, pmc2vec, told

pytestmark = pytest.mark.slow

OPTIONS = (
    "--min_count=2 --num_shards=3 --record_length=64 --block=16 --validation_fraction=0.2"
).split()
ALONE = ("--", "--direct_num_workers=1")  # In the process itself.
BOTH = ("--", "--direct_num_workers=2")  # In two processes, which it starts.


class Built:
    """An undisturbed build: its command without the output, its files, its moments."""

    def __init__(self, folder: Path) -> None:
        self.bulk = write_bulk(folder / "bulk", archives=4, articles=24)
        self.command = ("build", "--input", self.bulk, *OPTIONS)
        self.folder = folder / "whole"
        self.moments = faults.moments(self.build(self.folder, moment=faults.NEVER))
        self.files = digests(self.folder)

    def build(self, output: Path, *engine: str, **options):
        return pmc2vec(*self.command, "--output", output, *(engine or ALONE), **options)

    def start(self, output: Path, *engine: str, **options):
        return faults.start(*self.command, "--output", output, *(engine or ALONE), **options)

    def assert_whole(self, output: Path) -> None:
        """The same command ends well, with these bytes and no others."""
        words = map(str, (*self.command[1:], "--output", output, *ALONE))
        assert exit_codes.run_program(lambda: build.main(list(words))) == 0
        assert digests(output) == self.files

    def assert_unfinished(self, output: Path) -> None:
        """What has a name is whole, and nothing says that all is."""
        found = digests(output)
        assert "manifest.json" not in found
        faults.same_so_far(found, self.files, [n for n in self.files if n != "build.json"])
        done = pmc2vec("inspect", output)
        assert done.returncode == 1
        assert "no manifest.json" in told(done) or "not finished" in told(done)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    return Built(tmp_path_factory.mktemp("built"))


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[str]) -> bool:
    """Waits until a file is there; returns whether the process was still running then."""
    while process.poll() is None:
        if next(folder.glob(pattern), None):
            return process.poll() is None
        time.sleep(0.002)
    return False


# --- killed ----------------------------------------------------------------------------------


def test_killed_at_random_moments_it_goes_on(built, tmp_path):
    started = 0
    for number, moment in enumerate(drawn(built.moments, 11, 5)):
        output = tmp_path / str(number)
        done = built.build(output, moment=moment, action=KILL)
        assert done.returncode == -signal.SIGKILL, done.stderr
        started += (output / "build.json").exists()
        if (output / "manifest.json").exists():  # Its last calls: what is left is to tidy up.
            assert number == 4
        else:
            faults.same_so_far(digests(output), built.files, list(built.files))
        if number % 2:  # And once more.
            again = built.build(output, moment=moment // 2, action=KILL)
            assert again.returncode == -signal.SIGKILL, again.stderr
        built.assert_whole(output)
    assert started >= 4


def test_told_to_end_at_random_moments_it_says_so_in_one_line(built, tmp_path):
    for number, moment in enumerate(drawn(built.moments, 12, 3)):
        output = tmp_path / str(number)
        done = built.build(output, moment=moment, action=TERM)
        assert done.returncode == 143, done.stderr
        assert (
            told(done) == "pmc2vec: stopped by SIGTERM; the same command goes on, or begins again"
        )
        assert not list(output.rglob("*.tmp"))
        built.assert_whole(output)


@pytest.mark.parametrize(
    ("sent", "at"),
    [
        (signal.SIGTERM, "catalogue/*"),
        (signal.SIGTERM, "train-*.tfrecord*"),
        (signal.SIGINT, "parts/part-*.json"),
        (signal.SIGKILL, "train-*.tfrecord*"),
    ],
)
def test_no_worker_outlives_the_program(built, tmp_path, sent, at):
    process = built.start(tmp_path / "data", *BOTH)
    assert wait_for(tmp_path / "data", at, process)
    workers = children(process.pid)
    process.send_signal(sent)
    done = faults.ended(process)
    status = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[sent]
    assert done.returncode == status, done.stderr
    if status > 0:
        told(done)
    assert len(workers) == 2
    for worker in workers:  # The system ends them in its own time, and at once.
        while Path(f"/proc/{worker}").exists() and not zombie(worker):
            time.sleep(0.01)
    built.assert_whole(tmp_path / "data")


@pytest.mark.parametrize("at", ["parts/part-*.json", "train-*.tfrecord*"])
def test_a_worker_that_is_killed_ends_the_build(built, tmp_path, at):
    process = built.start(tmp_path / "data", *BOTH)
    assert wait_for(tmp_path / "data", at, process)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    done = faults.ended(process)
    assert done.returncode == 1
    assert "a worker process ended with status -9, killed perhaps" in told(done)
    assert not (tmp_path / "data/manifest.json").exists()
    built.assert_whole(tmp_path / "data")


def children(pid: int) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def zombie(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_without_power_what_has_a_name_is_whole(built, tmp_path):
    disk = faults.image(tmp_path / "disk", 64)
    for moment in drawn(built.moments, 13, 3):
        with faults.disk(tmp_path / "mounted", disk) as mounted:
            shutil.rmtree(mounted / "data", ignore_errors=True)
            os.sync()
            environment = {"DISK": str(mounted)}
            done = built.build(mounted / "data", moment=moment, action=POWER_OFF, **environment)
            assert done.returncode == -signal.SIGKILL, done.stderr
        with faults.disk(tmp_path / "mounted", disk) as mounted:
            faults.same_so_far(digests(mounted), prefixed(built.files), list(prefixed(built.files)))
            built.assert_whole(mounted / "data")


def prefixed(files: dict[str, str]) -> dict[str, str]:
    return {f"data/{name}": digest for name, digest in files.items()}


# --- disks and folders ------------------------------------------------------------------------


def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(built, tmp_path):
    size = sum(path.stat().st_size for path in built.folder.rglob("*") if path.is_file())
    full = set()
    for share, engine in ((0.1, ALONE), (0.4, BOTH), (0.6, ALONE), (0.9, ALONE)):
        with faults.disk(tmp_path / "small", "tmpfs", f"size={int(size * share)}") as small:
            done = built.build(small / "data", *engine)
            assert done.returncode == 1, done.stderr
            assert "No space left on device" in told(done)
            full.add(re.split(r"[:\s]", told(done).removeprefix("pmc2vec: error: "))[0])
            assert not (small / "data/manifest.json").exists()
            faults.remount(small, "size=64m")
            built.assert_whole(small / "data")
    assert len(full) >= 3, full  # It was full at different files.


def test_files_that_may_not_grow_are_told_and_nothing_is_half_there(built, tmp_path):
    largest = max(path.stat().st_size for path in built.folder.glob("*.tfrecord"))
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest // 2}, resource.RLIM_INFINITY))"
    done = built.build(tmp_path / "data", moment=1, action=limit)
    assert done.returncode == 1
    assert "File too large" in told(done)
    built.assert_unfinished(tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.tmp"))
    built.assert_whole(tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_refused(built, tmp_path):
    with faults.disk(tmp_path / "disk", "tmpfs", "size=64m") as disk:
        assert built.build(disk / "data", moment=built.moments // 2, action=KILL).returncode == -9
        faults.remount(disk, "ro")
        for name in ("data", "new"):
            done = built.build(disk / name)
            assert done.returncode == 1
            assert "Read-only file system" in told(done)
        faults.remount(disk, "rw")
        built.assert_whole(disk / "data")


@pytest.mark.parametrize(
    ("engine", "at"), [(ALONE, "train-*.tfrecord*"), (BOTH, "parts/part-*.json")]
)
def test_an_output_that_vanishes_is_told(built, tmp_path, engine, at):
    process = built.start(tmp_path / "data", *engine)
    assert wait_for(tmp_path / "data", at, process)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    done = faults.ended(process)
    assert done.returncode == 1, done.stderr
    assert str(tmp_path / "data") in told(done)
    assert not list(tmp_path.rglob("manifest.json"))
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    (tmp_path / "elsewhere").rename(tmp_path / "data")
    built.assert_whole(tmp_path / "data")


def test_an_archive_that_vanishes_is_told(built, tmp_path):
    archive, hidden = Path(built.bulk).parent / "oa_2.tar.gz", tmp_path / "hidden"
    hide = f"os.rename({str(archive)!r}, {str(hidden)!r})"
    try:
        done = built.build(tmp_path / "data", moment=built.moments // 10, action=hide)
        assert done.returncode == 1, done.stderr
        assert "oa_2.tar.gz: cannot be read" in told(done)
        built.assert_unfinished(tmp_path / "data")
    finally:
        hidden.rename(archive)
    built.assert_whole(tmp_path / "data")


# --- two at once, and the clock ----------------------------------------------------------------


def test_a_second_build_into_the_same_folder_is_refused(built, tmp_path):
    output = tmp_path / "data"
    pause = "os.kill(os.getpid(), signal.SIGSTOP)"
    first = built.start(output, moment=built.moments // 2, action=pause)
    assert os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT) is not None
    second = built.build(output)
    assert second.returncode == 1
    assert told(second) == (
        f"pmc2vec: error: {output}: another build is writing here; wait for it, stop it, "
        "or choose another --output"
    )
    first.send_signal(signal.SIGCONT)
    assert faults.ended(first).returncode == 0
    assert digests(output) == built.files


LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed")
def test_a_clock_that_is_set_back_changes_nothing(built, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("+0d")
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    seen = tmp_path / "seen"
    back = (
        f"import time; before = time.time(); Path({str(clock)!r}).write_text('-400d'); "
        f"Path({str(seen)!r}).write_text(str(before - time.time()))"
    )
    done = built.build(tmp_path / "jumped", moment=built.moments // 2, action=back, **faked)
    assert done.returncode == 0, done.stderr
    assert float(seen.read_text()) > 399 * 86400
    assert digests(tmp_path / "jumped") == built.files

    clock.write_text("+400d")
    done = built.build(tmp_path / "data", moment=built.moments // 2, action=KILL, **faked)
    assert done.returncode == -signal.SIGKILL
    for path in (tmp_path / "data").rglob("*"):
        os.utime(path, (0, 0))
    clock.write_text("-400d")
    assert built.build(tmp_path / "data", **faked).returncode == 0
    assert digests(tmp_path / "data") == built.files
