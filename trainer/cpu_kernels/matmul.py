"""Products of small matrices, tile by tile; no row or column is left over (`scratch`).

Of float32, or of pairs of bfloat16, two of which stand where one float32 would; sums are float32.
"""

from __future__ import annotations

from typing import Any

from trainer.cpu_kernels.arrays import Floats, Sizes
from trainer.cpu_kernels.compilation import compiled
from trainer.cpu_kernels.llvm_intrinsics import (
    HIGH,
    LANES,
    LINE,
    WIDE,
    narrow_tile,
    pack_rows,
    tile,
    turn_square,
    will_need,
)
from trainer.cpu_kernels.scratch_memory import Units


@compiled
def band_product(a: Any, b: Any, out: Floats, near: Any) -> None:
    """Sets out to a @ b; of row i at least the columns from i to i + `near`.

    The others may hold anything.
    """
    width = out.shape[1]
    for i in range(0, out.shape[0], HIGH):
        j, end = min(i, width - LANES), min(width, i + HIGH + near)
        while j < end:
            if j + LANES < end and j + WIDE <= width:
                tile(a, b, out, i, j, 0, a.shape[1], True)
                j += WIDE
            else:
                narrow_tile(a, b, out, i, min(j, width - LANES), 0, a.shape[1], True)
                j += LANES


@compiled
def _ask(soon: Any, at: int) -> None:
    """Asks for the row of one of the words that are read soon, if there are so many."""
    table, words = soon
    if at < len(words):
        word = max(words[at], 0)
        for d in range(0, table.shape[1], LINE):
            will_need(table, word, d)


@compiled
def _set_or_add(a: Any, b: Any, out: Floats, at: Any, soon: Any) -> None:
    """Sets rows i to i + HIGH of `out` to those of a @ b, or adds them.

    Args:
        a: [n, m].
        b: [m, D'].
        out: [n, D'].
        at: i, the first unit of `a`'s rows that is looked at, the one after the last, and whether
            to set.
        soon: see `product`.
    """
    i, first, end, new = at
    word, done = i, 0
    for j in range(0, out.shape[1], WIDE):
        done += HIGH * WIDE
        if done >= out.shape[1]:
            _ask(soon, word)
            word, done = word + 1, done - out.shape[1]
        if j + WIDE <= out.shape[1]:
            tile(a, b, out, i, j, first, end, new)
        else:
            narrow_tile(a, b, out, i, j, first, end, new)


@compiled
def product(a: Any, b: Any, out: Floats, soon: Any) -> None:
    """Sets out to a @ b.

    Args:
        a: [n, m].
        b: [m, D'].
        out: [n, D'].
        soon: a table and up to n words, whose rows are asked for meanwhile. All at once they would
            be more lines than a core can await, and it would stand still until they have come.
    """
    for i in range(0, out.shape[0], HIGH):
        _set_or_add(a, b, out, (i, 0, a.shape[1], True), soon)


@compiled
def add_product(a: Any, b: Any, out: Floats, terms: Any, soon: Any) -> None:
    """Adds a @ b to `out`, where `a` holds a band.

    Args:
        a: [n, m].
        b: [m, D'].
        out: [n, D'].
        terms: which of a row's numbers may be other than 0: of row i those from i + terms[0] to
            i + terms[1]; and how many make a unit.
        soon: see `product`.
    """
    before, after, unit = terms
    for i in range(0, out.shape[0], HIGH):
        first = max(0, i + before) // unit
        end = min(a.shape[1], (i + HIGH + after + unit - 1) // unit)
        _set_or_add(a, b, out, (i, first, end, False), soon)


@compiled
def turn(a: Any, out: Any) -> None:
    """Sets `out` to a transposed."""
    for i in range(0, a.shape[0], LANES):
        for j in range(0, a.shape[1], LANES):
            turn_square(a, out, i, j)


@compiled
def pack(source: Floats, units: Units, sizes: Sizes) -> None:
    """Makes of a matrix what products take; float32 are taken as they are."""
    if sizes.unit > 1:
        for i in range(0, source.shape[0], 2):
            for j in range(0, source.shape[1], LANES * sizes.unit):
                pack_rows(source, i, i + 1, j, units.rows, units.columns, i, j)
