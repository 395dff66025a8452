"""What TensorBoard shows of a training: curves, neighbours, the corpus and hyper-parameters.

A training is two runs, so that the folder of the workdir gives both their names:

    WORKDIR              curves, neighbours, texts on the corpus and the options, the projector
    WORKDIR/validation   loss, quality/accuracy, quality/spearman/*

Curves of one name in both are drawn in one chart. TensorBoard groups charts by what stands before
the slash of their names, sorts the groups by alphabet and opens the first: the loss.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
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
from pmc2vec.dataset.vocabulary import UNKNOWN_WORD, Vocabulary
from pmc2vec.errors import UserError
from pmc2vec.vectors.evaluation import WordPairScore
from pmc2vec.vectors.formats.projector import CENTRE
from pmc2vec.vectors.keyed_vectors import Vectors
from trainer.config import NO_PROBES, TrainConfig, random_probes
from trainer.dataset_reader import Dataset
from trainer.devices import SINGLE_WORKER, Worker
from trainer.word_map import map_picture

logger = logging.getLogger(__name__)

PREFERRED_PROBE_WORDS = (
    "melanoma", "brca1", "insulin", "fever", "mitochondria", "hypertension", "antibiotics", "mice",
)  # fmt: skip
PROBE_WORD_COUNT = 8

PREFERRED_UNSEEN_WORDS = ("pembrolizumabs", "hypoglycaemics", "carcinomatoid", "interleukine")
UNSEEN_WORD_COUNT = 2  # Of them, with --subwords: words that the corpus does not have.


class Curve(NamedTuple):
    """A curve in TensorBoard.

    Attributes:
        tag: its name there; what stands before the slash is its group.
        description: shown by the chart's information mark.
    """

    tag: str
    description: str


_CURVES = {
    "loss": Curve("loss", "Of the objective, mean per pair."),
    "accuracy": Curve(
        "quality/accuracy", "Share of pairs whose logit beats those of `negative` noise words."
    ),
    "epoch_progress": Curve(
        "speed/epoch", "Epochs done, to tell where in the steps each of them ends."
    ),
    "learning_rate": Curve("speed/learning_rate", "Of the optimizer, at the last step."),
    "words_per_second": Curve(
        "speed/words_per_second", "Words of the corpus, before subsampling, per second of training."
    ),
    "waiting_for_data": Curve(
        "speed/waiting_for_data",
        "Share of the time in which the step waited for the next batch; near 0 is as it should be.",
    ),
}

SPEARMAN_GROUP = "quality/spearman"

ProbeNeighbours = dict[str, list[tuple[str, float]]]
"""Words and cosines by probe word, nearest first."""

WordPairScores = Mapping[str, WordPairScore]
"""The scores of files of word pairs, by their names."""


# --- curves and neighbours ---------------------------------------------------------------------


def open_tensorboard_logger(
    config: TrainConfig | None,
    probe_words: Sequence[str],
    warn: Callable[[str], None],
) -> TensorBoardLogger:
    """Returns a logger of TensorBoard's files.

    Args:
        config: the options, resolved; None to write no files.
        probe_words: of `find_probe_words`.
        warn: shows a line to the user.

    Raises:
        UserError: the folder cannot be written.
    """
    if config is None:
        return TensorBoardLogger(None, probe_words=())
    unknown = [
        word
        for word in config.probe_words
        if word not in probe_words and not random_probes(word) and (word,) != NO_PROBES
    ]
    if unknown:
        warn(f"not in the vocabulary, so not probed: {' '.join(unknown)}")
    try:
        return TensorBoardLogger(
            config.log_dir,
            probe_words=probe_words,
            neighbours=config.probe_neighbours,
        )
    except tf.errors.OpError as error:
        reason = str(error).partition("}} ")[2].partition("\n")[0]
        raise UserError(
            f"{config.log_dir}: cannot be written ({reason}); mend that and give the same command "
            "again"
        ) from error


class TensorBoardLogger:
    """Writes TensorBoard's event files of one training."""

    def __init__(
        self,
        folder: str | None,
        *,
        probe_words: Sequence[str],
        neighbours: int = 5,
    ) -> None:
        """Opens the files.

        Args:
            folder: any path that TensorFlow can write; None to write no files.
            probe_words: words whose neighbours are written.
            neighbours: of each probe word.
        """
        self._has_folder = folder is not None
        self._probe_words, self._neighbours = probe_words, neighbours
        self._writers = {
            split: tf.summary.create_file_writer(f"{folder.rstrip('/')}{subfolder}")
            if folder is not None
            else tf.summary.create_noop_writer()
            for split, subfolder in ((TRAIN, ""), (VALIDATION, f"/{VALIDATION}"))
        }

    def log_scalars(self, split: str, step: int, **values: float) -> None:
        """Adds a point to each named curve of a split, and to the metrics of Prometheus."""
        progress_metrics.set(**{f"{split}_{name}": float(value) for name, value in values.items()})
        with self._writer_at_step(split, step):
            for name, value in values.items():
                tf.summary.scalar(_CURVES[name].tag, value, description=_CURVES[name].description)

    def log_word_pair_scores(self, step: int, scores: WordPairScores) -> None:
        """Adds a point to the curve of each file of word pairs that has a correlation."""
        with self._writer_at_step(VALIDATION, step):
            for name, score in scores.items():
                if not math.isnan(score.spearman):
                    tf.summary.scalar(
                        f"{SPEARMAN_GROUP}/{name}",
                        score.spearman,
                        description="Rank correlation of cosines with people's scores, "
                        f"{score.covered:,} of {score.total:,} pairs known.",
                    )

    def log_neighbours(self, step: int, vectors: Vectors) -> ProbeNeighbours:
        """Adds a table of the neighbours of the probe words, and returns them.

        Args:
            step: of the training.
            vectors: of the words; a probe word that was not counted is shown if it has a vector.
        """
        neighbours = {
            word: vectors.most_similar(word, topn=self._neighbours)
            for word in self._probe_words
            if vectors.has_vector(word)
        }
        if not neighbours:
            return neighbours
        with self._writer_at_step(TRAIN, step):
            table = neighbour_table(neighbours)
            tf.summary.text(
                "neighbours", table, description="Nearest words by cosine, after each epoch."
            )
        return neighbours

    def log_word_map(self, step: int, vectors: Vectors) -> None:
        """Adds a map of frequent words, where matplotlib is installed."""
        picture = map_picture(vectors) if self._has_folder else None
        if picture is not None:
            with self._writer_at_step(TRAIN, step):
                tf.summary.image(
                    "words", picture[None], description="Frequent words, after each epoch."
                )

    def log_norms(self, step: int, vectors: NDArray[np.float32]) -> None:
        """Adds a histogram of the lengths of the vectors, [V, D] float32."""
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        with self._writer_at_step(TRAIN, step):
            tf.summary.histogram("vectors/norms", norms, description="Lengths of the word vectors.")

    @contextlib.contextmanager
    def _writer_at_step(self, split: str, step: int) -> Iterator[None]:
        # Without tf.device, TensorFlow evaluates on the GPU whether to write, and waits for it.
        with self._writers[split].as_default(step), tf.device("CPU"):
            yield

    def close(self) -> None:
        """Writes what is buffered, and closes the files."""
        for writer in self._writers.values():
            writer.close()


