"""`pmc2vec evaluate`: how well vectors agree with people, on word pairs and on analogies.

Scores are those of gensim's `evaluate_word_pairs` and `evaluate_word_analogies`, whose defaults are
the defaults here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

from tyro.conf import Positional

from pmc2vec.cli.console import json_number, print_json, print_table, verbosity
from pmc2vec.cli.exit_codes import log_errors
from pmc2vec.cli.options import option, parse
from pmc2vec.errors import UserError
from pmc2vec.vectors.evaluation import (
    AnalogySection,
    WordPairScore,
    accuracy,
    is_analogy_file,
    read_analogies,
    read_pairs,
)
from pmc2vec.vectors.keyed_vectors import AnalogyMethod, Vectors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluateConfig:
    """Options of `pmc2vec evaluate`."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    files: Positional[tuple[Path, ...]] = option(metavar="FILE ...")
    """Word pairs with scores, tab-separated; or analogies in Google's format."""

    restrict_vocab: int | None = option(300_000, minimum=1)
    """Use only this many words, the most frequent; none uses all."""

    case_insensitive: bool = True
    """Ignore the case of words."""

    dummy4unknown: bool = False
    """Count a pair with an unknown word as cosine 0, and such an analogy as wrong; else leave
    both out."""

    phrases: bool = False
    """Take the mean of the words' vectors for an unknown entry of several words."""

    subwords: bool = True
    """Show the correlation with words that were not counted too, by their n-grams, if the vectors
    have some."""

    method: AnalogyMethod = "3cosadd"
    """How to answer analogies; see `pmc2vec analogy`."""

    def __post_init__(self) -> None:
        """Raises ValueError where no file is given."""
        if not self.files:
            raise ValueError("no file of word pairs or analogies is given; name one or several")


