"""`pmc2vec plot`: words on a plane, near each other where their vectors are.

Unit vectors are projected, so that distance on the picture stands for cosine. The same command
gives the same picture: PCA draws no random numbers, and t-SNE has a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Positional

from pmc2vec.cli.options import check_options, option, parse
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.keyed_vectors import Vectors
from pmc2vec.vectors.optional_packages import import_optional

ProjectionMethod = Literal["pca", "tsne"]

SUFFIXES = (".png", ".svg")
TITLES: dict[ProjectionMethod, str] = {"pca": "PCA", "tsne": "t-SNE"}

_SIZE_INCHES = (10.0, 8.0)
_DOTS_PER_INCH = 150
_QUERY_COLOUR, _NEIGHBOUR_COLOUR = "#0b4f6c", "#8a8f98"


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
    """Neighbours of each word to show too, in grey."""

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
    vectors = Vectors.load(config.vectors)
    query = [vectors.match_case(word) for word in config.words]
    words = words_to_draw(vectors, query, config.neighbours)
    places = project(vectors[words], config.method)
    draw(config.output, words, places, query=set(query), title=TITLES[config.method])
    print(config.output)
    return 0


def words_to_draw(vectors: Vectors, query: Sequence[str], neighbours: int) -> list[str]:
    """Returns the words to draw, each once: those of the query, then the neighbours of each."""
    words = dict.fromkeys(query)
    if neighbours:
        for near in vectors.most_similar_each(query, neighbours, min_count=None):
            words.update(dict.fromkeys(word for word, _ in near))
    for word in words:
        vectors.get_index(word)
    return list(words)


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
    words: Sequence[str],
    places: NDArray[np.float64],
    *,
    query: set[str],
    title: str,
) -> None:
    """Writes the picture, in the format that the path's suffix names.

    Args:
        path: file, .png or .svg.
        words: n words.
        places: [n, 2] of each.
        query: words drawn in colour; the others are grey.
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
        for word, (x, y) in zip(words, places.tolist(), strict=True):
            colour = _QUERY_COLOUR if word in query else _NEIGHBOUR_COLOUR
            axes.plot(x, y, "o", color=colour, markersize=6 if word in query else 3)
            # parse_math: else "$" in a word would begin a formula.
            axes.annotate(
                word, (x, y), xytext=(5, 3), textcoords="offset points", color=colour,
                fontsize=11 if word in query else 8, parse_math=False,
            )  # fmt: skip
        axes.set_title(f"{len(words)} words, {title} of unit vectors", fontsize=10)
        axes.margins(0.12)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xticks=[], yticks=[])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_local_file(path) as file:
            kind = path.suffix.removeprefix(".")
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            figure.savefig(file, format=kind, dpi=_DOTS_PER_INCH, metadata=metadata)
