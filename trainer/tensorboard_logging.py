"""What a training tells while it runs: curves and neighbours for TensorBoard, lines on the console.

logs/train, logs/validation   loss, accuracy; so that TensorBoard draws both in one chart
logs/validation               spearman/*
logs/train                    learning_rate, words_per_second, neighbours (text), norms
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.plugins.hparams import api_pb2, summary, summary_v2

from pmc2vec.cli.metrics import progress_metrics
from pmc2vec.cli.options import options_that
from pmc2vec.dataset.manifest import Manifest
from pmc2vec.dataset.records import TRAIN, VALIDATION
from pmc2vec.dataset.vocabulary import Vocabulary
from pmc2vec.errors import UserError
from pmc2vec.vectors.evaluation import WordPairScore
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.config import TrainConfig
from trainer.dataset_reader import Dataset
from trainer.distribution.devices import ALONE, Worker

logger = logging.getLogger(__name__)

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
Scores = Mapping[str, WordPairScore]


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
        progress_metrics.set(**{f"{split}_{name}": float(value) for name, value in values.items()})
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


def log_neighbours(neighbours: Neighbours) -> None:
    """Logs a line for each probe word."""
    width = max(map(len, neighbours), default=0)
    for word, found in neighbours.items():
        logger.info("  %s  %s", f"{word:{width}}", _listed(found))


def _listed(found: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {cosine:.2f}" for word, cosine in found)


def _first(words: Any, count: int) -> list[str]:
    return [word for word, _ in zip(words, range(count), strict=False)]


class Point(NamedTuple):
    """What some steps came to.

    Attributes:
        first: steps of the training before them.
        step: the last of them.
        loss: mean over their pairs.
        accuracy: share of the pairs whose logit beats those of `negative` noise words.
        seconds: that they took.
    """

    first: int
    step: int
    loss: float
    accuracy: float
    seconds: float


class Curve:
    """Steps in the order of the training, from which a point comes now and then.

    >>> curve = Curve(every=2, step=5)
    >>> curve.add(np.array([[3.0, 2, 1], [4.0, 2, 0], [4.0, 2, 1]]), seconds=6)
    [Point(first=5, step=6, loss=1.5, accuracy=0.5, seconds=2.0), \
Point(first=6, step=8, loss=2.0, accuracy=0.25, seconds=4.0)]
    """

    def __init__(self, *, every: int, step: int) -> None:
        """Begins after a step.

        Args:
            every: steps between two points; they lie at multiples of it.
            step: how many are done.
        """
        self._every = every
        self._first = self._step = step
        self._totals, self._seconds = np.zeros(3), 0.0

    def add(self, totals: NDArray[np.float64], seconds: float) -> list[Point]:
        """Adds steps and returns the points that they complete.

        Args:
            totals: [n, 3], loss, pairs and hits of each step.
            seconds: that they took together; each is taken to have lasted as long as the others.
        """
        points, each = [], seconds / max(len(totals), 1)
        while len(totals):
            count = min(len(totals), self._every - self._step % self._every)
            self._totals += totals[:count].sum(0)
            self._seconds += count * each
            self._step += count
            totals = totals[count:]
            if self._step % self._every == 0:
                points.append(self._point())
        return points

    def _point(self) -> Point:
        (loss, pairs, hits), took = self._totals.tolist(), self._seconds
        point = Point(self._first, self._step, loss / max(pairs, 1), hits / max(pairs, 1), took)
        self._first, self._totals, self._seconds = self._step, np.zeros(3), 0.0
        return point


CORPUS, SESSION = ".corpus", ".hyperparameters"  # ends of the event files' names

_MOST_FREQUENT = 20

# The trainer knows the options of a build by the manifest only, not by their dataclass.
_BUILD_HYPERPARAMETERS = (
    "keywords", "tokenizer", "numbers", "phrases", "min_count", "max_final_vocab", "window",
    "shrink_windows", "negative", "ns_exponent", "noise", "sample", "subsampling", "passes",
)  # fmt: skip


def hyperparameters(config: TrainConfig, manifest: Manifest) -> dict[str, bool | float | str]:
    """Returns what two runs may differ in: options of the training and of the build, and sizes."""
    trained = {name: getattr(config, name) for name in options_that(TrainConfig, "hyperparameter")}
    built = {name: manifest.config.get(name) for name in _BUILD_HYPERPARAMETERS}
    sizes = {"words": manifest.vocabulary.size, "tokens": manifest.vocabulary.tokens}
    found: dict[str, bool | float | str] = {}
    for name, value in {**built, **sizes, **trained}.items():
        if isinstance(value, list | tuple):
            found[name] = " ".join(map(str, value))
        elif value is not None:
            found[name] = value if isinstance(value, bool | int | float) else str(value)
    return {name: value for name, value in found.items() if value != ""}


def corpus_tables(manifest: Manifest, words: Sequence[str]) -> dict[str, str]:
    """Returns Markdown tables by name: what was read, kept and counted.

    Args:
        manifest: of the dataset.
        words: the vocabulary, most frequent first.
    """
    file = manifest.vocabulary
    vocabulary = {
        "words": file.size,
        "their tokens": file.tokens,
        "words left out": file.dropped_words,
        "their tokens, left out": file.dropped_tokens,
        "most frequent": " ".join(words[:_MOST_FREQUENT]),
    }
    in_order = sorted(manifest.funnel, key=lambda name: (name != "read", ":" not in name))
    funnel = {name.replace(":", ", ").replace("_", " "): manifest.funnel[name] for name in in_order}
    return {
        "funnel": table(funnel, ("articles", "count")),
        "licences": table(manifest.licences, ("licence", "articles")),
        "vocabulary": table(vocabulary, ("vocabulary", "")),
        "options": table(manifest.config, ("pmc2vec build", "")),
    }


def table(rows: Mapping[str, Any], heads: tuple[str, str]) -> str:
    r"""Returns a Markdown table of two columns.

    >>> print(table({"read": 4019, "a|b": ["x", "y"]}, ("articles", "count")))
    | articles | count |
    |---|---|
    | read | 4,019 |
    | a\|b | x, y |
    """
    lines = [heads, *((name, _told(value)) for name, value in rows.items())]
    head, *rest = (f"| {_cell(name)} | {_cell(value)} |" for name, value in lines)
    return "\n".join((head, "|---|---|", *rest))


@contextlib.contextmanager
def shown_facts(config: TrainConfig, dataset: Dataset, worker: Worker = ALONE) -> Iterator[None]:
    """Tells TensorBoard of the corpus and the hyper-parameters, and how the work inside ends.

    Args:
        config: the options, resolved.
        dataset: what is trained on.
        worker: who trains; only the chief tells.
    """
    if not worker.chief:
        yield
        return
    assert config.log_dir is not None
    manifest = dataset.manifest
    write_corpus(str(config.workdir), corpus_tables(manifest, dataset.vocabulary.words))
    name = "/".join(Path(config.workdir or "").resolve().parts[-2:])
    with session(config.log_dir, hyperparameters(config, manifest), name=name):
        yield


def write_corpus(folder: str, tables: Mapping[str, str]) -> None:
    """Writes the tables as texts for TensorBoard.

    Args:
        folder: the workdir.
        tables: Markdown by name.
    """
    with contextlib.closing(_writer(folder, CORPUS)) as writer, writer.as_default(0):
        for name, text in tables.items():
            tf.summary.text(f"corpus/{name}", text, description="From the dataset's manifest.json.")


@contextlib.contextmanager
def session(folder: str, values: Mapping[str, bool | float | str], *, name: str) -> Iterator[None]:
    """Writes the hyper-parameters, and how the work inside ended.

    Args:
        folder: for logs; the curves are in folders below it.
        values: by name.
        name: of the run in the dashboard. Runs of one name are averaged.
    """
    with contextlib.closing(_writer(folder, SESSION)) as writer, writer.as_default(0):
        # Its documented name is `api.hparams`; but `api` loads Keras, which takes two seconds.
        summary_v2.hparams(dict(values), trial_id=name)
        writer.flush()
        status = api_pb2.STATUS_FAILURE
        try:
            yield
            status = api_pb2.STATUS_SUCCESS
        except SystemExit:  # Asked to stop, to be continued.
            status = api_pb2.STATUS_UNKNOWN
            raise
        finally:
            ended = summary.session_end_pb(status).SerializeToString()
            tf.summary.experimental.write_raw_pb(ended, step=0)


def _writer(folder: str, suffix: str) -> Any:
    """Returns a writer of the only event file with this suffix in a folder."""
    for earlier in tf.io.gfile.glob(f"{folder.rstrip('/')}/*.tfevents.*{suffix}"):
        tf.io.gfile.remove(earlier)
    return tf.summary.create_file_writer(folder, filename_suffix=suffix)


def _told(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value)) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
