"""Two trained tables -> the word vectors that are published.

word2vec trains a target and a context vector for each word and publishes the first. What the two
say together is worth more (docs/decisions/0012):

    >>> target = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], np.float32)
    >>> combine_tables(target, np.ones((3, 2), np.float32), kind="concatenate").shape
    (3, 4)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

OutputVectors = Literal["balanced", "sum", "target", "concatenate"]

CONTEXT_WEIGHT = 0.2
"""Weight of the context vector beside the target vector in `balanced`."""

SPECTRUM_POWER = 0.25
"""`balanced` divides each principal axis by its singular value to this power."""

_CHUNK_ROWS = 1 << 13  # A whole second table would be a copy of a gigabyte or two.
_SMALLEST_EIGENVALUE = 1e-6  # Of the largest; below it an axis holds rounding errors only.


def combine_tables(
    target: NDArray[np.float32],
    context: Any,
    *,
    kind: OutputVectors,
    ngrams: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Returns the published vectors, [V, D] float32; [V, 2 D] for `concatenate`.

    * `target`: the target table as trained, as word2vec.c publishes it.
    * `sum`: the target vector less the mean of all, plus the context vector (GloVe publishes such a
      sum: Pennington, Socher and Manning 2014, section 4.2).
    * `concatenate`: both vectors of a word, one after the other.
    * `balanced`: the target vector plus a fifth of the context vector, each less its mean, as a row
      of length one; the mean of these rows is taken out and the spectrum made more even.

    Args:
        target: [V, D], overwritten with the result where the shape is the same.
        context: [V, D], anything that gives float32 rows for a slice.
        kind: see above.
        ngrams: [R, D] rows of which a word that has no row is the mean; overwritten so that the
            mean of its new rows lies where the word would. They have no context vector, and each
            counts as if its length were the usual one: the map is linear, so it can be taken of
            rows instead of words (docs/decisions/0019).
    """
    if kind == "target":
        return target
    if kind == "concatenate":
        return np.concatenate([target, np.asarray(context[:], np.float32)], axis=1)
    mean = _subtract_mean(target)
    if ngrams is not None:
        ngrams -= mean
    if kind == "sum":
        _in_chunks(target, lambda rows, chunk: rows + np.asarray(context[chunk], np.float32))
        return target
    context_mean = _mean(context, *target.shape)
    weight = np.float32(CONTEXT_WEIGHT)
    _in_chunks(
        target,
        lambda rows, chunk: rows + weight * (np.asarray(context[chunk], np.float32) - context_mean),
    )
    usual_length = np.float32(np.sqrt(np.einsum("ij,ij->i", target, target)).mean() or 1)
    _in_chunks(target, lambda rows, _: _unit_rows(rows))
    unit_mean = _subtract_mean(target)
    axes = _even_spectrum(target)
    if ngrams is not None:
        _in_chunks(
            ngrams,
            lambda rows, _: np.asarray((rows / usual_length - unit_mean) @ axes, np.float32),
        )
    _in_chunks(target, lambda rows, _: _unit_rows(_unit_rows(rows) @ axes))
    return target


def _even_spectrum(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns [D, D]: what a unit row is multiplied by to even out the singular values.

    The product turns no axis: it goes to the principal axes, scales them, and comes back, so the
    signs that an eigenvector may have do not matter.
    """
    second_moments = np.zeros((rows.shape[1], rows.shape[1]))
    for begin in range(0, len(rows), _CHUNK_ROWS):
        units = _unit_rows(rows[begin : begin + _CHUNK_ROWS]).astype(np.float64)
        second_moments += units.T @ units
    eigenvalues, axes = np.linalg.eigh(second_moments / max(len(rows), 1))
    if eigenvalues[-1] <= 0:
        return np.eye(rows.shape[1], dtype=np.float32)
    floor = eigenvalues[-1] * _SMALLEST_EIGENVALUE
    singular_values = np.sqrt(np.maximum(eigenvalues, floor))
    return np.asarray((axes * singular_values**-SPECTRUM_POWER) @ axes.T, np.float32)


def _unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the rows brought to length one; a zero row stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _subtract_mean(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Takes the mean out of the rows, and returns it, [D] float32."""
    mean: NDArray[np.float32] = rows.mean(0, dtype=np.float64).astype(np.float32)
    rows -= mean
    return mean


def _mean(table: Any, count: int, size: int) -> NDArray[np.float32]:
    """Returns the mean row of a table that is read in chunks, [D] float32."""
    total = np.zeros(size)
    for begin in range(0, count, _CHUNK_ROWS):
        chunk = np.asarray(table[begin : begin + _CHUNK_ROWS], np.float32)
        total += chunk.sum(0, dtype=np.float64)
    return (total / max(count, 1)).astype(np.float32)


def _in_chunks(
    rows: NDArray[np.float32], change: Callable[[NDArray[np.float32], slice], NDArray[np.float32]]
) -> None:
    """Replaces each chunk of rows by what `change` returns for it and its slice."""
    for begin in range(0, len(rows), _CHUNK_ROWS):
        chunk = slice(begin, begin + _CHUNK_ROWS)
        rows[chunk] = change(rows[chunk], chunk)
