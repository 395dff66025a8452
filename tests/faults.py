"""Faults for the fault tests: a program that does something to itself, and disks that fail.

A moment is a number: of the calls of Python functions in our own code, in any thread. Drawn from a
seed, it is anywhere in what a program does, and no clock decides whether it is hit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PROGRAM = """
import os, resource, shutil, signal, subprocess, sys, threading
from pathlib import Path
# What a shell starts in the background ignores Ctrl-C, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)
moment, action, *words = sys.argv[1:]
moment, count, folders = int(moment), 0, ("/beam_pipelines/", "/trainer/", "/pmc2vec/")

def counted(frame, event, _):
    global count
    if event == "call" and any(name in frame.f_code.co_filename for name in folders):
        count += 1
        if count == moment:
            exec(action)

from pmc2vec.commands.main import COMMANDS, load_command, main
load_command(words[0])  # Before anything counts.
if COMMANDS[words[0]].target.startswith("trainer.task"):
    import trainer.loop
if moment:
    threading.setprofile(counted)
    sys.setprofile(counted)
try:
    sys.exit(main(words))
finally:
    sys.setprofile(None)
    print("counted", count)
"""

NEVER = 10**12
"""A moment that no program comes to: its calls are counted, and nothing is done to it."""

KILL = "os.kill(os.getpid(), signal.SIGKILL)"
TERM = "os.kill(os.getpid(), signal.SIGTERM)"

_EXT4_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN: what is not on the disk yet never will be.
_NO_LOG_FLUSH = 2
POWER_OFF = (
    "import fcntl, struct; fcntl.ioctl(os.open(os.environ['DISK'], os.O_RDONLY), "
    f"{_EXT4_SHUTDOWN}, struct.pack('I', {_NO_LOG_FLUSH})); {KILL}"
)


def start(
    *words: object, moment: int = 0, action: str = "", **environment: str
) -> subprocess.Popen[str]:
    """Starts `pmc2vec` with these words; at the moment, if there is one, it runs `action`."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(moment), action, *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Waits for a program, which must have come to its moment, and returns how it ended."""
    out, err = process.communicate(timeout=300)
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    moment = int(process.args[3])  # type: ignore[index]
    if moment != NEVER and "\ncounted " in f"\n{out}":  # It was not killed.
        assert moment <= _counted(out), f"nothing was done to it at moment {moment}: {err}"
    return done


def pmc2vec(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs `pmc2vec` with these words to its end; options as in `start`."""
    return ended(start(*words, **options))  # type: ignore[arg-type]


def moments(done: subprocess.CompletedProcess[str]) -> int:
    """Returns how many moments an undisturbed run had, one with the moment `NEVER`."""
    assert done.returncode == 0, done.stderr
    return _counted(done.stdout)


def drawn(count: int, seed: int, rounds: int) -> list[int]:
    """Returns moments, one in each of `rounds` equal stretches of a program.

    Some functions are called more or less often (of a build's 40,000 calls, some hundred), so
    the last twentieth is left out: each moment is one that comes.

    Args:
        count: moments of the program.
        seed: of the draw.
        rounds: how many.
    """
    draw, length = random.Random(seed), count * 19 // 20 // rounds
    return [at * length + draw.randrange(1, length) for at in range(rounds)]


def _counted(out: str) -> int:
    return int(out.rsplit("counted ", 1)[1])


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Returns the one line of a failure: the last one, with nothing of an engine around it."""
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception in thread" not in done.stderr, done.stderr
    ours = [line for line in done.stderr.splitlines() if line.startswith("pmc2vec: ")]
    assert len(ours) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == ours[0]
    return ours[0]


def digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file in a folder, by its path in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextlib.contextmanager
def disk(folder: Path, kind: str, *options: str) -> Iterator[Path]:
    """Mounts a small filesystem, where root may.

    Args:
        folder: where to mount it.
        kind: `tmpfs`, or the path of an image with a filesystem.
        options: of mount.
    """
    folder.mkdir(exist_ok=True)
    device = ["-t", "tmpfs", "tmpfs"] if kind == "tmpfs" else [kind]
    words = ["mount", "-o", ",".join(options or ("defaults",)), *device, str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, *options: str) -> None:
    """Changes the options of a mounted filesystem."""
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(folder)], check=True)


def image(path: Path, megabytes: int) -> str:
    """Makes a file with an empty ext4 filesystem and returns its path."""
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", str(path)], check=True)
    return str(path)


def same_so_far(found: dict[str, str], whole: dict[str, str], names: Sequence[str]) -> None:
    """Asserts that each file under its own name is whole, whenever it was looked at."""
    wrong = {name for name in names if name in found and found[name] != whole[name]}
    assert not wrong, wrong
