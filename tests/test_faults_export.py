"""`pmc2vec export` on machines that die; the same command again ends with the same files."""

import signal
from pathlib import Path

import numpy as np
import pytest

from pmc2vec.cli import exit_codes
from pmc2vec.commands import export
from pmc2vec.vectors.formats.workdir_files import write_vectors
from tests import faults
from tests.faults import KILL, TERM, digests, drawn, pmc2vec, told

pytestmark = pytest.mark.slow

FORMATS = ("tsv", "word2vec", "word2vec_binary", "glove", "gensim", "numpy", "parquet")


class Exported:
    """An undisturbed export: its command without the output, its files, its moments."""

    def __init__(self, folder: Path) -> None:
        words = [f"word{number}" for number in range(3000)]
        matrix = np.random.default_rng(1).normal(size=(3000, 16)).astype(np.float32)
        (folder / "run").mkdir()
        write_vectors(folder / "run", words, np.arange(3000, 0, -1), matrix)
        self.command = ("export", "--workdir", folder / "run", "--format", *FORMATS)
        self.folder = folder / "whole"
        self.moments = faults.moments(self.export(self.folder, moment=faults.NEVER))
        self.files = digests(self.folder)

    def export(self, output: Path, **options):
        return pmc2vec(*self.command, "--output", output, **options)

    def assert_whole(self, output: Path) -> None:
        """The same command ends well, with these files and nothing left of the one before."""
        words = map(str, (*self.command[1:], "--output", output))
        assert exit_codes.run_program(lambda: export.main(list(words))) == 0
        assert digests(output) == self.files
        assert {path.name for path in output.iterdir()} == set(self.files)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Exported:
    return Exported(tmp_path_factory.mktemp("exported"))


@pytest.mark.parametrize(("action", "seed"), [(KILL, 21), (TERM, 22)], ids=["killed", "told"])
def test_ended_at_random_moments_no_file_is_half_there(exported, tmp_path, action, seed):
    rounds, begun = 4, 0
    for number, moment in enumerate(drawn(exported.moments, seed, rounds)):
        output = tmp_path / str(number)
        done = exported.export(output, moment=moment, action=action)
        if action is KILL:
            assert done.returncode == -signal.SIGKILL, done.stderr
        else:
            assert done.returncode == 143, done.stderr
            assert told(done).startswith("pmc2vec: stopped by SIGTERM; ")
        found = digests(output) if output.exists() else {}
        faults.same_so_far(found, exported.files, list(exported.files))
        begun += bool(found)
        assert set(found) != set(exported.files) or number == rounds - 1
        exported.assert_whole(output)
    assert begun >= rounds - 2


def test_on_a_full_disk_it_says_so_and_ends_when_there_is_room(exported, tmp_path):
    size = sum(path.stat().st_size for path in exported.folder.iterdir())
    for share in (0.05, 0.5, 0.9):
        with faults.disk(tmp_path / "small", "tmpfs", f"size={int(size * share)}") as small:
            done = exported.export(small / "out")
            assert done.returncode == 1
            assert "cannot be written (No space left on device)" in told(done)
            faults.same_so_far(digests(small / "out"), exported.files, list(exported.files))
            faults.remount(small, "size=64m")
            exported.assert_whole(small / "out")


def test_files_that_may_not_grow_are_told(exported, tmp_path):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))"
    done = exported.export(tmp_path / "out", moment=1, action=limit)
    assert done.returncode == 1
    assert "cannot be written (File too large)" in told(done)
    exported.assert_whole(tmp_path / "out")


def test_an_output_that_cannot_be_written_or_vanishes_is_told(exported, tmp_path):
    with faults.disk(tmp_path / "disk", "tmpfs", "size=16m") as disk:
        faults.remount(disk, "ro")
        done = exported.export(disk / "out")
        assert done.returncode == 1
        assert "Read-only file system" in told(done)
    gone = f"shutil.rmtree({str(tmp_path / 'out')!r})"
    done = exported.export(tmp_path / "out", moment=exported.moments // 2, action=gone)
    assert done.returncode in (0, 1)  # 0 where it vanished between two files.
    if done.returncode:
        assert str(tmp_path / "out") in told(done)
    exported.assert_whole(tmp_path / "out")