def find_probe_words(
    requested: Sequence[str], vocabulary: Vocabulary, *, seed: int, subwords: bool = False
) -> tuple[str, ...]:
    """Returns the words whose neighbours to show.

    Args:
        requested: words; `random:16:100` is 16 of the 100 most frequent. Where none of them is in
            the vocabulary, some are chosen. `none` alone is no word.
        vocabulary: of the dataset.
        seed: of the random words.
        subwords: whether words that are not in the vocabulary have vectors too. Some of them are
            then among the words that are chosen.
    """
    if tuple(requested) == NO_PROBES:
        return ()
    rng = np.random.default_rng(seed)
    frequent = [word for word in vocabulary.words if word != UNKNOWN_WORD]
    probe_words: dict[str, None] = {}  # A set in order.
    for word in requested:
        probes = random_probes(word)
        if probes is None:
            probe_words.update({word: None} if subwords or word in vocabulary.ids else {})
            continue
        among = min(probes[1], len(frequent))
        places = rng.choice(among, min(probes[0], among), replace=False)
        probe_words.update(dict.fromkeys(frequent[place] for place in places.tolist()))
    unseen = [word for word in PREFERRED_UNSEEN_WORDS if word not in vocabulary.ids]
    return tuple(probe_words) or (
        *choose_probe_words(vocabulary),
        *unseen[: UNSEEN_WORD_COUNT if subwords else 0],
    )


