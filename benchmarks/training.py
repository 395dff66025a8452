"""pmc2vec against gensim: speed, memory and agreement with people, on the same tokens, in one run.

    python benchmarks/training.py dataset --pairs pairs/*.txt --epochs 1 5 --seeds 1 2 3

`dataset` is a folder that `pmc2vec build` wrote; only its corpus is read. Everything measured is a
process of its own, and the trainers take turns, a seed after the other:

    gensim   scan the vocabulary, train and save: `word2vec_gensim.py`, from a file of sentences
    build    `pmc2vec build --corpus`: count, subsample, draw windows and negatives, write records
    train    `pmc2vec train`, its start, its compilation, its checkpoints and exports included

A whole run is gensim's process, or build and train together. Words are tokens of the corpus, times
the epochs, for both. Figures are medians over the seeds; ratios are those of a pair of runs that
followed each other. The bound is what the cores could do if each product ran at the speed of the
best large product here, measured before, and rows moved at the speed of a large copy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from trainer.vectors import Vectors

GENSIM, OURS = "gensim", "pmc2vec"


@dataclass(frozen=True)
class Run:
    """One trainer, once.

    Attributes:
        trainer: `GENSIM` or `OURS`.
        epochs: passes over the corpus.
        seed: of the run.
        train: seconds in which words were trained on.
        whole: seconds from the first process's start to the last one's end.
        build: seconds of `build --corpus`, in `whole` too; 0 for gensim.
        peak_mb: of the largest process.
        spearman: by name of the pairs file.
    """

    trainer: str
    epochs: int
    seed: int
    train: float
    whole: float
    build: float
    peak_mb: float
    spearman: dict[str, float]


@dataclass
class Report:
    """All that was measured.

    Attributes:
        options: the arguments.
        cores: of this machine.
        gflops: of a product of large float32 matrices, all cores.
        gigabytes: a second, read and written by a large copy, all cores.
        tokens: in the corpus.
        targets: tokens left by vocabulary and subsampling, in one epoch.
        pairs: that they have.
        shape: of the records.
        coverage: pairs whose words are known, and all, by name of the pairs file.
        runs: in the order in which they were made.
    """

    options: dict[str, object]
    cores: int
    gflops: float
    gigabytes: float
    tokens: int = 0
    targets: int = 0
    pairs: int = 0
    shape: dict[str, int] = field(default_factory=dict)
    coverage: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def of(self, trainer: str, epochs: int) -> list[Run]:
        """Returns a trainer's runs of so many epochs, by seed."""
        found = [run for run in self.runs if (run.trainer, run.epochs) == (trainer, epochs)]
        return sorted(found, key=lambda run: run.seed)


# --- the machine -------------------------------------------------------------------------------


def gflops() -> float:
    """Returns what NumPy's product of large float32 matrices reaches."""
    matrix = np.random.default_rng(0).random((3072, 3072), np.float32)
    return 2 * 3072**3 / _best(lambda: matrix @ matrix) / 1e9


def gigabytes() -> float:
    """Returns how many are read and written in a second when every core copies."""
    sources = [np.ones(1 << 25, np.float32) for _ in range(os.cpu_count() or 1)]
    copies = [np.empty_like(source) for source in sources]

    def copy() -> None:
        threads = [
            threading.Thread(target=np.copyto, args=both)
            for both in zip(copies, sources, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return 2 * sum(source.nbytes for source in sources) / _best(copy) / 1e9


def _best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


# --- the trainers ------------------------------------------------------------------------------


def write_sentences(dataset: Path, path: Path) -> int:
    """Writes a corpus as gensim reads it, a sentence in a line; returns its tokens."""
    tokens = 0
    with path.open("w", encoding="utf-8") as file:
        for part in sorted((dataset / "corpus").glob("*.parquet")):
            for batch in pq.ParquetFile(part).iter_batches(columns=["sentences"]):
                lines = batch.column(0).flatten().to_pylist()
                tokens += sum(line.count(" ") + 1 for line in lines)
                file.writelines(f"{line}\n" for line in lines)
    return tokens


def process(command: Sequence[str]) -> tuple[str, float, float]:
    """Runs a process to its end; returns its output, its seconds and its peak in MB."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        running = subprocess.Popen([sys.executable, *command], stdout=output, stderr=errors)
        _, status, usage = os.wait4(running.pid, 0)
        seconds = time.perf_counter() - began
        running.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if running.returncode:
            raise SystemExit(f"{' '.join(command)}: exit {running.returncode}\n{errors.read()}")
        return output.read(), seconds, usage.ru_maxrss / 1024


def gensim(options: argparse.Namespace, folder: Path, epochs: int, seed: int) -> Run:
    """Trains gensim's vectors from sentences.txt in the folder."""
    names = ("vector_size", "window", "negative", "min_count", "sample", "ns_exponent")
    settings = {name: getattr(options, name) for name in names}
    settings |= {"alpha": 0.025, "workers": options.workers, "epochs": epochs, "seed": seed}
    flags = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    program = str(Path(__file__).with_name("word2vec_gensim.py"))
    output = folder / "gensim.kv"
    told, whole, _ = process([program, str(folder / "sentences.txt"), str(output), *flags])
    facts = json.loads(told.splitlines()[-1])
    scores = _scores(output, options.pairs)
    spearman = {name: score.spearman for name, score in scores.items()}
    return Run(GENSIM, epochs, seed, facts["train_seconds"], whole, 0, facts["peak_mb"], spearman)


def build(options: argparse.Namespace, folder: Path, seed: int) -> tuple[float, float]:
    """Builds the dataset of a seed from the corpus; returns seconds and peak MB."""
    names = ("window", "negative", "min_count", "sample", "ns_exponent")
    flags = [text for name in names for text in (f"--{name}", str(getattr(options, name)))]
    command = ["-m", "pmc2vec", "build", "--corpus", str(options.dataset)]
    command += ["--output", str(folder / f"dataset-{seed}"), "--validation_fraction", "0"]
    _, seconds, peak = process([*command, *flags, "--seed", str(seed), *options.build])
    return seconds, peak


def ours(
    options: argparse.Namespace, folder: Path, epochs: int, seed: int, built: tuple[float, float]
) -> Run:
    """Trains our vectors from the dataset of a seed."""
    workdir = folder / f"run-{epochs}-{seed}"
    command = ["-m", "pmc2vec", "train", "--dataset", str(folder / f"dataset-{seed}")]
    command += ["--workdir", str(workdir), "--vector_size", str(options.vector_size)]
    command += ["--epochs", str(epochs), "--seed", str(seed), *options.train]
    _, seconds, peak = process(command)
    trained = json.loads((workdir / "provenance.json").read_text())["trained"]
    spearman = {name: s.spearman for name, s in _scores(workdir, options.pairs).items()}
    whole = built[0] + seconds
    peak = max(peak, built[1])
    return Run(OURS, epochs, seed, trained["seconds"], whole, built[0], peak, spearman)


def _scores(vectors: Path, files: Sequence[Path]) -> dict[str, object]:
    loaded = Vectors.load(vectors)
    return {path.stem: loaded.evaluate_word_pairs(path, phrases=True) for path in files}
