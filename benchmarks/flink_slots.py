"""Seconds of each step of a build on Flink, with one slot and with two.

    make flink && .venv/bin/python -m benchmarks.flink_slots ['bulk/*.tar.gz']

A slot is a TaskManager with one worker process; a worker pool starts it. Steps of which one feeds
the other run at the same time. Without archives it makes some, of 3,000 synthetic articles.
"""

from __future__ import annotations

import argparse
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

from benchmarks.machine import describe_machine
from flink import cluster as flink

ROOT = Path(__file__).parent.parent

STEP = re.compile(r"MapPartition at \[1\]([\w/]+)/(?:Flat)?Map\((\w+)\)")
"""The name of a Flink vertex that does one step of the build and nothing else."""


@contextmanager
def worker_pool() -> Iterator[str]:
    """Runs a worker pool; yields its address."""
    (port,) = flink.free_ports(1)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # The pool starts `python`.
    pool = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main",
         f"--service_port={port}"],
        cwd=ROOT, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield f"localhost:{port}"
    finally:
        os.killpg(pool.pid, signal.SIGKILL)  # With its workers.
        pool.wait()


def run_build(bulk: str, slots: int, folder: Path) -> dict[str, Any]:
    """Builds in so many slots; returns the job as Flink's REST interface describes it."""
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


def step_seconds(job: dict[str, Any]) -> dict[str, float]:
    """Returns the seconds of a job, until it read the first archive, and in each step."""
    steps = {
        f"{match[1]}, `{match[2]}`": vertex
        for vertex in job["vertices"]
        if (match := STEP.search(vertex["name"])) and match[2] != "lambda"
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bulk", nargs="?", help="a pattern of bulk archives")
    bulk = parser.parse_args().bulk
    if missing := flink.missing():
        print(f"no Flink: {missing}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        if bulk is None:
            sample = [sys.executable, "-m", "pmc2vec.commands.sample", "--articles", "3000"]
            sample += ["--output", f"{folder}/bulk", "--quiet"]
            subprocess.run(sample, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            bulk = f"{folder}/bulk/*.tar.gz"
        print(describe_machine(), flush=True)
        one, two = (
            step_seconds(run_build(bulk, slots, Path(folder, str(slots)))) for slots in (1, 2)
        )
    print(f"load {os.getloadavg()[0]:.1f} at the end\n")
    print("| step | s, one slot | s, two slots |\n|---|---|---|")
    for name, seconds in one.items():
        if max(seconds, two[name]) >= 0.5:
            print(f"| {name} | {seconds:.1f} | {two[name]:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
