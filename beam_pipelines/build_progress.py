"""What a person sees of a build: progress while it runs, and the funnel at its end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from beam_pipelines.inputs.article_versions import LISTED
from beam_pipelines.inputs.work_items import VERSION_BYTES
from beam_pipelines.stages.corpus_files import finished_parts, sum_summaries
from beam_pipelines.stages.corpus_parts import NOT_DOWNLOADED
from beam_pipelines.stages.duplicates import OLDER_VERSION
from beam_pipelines.stages.finishing import SUPERSEDED_EARLIER
from beam_pipelines.stages.output_folder import SUMMARIES_FOLDER, OutputFolder, sum_heartbeats
from pmc2vec.cli.console import SECONDS_BETWEEN_LINES, Progress, progress, stderr_console
from pmc2vec.cli.metrics import progress_metrics
from pmc2vec.dataset.manifest import Manifest
from pmc2vec.dataset.records import SPLITS
from pmc2vec.errors import UserError
from pmc2vec.storage.files import list_files

_MEGA = 1e6
_PAUSE = 0.25
"""Seconds between two looks at the heartbeats, at least."""
_UNREAD = f"{NOT_DOWNLOADED}:"
_METRICS = {
    "read": "articles_read", "kept": "articles_kept", "bytes": "input_bytes",
    "xml_bytes": "xml_bytes",
}  # fmt: skip
"""Name of a number in the heartbeats -> name of the metric that it is served as."""


class BuildDisplay:
    """Shows the build's progress from the heartbeats of its workers, while a `with` block runs.

    First the corpus (MB of input read, of all; of a bucket alone, article versions), then, with
    phrases, the words counted, and at last the words drawn for records. Where workers have no
    heartbeats, the finished files.
    """

    def __init__(
        self,
        output: OutputFolder,
        inputs: Sequence[tuple[str, int]],
        *,
        versions: int = 0,
        passes: int,
        phrases: int,
        quiet: bool,
    ) -> None:
        self._output = output
        self._input_bytes = sum(size for _, size in inputs)
        self._versions = versions
        self._is_shown = not quiet or progress_metrics.watched
        self._console = Console(quiet=True) if quiet else stderr_console()
        self._folder = Path(output.heartbeats or "")
        # Words are counted once for each pass of phrases and once with all joined. An increment
        # takes the phrases of the earlier dataset, and counts once.
        self._times_counted = phrases and (1 if output.since else phrases + 1)
        self._times_drawn = passes
        self._stop = threading.Event()
        watch = self._watch_files if output.heartbeats is None else self._watch
        self._thread = threading.Thread(target=watch, daemon=True)

    def __enter__(self) -> None:
        """Starts watching."""
        if self._output.heartbeats is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for old_heartbeat in self._folder.iterdir():
                old_heartbeat.unlink()
        if self._is_shown:
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops watching."""
        self._stop.set()
        if self._is_shown:
            self._thread.join()

    def _watch(self) -> None:
        if self._output.corpus is None:
            unit = "versions" if self._versions and not self._input_bytes else "MB"
            total = self._amount(self._versions, self._input_bytes)
            with progress("read", unit, total=total, on=self._console) as reading:
                self._follow(lambda: self._show_reading(reading), until=("counted-", "records-"))
        if self._times_counted:
            self._show_words("count", "counted-", self._times_counted, until=("records-",))
        self._show_words("draw", "records-", self._times_drawn, until=())

    def _watch_files(self) -> None:
        """Shows how many files are finished: other engines show no more, on any filesystem."""
        finished_files = (
            ("part-*.json", self._output.path(SUMMARIES_FOLDER)),
            ("*.tfrecord", self._output.path()),
        )
        with progress("build", "files", on=self._console) as writing:
            while not self._stop.wait(SECONDS_BETWEEN_LINES):
                with contextlib.suppress(UserError):  # A listing may fail now and then.
                    count = sum(len(list_files(folder, name)) for name, folder in finished_files)
                    progress_metrics.set(build_files=count)
                    writing.update(count)

    def _follow(self, show: Callable[[], None], *, until: tuple[str, ...]) -> None:
        """Shows again and again until a later stage has begun or all is done."""
        pause = _PAUSE
        while not self._stop.wait(pause):
            if any(map(self._begun, until)):
                break
            began = time.monotonic()
            show()
            # A look at thousands of heartbeats must not take a processor from the work.
            pause = max(_PAUSE, 20 * (time.monotonic() - began))
        show()

    def _begun(self, prefix: str) -> bool:
        """Tells whether there is a heartbeat whose name begins so."""
        return any(self._folder.glob(f"{prefix}*"))

    def _show_words(self, title: str, prefix: str, times: int, *, until: tuple[str, ...]) -> None:
        # A small build may draw all its records between two looks, and be done at the second.
        if self._stop.is_set() and not self._begun(prefix):
            return
        tokens = sum_summaries(finished_parts(self._output), self._output).funnel["tokens"]
        with progress(title, "words", total=tokens * times, on=self._console) as bar:
            self._follow(
                lambda: bar.update(sum_heartbeats(self._folder, prefix)["words"]), until=until
            )

    def _show_reading(self, reading: Progress) -> None:
        totals = sum_heartbeats(self._folder, "corpus-")
        progress_metrics.set(
            **{f"build_{metric}": totals[name] for name, metric in _METRICS.items()}
        )
        elapsed = max(reading.elapsed, 1e-9)
        columns: dict[str, Any] = {
            "articles": f"{totals['read']:,} articles",
            "kept": f"{totals['kept']:,} kept",
        }
        if totals["xml_bytes"]:  # Plain text has none.
            columns["speed"] = f"{totals['xml_bytes'] / elapsed / _MEGA:.0f} MB/s"
        reading.update(self._amount(totals["versions"], totals["bytes"]), **columns)

    def _amount(self, versions: int, size: int) -> int:
        """Returns article versions where a bucket alone is read, else MB."""
        if self._versions and not self._input_bytes:
            return versions
        return round((versions * VERSION_BYTES + size) / _MEGA)