def choose_probe_words(vocabulary: Vocabulary) -> tuple[str, ...]:
    """Returns probe words: preferred ones, then the most frequent content words.

    Most words of six letters or more that make up less than a thousandth of the tokens are content
    words. Where there are too few, the most frequent words follow.
    """
    max_count = vocabulary.tokens / 1000
    content_words = (
        word
        for word, count in zip(vocabulary.words, vocabulary.counts, strict=True)
        if count < max_count and len(word) > 5 and word.isalpha()
    )
    probe_words = dict.fromkeys(word for word in PREFERRED_PROBE_WORDS if word in vocabulary.ids)
    for word in (*islice(content_words, PROBE_WORD_COUNT), *vocabulary.words[:PROBE_WORD_COUNT]):
        if len(probe_words) < PROBE_WORD_COUNT:
            probe_words[word] = None
    return tuple(probe_words)


def neighbour_table(neighbours: ProbeNeighbours) -> str:
    """Returns neighbours as a Markdown table.

    >>> print(neighbour_table({"cat": [("lion", 0.953), ("car", 0.1)]}))
    | word | neighbours |
    |---|---|
    | cat | lion 0.95, car 0.10 |
    """
    rows = (f"| {word} | {_neighbour_list(nearest)} |" for word, nearest in neighbours.items())
    return "\n".join(("| word | neighbours |", "|---|---|", *rows))


def log_neighbours(neighbours: ProbeNeighbours) -> None:
    """Logs a line for each probe word."""
    width = max(map(len, neighbours), default=0)
    for word, nearest in neighbours.items():
        logger.info("  %s  %s", f"{word:{width}}", _neighbour_list(nearest))


