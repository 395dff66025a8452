"""pmc2vec against gensim on the same tokens: speed, memory and agreement with human judgements.

    python -m benchmarks.training DATASET --pairs pairs/*.txt --epochs 1 5 --seeds 1 2 3
    python -m benchmarks.training DATASET --pairs pairs/*.txt --train="--alpha 0.3"

DATASET is a folder that `pmc2vec build` wrote; only its corpus is read. Everything measured is a
process of its own, and the trainers take turns, seed after seed:

    gensim   `gensim_word2vec.py`: scan a file of sentences for the vocabulary, train, save
    build    `pmc2vec build --corpus`: count, subsample, draw windows and negatives, write records
    train    `pmc2vec train`, from its start to its exports; its machine code is in the cache

A whole run is gensim's process, or build and train together. Words are the corpus's tokens times
the epochs, for both. Figures are medians over the seeds, ratios are of the two runs of a seed. The
bound is what all cores could do if products ran at the speed of a large one and rows moved at the
speed of a large copy; both are measured before each training, since shared machines change.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from pmc2vec.dataset.records import RecordShape
from pmc2vec.vectors.evaluation import WordPairScore
from pmc2vec.vectors.keyed_vectors import Vectors

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
    """Everything measured so far.

    Attributes:
        options: the arguments.
        cores: of this machine.
        gflops: of a product of large float32 matrices, all cores, before each of our runs.
        gigabytes: a second, read and written by a large copy, all cores, likewise.
        tokens: in the corpus.
        targets: tokens left by vocabulary and subsampling, in one epoch.
        pairs: of these targets with their contexts, in one epoch.
        shape: of the records.
        coverage: pairs whose words are in the vocabulary, and all, by name of the pairs file.
        runs: in the order in which they were made.
    """

    options: dict[str, object]
    cores: int
    gflops: list[float] = field(default_factory=list)
    gigabytes: list[float] = field(default_factory=list)
    tokens: int = 0
    targets: int = 0
    pairs: int = 0
    shape: dict[str, int] = field(default_factory=dict)
    coverage: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def of(self, trainer: str, epochs: int) -> list[Run]:
        """Returns a trainer's runs of so many epochs, by seed."""
        runs = [run for run in self.runs if (run.trainer, run.epochs) == (trainer, epochs)]
        return sorted(runs, key=lambda run: run.seed)


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
    program = str(Path(__file__).with_name("gensim_word2vec.py"))
    output = folder / "gensim.kv"
    output_text, whole, _ = process([program, str(folder / "sentences.txt"), str(output), *flags])
    facts = json.loads(output_text.splitlines()[-1])
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


def compile_step(options: argparse.Namespace, folder: Path, seed: int) -> None:
    """Trains one step, so that the machine code is in the cache before anything is measured."""
    command = ["-m", "pmc2vec", "train", "--dataset", str(folder / f"dataset-{seed}")]
    command += ["--workdir", str(folder / "compiled"), "--max_steps", "1", *options.train]
    process([*command, "--vector_size", str(options.vector_size)])


def _scores(vectors: Path, files: Sequence[Path]) -> dict[str, WordPairScore]:
    loaded = Vectors.load(vectors)
    return {path.stem: loaded.evaluate_word_pairs(path, phrases=True) for path in files}


def measure(options: argparse.Namespace, folder: Path, report: Report) -> Iterator[str]:
    """Adds every run to the report, one after the other; yields the name of the next one."""
    report.tokens = write_sentences(options.dataset, folder / "sentences.txt")
    for seed in options.seeds:
        yield f"seed {seed}: build"
        built = build(options, folder, seed)
        manifest = json.loads((folder / f"dataset-{seed}" / "manifest.json").read_text())
        shards = [shard for shard in manifest["shards"] if shard["draw"] == 0]
        report.targets = sum(shard["targets"] for shard in shards)
        report.pairs = sum(shard["pairs"] for shard in shards)
        report.shape = manifest["shape"]
        if seed == options.seeds[0]:
            yield "compile"
            compile_step(options, folder, seed)
        for epochs in options.epochs:
            yield f"seed {seed}: gensim, {epochs} epochs"
            report.runs.append(gensim(options, folder, epochs, seed))
            report.gflops.append(machine.matmul_gflops())
            report.gigabytes.append(machine.copy_gigabytes())
            yield f"seed {seed}: pmc2vec, {epochs} epochs"
            report.runs.append(ours(options, folder, epochs, seed, built))
    final = _scores(folder / f"run-{options.epochs[-1]}-{options.seeds[-1]}", options.pairs)
    report.coverage = {name: (score.covered, score.total) for name, score in final.items()}


# --- the tables --------------------------------------------------------------------------------


