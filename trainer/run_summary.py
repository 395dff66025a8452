"""What a run is, for TensorBoard: the corpus behind it as text, and its hyper-parameters.

    WORKDIR/        the corpus: funnel, licences, vocabulary, options of the build
    WORKDIR/logs/   the hyper-parameters, which the HParams dashboard pairs with the curves below

Each is an event file of its own, written anew at every start, so that it tells the last one. The
one in the workdir also makes TensorBoard take the folder for a run, and so find its projector.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api_pb2, summary, summary_v2

from pmc2vec.dataset.manifest import Manifest
from trainer.config import TrainConfig
from trainer.distribution.devices import ALONE, Worker
from trainer.input_pipeline import Dataset

CORPUS, SESSION = ".corpus", ".hyperparameters"  # ends of the event files' names

_MOST_FREQUENT = 20

_NOT_HYPER = (
    "dataset", "workdir", "evaluate", "keep_checkpoints", "metrics_port", "log_format",
    "log_every", "checkpoint_every", "validate_every", "validation_steps", "probe_words",
)  # fmt: skip
"""Of the training's options, those that change no vector; nor do those that end in _dir."""

_OF_THE_BUILD = (
    "keywords", "tokenizer", "numbers", "phrases", "min_count", "max_final_vocab", "window",
    "shrink_windows", "negative", "ns_exponent", "noise", "sample", "subsampling", "passes",
)  # fmt: skip


def hyperparameters(config: TrainConfig, manifest: Manifest) -> dict[str, bool | float | str]:
    """Returns what two runs may differ in: options of the training and of the build, and sizes."""
    trained = {
        name: value
        for name, value in asdict(config).items()
        if name not in _NOT_HYPER and not name.endswith("_dir")
    }
    built = {name: manifest.config.get(name) for name in _OF_THE_BUILD}
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
