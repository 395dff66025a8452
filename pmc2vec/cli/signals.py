"""SIGTERM and Ctrl-C as a request to stop at the next good place, instead of a sudden end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

CAUGHT = (signal.SIGTERM, signal.SIGINT)


@dataclass
class StopRequest:
    """Whether someone wants the program to stop.

    Attributes:
        signal: the signal that said so, or None.
    """

    signal: int | None = None


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Yields what the first signal sets; a second one ends the program as if nothing caught it.

    In another thread than the main one, where Python allows no handlers, nothing is caught.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in CAUGHT}

    def restore() -> None:
        """Gives the signals back to whom they had before."""
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, _frame: FrameType | None) -> None:
        """Notes the first signal; the next one does what it did before."""
        request.signal = number
        restore()

    for number in CAUGHT:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()
