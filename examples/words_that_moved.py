"""Words whose neighbours changed between two periods of PubMed or PubMed Central.

    pmc2vec build --input pubmed --output then --max_year 2005
    pmc2vec build --input pubmed --output now --min_year 2015
    pmc2vec train --dataset then --workdir run-then
    pmc2vec train --dataset now --workdir run-now
    python examples/words_that_moved.py --earlier run-then --later run-now

Two trainings turn their vectors in different directions. The rotation that brings the vectors of
the words of both periods closest to each other (orthogonal Procrustes) makes them comparable
(Hamilton, Leskovec and Jurafsky, 2016). A word that is far from where it was has moved.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pmc2vec import Vectors
from pmc2vec.cli import exit_codes, options
from pmc2vec.errors import UserError


@dataclass(frozen=True)
class PeriodsConfig:
    """Options of the comparison."""

    earlier: Path
    """Workdir or vectors of the earlier period."""
    later: Path
    """Workdir or vectors of the later period."""
    words: int = 5000
    """How many words to align by and to list: those most frequent in both periods."""
    topn: int = 20
    """Words to print."""


def shared_words(earlier: Vectors, later: Vectors, most: int) -> list[str]:
    """Returns words of both periods, those first that are frequent in the one where they are rarer.

    Vectors list their words by frequency, most frequent first.
    """
    common = [word for word in earlier.words if word in later]
    rank = {word: max(earlier.get_index(word), later.get_index(word)) for word in common}
    return sorted(common, key=rank.__getitem__)[:most]


def moved(earlier: Vectors, later: Vectors, words: Sequence[str]) -> list[tuple[str, float]]:
    """Returns (word, cosine of its aligned vectors), the word that moved most first."""
    then, now = (_directions(np.asarray(vectors[words])) for vectors in (earlier, later))
    # Orthogonal Procrustes (Schönemann 1966): the rotation of `then` that is nearest to `now`.
    left, _, right = np.linalg.svd(then.T @ now)
    cosines = ((then @ (left @ right)) * now).sum(axis=1)
    return [(words[at], float(cosines[at])) for at in np.argsort(cosines, kind="stable")]


def _directions(matrix: np.ndarray) -> np.ndarray:
    """Returns rows of length 1, after the mean of all is taken away.

    The mean says what all words have in common, and would hide what differs.
    """
    centred = matrix - matrix.mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def run(config: PeriodsConfig) -> int:
    """Prints the words that moved most, with their neighbours in both periods."""
    earlier, later = Vectors.load(config.earlier), Vectors.load(config.later)
    if earlier.vector_size != later.vector_size:
        raise UserError(
            f"{config.earlier} has {earlier.vector_size} dimensions, {config.later} "
            f"{later.vector_size}: train both with the same --vector_size"
        )
    words = shared_words(earlier, later, config.words)
    if not words:
        raise UserError(f"{config.earlier} and {config.later} have no word in common")
    for word, cosine in moved(earlier, later, words)[: config.topn]:
        near = (
            ", ".join(name for name, _ in v.most_similar(word, topn=4)) for v in (earlier, later)
        )
        print(word, f"{cosine:.2f}", *near, sep="\t")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the comparison."""
    config = options.parse(
        PeriodsConfig, argv, prog="words_that_moved.py",
        description="Words whose neighbours changed between two periods.",
    )  # fmt: skip
    return exit_codes.run_program(lambda: run(config))


if __name__ == "__main__":
    sys.exit(main())
