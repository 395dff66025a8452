"""Python's search for garbage, kept away from engines: a million objects, and none of them is."""

from __future__ import annotations

import atexit
import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def not_sought() -> Iterator[None]:
    """Searches nothing inside; for the loading of modules. Beam's take a quarter less time so."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def not_sought_at_exit() -> None:
    """Ends the process without a last search, which takes up to two seconds."""
    atexit.register(gc.freeze)
