"""Command-line options: one frozen dataclass per program is their only declaration.

A field is an option of the same name, its type and default are the option's, and the string under
it is the option's help:

    @dataclass(frozen=True)
    class TrainConfig:
        dataset: Path
        \"\"\"The dataset's folder.\"\"\"
        vector_size: int = 128
        \"\"\"Dimensions of a vector.\"\"\"

    config = parse(TrainConfig, argv, prog="pmc2vec train", description="Train word vectors.",
                   examples=["pmc2vec train --dataset data --workdir run"])

Values that do not go together are a ValueError in `__post_init__`, which becomes a usage error like
any other: one line and exit status 2. Both halves use this module, so it needs nothing but tyro.
"""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import fields
from types import UnionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Union, get_args

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    UnsupportedTypeAnnotationError,
)

from pmc2vec.cli.console import FLAGS, set_verbosity
from pmc2vec.cli.exit_codes import USAGE_ERROR

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

WIDTH = 100  # columns of --help, at most

logger = logging.getLogger(__name__)

# Of a complaint: rows so deep repeat an option's help, and sections so begun are no news.
_HELP_ROW = " " * 9
_ASIDES = ("For full helptext", "Argument helptext")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PREAMBLE = re.compile(r"^Error parsing (?:\w+: )?")  # Names the dataclass where it refused.

_registry = ConstructorRegistry()


def parse(
    config_class: type[Config],
    argv: Sequence[str] | None = None,
    *,
    prog: str,
    description: str,
    examples: Sequence[str] = (),
    json_result: bool = False,
) -> Config:
    """Returns the options in `argv` as a `config_class`.

    Every program takes `--quiet` and `--verbose` too, which go to `console.verbosity`. For `main`
    functions only: it sets up this process's logging.

    Args:
        config_class: frozen dataclass; see the module's text.
        argv: the words after the program's name; `sys.argv[1:]` where None.
        prog: the program as the user typed it, such as `pmc2vec build`.
        description: of a line, at the top of `--help`.
        examples: whole commands, shown at the foot of `--help`.
        json_result: take `--json` too, for `console.verbosity`: the result is printed as JSON.

    Raises:
        SystemExit: status 0 after `--help`; status 2 after one line about a usage error.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    flags = FLAGS if json_result else FLAGS[:-1]
    words = [word for word in given if word not in flags]
    # Before anything is parsed, so that usage errors come in the format too.
    has_log_format = "log_format" in {field.name for field in fields(config_class)}
    as_json = has_log_format and _asks_for_json_lines(words)
    set_verbosity({word for word in given if word in flags}, "json" if as_json else "text")
    if repeated := _repeated(words):
        refuse(prog, f"{repeated} is given twice; give it once, with all its values after it")
    complaint = io.StringIO()
    try:
        with _columns_within(WIDTH), redirect_stderr(complaint):
            return tyro.cli(
                config_class,
                prog=prog,
                description=description,
                args=words,
                use_underscores=True,
                registry=_registry,
            )
    except SystemExit as stop:
        if stop.code:
            refuse(prog, gist(complaint.getvalue()).replace(f"missing from {prog}", "missing"))
        if examples and not {"-h", "--help"}.isdisjoint(words):
            print("examples:", *(f"  {example}" for example in examples), sep="\n")
            print("and any of:", ", ".join(flags))
        raise


def refuse(prog: str, message: str) -> NoReturn:
    """Ends the program with one line about a usage error, and status 2.

    Args:
        prog: the program as the user typed it.
        message: what was found, and what to do.
    """
    logger.error("%s (%s --help lists the options)", message, prog, extra={"stage": prog})
    raise SystemExit(USAGE_ERROR)


def gist(box: str) -> str:
    """Returns in one line what a complaint of tyro's says.

        >>> print(gist('''
        ... ╭─ Unrecognized options ─────────────────────╮
        ... │ Unrecognized options: --vector_sizes, 3    │
        ... │ ────────────────────────────────────────── │
        ... │ Perhaps you meant:                         │
        ... │     --vector_size INT                      │
        ... │         Dimensions of a vector.            │
        ... │ ────────────────────────────────────────── │
        ... │ For full helptext, run pmc2vec train --help│
        ... ╰────────────────────────────────────────────╯
        ... '''))
        unrecognized options: --vector_sizes, 3; perhaps you meant: --vector_size INT

    Args:
        box: what tyro printed: a border, and in it sections of text between rules.
    """
    rows = [row.replace("│", " ").rstrip() for row in _ANSI.sub("", box).splitlines() if row]
    if rows[1:] and _is_rule(rows[1]):  # The title, where boxes are drawn in ASCII.
        rows = rows[2:]
    sections: list[list[str]] = [[]]
    for row in rows:
        if _is_rule(row):
            sections.append([])
        elif row and not row.startswith(("╭", "╰", _HELP_ROW)):
            sections[-1].append(row.strip())
    told = (_PREAMBLE.sub("", " ".join(section)) for section in sections if section)
    news = (part[:1].lower() + part[1:] for part in told if not part.startswith(_ASIDES))
    return re.sub(r"(?<!\.)\.$", "", "; ".join(news))


def _is_rule(row: str) -> bool:
    return bool(row.strip()) and not row.strip(" ─-")


def _asks_for_json_lines(words: Sequence[str]) -> bool:
    said = " ".join(words).replace("=", " ").replace("-", "_")
    return "__log_format json" in said


def _repeated(words: Sequence[str]) -> str | None:
    """Returns the first option given twice: tyro would forget the first one's values."""
    names = [word.partition("=")[0].replace("-", "_") for word in words if word.startswith("--")]
    twice = (name for name in names if names.count(name) > 1)
    return next(("--" + name.lstrip("_") for name in twice), None)


