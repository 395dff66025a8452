"""The console script: `pmc2vec <command> [options]`, a table of commands.

A command's module is imported when the command is run and not before, so `pmc2vec build --help`
loads no TensorFlow and `pmc2vec train` no Beam. Each module's `main(argv) -> int` has its own
options.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType

from pmc2vec import __version__, machine
from pmc2vec.cli.exit_codes import USAGE_ERROR, run_program
from pmc2vec.errors import UserError


@dataclass(frozen=True)
class Command:
    """A command of the console script.

    Attributes:
        target: where its program is, as `module:function`.
        summary: what it does, in a line.
        options: where its options are, as `module:dataclass`.
        json_result: whether it takes `--json`.
    """

    target: str
    summary: str
    options: str
    json_result: bool = False


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "demo": Command(
            "pmc2vec.commands.demo:main",
            "All of it on made-up articles, in two minutes",
            "pmc2vec.commands.demo:DemoConfig",
        ),
        "sample": Command(
            "pmc2vec.commands.sample:main",
            "Make PMC archives of made-up articles",
            "pmc2vec.commands.sample:SampleConfig",
        ),
        "fetch": Command(
            "pmc2vec.commands.fetch:main",
            "Download articles of PubMed Central into archives",
            "pmc2vec.commands.fetch:FetchConfig",
            json_result=True,
        ),
        "build": Command(
            "beam_pipelines.build:main",
            "Turn articles, or any text, into a dataset",
            "beam_pipelines.config:BuildConfig",
            json_result=True,
        ),
        "train": Command(
            "trainer.task:main",
            "Train word vectors on a dataset",
            "trainer.config:TrainConfig",
            json_result=True,
        ),
        "update": Command(
            "pmc2vec.commands.update:main",
            "Build and train on what is new, and publish it",
            "pmc2vec.commands.update:UpdateConfig",
            json_result=True,
        ),
        "tensorboard": Command(
            "pmc2vec.commands.tensorboard:main",
            "See a run, or several, in the browser",
            "pmc2vec.commands.tensorboard:TensorboardConfig",
        ),
        "neighbours": Command(
            "pmc2vec.commands.neighbours:main",
            "List the words nearest to a word",
            "pmc2vec.commands.neighbours:NeighboursConfig",
            json_result=True,
        ),
        "why": Command(
            "pmc2vec.commands.why:main",
            "Show what two words share, in sentences",
            "pmc2vec.commands.why:WhyConfig",
            json_result=True,
        ),
        "vector": Command(
            "pmc2vec.commands.vector:main",
            "Print the numbers of a word's vector",
            "pmc2vec.commands.vector:VectorConfig",
            json_result=True,
        ),
        "analogy": Command(
            "pmc2vec.commands.analogy:main",
            "Answer: a is to b as c is to what?",
            "pmc2vec.commands.analogy:AnalogyConfig",
            json_result=True,
        ),
        "similarity": Command(
            "pmc2vec.commands.similarity:main",
            "Print the cosine of two words",
            "pmc2vec.commands.similarity:SimilarityConfig",
            json_result=True,
        ),
        "odd-one-out": Command(
            "pmc2vec.commands.odd_one_out:main",
            "Find the word unlike the others",
            "pmc2vec.commands.odd_one_out:OddOneOutConfig",
            json_result=True,
        ),
        "evaluate": Command(
            "pmc2vec.commands.evaluate:main",
            "Compare with people: word pairs, analogies",
            "pmc2vec.commands.evaluate:EvaluateConfig",
            json_result=True,
        ),
        "plot": Command(
            "pmc2vec.commands.plot:main",
            "Draw words as a picture",
            "pmc2vec.commands.plot:PlotConfig",
        ),
        "export-corpus": Command(
            "pmc2vec.commands.export_corpus:main",
            "Write a corpus as text or JSON lines",
            "pmc2vec.commands.export_corpus:ExportCorpusConfig",
        ),
        "export": Command(
            "pmc2vec.commands.export:main",
            "Write a run's vectors in other formats",
            "pmc2vec.commands.export:ExportConfig",
        ),
        "inspect": Command(
            "pmc2vec.commands.inspect:main",
            "Check a dataset or a run, and say what it holds",
            "pmc2vec.commands.inspect:InspectConfig",
            json_result=True,
        ),
        "completion": Command(
            "pmc2vec.commands.completion:main",
            "Print the completion script of a shell",
            "pmc2vec.commands.completion:CompletionConfig",
        ),
    }
)

EXAMPLES = (
    "pmc2vec demo",
    "pmc2vec build --input 'bulk/*.tar.gz' --output dataset --keywords cancer melanoma",
    "pmc2vec train --dataset dataset --workdir run",
    "pmc2vec neighbours melanoma insulin --vectors run",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that `argv` names and returns its exit code.

    Args:
        argv: the words after `pmc2vec`; `sys.argv[1:]` where None.
    """
    return run_program(lambda: _dispatch(list(sys.argv[1:] if argv is None else argv)))


def overview() -> str:
    """Returns what `pmc2vec --help` prints."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: pmc2vec <command> [options]",
            "",
            "Word vectors from PubMed Central.",
            "",
            "commands:",
            *(f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()),
            "",
            "examples:",
            *(f"  {example}" for example in EXAMPLES),
            "",
            "pmc2vec <command> --help lists the usual options of a command, --help_all all.",
            "Each command also takes --quiet (no progress), --verbose (logs of the engines,",
            "tracebacks) and --options_file FILE (options in TOML).",
        ]
    )


def unknown_command(name: str) -> str:
    """Returns the line about a command that does not exist.

    >>> unknown_command("trian")
    "pmc2vec: error: no command 'trian'; did you mean 'train'? (pmc2vec --help lists them)"
    """
    close = get_close_matches(name, COMMANDS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"pmc2vec: error: no command {name!r}{hint} (pmc2vec --help lists them)"


def load_command(name: str) -> Callable[[Sequence[str]], int]:
    """Returns the program of the command `name`, imported now.

    Raises:
        UserError: a package that the command needs is not installed.
    """
    module, _, function = COMMANDS[name].target.partition(":")
    try:
        with machine.garbage_collection_paused():
            program: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"", "beam_pipelines", "trainer", "pmc2vec"}:
            raise
        raise UserError(
            f"{name} needs {missing}, which is not installed; "
            "pip install 'pmc2vec[beam,trainer]' installs what both halves need"
        ) from error
    return program


def _dispatch(words: Sequence[str]) -> int:
    name, *rest = words or ["--help"]
    if name in {"-h", "--help", "help"}:
        print(overview())
        return 0
    if name in {"-V", "--version"}:
        print(f"pmc2vec {__version__}")
        return 0
    if name not in COMMANDS:
        print(unknown_command(name), file=sys.stderr)
        return USAGE_ERROR
    # TensorFlow reads it when it is loaded: its start-up notes are no news to anyone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return load_command(name)(rest)
