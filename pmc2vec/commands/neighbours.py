"""`pmc2vec neighbours`: lists the words nearest to a word, or to a sum of words.

pmc2vec neighbours melanoma "king - 1.7*man + 1.7*woman" --vectors run
pmc2vec neighbours --vectors run < words.txt
pmc2vec neighbours melanoma --vectors run --compare run_of_another_seed
pmc2vec neighbours --vectors run          (prompts, and completes words with Tab)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import cast

from tyro.conf import Positional

from pmc2vec.cli.console import print_json, print_table, verbosity
from pmc2vec.cli.exit_codes import log_errors
from pmc2vec.cli.options import option, parse
from pmc2vec.cli.prompt import line_batches, prompt_lines
from pmc2vec.vectors.keyed_vectors import Neighbours, UnknownWordError, Vectors

_WEIGHTED_WORD = re.compile(r"(\d+(?:\.\d+)?)\*(.+)")

HEADER = ("word", "neighbour", "cosine", "count")
COMPARED_HEADER = (
    "word", "neighbour", "nearest in", "cosine", "place", "other cosine", "other place", "count",
)  # fmt: skip


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

    min_count: int | None = option(None, default_text="50, or as often as the query", minimum=0)
    """Leave out neighbours that occur less often in the corpus; 1 shows all."""

    restrict_vocab: int | None = option(None, default_text="all words", minimum=1)
    """Look only among this many words, the most frequent."""

    subwords: bool = True
    """Answer for words that were not counted too, by their n-grams, if the vectors have some."""

    compare: Path | None = option(None, default_text="none")
    """Other vectors, such as those of another seed; shows which neighbours are in both."""


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
            "pmc2vec neighbours melanoma --vectors run --compare run_of_another_seed",
            "pmc2vec neighbours --vectors run < words.txt > neighbours.tsv",
        ],
        json_result=True,
    )
    vectors = Vectors.load(config.vectors, subwords=config.subwords)
    compared = None
    if config.compare is not None:
        compared = Vectors.load(config.compare, subwords=config.subwords)
    prompted = not config.words and sys.stdin.isatty()
    batches: Iterable[Sequence[str]] = [config.words]
    if prompted:
        batches = ([line] for line in prompt_lines(vectors.words))
    elif not config.words:
        batches = line_batches(cast("TextIOWrapper[BufferedReader]", sys.stdin))
    return _print_answers(vectors, compared, batches, config, prompted=prompted)


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


Entry = dict[str, str | float | int | None]
"""A neighbour of a query as JSON has it; a table has the values."""


def neighbours_as_json(vectors: Vectors, near: Neighbours) -> list[Entry]:
    """Returns neighbours for JSON, each with its count in the corpus."""
    return [
        {"word": word, "cosine": round(cosine, 6), "count": vectors.get_count(word)}
        for word, cosine in near
    ]


def neighbour_rows(vectors: Vectors, near: Neighbours) -> list[tuple[str, str, str]]:
    """Returns neighbours as the columns of a table: word, cosine, count."""
    return [(word, f"{score:.4f}", str(vectors.get_count(word) or "")) for word, score in near]


def mark_uncounted(vectors: Vectors, text: str, words: Iterable[str]) -> str:
    """Returns a text for a table, marked where one of its words was not counted.

    >>> import numpy as np
    >>> mark_uncounted(Vectors(["king"], np.ones((1, 2), np.float32)), "king", ["king"])
    'king'

    Args:
        vectors: that answer.
        text: what the user asked for.
        words: of it.
    """
    return f"{text} (not counted)" if vectors.not_counted(words) else text


def not_counted_note(words: Sequence[str]) -> str:
    """Returns the end of a line that names words that were not counted.

    >>> not_counted_note(["insulins"])
    '  (not counted: insulins)'
    """
    return f"  (not counted: {', '.join(words)})" if words else ""


def compared_neighbours(first: Neighbours, second: Neighbours, topn: int) -> list[Entry]:
    """Returns the neighbours of a query in two vectors, those that are in both first.

    >>> for entry in compared_neighbours([("a", 0.9), ("b", 0.8)], [("b", 0.7), ("c", 0.5)], 2):
    ...     print(*entry.values())
    b both 0.8 2 0.7 1
    a first 0.9 1 None None
    c second None None 0.5 2

    Args:
        first: all neighbours in the first vectors, nearest first.
        second: all neighbours in the second ones.
        topn: how many of each are shown.

    Returns:
        For each neighbour whether it is among the nearest in both or in one, and its cosine and
        place in each; None where a word is in one vocabulary only.
    """
    cosines = dict(first), dict(second)
    places = [{word: at for at, (word, _) in enumerate(near, 1)} for near in (first, second)]
    nearest = [dict.fromkeys(word for word, _ in near[:topn]) for near in (first, second)]
    both = [word for word in nearest[0] if word in nearest[1]]
    only = [[word for word in words if word not in both] for words in nearest]
    names = ("both", "first", "second")
    nearest_in = {
        word: name for name, words in zip(names, (both, *only), strict=True) for word in words
    }
    return [
        {
            "word": word,
            "nearest_in": name,
            "cosine": _rounded(cosines[0].get(word)),
            "place": places[0].get(word),
            "other_cosine": _rounded(cosines[1].get(word)),
            "other_place": places[1].get(word),
        }
        for word, name in nearest_in.items()
    ]


def _rounded(cosine: float | None) -> float | None:
    return None if cosine is None else round(cosine, 6)


def _print_answers(
    vectors: Vectors,
    compared: Vectors | None,
    batches: Iterable[Sequence[str]],
    config: NeighboursConfig,
    *,
    prompted: bool,
) -> int:
    """Answers each batch of queries, and returns the exit code.

    An unknown word makes the exit code 1, after all the others are answered; one that is typed at a
    prompt does not. JSON is one object for all queries, and one for each that is typed.
    """
    answers: dict[str, list[Entry]] = {}
    titled, exit_code = True, 0
    for batch in batches:
        queries = [query for line in batch if (query := line.removeprefix("\ufeff").strip())]
        if compared is None:
            entries, errors = _neighbour_entries(vectors, queries, config)
        else:
            entries, errors = _compared_entries(vectors, compared, queries, config)
        if verbosity.json:
            for query, query_entries in entries.items():
                if vectors.not_counted(word for word, _ in query_terms(query, vectors)):
                    query_entries[:] = [
                        {**entry, "query_counted": False} for entry in query_entries
                    ]
            answers |= entries
        elif entries:
            rows = [
                (_marked_query(vectors, query), *map(_cell, entry.values()))
                for query in queries
                for entry in entries.get(query, ())
            ]
            header = HEADER if compared is None else COMPARED_HEADER
            print_table(header, rows, grouped=True, titled=titled)
            titled = False
        if prompted and answers:
            print_json(answers)
            answers = {}
        sys.stdout.flush()
        exit_code = log_errors(errors) or exit_code
    if verbosity.json and not prompted:
        print_json(answers)
    return 0 if prompted else exit_code


def _marked_query(vectors: Vectors, query: str) -> str:
    return mark_uncounted(vectors, query, [word for word, _ in query_terms(query, vectors)])


def _neighbour_entries(
    vectors: Vectors, queries: Sequence[str], config: NeighboursConfig
) -> tuple[dict[str, list[Entry]], list[str]]:
    """Returns the neighbours of each query, and the errors of those that have an unknown word."""
    terms, errors = _terms_by_query(vectors, queries)
    answers = _all_neighbours(vectors, terms, config, topn=config.topn)
    return {query: neighbours_as_json(vectors, near) for query, near in answers}, errors


def _compared_entries(
    vectors: Vectors, compared: Vectors, queries: Sequence[str], config: NeighboursConfig
) -> tuple[dict[str, list[Entry]], list[str]]:
    """Returns the neighbours of each query in two vectors, and the errors of the other queries."""
    terms, errors = _terms_by_query(vectors, queries)
    other_terms, other_errors = _terms_by_query(compared, list(terms))
    errors += [f"{config.compare}: {error}" for error in other_errors]
    terms = {query: terms[query] for query in other_terms}
    answers = zip(
        _all_neighbours(vectors, terms, config, topn=len(vectors)),
        _all_neighbours(compared, other_terms, config, topn=len(compared)),
        strict=True,
    )
    entries = {
        query: [
            entry
            | {
                "count": vectors.get_count(word)
                if (word := str(entry["word"])) in vectors
                else None
            }
            for entry in compared_neighbours(near, other_near, config.topn)
        ]
        for (query, near), (_, other_near) in answers
    }
    return entries, errors


def _terms_by_query(
    vectors: Vectors, queries: Sequence[str]
) -> tuple[dict[str, list[tuple[str, float]]], list[str]]:
    """Returns the terms of each query, and the errors of those that have an unknown word."""
    terms_by_query, errors = {}, []
    for query in dict.fromkeys(queries):
        terms = query_terms(query, vectors)
        try:
            for word, _ in terms:
                vectors[word]
        except UnknownWordError as error:
            errors.append(str(error))
        else:
            terms_by_query[query] = terms
    return terms_by_query, errors


def _all_neighbours(
    vectors: Vectors,
    terms: Mapping[str, list[tuple[str, float]]],
    config: NeighboursConfig,
    *,
    topn: int,
) -> Iterator[tuple[str, Neighbours]]:
    near = vectors.most_similar_each(
        terms.values(), topn, restrict_vocab=config.restrict_vocab, min_count=config.min_count
    )
    return zip(terms, near, strict=True)


def _cell(value: str | float | None) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)
