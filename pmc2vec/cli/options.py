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

A field made by `option` carries further facts, such as whether a rare option is left out of --help:

    log_every: int = option(100, rare=True, minimum=1)

`--help` shows the usual options, `--help_all` all of them. Any option may stand in a TOML file,
`--options_file FILE`; the command line overrides it:

    vector_size = 300
    probe_words = ["tp53", "aspirin"]

Values that do not go together are a ValueError in `__post_init__`, which becomes a usage error like
any other: one line and exit code 2.
"""

from __future__ import annotations

import ast
import inspect
import io
import logging
import math
import operator
import os
import re
import shutil
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import MISSING, dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

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

# Of a complaint: rows indented this far repeat an option's help; sections that begin with these
# words say nothing about the error.
_HELP_ROW = " " * 9
_ASIDES = ("For full helptext", "Argument helptext")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PREAMBLE = re.compile(r"^Error parsing (?:\w+: )?")  # Names the dataclass where it refused.

_registry = ConstructorRegistry()


# --- facts of an option --------------------------------------------------------------------------


@dataclass(frozen=True)
class OptionFacts:
    """What there is to know of an option beside its type, default and help.

    Attributes:
        rare: shown by --help_all only.
        default_text: shown as the default in the help, where another option decides it.
        metavar: shown for the value in the help, such as `WORD ...`; None shows the type.
        minimum: the least value; None for no such rule.
        maximum: the greatest value; None for no such rule.
        recorded: of build: part of the dataset's manifest, since records depend on it. Of train:
            part of the workdir's config.json.
        may_change: of train: may change when a workdir is continued. Of build: may differ between
            an increment and the dataset that it is built since.
        hyperparameter: of train: shown as such in TensorBoard.
        same_for_warm_start: of train: `--init_from` needs a training with the same value.
        set_by_update: `pmc2vec update` sets it, so its user may not.
    """

    rare: bool = False
    default_text: str | None = None
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    recorded: bool = True
    may_change: bool = False
    hyperparameter: bool = False
    same_for_warm_start: bool = False
    set_by_update: bool = False


_FACTS = "pmc2vec option"  # the key of a field's metadata


def option(
    default: Any = MISSING, *, default_factory: Callable[[], Any] | None = None, **facts: Any
) -> Any:
    """Returns a dataclass field whose metadata are OptionFacts.

    Args:
        default: of the field.
        default_factory: makes the default, in place of `default`.
        **facts: attributes of OptionFacts.
    """
    metadata = {_FACTS: OptionFacts(**facts)}
    if default_factory is not None:
        return field(default_factory=default_factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def option_facts(config_class: type[DataclassInstance]) -> dict[str, OptionFacts]:
    """Returns the facts of each option, by its name."""
    return {f.name: f.metadata.get(_FACTS, OptionFacts()) for f in fields(config_class)}


def options_that(config_class: type[DataclassInstance], fact: str) -> tuple[str, ...]:
    """Returns the names of the options for which a fact of OptionFacts is true."""
    return tuple(name for name, facts in option_facts(config_class).items() if getattr(facts, fact))


def check_options(config: DataclassInstance) -> None:
    """Checks every option by its type and its facts, on a command line and in Python alike.

    A list becomes a tuple and a path the type of its field, so that a config made in Python equals
    the one that a command line makes.

    Raises:
        ValueError: an option's value is not of its type, or is out of its bounds.
    """
    hints, facts_of = get_type_hints(type(config), include_extras=False), option_facts(type(config))
    for name, facts in facts_of.items():
        try:
            value = _of_type(getattr(config, name), hints[name])
        except (TypeError, ValueError) as error:
            raise ValueError(f"--{name} {getattr(config, name)!r}: {error}") from None
        _check_bounds(name, value, facts)
        object.__setattr__(config, name, value)  # The class is frozen.


def _check_bounds(name: str, value: Any, facts: OptionFacts) -> None:
    if value is None:
        return
    if facts.minimum is not None and value < facts.minimum:
        raise ValueError(f"--{name} {value}: must be at least {facts.minimum}")
    if facts.maximum is not None and value > facts.maximum:
        raise ValueError(f"--{name} {value}: must be at most {facts.maximum}")


def _of_type(value: Any, hint: Any) -> Any:
    """Returns a value as a field of type `hint` holds it.

    Raises:
        TypeError, ValueError: it is no such value; says what would be one.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise ValueError(f"must be one of {', '.join(map(str, args))}")
        return value
    if origin in (Union, UnionType):
        (kind,) = (arg for arg in args if arg is not type(None))
        return None if value is None else _of_type(value, kind)
    if args[1:] == (Ellipsis,):
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError("must be several, as in a tuple")
        return tuple(_of_type(one, args[0]) for one in value)
    return _SIMPLE_TYPES[hint](value) if hint in _SIMPLE_TYPES else value


