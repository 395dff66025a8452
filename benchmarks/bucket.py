"""Speed of `fetch` and `build` from a bucket whose answers take their time, and of its inventory.

    python -m benchmarks.bucket [--articles 1500] [--latency 0.04] [--workers 2] [--rounds 3]
                                [--versions 8000000]

versitygw (`make s3`) serves made-up articles of 90 KB in the layout of PubMed Central's bucket, and
a relay hands each answer on after the latency. Server and relay run on the same machine and take
their share of its processors; the processor time is that of the program and its workers alone.
Commands take turns, and figures are medians; objects/s leave the start of the program out:

    fetch             `pmc2vec fetch`: two objects for each article, its metadata and its XML
    build, archives   `pmc2vec build --stop_after corpus` from the archives that were fetched
    build, bucket     the same from the bucket

Then the bucket has an inventory of so many versions that lists metadata alone, and one of as many
keys of all kinds: a manifest, and four unsorted files. Of `build` it prints the seconds to the list
of what to read and to the first article, the peak memory of the program (not of its workers), the
requests for lists, and the size of the job for a remote engine.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from apache_beam.pipeline import Pipeline
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from beam_pipelines.build import submit
from beam_pipelines.config import BuildConfig
from beam_pipelines.inputs.article_versions import INVENTORIES, SELECTION_NAME
from benchmarks.machine import describe_machine
from tests.bulk import TOPICS, article
from tests.object_server import object_server

_PARAGRAPHS = 830
"""Of an article: 90 KB."""
_FILES = 4
"""Of an inventory."""
_SUFFIXES = ("xml", "json", "txt", "pdf")


# --- the bucket ----------------------------------------------------------------------------------


def write_bucket(folder: Path, articles: int) -> int:
    """Writes articles and their metadata; returns the bytes of the articles."""
    topics, size = list(TOPICS), 0
    (folder / "metadata").mkdir(parents=True)
    for number in range(1, articles + 1):
        name = f"PMC{number}.1"
        data = article(number, topics[number % 3], paragraphs=_PARAGRAPHS)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        facts = {"license_code": "CC BY", "xml_url": f"s3://b/{name}.xml?md5={md5}"}
        (folder / name).mkdir()
        (folder / name / f"{name}.xml").write_bytes(data)
        (folder / "metadata" / f"{name}.json").write_text(json.dumps(facts))
        size += len(data)
    return size


def write_inventory(bucket: Path, versions: int, *, all_keys: bool) -> None:
    """Writes an inventory of a bucket's versions 1 to `versions`, unsorted, as S3 does.

    Args:
        bucket: its folder.
        versions: how many.
        all_keys: also of what is no metadata: six keys for each version.
    """
    folder = bucket / INVENTORIES
    (folder / "data").mkdir(parents=True, exist_ok=True)
    ids = np.random.default_rng(1).permutation(np.arange(1, versions + 1))
    keys = [f"{INVENTORIES}/data/{number}.csv.gz" for number in range(_FILES)]
    with ProcessPoolExecutor(min(_FILES, os.cpu_count() or 1)) as pool:
        for number, key in enumerate(keys):
            pool.submit(_write_rows, bucket / key, number, ids[number::_FILES], all_keys)
    manifest = folder / "2026-01-18T01-00Z/manifest.json"
    manifest.parent.mkdir(exist_ok=True)
    facts = {"fileFormat": "CSV", "fileSchema": "Bucket, Key, LastModifiedDate, ETag",
             "files": [{"key": key} for key in keys]}  # fmt: skip
    manifest.write_text(json.dumps(facts))


def _write_rows(path: Path, seed: int, ids: np.ndarray, all_keys: bool) -> None:
    digests = np.random.default_rng(seed).bytes(16 * len(ids)).hex()
    with gzip.open(path, "wt", compresslevel=1) as file:
        for start in range(0, len(ids), 4096):
            lines = []
            for place, pmcid in enumerate(ids[start : start + 4096].tolist(), start):
                name = f"PMC{pmcid}.1"
                digest = digests[32 * place : 32 * place + 32]
                keys = [f"{name}/{name}.{suffix}" for suffix in _SUFFIXES] if all_keys else []
                keys += [f"{name}/g001.jpg"] if all_keys else []
                lines += [f'"b","{key}","2026-01-08T11:47:59.000Z","{digest}"\n'
                          for key in (*keys, f"metadata/{name}.json")]  # fmt: skip
            file.write("".join(lines))


# --- the latency ---------------------------------------------------------------------------------


class _Answers(asyncio.Protocol):
    """Hands on what the server says, each piece after the latency."""

    def __init__(self, client: asyncio.Transport, latency: float) -> None:
        self._client, self._latency = client, latency

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._latency, self._client.write, data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        asyncio.get_running_loop().call_later(self._latency, self._client.close)


class _Questions(asyncio.Protocol):
    """Hands on what a client says at once, and counts its requests for lists."""

    def __init__(self, port: int, latency: float, lists: Any) -> None:
        self._port, self._latency, self._lists = port, latency, lists
        self._waiting: list[bytes] = []
        self._server: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = transport
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        answers = _Answers(self._client, self._latency)  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()
        self._server, _ = await loop.create_connection(lambda: answers, "127.0.0.1", self._port)
        self._server.writelines(self._waiting)

    def data_received(self, data: bytes) -> None:
        self._lists.value += data.count(b"list-type=2")
        if self._server is None:
            self._waiting.append(data)
        else:
            self._server.write(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if self._server is not None:
            self._server.close()


def _relay(target: int, latency: float, lists: Any, connection: Any) -> None:
    """Runs the relay until something comes by the connection, to which it sends its port."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Questions(target, latency, lists), "127.0.0.1", 0, backlog=1024
        )
        connection.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, connection.recv)

    asyncio.run(run())


