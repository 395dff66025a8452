"""What a training tells while it runs: curves and neighbours for TensorBoard, lines on the console.

logs/train, logs/validation   loss, accuracy; so that TensorBoard draws both in one chart
logs/validation               spearman/*
logs/train                    learning_rate, words_per_second, neighbours (text), norms
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console

from pmc2vec.cli import progress_metrics
from pmc2vec.dataset.records import TRAIN, VALIDATION
from pmc2vec.dataset.vocabulary import Vocabulary
from pmc2vec.errors import UserError
from pmc2vec.vectors.word_vectors import Vectors
from trainer.word_pair_scores import Scores

FAVOURITES = (
    "melanoma", "brca1", "insulin", "fever", "mitochondria", "hypertension", "antibiotics", "mice",
)  # fmt: skip
PROBES = 8
SHOWN = 5  # neighbours of a probe word

_DESCRIPTIONS = {
    "loss": "Of the objective, mean per pair.",
    "accuracy": "Share of pairs whose logit beats those of `negative` noise words.",
    "learning_rate": "Of the optimizer, at the last step.",
    "words_per_second": "Words of the corpus, before subsampling, per second of training.",
}

Neighbours = dict[str, list[tuple[str, float]]]


def probe_words(vocabulary: Vocabulary) -> tuple[str, ...]:
    """Returns words to watch: the favourites, then the most frequent words with a meaning.

    Words of six letters or more that make up less than a thousandth of the tokens have one, mostly;
    where there are none, the most frequent words.
    """
    limit = vocabulary.tokens / 1000
    content = (
        word
        for word, count in zip(vocabulary.words, vocabulary.counts, strict=True)
        if count < limit and len(word) > 5 and word.isalpha()
    )
    known = [word for word in FAVOURITES if word in vocabulary.ids]
    wanted = dict.fromkeys(known)
    for word in (*_first(content, PROBES), *vocabulary.words[:PROBES]):
        if len(wanted) < PROBES:
            wanted[word] = None
    return tuple(wanted)


def open_monitor(
    folder: str | None,
    wanted: Sequence[str],
    vocabulary: Vocabulary,
    tell: Callable[[str], None],
) -> Monitor:
    """Returns a monitor of some words, or of a choice where none of them is known.

    Args:
        folder: for TensorBoard's files; None for no files.
        wanted: words whose neighbours to tell.
        vocabulary: of the dataset.
        tell: shows a line to the user.

    Raises:
        UserError: the folder cannot be written.
    """
    if unknown := [word for word in wanted if word not in vocabulary.ids]:
        tell(f"not in the vocabulary, so not probed: {' '.join(unknown)}")
    known = [word for word in wanted if word in vocabulary.ids]
    try:
        return Monitor(folder, probes=known or probe_words(vocabulary), words=vocabulary.words)
    except tf.errors.OpError as error:
        reason = str(error).partition("}} ")[2].partition("\n")[0]
        raise UserError(
            f"{folder}: cannot be written ({reason}); mend that and give the same command again"
        ) from error


class Monitor:
    """Writes to TensorBoard's files and to the console."""

    def __init__(self, folder: str | None, *, probes: Sequence[str], words: Sequence[str]) -> None:
        """Opens the files.

        Args:
            folder: for TensorBoard's files; any path that TensorFlow can write. None for no files.
            probes: words whose neighbours to tell.
            words: V words.
        """
        self._probes, self._words = probes, words
        self._writers = {
            split: tf.summary.create_file_writer(f"{folder.rstrip('/')}/{split}")
            if folder is not None
            else tf.summary.create_noop_writer()
            for split in (TRAIN, VALIDATION)
        }

    def scalars(self, split: str, step: int, **values: float) -> None:
        """Adds a point to each named curve of a split, and tells `figures` of it."""
        progress_metrics.note(**{f"{split}_{name}": float(value) for name, value in values.items()})
        with self._writing(split, step):
            for name, value in values.items():
                tf.summary.scalar(name, value, description=_DESCRIPTIONS[name])

    def agreement(self, step: int, scores: Scores) -> None:
        """Adds a point to the curve of each set of word pairs that has a correlation."""
        with self._writing(VALIDATION, step):
            for name, score in scores.items():
                if not math.isnan(score.spearman):
                    tf.summary.scalar(
                        f"spearman/{name}",
                        score.spearman,
                        description="Rank correlation of cosines with people's scores, "
                        f"{score.covered:,} of {score.total:,} pairs known.",
                    )

    def neighbours(self, step: int, matrix: NDArray[np.float32]) -> Neighbours:
        """Returns the neighbours of the probe words, and adds them as a table.

        Args:
            step: of all.
            matrix: [V, D] float32.
        """
        vectors = Vectors(self._words, matrix)
        found = {probe: vectors.most_similar(probe, topn=SHOWN) for probe in self._probes}
        with self._writing(TRAIN, step):
            tf.summary.text("neighbours", markdown(found), description="Nearest words by cosine.")
        return found

    def norms(self, step: int, matrix: NDArray[np.float32]) -> None:
        """Adds a histogram of the lengths of the vectors.

        Args:
            step: of all.
            matrix: [V, D] float32.
        """
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
        with self._writing(TRAIN, step):
            tf.summary.histogram("norms", lengths, description="Lengths of the word vectors.")

    @contextlib.contextmanager
    def _writing(self, split: str, step: int) -> Iterator[None]:
        # TensorFlow asks the first device whether to write at all, and a GPU is busy.
        with self._writers[split].as_default(step), tf.device("CPU"):
            yield

    def close(self) -> None:
        """Writes what is still held back."""
        for writer in self._writers.values():
            writer.close()


def markdown(neighbours: Neighbours) -> str:
    """Returns a table in Markdown.

    >>> print(markdown({"cat": [("lion", 0.953), ("car", 0.1)]}))
    | word | neighbours |
    |---|---|
    | cat | lion 0.95, car 0.10 |
    """
    rows = (f"| {word} | {_listed(found)} |" for word, found in neighbours.items())
    return "\n".join(("| word | neighbours |", "|---|---|", *rows))


def show_neighbours(neighbours: Neighbours, on: Console) -> None:
    """Prints a line for each probe word."""
    width = max(map(len, neighbours), default=0)
    for word, found in neighbours.items():
        on.print(f"  {word:{width}}  {_listed(found)}", markup=False, soft_wrap=True)


def _listed(found: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {cosine:.2f}" for word, cosine in found)


def _first(words: Any, count: int) -> list[str]:
    return [word for word, _ in zip(words, range(count), strict=False)]
