"""Points of the training curves, however many steps come together."""

import numpy as np
import pytest

from trainer.training_curves import Curve

TOTALS = np.array([[4.0 + at, 2 + at % 3, at % 2] for at in range(23)])


def points(sizes, *, every, step):
    """The points of the first steps of TOTALS, given in parts; each step takes two seconds."""
    curve, begin, found = Curve(every=every, step=step), 0, []
    for size in sizes:
        found += curve.add(TOTALS[begin : begin + size], seconds=2.0 * size)
        begin += size
    return found


def test_a_point_is_the_mean_of_its_steps():
    first, second = points([23], every=10, step=4)
    assert (first.first, first.step, first.seconds) == (4, 10, 12.0)
    loss, pairs, hits = TOTALS[:6].sum(0)
    assert (first.loss, first.accuracy) == (loss / pairs, hits / pairs)
    assert (second.first, second.step, second.seconds) == (10, 20, 20.0)
    assert second.loss == TOTALS[6:16, 0].sum() / TOTALS[6:16, 1].sum()


@pytest.mark.parametrize("sizes", [[1] * 23, [6, 10, 7], [22, 1], [0, 23]])
def test_it_does_not_matter_how_many_come_together(sizes):
    for one, other in zip(
        points(sizes, every=10, step=4), points([23], every=10, step=4), strict=True
    ):
        assert one == pytest.approx(other)


def test_steps_without_pairs_are_a_point_too():
    (point,) = Curve(every=2, step=0).add(np.zeros([2, 3]), seconds=1.0)
    assert (point.loss, point.accuracy) == (0, 0)