@contextmanager
def relay(target: int, latency: float) -> Iterator[tuple[str, Any]]:
    """Runs a relay in front of a port; yields its URL and a counter of requests for lists."""
    connection, other_end = multiprocessing.Pipe()
    lists = multiprocessing.Value("q", 0)
    process = multiprocessing.Process(target=_relay, args=(target, latency, lists, other_end))
    process.start()
    try:
        yield f"http://127.0.0.1:{connection.recv()}", lists
    finally:
        connection.send(None)
        process.join()


# --- the figures ---------------------------------------------------------------------------------


def run_seconds(words: Sequence[str]) -> tuple[float, float, float]:
    """Returns what a command of pmc2vec takes.

    Returns:
        Seconds of a clock, seconds of processors, and the articles of a second that it shows last:
        without its start and the list.
    """
    before, started = _children_seconds(), time.perf_counter()
    command = [sys.executable, "-m", "pmc2vec", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    speeds = re.findall(r"([\d.,]+) (?:articles|versions)/s", done.stderr)
    speed = float(speeds[-1].replace(",", "")) if speeds else float("nan")
    return seconds, _children_seconds() - before, speed


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compare(
    commands: dict[str, Callable[[int], list[str]]], rounds: int, articles: int, megabytes: float
) -> None:
    """Prints a line for each command: medians of rounds in which they take turns.

    Args:
        commands: name to words, given the number of the round.
        rounds: how many.
        articles: that each of them reads.
        megabytes: of XML.
    """
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, words in commands.items():
            times[name].append(run_seconds(words(number)))
    print(f"{'':<16} {'s':>6} {'CPU s':>6} {'articles/s':>10} {'objects/s':>9} {'MB/s':>6}")
    for name, measured in times.items():
        columns = zip(*measured, strict=True)
        seconds, cpu, speed = (statistics.median(column) for column in columns)
        objects = "" if "archives" in name else f"{2 * speed:,.0f}"
        print(f"{name:<16} {seconds:6.1f} {cpu:6.1f} {articles / seconds:10,.0f} {objects:>9} "
              f"{megabytes / seconds:6.1f}", flush=True)  # fmt: skip
    archives, bucket = (
        [row[0] for row in times[f"build, {name}"]] for name in ("archives", "bucket")
    )
    ratios = sorted(b / a for a, b in zip(archives, bucket, strict=True))
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"build, bucket / archives in each round: {shown}")