def corpus_table(funnel: Mapping[str, int]) -> str:
    """Returns the funnel as aligned lines: what was read, what went and why, what is left."""
    return _aligned(_funnel_rows(funnel))


def funnel_table(manifest: Manifest) -> str:
    """Returns the funnel, the vocabulary and the splits as aligned lines."""
    words = manifest.vocabulary
    rows = _funnel_rows(manifest.funnel)
    if manifest.since:  # Whose words count too.
        tokens = words.tokens + words.dropped_tokens
        rows.append(("tokens with those of earlier datasets", f"{tokens:,}"))
    rows += [
        ("  not in the vocabulary", f"{-words.dropped_tokens:,}"),
        ("words in the vocabulary", f"{words.size:,}"),
    ]
    for split in SPLITS:
        shards = manifest.select(split)
        rows.append((f"{split} pairs", f"{sum(s.pairs for s in shards):,}"))
        rows.append((f"{split} MB", f"{sum(s.bytes for s in shards) / _MEGA:,.1f}"))
    return _aligned(rows)


def _funnel_rows(funnel: Mapping[str, int]) -> list[tuple[str, str]]:
    rows = []
    if LISTED in funnel:
        rows.append(("article versions listed", f"{funnel[LISTED]:,}"))
        rows += [_reason_row(*item) for item in funnel.items() if item[0].startswith(_UNREAD)]
    rows.append(("articles read", f"{funnel.get('read', 0):,}"))
    for name, count in funnel.items():
        if ":" in name and not name.startswith(_UNREAD):
            rows.append(_reason_row(name, count))
        elif name.endswith("_archive"):
            rows.append((f"  {name.replace('_', ' ')}s", f"{count:,}"))
    if OLDER_VERSION in funnel:
        rows.append(("  kept in an older version", f"{funnel[OLDER_VERSION]:,}"))
    if SUPERSEDED_EARLIER in funnel:
        rows.append(("  of earlier ones superseded", f"{funnel[SUPERSEDED_EARLIER]:,}"))
    return [
        *rows,
        ("articles kept", f"{funnel.get('kept', 0):,}"),
        ("sentences", f"{funnel.get('sentences', 0):,}"),
        ("tokens", f"{funnel.get('tokens', 0):,}"),
    ]


def _reason_row(name: str, count: int) -> tuple[str, str]:
    return f"  {name.replace(':', ', ').replace('_', ' ')}", f"-{count:,}"


def _aligned(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:>14}" for name, value in rows)
