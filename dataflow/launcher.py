"""The program of the Flex Template's container: runs `pmc2vec build` on Dataflow.

Dataflow passes template parameters as single words, `--output=gs://b/data --max_num_workers=20`,
and starts the job when this program has ended. Parameters that `pmc2vec build` declares are its
options; the others are Beam's. A parameter has one value, so a list is words with spaces between,
quoted as in a shell; a flag is `true` or `false`.

    >>> build_words, beam_flags = split_parameters(
    ...     ["--output=gs://b/d", "--keywords='lung cancer' melanoma", "--lowercase=false",
    ...      "--num_workers=5"])
    >>> build_words
    ['--output', 'gs://b/d', '--keywords', 'lung cancer', 'melanoma', '--no_lowercase']
    >>> beam_flags
    ['--num_workers=5']
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import Field, fields

from beam_pipelines import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.runner import check_flags, configure_beam_logging
from pmc2vec.cli import exit_codes, options

BUILD_OPTIONS = {field.name: field for field in fields(BuildConfig)}


def split_parameters(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the command line of `pmc2vec build` and the flags for Beam."""
    build_words, beam_flags = [], []
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if name in BUILD_OPTIONS:
            build_words += _words(BUILD_OPTIONS[name], value)
        else:
            beam_flags.append(word)
    return build_words, beam_flags


def _words(field: Field[object], value: str) -> list[str]:
    kind = str(field.type)
    if kind == "bool":
        if value.lower() not in ("true", "false"):
            options.refuse("launcher", f"--{field.name} is true or false, not {value!r}")
        return [f"--{field.name}" if value.lower() == "true" else f"--no_{field.name}"]
    values = shlex.split(value) if kind.startswith("tuple") else [value]
    return [f"--{field.name}", *values] if values else []


def main(argv: Sequence[str] | None = None) -> int:
    """Submits the job; exits with code 2 where a parameter is wrong."""
    build_words, beam_flags = split_parameters(sys.argv[1:] if argv is None else argv)
    config = options.parse(BuildConfig, build_words, prog="launcher", description="Launch a build.")
    try:
        check_flags(beam_flags)
    except ValueError as error:
        options.refuse("launcher", f"not of pmc2vec build, and {error}")
    return exit_codes.run_program(lambda: _submit(config, beam_flags))


def _submit(config: BuildConfig, beam_flags: Sequence[str]) -> int:
    configure_beam_logging(beam_flags)
    build.submit(config, beam_flags)
    return 0


if __name__ == "__main__":
    sys.exit(main())
