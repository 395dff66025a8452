"""`pmc2vec similarity`: prints the cosine of two words."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pmc2vec.cli.console import print_json, verbosity
from pmc2vec.cli.options import option, parse
from pmc2vec.commands.neighbours import not_counted_note
from pmc2vec.vectors.keyed_vectors import Vectors


@dataclass(frozen=True)
class SimilarityConfig:
    """Options of `pmc2vec similarity`."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    a: Positional[str] = option(metavar="WORD")
    """The first word."""

    b: Positional[str] = option(metavar="WORD")
    """The second word."""

    subwords: bool = True
    """Take words that were not counted by their n-grams, if the vectors have some."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec similarity` and returns its exit code."""
    config = parse(
        SimilarityConfig,
        argv,
        prog="pmc2vec similarity",
        description="Print the cosine of two words, -1 to 1.",
        examples=["pmc2vec similarity melanoma carcinoma --vectors run"],
        json_result=True,
    )
    vectors = Vectors.load(config.vectors, subwords=config.subwords)
    words = [vectors.match_case(word) for word in (config.a, config.b)]
    cosine = vectors.similarity(*words)
    not_counted = vectors.not_counted(words)
    counts = [vectors.get_count(word) for word in words]
    if verbosity.json:
        mark = {"not_counted": not_counted} if not_counted else {}
        query_words = [config.a, config.b]
        print_json({"words": query_words, "cosine": round(cosine, 6), "counts": counts, **mark})
    elif sys.stdout.isatty() and None not in counts:
        # A program that reads the number gets nothing else.
        print(f"{cosine:.4f}  {words[0]} seen {counts[0]:,} times, {words[1]} {counts[1]:,}")
    else:
        print(f"{cosine:.4f}{not_counted_note(not_counted)}")
    return 0
