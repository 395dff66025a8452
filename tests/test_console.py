"""pmc2vec/cli/console.py: a bar on a terminal, a line now and then elsewhere."""

import io

import pytest
from rich.console import Console

from pmc2vec.cli.console import clock_time, progress, stderr_console


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(width: int = 40) -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=width)


def written(on: Console) -> list[str]:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue().splitlines()


def test_a_line_is_written_when_one_is_due_and_at_the_end() -> None:
    clock, on = Clock(), plain()
    with progress("build", "articles", on=on, clock=clock) as work:
        for second in range(0, 24, 2):
            clock.now = 100 + second
            work.update(second * 100, 2400, speed="61.2 MB/s")
        clock.now = 124
        work.update(2400, speed="60.9 MB/s")
    assert written(on) == [
        "build: 1,000 of 2,400 articles (41%), 100 articles/s, 61.2 MB/s, elapsed 0:10, left 0:14",
        "build: 2,000 of 2,400 articles (83%), 100 articles/s, 61.2 MB/s, elapsed 0:20, left 0:04",
        "build: 2,400 of 2,400 articles (100%), 100 articles/s, 60.9 MB/s, elapsed 0:24",
    ]


def test_the_time_between_lines_can_be_set() -> None:
    clock, on = Clock(), plain()
    with progress("train", "words", every=60, on=on, clock=clock) as work:
        for _ in range(13):
            clock.now += 10
            work.update(1)
    assert len(written(on)) == 3


@pytest.mark.parametrize("first", [0, 9_000], ids=["slow start", "finished before"])
def test_the_time_left_goes_by_the_second_half_of_the_time(first: int) -> None:
    clock, on = Clock(), plain()
    with progress("read", "articles", every=60, total=100_000, on=on, clock=clock) as work:
        for second in range(60):
            clock.now += 1
            work.update(first + 100 * max(second - 19, 0))
    left = (100_000 - first - 4_000) // 100
    assert written(on)[0].endswith(f"left {clock_time(left)}")


def test_nothing_is_promised_without_a_total() -> None:
    clock, on = Clock(), plain()
    with progress("build", "articles", on=on, clock=clock) as work:
        clock.now += 4
        work.update(10)
    assert written(on) == ["build: 10 articles, 2.5 articles/s, elapsed 0:04"]


def test_what_was_done_before_counts_for_the_share_but_for_no_speed() -> None:
    clock, on = Clock(), plain()
    with progress("train", "steps", total=1000, start=800, every=60, on=on, clock=clock) as work:
        clock.now += 10
        work.update(900, loss=2.34567, step=900)
    assert written(on) == [
        "train: 900 of 1,000 steps (90%), 10 steps/s, loss 2.35, step 900, elapsed 0:10, left 0:10"
    ]


def test_work_of_nothing_ends_well() -> None:
    on = plain()
    with progress("build", "articles", total=0, on=on, clock=Clock()):
        pass
    assert written(on) == ["build: 0 of 0 articles, elapsed 0:00"]


def test_there_is_no_last_line_after_a_failure() -> None:
    on = plain()
    with pytest.raises(OSError), progress("build", "articles", on=on, clock=Clock()):  # noqa: PT011
        raise OSError
    assert written(on) == []


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_gets_a_bar_and_the_whole_status(width: int) -> None:
    clock = Clock()
    on = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)
    with progress("build", "articles", on=on, clock=clock) as work:
        clock.now += 12
        work.update(1204, 3989, speed="61.2 MB/s")
    shown = " ".join("\n".join(written(on)).replace("━", " ").replace("╸", " ").split())
    assert (
        "1,204 of 3,989 articles (30%), 100 articles/s, 61.2 MB/s, elapsed 0:12, left 0:28" in shown
    )
    assert "━" in "\n".join(written(on))


def test_a_terminal_that_can_do_nothing_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    on = Console(file=io.StringIO(), force_terminal=True)
    with progress("build", "articles", on=on, clock=Clock()) as work:
        work.update(3)
    assert written(on) == ["build: 3 articles, elapsed 0:00"]


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("build", "articles", on=stderr_console(), clock=Clock()) as work:
        work.update(3)
    assert capsys.readouterr() == ("", "build: 3 articles, elapsed 0:00\n")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (90061, "25:01:01")]
)
def test_clock_time(seconds: float, shown: str) -> None:
    assert clock_time(seconds) == shown
