"""trainer.batch_groups: batches out of groups, any number at a time."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.batch_groups import Groups


def walk(sizes=(3, 2)):
    """Groups of so many batches, each of 2 records, numbered."""
    numbers = iter(range(sum(sizes)))
    made = [np.array([next(numbers) for _ in range(size)], np.int32) for size in sizes]
    parts = [np.broadcast_to(group[:, None, None], [len(group), 2, 4]).copy() for group in made]
    spec = tf.TensorSpec([None, 2, 4], tf.int32)
    groups = tf.data.Dataset.from_generator(
        lambda: ((part, part, part) for part in parts), output_signature=(spec, spec, spec)
    )
    return Groups(groups)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ([9, 9], [[0, 1, 2], [3, 4]]),
        ([3, 2], [[0, 1, 2], [3, 4]]),
        ([1, 9, 1, 1], [[0], [1, 2], [3], [4]]),
        ([2, 2, 2], [[0, 1], [2], [3, 4]]),
    ],
)
def test_takes_up_to_the_end_of_a_group(asked, given):
    groups = walk()
    found = [groups.take(most) for most in asked]
    assert [batches.tokens[:, 0, 0].numpy().tolist() for batches in found] == given
    for batches in found:
        for part in batches:
            assert np.array_equal(part, batches.tokens)
    with pytest.raises(tf.errors.OutOfRangeError):
        groups.take(1)


def test_takes_as_many_as_asked_of_however_many_groups():
    groups = walk((3, 2, 2))
    found = [groups.take_all(count) for count in (2, 4, 1)]
    assert [batches.tokens[:, 0, 0].numpy().tolist() for batches in found] == [
        [0, 1], [2, 3, 4, 5], [6],
    ]  # fmt: skip
    with pytest.raises(tf.errors.OutOfRangeError):
        walk().take_all(6)
