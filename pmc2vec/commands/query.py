"""Questions to word vectors on the command line: neighbours, analogies, similarity, the odd one.

A question to `neighbours` is a word, or words with signs between them:

    pmc2vec neighbours melanoma "king - man + woman" --vectors run
    pmc2vec neighbours --vectors run < words.txt
    pmc2vec neighbours --vectors run          (asks, and completes words with Tab)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from pmc2vec.cli.console import print_json, print_table
from pmc2vec.cli.options import parse
from pmc2vec.cli.prompt import prompt_lines
from pmc2vec.vectors.suggestions import UnknownWordError
from pmc2vec.vectors.word_vectors import Method, Neighbours, Vectors

NEIGHBOURS = ("word", "neighbour", "cosine", "count")


@dataclass(frozen=True)
class NeighboursConfig:
    """Options of `pmc2vec neighbours`."""

    vectors: Path
    """A workdir, or a file of vectors: word2vec, GloVe, gensim (.kv), .npy, .parquet, .tsv."""

    words: Positional[tuple[str, ...]] = ()
    """Words, or "king - man + woman", quoted. Without any, lines of stdin; a terminal is asked."""

    topn: int = 10
    """Neighbours of each."""

    min_count: int = 0
    """Leave out neighbours that occur less often in the corpus."""

    restrict_vocab: int | None = None
    """Look only among so many words, from the first, which are the most frequent."""

    json: bool = False
    """Print JSON: for each question a list of neighbours, nearest first."""

    def __post_init__(self) -> None:
        """Raises ValueError where there is nothing to list."""
        _check_topn(self.topn)
        if self.restrict_vocab is not None and self.restrict_vocab < 1:
            raise ValueError(f"--restrict_vocab must be at least 1, not {self.restrict_vocab}")
        if self.min_count < 0:
            raise ValueError(f"--min_count must not be negative, but is {self.min_count}")


@dataclass(frozen=True)
class AnalogyConfig:
    """Options of `pmc2vec analogy`."""

    a: Positional[str]
    """`a` is to `b` ..."""

    b: Positional[str]
    """`a` is to `b` ..."""

    c: Positional[str]
    """... as `c` is to the answer."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    topn: int = 10
    """Answers."""

    method: Method = "3cosadd"
    """Nearest to b - a + c; or products of cosines, which let no single one decide."""

    json: bool = False
    """Print JSON: a list of answers, best first."""

    def __post_init__(self) -> None:
        """Raises ValueError where there is nothing to list."""
        _check_topn(self.topn)


@dataclass(frozen=True)
class SimilarityConfig:
    """Options of `pmc2vec similarity`."""

    a: Positional[str]
    """A word."""

    b: Positional[str]
    """Another."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    json: bool = False
    """Print JSON: the words and their cosine."""


@dataclass(frozen=True)
class OddOneOutConfig:
    """Options of `pmc2vec odd-one-out`."""

    words: Positional[tuple[str, ...]]
    """Three words or more."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    json: bool = False
    """Print JSON: the odd word, and the cosine of each with the mean of all."""

    def __post_init__(self) -> None:
        """Raises ValueError where none is odd."""
        if len(self.words) < 3:
            raise ValueError("of fewer than three words none is odd; name three or more")


def neighbours_main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec neighbours` and returns its exit status."""
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
    )
    vectors = Vectors.load(config.vectors)
    if not config.words:
        lines = prompt_lines(vectors.words) if sys.stdin.isatty() else _stripped(sys.stdin)
        return _answer_all(vectors, lines, config)
    found = {asked: _neighbours(vectors, asked, config) for asked in config.words}
    if config.json:
        print_json({asked: neighbours_as_json(vectors, near) for asked, near in found.items()})
        return 0
    table = [
        (asked, *row) for asked, near in found.items() for row in neighbour_rows(vectors, near)
    ]
    print_table(NEIGHBOURS, table, grouped=True)
    return 0


def analogy_main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec analogy` and returns its exit status."""
    config = parse(
        AnalogyConfig,
        argv,
        prog="pmc2vec analogy",
        description="Answer: A is to B as C is to what?",
        examples=[
            "pmc2vec analogy man woman father --vectors run",
            "pmc2vec analogy man woman father --vectors run --method 3cosmul --topn 1",
        ],
    )
    vectors = Vectors.load(config.vectors)
    near = vectors.analogy(config.a, config.b, config.c, config.topn, method=config.method)
    if config.json:
        print_json(neighbours_as_json(vectors, near))
        return 0
    score = "cosine" if config.method == "3cosadd" else "score"
    print_table(("answer", score, "count"), neighbour_rows(vectors, near))
    return 0


def similarity_main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec similarity` and returns its exit status."""
    config = parse(
        SimilarityConfig,
        argv,
        prog="pmc2vec similarity",
        description="Print the cosine of two words, -1 to 1.",
        examples=["pmc2vec similarity melanoma carcinoma --vectors run"],
    )
    cosine = Vectors.load(config.vectors).similarity(config.a, config.b)
    if config.json:
        print_json({"words": [config.a, config.b], "cosine": round(cosine, 6)})
    else:
        print(f"{cosine:.4f}")
    return 0


