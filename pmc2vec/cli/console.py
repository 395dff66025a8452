"""What a program shows: the verbosity that was asked for, progress on stderr, tables on stdout.

    build: 1,204 of 3,989 articles (30%), 100 articles/s, 61.2 MB/s, elapsed 0:12, left 0:28

Progress is a bar on a terminal and a line now and then everywhere else. The same numbers go to
`metrics`. A result is printed to stdout: a table on a terminal, tab-separated lines in a pipe, or
JSON:

    $ pmc2vec neighbours melanoma --vectors run --topn 2 | cat
    word      neighbour  cosine  count
    melanoma  melanomas  0.8312  412
    melanoma  carcinoma  0.7745  10233
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from pmc2vec.cli.logging_setup import LogFormat, configure_logging
from pmc2vec.cli.metrics import progress_metrics

SECONDS_BETWEEN_LINES = 10.0  # where there is no terminal
_SAMPLES = 100  # of the speed, that the estimate of the time left goes by

logger = logging.getLogger(__name__)

# --- verbosity -----------------------------------------------------------------------------------

FLAGS = ("--quiet", "--verbose", "--json")


@dataclass
class Verbosity:
    """What a program shows.

    Attributes:
        quiet: no progress and no notes on stderr; failures and results are shown all the same.
        verbose: what the engines log, and with a failure its traceback.
        json: print the result as JSON.
        log_format: of the lines on stderr.
    """

    quiet: bool = False
    verbose: bool = False
    json: bool = False
    log_format: LogFormat = "text"


verbosity = Verbosity()
"""The verbosity of this process; a library call leaves it as it is."""


def set_verbosity(flags: Collection[str], log_format: LogFormat = "text") -> None:
    """Sets the verbosity of this process and its logging; for `main` functions only.

    Args:
        flags: those of FLAGS that were given.
        log_format: of the lines on stderr.
    """
    verbosity.quiet, verbosity.verbose, verbosity.json = (flag in flags for flag in FLAGS)
    verbosity.log_format = log_format
    configure_logging(log_format, quiet=verbosity.quiet)
    if verbosity.verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"  # TensorFlow reads it when it is loaded.


class ResultConsole(Console):
    """A console on stdout whose reader may go away, as `head` does."""

    def on_broken_pipe(self) -> None:
        """Leaves the BrokenPipeError to `run_program`; rich would end with exit code 1."""
        raise  # noqa: PLE0704  # rich calls this where it handles the error.


def stderr_console() -> Console:
    """Returns a console on stderr for progress; a silent one under --quiet.

    Colours and bars are for terminals, and colours for those without NO_COLOR.
    """
    as_json = verbosity.log_format == "json"
    return Console(
        stderr=True,
        highlight=False,
        quiet=verbosity.quiet,
        force_terminal=False if as_json else None,
    )


# --- progress ------------------------------------------------------------------------------------


@dataclass
class Progress:
    """How much of a piece of work is done, and how fast. Made by `progress`.

    The speed is that of the whole time. The time left goes by the second half of it: work begins
    slowly while workers start, or fast while they pass over what is finished.

    Attributes:
        name: of the stage, at the start of the line.
        unit: what is counted, in the plural.
        total: units in all; None if unknown.
        start: units done before the clock began.
        clock: returns seconds from any moment.
        on_update: called after each update, to show it.
        completed: units done, including `start`.
        fields: further values to show, from the last update.
    """

    name: str
    unit: str
    total: int | None
    start: int
    clock: Callable[[], float]
    on_update: Callable[[], None] = lambda: None
    completed: int = field(init=False)
    fields: dict[str, str | float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.completed = self.start
        self._start_time = self.clock()
        self._samples = deque([(self._start_time, self.start)])

    def update(self, completed: int, total: int | None = None, **fields: str | float) -> None:
        """Records how much is done by now, and shows it if a line is due.

        Args:
            completed: units done, from the very start.
            total: units in all; None keeps the earlier value.
            **fields: shown too: a string as it is (`speed="61.2 MB/s"`), a number after its name
                (`loss=2.31`).
        """
        self.completed = completed
        self.total = self.total if total is None else total
        self.fields = fields
        self._add_sample()
        progress_metrics.set_stage(self.name, self.unit, self.completed, self.total)
        self.on_update()

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self.clock() - self._start_time

    def figures(self) -> dict[str, float | str | None]:
        """Returns the numbers of the line, for a log in JSON."""
        elapsed = self.elapsed
        numbers = {name: v for name, v in self.fields.items() if not isinstance(v, str)}
        return {
            "done": self.completed,
            "total": self.total,
            "unit": self.unit,
            "per_second": round(self._rate(elapsed), 3),
            "elapsed": round(elapsed, 3),
            **numbers,
        }

    def status(self) -> str:
        """Returns the line without the stage: what is done, how fast, and the time left."""
        elapsed = self.elapsed
        rate = self._rate(elapsed)
        parts = [_completed_of_total(self.completed, self.total, self.unit)]
        if rate > 0:
            parts.append(f"{_three_digits(rate)} {self.unit}/s")
        parts += [
            value if isinstance(value, str) else f"{name} {_three_digits(value)}"
            for name, value in self.fields.items()
        ]
        parts.append(f"elapsed {clock_time(elapsed)}")
        recent_rate = self._recent_rate()
        if recent_rate > 0 and self.total is not None and self.completed < self.total:
            parts.append(f"left {clock_time((self.total - self.completed) / recent_rate)}")
        return ", ".join(parts)

    def _rate(self, elapsed: float) -> float:
        return (self.completed - self.start) / elapsed if elapsed > 0 else 0.0

    def _add_sample(self) -> None:
        """Remembers (time, completed), and forgets what is older than half of the time."""
        now = self.clock()
        if now - self._samples[-1][0] >= (now - self._start_time) / _SAMPLES:
            self._samples.append((now, self.completed))
        half = (self._start_time + now) / 2
        while len(self._samples) > 1 and self._samples[1][0] <= half:
            self._samples.popleft()

    def _recent_rate(self) -> float:
        time_then, completed_then = self._samples[0]
        seconds = self.clock() - time_then
        return (self.completed - completed_then) / seconds if seconds > 0 else 0.0


@contextmanager
def progress(
    name: str,
    unit: str,
    *,
    total: int | None = None,
    start: int = 0,
    every: float = SECONDS_BETWEEN_LINES,
    on: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Shows the progress of the work in the `with` block, through the object it yields.

    Args:
        name: of the stage, such as `build`.
        unit: what is counted, in the plural, such as `articles`.
        total: units in all, if known already.
        start: units done before, by a run that this one continues; the speed leaves them out.
        every: seconds between two lines where there is no terminal.
        on: where to show it; by default `stderr_console()`.
        clock: returns seconds from any moment.

    Yields:
        The Progress to update. A last line is shown when the work ends well.
    """
    console = on or stderr_console()
    work = Progress(name, unit, total=total, start=start, clock=clock)
    if console.is_terminal and not console.is_dumb_terminal:
        with _progress_bar(work, console, clock):
            yield work
        return

    next_line = clock() + every

    def show() -> None:
        nonlocal next_line
        if clock() >= next_line:
            next_line = clock() + every
            _show_line(work, console)

    work.on_update = show
    yield work
    _show_line(work, console)


