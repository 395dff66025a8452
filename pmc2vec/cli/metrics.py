"""How far this process is, as numbers, and the HTTP server of `--metrics_port`.

    progress_metrics.set(build_articles_read=120, build_articles_kept=31)

    /metrics             Prometheus' text format: these numbers, memory and CPU
    /healthz             200 while there is progress, 503 when nothing changed for 15 minutes
    /healthz?after=300   the same for 5 minutes

The server runs in a thread of its own for as long as the program works. A metric that is not in
METRICS is a KeyError, so that each has one line of explanation.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

from pmc2vec import __version__
from pmc2vec.errors import UserError

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from prometheus_client.metrics_core import Metric


class MetricDescription(NamedTuple):
    """What a metric is.

    Attributes:
        kind: counter, which only grows while a process runs, or gauge.
        text: one sentence.
        exported: its name for Prometheus, without `pmc2vec_` and `_total`; "" for its own name.
    """

    kind: Literal["counter", "gauge"]
    text: str
    exported: str = ""


METRICS: Mapping[str, MetricDescription] = MappingProxyType(
    {
        "build_articles_read": MetricDescription(
            "counter", "Articles read so far, including those that are dropped."
        ),
        "build_articles_kept": MetricDescription("counter", "Articles kept so far."),
        "build_input_bytes": MetricDescription(
            "counter", "Bytes of input files read so far, as they are stored."
        ),
        "build_xml_bytes": MetricDescription("counter", "Bytes of XML read so far, decompressed."),
        "build_files": MetricDescription(
            "counter", "Files finished so far, for an engine that reports nothing else."
        ),
        "train_step": MetricDescription(
            "counter", "Training steps done, all epochs together.", "train_steps"
        ),
        "train_epoch": MetricDescription("counter", "Whole epochs done.", "train_epochs"),
        "train_words": MetricDescription(
            "counter", "Corpus words done, before subsampling, all epochs together."
        ),
        "train_loss": MetricDescription(
            "gauge", "Training loss, mean per pair since the last point."
        ),
        "train_accuracy": MetricDescription(
            "gauge", "Share of pairs whose word beats the noise words.", "train_accuracy_ratio"
        ),
        "train_learning_rate": MetricDescription("gauge", "Learning rate at the last step."),
        "train_words_per_second": MetricDescription(
            "gauge", "Corpus words per second since the last point."
        ),
        "train_epoch_progress": MetricDescription(
            "gauge", "Epochs done, with the part of the last one."
        ),
        "train_waiting_for_data": MetricDescription(
            "gauge",
            "Share of the time since the last point in which the step waited for data.",
            "train_waiting_for_data_ratio",
        ),
        "validation_loss": MetricDescription("gauge", "Validation loss, mean per pair."),
        "validation_accuracy": MetricDescription(
            "gauge",
            "Share of validation pairs whose word beats the noise words.",
            "validation_accuracy_ratio",
        ),
    }
)

# The longest silences of a healthy program: a build lists the members of archives that have no
# filelist before it reports anything, and TensorFlow compiles the first step.
STALLED_SECONDS = 900.0

logger = logging.getLogger(__name__)


@dataclass
class ProgressMetrics:
    """The metrics of a process.

    Attributes:
        clock: returns seconds from any moment.
        stage: what is being done, such as `read` or `train`.
        unit: what `completed` and `total` count.
        completed: units of the stage that are done.
        total: units of the stage in all; None if unknown.
        values: by name in METRICS.
        watched: whether a server answers for them; they are then kept up to date under --quiet too.
        last_change: by the clock, when anything changed last.
    """

    clock: Callable[[], float] = time.monotonic
    stage: str = "start"
    unit: str = ""
    completed: int = 0
    total: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    watched: bool = False
    last_change: float = field(init=False)

    def __post_init__(self) -> None:
        self.last_change = self.clock()

    def set_stage(self, stage: str, unit: str, completed: int, total: int | None) -> None:
        """Records how far a stage is."""
        if (stage, completed) != (self.stage, self.completed):
            self.last_change = self.clock()
        self.stage, self.unit = stage, unit
        self.completed, self.total = completed, total

    def set(self, **values: float) -> None:
        """Records values by their names in METRICS."""
        for name, value in values.items():
            METRICS[name]
            if self.values.get(name) != value:
                self.last_change = self.clock()
            self.values[name] = value

    @property
    def idle_seconds(self) -> float:
        """Seconds since anything changed."""
        return self.clock() - self.last_change


progress_metrics = ProgressMetrics()
"""The metrics of this process."""


# --- the server --------------------------------------------------------------------------------


@contextmanager
def serve_metrics(
    port: int | None, metrics: ProgressMetrics = progress_metrics
) -> Iterator[int | None]:
    """Serves metrics over HTTP while the `with` block runs; does nothing if `port` is None.

    Args:
        port: to listen on, at every address of the machine; 0 for any that is free.
        metrics: what to serve.

    Yields:
        The port.

    Raises:
        UserError: the port cannot be listened on.
    """
    if port is None:
        yield None
        return
    from http.server import ThreadingHTTPServer

    try:
        server = ThreadingHTTPServer(("", port), _request_handler(metrics))
    except OSError as error:
        raise UserError(
            f"--metrics_port {port}: cannot be listened on ({error.strerror}); choose another"
        ) from error
    metrics.watched = True
    metrics.last_change = metrics.clock()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://localhost:{server.server_port}/metrics"
        logger.info(url, extra={"stage": "metrics"})
        yield server.server_port
    finally:
        metrics.watched = False
        server.shutdown()
        server.server_close()
        thread.join()


def health_check(metrics: ProgressMetrics, query: str = "") -> tuple[int, str]:
    r"""Returns the HTTP status and the text of /healthz.

    >>> health_check(ProgressMetrics(clock=lambda: 5.0))
    (200, 'start: moved 0 s ago\n')
    >>> health_check(ProgressMetrics(), "after=soon")
    (400, 'after=soon: not a number of seconds\n')

    Args:
        metrics: of the program.
        query: of the request, such as `after=300`.
    """
    after = parse_qs(query).get("after", [str(STALLED_SECONDS)])[0]
    try:
        limit = float(after)
    except ValueError:
        return 400, f"after={after}: not a number of seconds\n"
    idle = metrics.idle_seconds
    if idle > limit:
        return 503, f"{metrics.stage}: nothing moved for {idle:.0f} s, more than {limit:.0f}\n"
    return 200, f"{metrics.stage}: moved {idle:.0f} s ago\n"


class MetricsCollector:
    """The metrics in the form in which Prometheus' client library collects them."""

    def __init__(self, metrics: ProgressMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yields the current values."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        metrics = self._metrics
        version = GaugeMetricFamily(
            "pmc2vec_build_info", "The version of pmc2vec that runs.", labels=["version"]
        )
        version.add_metric([__version__], 1)
        yield version
        for name, units, text in (
            ("stage_units_done", metrics.completed, "Units of the stage that are done."),
            ("stage_units", metrics.total, "Units of the stage in all, where it is known."),
        ):
            family = GaugeMetricFamily(f"pmc2vec_{name}", text, labels=["stage", "unit"])
            if units is not None:
                family.add_metric([metrics.stage, metrics.unit], units)
            yield family
        yield GaugeMetricFamily(
            "pmc2vec_idle_seconds",
            "Seconds since anything changed; /healthz compares it with its limit.",
            metrics.idle_seconds,
        )
        memory, cpu = family_usage(os.getpid())
        yield GaugeMetricFamily(
            "pmc2vec_resident_memory_bytes", "Memory of this process and its workers.", memory
        )
        yield CounterMetricFamily(
            "pmc2vec_cpu_seconds", "Processor time of this process and its workers.", cpu
        )
        # A copy: another thread may add a metric meanwhile.
        for name, value in tuple(metrics.values.items()):
            kind, text, exported = METRICS[name]
            family_type = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            yield family_type(f"pmc2vec_{exported or name}", text, value)


def family_usage(pid: int, proc: Path = Path("/proc")) -> tuple[int, float]:
    """Returns bytes of memory and seconds of processor time of a process and its descendants.

    Time of a child that has ended counts with its parent's; memory that processes share counts once
    for each. (0, 0.0) where there is no /proc.

    Args:
        pid: of the process.
        proc: of Linux.
    """
    usage: dict[int, tuple[int, float]] = {}
    parents: dict[int, int] = {}
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # It may end meanwhile.
            # proc(5): the fields after the name, which stands in brackets; field 4 is the parent,
            # 14 to 17 are clock ticks of it and its ended children, 24 is in pages.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            ticks = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
            number = int(folder.name)
            usage[number] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), ticks
            parents[number] = int(fields[1])
    family = {pid} & usage.keys()
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    memory, seconds = zip(*(usage[one] for one in family), strict=True) if family else ((), ())
    return sum(memory), float(sum(seconds))


def _request_handler(metrics: ProgressMetrics) -> type[BaseHTTPRequestHandler]:
    from http.server import BaseHTTPRequestHandler

    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry()
    registry.register(MetricsCollector(metrics))
    ProcessCollector(registry=registry)

    class Handler(BaseHTTPRequestHandler):
        """Answers GET."""

        def do_GET(self) -> None:  # The library calls it by this name.
            """Answers one request."""
            url = urlsplit(self.path)
            if url.path == "/metrics":
                self._respond(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif url.path == "/healthz":
                status, text = health_check(metrics, url.query)
                self._respond(status, text.encode(), "text/plain; charset=utf-8")
            else:
                self._respond(404, b"/metrics or /healthz\n", "text/plain; charset=utf-8")

        def _respond(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Logs no request."""

    return Handler
