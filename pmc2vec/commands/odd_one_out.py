"""`pmc2vec odd-one-out`: prints the word that is least like the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pmc2vec.cli.console import print_json, print_table, verbosity
from pmc2vec.cli.options import option, parse
from pmc2vec.commands.neighbours import mark_uncounted
from pmc2vec.vectors.keyed_vectors import Vectors


@dataclass(frozen=True)
class OddOneOutConfig:
    """Options of `pmc2vec odd-one-out`."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    words: Positional[tuple[str, ...]] = option(metavar="WORD ...")
    """Three words or more."""

    subwords: bool = True
    """Take words that were not counted by their n-grams, if the vectors have some."""

    def __post_init__(self) -> None:
        """Raises ValueError where there are too few words."""
        if len(self.words) < 3:
            raise ValueError("name three words or more")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec odd-one-out` and returns its exit code."""
    config = parse(
        OddOneOutConfig,
        argv,
        prog="pmc2vec odd-one-out",
        description="Print the word that is farthest from the mean of all.",
        examples=["pmc2vec odd-one-out melanoma lymphoma glioma insulin --vectors run"],
        json_result=True,
    )
    vectors = Vectors.load(config.vectors, subwords=config.subwords)
    ranked = vectors.rank_by_centrality([vectors.match_case(word) for word in config.words])
    if verbosity.json:
        cosines = {word: round(cosine, 6) for cosine, word in ranked}
        counts = {word: vectors.get_count(word) for word in cosines}
        not_counted = vectors.not_counted(cosines)
        mark = {"not_counted": not_counted} if not_counted else {}
        print_json({"odd": ranked[-1][1], "cosines": cosines, "counts": counts, **mark})
    elif sys.stdout.isatty():
        rows = [
            (word, f"{cosine:.4f}", str(vectors.get_count(word) or "")) for cosine, word in ranked
        ]
        print_table(("word, the odd one last", "cosine to the mean", "count"), rows)
    else:
        print(mark_uncounted(vectors, ranked[-1][1], [ranked[-1][1]]))
    return 0
