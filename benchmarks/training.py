r"""pmc2vec against other word2vecs on the same tokens: speed, memory, agreement with people.

    python -m benchmarks.training DATASET --peer gensim --peer pword2vec=BINARY \
        --peer word2vec=BINARY --pairs pairs/*.txt --analogies analogies/*.txt

DATASET is a folder that `pmc2vec build` wrote; only its corpus is read. Everything measured is a
process of its own, and the trainers take turns, seed after seed:

    a peer   see `peers`: from a file of sentences to vectors
    build    `pmc2vec build --corpus`: count, subsample, draw windows and negatives, write records
    train    `pmc2vec train`, from its start to its exports; its machine code is in the cache

A whole run is the peer's process, or build and train together. Words are the corpus's tokens times
the epochs, for all. Figures are medians over the seeds, ratios are of the two runs of a seed. The
machine is measured before each run, since shared machines change. The bound is what all cores could
do if products ran at the speed of a large one and rows moved at the speed of a large copy.
"""

from __future__ import annotations

import argparse
import json
import os
import re
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
from benchmarks.peers import Peer, Settings, parse_peer
from pmc2vec.dataset.records import RecordShape
from pmc2vec.vectors.keyed_vectors import Vectors

OURS = "pmc2vec"

_ANALOGY_WORDS = 30_000  # The most frequent ones; as in word2vec's own compute-accuracy.
_POLL_SECONDS = 0.1  # Between two looks at a process's memory.


@dataclass(frozen=True)
class Run:
    """One trainer, once.

    Attributes:
        trainer: `OURS`, or the name of a peer.
        epochs: passes over the corpus.
        seed: of the run, for those that take one.
        whole: seconds from the first process's start to the last one's end.
        build: seconds of `build --corpus`, in `whole` too; 0 for a peer.
        train: seconds in which we trained on words; 0 for a peer.
        peak_mb: of the largest process.
        scores: by name of the file: rank correlation with pairs, accuracy of analogies.
        gflops: of a product of large float32 matrices, all cores, just before the run.
        gigabytes: a second, read and written by a large copy, all cores, likewise.
        load: of the machine, likewise: processes that want a core, a mean of a minute.
    """

    trainer: str
    epochs: int
    seed: int
    whole: float
    build: float
    train: float
    peak_mb: float
    scores: dict[str, float]
    gflops: float
    gigabytes: float
    load: float


@dataclass
class Report:
    """Everything measured so far.

    Attributes:
        options: the arguments.
        trainers: names, in the order of the tables; ours is the last.
        cores: of this machine.
        tokens: in the corpus.
        targets: tokens left by vocabulary and subsampling, in one epoch.
        pairs: of these targets with their contexts, in one epoch.
        shape: of the records.
        coverage: questions whose words are in the vocabulary, by name of the file.
        runs: in the order in which they were made.
    """

    options: dict[str, object]
    trainers: list[str]
    cores: int
    tokens: int = 0
    targets: int = 0
    pairs: int = 0
    shape: dict[str, int] = field(default_factory=dict)
    coverage: dict[str, int] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    def of(self, trainer: str, epochs: int) -> list[Run]:
        """Returns a trainer's runs of so many epochs, by seed."""
        runs = [run for run in self.runs if (run.trainer, run.epochs) == (trainer, epochs)]
        return sorted(runs, key=lambda run: run.seed)

    @property
    def epochs(self) -> list[int]:
        """The numbers of epochs that all trainers have run."""
        counts = sorted({run.epochs for run in self.runs})
        return [count for count in counts if all(self.of(name, count) for name in self.trainers)]


# --- the trainers ------------------------------------------------------------------------------


def write_sentences(dataset: Path, path: Path) -> int:
    """Writes a corpus as other programs read it, a sentence in a line; returns its tokens."""
    tokens = 0
    with path.open("w", encoding="utf-8") as file:
        for part in sorted((dataset / "corpus").glob("*.parquet")):
            for batch in pq.ParquetFile(part).iter_batches(columns=["sentences"]):
                lines = batch.column(0).flatten().to_pylist()
                tokens += sum(line.count(" ") + 1 for line in lines)
                file.writelines(f"{line}\n" for line in lines)
    return tokens


def run_process(command: Sequence[str]) -> tuple[float, float]:
    """Runs a process to its end; returns its seconds and its peak memory in MB."""
    began, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
        # Linux's getrusage begins with the memory of the parent, this program.
        while running.poll() is None:
            peak = max(peak, _peak_kilobytes(running.pid))
            time.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - began
        output.seek(0)
        if running.returncode:
            tail = output.read()[-2000:]
            raise SystemExit(f"{' '.join(command)}: exit {running.returncode}\n{tail}")
    return seconds, peak / 1024


def _peak_kilobytes(pid: int) -> int:
    try:
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(peak[1]) if peak else 0


def pmc2vec(*arguments: object) -> list[str]:
    """Returns the command of our program."""
    return [sys.executable, "-m", "pmc2vec", *map(str, arguments)]


