"""`pmc2vec why`: why two words are near, in sentences of the corpus.

    pmc2vec why melanoma nsclc --vectors run

The corpus is that of the dataset that the run was trained on. Its articles are read once; for each
word a sample of `MAX_SENTENCES` sentences is kept. `shared_contexts` weighs what they share.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.text import Text
from tyro.conf import Positional

from beam_pipelines.stages.output_folder import OutputFolder
from beam_pipelines.stages.phrases import JOINER, join_passes, read_phrases
from pmc2vec.cli.console import ResultConsole, print_json, print_table, progress, verbosity
from pmc2vec.cli.options import option, parse
from pmc2vec.commands.shared_contexts import (
    SharedContext,
    context_counts,
    contexts_around,
    shared_contexts,
)
from pmc2vec.dataset.manifest import MANIFEST_NAME, Manifest, parse_manifest
from pmc2vec.dataset.vocabulary import VOCABULARY_NAME, parse_vocabulary
from pmc2vec.errors import UserError
from pmc2vec.storage.files import join, list_files, open_binary, read_text
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.workdir import CONFIG_NAME

MAX_SENTENCES = 20_000
"""Sentences of each word that are kept, a random sample of all: enough for its contexts."""

SHOWN_CONTEXTS = 10
# A sentence names contexts that have this share of the greatest weight: `of` and `in` have less.
_SHOWN_SHARE = 0.1

_COLUMNS = ["article_id", "pmcid", "journal", "year", "licence", "sentences"]


@dataclass(frozen=True)
class WhyConfig:
    """Options of `pmc2vec why`."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    first: Positional[str] = option(metavar="WORD")
    """The first word."""

    second: Positional[str] = option(metavar="WORD")
    """The second word."""

    dataset: str | None = option(None, default_text="that of the workdir")
    """The dataset whose corpus is read."""

    topn: int = option(3, minimum=1)
    """Number of sentences for each word, and for both together."""


