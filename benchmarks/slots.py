"""One build on Flink with one slot and with two: seconds of each stage.

    make flink && .venv/bin/python benchmarks/slots.py bulk

Each slot is a TaskManager with a worker process of its own, from one worker pool.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from flink import cluster as flink  # noqa: E402


def stages(bulk: str, slots: int, folder: Path) -> dict[str, float]:
    """Returns the seconds that each stage of a build ran, by what it lifts."""
    (port,) = flink.free_ports(1)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the pool starts `python`
    pool = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main",
         f"--service_port={port}"],
        cwd=ROOT, env={**os.environ, "PATH": path}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with flink.Cluster(folder / "flink", task_managers=slots) as cluster:
            subprocess.run(
                [sys.executable, "-m", "beam_pipelines.build", "--input", bulk, "--slices", "8",
                 "--output", str(folder / "data"), "--", "--runner=FlinkRunner",
                 f"--flink_master={cluster.master}", f"--flink_version={flink.VERSION}",
                 f"--flink_job_server_jar={flink.job_server()}", f"--parallelism={slots}",
                 "--environment_type=EXTERNAL", f"--environment_config=localhost:{port}",
                 "--environment_cache_millis=600000"],
                cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            (job,) = cluster.overview("jobs/overview")["jobs"]
            found = {"whole job": job["duration"] / 1000}
            for vertex in cluster.overview(f"jobs/{job['jid']}")["vertices"]:
                found[vertex["name"][:90]] = vertex["duration"] / 1000
            return found
    finally:
        pool.kill()
        pool.wait()


def main() -> int:
    """Prints the stages that took a second or more, with one slot and with two."""
    if lacking := flink.missing():
        print(f"no Flink: {lacking}")
        return 0
    if len(sys.argv) != 2:
        print("give a folder of archives")
        return 0
    found = []
    for slots in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            found.append(stages(sys.argv[1], slots, Path(folder)))
    one, two = found
    print("| one slot | two | stage |\n|---|---|---|")
    for name, seconds in sorted(one.items(), key=lambda entry: -entry[1]):
        if seconds >= 1:
            print(f"| {seconds:.1f} | {two.get(name, 0):.1f} | {name} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
