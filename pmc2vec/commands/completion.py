"""`pmc2vec completion SHELL`: prints what makes a shell complete commands, options and values.

    source <(pmc2vec completion bash)          in ~/.bashrc
    source <(pmc2vec completion zsh)           in ~/.zshrc, after compinit
    pmc2vec completion fish | source           in ~/.config/fish/config.fish

The script holds the options of this version, so that completing starts no Python. It is not tyro's
own (`--tyro-print-completion`), which completes one program: ours are one for each command, and
importing all of them under one parser would load Beam and TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from pmc2vec.cli import exit_codes, options

Options = Mapping[str, tuple[str, ...]]
"""Options of a command, without their dashes, each with the values that it takes, if few."""

_POSITIONAL = get_args(Positional[int])[1:]

_BASH = """\
_pmc2vec() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} options=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "{commands} --help --version" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}} $before" in
{values}
  esac
  if ((${{#COMPREPLY[@]}})); then return; fi
  case "${{COMP_WORDS[1]}}" in
{options}
  esac
  if [[ $word == -* ]]; then
    options+=" --help --help_all --quiet --verbose --options_file"
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _pmc2vec pmc2vec
"""


@dataclass(frozen=True)
class CompletionConfig:
    """Options of `pmc2vec completion`."""

    shell: Positional[Literal["bash", "zsh", "fish"]]
    """The shell to print a script for."""


def command_options(config_class: type) -> Options:
    """Returns the options that `options.parse` reads into a dataclass.

    >>> command_options(CompletionConfig)
    {'': ('bash', 'zsh', 'fish')}
    """
    hints = get_type_hints(config_class, include_extras=True)
    choices_by_name: dict[str, tuple[str, ...]] = {}
    for field in fields(config_class):
        hint = hints[field.name]
        marks = getattr(hint, "__metadata__", ())
        if any(mark in _POSITIONAL for mark in marks):
            if values := _values(hint):
                choices_by_name[""] = values
            continue
        choices_by_name[field.name] = _values(hint)
        if hint is bool:
            choices_by_name[f"no_{field.name}"] = ()
    return choices_by_name


def bash(commands: Mapping[str, Options]) -> str:
    """Returns the script for bash."""
    values, names = [], []
    for command, choices_by_name in commands.items():
        for name, choices in choices_by_name.items():
            if choices:
                before = f"{command} --{name}" if name else f"{command} {command}"
                reply = f'COMPREPLY=($(compgen -W "{" ".join(choices)}" -- "$word"))'
                values.append(f'    "{before}") {reply} ;;')
        listed = " ".join(f"--{name}" for name in choices_by_name if name)
        names.append(f'    {command}) options="{listed}" ;;')
    return _BASH.format(
        commands=" ".join(commands), values="\n".join(values), options="\n".join(names)
    )


def zsh(commands: Mapping[str, Options]) -> str:
    """Returns the script for zsh, which takes bash's."""
    return "autoload -U +X bashcompinit && bashcompinit\n" + bash(commands)


def fish(commands: Mapping[str, Options], summaries: Mapping[str, str]) -> str:
    """Returns the script for fish."""
    lines = [
        f"complete -c pmc2vec -n __fish_use_subcommand -f -a {name} -d {_quoted(summaries[name])}"
        for name in commands
    ]
    for command, choices_by_name in commands.items():
        when = f"complete -c pmc2vec -n '__fish_seen_subcommand_from {command}'"
        for name, choices in choices_by_name.items():
            takes = f" -x -a '{' '.join(choices)}'" if choices else ""
            lines.append(f"{when} -l {name}{takes}" if name else f"{when}{takes}")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec completion` and returns its exit code."""
    config = options.parse(
        CompletionConfig,
        argv,
        prog="pmc2vec completion",
        description="Print a script that makes a shell complete pmc2vec's commands and options.",
        examples=["source <(pmc2vec completion bash)", "pmc2vec completion fish | source"],
    )
    return exit_codes.run_program(lambda: _command(config))


def _command(config: CompletionConfig) -> int:
    from pmc2vec.commands.main import COMMANDS

    commands = {
        name: {**command_options(_config(c.options)), **({"json": ()} if c.json_result else {})}
        for name, c in COMMANDS.items()
    }
    if config.shell == "fish":
        print(fish(commands, {name: c.summary for name, c in COMMANDS.items()}), end="")
    else:
        print((bash if config.shell == "bash" else zsh)(commands), end="")
    return 0


def _config(place: str) -> type:
    module, _, name = place.partition(":")
    config_class: type = getattr(import_module(module), name)
    return config_class


def _values(hint: Any) -> tuple[str, ...]:
    """Returns the words of the Literal in a type, wherever it stands in it."""
    if get_origin(hint) is Literal:
        return tuple(map(str, get_args(hint)))
    return next((values for kind in get_args(hint) if (values := _values(kind))), ())


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    sys.exit(main())
