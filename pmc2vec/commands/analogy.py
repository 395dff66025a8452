"""`pmc2vec analogy`: answers "a is to b as c is to what?"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pmc2vec.cli.console import print_json, print_table, verbosity
from pmc2vec.cli.options import option, parse
from pmc2vec.commands.neighbours import (
    neighbour_rows,
    neighbours_as_json,
    not_counted_note,
)
from pmc2vec.vectors.keyed_vectors import AnalogyMethod, Vectors


@dataclass(frozen=True)
class AnalogyConfig:
    """Options of `pmc2vec analogy`."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    a: Positional[str] = option(metavar="A")
    """First word of the example."""

    b: Positional[str] = option(metavar="B")
    """Second word of the example."""

    c: Positional[str] = option(metavar="C")
    """Word whose counterpart is asked for."""

    topn: int = option(10, minimum=1)
    """Number of answers."""

    subwords: bool = True
    """Take words that were not counted by their n-grams, if the vectors have some."""

    method: AnalogyMethod = "3cosadd"
    """3cosadd: the words nearest to B - A + C. 3cosmul: multiplies cosines, so that no single one
    decides."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec analogy` and returns its exit code."""
    config = parse(
        AnalogyConfig,
        argv,
        prog="pmc2vec analogy",
        description="Answer: A is to B as C is to what?",
        examples=[
            "pmc2vec analogy man woman father --vectors run",
            "pmc2vec analogy man woman father --vectors run --method 3cosmul --topn 1",
        ],
        json_result=True,
    )
    vectors = Vectors.load(config.vectors, subwords=config.subwords)
    a, b, c = map(vectors.match_case, (config.a, config.b, config.c))
    near = vectors.analogy(a, b, c, config.topn, method=config.method)
    if verbosity.json:
        entries = neighbours_as_json(vectors, near)
        if vectors.not_counted((a, b, c)):
            entries = [{**entry, "query_counted": False} for entry in entries]
        print_json(entries)
        return 0
    score = "cosine" if config.method == "3cosadd" else "score"
    if note := not_counted_note(vectors.not_counted((a, b, c))):
        print(note.strip())
    print_table(("answer", score, "count"), neighbour_rows(vectors, near))
    return 0
