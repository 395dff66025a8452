"""How answers are shown: a table on a terminal, tab-separated lines with a header in a pipe, JSON.

$ pmc2vec neighbours melanoma --vectors run --topn 2 | cat
word      neighbour  cosine  count
melanoma  melanomas  0.8312  412
melanoma  carcinoma  0.7745  10233
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pmc2vec.vectors.word_vectors import Neighbours, Vectors


def print_json(value: object) -> None:
    """Prints a value as JSON, words as they are."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def number(value: float, digits: int) -> float | None:
    """Returns a number for JSON, which has no NaN.

    >>> number(0.123456, 3), number(float("nan"), 3)
    (0.123, None)
    """
    return None if math.isnan(value) else round(value, digits)


def as_dicts(vectors: Vectors, near: Neighbours) -> list[dict[str, Any]]:
    """Returns neighbours for JSON, each with its count."""
    return [
        {"word": word, "cosine": round(cosine, 6), "count": count_of(vectors, word)}
        for word, cosine in near
    ]


def count_of(vectors: Vectors, word: str) -> int | None:
    """Returns the word's tokens in the corpus; None where nobody knows."""
    return None if vectors.counts is None else int(vectors.counts[vectors.ids[word]])


def rows(vectors: Vectors, near: Neighbours) -> list[tuple[str, str, str]]:
    """Returns neighbours as the columns of a table: word, cosine, count."""
    return [(word, f"{value:.4f}", str(count_of(vectors, word) or "")) for word, value in near]


def print_table(
    header: Sequence[str],
    table: Sequence[Sequence[str]],
    *,
    grouped: bool = False,
    titled: bool = True,
) -> None:
    """Prints a table on a terminal, and tab-separated lines elsewhere.

    Args:
        header: of the columns.
        table: rows of cells.
        grouped: the terminal's table shows a value of the first column once.
        titled: the lines begin with the header; a terminal's table always does.
    """
    if not sys.stdout.isatty():
        for row in (header, *table) if titled else table:
            print("\t".join(row))
        return
    shown = Table()
    for column, title in enumerate(header):
        shown.add_column(title, justify="right" if column > grouped else "left")
    before = None
    for first, *rest in table:
        if grouped and before not in (None, first):
            shown.add_section()
        # As Text, or rich would take a word like "[b]" for markup.
        shown.add_row(Text("" if grouped and first == before else first), *map(Text, rest))
        before = first
    Console().print(shown)
