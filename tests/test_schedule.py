"""trainer.schedule: calls of a quarter of a second, which end where something is due."""

from types import SimpleNamespace
from typing import Any

import pytest

from trainer.schedule import EpochSchedule, StepsPerCall, TrainingPosition


@pytest.mark.parametrize(
    ("seconds", "expected"), [(10.0, 100), (0.25, 100), (0.1, 200), (0.03, 800), (0.001, 1000)]
)
def test_a_call_takes_a_quarter_of_a_second_where_it_can(seconds, expected):
    pace = StepsPerCall([10_000])
    pace.measure(100, seconds=seconds)
    assert pace.next(step=0, steps_left=9999) == expected


def passes_of(steps: list[int], words: list[int]) -> Any:
    """A dataset whose passes have so many steps and words."""
    return SimpleNamespace(
        manifest=SimpleNamespace(passes=len(steps), shape=SimpleNamespace(length=32)),
        steps=lambda epoch, _records: steps[epoch],
        words=lambda epoch: words[epoch],
    )


def test_a_schedule_of_many_epochs_goes_by_the_passes_of_the_dataset():
    dataset = passes_of([10, 20, 30], [100, 100, 100])
    schedule = EpochSchedule.for_dataset(dataset, epochs=10**12 + 1, batch_size=64)
    assert schedule.step_limit == 20_000_000_000_010
    assert [schedule.steps_of(epoch) for epoch in (0, 1, 2, 3, 10**9)] == [10, 20, 30, 10, 20]
    assert schedule.words_after(0) == 0
    assert schedule.words_after(20) == 150
    assert schedule.words_after(60 * 7 + 40) == 7 * 300 + 233
    assert schedule.steps_for_words(7 * 300 + 150) == 60 * 7 + 20
    assert schedule.steps_for_words(300) == 60
    position = TrainingPosition(epoch=3 * 10**6 + 1, epoch_step=5, step=7)
    assert schedule.steps_left(position) == 15


def test_a_schedule_ends_at_the_step_or_word_limit():
    dataset = passes_of([10, 20], [100, 100])
    for limits, steps in (
        ({}, 40), ({"max_steps": 25}, 25), ({"max_words": 150}, 20), ({"max_words": 10**9}, 40),
        ({"max_steps": 5, "max_words": 150}, 5),
    ):  # fmt: skip
        plan = EpochSchedule.for_dataset(dataset, epochs=3, batch_size=64, **limits)
        assert plan.step_limit == steps


def test_it_is_never_further_than_what_is_due():
    pace = StepsPerCall([250])
    assert pace.next(step=240, steps_left=9999) == 10
    assert pace.next(step=250, steps_left=30) == 30


@pytest.mark.parametrize("sync_every", [1, 7, 10, 64, 150])
def test_calls_end_with_an_average_whatever_they_begin_with(sync_every):
    pace, after = StepsPerCall([10**9], sync_every=sync_every), 5
    for seconds in (9.0, 0.03, 0.001, 9.0):
        steps = pace.next(step=after, steps_left=10**9)
        assert 0 < steps <= max(1000, sync_every)
        after += steps
        assert after % sync_every == 0
        pace.measure(steps, seconds=seconds * steps / 100)


def test_a_call_ends_at_the_next_of_several_stops():
    calls = StepsPerCall([250, 110])
    assert [calls.next(step=step, steps_left=999) for step in (0, 100, 110, 210, 220)] == [
        100, 10, 100, 10, 30,
    ]  # fmt: skip