def flags(options: argparse.Namespace, *names: str) -> list[str]:
    """Returns options as arguments of a command."""
    return [text for name in names for text in (f"--{name}", str(getattr(options, name)))]


def build_dataset(options: argparse.Namespace, folder: Path, seed: int) -> tuple[float, float]:
    """Builds the dataset of a seed from the corpus; returns seconds and peak MB."""
    shared = flags(options, "window", "negative", "min_count", "sample")
    source = ("--corpus", options.dataset, "--output", folder / f"dataset-{seed}")
    more = ("--validation_fraction", 0, "--seed", seed, *options.build)
    return run_process(pmc2vec("build", *source, *shared, *more))


def train_command(
    options: argparse.Namespace, folder: Path, workdir: Path, seed: int, *more: object
) -> list[str]:
    """Returns the command that trains our vectors from the dataset of a seed."""
    places = ("--dataset", folder / f"dataset-{seed}", "--workdir", workdir)
    size = flags(options, "vector_size")
    return pmc2vec("train", *places, *size, "--seed", seed, *more, *options.train)


def score(options: argparse.Namespace, vectors: Path, report: Report) -> dict[str, float]:
    """Returns rank correlations and accuracies of vectors, and notes what they cover."""
    loaded, scores = Vectors.load(vectors), {}
    for path in options.pairs:
        pairs = loaded.evaluate_word_pairs(path, phrases=True)
        scores[path.stem], report.coverage[path.stem] = pairs.spearman, pairs.covered
    for path in options.analogies:
        accuracy, sections = loaded.evaluate_word_analogies(path, restrict_vocab=_ANALOGY_WORDS)
        scores[path.stem] = accuracy
        report.coverage[path.stem] = sum(len(sections[-1][k]) for k in ("correct", "incorrect"))
    return scores


def measure(options: argparse.Namespace, folder: Path, report: Report) -> Iterator[str]:
    """Adds every run to the report, one after the other; yields the name of the next one."""
    sentences = folder / "sentences.txt"
    report.tokens = write_sentences(options.dataset, sentences)
    settings = Settings(**{name: getattr(options, name) for name in Settings.__annotations__})
    for seed in options.seeds:
        yield f"seed {seed}: build"
        built = build_dataset(options, folder, seed)
        manifest = json.loads((folder / f"dataset-{seed}" / "manifest.json").read_text())
        shards = [shard for shard in manifest["shards"] if shard["draw"] == 0]
        report.targets = sum(shard["targets"] for shard in shards)
        report.pairs = sum(shard["pairs"] for shard in shards)
        report.shape = manifest["shape"]
        if seed == options.seeds[0]:
            yield "compile"
            run_process(train_command(options, folder, folder / "compiled", seed, "--max_steps", 1))
        for epochs in options.epochs:
            for peer in options.peer:
                yield f"seed {seed}: {peer.name}, {epochs} epochs"
                output = folder / f"{peer.name}{peer.suffix}"
                before = measure_machine()
                seconds, peak = run_process(peer.command(sentences, output, settings, epochs, seed))
                scores = score(options, output, report)
                run = Run(peer.name, epochs, seed, seconds, 0, 0, peak, scores, *before)
                report.runs.append(run)
            yield f"seed {seed}: {OURS}, {epochs} epochs"
            workdir = folder / f"run-{epochs}-{seed}"
            before = measure_machine()
            command = train_command(options, folder, workdir, seed, "--epochs", epochs)
            seconds, peak = run_process(command)
            train = json.loads((workdir / "provenance.json").read_text())["trained"]["seconds"]
            scores, whole = score(options, workdir, report), built[0] + seconds
            peak = max(peak, built[1])
            run = Run(OURS, epochs, seed, whole, built[0], train, peak, scores, *before)
            report.runs.append(run)


def measure_machine() -> tuple[float, float, float]:
    """Returns GFLOP/s, GB/s, and the load before the two were measured."""
    load = os.getloadavg()[0]
    return machine.matmul_gflops(), machine.copy_gigabytes(), load


# --- the tables --------------------------------------------------------------------------------


def speed_table(report: Report) -> Table:
    """Returns a row of medians for each trainer and number of epochs."""
    table = Table("epochs", "", box=None)
    for name in ("seconds", "k words/s", "ours is faster", "build s", "train s", "peak MB",
                 "GFLOP/s", "GB/s", "load"):  # fmt: skip
        table.add_column(name, justify="right")
    for epochs in report.epochs:
        ours = report.of(OURS, epochs)
        for trainer in report.trainers:
            runs = report.of(trainer, epochs)
            median = {
                name: statistics.median(getattr(run, name) for run in runs)
                for name in ("whole", "build", "train", "gflops", "gigabytes", "load")
            }
            ratio = statistics.median(
                run.whole / own.whole for run, own in zip(runs, ours, strict=False)
            )
            table.add_row(
                str(epochs),
                trainer,
                f"{median['whole']:.1f}",
                f"{report.tokens * epochs / median['whole'] / 1e3:,.0f}",
                f"{ratio:.2f} times" if trainer != OURS else "",
                f"{median['build']:.1f}" if trainer == OURS else "",
                f"{median['train']:.1f}" if trainer == OURS else "",
                f"{max(run.peak_mb for run in runs):,.0f}",
                *(f"{median[name]:.0f}" for name in ("gflops", "gigabytes")),
                f"{median['load']:.1f}",
            )
    return table


