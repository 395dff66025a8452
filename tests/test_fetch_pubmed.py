"""`pmc2vec fetch --input pubmed`: resumed, compared, and only what is new."""

import gzip
import json
import random
from pathlib import Path

import pytest

from beam_pipelines.build import build_corpus
from beam_pipelines.config import BuildConfig
from pmc2vec.commands import fetch as fetch_module
from pmc2vec.commands import fetch_pubmed as fetch_pubmed_module
from pmc2vec.commands.fetch import FetchConfig, fetch
from pmc2vec.errors import UserError
from tests.pubmed import citation, serve, write_numbered
from tests.test_pubmed_files import ALONE

ONE, TWO = "baseline/pubmed26n0001.xml.gz", "updatefiles/pubmed26n0002.xml.gz"


@pytest.fixture
def server(tmp_path):
    """Serves one file of the baseline and one of the updates."""
    words = random.Random(1)
    text = " ".join(str(words.random()) for _ in range(4000))  # Of which gzip leaves much.
    write_numbered(tmp_path / "www/baseline", 1, citation(1, "maize"), citation(2, text))
    write_numbered(tmp_path / "www/updatefiles", 2, citation(1, "carcinoma"))
    with serve(tmp_path / "www") as running:
        yield running


def fetched(tmp_path, server, **options):
    return fetch(
        FetchConfig(output=tmp_path / "out", input="pubmed", pubmed_url=server.url, **options)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def downloads(server) -> list[tuple[str, str]]:
    """Returns the files that were asked for since the last time, and from which byte on."""
    made = [(name, begin) for name, begin in server.requests if name.endswith(".gz")]
    server.requests.clear()
    return sorted(set(made))


def test_the_folder_is_the_servers_and_is_read_like_it(tmp_path, server):
    result = fetched(tmp_path, server)
    assert (result.counts, result.fetched, result.rejected) == ({"listed": 2, "known": 0}, 2, 0)
    there, here = contents(tmp_path / "www"), contents(tmp_path / "out")
    assert here.pop("rejected.jsonl") == b""
    assert here == there
    assert result.bytes == sum(len(there[name]) for name in (ONE, TWO))
    config = BuildConfig(input=(str(tmp_path / "out"),), output=str(tmp_path / "d"))
    funnel = build_corpus(config, ALONE).funnel
    assert (funnel["kept"], funnel["dropped:superseded"]) == (2, 1)


def test_only_what_is_new_or_changed_is_fetched(tmp_path, server):
    fetched(tmp_path, server)
    downloads(server)
    assert fetched(tmp_path, server).counts == {"listed": 2, "known": 2}
    assert downloads(server) == []
    write_numbered(tmp_path / "www/updatefiles", 2, citation(1, "melanoma"))
    write_numbered(tmp_path / "www/updatefiles", 3, citation(3))
    result = fetched(tmp_path, server)
    assert (result.counts["known"], result.fetched) == (1, 2)
    assert (
        contents(tmp_path / "out").keys() - {"rejected.jsonl"} == contents(tmp_path / "www").keys()
    )
    assert b"melanoma" in gzip.decompress((tmp_path / "out" / TWO).read_bytes())


def test_a_killed_download_goes_on_from_its_last_byte(tmp_path, server):
    whole = (tmp_path / "www" / ONE).read_bytes()
    unfinished = tmp_path / "out" / f"{ONE}.part"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(whole[:20_000])
    result = fetched(tmp_path, server)
    assert result.bytes == len(whole) - 20_000 + (tmp_path / "www" / TWO).stat().st_size
    assert (Path(ONE).name, "20000") in downloads(server)
    assert (tmp_path / "out" / ONE).read_bytes() == whole
    assert not unfinished.exists()


def test_a_server_without_ranges_sends_the_file_anew(tmp_path, server):
    server.has_ranges = False
    unfinished = tmp_path / "out" / f"{ONE}.part"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes((tmp_path / "www" / ONE).read_bytes()[:20_000])
    assert fetched(tmp_path, server).rejected == 0
    assert (tmp_path / "out" / ONE).read_bytes() == (tmp_path / "www" / ONE).read_bytes()


@pytest.mark.parametrize("left", [b"of another file", b"x" * 200_000])
def test_what_was_left_of_another_file_is_fetched_anew(tmp_path, server, left):
    unfinished = tmp_path / "out" / f"{ONE}.part"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(left)
    assert fetched(tmp_path, server).rejected == 0
    assert (tmp_path / "out" / ONE).read_bytes() == (tmp_path / "www" / ONE).read_bytes()


def test_killed_before_the_md5_was_written(tmp_path, server):
    fetched(tmp_path, server)
    downloads(server)
    md5 = tmp_path / "out" / f"{ONE}.md5"
    md5.unlink()
    assert fetched(tmp_path, server).counts["known"] == 2
    assert downloads(server) == []
    assert md5.exists()
    md5.unlink()
    (tmp_path / "out" / ONE).write_bytes(b"of another file")
    assert fetched(tmp_path, server).counts["known"] == 1
    assert (tmp_path / "out" / ONE).read_bytes() == (tmp_path / "www" / ONE).read_bytes()


def test_a_file_without_an_md5_on_the_server(tmp_path, server):
    (tmp_path / "www" / f"{TWO}.md5").unlink()
    assert fetched(tmp_path, server).fetched == 2
    assert fetched(tmp_path, server).counts["known"] == 2


def test_a_file_that_is_not_that_of_its_md5_is_named_and_the_rest_is_there(
    tmp_path, server, capsys
):
    (tmp_path / "www" / f"{ONE}.md5").write_text(f"MD5({ONE})= {'0' * 32}\n")
    options = ["--input", "pubmed", "--output", str(tmp_path / "out")]
    assert fetch_module.main([*options, "--pubmed_url", server.url, "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{tmp_path}/out: 1 files fetched, ")
    assert lines[1] == f"1 could not be downloaded; see {tmp_path}/out/rejected.jsonl"
    (row,) = map(json.loads, (tmp_path / "out/rejected.jsonl").read_text().splitlines())
    assert (row["archive"], row["reason"]) == (f"{server.url}{ONE}", "wrong_md5")
    assert contents(tmp_path / "out").keys() == {"rejected.jsonl", TWO, f"{TWO}.md5"}


def test_a_download_that_is_stopped_keeps_what_it_has(tmp_path, server, monkeypatch):
    monkeypatch.setattr(fetch_pubmed_module, "_CHUNK_BYTES", 5000)
    monkeypatch.setattr(fetch_pubmed_module, "_DOWNLOADS", 1)

    def stop(counter, count):
        counter.total += count
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(fetch_pubmed_module._ByteCounter, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            fetched(tmp_path, server)
    assert (tmp_path / "out" / f"{ONE}.part").stat().st_size == 5000
    fetched(tmp_path, server)
    assert (Path(ONE).name, "5000") in downloads(server)
    assert (tmp_path / "out" / ONE).read_bytes() == (tmp_path / "www" / ONE).read_bytes()


def test_a_folder_of_others_and_options_of_the_bucket_are_refused(tmp_path, server):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which pmc2vec fetch --input pubmed did"):
        fetched(tmp_path, server)
    with pytest.raises(ValueError, match="with --input pubmed all files are downloaded"):
        FetchConfig(output=tmp_path, input="pubmed", limit=5)
