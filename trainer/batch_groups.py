"""Batches out of the groups that `data` reads, any number at a time."""

from __future__ import annotations

from collections.abc import Iterator

import tensorflow as tf

from pmc2vec.dataset.records import RECORD_FEATURES, RecordShape
from trainer.input_pipeline import Batch


class Groups:
    """A walk through groups of batches, up to the end of one at a time."""

    def __init__(self, groups: tf.data.Dataset) -> None:
        """Takes groups as `data.training_batches` returns them, `grouped`."""
        self._groups: Iterator[tuple[tf.Tensor, ...]] = iter(groups)
        self._held: Batch | None = None
        self._begin = 0

    def take(self, most: int) -> Batch:
        """Returns at least one batch and at most so many, with an axis for them before.

        Raises:
            tf.errors.OpError: a shard cannot be read.
            tf.errors.OutOfRangeError: there are no more.
        """
        if self._held is None:
            try:
                self._held = Batch(*next(self._groups))
            except StopIteration:
                raise tf.errors.OutOfRangeError(None, None, "End of sequence") from None
            self._begin = 0
        whole, begin = self._held, self._begin
        size = whole.tokens.shape[0]
        self._begin += most
        if self._begin >= size:
            self._held = None
        if begin == 0 and most >= size:
            return whole
        return Batch(*(part[begin : begin + most] for part in whole))

    def take_all(self, count: int) -> Batch:
        """Returns so many batches, of however many groups; errors as of `take`."""
        taken = [self.take(count)]
        while (left := count - sum(part.tokens.shape[0] for part in taken)) > 0:
            taken.append(self.take(left))
        if len(taken) == 1:
            return taken[0]
        return Batch(*(tf.concat(parts, 0) for parts in zip(*taken, strict=True)))


def no_batches(shape: RecordShape, records: int) -> Batch:
    """Returns what `Groups.take` would of batches of so many records, but none: [0, B, T] parts."""
    return Batch(*(tf.zeros([0, records, f.width(shape)], f.dtype) for f in RECORD_FEATURES))