def _text(value: Any) -> str:
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError("must be text")
    # A file name that is not UTF-8 reaches Python with half a surrogate pair for each odd byte.
    if "\0" in text or re.search("[\ud800-\udfff]", text):
        raise ValueError("must be UTF-8 without zero bytes")
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be True or False")
    return value


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError("must be a whole number")
    number = operator.index(value)
    if abs(number) >= 1 << 63:  # Arrow and TensorFlow have 64 bits.
        raise ValueError("too large")
    return number


def _finite_number(value: Any) -> float:
    if isinstance(value, (bool, str)) or not math.isfinite(value):
        raise TypeError("must be a finite number")
    return float(value)


_SIMPLE_TYPES: dict[Any, Callable[[Any], Any]] = {
    bool: _flag,
    int: _whole_number,
    float: _finite_number,
    str: _text,
    Path: lambda value: Path(_text(value)),
}


# --- parsing -------------------------------------------------------------------------------------


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
        SystemExit: exit code 0 after `--help`; exit code 2 after one line about a usage error.
    """
    command_line = list(sys.argv[1:] if argv is None else argv)
    flags = FLAGS if json_result else FLAGS[:-1]
    words = [word for word in command_line if word not in flags]
    # Before anything is parsed, so that usage errors come in the format too.
    has_log_format = "log_format" in option_facts(config_class)
    as_json = has_log_format and _asks_for_json_lines(words)
    set_verbosity({word for word in command_line if word in flags}, "json" if as_json else "text")
    if repeated := _repeated(words):
        refuse(prog, f"{repeated} is given twice; give it once, with all its values after it")
    help_all = any(word.replace("-", "_") == "__help_all" for word in words)
    if help_all or not {"-h", "--help"}.isdisjoint(words):
        rare = () if help_all else options_that(config_class, "rare")
        _print_help(config_class, prog, description, examples=examples, flags=flags, rare=rare)
    try:
        words = _with_options_file(config_class, words)
        config = _run_tyro(config_class, words, prog, description)
        check_options(config)
    except ValueError as error:
        refuse(prog, str(error))
    return config


def _run_tyro(
    config_class: type[Config],
    words: Sequence[str],
    prog: str,
    description: str,
    *,
    hide_rare: bool = False,
) -> Config:
    """Returns the options in `words`.

    Raises:
        SystemExit: exit code 0 after `--help`; exit code 2 after tyro's complaint, in one line.
    """
    complaint = io.StringIO()
    try:
        with (
            _help_facts(config_class, hide_rare=hide_rare),
            _columns_within(WIDTH),
            redirect_stderr(complaint),
        ):
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
            message = summarize_complaint(complaint.getvalue())
            refuse(prog, message.replace(f"missing from {prog}", "missing"))
        raise


def _print_help(
    config_class: type[Config],
    prog: str,
    description: str,
    *,
    examples: Sequence[str],
    flags: Sequence[str],
    rare: Sequence[str],
) -> NoReturn:
    """Prints the help, without the options in `rare`, and ends the program."""
    with suppress(SystemExit):
        _run_tyro(config_class, ["--help"], prog, description, hide_rare=bool(rare))
    if examples:
        print("examples:", *(f"  {example}" for example in examples), sep="\n")
        print("and any of:", ", ".join(flags) + ", --options_file FILE (options in TOML)")
        if rare:
            print(f"{prog} --help_all shows all options, {len(rare)} more")
    raise SystemExit(0)


def _with_options_file(config_class: type[DataclassInstance], words: Sequence[str]) -> list[str]:
    """Returns the words of a command line with those of its `--options_file` put in.

    Raises:
        ValueError: the file cannot be read, or has an option that the command does not have.
    """
    words = [part for word in words for part in _split_options_file(word)]
    if "--options_file" not in words:
        return words
    at = words.index("--options_file")
    path, rest = " ".join(words[at + 1 : at + 2]), words[:at] + words[at + 2 :]
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--options_file {path}: cannot be read ({error})") from error
    names = {word.partition("=")[0].replace("-", "_").removeprefix("__") for word in rest}
    for name, value in values.items():
        if name not in option_facts(config_class):
            raise ValueError(f"--options_file {path}: there is no option {name}")
        if {name, f"no_{name}"} & names:
            continue  # The command line overrides the file.
        if isinstance(value, bool):
            rest.append(f"--{name}" if value else f"--no_{name}")
        else:
            rest += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return rest


def _split_options_file(word: str) -> list[str]:
    name, equals, path = word.partition("=")
    if name.replace("-", "_") != "__options_file":
        return [word]
    return ["--options_file", path] if equals else ["--options_file"]


@contextmanager
def _help_facts(config_class: type[DataclassInstance], *, hide_rare: bool) -> Iterator[None]:
    """Gives tyro, which reads annotations, the facts of the options that matter for the help."""
    annotations, texts = config_class.__annotations__, _help_texts(config_class)
    required = {f.name for f in fields(config_class) if f.default is f.default_factory is MISSING}
    before, hints = dict(annotations), get_type_hints(config_class, include_extras=True)
    for name, facts in option_facts(config_class).items():
        default = None if facts.default_text is None else f"(default: {facts.default_text})"
        if name in required:  # tyro would show an empty default for a positional tuple.
            default = "(required)"
        argument = tyro.conf.arg(
            help=texts.get(name), help_behavior_hint=default, metavar=facts.metavar
        )
        annotations[name] = Annotated[hints[name], argument]
        if facts.rare and hide_rare:
            annotations[name] = Annotated[hints[name], tyro.conf.Suppress]
    try:
        yield
    finally:
        annotations.update(before)


def _help_texts(config_class: type) -> dict[str, str]:
    """Returns the string under each field in one line; tyro would keep its line breaks."""
    source = ast.parse(textwrap.dedent(inspect.getsource(config_class)))
    (definition,) = source.body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def refuse(prog: str, message: str) -> NoReturn:
    """Ends the program with one line about a usage error and exit code 2.

    Args:
        prog: the program as the user typed it.
        message: what was found, and what to do.
    """
    logger.error("%s (%s --help lists the options)", message, prog, extra={"stage": prog})
    raise SystemExit(USAGE_ERROR)


def summarize_complaint(box: str) -> str:
    """Returns in one line what a complaint of tyro's says.

        >>> print(summarize_complaint('''
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
    texts = (_PREAMBLE.sub("", " ".join(section)) for section in sections if section)
    news = (part[:1].lower() + part[1:] for part in texts if not part.startswith(_ASIDES))
    return re.sub(r"(?<!\.)\.$", "", "; ".join(news))


def _is_rule(row: str) -> bool:
    return bool(row.strip()) and not row.strip(" ─-")


def _asks_for_json_lines(words: Sequence[str]) -> bool:
    command_line = " ".join(words).replace("=", " ").replace("-", "_")
    return "__log_format json" in command_line


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