def time_to_first_article(words: Sequence[str], output: Path) -> tuple[float, float, float]:
    """Returns seconds to the selection and to the first article, and MB of the program's peak."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pmc2vec", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    selected = first = 0.0
    try:
        while not first:
            if process.poll() is not None:
                raise RuntimeError((process.communicate()[1] or b"").decode())
            time.sleep(0.05)
            if not selected and (output / SELECTION_NAME).exists():
                selected = time.perf_counter() - started
            beats = (output / ".heartbeats").glob("corpus-*")
            if any("read=0" not in beat.read_text() for beat in beats):
                first = time.perf_counter() - started
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.terminate()
        process.wait()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return selected, first, int(peak.split()[1]) / 1000


class GraphRunner(PipelineRunner):
    """An engine that runs nothing, and remembers the size of the last job."""

    job_bytes = 0

    def run_pipeline(self, pipeline: Pipeline, options: Any) -> PipelineResult:  # noqa: ARG002
        """Returns the result of a job that is done."""
        type(self).job_bytes = len(pipeline.to_runner_api().SerializeToString())
        return PipelineResult(PipelineState.DONE)


def job_megabytes(config: BuildConfig) -> float:
    """Returns the size of a build's job for a remote engine."""
    from benchmarks.bucket import GraphRunner as Imported  # Here it may be one of __main__.

    submit(config, ["--runner=benchmarks.bucket.GraphRunner"])
    return Imported.job_bytes / 1e6


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--articles", type=int, default=1500)
    parser.add_argument("--latency", type=float, default=0.04)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--versions", type=int, default=8_000_000)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name, object_server("versitygw", Path(name)) as server:
        folder, bucket_folder = Path(name), Path(name, "bucket/pmc")
        size = write_bucket(bucket_folder, options.articles) / 1e6
        port = int(server.options["endpoint"].rpartition(":")[2])
        with relay(port, options.latency) as (endpoint, lists):
            pairs = {**server.options, "endpoint": endpoint}.items()
            storage = [f"{key}={value}" for key, value in pairs]
            bucket = ["--input", "s3://bucket/pmc", "--storage_option", *storage]
            corpus = ["--keywords", "melanoma", "--stop_after", "corpus"]
            workers = ["--", f"--direct_num_workers={options.workers}"]
            print(f"{options.articles:,} articles, {size:,.0f} MB, "
                  f"{1000 * options.latency:.0f} ms, {options.workers} workers, "
                  f"medians of {options.rounds} rounds")  # fmt: skip

            def output(command: str, number: int) -> list[str]:
                return ["--output", str(folder / f"{command}-{number}")]

            compare(
                {
                    "fetch": lambda n: ["fetch", *bucket, *output("bulk", n)],
                    "build, archives": lambda n: [
                        "build", "--input", str(folder / "bulk-0"), *output("archives", n), *corpus,
                        "--slices", str(options.workers), *workers,
                    ],
                    "build, bucket": lambda n: [
                        "build", *bucket, *output("bucket", n), *corpus, *workers,
                    ],
                },
                options.rounds, options.articles, size,
            )  # fmt: skip
            print(f"\n{'inventory':<32} {'s to list':>9} {'to article':>10} {'MB':>5} "
                  f"{'lists':>5} {'MB of job':>9}")  # fmt: skip
            for kind, versions in (
                ("metadata", options.versions), ("all keys", options.versions // 6),
            ):  # fmt: skip
                write_inventory(bucket_folder, versions, all_keys=kind == "all keys")
                lists.value, place = 0, folder / kind
                words = ["build", *bucket, "--output", str(place), *workers]
                selected, first, memory = time_to_first_article(words, place)
                asked = lists.value
                job = job_megabytes(BuildConfig(
                    input=("s3://bucket/pmc",), output=str(place), storage_option=tuple(storage)
                ))  # fmt: skip
                print(f"{f'{versions:,} versions, {kind}':<32} {selected:9.1f} {first:10.1f} "
                      f"{memory:5.0f} {asked:5} {job:9.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
