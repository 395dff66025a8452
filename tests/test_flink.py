"""The same build on a real Flink cluster: one JobManager and two TaskManagers on this machine."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from flink import cluster as flink
from tests.bulk import write_bulk

ROOT = Path(__file__).parent.parent
SMALL = {"min_count": 2, "num_shards": 4, "validation_fraction": 0.2}
SECONDS = 300

pytestmark = [
    pytest.mark.flink,
    pytest.mark.skipif(bool(flink.missing()), reason=f"no Flink: {flink.missing()}"),
]


def files(folder: Path) -> dict[str, str]:
    """Digests of all that is in a dataset; manifest.json has them of the shards."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "build.json"
    }


@pytest.fixture(scope="module")
def bulk(tmp_path_factory) -> str:
    """Many archives, so that each worker gets some and is still at them when the other dies."""
    return write_bulk(tmp_path_factory.mktemp("bulk"), archives=16, articles=200)


@pytest.fixture(scope="module")
def local(bulk, tmp_path_factory) -> dict[str, str]:
    """The files that the local engine makes."""
    folder = tmp_path_factory.mktemp("local") / "data"
    build(BuildConfig(input=(bulk,), output=str(folder), **SMALL), ["--direct_num_workers=1"])
    found = files(folder)
    assert len([name for name in found if name.endswith(".tfrecord")]) == 2 * 4
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flink")
    with flink.Cluster(folder, task_managers=2, slots=2) as started:
        yield started


@pytest.fixture
def pool(tmp_path):
    """A worker pool, as the sidecar of a TaskManager's pod runs it; yields its address."""
    (port,) = flink.free_ports(1)
    command = "-m apache_beam.runners.worker.worker_pool_main --service_port".split()
    # The pool starts each worker as `python`.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (
        (tmp_path / "pool.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, *command, str(port)], cwd=ROOT, env={**os.environ, "PATH": path},
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        yield f"localhost:{port}"
        os.killpg(process.pid, signal.SIGKILL)


def start(bulk: str, folder: Path, cluster: flink.Cluster, *flags: str) -> subprocess.Popen:
    """Starts a build on the cluster, over both TaskManagers."""
    own = [f"--{name}={value}" for name, value in SMALL.items()]
    engine = f"--runner=FlinkRunner --flink_master={cluster.master} --parallelism=2 "
    # Both TaskManagers ask one pool for workers, under the same names: none may be stopped early.
    engine += "--environment_cache_millis=600000 "
    engine += f"--flink_version={flink.VERSION} --flink_job_server_jar={flink.job_server()}"
    return subprocess.Popen(
        [sys.executable, "-m", "beam_pipelines.build", "--input", bulk, "--output", str(folder),
         *own, "--", *engine.split(), *flags],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen) -> None:
    """Waits for a build that must succeed; one that hangs ends, with its job server."""
    try:
        printed, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
    assert process.returncode == 0, printed[-5000:]


def last_job(cluster: flink.Cluster, of_it: str = "") -> dict:
    """What the JobManager says of the newest job."""
    jobs = cluster.overview("jobs/overview")["jobs"]
    job = max(jobs, key=lambda job: job["start-time"])
    assert job["state"] == "FINISHED"
    return cluster.overview(f"jobs/{job['jid']}{of_it}")


def test_workers_in_the_submitting_process_make_the_same_files(bulk, local, cluster, tmp_path):
    ended(start(bulk, tmp_path / "data", cluster, "--environment_type=LOOPBACK"))
    assert files(tmp_path / "data") == local
    vertices = last_job(cluster)["vertices"]
    assert {vertex["status"] for vertex in vertices} == {"FINISHED"}
    assert max(vertex["parallelism"] for vertex in vertices) == 2


def test_a_worker_pool_beside_the_task_managers_makes_the_same_files(
    bulk, local, cluster, pool, tmp_path
):
    flags = ("--environment_type=EXTERNAL", f"--environment_config={pool}")
    ended(start(bulk, tmp_path / "data", cluster, *flags))
    assert files(tmp_path / "data") == local
    started = (tmp_path / "pool.log").read_text().count("Starting worker with command")
    assert started >= 2  # one for each TaskManager


def test_a_task_manager_is_killed_and_the_job_ends_right(bulk, local, cluster, pool, tmp_path):
    flags = ("--environment_type=EXTERNAL", f"--environment_config={pool}")
    process = start(bulk, tmp_path / "data", cluster, *flags)
    parts = tmp_path / "data/parts"
    while process.poll() is None and not list(parts.glob("part-*.json")):
        time.sleep(0.02)
    cluster.task_managers[0].kill()
    ended(process)
    assert files(tmp_path / "data") == local
    # It was in mid-run: tasks failed and were done again.
    assert last_job(cluster, "/exceptions")["exceptionHistory"]["entries"]
    assert cluster.overview()["taskmanagers"] == 1