def odd_one_out_main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec odd-one-out` and returns its exit status."""
    config = parse(
        OddOneOutConfig,
        argv,
        prog="pmc2vec odd-one-out",
        description="Print the word that is farthest from the mean of all.",
        examples=["pmc2vec odd-one-out melanoma lymphoma glioma insulin --vectors run"],
    )
    ranked = Vectors.load(config.vectors).rank_by_centrality(config.words)
    if config.json:
        cosines = {word: round(cosine, 6) for cosine, word in ranked}
        print_json({"odd": ranked[-1][1], "cosines": cosines})
    else:
        print(ranked[-1][1])
    return 0


def question(text: str, vectors: Vectors) -> tuple[list[str], list[str]]:
    """Returns the words to add and those to subtract.

    >>> import numpy as np
    >>> vectors = Vectors(["king", "-"], np.eye(2, dtype=np.float32))
    >>> question("king - man + woman", vectors)
    (['king', 'woman'], ['man'])
    >>> question("-", vectors)
    (['-'], [])

    Args:
        text: a word of the vocabulary, whatever it holds; or words, all added but those after a
            minus that stands alone.
        vectors: the vocabulary.
    """
    if text in vectors:
        return [text], []
    words: tuple[list[str], list[str]] = ([], [])
    sign = 0
    for word in text.split():
        if word in {"+", "-"}:
            sign = "+-".index(word)
        else:
            words[sign].append(word)
            sign = 0
    # Nothing but signs is a word that is not there.
    return words if words[0] or words[1] else ([text], [])


def _neighbours(vectors: Vectors, asked: str, config: NeighboursConfig) -> Neighbours:
    plus, minus = question(asked, vectors)
    return vectors.most_similar(
        plus,
        minus,
        config.topn,
        restrict_vocab=config.restrict_vocab,
        min_count=config.min_count,
    )


def _stripped(file: Iterable[str]) -> Iterable[str]:
    return (line.strip() for line in file if line.strip())


def _answer_all(vectors: Vectors, lines: Iterable[str], config: NeighboursConfig) -> int:
    """Answers line by line; returns 1 where a word of a pipe was unknown, after all the others."""
    asked_by_person = sys.stdin.isatty()
    found, titled, status = {}, True, 0
    for asked in lines:
        try:
            near = _neighbours(vectors, asked, config)
        except UnknownWordError as error:
            print(f"pmc2vec: error: {error}", file=sys.stderr)
            status = 0 if asked_by_person else 1
            continue
        if config.json and not asked_by_person:
            found[asked] = neighbours_as_json(vectors, near)
        elif config.json:
            print_json({asked: neighbours_as_json(vectors, near)})
        else:
            table = [(asked, *row) for row in neighbour_rows(vectors, near)]
            print_table(NEIGHBOURS, table, grouped=True, titled=titled)
            titled = False
        sys.stdout.flush()
    if config.json and not asked_by_person:
        print_json(found)
    return status


def neighbours_as_json(vectors: Vectors, near: Neighbours) -> list[dict[str, Any]]:
    """Returns neighbours for JSON, each with its count in the corpus."""
    return [
        {"word": word, "cosine": round(cosine, 6), "count": count_of(vectors, word)}
        for word, cosine in near
    ]


def neighbour_rows(vectors: Vectors, near: Neighbours) -> list[tuple[str, str, str]]:
    """Returns neighbours as the columns of a table: word, cosine, count."""
    return [(word, f"{value:.4f}", str(count_of(vectors, word) or "")) for word, value in near]


def count_of(vectors: Vectors, word: str) -> int | None:
    """Returns the word's tokens in the corpus; None if unknown."""
    return None if vectors.counts is None else int(vectors.counts[vectors.ids[word]])


def _check_topn(topn: int) -> None:
    if topn < 1:
        raise ValueError(f"--topn must be at least 1, not {topn}")
