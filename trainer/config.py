"""The options of `pmc2vec train`: what there is to choose that the dataset does not decide.

Window, negatives, subsampling and vocabulary were chosen by `pmc2vec build` and stand in the
dataset's manifest. Nothing here loads TensorFlow, so that `--help` is quick.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from pmc2vec.cli.logging_setup import LogFormat
from pmc2vec.errors import UserError

MOUNT = Path("/gcs")  # Where Vertex AI mounts Cloud Storage.


class Defaults(NamedTuple):
    """What suits an optimizer: its learning rate, with its rise, and tokens in a step."""

    alpha: float
    min_alpha: float
    warmup: float
    batch_size: int


# Adagrad's were found on one corpus (docs/experiments.md). For sgd the rates are gensim's; its sums
# of repeated rows diverge in batches much larger than this.
DEFAULTS = {"adagrad": Defaults(0.55, 0.05, 0.1, 2048), "sgd": Defaults(0.025, 0.0001, 0, 512)}


_AT_LEAST_1 = (
    "vector_size", "epochs", "max_steps", "max_words", "batch_size", "devices", "sync_every",
    "log_every", "validate_every", "validation_steps", "early_stopping", "keep_checkpoints",
)  # fmt: skip


def adagrad_alpha(targets: int | None) -> float:
    """Returns the learning rate that suits Adagrad; less training wants a lower one.

    >>> [adagrad_alpha(targets) for targets in (5_000, 1_000_000, 14_000_000, 70_000_000)]
    [0.15, 0.24, 0.4, 0.55]

    Args:
        targets: of all epochs, whatever ends them sooner; None where they are not known yet.
    """
    highest = DEFAULTS["adagrad"].alpha
    if targets is None:
        return highest
    share: float = (targets / 14e6) ** 0.2
    return max(0.15, min(highest, round(0.4 * share, 2)))


def _set_by_vertex(name: str) -> Callable[[], str | None]:
    """Returns what reads a variable that Vertex AI sets; an empty one is none."""
    return lambda: os.environ.get(name) or None


def _workdir() -> Path | None:
    found = os.environ.get("AIP_MODEL_DIR")
    return Path(found) if found else None


@dataclass(frozen=True)
class TrainConfig:
    """Options of `pmc2vec train`.

    A workdir is continued with the options it was begun with. Those that do not change what a step
    does may change: `epochs` (which may grow; the learning rate then follows the longer line, and
    Adagrad has started for the shorter one), `max_steps`, `max_words`, `early_stopping`,
    `evaluate`, `devices` (unless tables are averaged), `add_context`, `probe_words`, and everything
    about logs and checkpoints.
    """

    dataset: str
    """Folder that `pmc2vec build` wrote; gs:// too."""

    workdir: Path | None = field(default_factory=_workdir)
    """Folder for all that comes out, or to be continued; by default AIP_MODEL_DIR."""

    vector_size: int = 128
    """Dimensions of a vector."""

    architecture: Literal["skipgram", "cbow"] = "skipgram"
    """A word is to find its contexts, or the mean of its contexts is to find the word."""

    objective: Literal["negative_sampling", "softmax"] = "negative_sampling"
    """Tell each right word from noise, or choose it among noise (categorical cross-entropy)."""

    tie_embeddings: bool = False
    """Use one table for words and contexts."""

    add_context: bool = True
    """Give out each word's vector (less the mean of all) and its context vector added up, nearly as
    GloVe does; else the word's alone, as word2vec.c does."""

    epochs: int = 5
    """Passes over the corpus; gensim's default. One is enough for billions of words."""

    max_steps: int | None = None
    """Stop after so many steps, if the epochs have more."""

    max_words: int | None = None
    """Stop after so many words of the corpus, if the epochs have more."""

    init_from: Path | None = None
    """A finished workdir whose vectors to start from; words that it does not know start anew."""

    optimizer: Literal["adagrad", "sgd"] = "adagrad"
    """Row-wise Adagrad, or gradient descent as word2vec.c has it (smaller batches, slower)."""

    alpha: float | None = None
    """Learning rate at the start; by default 0.15 to 0.55 by what is planned, 0.025 for sgd."""

    min_alpha: float | None = None
    """Learning rate at the end, falling on a line; by default 0.05 (adagrad), 0.0001 (sgd)."""

    warmup: float | None = None
    """Share of all steps in which the learning rate rises to that line; by default 0.1 (adagrad), 0
    (sgd)."""

    batch_size: int | None = None
    """Tokens in a step, rounded to whole records, which cores share; by default 2048 (adagrad), 512
    (sgd)."""

    initial_accumulator_value: float | None = None
    """Where Adagrad's accumulators start; by default in proportion to what is to be trained on."""

    seed: int = 1
    """Of the first vectors and of the order of the records."""

    redraw: bool = True
    """Draw windows and negatives anew in epochs after the dataset's --passes; else theirs again."""

    devices: int | None = None
    """GPUs to use, by default all. Without a GPU: CPU devices, by default one."""

    sync_every: int | None = None
    """Let each device train its own tables, averaged after so many steps; else all keep in step."""

    native: bool = True
    """On one CPU, run the default architecture and objective as our own machine code, not XLA's."""

    mixed_precision: Literal["auto", "on", "off"] = "auto"
    """Multiply in bfloat16, add up in float32; auto: on a CPU where that is faster."""

    probe_words: tuple[str, ...] = ()
    """Words whose neighbours to show after each epoch; by default a few are chosen."""

    log_every: int = 100
    """Steps between two points of the training curves."""

    validate_every: int = 5000
    """Steps between two measurements of the validation loss; each epoch ends with one too."""

    validation_steps: int = 200
    """Batches of the validation split that are measured, at most."""

    early_stopping: int | None = None
    """Stop after so many measurements without a lower validation loss, and give out the vectors
    with the lowest."""

    evaluate: tuple[Path, ...] = ()
    """Files of word pairs with people's scores, to be compared with after each epoch."""

    checkpoint_every: float = 300.0
    """Seconds between two checkpoints; each epoch ends with one too."""

    keep_checkpoints: int = 3
    """Last checkpoints that are kept."""

    checkpoint_dir: str | None = field(default_factory=_set_by_vertex("AIP_CHECKPOINT_DIR"))
    """For checkpoints, gs:// too; by default AIP_CHECKPOINT_DIR, or one in the workdir."""

    log_dir: str | None = field(default_factory=_set_by_vertex("AIP_TENSORBOARD_LOG_DIR"))
    """For TensorBoard, gs:// too; by default AIP_TENSORBOARD_LOG_DIR, or one in the workdir."""

    metrics_port: int | None = None
    """Tell Prometheus how far it is, at http://...:PORT/metrics; and /healthz, whether it moves."""

    log_format: LogFormat = "text"
    """What is said on stderr: lines of text, or of JSON."""

    def __post_init__(self) -> None:
        """Raises ValueError where options cannot be what they are."""
        if self.workdir is None:
            raise ValueError("no --workdir is given, and AIP_MODEL_DIR is not set")
        for name in _AT_LEAST_1:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name} {value}: must be at least 1")
        for name in ("seed", "checkpoint_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} {getattr(self, name)}: must not be negative")
        start = self.initial_accumulator_value
        if start is not None and not 0 < start < float("inf"):
            raise ValueError(f"--initial_accumulator_value {start}: must be a number above 0")
        if not 0 <= (self.warmup or 0) < 1:
            raise ValueError(f"--warmup {self.warmup}: must be from 0 to below 1, a share of all")
        rates = self.rates()
        if not 0 < rates[0] < float("inf"):
            raise ValueError(f"--alpha {rates[0]}: must be a number above 0")
        if not 0 <= rates[1] <= rates[0]:
            raise ValueError(f"--min_alpha {rates[1]}: must be from 0 to --alpha {rates[0]}")

    def rates(self, targets: int | None = None) -> tuple[float, float]:
        """Returns the learning rate at the start and at the end.

        Args:
            targets: of all epochs; None where they are not known yet.
        """
        defaults = DEFAULTS[self.optimizer]
        alpha = self.alpha
        if alpha is None and self.optimizer == "adagrad":
            alpha = max(adagrad_alpha(targets), min(self.min_alpha or 0, defaults.alpha))
        alpha = defaults.alpha if alpha is None else alpha
        if self.min_alpha is not None:
            return alpha, self.min_alpha
        return alpha, min(alpha, defaults.min_alpha)

    def resolved(self, length: int, targets: int | None = None) -> TrainConfig:
        """Returns the options with every default decided that depends on something else.

        Where tables are averaged, validation waits for an average.

        Args:
            length: T, tokens in a record.
            targets: of all epochs; None where they are not known.

        Raises:
            UserError: the workdir is a gs:// path, and Cloud Storage is not mounted at /gcs.
        """
        alpha, min_alpha = self.rates(targets)
        workdir = mounted(Path(self.workdir or ""))
        defaults = DEFAULTS[self.optimizer]
        wanted = self.batch_size or defaults.batch_size
        rounds = self.sync_every or 1
        return replace(
            self,
            workdir=workdir,
            alpha=alpha,
            min_alpha=min_alpha,
            warmup=defaults.warmup if self.warmup is None else self.warmup,
            batch_size=max(1, round(wanted / length)) * length,
            validate_every=math.ceil(self.validate_every / rounds) * rounds,
            checkpoint_dir=self.checkpoint_dir or str(workdir / "checkpoints"),
            log_dir=self.log_dir or str(workdir / "logs"),
        )


def mounted(folder: Path) -> Path:
    """Returns a folder of this machine for a folder in Cloud Storage; any other as it is.

    >>> mounted(Path("runs/first")).as_posix()
    'runs/first'

    Raises:
        UserError: it is in Cloud Storage, which is not mounted at /gcs.
    """
    scheme, slash, rest = folder.as_posix().partition(":/")
    if scheme != "gs" or not slash:
        return folder
    if not MOUNT.is_dir():
        raise UserError(
            f"{scheme}://{rest.lstrip('/')}: the workdir must be a folder of this machine, and "
            f"Cloud Storage is not mounted at {MOUNT}; choose another --workdir "
            "(--checkpoint_dir and --log_dir may be gs://)"
        )
    return MOUNT / rest.lstrip("/")
