"""beam_pipelines.engines and flink_api: what engines need, and what a Flink cluster says."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    PrismRunnerOptions,
)

from beam_pipelines import flink_api
from beam_pipelines.engines import prepare_engine, watch_engine
from beam_pipelines.flink_api import FlinkApi, check_cluster, find_job, job_lines, root_cause
from pmc2vec.errors import UsageError, UserError

# Of Flink 1.19, shortened.
OVERVIEW = {"taskmanagers": 1, "slots-total": 2, "slots-available": 2, "flink-version": "1.19.0"}
NO_PYTHON = """java.lang.Exception: The user defined 'open()' method caused an exception: java.lang
\tat org.apache.flink.runtime.operators.BatchTask.run(BatchTask.java:508)
Caused by: java.lang.RuntimeException: Traceback (most recent call last):
  File "/venv/apache_beam/runners/worker/worker_pool_main.py", line 162, in StartWorker
    worker_process = subprocess.Popen(
FileNotFoundError: [Errno 2] No such file or directory: 'python'

\tat org.apache.beam.runners.fnexecution.environment.ExternalEnvironmentFactory.create(E.java:120)
"""


class Flink:
    """A JobManager's REST API with answers of a test's own.

    Attributes:
        answers: by path.
        requests: method and path of each request.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {"/overview": OVERVIEW, "/jobmanager/config": []}
        self.requests: list[str] = []
        flink = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                flink.requests.append(f"{self.command} {self.path}")
                known = self.path in flink.answers or self.command == "PATCH"
                self.send_response(200 if known else 404)
                self.end_headers()
                self.wfile.write(json.dumps(flink.answers.get(self.path, {})).encode())

            do_PATCH = do_GET  # noqa: N815

            def log_message(self, *_args: object) -> None:
                """Logs no request."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def flink() -> Iterator[Flink]:
    one = Flink()
    thread = threading.Thread(target=one.server.serve_forever)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def options(*flags: str) -> PipelineOptions:
    return PipelineOptions(list(flags))


@pytest.mark.parametrize(
    ("overview", "parallelism", "says"),
    [
        (OVERVIEW, 2, ""),
        (OVERVIEW, -1, ""),
        (OVERVIEW, 3, "has 2 slots, too few for --parallelism 3; lower it, or start more"),
        ({**OVERVIEW, "slots-total": 1}, 3, "has 1 slot, too few"),
        ({**OVERVIEW, "slots-total": 0}, 1, "has no TaskManager; start some"),
        ({**OVERVIEW, "flink-version": "1.1.9"}, 1, "is Flink 1.1.9; give --flink_version=1.1 "),
    ],
)
def test_a_cluster_that_cannot_run_the_job_is_a_usage_error(flink, overview, parallelism, says):
    flink.answers["/overview"] = overview
    api = FlinkApi(flink.address)
    if not says:
        check_cluster(api, version="1.19", parallelism=parallelism)
        return
    with pytest.raises(UsageError, match=f"^--flink_master {flink.address}: {says}"):
        check_cluster(api, version="1.19", parallelism=parallelism)


def test_a_cluster_of_kubernetes_starts_task_managers_when_they_are_wanted(flink):
    flink.answers["/overview"] = {**OVERVIEW, "taskmanagers": 0, "slots-total": 0}
    flink.answers["/jobmanager/config"] = [
        {"key": "execution.target", "value": "kubernetes-session"}
    ]
    check_cluster(FlinkApi(flink.address), version="1.19", parallelism=8)


def test_who_does_not_answer_is_told_by_address(closed_port, flink):
    for flags, says in (
        (["--runner=FlinkRunner", f"--flink_master={closed_port}"], "no Flink JobManager answers"),
        (["--runner=PortableRunner", f"--job_endpoint={closed_port}"], "no job server answers"),
    ):
        with pytest.raises(UserError, match=f"{closed_port}: {says} there") as error:
            prepare_engine(options(*flags))
        assert not isinstance(error.value, UsageError)
    with pytest.raises(UserError, match="HTTP status 404"):
        FlinkApi(flink.address).get("jobs/overview")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["PrismRunner"], "there is no program prism; go install github.com/apache/beam/sdks/v2/"),
        (["PrismRunner", "--prism_location=/nowhere/prism"], "=/nowhere/prism: no such file"),
        (["SparkRunner"], "there is no java; install Java 11 or 17"),
        (["SparkRunner", "--job_server_java_launcher=/bin/sh", "--spark_job_server_jar=no.jar"],
         "Beam's job server is not there .*give --spark_job_server_jar"),
        (["PortableRunner"], "give --job_endpoint, host:port of a job server"),
        (["DataflowRunner"], "DataflowRunner: (pip install|needs --project, --region, --temp_)"),
    ],
)  # fmt: skip
def test_what_an_engine_lacks_is_one_line(monkeypatch, tmp_path, flags, says):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("apache_beam.runners.portability.prism_runner.PrismJobServer.BIN_CACHE",
                        str(tmp_path))  # fmt: skip
    with pytest.raises(UsageError, match=says) as error:
        prepare_engine(options(f"--runner={flags[0]}", *flags[1:]))
    assert "\n" not in str(error.value)


def test_prism_on_the_path_is_taken_and_java_ends_with_this_process(monkeypatch, tmp_path):
    for name in ("prism", "java"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    prism = options("--runner=PrismRunner")
    prepare_engine(prism)
    assert prism.view_as(PrismRunnerOptions).prism_location == str(tmp_path / "prism")
    assert prism.view_as(GoogleCloudOptions).job_name.startswith("pmc2vec-")
    (tmp_path / "job.jar").touch()
    spark = options("--runner=SparkRunner", f"--spark_job_server_jar={tmp_path / 'job.jar'}")
    prepare_engine(spark)
    launcher = Path(spark.view_as(JobServerOptions).job_server_java_launcher)
    assert "os.execvp('java'" in launcher.read_text()


def test_the_cause_of_a_failed_task_and_what_to_do_is_a_line():
    job = {"jid": "ab12", "state": "RESTARTING", "vertices": []}
    entry = {"taskName": "CHAIN MapPartition (MapPartition at 1) (1/1)", "stacktrace": NO_PYTHON,
             "taskManagerId": "localhost:1-a"}  # fmt: skip
    lines = job_lines(job, {"exceptionHistory": {"entries": [entry]}}, waits=False)
    failed = (
        "Flink: CHAIN MapPartition failed on localhost:1-a: FileNotFoundError: [Errno 2] No "
        "such file or directory: 'python'; put `python` on the PATH of the worker pool"
    )
    restarting = "Flink's job ab12 is RESTARTING"
    assert lines == [(logging.INFO, restarting), (logging.WARNING, failed)]
    (_, (level, line)) = job_lines(job, {}, waits=True)
    assert (level, line.startswith("Flink: no task of the job runs, it waits")) == (30, True)
    assert root_cause("nothing that is known") == "nothing that is known"


def test_a_job_is_watched_and_cancelled_when_an_error_ends_the_build(flink, monkeypatch, caplog):
    monkeypatch.setattr(flink_api, "_LOOK_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    job = {"jid": "ab12", "name": "pmc2vec-1", "state": "RUNNING", "start-time": 1}
    old = {**job, "jid": "old", "state": "FAILED", "start-time": 9}
    flink.answers["/jobs/overview"] = {"jobs": [job, old, {**job, "name": "other", "jid": "no"}]}
    flink.answers["/jobs/ab12"] = job
    flink.answers["/jobs/ab12/exceptions"] = {}
    assert find_job(flink.answers["/jobs/overview"], "pmc2vec-2") == ""
    flags = ["--runner=FlinkRunner", f"--flink_master={flink.address}", "--job_name=pmc2vec-1"]

    def interrupted_build() -> None:
        with watch_engine(options(*flags)):
            while "GET /jobs/ab12/exceptions" not in flink.requests[:-1]:
                pass
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_build()
    assert flink.requests[-1] == "PATCH /jobs/ab12?mode=cancel"
    assert caplog.messages == ["Flink's job ab12 is RUNNING", "Flink's job ab12 is cancelled"]
