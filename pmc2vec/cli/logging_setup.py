"""How a program speaks on stderr: in lines of text or, with `--log_format json`, of JSON.

    {"time": "2026-11-20T14:03:21.412+00:00", "level": "info", "stage": "read",
     "message": "1,204 of 3,989 MB (30%), 100 MB/s", "figures": {"done": 1204, ...}}

A JSON line has these five keys always; `logger` and `traceback` where there is one. What engines
log through Python's `logging` and `warnings` becomes such lines too; what C++ writes by itself
(TensorFlow, CUDA) does not.
"""

from __future__ import annotations

import io
import json
import logging
import math
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, TextIO

from pmc2vec.cli import verbosity
from pmc2vec.cli.progress_metrics import known
from pmc2vec.cli.verbosity import LogFormat


def begin(log_format: LogFormat) -> None:
    """Sets how this process speaks on stderr from now on."""
    before, verbosity.asked.log_format = verbosity.asked.log_format, log_format
    if log_format == before:
        return
    as_json = log_format == "json"
    sys.excepthook = _excepthook if as_json else sys.__excepthook__
    logging.captureWarnings(as_json)
    logging.basicConfig(level=logging.WARNING, handlers=handlers(), force=True)


def handlers() -> list[logging.Handler] | None:
    """Returns the handlers for `logging.basicConfig`; None for its own."""
    return [_Handler()] if verbosity.asked.log_format == "json" else None


def line(
    stage: str,
    message: str,
    *,
    level: str = "info",
    figures: Mapping[str, float | str | None] = MappingProxyType({}),
    more: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Returns a line of JSON.

    Args:
        stage: what is being done; empty for that of the figures.
        message: for people.
        level: `info`, `warning` or `error`.
        figures: numbers of the stage; those of the process come with them.
        more: other keys.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    every = {name: _finite(value) for name, value in {**figures, **known.values}.items()}
    found: dict[str, Any] = {"time": now, "level": level, "stage": stage or known.stage}
    return json.dumps(found | {"message": message, "figures": every, **more}, ensure_ascii=False)


def _finite(value: float | str | None) -> float | str | None:
    """Returns the value, or None for a number that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def tell(stage: str, message: str, *, level: str = "info", trace: str = "") -> None:
    """Says something on stderr, also where notes are not wanted: how a program ends.

    Args:
        stage: what says it, such as `pmc2vec build`.
        message: one line.
        level: `info` or `error`.
        trace: where in the code it comes from, if that is to be told.
    """
    if verbosity.asked.log_format == "json":
        more = {"traceback": trace} if trace else {}
        print(line(stage, message, level=level, more=more), file=sys.stderr)
    else:
        told = f"{level}: {message}" if level == "error" else message
        print(f"{trace}{stage}: {told}", file=sys.stderr)


def note(stage: str, message: str) -> None:
    """Says something on stderr, unless --quiet."""
    if not verbosity.asked.quiet:
        tell(stage, message)


class Lines(io.TextIOBase):
    """A text file that turns each line written to it into one of JSON.

    `train: continues after step 500` is of the stage `train`.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._rest = ""

    def write(self, text: str) -> int:
        """Writes a JSON line for every line that is complete now."""
        *whole, self._rest = (self._rest + text).split("\n")
        for told in filter(None, map(str.strip, whole)):
            stage, colon, message = told.partition(": ")
            if not colon or not stage.isidentifier():
                stage, message = "", told
            self._file.write(line(stage, message) + "\n")
        self._file.flush()
        return len(text)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # Generic for mypy only.
    """Writes what is logged as JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of one record."""
        more = {"logger": record.name}
        if record.exc_info:
            more["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        level = record.levelname.lower()
        return line("", record.getMessage(), level=level, more=more)


def _excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    told = "".join(traceback.format_exception(kind, error, trace))
    more = {"traceback": told}
    print(line("", f"{kind.__name__}: {error}", level="error", more=more), file=sys.stderr)