class Sentence(NamedTuple):
    """A sentence of the corpus and where it is from.

    Attributes:
        tokens: words of the vocabulary, phrases joined.
        text: all its tokens, separated by spaces.
        source: article_id, pmcid, journal, year and licence of the article.
    """

    tokens: Sequence[str]
    text: str
    source: Mapping[str, str | None]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec why` and returns its exit code."""
    config = parse(
        WhyConfig,
        argv,
        prog="pmc2vec why",
        description="Show what two words share: contexts, and sentences of the corpus with them.",
        examples=[
            "pmc2vec why melanoma nsclc --vectors run",
            "pmc2vec why melanoma nsclc --vectors glove.txt --dataset dataset --json",
        ],
        json_result=True,
    )
    vectors = Vectors.load(config.vectors)
    words = vectors.match_case(config.first), vectors.match_case(config.second)
    if words[0] == words[1]:
        raise UserError(f"{words[0]!r} is given twice; name two words")
    cosine = vectors.similarity(*words)
    folder = config.dataset or _dataset_of(config.vectors)
    reasons = {"words": words, "cosine": round(cosine, 6)} | explain(folder, words, config.topn)
    if verbosity.json:
        print_json(reasons)
    else:
        _show(reasons)
    return 0


def explain(folder: str, words: tuple[str, str], topn: int) -> dict[str, Any]:
    """Returns why two words of a dataset are near, ready for JSON.

    Args:
        folder: the dataset.
        words: the two words.
        topn: number of sentences of each kind.

    Returns:
        `counts` of the words in the corpus; how often the second stands in the window of the first
        (`together`); `contexts`, those that bind most first; and `sentences`, the best first: those
        with both words, then those with one.

    Raises:
        UserError: there is no such dataset, its corpus is gone, or it lacks a word.
    """
    manifest, vocabulary = _read_dataset(folder)
    for word in words:
        if word not in vocabulary:
            raise UserError(
                f"{folder}: {word!r} is not in its vocabulary; "
                "name with --dataset that of the vectors"
            )
    sentences = _sentences_of(folder, manifest, vocabulary, words)
    window = manifest.shape.window
    near = [
        context_counts((sentence.tokens for sentence in sentences[word]), word, window)
        for word in words
    ]
    together = near[0][words[1]]
    for counts in near:  # That they stand beside each other is no context that they share.
        for word in words:
            del counts[word]
    contexts = shared_contexts(near, vocabulary)
    return {
        "counts": [vocabulary[word] for word in words],
        "window": window,
        "together": together,
        "contexts": [context._asdict() for context in contexts[:SHOWN_CONTEXTS]],
        "sentences": _best_sentences(sentences, words, contexts, window, topn),
    }


def _dataset_of(workdir: Path) -> str:
    """Returns the dataset that a workdir was trained on."""
    try:
        return str(json.loads((workdir / CONFIG_NAME).read_bytes())["dataset"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{workdir}: does not say on what it was trained; name the dataset with --dataset"
        ) from error


def _read_dataset(folder: str) -> tuple[Manifest, dict[str, int]]:
    """Returns the manifest of a dataset, and its words with their counts."""
    texts = [read_text(join(folder, name)) for name in (MANIFEST_NAME, VOCABULARY_NAME)]
    if texts[0] is None or texts[1] is None:
        raise UserError(
            f"{folder}: no finished dataset there; name with --dataset that of the vectors"
        )
    manifest = parse_manifest(texts[0], join(folder, MANIFEST_NAME))
    vocabulary = parse_vocabulary(texts[1], join(folder, VOCABULARY_NAME))
    return manifest, dict(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True))


# --- the corpus --------------------------------------------------------------------------------


def _sentences_of(
    folder: str, manifest: Manifest, vocabulary: Mapping[str, int], words: Sequence[str]
) -> dict[str, list[Sentence]]:
    """Returns sentences of the corpus that have each word, a random sample of them."""
    output = OutputFolder(folder, corpus=manifest.config.get("corpus"))
    passes = [
        read_phrases(output, number + 1) for number in range(manifest.config.get("phrases", 0))
    ]
    parts = [path for path, _ in list_files(output.corpus_path("corpus"), "*.parquet")]
    if not parts:
        raise UserError(f"{output.corpus_path('corpus')}: no corpus there; build the dataset again")
    samples: dict[str, list[Sentence]] = {word: [] for word in words}
    sentence_counts, rng = dict.fromkeys(words, 0), random.Random(0)
    with progress("why", "parts", total=len(parts)) as work:
        for number, part in enumerate(parts, start=1):
            for text, source in _matches(part, words, phrases=bool(passes)):
                joined = join_passes(text, passes)
                sentence = Sentence([t for t in joined if t in vocabulary], text, source)
                for word in (word for word in words if word in joined):
                    sentence_counts[word] += 1
                    # Reservoir sampling: each sentence stays with the same probability.
                    if len(samples[word]) < MAX_SENTENCES:
                        samples[word].append(sentence)
                    elif (place := rng.randrange(sentence_counts[word])) < MAX_SENTENCES:
                        samples[word][place] = sentence
            work.update(number)
    return samples


def _matches(
    part: str, words: Sequence[str], *, phrases: bool
) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yields the sentences of a part that may hold a word, each with its article."""
    # A phrase stands in the corpus as its words.
    joiner = f"[ {JOINER}]" if phrases else JOINER
    spellings = [joiner.join(map(re.escape, word.split(JOINER))) for word in words]
    pattern = f"(^| )({'|'.join(spellings)})( |$)"
    with open_binary(part) as file:
        reader = pq.ParquetFile(file)
        for group in range(reader.num_row_groups):
            table = reader.read_row_group(group, columns=_COLUMNS).combine_chunks()
            lists = table["sentences"].chunk(0)
            matching = pc.match_substring_regex(lists.flatten(), pattern)
            rows = pc.list_parent_indices(lists).filter(matching).to_pylist()
            texts = lists.flatten().filter(matching).to_pylist()
            articles = table.drop_columns(["sentences"]).to_pylist() if rows else []
            yield from ((text, articles[row]) for text, row in zip(texts, rows, strict=True))


def _best_sentences(
    sentences: Mapping[str, Sequence[Sentence]],
    words: tuple[str, str],
    contexts: Sequence[SharedContext],
    window: int,
    topn: int,
) -> list[dict[str, Any]]:
    """Returns the sentences whose contexts bind most: with both words, then with each.

    An article has one sentence of each kind.
    """
    weights = {context.word: context.weight for context in contexts}
    best: dict[tuple[str, ...], dict[str | None, dict[str, Any]]] = {
        words: {}, words[:1]: {}, words[1:]: {},
    }  # fmt: skip
    for word in words:
        for sentence in sentences[word]:
            entry = _sentence_entry(sentence, words, weights, window)
            of_article = best[tuple(entry["words"])]
            article = sentence.source["article_id"]
            if entry["score"] > of_article.get(article, {"score": 0})["score"]:
                of_article[article] = entry
    return [
        entry
        for of_article in best.values()
        for entry in sorted(
            of_article.values(), key=lambda entry: (-entry["score"], entry["sentence"])
        )[:topn]
    ]


def _sentence_entry(
    sentence: Sentence, words: Sequence[str], weights: Mapping[str, float], window: int
) -> dict[str, Any]:
    """Returns a sentence for JSON: its words, its score, its source and the contexts in it."""
    present = [word for word in words if word in sentence.tokens]
    around = contexts_around(sentence.tokens, present, weights, window)
    least = _SHOWN_SHARE * max(weights.values(), default=0.0)
    return {
        "words": present,
        "score": round(sum(weights[context] for context in around), 2),
        "pmcid": sentence.source["pmcid"] or sentence.source["article_id"],
        **{name: sentence.source[name] for name in ("journal", "year", "licence")},
        "sentence": sentence.text,
        "contexts": [context for context in around if weights[context] >= least],
    }


# --- for a person ------------------------------------------------------------------------------


def _show(reasons: Mapping[str, Any]) -> None:
    """Prints what binds two words: on a terminal with the words in bold, else as tables."""
    first, second = reasons["words"]
    header = ("context", "weight", f"near {first}", f"near {second}")
    rows = [
        (entry["word"], f"{entry['weight']:.2f}", *map(str, entry["counts"]))
        for entry in reasons["contexts"]
    ]
    if not sys.stdout.isatty():
        print_table(header, rows)
        print()
        names = ("score", "pmcid", "journal", "year", "licence", "sentence")
        print_table(
            ("words", *names),
            [
                (" ".join(entry["words"]), *(str(entry[name] or "") for name in names))
                for entry in reasons["sentences"]
            ],
        )
        return
    out = ResultConsole(highlight=False)
    counts = " and ".join(f"{count:,}" for count in reasons["counts"])
    out.print(
        Text(
            f"{first} and {second}: cosine {reasons['cosine']:.2f}; seen {counts} times; "
            f"together within {reasons['window']} words: {reasons['together']:,}"
        )
    )
    print_table(header, rows)
    for entry in reasons["sentences"]:
        source = (entry["pmcid"], entry["journal"], entry["year"], entry["licence"])
        out.print(Text(f"\n{entry['score']:.2f}  " + ", ".join(filter(None, source)), "dim"))
        out.print(_marked(entry))


def _marked(entry: Mapping[str, Any]) -> Text:
    """Returns a sentence with its words in bold and the contexts that bind them underlined."""
    text = Text()
    for token in entry["sentence"].split(" "):
        style = (
            "bold" if token in entry["words"] else "underline" if token in entry["contexts"] else ""
        )
        text.append(token, style).append(" ")
    return text
