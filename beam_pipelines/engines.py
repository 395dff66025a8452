"""What engines other than the local one need, checked before anything is staged.

    prepare_engine(options)     # raises UsageError or UserError, one line
    with watch_engine(options):
        pipeline.run().wait_until_finish()

| `--runner` | needs |
|---|---|
| PrismRunner | Beam's Go binary `prism`, on the PATH or as `--prism_location` |
| FlinkRunner, SparkRunner | Java and Beam's job server; a cluster that answers |
| PortableRunner | a job server at `--job_endpoint` |
| DataflowRunner | the extra `gcp`, a project, a region and a bucket |
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import apache_beam
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SparkRunnerOptions,
    StandardOptions,
)
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkJarJobServer
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.runners.portability.spark_runner import SparkJarJobServer
from apache_beam.utils.subprocess_server import JavaJarServer

from beam_pipelines.flink_api import FlinkApi, FlinkWatch, check_cluster
from pmc2vec.errors import UsageError, UserError

_CONNECT_SECONDS = 5.0


def runner_name(options: PipelineOptions) -> str:
    """Returns the class of the runner, `""` for the default one."""
    return (options.view_as(StandardOptions).runner or "").rpartition(".")[2]


def prepare_engine(options: PipelineOptions) -> None:
    """Checks that an engine has what it needs, and sets options that it lacks.

    Raises:
        UsageError: an option or a program is missing.
        UserError: what should answer does not.
    """
    prepare = _PREPARATIONS.get(runner_name(options))
    if prepare is not None:
        prepare(options)
    cloud = options.view_as(GoogleCloudOptions)
    cloud.job_name = cloud.job_name or f"pmc2vec-{uuid4().hex[:8]}"


@contextlib.contextmanager
def watch_engine(options: PipelineOptions) -> Any:
    """Tells what becomes of a job while the work inside waits for it, where an engine can say it.

    A job of Flink is cancelled if an error or a signal ends the work.
    """
    master = _flink_master(options)
    watch: Any = contextlib.nullcontext()
    if runner_name(options) in ("FlinkRunner", "PortableRunner") and master:
        watch = FlinkWatch(FlinkApi(master), str(options.view_as(GoogleCloudOptions).job_name))
    with watch:
        yield


# --- one engine each -----------------------------------------------------------------------------


def _prepare_prism(options: PipelineOptions) -> None:
    prism = options.view_as(PrismRunnerOptions)
    prism.prism_location = prism.prism_location or shutil.which("prism")
    downloaded = Path(PrismJobServer.BIN_CACHE).glob("*prism*")
    if prism.prism_location and "://" not in prism.prism_location:
        if not Path(prism.prism_location).is_file():
            raise UsageError(f"--prism_location={prism.prism_location}: no such file")
    elif not prism.prism_location and not any(downloaded):
        module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{apache_beam.__version__}"
        raise UsageError(
            f"--runner=PrismRunner: there is no program prism; go install {module}, and put it on "
            "the PATH or give --prism_location"
        )


def _prepare_flink(options: PipelineOptions) -> None:
    flink = options.view_as(FlinkRunnerOptions)
    if master := _flink_master(options):
        check_cluster(
            FlinkApi(master), version=str(flink.flink_version), parallelism=flink.parallelism
        )
    if not flink.flink_submit_uber_jar:
        _prepare_java(options, "FlinkRunner", "--flink_job_server_jar", FlinkJarJobServer)


def _prepare_spark(options: PipelineOptions) -> None:
    if not options.view_as(SparkRunnerOptions).spark_submit_uber_jar:
        _prepare_java(options, "SparkRunner", "--spark_job_server_jar", SparkJarJobServer)


def _prepare_java(options: PipelineOptions, runner: str, jar: str, server: Any) -> None:
    """Checks that there are Java and a jar; Beam downloads one where none is given."""
    job_server = options.view_as(JobServerOptions)
    if shutil.which(job_server.job_server_java_launcher) is None:
        raise UsageError(
            f"--runner={runner}: there is no {job_server.job_server_java_launcher}; install Java "
            "11 or 17"
        )
    try:
        JavaJarServer.local_jar(server(options).path_to_jar())
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"--runner={runner}: Beam's job server is not there ({reason[:200]}); give {jar}, the "
            "path of its jar"
        ) from error
    job_server.job_server_java_launcher = _launcher(job_server.job_server_java_launcher)


def _launcher(java: str) -> str:
    """Returns a program that runs Java until this process ends, also by SIGKILL.

    prctl(2): PR_SET_PDEATHSIG is 1; SIGTERM is 15.
    """
    if not sys.platform.startswith("linux") or " " in sys.executable:
        return java
    folder = Path(tempfile.mkdtemp(prefix="pmc2vec-java-"))
    program = folder / "java"
    program.write_text(
        f"#!{sys.executable}\nimport ctypes, os, shutil, sys\n"
        f"shutil.rmtree({str(folder)!r})\nctypes.CDLL(None).prctl(1, 15)\n"
        f"os.execvp({java!r}, [{java!r}, *sys.argv[1:]])\n",
        encoding="utf-8",
    )
    program.chmod(0o700)
    return str(program)


def _prepare_portable(options: PipelineOptions) -> None:
    endpoint = options.view_as(PortableOptions).job_endpoint
    if not endpoint:
        raise UsageError("--runner=PortableRunner: give --job_endpoint, host:port of a job server")
    host, _, port = str(endpoint).rpartition(":")
    if not host or not port.isdigit():  # `embed`, of Beam's own tests.
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"--job_endpoint={endpoint}: no job server answers there ({error}); start it, or give "
            "its host:port"
        ) from error
    if master := _flink_master(options):
        flink = options.view_as(FlinkRunnerOptions)
        check_cluster(FlinkApi(master), version="", parallelism=flink.parallelism)


def _prepare_dataflow(options: PipelineOptions) -> None:
    if importlib.util.find_spec("google.cloud") is None or not importlib.util.find_spec(
        "google.cloud.storage"
    ):
        raise UsageError("--runner=DataflowRunner: pip install 'pmc2vec[gcp]' first")
    cloud = options.view_as(GoogleCloudOptions)
    required = ("project", "region", "temp_location")
    if missing := [f"--{name}" for name in required if not getattr(cloud, name)]:
        raise UsageError(f"--runner=DataflowRunner: needs {', '.join(missing)} too, after --")


def _flink_master(options: PipelineOptions) -> str:
    """Returns the address of Flink's REST API; "" where Beam starts a Flink of its own."""
    master = str(options.view_as(FlinkRunnerOptions).flink_master or "").strip()
    return "" if master in MAGIC_HOST_NAMES else master


_PREPARATIONS: Mapping[str, Callable[[PipelineOptions], None]] = {
    "PrismRunner": _prepare_prism,
    "FlinkRunner": _prepare_flink,
    "SparkRunner": _prepare_spark,
    "PortableRunner": _prepare_portable,
    "DataflowRunner": _prepare_dataflow,
}
