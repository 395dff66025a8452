"""`pmc2vec neighbours`: lists the words nearest to a word, or to a sum of words.

pmc2vec neighbours melanoma "king - 1.7*man + 1.7*woman" --vectors run
pmc2vec neighbours --vectors run < words.txt
pmc2vec neighbours --vectors run          (prompts, and completes words with Tab)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from pmc2vec.cli.console import print_json, print_table, verbosity
from pmc2vec.cli.exit_codes import log_errors
from pmc2vec.cli.options import option, parse
from pmc2vec.cli.prompt import prompt_lines
from pmc2vec.vectors.keyed_vectors import Neighbours, UnknownWordError, Vectors

_WEIGHTED_WORD = re.compile(r"(\d+(?:\.\d+)?)\*(.+)")

HEADER = ("word", "neighbour", "cosine", "count")


@dataclass(frozen=True)
class NeighboursConfig:
    """Options of `pmc2vec neighbours`."""

    vectors: Path
    """A workdir, or a file of vectors: word2vec, GloVe, gensim (.kv), .npy, .parquet, .tsv."""

    words: Positional[tuple[str, ...]] = option(
        (), default_text="the lines of stdin, or a prompt", metavar="[WORD ...]"
    )
    """Words, or sums such as "king - man + woman" and "king - 1.7*man"."""

    topn: int = option(10, minimum=1)
    """Number of neighbours for each word."""

    min_count: int = option(0, minimum=0)
    """Leave out neighbours that occur less often in the corpus."""

    restrict_vocab: int | None = option(None, default_text="all words", minimum=1)
    """Look only among this many words, the most frequent."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec neighbours` and returns its exit code."""
    config = parse(
        NeighboursConfig,
        argv,
        prog="pmc2vec neighbours",
        description="List the words nearest to each word by cosine.",
        examples=[
            "pmc2vec neighbours melanoma fever --vectors run",
            'pmc2vec neighbours "king - man + woman" --vectors glove.6B.300d.txt',
            "pmc2vec neighbours insulin --vectors run --topn 3 --min_count 100 --json",
            "pmc2vec neighbours --vectors run < words.txt > neighbours.tsv",
        ],
        json_result=True,
    )
    vectors = Vectors.load(config.vectors)
    if config.words:
        return _answer_words(vectors, config)
    prompted = sys.stdin.isatty()
    lines = prompt_lines(vectors.words) if prompted else sys.stdin
    return _answer_lines(vectors, lines, config, prompted=prompted)


def query_terms(query: str, vectors: Vectors) -> list[tuple[str, float]]:
    """Returns the words of a query, each with its weight.

    >>> import numpy as np
    >>> vectors = Vectors(["king", "-"], np.eye(2, dtype=np.float32))
    >>> query_terms("king - 1.7*man + woman", vectors)
    [('king', 1.0), ('man', -1.7), ('woman', 1.0)]
    >>> query_terms("-", vectors)
    [('-', 1.0)]

    Args:
        query: a word of the vocabulary, which may hold spaces and signs; or words with signs
            between them. A minus that stands alone subtracts the next word. A number and an
            asterisk before a word are its weight.
        vectors: the vocabulary.
    """
    if (word := vectors.match_case(query)) in vectors:
        return [(word, 1.0)]
    terms, sign = [], 1.0
    for part in query.split():
        if part in {"+", "-"}:
            sign = 1.0 if part == "+" else -1.0
            continue
        weighted = None if vectors.match_case(part) in vectors else _WEIGHTED_WORD.fullmatch(part)
        weight, word = (float(weighted[1]), weighted[2]) if weighted else (1.0, part)
        terms.append((vectors.match_case(word), sign * weight))
        sign = 1.0
    # A query of nothing but signs is looked up, so that the error names it.
    return terms or [(query, 1.0)]


def neighbours_as_json(vectors: Vectors, near: Neighbours) -> list[dict[str, Any]]:
    """Returns neighbours for JSON, each with its count in the corpus."""
    return [
        {"word": word, "cosine": round(cosine, 6), "count": _count(vectors, word)}
        for word, cosine in near
    ]


def neighbour_rows(vectors: Vectors, near: Neighbours) -> list[tuple[str, str, str]]:
    """Returns neighbours as the columns of a table: word, cosine, count."""
    return [(word, f"{score:.4f}", str(_count(vectors, word) or "")) for word, score in near]


def _count(vectors: Vectors, word: str) -> int | None:
    return None if vectors.counts is None else int(vectors.counts[vectors.ids[word]])


def _neighbours(vectors: Vectors, query: str, config: NeighboursConfig) -> Neighbours:
    return vectors.most_similar(
        query_terms(query, vectors),
        topn=config.topn,
        restrict_vocab=config.restrict_vocab,
        min_count=config.min_count,
    )


def _answer_words(vectors: Vectors, config: NeighboursConfig) -> int:
    """Answers the words of the command line in one table; returns 1 where a word was unknown."""
    answers, errors = {}, []
    for query in config.words:
        try:
            answers[query] = _neighbours(vectors, query, config)
        except UnknownWordError as error:
            errors.append(str(error))
    if verbosity.json:
        print_json({query: neighbours_as_json(vectors, near) for query, near in answers.items()})
    elif answers:
        rows = [row for query, near in answers.items() for row in _table_rows(vectors, query, near)]
        print_table(HEADER, rows, grouped=True)
    return log_errors(errors)


def _answer_lines(
    vectors: Vectors, lines: Iterable[str], config: NeighboursConfig, *, prompted: bool
) -> int:
    """Answers each line, and returns the exit code.

    An unknown word in a pipe makes the exit code 1, after all the others are answered; one that is
    typed at a prompt does not. JSON is one object for all lines of a pipe, and one for each that is
    typed.
    """
    answers, header_printed, exit_code = {}, False, 0
    for query in (line.removeprefix("\ufeff").strip() for line in lines):
        if not query:
            continue
        try:
            near = _neighbours(vectors, query, config)
        except UnknownWordError as error:
            exit_code = log_errors([str(error)])
            continue
        if not verbosity.json:
            rows = _table_rows(vectors, query, near)
            print_table(HEADER, rows, grouped=True, titled=not header_printed)
            header_printed = True
        elif prompted:
            print_json({query: neighbours_as_json(vectors, near)})
        else:
            answers[query] = neighbours_as_json(vectors, near)
        sys.stdout.flush()
    if verbosity.json and not prompted:
        print_json(answers)
    return 0 if prompted else exit_code


def _table_rows(vectors: Vectors, query: str, near: Neighbours) -> list[tuple[str, ...]]:
    return [(query, *row) for row in neighbour_rows(vectors, near)]
