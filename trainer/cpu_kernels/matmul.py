"""Products and transposes of small matrices, tile by tile.

Every matrix is padded with zeros to whole tiles (`buffers`), so no tile is cut at an edge. All
products have one form: numbers of `a`, one after the other, are broadcast to a register and
multiplied with contiguous numbers of a row of `b`, so that no register has to be summed up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from trainer.cpu_kernels.compilation import inline_njit
from trainer.cpu_kernels.llvm_intrinsics import (
    CACHE_LINE_FLOATS,
    REGISTER_FLOATS,
    TILE_COLUMNS,
    TILE_ROWS,
    matmul_half_tile,
    matmul_tile,
    pack_two_rows,
    prefetch_to_l2,
    transpose_tile,
)


class Operand(NamedTuple):
    """A matrix [n, m] in the form in which products read it, in elements of 32 bits.

    An element is one float32, and then both arrays are the same. Or it holds two bfloat16 that are
    multiplied together: neighbours of a row or of a column, the first one in the lower 16 bits.
    `packing` is the number of numbers in an element: 1 or 2.

    Attributes:
        rows: [n, m / packing] float32 or uint32, neighbours of a row packed.
        columns: [n / packing, m] float32 or uint32, neighbours of a column packed.
    """

    rows: NDArray[Any]
    columns: NDArray[Any]


@inline_njit
def matmul(a: Any, b: Any, out: Any, prefetch: Any) -> None:
    """Sets `out` to a @ b.

    Args:
        a: [n, m] elements, packed by row.
        b: [m, p] elements, packed by column.
        out: [n, p] float32.
        prefetch: a table and up to n word ids, whose rows are prefetched between the tiles.
    """
    for i in range(0, out.shape[0], TILE_ROWS):
        _matmul_rows(a, b, out, (i, 0, a.shape[1], True), prefetch)


@inline_njit
def add_banded_matmul(a: Any, b: Any, out: Any, band: Any, prefetch: Any) -> None:
    """Adds a @ b to `out`, where `a` is zero outside of a band.

    Args:
        a: [n, m] elements, packed by row.
        b: [m, p] elements, packed by column.
        out: [n, p] float32.
        band: (low, high, packing): row i of `a` has numbers from column i + low to i + high.
        prefetch: as of `matmul`.
    """
    low, high, packing = band
    for i in range(0, out.shape[0], TILE_ROWS):
        first = max(0, i + low) // packing
        end = min(a.shape[1], (i + TILE_ROWS + high + packing - 1) // packing)
        _matmul_rows(a, b, out, (i, first, end, False), prefetch)


@inline_njit
def matmul_band(a: Any, b: Any, out: Any, width: Any) -> None:
    """Sets the band of a @ b in `out`: of row i the columns from i to i + `width`.

    Other columns may be set too, to anything.
    """
    columns = out.shape[1]
    for i in range(0, out.shape[0], TILE_ROWS):
        j, end = min(i, columns - REGISTER_FLOATS), min(columns, i + TILE_ROWS + width)
        while j < end:
            if j + REGISTER_FLOATS < end and j + TILE_COLUMNS <= columns:
                matmul_tile(a, b, out, i, j, 0, a.shape[1], True)
                j += TILE_COLUMNS
            else:
                start = min(j, columns - REGISTER_FLOATS)
                matmul_half_tile(a, b, out, i, start, 0, a.shape[1], True)
                j += REGISTER_FLOATS


@inline_njit
def _matmul_rows(a: Any, b: Any, out: Any, rows: Any, prefetch: Any) -> None:
    """Sets TILE_ROWS rows of `out` to those of a @ b, or adds them.

    A core can await some twenty cache lines and then stands still, and a row of a table is several.
    So the prefetches are spread: one row for as many tiles as give one row of `out`.

    Args:
        a: as of `matmul`.
        b: likewise.
        out: likewise.
        rows: the first row; the first column of `a` to be read and the end of them; whether to set.
        prefetch: as of `matmul`.
    """
    i, first, end, overwrite = rows
    word, finished = i, 0
    for j in range(0, out.shape[1], TILE_COLUMNS):
        finished += TILE_ROWS * TILE_COLUMNS
        if finished >= out.shape[1]:
            _prefetch_word(prefetch, word)
            word, finished = word + 1, finished - out.shape[1]
        if j + TILE_COLUMNS <= out.shape[1]:
            matmul_tile(a, b, out, i, j, first, end, overwrite)
        else:
            matmul_half_tile(a, b, out, i, j, first, end, overwrite)


@inline_njit
def _prefetch_word(prefetch: Any, i: int) -> None:
    """Prefetches the row of the i-th word, if there are so many."""
    table, words = prefetch
    if i < len(words):
        word = max(words[i], 0)  # Padding is -1.
        for j in range(0, table.shape[1], CACHE_LINE_FLOATS):
            prefetch_to_l2(table, word, j)


@inline_njit
def transpose(a: Any, out: Any) -> None:
    """Sets `out` to the transpose of `a`, element by element."""
    for i in range(0, a.shape[0], REGISTER_FLOATS):
        for j in range(0, a.shape[1], REGISTER_FLOATS):
            transpose_tile(a, out, i, j)


@inline_njit
def pack_matrix(source: Any, operand: Operand, packing: int) -> None:
    """Sets an operand to a float32 matrix; with a packing of 1 they are one array already."""
    if packing > 1:
        for i in range(0, source.shape[0], 2):
            for j in range(0, source.shape[1], REGISTER_FLOATS * packing):
                pack_two_rows(source, (i, i + 1), j, operand.rows, operand.columns, i, j)
