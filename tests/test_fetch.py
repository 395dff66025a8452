import csv
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from pmc2vec.commands import fetch as fetch_module
from pmc2vec.commands.fetch import FetchConfig, fetch
from pmc2vec.errors import UserError
from tests.bulk import article
from tests.test_bucket import ALONE, OPTIONS, TWICE, dataset, write_versions

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_versions(tmp_path_factory.mktemp("copy") / "versions")


def fetched(output, copy, **options):
    return fetch(FetchConfig(output=output, input=str(copy), **options))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_archives_have_the_bulk_layout_and_make_the_shards_of_the_bucket(copy, tmp_path):
    result = fetched(tmp_path / "bulk", copy)
    assert (result.fetched, result.rejected) == (70, 0)
    assert result.counts == {"listed": 71, "older_version": 1}
    with tarfile.open(tmp_path / "bulk/pmc.00000.tar.gz") as tar:
        names = tar.getnames()
    assert (len(names), names[9]) == (70, f"{TWICE}.2/{TWICE}.2.xml")
    with (tmp_path / "bulk/pmc.00000.filelist.csv").open(newline="") as file:
        rows = {row["AccessionID"]: row for row in csv.DictReader(file)}
    assert rows["PMC4"]["Retracted"] == "yes"
    assert rows[TWICE]["Version"] == "2"
    assert (rows["PMC7"]["License"], len(rows["PMC7"]["MD5"])) == ("CC BY-NC", 32)
    shards = {}
    for name, source in (("copy", copy), ("bulk", tmp_path / "bulk")):
        config = BuildConfig(
            input=(str(source),), output=str(tmp_path / name / "d"), licences=("CC BY",), **OPTIONS
        )
        build(config, ALONE)
        shards[name] = dataset(tmp_path / name / "d")
    assert shards["bulk"] == shards["copy"]


def test_only_what_is_new_or_newer_is_fetched(tmp_path):
    copy = write_versions(tmp_path / "copy")
    fetched(tmp_path / "bulk", copy)
    before = contents(tmp_path / "bulk")
    assert fetched(tmp_path / "bulk", copy).fetched == 0
    assert contents(tmp_path / "bulk") == before
    for name in ("PMC3.2", "PMC99.1"):
        (copy / name).mkdir()
        (copy / name / f"{name}.xml").write_bytes(article(int(name[3:-2]), "maize"))
        (copy / "metadata" / f"{name}.json").write_text("{}")
    assert fetched(tmp_path / "bulk", copy).fetched == 2
    with tarfile.open(tmp_path / "bulk/pmc.00001.tar.gz") as tar:
        assert tar.getnames() == ["PMC3.2/PMC3.2.xml", "PMC99.1/PMC99.1.xml"]


@pytest.fixture
def small_archives(monkeypatch):
    monkeypatch.setattr(fetch_module, "_STREAM_ARTICLES", 8)
    monkeypatch.setattr(fetch_module, "_STREAMS_AHEAD", 0)
    make = fetch_module._Archives.__init__
    monkeypatch.setattr(
        fetch_module._Archives, "__init__", lambda self, folder, _: make(self, folder, 3000)
    )


@pytest.mark.parametrize("damage", [b"", b"half of a stream", b"x" * 9999])
@pytest.mark.parametrize("articles", [1, 8, 20, 63])
def test_what_was_killed_goes_on_from_its_last_whole_stream(
    copy, tmp_path, small_archives, monkeypatch, articles, damage
):
    fetched(tmp_path / "whole", copy)
    assert len(contents(tmp_path / "whole")) > 5
    add, added = fetch_module._Archives.add, []

    def add_some(self, version):
        if len(added) == articles:
            raise KeyboardInterrupt
        added.append(version.version.name)
        add(self, version)

    monkeypatch.setattr(fetch_module._Archives, "add", add_some)
    with pytest.raises(KeyboardInterrupt):
        fetched(tmp_path / "bulk", copy)
    (unfinished,) = (tmp_path / "bulk").glob("*.tar.gz.part")
    with unfinished.open("ab") as file:
        file.write(damage)
    monkeypatch.setattr(fetch_module._Archives, "add", add)
    assert fetched(tmp_path / "bulk", copy).fetched == 70 - articles // 8 * 8
    assert contents(tmp_path / "bulk") == contents(tmp_path / "whole")


def test_killed_between_the_names_of_an_archive_and_its_filelist(copy, tmp_path, small_archives):
    fetched(tmp_path / "bulk", copy)
    whole = contents(tmp_path / "bulk")
    last = max(name for name in whole if name.endswith(".csv"))
    (tmp_path / "bulk" / last).rename(tmp_path / "bulk" / f"{last}.part")
    assert fetched(tmp_path / "bulk", copy).fetched == 0
    assert contents(tmp_path / "bulk") == whole


def test_a_folder_of_others_is_refused(copy, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which pmc2vec fetch did not write"):
        fetched(tmp_path, copy)
    with pytest.raises(UserError, match="no bucket of article versions; give pmc"):
        fetch(FetchConfig(output=tmp_path / "bulk", input=str(tmp_path)))


def test_the_command_says_what_it_did(copy, tmp_path):
    (copy / "PMC5.1/PMC5.1.xml").rename(tmp_path / "away")
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pmc2vec", "fetch", "--input", str(copy), "--limit", "70",
             "--output", str(tmp_path / "bulk")],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        (tmp_path / "away").rename(copy / "PMC5.1/PMC5.1.xml")
    assert run.returncode == 0, run.stderr
    assert "69 articles fetched" in run.stdout
    assert f"1 could not be downloaded; see {tmp_path}/bulk/rejected.jsonl\n" in run.stdout
    (row,) = (tmp_path / "bulk/rejected.jsonl").read_text().splitlines()
    assert json.loads(row)["reason"] == "missing"
