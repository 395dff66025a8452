"""The figures of a running program over HTTP: `--metrics_port`.

    /metrics             Prometheus' text format: figures, and the process's memory and CPU time
    /healthz             200 while there is progress, 503 when nothing moved for 15 minutes
    /healthz?after=300   the same for 5 minutes

Answered by a thread of its own, for as long as the program runs; figures are never waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from pmc2vec import __version__
from pmc2vec.cli import logging_setup
from pmc2vec.cli.progress_metrics import FIGURES, Figures, known
from pmc2vec.errors import UserError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

STALLED = 900.0
"""Seconds without progress after which a program is unwell, where the asker says nothing else.

The longest silences of a healthy one: before its first figures, archives without a filelist are
gone through for their member names, and TensorFlow compiles the step.
"""


class Collector:
    """Figures as Prometheus' client library asks for them."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yields the figures known now."""
        from prometheus_client.core import GaugeMetricFamily

        figures = self._figures
        about = GaugeMetricFamily("pmc2vec", "The version that runs.", labels=["version"])
        about.add_metric([__version__], 1)
        yield about
        stage = [figures.stage, figures.unit]
        for name, units, text in (
            ("done", figures.done, "Units of the stage that are done."),
            ("total", figures.total, "Units of the stage in all, where it is known."),
        ):
            family = GaugeMetricFamily(f"pmc2vec_stage_{name}", text, labels=["stage", "unit"])
            if units is not None:
                family.add_metric(stage, units)
            yield family
        yield GaugeMetricFamily(
            "pmc2vec_idle_seconds", "Since anything moved; /healthz looks at it.", figures.idle
        )
        for name, value in tuple(figures.values.items()):
            yield GaugeMetricFamily(f"pmc2vec_{name}", FIGURES[name], value)


@contextmanager
def served(port: int | None, figures: Figures = known) -> Iterator[int | None]:
    """Answers on a port while the work inside runs; on none if `port` is None.

    Args:
        port: to listen on, at every address of the machine; 0 for any that is free.
        figures: what to tell.

    Yields:
        The port.

    Raises:
        UserError: the port cannot be listened on.
    """
    if port is None:
        yield None
        return
    try:
        server = ThreadingHTTPServer(("", port), _handler(figures))
    except OSError as error:
        raise UserError(
            f"--metrics_port {port}: cannot be listened on ({error.strerror}); choose another"
        ) from error
    figures.watched = True
    figures.moved = figures.clock()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        logging_setup.note("metrics", f"http://localhost:{server.server_port}/metrics")
        yield server.server_port
    finally:
        figures.watched = False
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(figures: Figures) -> type[BaseHTTPRequestHandler]:
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry()
    registry.register(Collector(figures))
    ProcessCollector(registry=registry)

    class Handler(BaseHTTPRequestHandler):
        """Answers GET."""

        def do_GET(self) -> None:  # The name that the library calls.
            """Answers one request."""
            asked = urlsplit(self.path)
            if asked.path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif asked.path == "/healthz":
                status, text = health(figures, asked.query)
                self._answer(status, text.encode(), "text/plain; charset=utf-8")
            else:
                self._answer(404, b"/metrics or /healthz\n", "text/plain; charset=utf-8")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing of requests: they come every few seconds."""

    return Handler


def health(figures: Figures, query: str = "") -> tuple[int, str]:
    r"""Returns the status and the text of /healthz.

    >>> health(Figures(clock=lambda: 5.0))
    (200, 'start: moved 0 s ago\n')
    >>> health(Figures(), "after=soon")
    (400, 'after=soon: not a number of seconds\n')

    Args:
        figures: of the program.
        query: of the request, such as `after=300`.
    """
    after = parse_qs(query).get("after", [str(STALLED)])[0]
    try:
        limit = float(after)
    except ValueError:
        return 400, f"after={after}: not a number of seconds\n"
    idle = figures.idle
    if idle > limit:
        return 503, f"{figures.stage}: nothing moved for {idle:.0f} s, more than {limit:.0f}\n"
    return 200, f"{figures.stage}: moved {idle:.0f} s ago\n"