def _neighbour_list(nearest: Sequence[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {cosine:.2f}" for word, cosine in nearest)


# --- points of the training curves -------------------------------------------------------------


class CurvePoint(NamedTuple):
    """The means over some steps.

    Attributes:
        previous_step: the step before the first of them.
        step: the last of them.
        loss: mean per pair.
        accuracy: share of the pairs whose logit is above those of `negative` negatives.
        seconds: the time they took.
        waiting: share of the time in which they waited for batches.
    """

    previous_step: int
    step: int
    loss: float
    accuracy: float
    seconds: float
    waiting: float = 0.0


class TrainingCurve:
    """Collects the totals of steps into points at multiples of `every` steps.

    A call of the step returns the totals of many steps. It does not end at a point: calls that
    ended at every point would leave a GPU idle most of the time.

    >>> curve = TrainingCurve(every=2, step=5)
    >>> first, second = curve.add(np.array([[3.0, 2, 1], [4.0, 2, 0], [4.0, 2, 1]]), seconds=6)
    >>> first
    CurvePoint(previous_step=5, step=6, loss=1.5, accuracy=0.5, seconds=2.0, waiting=0.0)
    >>> second
    CurvePoint(previous_step=6, step=8, loss=2.0, accuracy=0.25, seconds=4.0, waiting=0.0)
    """

    def __init__(self, *, every: int, step: int) -> None:
        """Begins after a step.

        Args:
            every: steps between two points.
            step: steps done so far.
        """
        self._every = every
        self._previous_step = self._step = step
        self._totals, self._seconds, self._waiting_seconds = np.zeros(3), 0.0, 0.0

    def add(
        self, totals: NDArray[np.float64], seconds: float, waiting_seconds: float = 0.0
    ) -> list[CurvePoint]:
        """Adds steps and returns the points that they complete.

        Args:
            totals: [n, 3], loss, pairs and hits of each step.
            seconds: the time of all of them; each step is assumed to take the same.
            waiting_seconds: part of it, waiting for batches.
        """
        points, step_seconds = [], seconds / max(len(totals), 1)
        step_waiting = waiting_seconds / max(len(totals), 1)
        while len(totals):
            count = min(len(totals), self._every - self._step % self._every)
            self._totals += totals[:count].sum(0)
            self._seconds += count * step_seconds
            self._waiting_seconds += count * step_waiting
            self._step += count
            totals = totals[count:]
            if self._step % self._every == 0:
                points.append(self._complete_point())
        return points

    def _complete_point(self) -> CurvePoint:
        loss, pairs, hits = self._totals.tolist()
        pairs = max(pairs, 1)
        waiting = self._waiting_seconds / self._seconds if self._seconds else 0.0
        point = CurvePoint(
            self._previous_step, self._step, loss / pairs, hits / pairs, self._seconds, waiting
        )
        self._previous_step, self._totals = self._step, np.zeros(3)
        self._seconds, self._waiting_seconds = 0.0, 0.0
        return point


# --- the corpus and the hyper-parameters -------------------------------------------------------

TEXT_SUFFIX, SESSION_SUFFIX = ".texts", ".hyperparameters"  # Of the event files' names.

_FREQUENT_WORDS = 20  # That are listed.

# What people change from one run to the next; all options stand in the texts.
_TRAINING_HYPERPARAMETERS = (
    "vector_size", "epochs", "alpha", "batch_size", "architecture", "seed",
)  # fmt: skip
# The trainer knows the options of a build by the manifest only, not by their dataclass.
_BUILD_HYPERPARAMETERS = ("window", "negative", "sample", "min_count")


@contextlib.contextmanager
def run_description(
    config: TrainConfig, dataset: Dataset, worker: Worker = SINGLE_WORKER
) -> Iterator[None]:
    """Writes the corpus, the hyper-parameters, and how the work inside ends.

    Each is in an event file of its own, which is written anew at every start.

    Args:
        config: the options, resolved.
        dataset: the training data.
        worker: only the chief writes.
    """
    if not worker.chief:
        yield
        return
    assert config.log_dir is not None
    manifest = dataset.manifest
    tables = corpus_tables(manifest, dataset.vocabulary.words)
    tables["options/training"] = Text(
        markdown_table(training_options(config), ("pmc2vec train", "")),
        "Options of this training that change the vectors.",
    )
    write_texts(config.log_dir, tables)
    # HParams averages runs of one name, so the folder above the workdir tells them apart.
    *_, parent, name = ("", *Path(config.workdir or "").resolve().parts)
    with hparams_session(
        config.log_dir,
        hyperparameters(config, manifest),
        name=f"{name} ({parent})",
        word_pairs=[path.stem for path in config.evaluate],
    ):
        yield


def hyperparameters(config: TrainConfig, manifest: Manifest) -> dict[str, bool | float | str]:
    """Returns the ten options by which people compare runs, of the training and of the build."""
    values = {name: getattr(config, name) for name in _TRAINING_HYPERPARAMETERS}
    values |= {name: manifest.config.get(name) for name in _BUILD_HYPERPARAMETERS}
    return {
        name: value if isinstance(value, bool | int | float) else str(value)
        for name, value in values.items()
        if value is not None
    }


def training_options(config: TrainConfig) -> dict[str, Any]:
    """Returns the options of a training that change the vectors, and are given or have a value."""
    values = {name: getattr(config, name) for name in options_that(TrainConfig, "hyperparameter")}
    return {name: value for name, value in values.items() if value is not None}


class Text(NamedTuple):
    """A text in TensorBoard.

    Attributes:
        markdown: the text.
        description: a sentence on what it is.
    """

    markdown: str
    description: str


def corpus_tables(manifest: Manifest, words: Sequence[str]) -> dict[str, Text]:
    """Returns tables by name: the funnel, licences, the vocabulary and build options.

    Args:
        manifest: of the dataset.
        words: the vocabulary, most frequent first.
    """
    vocabulary = {
        "words": manifest.vocabulary.size,
        "their tokens": manifest.vocabulary.tokens,
        "words left out": manifest.vocabulary.dropped_words,
        "their tokens, left out": manifest.vocabulary.dropped_tokens,
        "most frequent": " ".join(words[:_FREQUENT_WORDS]),
    }
    funnel_order = sorted(manifest.funnel, key=lambda name: (name != "read", ":" not in name))
    funnel = {
        name.replace(":", ", ").replace("_", " "): manifest.funnel[name] for name in funnel_order
    }
    return {
        "corpus/funnel": Text(
            markdown_table(funnel, ("of the input", "count")),
            "Articles that were read, kept, and dropped with the reason; sentences and tokens of "
            "those that were kept.",
        ),
        "corpus/licences": Text(
            markdown_table(merged_licences(manifest.licences), ("licence", "articles")),
            "Licences of the articles; SOURCES.tsv names every article with its own.",
        ),
        "corpus/vocabulary": Text(
            markdown_table(vocabulary, ("vocabulary", "")),
            "Words that have vectors, and what was too rare for one.",
        ),
        "options/dataset": Text(
            markdown_table(manifest.config, ("pmc2vec build", "")),
            "Options with which the dataset was built.",
        ),
        "projector": Text(
            "The most frequent words, as many as `--projector_words`. Their neighbours by cosine "
            "are those of `pmc2vec neighbours` among these words: the point "
            f"`{CENTRE}` keeps the mean at zero, so that *Spherize data* changes no cosine. "
            "Bookmarks (below on the right) select the probe words.",
            "What the projector shows.",
        ),
    }


def merged_licences(licences: Mapping[str, int]) -> dict[str, int]:
    """Returns the articles of each licence, with spellings of one licence together.

    >>> merged_licences({"CC BY": 3, "open-access": 2, "OpenAccess": 1})
    {'CC BY': 3, 'open-access': 3}
    """
    counts_by_name: dict[str, int] = {}
    spellings: dict[str, str] = {}
    for licence, count in licences.items():
        key = "".join(filter(str.isalnum, licence)).casefold()
        name = spellings.setdefault(key, licence)
        counts_by_name[name] = counts_by_name.get(name, 0) + count
    return counts_by_name


def markdown_table(rows: Mapping[str, Any], header: tuple[str, str]) -> str:
    r"""Returns a Markdown table of two columns.

    >>> print(markdown_table({"read": 4019, "a|b": ["x", "y"]}, ("articles", "count")))
    | articles | count |
    |---|---|
    | read | 4,019 |
    | a\|b | x, y |
    """
    cells = [header, *((name, _format_value(value)) for name, value in rows.items())]
    head, *lines = (f"| {_escape_cell(name)} | {_escape_cell(value)} |" for name, value in cells)
    return "\n".join((head, "|---|---|", *lines))


def write_texts(folder: str, texts: Mapping[str, Text]) -> None:
    """Writes texts, by name, into a folder that TensorBoard reads."""
    with contextlib.closing(_only_writer(folder, TEXT_SUFFIX)) as writer, writer.as_default(0):
        for name, text in texts.items():
            tf.summary.text(name, text.markdown, description=text.description)


@contextlib.contextmanager
def hparams_session(
    folder: str,
    values: Mapping[str, bool | float | str],
    *,
    name: str,
    word_pairs: Sequence[str] = (),
) -> Iterator[None]:
    """Writes hyper-parameters, which scores are metrics, and how the work inside ended.

    Args:
        folder: of logs; the curves are in it and in the folder below it.
        values: by name, in the order of the dashboard's columns.
        name: of the run in the dashboard, which averages runs of one name.
        word_pairs: names of the files of word pairs whose scores are metrics.
    """
    curves = [("loss", "validation loss"), (_CURVES["accuracy"].tag, "validation accuracy")]
    curves += [(f"{SPEARMAN_GROUP}/{file}", file) for file in word_pairs]
    metrics = [summary_v2.Metric(tag, group=VALIDATION, display_name=t) for tag, t in curves]
    metrics.append(summary_v2.Metric("loss", display_name="training loss"))
    with contextlib.closing(_only_writer(folder, SESSION_SUFFIX)) as writer, writer.as_default(0):
        # The documented name is `api.hparams`. But `api` imports Keras, which takes two seconds.
        summary_v2.hparams_config([summary_v2.HParam(key) for key in values], metrics)
        summary_v2.hparams(dict(values), trial_id=name)
        writer.flush()
        status = api_pb2.STATUS_FAILURE
        try:
            yield
            status = api_pb2.STATUS_SUCCESS
        except SystemExit:  # A signal asked to stop; the training can be continued.
            status = api_pb2.STATUS_UNKNOWN
            raise
        finally:
            session_end = summary.session_end_pb(status).SerializeToString()
            tf.summary.experimental.write_raw_pb(session_end, step=0)


def _only_writer(folder: str, suffix: str) -> Any:
    """Returns a writer, after it has removed the event files of earlier starts."""
    for name in tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else ():
        if ".tfevents." in name and name.endswith(suffix):
            tf.io.gfile.remove(f"{folder.rstrip('/')}/{name}")
    return tf.summary.create_file_writer(folder, filename_suffix=suffix)


def _format_value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_format_value, value)) or "none"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else str(value)


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
