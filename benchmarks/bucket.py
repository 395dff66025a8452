"""Speed of `fetch` and `build` from a bucket whose requests take their time.

    python -m benchmarks.bucket [--articles 2000] [--latency 0.04] [--workers 2]

versitygw (`make s3`) serves made-up articles of 90 KB in the layout of PubMed Central's bucket, and
a proxy of the tests delays each answer. A row is a command:

    fetch             `pmc2vec fetch`: two requests for each article, its metadata and its XML
    build, archives   `pmc2vec build --stop_after corpus` from the archives that were fetched
    build, bucket     the same from the bucket

Server and proxy run on the same machine and take their share of its processors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bulk import TOPICS, article
from tests.fault_proxy import fault_proxy
from tests.object_server import object_server

_PARAGRAPHS = 830
"""Of an article: 90 KB."""


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


def serve(target: str, latency: float, connection: Any) -> None:
    """Runs the proxy in a process of its own: sends its URL, and ends when something comes."""
    with fault_proxy(target, latency=latency) as proxy:
        connection.send(proxy.endpoint)
        connection.recv()


def run_seconds(*words: str) -> float:
    """Returns the seconds that a command of pmc2vec takes."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pmc2vec", *words]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    """Prints a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--articles", type=int, default=2000)
    parser.add_argument("--latency", type=float, default=0.04)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, object_server("versitygw", Path(name)) as server:
        folder = Path(name)
        size = write_bucket(folder / "bucket/pmc", options.articles) / 1e6
        inventory = folder / "inventory.csv"
        rows = (f"b,metadata/PMC{n}.1.json\n" for n in range(1, options.articles + 1))
        inventory.write_text("".join(rows))
        connection, proxy_connection = multiprocessing.Pipe()
        endpoint = server.options["endpoint"]
        arguments = (endpoint, options.latency, proxy_connection)
        proxy = multiprocessing.Process(target=serve, args=arguments)
        proxy.start()
        storage = {**server.options, "endpoint": connection.recv()}
        bucket = ["--input", "s3://bucket/pmc", "--inventory", str(inventory), "--storage_option",
                  *(f"{key}={value}" for key, value in storage.items())]  # fmt: skip
        corpus = ["--keywords", "melanoma", "--stop_after", "corpus"]
        workers = ["--", f"--direct_num_workers={options.workers}"]
        bulk, built = str(folder / "bulk"), [str(folder / name) for name in ("a", "b")]
        print(f"{options.articles:,} articles, {size:,.0f} MB, {options.latency * 1000:.0f} ms, "
              f"{options.workers} workers")  # fmt: skip
        for title, words in (
            ("fetch", ["fetch", *bucket, "--output", bulk]),
            ("build, archives", ["build", "--input", bulk, "--output", built[0], *corpus,
                                 "--slices", str(options.workers), *workers]),
            ("build, bucket", ["build", *bucket, "--output", built[1], *corpus, *workers]),
        ):  # fmt: skip
            seconds = run_seconds(*words)
            print(f"{title:<16} {seconds:6.1f} s {options.articles / seconds:8.0f} articles/s "
                  f"{size / seconds:6.1f} MB/s of XML", flush=True)  # fmt: skip
        connection.send(None)
        proxy.join()


if __name__ == "__main__":
    main()
