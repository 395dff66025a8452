"""What Flink's REST API says of a cluster and of our job: asked before a build, and while it runs.

    api = FlinkApi("localhost:8081")
    check_cluster(api, version="1.19", parallelism=4)
    with FlinkWatch(api, job_name):
        ...   # a line when the job's state changes, or a task fails, or nothing can begin

Beam's job server waits for Flink without a word: for slots that will not come, for workers that do
not start, for an address where nobody is. The API: nightlies.apache.org/flink/flink-docs-stable/
docs/ops/rest_api.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from pmc2vec.errors import UsageError, UserError

_REQUEST_SECONDS = 5.0
_ANSWER_BYTES = 16 << 20  # Of an answer; a job of ours has 100 kB.
_LOOK_SECONDS = 5.0
_WAITING_LOOKS = 6  # Without a running task, before it is said that slots or workers are missing.
_ENDED = ("FINISHED", "CANCELED", "FAILED")
_CAUSE = re.compile(r"^(?:Caused by: )?([\w.$]+(?:Exception|Error)[^\n]*)", re.MULTILINE)

Answer = Mapping[str, Any]

logger = logging.getLogger(__name__)


class FlinkApi:
    """The REST API of a JobManager.

    Attributes:
        address: host:port, as `--flink_master` has it.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._url = urlsplit(address if "://" in address else f"http://{address}")

    def get(self, path: str) -> Any:
        """Returns the answer to a request, such as `jobs/overview`: a JSON object or array.

        Raises:
            UserError: nobody answers, or it is no JobManager.
        """
        return self._request("GET", path)

    def cancel(self, job_id: str) -> None:
        """Cancels a job; errors as `get`."""
        self._request("PATCH", f"jobs/{job_id}?mode=cancel")

    def _request(self, method: str, path: str) -> Any:
        secure = self._url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        try:
            connection = connect(self._url.netloc, timeout=_REQUEST_SECONDS)
            with contextlib.closing(connection):
                connection.request(method, f"{self._url.path.rstrip('/')}/{path}")
                response = connection.getresponse()
                content = response.read(_ANSWER_BYTES)
                if response.status >= http.HTTPStatus.BAD_REQUEST:
                    raise OSError(f"HTTP status {response.status}")
                return json.loads(content or b"{}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise UserError(
                f"--flink_master {self.address}: no Flink JobManager answers there ({error}); "
                "give host:port of its REST API, as in docs/scaling.md"
            ) from error


# --- before a build ------------------------------------------------------------------------------


def check_cluster(api: FlinkApi, *, version: str, parallelism: int) -> None:
    """Checks that a cluster can run a job, before anything is staged for it.

    Args:
        api: of the cluster.
        version: of Flink that the job is made for, such as `1.19`; "" if unknown.
        parallelism: slots that the job asks for; below 1 for the cluster's default.

    Raises:
        UsageError: it is of another version, or has too few slots.
        UserError: nobody answers.
    """
    overview = api.get("overview")
    settings = [] if overview.get("taskmanagers") else api.get("jobmanager/config")
    # A native cluster on Kubernetes starts TaskManagers when a job asks for slots.
    elastic = any("kubernetes" in entry["value"] for entry in settings)
    if problem := cluster_problem(
        overview, version=version, parallelism=parallelism, elastic=elastic
    ):
        raise UsageError(f"--flink_master {api.address}: {problem}")


def cluster_problem(overview: Answer, *, version: str, parallelism: int, elastic: bool) -> str:
    """Returns why a cluster cannot run a job; "" where it can.

    >>> overview = {"flink-version": "1.19.3", "taskmanagers": 1, "slots-total": 2}
    >>> cluster_problem(overview, version="1.19", parallelism=4, elastic=False)
    'has 2 slots, too few for --parallelism 4; lower it, or start more TaskManagers'
    >>> cluster_problem(overview, version="2.0", parallelism=2, elastic=False)
    'is Flink 1.19.3; give --flink_version=1.19 and its job server'
    """
    cluster_version = str(overview.get("flink-version", ""))
    if version and not f"{cluster_version}.".startswith(f"{version}."):
        release = ".".join(cluster_version.split(".")[:2])
        return f"is Flink {cluster_version}; give --flink_version={release} and its job server"
    slots = int(overview.get("slots-total", 0))
    if elastic or slots >= max(parallelism, 1):
        return ""
    if not slots:
        return "has no TaskManager; start some"
    return (
        f"has {slots} {'slot' if slots == 1 else 'slots'}, too few for --parallelism "
        f"{parallelism}; lower it, or start more TaskManagers"
    )


# --- while it runs -------------------------------------------------------------------------------


