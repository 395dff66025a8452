"""One build on Flink with one slot and with two: seconds of each of its steps.

    make flink && .venv/bin/python benchmarks/slots.py ['bulk/*.tar.gz']

Each slot is a TaskManager with a worker process of its own, from one worker pool. Steps of which
one feeds the other run at once. Without archives it makes some, of 3,000 articles.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from flink import cluster as flink  # noqa: E402

STEP = re.compile(r"MapPartition at \[1\]([\w/]+)/(?:Flat)?Map\((\w+)\)")
"""A vertex of Flink's that does one step of ours, and nothing beside it."""


@contextmanager
def worker_pool() -> Iterator[str]:
    """Runs a worker pool; yields its address."""
    (port,) = flink.free_ports(1)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it starts `python`
    pool = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main",
         f"--service_port={port}"],
        cwd=ROOT, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield f"localhost:{port}"
    finally:
        os.killpg(pool.pid, signal.SIGKILL)  # and the workers
        pool.wait()


def build(bulk: str, slots: int, folder: Path) -> dict[str, Any]:
    """Builds in so many slots; returns what Flink says of the job."""
    with worker_pool() as pool, flink.Cluster(folder / "flink", task_managers=slots) as cluster:
        subprocess.run(
            [sys.executable, "-m", "beam_pipelines.build", "--input", bulk, "--slices", "8",
             "--output", str(folder / "data"), "--", "--runner=FlinkRunner",
             f"--flink_master={cluster.master}", f"--flink_version={flink.VERSION}",
             f"--flink_job_server_jar={flink.job_server()}", f"--parallelism={slots}",
             "--environment_type=EXTERNAL", f"--environment_config={pool}",
             "--environment_cache_millis=600000"],
            cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        (job,) = cluster.overview("jobs/overview")["jobs"]
        return cluster.overview(f"jobs/{job['jid']}")


def seconds(job: dict[str, Any]) -> dict[str, float]:
    """Returns how long a job took, until it read and in each step."""
    steps = {
        f"{found[1]}, `{found[2]}`": vertex
        for vertex in job["vertices"]
        if (found := STEP.search(vertex["name"])) and found[2] != "lambda"
    }
    reading = next(vertex for name, vertex in steps.items() if name.startswith("WriteParts"))
    milliseconds = {
        "the whole job": job["duration"],
        "until workers run and know the archives": reading["start-time"] - job["start-time"],
        **{name: vertex["duration"] for name, vertex in steps.items()},
    }
    return {name: value / 1000 for name, value in milliseconds.items()}


def main() -> int:
    """Prints the steps that took half a second or more, with one slot and with two."""
    if lacking := flink.missing():
        print(f"no Flink: {lacking}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) == 2:
            bulk = sys.argv[1]
        else:
            sample = [sys.executable, "-m", "pmc2vec.commands.sample", "--articles", "3000"]
            sample += ["--output", f"{folder}/bulk", "--quiet"]
            subprocess.run(sample, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            bulk = f"{folder}/bulk/*.tar.gz"
        load = os.getloadavg()[0]
        one, two = (seconds(build(bulk, slots, Path(folder, str(slots)))) for slots in (1, 2))
    print(f"load {load:.0f} before, {os.getloadavg()[0]:.0f} after, on {os.cpu_count()} cores\n")
    print("| step | s, one slot | s, two slots |\n|---|---|---|")
    for name, took in one.items():
        if max(took, two[name]) >= 0.5:
            print(f"| {name} | {took:.1f} | {two[name]:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
