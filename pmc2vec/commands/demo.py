"""`pmc2vec demo`: the whole job on made-up articles, checked against what was planted in them.

    sample -> build (Beam, all cores) -> train (TensorFlow) -> neighbours, recovered truth

Each stage is run by the same functions as the commands that it names.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pmc2vec.cli import exit_codes, options
from pmc2vec.cli.console import ResultConsole
from pmc2vec.errors import UserError
from pmc2vec.synthetic.ground_truth import (
    GroundTruth,
    Recovery,
    measure_recovery,
    read_ground_truth,
)


@dataclass(frozen=True)
class DemoConfig:
    """Options of `pmc2vec demo`."""

    output: Path | None = options.option(None, default_text="a new temporary folder")
    """Folder for all results."""
    articles: int = 1500
    """Articles to generate."""
    epochs: int = 3
    """Passes over the corpus."""
    vector_size: int = 64
    """Dimensions of a vector."""
    seed: int = 1
    """Random seed of the articles, the dataset and the training."""


def demo(config: DemoConfig, console: Console) -> Recovery:
    """Runs every stage, tells of each, and returns how much of the planted truth came back.

    Raises:
        UserError: the output folder holds something else.
    """
    folder = config.output or Path(tempfile.mkdtemp(prefix="pmc2vec-demo-"))
    bulk, dataset, workdir = folder / "bulk", folder / "dataset", folder / "run"
    _clear(folder, (bulk, dataset, workdir))
    seed = f"--seed {config.seed}"
    truth = _sample(config, bulk, console, seed)
    build_line = f"build --input '{bulk}/*.tar.gz' --output {dataset}"
    with _stage(console, f"{build_line} --keywords {' '.join(truth.keywords)} {seed}"):
        _build(config, truth, bulk, dataset, console)
    size = f"--epochs {config.epochs} --vector_size {config.vector_size}"
    with _stage(console, f"train --dataset {dataset} --workdir {workdir} {size} {seed}"):
        _train(config, dataset, workdir)
    return _show(truth, workdir, console)


def _clear(folder: Path, stages: Sequence[Path]) -> None:
    if folder.exists():
        foreign = {path.name for path in folder.iterdir()} - {path.name for path in stages}
        if foreign:
            raise UserError(f"{folder}: holds {min(foreign)}; give another --output")
    for stage in stages:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def _stage(console: Console, command: str) -> Iterator[None]:
    _say(console, f"\n$ pmc2vec {command}", "bold")
    began = time.monotonic()
    yield
    _say(console, f"{time.monotonic() - began:.0f} s", "dim")


def _sample(config: DemoConfig, bulk: Path, console: Console, seed: str) -> GroundTruth:
    from pmc2vec.commands.sample import SampleConfig, sample

    with _stage(console, f"sample --output {bulk} --articles {config.articles} {seed}"):
        sample(SampleConfig(output=bulk, articles=config.articles, seed=config.seed))
        truth = read_ground_truth(bulk)
        _say(
            console,
            f"{truth.articles:,} articles in {len(truth.archives)} archives: {truth.on_subject:,} "
            f"mention {', '.join(truth.keywords)}; {len(truth.broken)} are broken",
        )
    return truth


def _build(
    config: DemoConfig, truth: GroundTruth, bulk: Path, dataset: Path, console: Console
) -> None:
    from beam_pipelines.build import build
    from beam_pipelines.build_progress import funnel_table
    from beam_pipelines.config import BuildConfig
    from beam_pipelines.runner import configure_beam_logging

    configure_beam_logging(())
    manifest = build(
        BuildConfig(
            input=(str(bulk / "*.tar.gz"),),
            output=str(dataset),
            keywords=tuple(truth.keywords),
            seed=config.seed,
        ),
        quiet=False,
    )
    _say(console, funnel_table(manifest))


def _train(config: DemoConfig, dataset: Path, workdir: Path) -> None:
    from pmc2vec.cli.signals import stop_request
    from trainer.config import TrainConfig
    from trainer.task import summary_lines, train

    summary = train(
        TrainConfig(
            dataset=str(dataset),
            workdir=workdir,
            epochs=config.epochs,
            vector_size=config.vector_size,
            seed=config.seed,
        ),
        stop=stop_request(),
    )
    print("\n".join(summary_lines(summary)))


def _say(console: Console, line: str, style: str | None = None) -> None:
    """Prints a line as it is: a command is there to be copied."""
    console.print(line, style=style, soft_wrap=True, highlight=False, markup=False)


def _show(truth: GroundTruth, workdir: Path, console: Console) -> Recovery:
    from pmc2vec.vectors.keyed_vectors import Vectors

    vectors = Vectors.load(workdir)
    neighbours = Table("word", "nearest neighbours", box=None, header_style="bold")
    for word in truth.probes:
        if word in vectors:
            near = (f"{other} {cosine:.2f}" for other, cosine in vectors.most_similar(word, topn=5))
            neighbours.add_row(word, ", ".join(near))
    recovery = measure_recovery(truth, vectors)
    planted = Table("planted", "recovered", "needed", "", box=None, header_style="bold")
    for score in recovery.scores:
        verdict = "[green]yes[/green]" if score.passed else "[red]no[/red]"
        planted.add_row(score.name, f"{score.value:.2f}", f"{score.threshold:.2f}", verdict)
    for part in (neighbours, planted):
        console.print()
        console.print(part)
    _say(console, f"\nTensorBoard:  pmc2vec tensorboard --workdir {workdir}")
    _say(console, f"Your turn:    pmc2vec neighbours melanoma --vectors {workdir}")
    return recovery


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec demo`; exit code 1 if what was planted did not come back."""
    config = options.parse(
        DemoConfig,
        argv,
        prog="pmc2vec demo",
        description="Sample, build, train and query, in two minutes.",
        examples=("pmc2vec demo", "pmc2vec demo --output demo --articles 3000"),
    )
    return exit_codes.run_program(lambda: _command(config))


def _command(config: DemoConfig) -> int:
    if not demo(config, ResultConsole(width=None if sys.stdout.isatty() else 110)).passed:
        raise UserError("the planted meaning did not come back: the scores above say what is wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
