"""WORKDIR/report.html: how a training went, on one page, in one file that fetches nothing."""

from __future__ import annotations

import html
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pmc2vec import __version__
from pmc2vec.dataset.manifest import Manifest
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.history import EpochRecord, History
from trainer.word_map import MAP_SIZE, map_labels

REPORT_NAME = "report.html"

_CHART_SIZE = 420, 220
_MAP_NOTE = (
    "Two directions of greatest variance of unit vectors, the most frequent content words; where "
    "two labels would overlap, the rarer word is left out."
)
_COLOURS = "#0b4f6c", "#c2571a", "#4a7c2c", "#7b4b94", "#8a8f98"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2126; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; margin: .5rem 0 } td, th { padding: .15rem .8rem .15rem 0;
  text-align: left; vertical-align: top; border-bottom: 1px solid #e4e6e8; font-weight: normal }
th { color: #5c6570 } td.number { text-align: right; font-variant-numeric: tabular-nums }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem } svg { max-width: 100%; height: auto }
text { font: 12px system-ui, sans-serif } .note { color: #5c6570 }
"""


@dataclass(frozen=True)
class ReportFacts:
    """What the report shows.

    Attributes:
        workdir: its folder.
        summary: names and values of the result, in the order in which they are shown.
        options: those that are not their defaults.
        history: of the training.
        manifest: of the dataset.
        vectors: the published vectors.
    """

    workdir: Path
    summary: Mapping[str, str]
    options: Mapping[str, Any]
    history: History
    manifest: Manifest
    vectors: Vectors


def write_report(facts: ReportFacts) -> Path:
    """Writes the report and returns its path."""
    path = facts.workdir / REPORT_NAME
    with atomic_local_file(path) as file:
        file.write(report(facts).encode())
    return path


def report(facts: ReportFacts) -> str:
    """Returns the page."""
    manifest, epochs = facts.manifest, facts.history.epochs
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in kB.
    summary = {**facts.summary, "memory at most": f"{memory / 1e9:.1f} GB"}
    name = html.escape(facts.workdir.resolve().name)
    parts = [
        f"<h1>Training {name}</h1>",
        _table(summary),
        "<h2>By epoch</h2>",
        _curves(epochs),
        f"<p>{html.escape(gap_sentence(epochs))}</p>",
        "<h2>Map of words</h2>",
        word_map(facts.vectors),
        f"<p class=note>{_MAP_NOTE}</p>",
        "<h2>Neighbours by epoch</h2>",
        _neighbours(epochs),
        "<h2>What was read</h2>",
        _table({name.replace("_", " "): f"{n:,}" for name, n in manifest.funnel.items()}),
        "<h2>Licences</h2>",
        _table({name: f"{n:,} articles" for name, n in manifest.licences.items()}),
        "<p class=note>SOURCES.tsv of the dataset names every article with its licence.</p>",
        "<h2>Options that are not the default</h2>",
        _table({f"--{name}": _option_text(value) for name, value in facts.options.items()})
        if facts.options
        else "<p>None.</p>",
        f"<p class=note>pmc2vec {__version__}, Python {sys.version.partition(' ')[0]}</p>",
    ]
    head = f'<meta charset="utf-8"><title>{name}: pmc2vec</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def gap_sentence(epochs: Sequence[EpochRecord]) -> str:
    """Returns a sentence on training loss and validation loss."""
    measured = [record for record in epochs if record.validation_loss is not None]
    if not measured:
        return (
            "There is no validation loss, since the dataset holds no article out "
            "(build --validation_fraction)."
        )
    last = measured[-1]
    lowest = min(measured, key=lambda record: record.validation_loss or 0)
    assert last.validation_loss is not None
    gap = last.validation_loss - last.loss
    sentence = (
        f"Validation loss, of articles that were not trained on, ends {abs(gap):.3f} "
        f"{'above' if gap > 0 else 'below'} training loss. "
    )
    if lowest is not last:
        return sentence + (
            f"It was lowest after epoch {lowest.epoch} and rose since: the model has begun to "
            "learn its texts by heart. Word pairs (--evaluate) tell whether the vectors still "
            "gain from it."
        )
    if gap > 0:
        return sentence + (
            "Some of what was learnt holds for these texts only; the gap shrinks with more text."
        )
    return sentence + (
        "Nothing was learnt by heart: training loss is a mean over the epoch, in which the vectors "
        "were not yet as good as at its end."
    )


# --- pictures ------------------------------------------------------------------------------------


def word_map(vectors: Vectors) -> str:
    """Returns an SVG of frequent content words, near each other where their vectors are."""
    labels = map_labels(vectors)
    if not labels:
        return "<p>There are too few words for a map.</p>"
    (width, height), colour = MAP_SIZE, _COLOURS[0]
    marks = (
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="2.5" fill="{colour}"/>'
        f'<text x="{x + 5:.0f}" y="{y + 4:.0f}" fill="{colour}">{html.escape(word)}</text>'
        for word, x, y in labels
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="map of words">{"".join(marks)}</svg>'
    )


def _curves(epochs: Sequence[EpochRecord]) -> str:
    """Returns charts of losses, accuracies and word-pair scores."""
    if not epochs:
        return "<p>No epoch was finished.</p>"
    pairs = sorted({name for record in epochs for name in record.spearman})
    charts: dict[str, dict[str, Sequence[float | None]]] = {
        "loss": {
            "training": [record.loss for record in epochs],
            "validation": [record.validation_loss for record in epochs],
        },
        "accuracy": {
            "training": [record.accuracy for record in epochs],
            "validation": [record.validation_accuracy for record in epochs],
        },
    }
    if pairs:
        charts["Spearman, word pairs"] = {
            name: [record.spearman.get(name) for record in epochs] for name in pairs
        }
    numbers = [record.epoch for record in epochs]
    svgs = (_line_chart(title, numbers, lines) for title, lines in charts.items())
    return f'<div class="charts">{"".join(svgs)}</div>'


def _line_chart(
    title: str, numbers: Sequence[int], lines: Mapping[str, Sequence[float | None]]
) -> str:
    """Returns an SVG of lines over epochs, each named at its end."""
    (width, height), left, right, top = _CHART_SIZE, 48, 96, 26
    values = [value for line in lines.values() for value in line if value is not None]
    low, high = min(values), max(values)
    scale = (height - top - 30) / max(high - low, 1e-9)
    step = (width - left - right) / max(numbers[-1] - numbers[0], 1)
    parts = [f'<text x="{left}" y="14" font-weight="600">{html.escape(title)}</text>']
    for value in (low, high):
        y = top + (high - value) * scale
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e6e8"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for number in {numbers[0], numbers[-1]}:
        x = left + (number - numbers[0]) * step
        parts.append(
            f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">epoch {number}</text>'
        )
    label_y = -1e9
    ends = sorted(lines.items(), key=lambda line: -(next(filter(None, line[1][::-1]), low)))
    for place, (name, line) in enumerate(ends):
        points = [
            (left + (number - numbers[0]) * step, top + (high - value) * scale)
            for number, value in zip(numbers, line, strict=True)
            if value is not None
        ]
        if points:
            label_y = max(label_y + 14, points[-1][1] + 4)
            parts.append(_line(name, points, _COLOURS[place % len(_COLOURS)], label_y))
    return f'<svg viewBox="0 0 {width} {height}" width="{width}">{"".join(parts)}</svg>'


def _line(name: str, points: Sequence[tuple[float, float]], colour: str, label_y: float) -> str:
    segments = "".join(
        f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" stroke="{colour}" '
        'stroke-width="2"/>'
        for (a, b), (c, d) in pairwise(points)
    )
    x, y = points[-1]
    return (
        f'{segments}<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        f'<text x="{x + 8:.1f}" y="{label_y:.1f}" fill="{colour}">{html.escape(name)}</text>'
    )


# --- tables --------------------------------------------------------------------------------------


def _neighbours(epochs: Sequence[EpochRecord]) -> str:
    """Returns a table: a row for each probe word, a column for the first, middle and last epoch."""
    places = sorted({0, len(epochs) // 2, len(epochs) - 1}) if epochs else ()
    shown = [epochs[place] for place in places]
    words = dict.fromkeys(word for record in shown for word in record.neighbours)
    if not words:
        return "<p>No word was probed.</p>"
    head = "".join(f"<th>epoch {record.epoch}" for record in shown)
    rows = []
    for word in words:
        lists = (
            ", ".join(html.escape(near) for near, _ in record.neighbours.get(word, ()))
            for record in shown
        )
        rows.append(f"<tr><td>{html.escape(word)}" + "".join(f"<td>{cell}" for cell in lists))
    return f"<table><tr><th>word{head}{''.join(rows)}</table>"


def _option_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(rows: Mapping[str, str]) -> str:
    cells = (
        f'<tr><th>{html.escape(name)}<td class="number">{html.escape(value)}'
        for name, value in rows.items()
    )
    return f"<table>{''.join(cells)}</table>"