def speed(report: Report) -> Table:
    """Returns a row of medians for each trainer and number of epochs."""
    table = Table("epochs", "", box=None)
    for name in ("k words/s whole", "k words/s train", "k targets/s", "M pairs/s", "build s",
                 "peak MB", "times gensim whole", "train"):  # fmt: skip
        table.add_column(name, justify="right")
    for epochs in sorted({run.epochs for run in report.runs}):
        theirs = report.of(GENSIM, epochs)
        for trainer in (GENSIM, OURS):
            runs = report.of(trainer, epochs)
            train = statistics.median(run.train for run in runs)
            whole = statistics.median(run.whole for run in runs)
            both = list(zip(runs, theirs, strict=True))
            table.add_row(
                str(epochs),
                trainer,
                f"{report.tokens * epochs / whole / 1e3:,.0f}",
                f"{report.tokens * epochs / train / 1e3:,.0f}",
                f"{report.targets * epochs / train / 1e3:,.0f}",
                f"{report.pairs * epochs / train / 1e6:,.1f}",
                f"{statistics.median(run.build for run in runs):.1f}" if trainer == OURS else "",
                f"{max(run.peak_mb for run in runs):,.0f}",
                f"{statistics.median(g.whole / run.whole for run, g in both):.2f}",
                f"{statistics.median(g.train / run.train for run, g in both):.2f}",
            )
    return table


def quality(report: Report) -> Table:
    """Returns the rank correlations: mean over the seeds, and from the lowest to the highest."""
    table = Table("epochs", "pairs", "covered", box=None)
    for name in (GENSIM, OURS, "difference"):
        table.add_column(name, justify="right")
    for epochs in sorted({run.epochs for run in report.runs}):
        for name, (covered, total) in report.coverage.items():
            correlations = {
                trainer: [run.spearman[name] for run in report.of(trainer, epochs)]
                for trainer in (GENSIM, OURS)
            }
            mean = {trainer: statistics.mean(rhos) for trainer, rhos in correlations.items()}
            cells = [
                f"{mean[trainer]:.3f} ({min(rhos):.3f} to {max(rhos):.3f})"
                for trainer, rhos in correlations.items()
            ]
            difference = f"{mean[OURS] - mean[GENSIM]:+.3f}"
            table.add_row(str(epochs), name, f"{covered}/{total}", *cells, difference)
    return table


def bound(report: Report, vector_size: int) -> str:
    """Returns how fast this machine could train, and what share of that is reached."""
    shape = RecordShape(**report.shape)
    operations = machine.operations_per_target(shape, vector_size)
    moved = machine.bytes_per_target(shape, vector_size)
    gflops, gigabytes = statistics.median(report.gflops), statistics.median(report.gigabytes)
    by_products, by_memory = gflops * 1e9 / operations, gigabytes * 1e9 / moved
    lines = [
        f"a target: {operations:,.0f} operations, {moved:,.0f} bytes",
        f"at {gflops:,.0f} GFLOP/s of float32: {by_products / 1e6:.2f} M targets/s",
        f"at {gigabytes:,.0f} GB/s: {by_memory / 1e6:.2f} M targets/s",
    ]
    if steady := _steady(report):
        share = steady / min(by_products, by_memory)
        lines.append(f"pmc2vec, steady: {steady / 1e6:.2f} M targets/s, {share:.0%} of the lower")
    return "\n".join(lines)


def _steady(report: Report) -> float | None:
    """Returns targets a second without start and compilation: of the longest less the shortest."""
    counts = sorted({run.epochs for run in report.runs})
    if len(counts) < 2:
        return None
    few, many = (report.of(OURS, epochs) for epochs in (counts[0], counts[-1]))
    seconds = statistics.median(b.train - a.train for a, b in zip(few, many, strict=True))
    return report.targets * (counts[-1] - counts[0]) / seconds


def main() -> None:
    """Measures, prints the tables, and writes the figures where --json says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--pairs", type=Path, nargs="+", required=True)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    for name, default in (("vector_size", 128), ("window", 5), ("negative", 5), ("min_count", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sample", type=float, default=1e-3)
    parser.add_argument("--ns_exponent", type=float, default=0.75)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="gensim's threads")
    parser.add_argument("--build", type=shlex.split, default=[], help="more for pmc2vec build")
    parser.add_argument("--train", type=shlex.split, default=[], help="more for pmc2vec train")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    options = parser.parse_args()
    arguments: dict[str, object] = {name: str(value) for name, value in vars(options).items()}
    report = Report(arguments, os.cpu_count() or 1)
    console = Console(width=110)
    console.print(machine.describe_machine(), highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        for run_name in measure(options, Path(folder), report):
            print(run_name, file=sys.stderr, flush=True)
            write(report, options.json)  # In case that this is stopped.
    console.print(
        f"{report.tokens:,} tokens; {report.cores} cores; medians of {len(options.seeds)} seeds",
        highlight=False,
    )
    for part in (speed(report), quality(report), bound(report, options.vector_size)):
        console.print(part, "", highlight=False, soft_wrap=True)
    console.print(f"load {os.getloadavg()[0]:.1f} at the end", highlight=False)
    write(report, options.json)


def write(report: Report, path: Path | None) -> None:
    """Writes every figure so far to a file, if there is to be one."""
    if path:
        path.write_text(json.dumps(asdict(report), indent=1) + "\n")


if __name__ == "__main__":
    main()
