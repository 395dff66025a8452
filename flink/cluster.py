"""A Flink session cluster on this machine: one JobManager and its TaskManagers.

    make flink
    .venv/bin/python flink/cluster.py --taskmanagers 2 --slots 2

The processes are those that Flink's own scripts start, from the jars that `make flink` has put
into `.flink`; they end with this program. docs/scaling.md says how a build is sent there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HOME = Path(__file__).parent.parent / ".flink"
VERSION = "1.19"
"""Version of Flink, for Beam's `--flink_version`."""

SETTINGS = {
    # Without a strategy a job ends with the first TaskManager that is lost. One that is lost takes
    # an attempt for each of its tasks and for each that misses their results.
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "20",
    "restart-strategy.fixed-delay.delay": "1 s",
    # With 64 MB a build with phrases lacked network buffers.
    "taskmanager.memory.network.min": "256m",
    "taskmanager.memory.network.max": "256m",
    # Flink has Beam's jar itself (_class_path); a job must not bring another.
    "classloader.resolve-order": "parent-first",
}
"""Settings that a build needs on any cluster; k8s/overlays/flink has the same."""

START_SECONDS = 120
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_MEMORY = {
    "task.heap.size": "256m", "task.off-heap.size": "0m", "framework.heap.size": "128m",
    "framework.off-heap.size": "128m", "managed.size": "128m", "jvm-metaspace.size": "256m",
    "jvm-overhead.min": "192m", "jvm-overhead.max": "192m",
}  # fmt: skip
# What Flink's own configuration opens for Java 17.
_OPENS = (
    "java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio",
    "java.base/sun.nio.ch", "java.base/java.lang.reflect", "java.base/java.text",
    "java.base/java.time", "java.base/java.util", "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks",
)  # fmt: skip


def job_server(home: Path = HOME) -> Path:
    """Returns the path of Beam's job server."""
    return home / "target" / "job-server.jar"


def missing(home: Path = HOME) -> str:
    """Returns why no cluster can run on this machine; empty where one can."""
    if shutil.which("java") is None:
        return "there is no java"
    return "" if job_server(home).is_file() and _jars(home) else "make flink was not run"


def _jars(home: Path) -> list[Path]:
    return sorted(home.glob("venv/lib/python3*/site-packages/pyflink/lib/*.jar"))


def _class_path(home: Path) -> list[Path]:
    """Returns Flink's jars with Beam's among them, in the order that Flink's own scripts make.

    Beam keeps its workers between stages (--environment_cache_millis) only where Flink itself has
    loaded it, and not with each job.
    """
    jars = [job_server(home), *_jars(home)]
    return sorted(jars, key=lambda jar: jar.name.startswith("flink-dist"))


def free_ports(count: int) -> list[int]:
    """Returns ports of this machine that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """A session cluster that lives as long as a `with` block.

    Attributes:
        folder: for its configuration, logs and temporary files.
        task_managers: processes, each of which may be killed.
        slots: of each TaskManager.
        master: host and port, as Beam's `--flink_master` wants it.
    """

    def __init__(
        self, folder: Path, *, task_managers: int = 2, slots: int = 1, home: Path = HOME
    ) -> None:
        self.folder, self.slots = folder, slots
        self.task_managers: list[subprocess.Popen[bytes]] = []
        self._num_task_managers, self._jars = task_managers, _class_path(home)
        self._rest, self._rpc = free_ports(2)
        self.master = f"localhost:{self._rest}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Starts all processes and waits until every slot is there."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends all processes."""
        self.stop()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = (f"{key}: {value}\n" for key, value in self._settings().items())
        (self.folder / "config.yaml").write_text("".join(lines), encoding="utf-8")
        self._java("jobmanager", _JOB_MANAGER, "256m")
        for _ in range(self._num_task_managers):
            self.add_task_manager()
        deadline = time.monotonic() + START_SECONDS
        while self.overview().get("slots-total") != self._num_task_managers * self.slots:
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes):
                raise TimeoutError(f"the Flink cluster did not start; see {self.folder}/*.log")
            time.sleep(0.2)

    def add_task_manager(self) -> None:
        """Starts one more TaskManager."""
        number = len(self.task_managers)
        self.task_managers.append(self._java(f"taskmanager-{number}", _TASK_MANAGER, "384m"))

    def _settings(self) -> dict[str, str | int]:
        return {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": self._rpc,
            "rest.address": "localhost",
            "rest.port": self._rest,
            "taskmanager.host": "localhost",
            "taskmanager.numberOfTaskSlots": self.slots,
            # Flink's scripts work these out from the size of the process.
            "taskmanager.cpu.cores": self.slots,
            **{f"taskmanager.memory.{place}": size for place, size in _MEMORY.items()},
            "io.tmp.dirs": str(self.folder),
            "cluster.evenly-spread-out-slots": "true",
            **SETTINGS,
            # A TaskManager that is gone refuses the call; one that is only slow has half a minute.
            "heartbeat.interval": 1000,
            "heartbeat.timeout": 30000,
        }

    def _java(self, name: str, program: str, heap: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [
                "java", f"-Xmx{heap}", *(f"--add-opens={place}=ALL-UNNAMED" for place in _OPENS),
                "-cp", ":".join(map(str, self._jars)), program, "--configDir", str(self.folder),
            ]  # fmt: skip
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._processes.append(process)
        return process

    def overview(self, path: str = "overview") -> dict[str, Any]:
        """Returns the answer of the JobManager's REST interface; empty while it is not up."""
        try:
            with urllib.request.urlopen(f"http://{self.master}/{path}", timeout=5) as answer:
                return dict(json.load(answer))
        except (OSError, urllib.error.URLError):
            return {}

    def stop(self) -> None:
        """Ends all processes."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a cluster until it is interrupted."""
    parser = argparse.ArgumentParser(description="Run a Flink session cluster on this machine.")
    parser.add_argument("--taskmanagers", type=int, default=2)
    parser.add_argument("--slots", type=int, default=1, help="of each TaskManager")
    options = parser.parse_args(argv)
    if problem := missing():
        parser.error(problem)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory(prefix="flink-") as folder,
        Cluster(Path(folder), task_managers=options.taskmanagers, slots=options.slots) as cluster,
    ):
        print(f"--runner=FlinkRunner --flink_master={cluster.master} --flink_version={VERSION} "
              f"--flink_job_server_jar={job_server()}", flush=True)  # fmt: skip
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
