"""How far each work item is, as a small file that its worker rewrites now and then.

Beam reports its counters when a stage has ended; a person who waits wants them before. On one
machine workers and the program that waits share a folder, whatever the engine.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

INTERVAL = 0.5
"""Seconds between two writes of one worker."""


@dataclass
class Heartbeat:
    """One work item's numbers, written at most every `INTERVAL` seconds.

    Attributes:
        folder: where, or None to write nothing (a remote engine).
        name: of the work item; a retry overwrites what the first attempt wrote.
    """

    folder: str | None
    name: str
    clock: Callable[[], float] = time.monotonic
    _written: float = field(default=float("-inf"), init=False)

    def beat(self, numbers: Mapping[str, int], *, last: bool = False) -> None:
        """Writes `numbers` if the last writing was long enough ago or this is the last.

        Whoever reads meanwhile sees these or the ones before.
        """
        now = self.clock()
        if self.folder is None or not (last or now - self._written >= INTERVAL):
            return
        self._written = now
        text = " ".join(f"{key}={value}" for key, value in numbers.items())
        half = Path(self.folder, f".{self.name}")
        with contextlib.suppress(OSError):  # On a full disk the work itself will say so.
            half.write_text(text)
            half.replace(half.with_name(self.name))


def total(folder: Path, prefix: str) -> Counter[str]:
    """Returns the sums over all work items whose name begins with `prefix`."""
    sums: Counter[str] = Counter()
    for path in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            for part in path.read_text().split():
                key, _, value = part.partition("=")
                if value.isdigit():  # Not every file system renames as a whole.
                    sums[key] += int(value)
    return sums
