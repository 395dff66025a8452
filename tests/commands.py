"""Command lines, as they stand in manifests and documents, parsed by the programs they are for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from beam_pipelines.runner import check_flags
from pmc2vec.cli import options
from pmc2vec.commands import update
from pmc2vec.commands.main import COMMANDS


def parsed(words: list[str]) -> Any:
    """Returns the options in the words after `pmc2vec`; SystemExit where there is a wrong one."""
    name, *rest = (word.replace("$(JOB_COMPLETION_INDEX)", "0") for word in words)
    at = rest.index("--") if "--" in rest else len(rest)
    check_flags(rest[at + 1 :])
    module, _, kind = COMMANDS[name].options.partition(":")
    config_class = getattr(import_module(module), kind)
    if name == "update":
        sections = update.sections(rest)
        config = options.parse(config_class, sections[""], prog=name, description="")
        update._plans(config, sections)
        return config
    return options.parse(config_class, rest[:at], prog=name, description="")
