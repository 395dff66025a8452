"""A map of words that can be read: for the report as SVG, for TensorBoard as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors
from pmc2vec.vectors.optional_packages import import_optional

MAP_SIZE = 900, 620
"""Width and height in pixels."""

_MAP_WORDS = 90
_MARGIN = 60
_DOTS_PER_INCH = 100
_COLOUR = "#0b4f6c"


def map_labels(vectors: Vectors) -> list[tuple[str, float, float]]:
    """Returns frequent content words with their places in pixels, from the top left.

    Fewer than three words make no map.
    """
    words = content_words(vectors, 4 * _MAP_WORDS)
    if len(words) < 3:
        return []
    sides = np.array(MAP_SIZE) - 2 * _MARGIN
    return readable_labels(words, project(vectors[words]) * sides + _MARGIN, _MAP_WORDS)


def map_picture(vectors: Vectors) -> NDArray[np.uint8] | None:
    """Returns the map as a picture, [H, W, 4]; None without matplotlib, or of too few words."""
    labels = map_labels(vectors)
    try:
        figures = import_optional("matplotlib.figure", extra="plot", purpose="a map of words")
        canvases = import_optional(
            "matplotlib.backends.backend_agg", extra="plot", purpose="a map of words"
        )
    except UserError:
        return None
    if not labels:
        return None
    width, height = MAP_SIZE
    figure = figures.Figure(
        figsize=(width / _DOTS_PER_INCH, height / _DOTS_PER_INCH), dpi=_DOTS_PER_INCH
    )
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for word, x, y in labels:
        axes.plot(x, y, "o", color=_COLOUR, markersize=3)
        # parse_math: else "$" in a word would begin a formula.
        axes.text(x + 5, y + 4, word, color=_COLOUR, fontsize=8, parse_math=False)
    canvas = canvases.FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def content_words(vectors: Vectors, count: int) -> list[str]:
    """Returns the most frequent words that are hardly function words.

    Those have four letters or more and are below the 100 most frequent words, of which most are
    function words in any text; a small vocabulary has all of its own.
    """
    skipped = 100 if len(vectors) > 1000 else 0
    words = [word for word in vectors.words[skipped:] if word.isalpha() and len(word) > 3]
    return (words or list(vectors.words))[:count]


def project(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Returns the place of each row of [n, D] on the plane, [n, 2], from 0 to 1.

    PCA of unit vectors, whose two coordinates are replaced half by their ranks: PCA alone leaves
    most words in a heap in the middle.
    """
    rows = matrix.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    left_vectors, scales, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    places = np.zeros((len(rows), 2))
    places[:, : len(scales)] = (left_vectors * scales)[:, :2]
    # PCA leaves the sign of a direction open; so the farthest word goes to the right, and up.
    signs = np.sign(places[np.abs(places).argmax(axis=0), [0, 1]])
    places *= np.where(signs < 0, -1.0, 1.0)
    spread = (places - places.min(axis=0)) / np.maximum(np.ptp(places, axis=0), 1e-12)
    ranks = places.argsort(axis=0).argsort(axis=0) / max(len(rows) - 1, 1)
    return np.asarray((spread + ranks) / 2)


def readable_labels(
    words: Sequence[str], places: NDArray[np.float64], count: int
) -> list[tuple[str, float, float]]:
    """Returns at most `count` words with their places, no label of which covers another.

    Args:
        words: n words, the most important first.
        places: [n, 2] in pixels; a label begins there.
        count: of labels.
    """
    boxes: list[tuple[float, float, float, float]] = []
    labels: list[tuple[str, float, float]] = []
    for word, (x, y) in zip(words, places.tolist(), strict=True):
        box = (x - 4, y - 8, x + 9 + 7.2 * len(word), y + 8)
        if len(labels) < count and not any(_overlap(box, other) for other in boxes):
            boxes.append(box)
            labels.append((word, x, y))
    return labels


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
