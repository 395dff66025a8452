"""The skip-gram step of one CPU as machine code: the arithmetic of `model`, without its zeros.

The records of a batch are shared out among the cores, which compute their `gradients`. Then the
tables are written by word: core c writes the words whose id is c modulo the number of cores. So the
tables do not depend, bit for bit, on how many cores there were.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from trainer.native.buffers import Sizes, Tables, gradients_of_record, room_of_core
from trainer.native.compilation import compiled, kept, sources
from trainer.native.gradients import set_gradients
from trainer.native.updates import update


@compiled
def _gradients(batch: Any, tables: Tables, sizes: Sizes, buffers: Any, core: int) -> Any:
    """Computes a core's share of a batch's gradients.

    Args:
        batch: tokens, windows and negatives of its records.
        tables: not changed.
        sizes: of the records.
        buffers: `Scratch` of all cores and `Gradients` of all records, flat.
        core: its number.

    Returns:
        Loss, pairs and hits.
    """
    tokens, windows, negatives = batch
    room = room_of_core(buffers[0], core)
    loss, pairs, hits = 0.0, 0, 0
    for at in range(core, len(tokens), len(buffers[0][0])):
        record, gradients = (
            (tokens[at], windows[at], negatives[at]),
            gradients_of_record(buffers[1], at),
        )
        found = set_gradients(record, tables, sizes, room, gradients)
        loss, pairs, hits = loss + found[0], pairs + found[1], hits + found[2]
    return loss, pairs, hits


def _enclosing(enclosed: str) -> Any:
    """Returns `train`, which is compiled anew when `enclosed` is another than before."""

    @kept
    def train(steps: Any, tables: Any, sizes: Any, room: Any, gradients: Any) -> Any:
        """Trains on n batches, one after the other.

        Only plain tuples are taken. Those with names could not be read again from where machine
        code is kept once names have changed; and loops over cores take no tuples within others.

        Args:
            steps: tokens [n, B, T] int32, windows [n, B, T] uint8, negatives [n, B, T / S * K]
                int32, and learning rates [n] float32; these are empty to change nothing.
            tables: those of `Tables`, which are changed.
            sizes: those of `Sizes`.
            room: the arrays of `Scratch`, for the cores that are to work.
            gradients: the arrays of `Gradients`, of B records.

        Returns:
            [n, cores, 3] float64: loss, pairs and hits.
        """
        assert enclosed
        tokens, windows, negatives, rates = steps
        tables = Tables(tables[0], tables[1], tables[2], tables[3])
        sizes = Sizes(sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6])
        cores = len(room[0])
        totals = np.zeros((len(tokens), cores, 3))
        for n in range(len(tokens)):
            batch = (tokens[n], windows[n], negatives[n])
            for core in prange(cores):
                loss, pairs, hits = _gradients(batch, tables, sizes, (room, gradients), core)
                totals[n, core, 0], totals[n, core, 1], totals[n, core, 2] = loss, pairs, hits
            if len(rates):
                step = (sizes.window, rates[n])
                for core in prange(cores):
                    update(batch, tables, (room, gradients), step, (core, cores))
        return totals

    return train


train = _enclosing(sources())
