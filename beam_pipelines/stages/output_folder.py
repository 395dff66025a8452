"""The folder that a build writes: where each file stands, and the heartbeats of its workers.

    output = OutputFolder("data")
    output.path("corpus", "part-00003.parquet")     # data/corpus/part-00003.parquet

A heartbeat is a small local file in which a worker says how far its work item is. Beam reports its
counters only when a stage has ended, and a person who waits wants to see them earlier. On one
machine the workers and the program that waits share a folder, whatever the engine.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmc2vec.storage.files import join
from pmc2vec.storage.object_stores import use_storage_options

REJECTED_NAME = "rejected.jsonl"
SOURCES_NAME = "SOURCES.tsv"
SUPERSEDED_NAME = "superseded.tsv"
CATALOGUE_FOLDER = "catalogue"
"""What a stage of the build tells the next; nothing reads it later."""
SUMMARIES_FOLDER = "parts"
"""What is known of each part of the corpus, apart from its text."""

HEARTBEAT_SECONDS = 0.5
"""Least time between two writes of one worker: twice as often as the display looks."""


@dataclass(frozen=True)
class OutputFolder:
    """Where a build writes.

    Attributes:
        folder: of the dataset, on any filesystem.
        heartbeats: local folder for progress, or None.
        corpus: dataset whose corpus is used, or None for this one.
        since: earlier dataset that this one is an increment to.
        storage_options: for object stores. A process that unpickles an output folder, as each
            worker of a job does before it touches a file, uses them from then on.
    """

    folder: str
    heartbeats: str | None = None
    corpus: str | None = None
    since: str | None = None
    storage_options: tuple[tuple[str, str], ...] = ()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Sets the fields of an unpickled folder and the options of this process."""
        self.__dict__.update(state)
        use_storage_options(dict(self.storage_options))

    def path(self, *names: str) -> str:
        """Returns the path of a file in the dataset."""
        return join(self.folder, *names)

    def corpus_path(self, *names: str) -> str:
        """Returns the path of a file of the corpus or of its word counts."""
        return join(self.corpus or self.folder, *names)

    def heartbeat(self, name: str) -> Heartbeat:
        """Returns the heartbeat of one work item."""
        return Heartbeat(self.heartbeats, name)


@dataclass
class Heartbeat:
    """The numbers of one work item, written at most every HEARTBEAT_SECONDS.

    Attributes:
        folder: where to write, or None to write nothing (a remote engine).
        name: of the work item; a retry overwrites what the first attempt wrote.
        clock: returns seconds.
    """

    folder: str | None
    name: str
    clock: Callable[[], float] = time.monotonic
    _last_write: float = field(default=float("-inf"), init=False)

    def beat(self, numbers: Mapping[str, int], *, last: bool = False) -> None:
        """Writes `numbers`, unless the last write was a moment ago and this is not the last.

        A reader sees these numbers or the ones before, never a part of them.
        """
        now = self.clock()
        if self.folder is None or not (last or now - self._last_write >= HEARTBEAT_SECONDS):
            return
        self._last_write = now
        text = " ".join(f"{key}={value}" for key, value in numbers.items())
        temporary = Path(self.folder, f".{self.name}")
        with contextlib.suppress(OSError):  # The work itself will report a full disk.
            temporary.write_text(text)
            temporary.replace(temporary.with_name(self.name))


def sum_heartbeats(folder: Path, prefix: str) -> Counter[str]:
    """Returns the sums over all work items whose name begins with `prefix`."""
    sums: Counter[str] = Counter()
    for path in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            for pair in path.read_text().split():
                key, _, value = pair.partition("=")
                if value.isdigit():  # Some network filesystems do not rename atomically.
                    sums[key] += int(value)
    return sums
