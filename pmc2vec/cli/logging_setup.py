"""Logging of the programs: lines on stderr, of text or (`--log_format json`) of JSON.

Every module logs with `logging.getLogger(__name__)`; `extra` names the stage, where there is one,
and its numbers:

    logger.info("continues after step 500", extra={"stage": "train"})

    train: continues after step 500

    {"time": "2026-11-20T14:03:21.412+00:00", "level": "info", "stage": "train",
     "message": "continues after step 500", "figures": {"train_step": 500, ...}}

A JSON line always has these five keys, and `logger` (of another package) and `traceback` where
there is one. What Beam, TensorFlow and `warnings` report through Python becomes such lines too;
what C++ writes by itself (TensorFlow, CUDA) does not.

Only a program's `main` sets logging up. `pmc2vec.build(...)` and `pmc2vec.train(...)` leave it as
their caller has it.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

from pmc2vec.cli.metrics import progress_metrics

LogFormat = Literal["text", "json"]

# `__main__` is the name of a module that is run as `python -m trainer.task`.
PACKAGES = ("pmc2vec", "beam_pipelines", "trainer", "__main__")


def configure_logging(log_format: LogFormat, *, quiet: bool = False) -> None:
    """Makes this process log to stderr in a format; for `main` functions only.

    Args:
        log_format: of the lines.
        quiet: log nothing of ours below a warning.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, StderrHandler):
            root.removeHandler(handler)
    root.addHandler(StderrHandler(JsonFormatter() if log_format == "json" else TextFormatter()))
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.WARNING if quiet else logging.INFO)
    logging.captureWarnings(log_format == "json")
    sys.excepthook = _log_exception if log_format == "json" else sys.__excepthook__


def ensure_logging() -> None:
    """Logs text from now on, unless `configure_logging` was called before."""
    if not any(isinstance(handler, StderrHandler) for handler in logging.getLogger().handlers):
        configure_logging("text")


def format_line(message: str, *, level: int, stage: str) -> str:
    """Returns the line that logging would write now, for what must write it without Python."""
    record = logging.LogRecord(__name__, level, "", 0, "%s", (message,), None)
    record.stage = stage
    handlers = logging.getLogger().handlers
    stderr_handler = next(
        (handler for handler in handlers if isinstance(handler, StderrHandler)), None
    )
    return (stderr_handler or StderrHandler(TextFormatter())).format(record)


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]  # Generic for mypy only.
    """Writes to what `sys.stderr` is at that moment, which rich replaces while it shows a bar."""

    def __init__(self, formatter: logging.Formatter) -> None:
        logging.Handler.__init__(self)  # StreamHandler's would set `stream`.
        self.setFormatter(formatter)

    @property
    def stream(self) -> TextIO:
        """The stream to write to."""
        return sys.stderr


class TextFormatter(logging.Formatter):
    """Formats a record as `stage: error: message`, below the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line; an info has no level in it, and one without a stage is the message."""
        stage = getattr(record, "stage", "" if _is_ours(record) else record.name)
        level = record.levelname.lower() if record.levelno > logging.INFO else ""
        line = ": ".join(filter(None, (stage, level, record.getMessage())))
        return _traceback_text(record) + line


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object; see the module's text for its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        figures = {**getattr(record, "figures", {}), **progress_metrics.values}
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "stage": getattr(record, "stage", progress_metrics.stage),
            "message": record.getMessage().strip(),
            "figures": {name: _json_value(value) for name, value in figures.items()},
        }
        if not _is_ours(record):
            entry["logger"] = record.name
        if record.exc_info:
            entry["traceback"] = _traceback_text(record)
        return json.dumps(entry, ensure_ascii=False)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in PACKAGES


def _traceback_text(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""


def _json_value(value: float | str | None) -> float | str | None:
    """Returns the value; None for NaN and infinity, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _log_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logger = logging.getLogger(__name__)
    logger.error("%s: %s", kind.__name__, error, exc_info=(kind, error, trace))
