"""trainer.schedule: calls of a quarter of a second, which end where something is due."""

import pytest

from trainer.schedule import StepsPerCall


@pytest.mark.parametrize(
    ("seconds", "expected"), [(10.0, 100), (0.25, 100), (0.1, 200), (0.03, 800), (0.001, 1000)]
)
def test_a_call_takes_a_quarter_of_a_second_where_it_can(seconds, expected):
    pace = StepsPerCall(validate_every=10_000)
    pace.measure(100, seconds=seconds)
    assert pace.next(step=0, steps_left=9999) == expected


def test_it_is_never_further_than_what_is_due():
    pace = StepsPerCall(validate_every=250)
    assert pace.next(step=240, steps_left=9999) == 10
    assert pace.next(step=250, steps_left=30) == 30


@pytest.mark.parametrize("sync_every", [1, 7, 10, 64, 150])
def test_calls_end_with_an_average_whatever_they_begin_with(sync_every):
    pace, after = StepsPerCall(validate_every=10**9, sync_every=sync_every), 5
    for seconds in (9.0, 0.03, 0.001, 9.0):
        steps = pace.next(step=after, steps_left=10**9)
        assert 0 < steps <= max(1000, sync_every)
        after += steps
        assert after % sync_every == 0
        pace.measure(steps, seconds=seconds * steps / 100)
