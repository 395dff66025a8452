"""`pmc2vec plot`: words on a plane, near each other where their vectors are.

Unit vectors are projected, so that distance on the picture stands for cosine. The same command
gives the same picture: PCA draws no random numbers, and t-SNE has a fixed seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from pmc2vec.cli.options import check_options, option, parse
from pmc2vec.commands.neighbours import mark_uncounted
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.keyed_vectors import Vectors
from pmc2vec.vectors.optional_packages import import_optional

ProjectionMethod = Literal["pca", "tsne"]

SUFFIXES = (".png", ".svg")
TITLES: dict[ProjectionMethod, str] = {"pca": "PCA", "tsne": "t-SNE"}

_SIZE_INCHES = (10.0, 8.0)
_DOTS_PER_INCH = 150
# Of the words asked for and their neighbours; those of matplotlib that are dark enough for text.
_COLOURS = (
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#ff7f0e",
)  # fmt: skip

# Where a label may stand: in so many directions from its point, on circles of so many pixels.
_DIRECTIONS, _RADIUS_STEP, _MAX_RADIUS = 16, 5, 1000


@dataclass(frozen=True)
class PlotConfig:
    """Options of `pmc2vec plot`."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    words: Positional[tuple[str, ...]] = option(metavar="WORD ...")
    """Words to show."""

    output: Path = Path("words.png")
    """Picture to write: .png or .svg."""

    neighbours: int = option(0, minimum=0)
    """Neighbours of each word to show too, in its colour."""

    subwords: bool = True
    """Take words that were not counted by their n-grams, if the vectors have some."""

    method: ProjectionMethod = "pca"
    """The two directions of greatest variance; or t-SNE, which keeps neighbours together."""

    def __post_init__(self) -> None:
        """Raises ValueError where there is nothing to draw, or no such picture."""
        check_options(self)
        if not self.words or len(set(self.words)) + self.neighbours < 3:
            raise ValueError("a picture needs three words or more; name them or add --neighbours")
        if self.output.suffix not in SUFFIXES:
            raise ValueError(f"--output {self.output}: name a picture, .png or .svg")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec plot` and returns its exit code; prints the picture's path."""
    config = parse(
        PlotConfig,
        argv,
        prog="pmc2vec plot",
        description="Draw words on a plane, near each other where their vectors are.",
        examples=[
            "pmc2vec plot melanoma lymphoma insulin glucagon --vectors run",
            "pmc2vec plot melanoma insulin --neighbours 20 --vectors run --output words.svg",
        ],
    )
    vectors = Vectors.load(config.vectors, subwords=config.subwords)
    query = [vectors.match_case(word) for word in config.words]
    words = words_to_draw(vectors, query, config.neighbours)
    places = project(vectors[list(words)], config.method)
    labels = {
        mark_uncounted(vectors, word, [word]): mark_uncounted(vectors, group, [group])
        for word, group in words.items()
    }
    draw(config.output, labels, places, title=TITLES[config.method])
    print(config.output)
    return 0


def words_to_draw(vectors: Vectors, query: Sequence[str], neighbours: int) -> dict[str, str]:
    """Returns the words to draw, each with the word of the query that it belongs to.

    The words of the query come first, then the neighbours of each. A neighbour of several belongs
    to the first.
    """
    words = {word: word for word in query}
    if neighbours:
        neighbour_lists = vectors.most_similar_each(query, neighbours, min_count=None)
        for word, near in zip(query, neighbour_lists, strict=True):
            for neighbour, _ in near:
                words.setdefault(neighbour, word)
    for word in words:
        vectors[word]
    return words


def project(matrix: NDArray[np.float32], method: ProjectionMethod) -> NDArray[np.float64]:
    """Returns the place of each row of [n, D] on the plane, [n, 2].

    Raises:
        UserError: t-SNE needs scikit-learn, which is not installed.
    """
    rows = matrix.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    if method == "tsne":
        manifold = import_optional("sklearn.manifold", extra="plot", purpose="--method tsne")
        # 30 is in the middle of what van der Maaten and Hinton (2008) advise; it must be below the
        # number of words.
        tsne = manifold.TSNE(
            perplexity=min(30.0, (len(rows) - 1) / 3), init="pca", random_state=0, metric="cosine"
        )
        return np.asarray(tsne.fit_transform(rows), np.float64)
    centred = rows - rows.mean(axis=0)
    left_vectors, scales, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(rows), 2))
    places[:, : len(scales)] = (left_vectors * scales)[:, :2]
    # PCA leaves the sign of a direction open; so the farthest word goes to the right, and up.
    signs = np.sign(places[np.abs(places).argmax(axis=0), [0, 1]])
    return places * np.where(signs < 0, -1.0, 1.0)


def draw(
    path: Path,
    words: Mapping[str, str],
    places: NDArray[np.float64],
    *,
    title: str,
) -> None:
    """Writes the picture, in the format that the path's suffix names.

    Args:
        path: file, .png or .svg.
        words: n words, and the word of the query that each belongs to, whose colour it has.
        places: [n, 2] of each.
        title: name of the projection.

    Raises:
        UserError: matplotlib is not installed.
    """
    matplotlib = import_optional("matplotlib", extra="plot", purpose="pmc2vec plot")
    figures = import_optional("matplotlib.figure", extra="plot", purpose="pmc2vec plot")
    # Text in an SVG stays text, and its ids do not change from one run to the next.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pmc2vec"}):
        figure = figures.Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        query = list(dict.fromkeys(words.values()))
        colours = {word: _COLOURS[at % len(_COLOURS)] for at, word in enumerate(query)}
        labels = []
        for (word, owner), (x, y) in zip(words.items(), places.tolist(), strict=True):
            is_query, colour = word in colours, colours[owner]
            axes.plot(x, y, "o", color=colour, markersize=6 if is_query else 3)
            size, weight = (11, "bold") if is_query else (8, "normal")
            # parse_math: else "$" in a word would begin a formula.
            label = axes.text(x, y, word, color=colour, size=size, weight=weight, parse_math=False)
            labels.append(label)
        axes.set_title(f"{len(words)} words, {title} of unit vectors", fontsize=10)
        axes.margins(0.12)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xticks=[], yticks=[])
        _spread_labels(figure, labels, places)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_local_file(path) as file:
            kind = path.suffix.removeprefix(".")
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(file, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)


def place_labels(points: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the centre of each label, [n, 2], so that no two overlap and none covers a point.

    Each label in turn takes the first free place around its point, on circles that grow.

    Args:
        points: [n, 2], what the labels belong to.
        sizes: [n, 2], width and height of each.
    """
    centres = np.zeros((0, 2))
    angles = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False) + np.pi / 4  # Up right first.
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for at, (point, size) in enumerate(zip(points, sizes, strict=True)):
        reach = (sizes[:at] + size) / 2
        for radius in range(_RADIUS_STEP, _MAX_RADIUS, _RADIUS_STEP):
            candidates = point + directions * (radius + size / 2)
            overlaps = (np.abs(candidates[:, None] - centres) < reach).all(axis=2).any(axis=1)
            covers = (np.abs(candidates[:, None] - points) < size / 2 + 1).all(axis=2).any(axis=1)
            free = np.flatnonzero(~(overlaps | covers))
            if len(free):
                break
        chosen = candidates[free[0] if len(free) else 0]
        centres = np.concatenate([centres, chosen[None]])
    return centres


def _spread_labels(figure: Any, labels: Sequence[Any], places: NDArray[np.float64]) -> None:
    """Moves labels apart, and joins each that is far from its point to it by a line."""
    backend = import_optional("matplotlib.backends.backend_agg", extra="plot", purpose="plot")
    (axes,) = figure.axes
    canvas = backend.FigureCanvasAgg(figure)
    canvas.draw()  # Axes and labels have their sizes once they are drawn.
    figure.set_layout_engine("none")
    boxes = [label.get_window_extent() for label in labels]
    sizes = np.array([(box.width + 2, box.height) for box in boxes])
    points = axes.transData.transform(places)
    centres = place_labels(points, sizes)
    for label, point, centre, size in zip(labels, points, centres, sizes, strict=True):
        label.set(ha="center", va="center", position=axes.transData.inverted().transform(centre))
        nearest = np.clip(point, centre - size / 2, centre + size / 2)
        if np.linalg.norm(nearest - point) > 2 * _RADIUS_STEP:
            ends = axes.transData.inverted().transform([point, nearest])
            axes.plot(*ends.T, color=label.get_color(), linewidth=0.5, alpha=0.5, zorder=0)
