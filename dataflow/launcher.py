"""What the Flex Template's container runs: template parameters -> `pmc2vec build` on Dataflow.

Dataflow gives parameters as flat words, `--output=gs://b/data --max_num_workers=20`, and waits for
this program to end: the job starts only then. Those that `pmc2vec build` declares are its own, the
others Beam's. A parameter has one value, so lists and patterns are words with spaces between,
quoted as in a shell; a flag is `true` or `false`.

    >>> own, beam = divided(["--output=gs://b/d", "--keywords='lung cancer' melanoma",
    ...                      "--lowercase=false", "--num_workers=5"])
    >>> own
    ['--output', 'gs://b/d', '--keywords', 'lung cancer', 'melanoma', '--no_lowercase']
    >>> beam
    ['--num_workers=5']
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import Field, fields

from beam_pipelines import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.runner import configure_beam_logging, unknown_options
from pmc2vec.cli import exit_codes, options

OWN = {field.name: field for field in fields(BuildConfig)}
PROG = "launcher"


def divided(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the words for `pmc2vec build`, as it wants them, and those for Beam."""
    own, beam = [], []
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if name in OWN:
            own += _words(OWN[name], value)
        else:
            beam.append(word)
    return own, beam


def _words(field: Field[object], value: str) -> list[str]:
    kind = str(field.type)
    if kind == "bool":
        if value.lower() not in ("true", "false"):
            options.refuse(PROG, f"--{field.name} is true or false, not {value!r}")
        return [f"--{field.name}" if value.lower() == "true" else f"--no_{field.name}"]
    values = shlex.split(value) if kind.startswith("tuple") else [value]
    return [f"--{field.name}", *values] if values else []


def main(argv: Sequence[str] | None = None) -> int:
    """Hands the job to the engine and ends; a mistake in a parameter is told first."""
    own, beam = divided(sys.argv[1:] if argv is None else argv)
    config = options.parse(BuildConfig, own, prog=PROG, description="Launch a build.")
    if unknown := unknown_options(beam):
        options.refuse(PROG, f"neither pmc2vec build nor Beam knows {' '.join(unknown)}")
    return exit_codes.run_program(lambda: _submitted(config, beam))


def _submitted(config: BuildConfig, beam: Sequence[str]) -> int:
    configure_beam_logging(beam)
    build.submit(config, beam)
    return 0


if __name__ == "__main__":
    sys.exit(main())
