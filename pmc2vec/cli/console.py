"""How far a long program is: a bar on a terminal, a line now and then everywhere else.

    build: 1,204 of 3,989 articles (30%), 100 articles/s, 61.2 MB/s, elapsed 0:12, left 0:28

Both halves use it, so it needs nothing but rich. All of it goes to stderr; how far it is, `figures`
knows too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from pmc2vec.cli import logging_setup, verbosity
from pmc2vec.cli.progress_metrics import known

EVERY = 10.0  # seconds between two lines where there is no terminal


def console() -> Console:
    """Returns the console for all that is not a program's result: stderr, or nothing if quiet.

    Colours and bars are for terminals, and colours for those without NO_COLOR.
    """
    quiet = verbosity.asked.quiet
    if verbosity.asked.log_format == "json":
        file = cast(TextIO, logging_setup.Lines(sys.stderr))
        return Console(file=file, force_terminal=False, highlight=False, quiet=quiet)
    return Console(stderr=True, highlight=False, quiet=quiet)


@dataclass
class Progress:
    """What is done of a piece of work, and how fast. Made by `progress`.

    Attributes:
        name: of the program, at the start of the line.
        unit: what is counted, in the plural.
        total: units in all; None where nobody knows.
        start: units done before the clock began.
        clock: seconds from any moment.
        on_update: called after each update, to show it.
        done: units done, those of `start` included.
        fields: what else there is to say, as the last update gave it.
    """

    name: str
    unit: str
    total: int | None
    start: int
    clock: Callable[[], float]
    on_update: Callable[[], None] = lambda: None
    done: int = field(init=False)
    fields: dict[str, str | float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.done = self.start
        self._began = self.clock()

    def update(self, done: int, total: int | None = None, **fields: str | float) -> None:
        """States what is done by now, and shows it if it is time to.

        Args:
            done: units done, from the very start.
            total: units in all; None keeps what was known.
            **fields: shown too: a string as it is (`speed="61.2 MB/s"`), a number after its name
                (`loss=2.31`).
        """
        self.done = done
        self.total = self.total if total is None else total
        self.fields = fields
        known.at(self.name, self.unit, self.done, self.total)
        self.on_update()

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self.clock() - self._began

    def figures(self) -> dict[str, float | str | None]:
        """Returns what the line says, as numbers."""
        elapsed = self.elapsed
        rate = (self.done - self.start) / elapsed if elapsed > 0 else 0.0
        numbers = {name: v for name, v in self.fields.items() if not isinstance(v, str)}
        return {
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "per_second": round(rate, 3),
            "elapsed": round(elapsed, 3),
            **numbers,
        }

    def status(self) -> str:
        """Returns the line without its name: what is done, how fast, and what is left."""
        elapsed = self.elapsed
        rate = (self.done - self.start) / elapsed if elapsed > 0 else 0.0
        parts = [_share(self.done, self.total, self.unit)]
        if rate > 0:
            parts.append(f"{_short(rate)} {self.unit}/s")
        parts += [
            value if isinstance(value, str) else f"{name} {_short(value)}"
            for name, value in self.fields.items()
        ]
        parts.append(f"elapsed {clock_time(elapsed)}")
        if rate > 0 and self.total is not None and self.done < self.total:
            parts.append(f"left {clock_time((self.total - self.done) / rate)}")
        return ", ".join(parts)


@contextmanager
def progress(
    name: str,
    unit: str,
    *,
    total: int | None = None,
    start: int = 0,
    every: float = EVERY,
    on: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Shows the progress of the work done inside, through the object it yields.

    Args:
        name: of the program, such as `build`.
        unit: what is counted, in the plural, such as `articles`.
        total: units in all, if known already.
        start: units done before, by a run that this one continues; they count for no speed.
        every: seconds between two lines where there is no terminal.
        on: where to show it; by default `console()`.
        clock: seconds from any moment.

    Yields:
        The Progress to update. A last line is shown when the work ends well.
    """
    shown_on = on or console()
    work = Progress(name, unit, total=total, start=start, clock=clock)
    if shown_on.is_terminal and not shown_on.is_dumb_terminal:
        with _bar(work, shown_on, clock):
            yield work
        return

    due = clock() + every

    def show() -> None:
        """Prints a line, if the last one is old enough."""
        nonlocal due
        if clock() >= due:
            due = clock() + every
            _print_line(work, shown_on)

    work.on_update = show
    yield work
    _print_line(work, shown_on)


def clock_time(seconds: float) -> str:
    """Returns a time as a clock shows it.

    >>> clock_time(31.4), clock_time(4210)
    ('0:31', '1:10:10')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class _Status(ProgressColumn):
    """The line of text beside the bar, made anew at every refresh so that its clock runs."""

    def __init__(self, work: Progress) -> None:
        super().__init__()
        self._work = work

    def render(self, task: Task) -> Text:  # noqa: ARG002
        """Returns the line; `task` is the bar's, which the line does not need."""
        return Text(self._work.status())


@contextmanager
def _bar(work: Progress, shown_on: Console, clock: Callable[[], float]) -> Iterator[None]:
    columns = (TextColumn(work.name), BarColumn(bar_width=16), _Status(work))
    with Bar(*columns, console=shown_on, get_time=clock) as bar:
        task = bar.add_task(work.name, total=work.total, completed=work.done)
        work.on_update = lambda: bar.update(task, completed=work.done, total=work.total)
        yield


def _print_line(work: Progress, shown_on: Console) -> None:
    if verbosity.asked.log_format == "json":
        if not shown_on.quiet:
            told = logging_setup.line(work.name, work.status(), figures=work.figures())
            print(told, file=sys.stderr, flush=True)
        return
    shown_on.print(f"{work.name}: {work.status()}", soft_wrap=True, markup=False)


def _share(done: int, total: int | None, unit: str) -> str:
    if total is None:
        return f"{done:,} {unit}"
    if total <= 0:
        return f"{done:,} of {total:,} {unit}"
    return f"{done:,} of {total:,} {unit} ({int(100 * done / total)}%)"


def _short(number: float) -> str:
    """Returns a number in about three figures, with commas.

    >>> _short(61.2345), _short(812_345.6), _short(7)
    ('61.2', '812,346', '7')
    """
    if isinstance(number, int) or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"