def quality_table(report: Report, pairs: Sequence[str], analogies: Sequence[str]) -> Table:
    """Returns the scores, means over the seeds, and what ours is ahead of the best peer."""
    table = Table("epochs", "file", "covered", box=None)
    for name in (*report.trainers, "ours ahead by"):
        table.add_column(name, justify="right")
    for epochs in report.epochs:
        means = {
            trainer: {
                name: statistics.mean(run.scores[name] for run in report.of(trainer, epochs))
                for name in report.coverage
            }
            for trainer in report.trainers
        }
        rows = [(name, [name], str(report.coverage[name])) for name in report.coverage]
        for kind, names in (("pairs", pairs), ("analogies", analogies)):
            if len(names) > 1:
                rows.append((f"mean of {len(names)} {kind}", list(names), ""))
        for label, names, covered in rows:
            values = [statistics.mean(means[t][name] for name in names) for t in report.trainers]
            ahead = f"{values[-1] - max(values[:-1]):+.3f}" if len(values) > 1 else ""
            table.add_row(str(epochs), label, covered, *(f"{v:.3f}" for v in values), ahead)
    return table


def bound(report: Report, vector_size: int) -> str:
    """Returns how fast this machine could train, and what share of that is reached."""
    shape, runs = RecordShape(**report.shape), [run for run in report.runs if run.trainer == OURS]
    operations = machine.operations_per_target(shape, vector_size)
    moved = machine.bytes_per_target(shape, vector_size)
    gflops = statistics.median(run.gflops for run in runs)
    gigabytes = statistics.median(run.gigabytes for run in runs)
    by_products, by_memory = gflops * 1e9 / operations, gigabytes * 1e9 / moved
    lines = [
        f"{report.targets:,} targets and {report.pairs:,} pairs in an epoch",
        f"a target: {operations:,.0f} operations, {moved:,.0f} bytes",
        f"at {gflops:,.0f} GFLOP/s of float32: {by_products / 1e6:.2f} M targets/s",
        f"at {gigabytes:,.0f} GB/s: {by_memory / 1e6:.2f} M targets/s",
    ]
    rates = [("first epoch", _first_epoch(report)), ("later epochs", _later_epochs(report))]
    for name, rate in rates:
        if rate:
            share = rate / min(by_products, by_memory)
            lines.append(f"pmc2vec, {name}: {rate / 1e6:.2f} M targets/s, {share:.0%} of the lower")
    return "\n".join(lines)


def _first_epoch(report: Report) -> float | None:
    """Returns targets a second in runs of one epoch."""
    runs = report.of(OURS, 1)
    return report.targets / statistics.median(run.train for run in runs) if runs else None


def _later_epochs(report: Report) -> float | None:
    """Returns targets a second of the longest runs less the shortest."""
    counts = report.epochs
    if len(counts) < 2:
        return None
    few, many = (report.of(OURS, epochs) for epochs in (counts[0], counts[-1]))
    seconds = statistics.median(b.train - a.train for a, b in zip(few, many, strict=False))
    return report.targets * (counts[-1] - counts[0]) / seconds


def _peer(text: str) -> Peer:
    try:
        return parse_peer(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> None:
    """Measures, prints the tables, and writes the figures where --json says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--peer", type=_peer, action="append", default=[], help="see peers.py")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[])
    parser.add_argument("--analogies", type=Path, nargs="*", default=[])
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    for name, default in (("vector_size", 128), ("window", 5), ("negative", 5), ("min_count", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sample", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads of peers")
    parser.add_argument("--build", type=shlex.split, default=[], help="more for pmc2vec build")
    parser.add_argument("--train", type=shlex.split, default=[], help="more for pmc2vec train")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    options = parser.parse_args()
    arguments: dict[str, object] = {name: str(value) for name, value in vars(options).items()}
    trainers = [*(peer.name for peer in options.peer), OURS]
    report = Report(arguments, trainers, os.cpu_count() or 1)
    console = Console(width=120)
    console.print(machine.describe_machine(), highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        for run_name in measure(options, Path(folder), report):
            print(run_name, file=sys.stderr, flush=True)
            write(report, options.json)  # In case that this is stopped.
    seeds = len(options.seeds)
    console.print(
        f"{report.tokens:,} tokens; {report.cores} cores; medians of {seeds} seeds", highlight=False
    )
    names = ([path.stem for path in files] for files in (options.pairs, options.analogies))
    for part in (
        speed_table(report),
        quality_table(report, *names),
        bound(report, options.vector_size),
    ):
        console.print(part, "", highlight=False, soft_wrap=True)
    write(report, options.json)


def write(report: Report, path: Path | None) -> None:
    """Writes every figure so far to a file, if there is to be one."""
    if path:
        path.write_text(json.dumps(asdict(report), indent=1) + "\n")


if __name__ == "__main__":
    main()
