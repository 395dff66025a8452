"""The folder that a build writes, and where in it each step's files stand."""

from __future__ import annotations

from dataclasses import dataclass

from beam_pipelines.stages.heartbeats import Heartbeat
from pmc2vec.storage.files import join

REJECTED = "rejected.jsonl"
SOURCES = "SOURCES.tsv"
SUPERSEDED = "superseded.tsv"


@dataclass(frozen=True)
class Output:
    """Where a build writes.

    Attributes:
        folder: of the dataset, on any filesystem.
        heartbeats: local folder for progress, or None.
        corpus: dataset whose corpus is used, where it is not this one.
        since: earlier dataset that this one is an increment to.
    """

    folder: str
    heartbeats: str | None = None
    corpus: str | None = None
    since: str | None = None

    def path(self, *names: str) -> str:
        """Returns the path of a file in the dataset."""
        return join(self.folder, *names)

    def corpus_path(self, *names: str) -> str:
        """Returns the path of a file of the corpus or of its counts."""
        return join(self.corpus or self.folder, *names)

    def heartbeat(self, name: str) -> Heartbeat:
        """Returns the heartbeat of one work item."""
        return Heartbeat(self.heartbeats, name)