def clock_time(seconds: float) -> str:
    """Returns a time as a clock shows it.

    >>> clock_time(31.4), clock_time(4210)
    ('0:31', '1:10:10')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class _StatusColumn(ProgressColumn):
    """The text beside the bar, made anew at every refresh so that its clock runs."""

    def __init__(self, work: Progress) -> None:
        super().__init__()
        self._work = work

    def render(self, task: Task) -> Text:  # noqa: ARG002
        """Returns the text; `task` is rich's own count, which it does not need."""
        return Text(self._work.status())


@contextmanager
def _progress_bar(work: Progress, console: Console, clock: Callable[[], float]) -> Iterator[None]:
    columns = (TextColumn(work.name), BarColumn(bar_width=16), _StatusColumn(work))
    with RichProgress(*columns, console=console, get_time=clock) as bar:
        task = bar.add_task(work.name, total=work.total, completed=work.completed)
        work.on_update = lambda: bar.update(task, completed=work.completed, total=work.total)
        yield


def _show_line(work: Progress, console: Console) -> None:
    if console.quiet:
        return
    if verbosity.log_format == "json":
        logger.info(work.status(), extra={"stage": work.name, "figures": work.figures()})
    else:
        console.print(f"{work.name}: {work.status()}", soft_wrap=True, markup=False)


def _completed_of_total(completed: int, total: int | None, unit: str) -> str:
    if total is None:
        return f"{completed:,} {unit}"
    if total <= 0:
        return f"{completed:,} of {total:,} {unit}"
    return f"{completed:,} of {total:,} {unit} ({int(100 * completed / total)}%)"


def _three_digits(number: float) -> str:
    """Returns a number in about three digits, with commas.

    >>> _three_digits(61.2345), _three_digits(812_345.6), _three_digits(7)
    ('61.2', '812,346', '7')
    """
    if isinstance(number, int) or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


# --- results -------------------------------------------------------------------------------------


def print_json(value: object) -> None:
    """Prints a value as JSON, with words as they are; escaped where stdout has not every letter."""
    encoding = sys.stdout.encoding or "utf-8"
    print(json.dumps(value, indent=1, ensure_ascii=not encoding.lower().startswith("utf")))


def json_number(value: float, digits: int) -> float | None:
    """Returns a rounded number for JSON; None for NaN, which JSON does not have.

    >>> json_number(0.123456, 3), json_number(float("nan"), 3)
    (0.123, None)
    """
    return None if math.isnan(value) else round(value, digits)


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    grouped: bool = False,
    titled: bool = True,
) -> None:
    """Prints a table on a terminal, and tab-separated lines elsewhere.

    Args:
        header: of the columns.
        rows: of cells.
        grouped: on a terminal, equal values of the first column are shown once.
        titled: the lines begin with the header; a terminal's table always does.
    """
    if not sys.stdout.isatty():
        for row in (header, *rows) if titled else rows:
            print("\t".join(row))
        return
    table = Table()
    for column, title in enumerate(header):
        table.add_column(title, justify="right" if column > grouped else "left")
    previous = None
    for first, *rest in rows:
        if grouped and previous not in (None, first):
            table.add_section()
        # As Text, or rich would take a word like "[b]" for markup.
        table.add_row(Text("" if grouped and first == previous else first), *map(Text, rest))
        previous = first
    ResultConsole().print(table)
