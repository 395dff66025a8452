"""What TensorBoard's embedding projector shows: a few thousand words, whose neighbours are ours.

| file | rows |
|---|---|
| projector_vectors.tsv | D numbers, tab-separated: words of length one, and last the centre |
| projector_metadata.tsv | word, count, log10_count |
| projector_bookmarks.json | a view that is coloured by frequency, and one for each probe word |
| projector_config.pbtxt | names the three |

The projector subtracts the mean of its points and makes them unit vectors, unless one finds and
unticks "Spherize data". Neighbours would be others than those of `pmc2vec neighbours`. So the last
point, CENTRE, is minus the sum of all others: the mean is then zero, and every cosine is ours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats import text_tables
from pmc2vec.vectors.formats.vector_table import (
    TAB_OR_LINE_END,
    VectorTable,
    check_words,
    row_norms,
)

PROJECTOR_CONFIG = "projector_config.pbtxt"
PROJECTOR_VECTORS = "projector_vectors.tsv"
PROJECTOR_METADATA = "projector_metadata.tsv"
PROJECTOR_BOOKMARKS = "projector_bookmarks.json"
PROJECTOR_FILES = (PROJECTOR_VECTORS, PROJECTOR_METADATA, PROJECTOR_BOOKMARKS, PROJECTOR_CONFIG)

PROJECTOR_WORDS = 5000
"""Words that are shown by default: more are a cloud in which nothing can be read."""

CENTRE = "(minus the sum of all)"

# Of the camera, as the projector itself saves them: https://github.com/tensorflow/tensorboard,
# plugins/projector/vz_projector/data.ts, class State.
_CAMERA = {
    "orthographic": False,
    "position": [0.6, 1.2, 2.4],
    "target": [0, 0, 0],
    "zoom": 1,
}


def write_projector(
    folder: Path,
    table: VectorTable,
    *,
    words: int = PROJECTOR_WORDS,
    probe_words: Sequence[str] = (),
) -> None:
    """Writes the projector's files into a folder; the configuration, which names the others, last.

    Args:
        folder: of the workdir, from which TensorBoard reads them.
        table: the words.
        words: the most frequent so many are shown.
        probe_words: words with a view of their own, where they are shown.
    """
    shown = most_frequent(table, words)
    check_words(shown.words, TAB_OR_LINE_END, folder / PROJECTOR_METADATA)
    lengths = np.maximum(row_norms(shown), np.finfo(np.float32).tiny)
    units = np.asarray(shown.matrix / lengths[:, None], np.float32)
    points = np.concatenate([units, -units.sum(axis=0, keepdims=True, dtype=np.float64)])
    with atomic_local_file(folder / PROJECTOR_VECTORS) as file:
        file.writelines(text_tables.number_chunks(points.astype(np.float32), "\t"))
    with atomic_local_file(folder / PROJECTOR_METADATA) as file:
        file.writelines(f"{line}\n".encode() for line in _metadata_lines(shown))
    with atomic_local_file(folder / PROJECTOR_BOOKMARKS) as file:
        file.write(json.dumps(bookmarks(shown, points.shape, probe_words)).encode())
    with atomic_local_file(folder / PROJECTOR_CONFIG) as file:
        file.write(projector_config().encode())


def projector_config() -> str:
    """Returns TensorBoard's `ProjectorConfig`; paths are relative to its folder.

    >>> print(projector_config(), end="")
    embeddings {
      tensor_name: "vectors"
      tensor_path: "projector_vectors.tsv"
      metadata_path: "projector_metadata.tsv"
      bookmarks_path: "projector_bookmarks.json"
    }
    """
    fields = {
        "tensor_name": "vectors",
        "tensor_path": PROJECTOR_VECTORS,
        "metadata_path": PROJECTOR_METADATA,
        "bookmarks_path": PROJECTOR_BOOKMARKS,
    }
    rows = "".join(f'  {name}: "{value}"\n' for name, value in fields.items())
    return f"embeddings {{\n{rows}}}\n"


def bookmarks(
    table: VectorTable, shape: tuple[int, ...], probe_words: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns views for the projector's list of bookmarks; the first is shown at the start.

    Args:
        table: the words that are shown.
        shape: of the points.
        probe_words: words with a view in which they are selected.
    """
    places = {word: place for place, word in enumerate(table.words)}
    view = {
        "projections": [],
        "selectedProjection": "pca",
        "pcaComponentDimensions": [0, 1, 2],
        "dataSetDimensions": list(shape),
        "tSNEIteration": 0,
        "tSNEPerplexity": 0,
        "tSNELearningRate": 0,
        "tSNEis3d": True,
        "umapIs3d": True,
        "umapNeighbors": 15,
        "umapMinDist": 0.1,
        # Of the custom projection, without which the page cannot restore a view.
        **dict.fromkeys(
            ("customXLeftText", "customXRightText", "customYUpText", "customYDownText"), ""
        ),
        **dict.fromkeys(
            ("customXLeftRegex", "customXRightRegex", "customYUpRegex", "customYDownRegex"), False
        ),
        "selectedColorOptionName": None if table.counts is None else "log10_count",
        "forceCategoricalColoring": False,
        "selectedLabelOption": "word" if table.counts is not None else "label",
        "cameraDef": _CAMERA,
    }
    first = {"label": "by frequency", "isSelected": True, "selectedPoints": []}
    probes = [
        {"label": word, "isSelected": False, "selectedPoints": [places[word]]}
        for word in probe_words
        if word in places
    ]
    return [{**view, **words_of_view} for words_of_view in (first, *probes)]


def most_frequent(table: VectorTable, limit: int) -> VectorTable:
    """Returns the words of the highest counts, or the first ones where there are no counts."""
    if table.counts is None:
        return VectorTable(table.words[:limit], table.matrix[:limit])
    rows = np.argsort(-table.counts, kind="stable")[:limit]
    words = [table.words[row] for row in rows.tolist()]
    return VectorTable(words, table.matrix[rows], table.counts[rows])


def _metadata_lines(table: VectorTable) -> list[str]:
    """Returns a line for each point; a header only where there are several columns."""
    if table.counts is None:
        return [*table.words, CENTRE]
    logs = np.log10(np.maximum(table.counts, 1))
    counts = zip(table.words, table.counts.tolist(), logs.tolist(), strict=True)
    rows = [f"{word}\t{count}\t{log:.4f}" for word, count, log in counts]
    # The centre has the lowest count, so that the scale of the colours is that of the words.
    lowest = min(zip(table.counts.tolist(), logs.tolist(), strict=True), default=(0, 0.0))
    return ["word\tcount\tlog10_count", *rows, f"{CENTRE}\t{lowest[0]}\t{lowest[1]:.4f}"]