Sections = list[AnalogySection]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec evaluate` and returns its exit code."""
    config = parse(
        EvaluateConfig,
        argv,
        prog="pmc2vec evaluate",
        description="Compare cosines with people's scores of word pairs, or answer analogies.",
        examples=[
            "pmc2vec evaluate pairs.tsv --vectors run",
            "pmc2vec evaluate pairs.tsv --vectors run --phrases --json",
            "pmc2vec evaluate questions-words.txt --vectors run --restrict_vocab 30000",
        ],
        json_result=True,
    )
    errors = _unreadable_files(config.files)
    if len(errors) == len(set(config.files)):
        raise next(iter(errors.values()))
    vectors = Vectors.load(config.vectors, subwords=config.subwords)
    scores = {path: _score(vectors, path, config) for path in config.files if path not in errors}
    unseen_scores = {}
    if vectors.subwords is not None:
        unseen_scores = {
            path: _pair_score(vectors, path, config, unseen=True)
            for path, score in scores.items()
            if isinstance(score, WordPairScore)
        }
    if verbosity.json:
        answers = {str(path): _score_as_json(score) for path, score in scores.items()}
        for path, score in unseen_scores.items():
            answers[str(path)]["with_ngrams"] = _score_as_json(score)
        print_json(answers)
    else:
        _print_scores(scores, unseen_scores, config)
    return log_errors(map(str, errors.values()))


def _unreadable_files(paths: Sequence[Path]) -> dict[Path, UserError]:
    """Returns why files cannot be scored, before the vectors are loaded, which takes longer."""
    errors = {}
    for path in paths:
        try:
            read_analogies(path) if is_analogy_file(path) else read_pairs(path)
        except UserError as error:
            errors[path] = error
    return errors


def _print_scores(
    scores: dict[Path, WordPairScore | Sections],
    unseen_scores: dict[Path, WordPairScore],
    config: EvaluateConfig,
) -> None:
    pairs = {path: score for path, score in scores.items() if isinstance(score, WordPairScore)}
    analogies = {path: score for path, score in scores.items() if isinstance(score, list)}
    if pairs:
        header = ["file", "spearman", "95% interval", "pearson", "95% interval", "covered"]
        rows = [*map(_pair_row, pairs, pairs.values()), *_mean_row(list(pairs.values()))]
        if unseen_scores:
            header += ["with n-grams", "covered"]
            unseen_rows = [_pair_row(path, unseen_scores[path]) for path in pairs]
            unseen_rows += _mean_row(list(unseen_scores.values()))
            # One side may have no row of means, which is of two sets or more.
            rows = [
                (*(row or ("mean", *[""] * 5)), *((other[1], other[-1]) if other else ("", "")))
                for row, other in zip_longest(rows, unseen_rows, fillvalue=())
            ]
        print_table(header, rows)
        _suggest_phrases(pairs, config)
    if pairs and analogies:
        print()
    if analogies:
        table = [
            row for path, sections in analogies.items() for row in _section_rows(path, sections)
        ]
        if len(analogies) > 1:
            mean = fmean(accuracy(sections[-1]) for sections in analogies.values())
            table.append((f"mean of {len(analogies)}", "", f"{mean:.4f}", "", ""))
        print_table(("file", "section", "accuracy", "correct", "asked"), table, grouped=True)


def _score(vectors: Vectors, path: Path, config: EvaluateConfig) -> WordPairScore | Sections:
    if is_analogy_file(path):
        return vectors.evaluate_word_analogies(
            path,
            restrict_vocab=config.restrict_vocab,
            case_insensitive=config.case_insensitive,
            dummy4unknown=config.dummy4unknown,
            method=config.method,
        )[1]
    return _pair_score(vectors, path, config)


def _pair_score(
    vectors: Vectors, path: Path, config: EvaluateConfig, *, unseen: bool = False
) -> WordPairScore:
    return vectors.evaluate_word_pairs(
        path,
        restrict_vocab=config.restrict_vocab,
        case_insensitive=config.case_insensitive,
        dummy4unknown=config.dummy4unknown,
        phrases=config.phrases,
        unseen=unseen,
    )


def _pair_row(path: Path, score: WordPairScore) -> tuple[str, ...]:
    return (
        str(path),
        f"{score.spearman:.3f}",
        _interval(score.spearman_interval),
        f"{score.pearson:.3f}",
        _interval(score.pearson_interval),
        f"{score.covered}/{score.total}",
    )


def _mean_row(scores: list[WordPairScore]) -> list[tuple[str, ...]]:
    """Returns the row with the means over sets that have a correlation; none for a single set."""
    scores = [score for score in scores if not math.isnan(score.spearman)]
    if len(scores) < 2:
        return []
    spearman, pearson = (
        f"{fmean(values):.3f}"
        for values in ([s.spearman for s in scores], [s.pearson for s in scores])
    )
    return [(f"mean of {len(scores)}", spearman, "", pearson, "", "")]


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def _section_rows(path: Path, sections: Sections) -> list[tuple[str, ...]]:
    return [
        (
            str(path),
            section["section"],
            f"{accuracy(section):.4f}",
            str(len(section["correct"])),
            str(len(section["correct"]) + len(section["incorrect"])),
        )
        for section in sections
    ]


def _score_as_json(score: WordPairScore | Sections) -> dict[str, Any]:
    """Returns a score for JSON."""
    if isinstance(score, WordPairScore):
        return {
            "spearman": json_number(score.spearman, 6),
            "spearman_interval": [json_number(end, 6) for end in score.spearman_interval],
            "pearson": json_number(score.pearson, 6),
            "pearson_interval": [json_number(end, 6) for end in score.pearson_interval],
            "covered": score.covered,
            "total": score.total,
        }
    return {
        "accuracy": round(accuracy(score[-1]), 6),
        "sections": [
            {
                "section": section["section"],
                "accuracy": round(accuracy(section), 6),
                "correct": len(section["correct"]),
                "asked": len(section["correct"]) + len(section["incorrect"]),
            }
            for section in score
        ],
    }


def _suggest_phrases(pairs: dict[Path, WordPairScore], config: EvaluateConfig) -> None:
    """Logs where entries of several words were left out, and which option uses them."""
    for path, score in pairs.items():
        several = sum(" " in a or " " in b for a, b, _ in read_pairs(path))
        if several and score.covered < score.total and not config.phrases:
            logger.info(
                "%s: %d pairs have an entry of several words; "
                "--phrases takes the mean of their vectors",
                path,
                several,
                extra={"stage": "pmc2vec evaluate"},
            )
