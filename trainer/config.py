"""The options of `pmc2vec train`: what there is to choose that the dataset does not decide.

Window, negatives, subsampling and vocabulary were chosen by `pmc2vec build` and stand in the
dataset's manifest. Nothing here loads TensorFlow, so that `--help` is quick.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from pmc2vec.cli.logging_setup import LogFormat
from pmc2vec.cli.options import check_options, option
from pmc2vec.errors import UserError
from pmc2vec.storage.files import is_remote, same_place
from pmc2vec.storage.object_stores import parse_storage_options
from pmc2vec.vectors.formats.projector import PROJECTOR_WORDS
from pmc2vec.vectors.output_vectors import OutputVectors
from trainer.remote_workdir import local_folder, remote_url

MOUNT = Path("/gcs")  # Where Vertex AI mounts Cloud Storage.


class Defaults(NamedTuple):
    """What suits an optimizer: its learning rate, with its rise, and tokens in a step."""

    alpha: float
    min_alpha: float
    warmup: float
    batch_size: int


_FULL_RATE_DIMENSIONS = 128  # Adagrad's rates are for as many, and lower for more.

# Adagrad's were found on one corpus (docs/experiments.md). For sgd the rates are gensim's; its sums
# of repeated rows diverge in batches much larger than this.
# Keras's optimizers have Keras's rate, which does not fall.
DEFAULTS = {
    "adagrad": Defaults(0.55, 0.05, 0.1, 2048),
    "sgd": Defaults(0.025, 0.0001, 0, 512),
    "adam": Defaults(0.001, 0.001, 0, 512),
    "rmsprop": Defaults(0.001, 0.001, 0, 512),
}

_RANDOM_PROBES = re.compile(r"random:(\d{1,6}):(\d{1,9})")
NO_PROBES = ("none",)
"""The value of `--probe_words` for no neighbours at all."""


def adagrad_alpha(targets: int | None, vector_size: int = _FULL_RATE_DIMENSIONS) -> float:
    """Returns the learning rate that suits Adagrad; less training wants a lower one.

    >>> [adagrad_alpha(targets) for targets in (5_000, 1_000_000, 14_000_000, 70_000_000)]
    [0.15, 0.24, 0.4, 0.55]
    >>> [adagrad_alpha(14_000_000, size) for size in (64, 128, 300, 1000)]
    [0.4, 0.4, 0.261, 0.143]

    Args:
        targets: of all epochs, whatever ends them sooner; None where they are not known yet.
        vector_size: D.
    """
    highest, factor = DEFAULTS["adagrad"].alpha, _dimension_factor(vector_size)
    if targets is None:
        return round(highest * factor, 3)
    share: float = (targets / 14e6) ** 0.2
    return round(max(0.15, min(highest, round(0.4 * share, 2))) * factor, 3)


def _dimension_factor(vector_size: int) -> float:
    """Returns the factor of Adagrad's rates for D dimensions.

    The accumulators hold a mean over the dimensions. So at the same length of a gradient a step is
    longer by the root of D, and with many dimensions the loss rises above that of chance.
    """
    return min(1.0, math.sqrt(_FULL_RATE_DIMENSIONS / vector_size))


def _set_by_vertex(name: str) -> Callable[[], str | None]:
    """Returns what reads a variable that Vertex AI sets; an empty one is none."""
    return lambda: os.environ.get(name) or None


def _workdir() -> Path | None:
    folder_name = os.environ.get("AIP_MODEL_DIR")
    return Path(folder_name) if folder_name else None


@dataclass(frozen=True)
class TrainConfig:
    """Options of `pmc2vec train`.

    A workdir is continued with the options it was begun with. Those that do not change what a step
    does may change: `epochs` (which may grow; the learning rate then follows the longer line, and
    Adagrad has started for the shorter one), `max_steps`, `max_words`, `early_stopping`,
    `evaluate`, `devices` (unless tables are averaged), `output_vectors`, `probe_words`, and
    everything about logs and checkpoints.
    """

    dataset: str = option(may_change=True)
    """Dataset to train on: a folder of `pmc2vec build`, local or at s3://, gs:// or az://."""

    workdir: Path | None = option(
        default_factory=_workdir,
        may_change=True,
        default_text="AIP_MODEL_DIR, which Vertex AI sets",
    )
    """Folder for the results, local or at s3://, gs:// or az://. A workdir of an earlier run is
    continued."""

    vector_size: int = option(
        128, minimum=1, maximum=1 << 16, hyperparameter=True, same_for_warm_start=True
    )
    """Dimensions of a vector."""

    architecture: Literal["skipgram", "cbow"] = option(
        "skipgram", hyperparameter=True, same_for_warm_start=True
    )
    """skipgram predicts each context word from the target word; cbow predicts the target word from
    the mean of its context words."""

    objective: Literal["negative_sampling", "softmax"] = option(
        "negative_sampling", rare=True, hyperparameter=True, same_for_warm_start=True
    )
    """negative_sampling: a binary classification of each word against noise; softmax: categorical
    cross-entropy among the right word and its noise words."""

    tie_embeddings: bool = option(False, rare=True, hyperparameter=True, same_for_warm_start=True)
    """Use one table for target and context words."""

    subwords: bool = option(False, hyperparameter=True, same_for_warm_start=True)
    """Learn vectors of character n-grams too, as fastText does: words that were not counted get
    vectors."""

    min_n: int = option(3, rare=True, minimum=1, hyperparameter=True, same_for_warm_start=True)
    """With --subwords: characters of the shortest n-grams; < and > around a word count."""

    max_n: int = option(6, rare=True, minimum=1, hyperparameter=True, same_for_warm_start=True)
    """With --subwords: characters of the longest n-grams."""

    bucket: int = option(
        2_000_000,
        rare=True,
        minimum=1,
        maximum=(1 << 31) - 1,
        hyperparameter=True,
        same_for_warm_start=True,
    )
    """With --subwords: buckets that the hashes of n-grams fall into; only those that occur take
    memory."""

    output_vectors: OutputVectors = option(
        "balanced", rare=True, hyperparameter=True, may_change=True
    )
    """Which vectors are published. balanced: target and a fifth of the context vector, without
    their means, as rows of length one with a more even spectrum; sum: of target (less the mean) and
    context vector, nearly as GloVe does; target: as word2vec.c does; concatenate: both."""

    add_context: bool = option(True, rare=True, may_change=True)
    """--no_add_context is the former name of --output_vectors target; it goes with version 0.2."""

    epochs: int = option(5, minimum=1, hyperparameter=True, may_change=True)
    """Passes over the corpus. One is enough for billions of words."""

    max_steps: int | None = option(None, rare=True, minimum=1, hyperparameter=True, may_change=True)
    """Stop after this many steps, if the epochs have more."""

    max_words: int | None = option(None, rare=True, minimum=1, hyperparameter=True, may_change=True)
    """Stop after this many corpus words, if the epochs have more."""

    init_from: Path | None = option(None, hyperparameter=True)
    """Finished workdir, or file of word vectors (such as GloVe's or word2vec's), to start from: a
    warm start. Words that it does not have start at random."""

    optimizer: Literal["adagrad", "sgd", "adam", "rmsprop"] = option(
        "adagrad", hyperparameter=True, same_for_warm_start=True
    )
    """Row-wise Adagrad; plain gradient descent as in word2vec.c (smaller batches, slower); or Adam
    and RMSprop as Keras has them, for small vocabularies: they change all vectors in each step."""

    alpha: float | None = option(
        None,
        hyperparameter=True,
        default_text="adagrad: 0.15 to 0.55 by the length of the training, less for more than 128 "
        "dimensions; sgd: 0.025; adam, rmsprop: 0.001",
    )
    """Learning rate at the start."""

    min_alpha: float | None = option(
        None,
        rare=True,
        hyperparameter=True,
        default_text="adagrad: 0.05, less for more than 128 dimensions; sgd: 0.0001; others: 0.001",
    )
    """Learning rate at the end; it falls linearly."""

    warmup: float | None = option(
        None, rare=True, hyperparameter=True, default_text="adagrad: 0.1; others: 0"
    )
    """Share of all steps in which the learning rate rises to its linear schedule."""

    batch_size: int | None = option(
        None, minimum=1, hyperparameter=True, default_text="adagrad: 2048; others: 512"
    )
    """Tokens in a step, rounded to whole records."""

    initial_accumulator_value: float | None = option(
        None,
        rare=True,
        hyperparameter=True,
        default_text="in proportion to the length of the training",
    )
    """Initial value of Adagrad's accumulators."""

    seed: int = option(1, minimum=0, hyperparameter=True)
    """Random seed of the initial vectors and of the order of the records."""

    redraw: bool = option(True, rare=True, hyperparameter=True)
    """When epochs outnumber the dataset's --passes, draw new windows and negatives for the later
    ones instead of repeating the stored ones."""

    devices: int | None = option(
        None,
        minimum=1,
        hyperparameter=True,
        may_change=True,
        default_text="all GPUs; without a GPU, one CPU device",
    )
    """GPUs to use; without a GPU, CPU devices."""

    sync_every: int | None = option(
        None, rare=True, minimum=1, hyperparameter=True, default_text="all devices share each step"
    )
    """Train separate tables on each device and average them after this many steps."""

    native: bool = option(True, rare=True, hyperparameter=True)
    """Use the compiled CPU kernels for the default architecture and objective on one CPU;
    otherwise XLA."""

    mixed_precision: Literal["auto", "on", "off"] = option("auto", rare=True, hyperparameter=True)
    """Multiply in bfloat16 and add in float32; auto: on a CPU where that is faster."""

    probe_words: tuple[str, ...] = option((), may_change=True, default_text="a few are chosen")
    """Words whose nearest neighbours to show after each epoch; random:16:100 is 16 of the 100 most
    frequent words, none is none."""

    probe_neighbours: int = option(5, rare=True, minimum=1, maximum=1000, may_change=True)
    """Neighbours of each probe word."""

    probe_every: int | None = option(
        None, rare=True, minimum=1, may_change=True, default_text="the end of each epoch"
    )
    """Steps between two looks at the neighbours; each epoch ends with one too."""

    projector_words: int = option(
        PROJECTOR_WORDS, rare=True, minimum=1, maximum=100_000, may_change=True
    )
    """Most frequent words that TensorBoard's projector shows."""

    log_every: int = option(100, rare=True, minimum=1, may_change=True)
    """Steps between two points of the training curves."""

    validate_every: int = option(5000, rare=True, minimum=1, may_change=True)
    """Steps between two measurements of the validation loss; each epoch ends with one too."""

    validation_steps: int = option(200, rare=True, minimum=1, may_change=True)
    """Most batches of the validation split that are measured."""

    early_stopping: int | None = option(None, minimum=1, hyperparameter=True, may_change=True)
    """Stop after this many measurements without a lower validation loss (or what
    --early_stopping_measure says), and export the vectors that had the lowest."""

    early_stopping_measure: str = option("loss", rare=True, hyperparameter=True, may_change=True)
    """What --early_stopping compares: loss, of the validation articles; or the name of a file of
    --evaluate. The loss is lowest where the model begins to learn its texts by heart; of few texts
    word pairs gain for several more epochs."""

    evaluate: tuple[Path, ...] = option((), may_change=True)
    """Files of word pairs with human scores, to compare with after each epoch."""

    checkpoint_every: float = option(300.0, rare=True, minimum=0, may_change=True)
    """Seconds between two checkpoints; each epoch ends with one too."""

    keep_checkpoints: int = option(3, rare=True, minimum=1, may_change=True)
    """Newest checkpoints to keep."""

    checkpoint_dir: str | None = option(
        default_factory=_set_by_vertex("AIP_CHECKPOINT_DIR"),
        rare=True,
        may_change=True,
        set_by_update=True,
        default_text="AIP_CHECKPOINT_DIR, or WORKDIR/checkpoints",
    )
    """Folder for checkpoints; may be a gs:// path."""

    log_dir: str | None = option(
        default_factory=_set_by_vertex("AIP_TENSORBOARD_LOG_DIR"),
        rare=True,
        may_change=True,
        set_by_update=True,
        default_text="AIP_TENSORBOARD_LOG_DIR, or WORKDIR",
    )
    """Folder for TensorBoard; may be a gs:// path."""

    cache_dir: Path | None = option(
        None, rare=True, may_change=True, recorded=False, default_text="~/.cache/pmc2vec"
    )
    """Folder for copies of the shards of a dataset in a bucket; at most half of the free space."""

    storage_option: tuple[str, ...] = option((), rare=True, may_change=True, recorded=False)
    """For a dataset in a bucket: key=value, such as endpoint=http://127.0.0.1:9000."""

    wait_for_workers: float = option(600.0, rare=True, minimum=0, may_change=True, recorded=False)
    """With several workers: seconds in which all must have started."""

    publish_diverged: bool = option(False, rare=True, may_change=True, recorded=False)
    """Write the vectors even where the loss ends above that of chance."""

    metrics_port: int | None = option(
        None, rare=True, minimum=0, maximum=65535, may_change=True, set_by_update=True
    )
    """Port for Prometheus: http://HOST:PORT/metrics; /healthz tells whether there is progress."""

    log_format: LogFormat = option("text", rare=True, may_change=True)
    """Format of the lines on stderr."""

    def __post_init__(self) -> None:
        """Raises ValueError where options cannot be what they are."""
        if self.workdir is None:
            raise ValueError("no --workdir is given, and AIP_MODEL_DIR is not set")
        check_options(self)
        if self.init_from and same_place(str(self.init_from), str(self.workdir)):
            raise ValueError("--workdir must not be the training that --init_from names")
        if self.min_n > self.max_n:
            raise ValueError(f"--min_n {self.min_n}: must not be above --max_n {self.max_n}")
        if self.subwords and self.tie_embeddings:
            raise ValueError("--subwords: needs a table of its own; leave --tie_embeddings out")
        if self.subwords and self.optimizer not in {"adagrad", "sgd"}:
            raise ValueError(
                f"--subwords: has rows that --optimizer {self.optimizer} would all change in every "
                "step; take adagrad or sgd"
            )
        if self.subwords and self.output_vectors == "concatenate":
            raise ValueError(
                "--subwords: words that were not counted have no context vector; give another "
                "--output_vectors than concatenate"
            )
        parse_storage_options(self.storage_option)
        self._check_reports()
        (alpha, min_alpha), start = self.rates(), self.initial_accumulator_value
        for name, value in (("alpha", alpha), ("initial_accumulator_value", start)):
            if value is not None and value <= 0:
                raise ValueError(f"--{name} {value}: must be a number above 0")
        if not 0 <= (self.warmup or 0) < 1:
            raise ValueError(f"--warmup {self.warmup}: must be from 0 to below 1, a share of all")
        if not 0 <= min_alpha <= alpha:
            raise ValueError(f"--min_alpha {min_alpha}: must be from 0 to --alpha {alpha}")

    def _check_reports(self) -> None:
        for word in self.probe_words:
            random_probes(word)
        measures = ["loss", *(path.stem for path in self.evaluate)]
        if self.early_stopping_measure not in measures:
            raise ValueError(
                f"--early_stopping_measure {self.early_stopping_measure}: must be loss or the name "
                "of a file of --evaluate, without its suffix"
            )

    def rates(self, targets: int | None = None) -> tuple[float, float]:
        """Returns the learning rate at the start and at the end.

        Args:
            targets: of all epochs; None where they are not known yet.
        """
        defaults = DEFAULTS[self.optimizer]
        alpha = self.alpha
        if alpha is None and self.optimizer == "adagrad":
            lowest = min(self.min_alpha or 0, defaults.alpha)
            alpha = max(adagrad_alpha(targets, self.vector_size), lowest)
        alpha = defaults.alpha if alpha is None else alpha
        if self.min_alpha is not None:
            return alpha, self.min_alpha
        factor = _dimension_factor(self.vector_size) if self.optimizer == "adagrad" else 1.0
        return alpha, min(alpha, round(defaults.min_alpha * factor, 4))

    def remote_workdir(self) -> str | None:
        """Returns the URL of a workdir in an object store that is not mounted; None for others."""
        url = remote_url(self.workdir or Path())
        return None if url and url.startswith("gs://") and MOUNT.is_dir() else url

    def _local_workdir(self) -> Path:
        """Returns the folder of this machine that is trained in."""
        if url := self.remote_workdir():
            return local_folder(url, self.cache_dir)
        url = remote_url(self.workdir or Path())
        return MOUNT / url.removeprefix("gs://") if url else Path(self.workdir or "")

    def resolved(self, length: int, targets: int | None = None) -> TrainConfig:
        """Returns the options with every default decided that depends on something else.

        Where tables are averaged, validation waits for an average.

        Args:
            length: T, tokens in a record.
            targets: of all epochs; None where they are not known.

        Raises:
            UserError: a folder is in an object store where it cannot be.
        """
        _check_tensorflow_writes(self)
        alpha, min_alpha = self.rates(targets)
        workdir = self._local_workdir()
        defaults = DEFAULTS[self.optimizer]
        batch_tokens = self.batch_size or defaults.batch_size
        rounds = self.sync_every or 1
        return replace(
            self,
            workdir=workdir,
            alpha=alpha,
            min_alpha=min_alpha,
            warmup=defaults.warmup if self.warmup is None else self.warmup,
            output_vectors=self.output_vectors if self.add_context else "target",
            batch_size=max(1, round(batch_tokens / length)) * length,
            validate_every=math.ceil(self.validate_every / rounds) * rounds,
            probe_every=self.probe_every and math.ceil(self.probe_every / rounds) * rounds,
            checkpoint_dir=self.checkpoint_dir or str(workdir / "checkpoints"),
            log_dir=self.log_dir or str(workdir),
        )


def random_probes(word: str) -> tuple[int, int] | None:
    """Returns what a value of `--probe_words` asks for: so many of the most frequent words.

    >>> random_probes("random:16:100"), random_probes("fever")
    ((16, 100), None)

    Raises:
        ValueError: it begins like one and is none.
    """
    match = _RANDOM_PROBES.fullmatch(word)
    if match is None and not word.startswith("random:"):
        return None
    count, most_frequent = map(int, match.groups()) if match else (0, 0)
    if not 0 < count <= most_frequent:
        raise ValueError(
            f"--probe_words {word}: must be random:N:M, N of the M most frequent words"
        )
    return count, most_frequent


def _check_tensorflow_writes(config: TrainConfig) -> None:
    """Raises UserError where a folder is in an object store that TensorFlow cannot write."""
    for name in ("checkpoint_dir", "log_dir"):
        folder = getattr(config, name)
        if folder and is_remote(folder) and not folder.startswith("gs://"):
            raise UserError(
                f"--{name} {folder}: TensorFlow writes to gs:// and to folders of this machine "
                "only; choose one of these"
            )
