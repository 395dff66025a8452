"""How well vectors agree with people while they are trained: `--evaluate pairs.tsv`.

What counts is as in `pmc2vec evaluate`. Files are read before the first step, so that a wrong one
is told at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmc2vec.errors import UserError
from pmc2vec.vectors.evaluation import WordPairScore, is_analogies, read_pairs
from pmc2vec.vectors.word_vectors import Vectors

Scores = Mapping[str, WordPairScore]


@dataclass(frozen=True)
class WordPairSets:
    """Files of word pairs, by the name that they are told under.

    Attributes:
        paths: by name.
    """

    paths: Mapping[str, Path]

    @classmethod
    def read(cls, paths: Iterable[Path]) -> WordPairSets:
        """Returns the sets in files, each found to be one.

        Raises:
            UserError: a file is not of word pairs, or two have the same name.
        """
        named: dict[str, Path] = {}
        for path in paths:
            if is_analogies(path):
                raise UserError(
                    f"{path}: holds analogies; --evaluate takes word pairs, and "
                    "pmc2vec evaluate takes both"
                )
            read_pairs(path)
            if path.stem in named:
                raise UserError(
                    f"--evaluate {named[path.stem]} {path}: both would be told as {path.stem}; "
                    "rename one"
                )
            named[path.stem] = path
        return cls(named)

    def scores(self, vectors: Vectors) -> Scores:
        """Returns how well vectors agree with each set."""
        return {name: vectors.evaluate_word_pairs(path) for name, path in self.paths.items()}


def lines(scores: Scores) -> Sequence[str]:
    """Returns a line for each set."""
    return [
        f"{name}: Spearman {score.spearman:.3f} on {score.covered:,} of {score.total:,} pairs"
        if not math.isnan(score.spearman)
        else f"{name}: no Spearman, {score.covered:,} of {score.total:,} pairs are known"
        for name, score in scores.items()
    ]


def facts(scores: Scores) -> dict[str, dict[str, Any]]:
    """Returns the scores as JSON has them: None where there is no correlation."""
    return {
        name: {
            "spearman": None if math.isnan(score.spearman) else score.spearman,
            "covered": score.covered,
            "total": score.total,
        }
        for name, score in scores.items()
    }
