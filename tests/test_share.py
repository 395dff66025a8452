"""Shares of the input, read side by side, and then the dataset of all of it."""

import re
import subprocess
import sys

import pytest

from beam_pipelines.build import build, main
from beam_pipelines.config import BuildConfig
from pmc2vec.errors import UserError
from pmc2vec.storage import files
from tests.bulk import write_bulk

ALONE = ("--direct_num_workers=1",)
OPTIONS = "--min_count 2 --num_shards 3 --keywords melanoma carcinoma --validation_fraction 0.2"


def words(bulk: str, output: str, *more: str) -> list[str]:
    return ["--input", bulk, "--output", output, *OPTIONS.split(), *more, "--", *ALONE]


def held(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_shares_read_at_once_make_the_dataset_of_one_build(tmp_path):
    bulk = write_bulk(tmp_path / "bulk")
    program = [sys.executable, "-m", "beam_pipelines.build"]
    shares = [
        subprocess.Popen([*program, *words(bulk, str(tmp_path / "shared"), "--share", f"{n}/2")])
        for n in range(2)
    ]
    assert [share.wait() for share in shares] == [0, 0]
    parts = sorted(path.name for path in (tmp_path / "shared/corpus").glob("*.parquet"))
    assert parts == [f"part-0000{n}.parquet" for n in range(3)]
    assert not list((tmp_path / "shared").glob("*.tfrecord"))
    times = {name: (tmp_path / "shared/corpus" / name).stat().st_mtime_ns for name in parts}
    for name in ("shared", "whole"):
        assert main(words(bulk, str(tmp_path / name))) == 0
    assert held(tmp_path / "shared") == held(tmp_path / "whole")
    assert times == {n: (tmp_path / "shared/corpus" / n).stat().st_mtime_ns for n in parts}


def test_a_share_reads_its_parts_alone_and_the_whole_is_refused_meanwhile(tmp_path, capsys):
    bulk, folder = write_bulk(tmp_path / "bulk"), tmp_path / "shared"
    assert main(words(bulk, str(folder), "--share", "1/2")) == 0
    assert capsys.readouterr().out == (
        f"{folder}: share 1/2 read; when all are, build without --share\n"
    )
    assert [path.stem for path in (folder / "corpus").glob("*.parquet")] == ["part-00001"]
    with files.lock_folder(str(folder), shared=True):
        whole = BuildConfig(input=(bulk,), output=str(folder))
        with pytest.raises(UserError, match="another build is writing here"):
            build(whole, ALONE)


def test_a_share_of_another_build_is_refused(tmp_path):
    bulk, folder = write_bulk(tmp_path / "bulk"), str(tmp_path / "shared")
    assert main(words(bulk, folder, "--share", "0/2")) == 0
    assert main([*words(bulk, folder, "--share", "1/2", "--seed", "2")]) == 1


@pytest.mark.parametrize("share", ["2/2", "1", "a/b", "-1/2", "0/0"])
def test_what_is_no_share_is_a_usage_error(tmp_path, share, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--input", "a", "--output", str(tmp_path / "x"), f"--share={share}"])
    assert stop.value.code == 2
    assert re.search(r"must be I/N with I from 0 to N - 1", capsys.readouterr().err)
