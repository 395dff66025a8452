"""What a person sees of a build: progress while it runs, and the funnel at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from beam_pipelines.manifest import Manifest
from beam_pipelines.progress import Progress, progress
from beam_pipelines.records import SPLITS
from beam_pipelines.stages import heartbeats
from beam_pipelines.stages.output import Output
from beam_pipelines.stages.parts import finished_parts, total

_MEGA = 1e6


class Display:
    """Shows the build's progress from the heartbeats of its workers, while a `with` block runs.

    First the corpus (MB of input read, of all), then, with phrases, the words counted, and at last
    the words drawn for records.
    """

    def __init__(
        self,
        output: Output,
        inputs: Sequence[tuple[str, int]],
        *,
        passes: int,
        phrases: int,
        quiet: bool,
    ) -> None:
        self._output = output
        self._input_bytes = sum(size for _, size in inputs)
        self._shown = output.heartbeats is not None and not quiet
        self._folder = Path(output.heartbeats or "")
        self._counted = phrases and phrases + 1  # once for each pass, and once with all joined
        self._drawn = passes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        """Starts watching."""
        if self._output.heartbeats is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left_over in self._folder.iterdir():
                left_over.unlink()
        if self._shown:
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops watching."""
        self._stop.set()
        if self._shown:
            self._thread.join()

    def _watch(self) -> None:
        if self._output.corpus is None:
            with progress("read", "MB", total=round(self._input_bytes / _MEGA)) as reading:
                self._follow(lambda: self._show_reading(reading), until=("counted-", "records-"))
        if self._counted:
            self._show_words("count", "counted-", self._counted, until=("records-",))
        self._show_words("draw", "records-", self._drawn, until=())

    def _follow(self, show: Callable[[], None], *, until: tuple[str, ...]) -> None:
        """Shows again and again until a later stage has begun or all is done."""
        while not self._stop.wait(0.25):
            if any(next(self._folder.glob(f"{prefix}*"), None) for prefix in until):
                break
            show()
        show()

    def _show_words(self, title: str, prefix: str, times: int, *, until: tuple[str, ...]) -> None:
        if self._stop.is_set():
            return
        tokens = total(finished_parts(self._output), self._output).funnel["tokens"]
        with progress(title, "words", total=tokens * times) as shown:
            self._follow(
                lambda: shown.update(heartbeats.total(self._folder, prefix)["words"]), until=until
            )

    def _show_reading(self, reading: Progress) -> None:
        seen = heartbeats.total(self._folder, "corpus-")
        elapsed = max(reading.elapsed, 1e-9)
        shown: dict[str, Any] = {"articles": f"{seen['read']:,} articles"}
        shown["kept"] = f"{seen['kept']:,} kept"
        if seen["xml_bytes"]:  # plain text has none
            shown["speed"] = f"{seen['xml_bytes'] / elapsed / _MEGA:.0f} MB/s of XML"
        reading.update(round(seen["bytes"] / _MEGA), **shown)


def corpus_table(funnel: Mapping[str, int]) -> str:
    """Returns the funnel as aligned lines: what was read, what went and why, what is left."""
    return _aligned(_funnel_rows(funnel))


def funnel_table(manifest: Manifest) -> str:
    """Returns the funnel, the vocabulary and the splits as aligned lines."""
    words = manifest.vocabulary
    rows = [
        *_funnel_rows(manifest.funnel),
        ("  not in the vocabulary", f"-{words.dropped_tokens:,}"),
        ("words in the vocabulary", f"{words.size:,}"),
    ]
    for split in SPLITS:
        shards = manifest.select(split)
        rows.append((f"{split} pairs", f"{sum(s.pairs for s in shards):,}"))
        rows.append((f"{split} MB", f"{sum(s.bytes for s in shards) / _MEGA:,.1f}"))
    return _aligned(rows)


def _funnel_rows(funnel: Mapping[str, int]) -> list[tuple[str, str]]:
    rows = [("articles read", f"{funnel.get('read', 0):,}")]
    for name, count in funnel.items():
        words_of = name.replace(":", ", ").replace("_", " ")
        if ":" in name:
            rows.append((f"  {words_of}", f"-{count:,}"))
        elif name.endswith("_archive"):
            rows.append((f"  {words_of}s", f"{count:,}"))
    return [
        *rows,
        ("articles kept", f"{funnel.get('kept', 0):,}"),
        ("sentences", f"{funnel.get('sentences', 0):,}"),
        ("tokens", f"{funnel.get('tokens', 0):,}"),
    ]


def _aligned(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:>14}" for name, value in rows)
