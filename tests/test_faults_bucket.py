"""`kill -9` while a bucket is read: the same bytes, and nothing that is whole is fetched again."""

import csv
import hashlib
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.bulk import TOPICS, article
from tests.fault_proxy import FaultProxy, fault_proxy
from tests.faults import digests, ended, start, told
from tests.object_server import no_cloud, object_server

__all__ = ["no_cloud"]

pytestmark = [pytest.mark.slow, pytest.mark.s3]

ARTICLES = 2600  # Three work items.
BUILD = "--min_count=2 --num_shards=2 --keywords melanoma --".split()
WORKERS = "--direct_num_workers=2"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    """A proxy in front of a bucket; the bucket's files are written where the server has them."""
    folder = tmp_path_factory.mktemp("buckets")
    with object_server("versitygw", folder) as server, fault_proxy(server.options["endpoint"]) as p:
        topics, root = list(TOPICS), folder / "bucket/pmc"
        (root / "metadata").mkdir(parents=True)
        for number in range(1, ARTICLES + 1):
            name = f"PMC{number}.1"
            data = article(number, topics[number % 3], paragraphs=2)
            md5 = hashlib.md5(data).hexdigest()
            facts = {"license_code": "CC BY", "xml_url": f"s3://b/{name}/{name}.xml?md5={md5}"}
            (root / name).mkdir()
            (root / name / f"{name}.xml").write_bytes(data)
            (root / "metadata" / f"{name}.json").write_text(json.dumps(facts))
        p.options = [f"{k}={v}" for k, v in {**server.options, "endpoint": p.endpoint}.items()]
        yield p


def words(proxy: FaultProxy, command: str, output: Path, *more: str) -> list[str]:
    """Returns a command that reads the bucket."""
    bucket = ["--input", "s3://bucket/pmc", "--output", str(output)]
    return [command, *bucket, "--storage_option", *proxy.options, *more]


def workers_of(process) -> list[int]:
    """Returns the worker processes of a build."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == process.pid and b"worker_main" in command:
            children.append(int(status.parent.name))
    return sorted(children)


def killed(proxy: FaultProxy, command: list[str], moment: int, victims) -> None:
    """Runs a command, and kills some of its processes at its so-manieth request of an article."""
    proxy.requests.clear()
    process, requests = None, 0

    def kill(path: str, number: int) -> None:
        nonlocal requests
        requests += path.endswith(".xml")
        if requests == moment:
            for pid in victims(process):
                os.kill(pid, signal.SIGKILL)

    proxy.fault_of = kill
    process = start(*command)
    done = ended(process)
    proxy.fault_of = lambda path, number: None
    if victims is workers_of:
        assert done.returncode == 1
        assert "a worker process ended" in told(done)
    else:
        assert done.returncode == -signal.SIGKILL


def finish(command: list[str]) -> None:
    done = ended(start(*command))
    assert done.returncode == 0, done.stderr


def articles(requests: Counter) -> Counter:
    """Returns how often the XML of each article was requested."""
    return Counter({Path(p).stem: n for p, n in requests.items() if p.endswith(".xml")})


@pytest.mark.parametrize("victim", ["program", "worker"])
def test_a_killed_build_reads_no_finished_part_again(proxy, no_cloud, tmp_path, victim):
    finish(words(proxy, "build", tmp_path / "whole", *BUILD, WORKERS))
    whole = digests(tmp_path / "whole")
    draw, finished_parts = random.Random(23), 0
    # After the last one begins a worker has finished a part, and is in its second.
    for number, stretch in enumerate(((1, 1000), (1000, 2000), (2300, ARTICLES))):
        output = tmp_path / str(number)
        command = words(proxy, "build", output, *BUILD, WORKERS)
        victims = workers_of if victim == "worker" else lambda process: [process.pid]
        killed(proxy, command, draw.randrange(*stretch), victims)
        parts = [int(path.stem[5:]) for path in output.glob("parts/part-?????.json")]
        before = articles(proxy.requests)
        assert set(before.values()) == {1}
        proxy.requests.clear()
        finish(command)
        assert digests(output) == whole
        after = articles(proxy.requests)
        selection = pq.ParquetFile(output / "selection.parquet")
        for part in parts:
            ids = selection.read_row_group(part)["pmcid"].to_pylist()
            assert not {f"PMC{pmcid}.1" for pmcid in ids} & after.keys()
        assert before.keys() | after.keys() == {f"PMC{n}.1" for n in range(1, ARTICLES + 1)}
        # The proxy may read what a dead process had in flight only now.
        assert after.total() - len(after) <= 2 * 64
        finished_parts += len(parts)
    assert finished_parts


def test_a_killed_download_fetches_no_whole_stream_again(proxy, no_cloud, tmp_path):
    finish(words(proxy, "fetch", tmp_path / "whole"))
    whole = digests(tmp_path / "whole")
    draw, kept = random.Random(7), 0
    for number in range(3):
        output = tmp_path / str(number)
        command = words(proxy, "fetch", output)
        killed(proxy, command, draw.randrange(1, ARTICLES), lambda process: [process.pid])
        before = articles(proxy.requests)
        lists = [path for path in output.iterdir() if ".filelist.csv" in path.name]
        rows = [row for path in lists for row in csv.DictReader(path.open(newline=""))]
        streams = {Path(row["Article File"]).stem for row in rows if row["End"]}
        proxy.requests.clear()
        finish(command)
        assert digests(output) == whole
        after = articles(proxy.requests)
        assert not streams & after.keys()
        # Twice the requests in flight, and the streams that wait to be written.
        assert len(before.keys() & after.keys()) <= 2 * 64 + 10 * 64
        kept += len(streams)
    assert kept
