"""Programs that tests start and listen to."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any


@contextmanager
def killed_after(process: subprocess.Popen[Any], seconds: float) -> Iterator[None]:
    """Kills a program that is not done with what is waited for, so that a test cannot hang."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def first_line(process: subprocess.Popen[str], stream: IO[str] | None) -> str:
    """Returns the first line that a program prints; what it has of one after two minutes."""
    assert stream is not None
    with killed_after(process, 120):
        return stream.readline()