@contextmanager
def _columns_within(limit: int) -> Iterator[None]:
    """Makes the terminal look no wider than `limit`, and exactly so where there is none."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(min(limit, shutil.get_terminal_size((limit, 24)).columns))
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


@_registry.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Reads an int or a float, and says plainly where a word is none."""
    if info.type not in (int, float):
        return None
    noun = "a whole number" if info.type is int else "a number"

    def read(words: list[str]) -> Any:
        """Returns the number that an option's only word is."""
        try:
            return info.type(words[0])
        except ValueError:
            raise ValueError(f"{words[0]!r} is not {noun}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=info.type.__name__.upper(),
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, (int, info.type)),
        str_from_instance=lambda value: [str(value)],
    )


@_registry.primitive_rule
def _or_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Reads `T | None` as T, or as the word `none`."""
    kinds = [kind for kind in get_args(info.type) if kind is not type(None)]
    if info.type_origin not in (Union, UnionType) or len(kinds) != 1:
        return None
    one = _spec(kinds[0], info)
    if one is None:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{one.metavar}|none",
        instance_from_str=lambda words: (
            None if words[0].lower() == "none" else one.instance_from_str(words)
        ),
        is_instance=lambda value: value is None or one.is_instance(value),
        str_from_instance=lambda value: ["none"] if value is None else one.str_from_instance(value),
        choices=one.choices and (*one.choices, "none"),
    )


@_registry.primitive_rule
def _several(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Reads `tuple[T, ...]` as tyro does, but shows it as `T ...`, and no value as `none`."""
    kinds = get_args(info.type)
    if info.type_origin is not tuple or kinds[1:] != (Ellipsis,):
        return None
    one = _spec(kinds[0], info)
    if one is None:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"{one.metavar} ...",
        instance_from_str=lambda words: tuple(one.instance_from_str([word]) for word in words),
        is_instance=lambda value: isinstance(value, tuple) and all(map(one.is_instance, value)),
        str_from_instance=lambda value: [one.str_from_instance(v)[0] for v in value] or ["none"],
        choices=one.choices,
    )


def _spec(kind: Any, parent: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Returns how to read `kind` from one word; None where it takes more or cannot be read."""
    info = PrimitiveTypeInfo.make(raw_annotation=kind, parent_markers=parent.markers)
    spec = ConstructorRegistry.get_primitive_spec(info)
    if isinstance(spec, UnsupportedTypeAnnotationError) or spec.nargs != 1:
        return None
    return spec