class FlinkWatch:
    """Logs what becomes of a job, while a `with` block runs, and cancels it if an error ends it."""

    def __init__(self, api: FlinkApi, job_name: str) -> None:
        """Begins.

        Args:
            api: of the cluster.
            job_name: of the job; the cluster need not have it yet.
        """
        self._api, self._job_name = api, job_name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Starts watching."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops watching."""
        self._stop.set()
        self._thread.join()
        if error is not None:
            self._cancel()

    def _cancel(self) -> None:
        job_id = ""
        try:
            job_id = find_job(self._api.get("jobs/overview"), self._job_name)
            if job_id:
                self._api.cancel(job_id)
                _log(logging.INFO, f"Flink's job {job_id} is cancelled")
        except UserError as error:
            _log(logging.WARNING, f"Flink's job {job_id} may go on: cancel it by hand ({error})")

    def _watch(self) -> None:
        reported_lines: list[str] = []
        looks = 0
        while not self._stop.wait(_LOOK_SECONDS):
            with contextlib.suppress(UserError):  # An answer may fail to come now and then.
                job_id = find_job(self._api.get("jobs/overview"), self._job_name)
                if not job_id:
                    continue
                job = self._api.get(f"jobs/{job_id}")
                exceptions = self._api.get(f"jobs/{job_id}/exceptions")
                looks = 0 if _tasks(job, "RUNNING", "FINISHED") else looks + 1
                waits = looks >= _WAITING_LOOKS
                for level, line in job_lines(job, exceptions, waits=waits):
                    if line not in reported_lines:
                        reported_lines.append(line)
                        _log(level, line)


def find_job(overview: Answer, name: str) -> str:
    """Returns the id of a job of this name, the newest one that has not ended; "" without one."""
    jobs = [
        job
        for job in overview.get("jobs", [])
        if job.get("name") == name and job.get("state") not in _ENDED
    ]
    return str(max(jobs, key=lambda job: job.get("start-time", 0))["jid"]) if jobs else ""


def job_lines(job: Answer, exceptions: Answer, *, waits: bool) -> list[tuple[int, str]]:
    """Returns what to say of a job: levels and lines.

    Args:
        job: the answer to `jobs/:jobid`.
        exceptions: the answer to `jobs/:jobid/exceptions`.
        waits: whether none of its tasks has run for a while.
    """
    lines = [(logging.INFO, f"Flink's job {job.get('jid')} is {job.get('state')}")]
    history = (exceptions.get("exceptionHistory") or {}).get("entries", [])
    for entry in reversed(history):
        cause = root_cause(str(entry.get("stacktrace") or entry.get("exceptionName")))
        task = str(entry.get("taskName") or "the job").partition(" (")[0]
        where = f" on {place}" if (place := entry.get("taskManagerId")) else ""
        lines.append(
            (logging.WARNING, f"Flink: {task[:80]} failed{where}: {cause}; {advice(cause)}")
        )
    if waits:
        waiting = (
            "Flink: no task of the job runs, it waits for slots; see whether TaskManagers are "
            "there and other jobs hold their slots, or lower --parallelism"
        )
        lines.append((logging.WARNING, waiting))
    return lines


def root_cause(stacktrace: str) -> str:
    r"""Returns the last cause in a stack trace of Java, on one line.

    >>> root_cause("a.JobException: no\n\tat b.C(D.java)\nCaused by: java.io.IOException: gone\n")
    'IOException: gone'
    """
    causes = _CAUSE.findall(stacktrace) or [stacktrace.partition("\n")[0]]
    name, colon, message = causes[-1].partition(":")
    return f"{name.rpartition('.')[2]}{colon}{message}"[:300]


# What is in a cause, and what to do about it.
_ADVICE: Sequence[tuple[str, str]] = (
    ("NoResourceAvailable", "lower --parallelism, or start more TaskManagers"),
    ("slot", "lower --parallelism, or start more TaskManagers"),
    ("network buffers", "raise taskmanager.memory.network.max of the cluster"),
    ("heartbeat", "a TaskManager is gone: see its log, and whether it had memory enough"),
    ("No such file or directory: 'python", "put `python` on the PATH of the worker pool"),
    ("UNAVAILABLE", "see whether the worker pool of --environment_config runs"),
    ("DEADLINE_EXCEEDED", "see whether the worker pool of --environment_config runs"),
    ("worker", "see the log of the worker pool of --environment_config"),
)


def advice(cause: str) -> str:
    """Returns what to do about a cause."""
    return next(
        (remedy for word, remedy in _ADVICE if word.lower() in cause.lower()),
        "see the logs of the engine's workers",
    )


def _tasks(job: Answer, *states: str) -> int:
    """Returns how many of a job's tasks are in one of the states."""
    counts = [vertex.get("tasks", {}) for vertex in job.get("vertices", [])]
    return sum(int(tasks.get(state, 0)) for tasks in counts for state in states)


def _log(level: int, line: str) -> None:
    logger.log(level, "%s", line, extra={"stage": "build"})
