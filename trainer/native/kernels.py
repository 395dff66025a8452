"""The skip-gram step of one CPU as machine code: the arithmetic of `model`, without its zeros.

A record is worked on by one core, block after block, in buffers that stay in that core's cache.
Of a block's products those with the negatives are whole, as in `model`; those with the tokens
around a target are taken from a band: four targets at a time against the 2w + 4 tokens that any of
them can have a pair with, instead of S targets against S + 2w. Then the tables are written by word:
core c writes the words whose id is c modulo the number of cores. So no two cores write one row, and
the tables do not depend, bit for bit, on how many cores there were.

Products go by two rows and four columns, and no row or column is left over (`buffers`).

Numba compiles all this when it is first called and keeps it beside this file or, where that cannot
be written, in the user's cache. It looks for changes in this file only, so whatever is compiled
stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import float32, njit, prange
from numpy.typing import NDArray

from beam_pipelines.records import SENTENCE_START, WINDOW_BITS
from trainer.native.buffers import TILE, Floats, Rows, Scratch, Sizes, Tables

Ints = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_ZERO, _HALF, _ONE, _TWO = float32(0), float32(0.5), float32(1), float32(2)


def _compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compiles a function; the machine code is kept where there is a place for it."""
    if function is None:
        return lambda function: _compiled(function, **options)
    # Sums may be taken in any order, but infinities and NaN keep their meaning, so that a loss
    # that is no number is seen. Without NumPy's rules for errors every division is a branch.
    fast = {"reassoc", "contract", "nsz", "arcp", "afn"}
    options = {"fastmath": fast, "error_model": "numpy", **options}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:  # Numba found no folder to keep it in.
        return njit(function, **options)


# --- products ----------------------------------------------------------------------------------


@_compiled
def _dots(a: Floats, b: Floats, out: Floats) -> None:
    """Sets out[i, j] to a[i] . b[j]."""
    for i in range(0, a.shape[0], 2):
        for j in range(0, b.shape[0], 4):
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = _ZERO
            for d in range(a.shape[1]):
                s, t = a[i, d], a[i + 1, d]
                s0, t0 = s0 + s * b[j, d], t0 + t * b[j, d]
                s1, t1 = s1 + s * b[j + 1, d], t1 + t * b[j + 1, d]
                s2, t2 = s2 + s * b[j + 2, d], t2 + t * b[j + 2, d]
                s3, t3 = s3 + s * b[j + 3, d], t3 + t * b[j + 3, d]
            out[i, j], out[i, j + 1], out[i, j + 2], out[i, j + 3] = s0, s1, s2, s3
            out[i + 1, j], out[i + 1, j + 1], out[i + 1, j + 2], out[i + 1, j + 3] = t0, t1, t2, t3


@_compiled
def _add_product(slopes: Floats, rows: Floats, out: Floats) -> None:
    """Adds slopes @ rows to `out`."""
    for i in range(0, slopes.shape[0], 2):
        for k in range(0, slopes.shape[1], 4):
            s0, s1, s2, s3 = slopes[i, k], slopes[i, k + 1], slopes[i, k + 2], slopes[i, k + 3]
            t0, t1, t2, t3 = (
                slopes[i + 1, k], slopes[i + 1, k + 1], slopes[i + 1, k + 2], slopes[i + 1, k + 3],
            )  # fmt: skip
            for d in range(out.shape[1]):
                r0, r1, r2, r3 = rows[k, d], rows[k + 1, d], rows[k + 2, d], rows[k + 3, d]
                out[i, d] += s0 * r0 + s1 * r1 + s2 * r2 + s3 * r3
                out[i + 1, d] += t0 * r0 + t1 * r1 + t2 * r2 + t3 * r3


# --- logits to slopes --------------------------------------------------------------------------


@_compiled
def _sigmoid(x: Any) -> Any:
    """Returns 1 / (1 + e ** -x), to 3e-7.

    Half of 1 + tanh(x / 2), that one by the quotient of polynomials that Eigen uses: unlike an
    exponential it is computed for 16 numbers at once.
    """
    y = min(max(_HALF * x, float32(-7.9)), float32(7.9))
    z = y * y
    p = float32(-2.76076847742355e-16)
    p = p * z + float32(2.00018790482477e-13)
    p = p * z + float32(-8.60467152213735e-11)
    p = p * z + float32(5.12229709037114e-08)
    p = p * z + float32(1.48572235717979e-05)
    p = p * z + float32(6.37261928875436e-04)
    p = p * z + float32(4.89352455891786e-03)
    q = float32(1.19825839466702e-06)
    q = q * z + float32(1.18534705686654e-04)
    q = q * z + float32(2.26843463243900e-03)
    q = q * z + float32(4.89352518554385e-03)
    return _HALF + _HALF * (y * p / q)


@_compiled
def _softplus(x: Any, sigmoid: Any) -> Any:
    """Returns log(1 + e ** x), to 1e-6, by the series of atanh; not finite where x is not."""
    rare = min(sigmoid, _ONE - sigmoid)
    y = rare / (_TWO - rare)  # -log(1 - rare) = 2 atanh(y), y <= 1 / 3
    z = y * y
    series = float32(1 / 7) + z * (float32(1 / 9) + z * float32(1 / 11))
    series = _ONE + z * (float32(1 / 3) + z * (float32(1 / 5) + z * series))
    return (x if x > _ZERO else _ZERO * x) + _TWO * y * series


@_compiled
def _noise_slopes(logits: Floats, count: int, pairs: Floats, share: Any) -> Any:
    """Turns the logits of `count` negatives into slopes; returns their loss."""
    loss = 0.0
    for i in range(len(logits)):
        of_target = _ZERO
        for k in range(count):
            x = logits[i, k]
            sigmoid = _sigmoid(x)
            of_target += _softplus(x, sigmoid)
            logits[i, k] = pairs[i] * share * sigmoid
        loss += pairs[i] * share * of_target
    return loss


@_compiled
def _pair_slopes(logits: Floats, mask: Floats) -> Any:
    """Turns logits into slopes where the mask is 1, into 0 where it is 0; returns the loss.

    Over a whole block at once: a target alone has too few for the machine's wide registers.
    """
    loss = _ZERO
    for at in range(len(logits)):
        x = -logits[at]
        sigmoid = _sigmoid(x)
        loss += mask[at] * _softplus(x, sigmoid)
        logits[at] = -mask[at] * sigmoid
    return loss


# --- a record ----------------------------------------------------------------------------------


@_compiled
def _contexts_of(tokens: Ints, windows: Bytes, first: Any, last: Any) -> None:
    """Sets the first and the last context of each token, which its sentence bounds."""
    start = 0
    for i in range(len(tokens)):
        if windows[i] >= SENTENCE_START:
            start = i
        first[i] = i if tokens[i] < 0 else max(start, i - (windows[i] & WINDOW_BITS))
    end = len(tokens) - 1
    for i in range(len(tokens) - 1, -1, -1):
        if tokens[i] < 0:
            last[i], end = i, i - 1
        else:
            last[i] = min(end, i + (windows[i] & WINDOW_BITS))
            if windows[i] >= SENTENCE_START:
                end = i - 1


@_compiled
def _read(table: Floats, ids: Ints, out: Floats) -> None:
    """Copies rows of a table; padding gets the row of word 0, which no slope looks at."""
    for i in range(len(ids)):
        at = max(ids[i], 0)
        for d in range(table.shape[1]):
            out[i, d] = table[at, d]


@_compiled
def _mark_pairs(begin: int, sizes: Sizes, room: Scratch) -> Any:
    """Sets mask and number of the pairs of the block that begins at a token.

    Returns:
        How many pairs there are, and how many beat the first `negative` negatives.
    """
    total = hits = 0
    room.mask[:] = _ZERO
    for i in range(sizes.block):
        own, place = begin + i, sizes.window + i % TILE  # A target's own place in its row.
        first, last = place - own + room.first[own], place - own + room.last[own]
        room.pairs[i] = last - first
        if first < last:
            best = room.noise[i, 0]
            for k in range(1, min(sizes.negative, sizes.block_negatives)):
                best = max(best, room.noise[i, k])
            for at in range(first, last + 1):
                room.mask[i, at] = _ONE
                hits += room.band[i, at] > best
            room.mask[i, place] = _ZERO
            hits -= room.band[i, place] > best
            total += last - first
    return total, hits


@_compiled
def _record(record: Any, tables: Tables, sizes: Sizes, room: Scratch, slopes: Any) -> Any:
    """Computes the gradients of a record.

    Args:
        record: tokens, windows and negatives; see `records.Record`.
        tables: not changed.
        sizes: of the record.
        room: of this core.
        slopes: the record's part of the first three of `Rows`.

    Returns:
        Loss, pairs and hits.
    """
    tokens, windows, drawn = record
    target_slopes, context_slopes, drawn_slopes = slopes
    block, count, window = sizes.block, sizes.block_negatives, sizes.window
    band, noise, width = room.band, room.noise, room.band.shape[1]
    head, ready = len(context_slopes) - len(tokens), 0
    loss, pairs, hits = 0.0, 0, 0
    _contexts_of(tokens, windows, room.first, room.last)
    context_slopes[:head] = _ZERO
    for at in range(0, len(tokens), block):
        # Everything is read and cleared where it is used next, while it is in the cache.
        place, needed = at // block * count, min(len(tokens), at + block + window)
        _read(tables.target, tokens[at : at + block], room.targets)
        _read(tables.context, tokens[ready:needed], room.contexts[window + ready :])
        _read(tables.context, drawn[place : place + count], room.negatives)
        ready = needed
        target_slopes[at : at + block] = _ZERO
        context_slopes[at + head : at + head + block] = _ZERO
        drawn_slopes[place : place + count] = _ZERO

        _dots(room.targets, room.negatives, noise)
        for tile in range(0, len(band), TILE):
            around = room.contexts[at + tile : at + tile + width]
            _dots(room.targets[tile : tile + TILE], around, band[tile : tile + TILE])

        found = _mark_pairs(at, sizes, room)
        pairs, hits = pairs + found[0], hits + found[1]
        loss += _pair_slopes(band.reshape(-1), room.mask.reshape(-1))
        loss += _noise_slopes(noise, count, room.pairs, float32(sizes.negative / count))

        for tile in range(0, len(band), TILE):
            begin, four = at + tile, band[tile : tile + TILE]
            around = room.contexts[begin : begin + width]
            _add_product(four, around, target_slopes[begin : begin + TILE])
            own = room.targets[tile : tile + TILE]
            _add_product(four.T, own, context_slopes[begin : begin + width])
        _add_product(noise, room.negatives, target_slopes[at : at + len(noise)])
        _add_product(noise.T, room.targets, drawn_slopes[place : place + noise.shape[1]])
    return loss, pairs, hits


# --- a batch -----------------------------------------------------------------------------------


@_compiled
def _mean_squares(rows: Floats, size: int, out: Floats) -> None:
    for i in range(len(out)):
        total = _ZERO
        for d in range(rows.shape[1]):
            total += rows[i, d] * rows[i, d]
        out[i] = total / float32(size)


@_compiled
def _gradients(batch: Any, tables: Tables, sizes: Sizes, buffers: Any, core: int) -> Any:
    """Computes a core's share of a batch's gradients.

    Args:
        batch: tokens, windows and negatives of its records.
        tables: not changed.
        sizes: of the records.
        buffers: `Scratch` of all cores, and `Rows`.
        core: its number.

    Returns:
        Loss, pairs and hits.
    """
    tokens, windows, negatives = batch
    every, rows = buffers
    room = Scratch(
        every.targets[core], every.contexts[core], every.negatives[core], every.noise[core],
        every.band[core], every.mask[core], every.first[core], every.last[core], every.pairs[core],
    )  # fmt: skip
    size = tables.target.shape[1]
    loss, pairs, hits = 0.0, 0, 0
    for at in range(core, len(tokens), len(every.band)):
        record = (tokens[at], windows[at], negatives[at])
        slopes = (rows.targets[at], rows.contexts[at], rows.negatives[at])
        found = _record(record, tables, sizes, room, slopes)
        loss, pairs, hits = loss + found[0], pairs + found[1], hits + found[2]
        _mean_squares(slopes[0], size, rows.target_squares[at])
        _mean_squares(slopes[1][sizes.window :], size, rows.context_squares[at])
        _mean_squares(slopes[2], size, rows.negative_squares[at])
    return loss, pairs, hits


@_compiled
def _remember(ids: Ints, squares: Floats, sums: Floats, share: Any) -> None:
    """Adds to the accumulators of a core's words."""
    core, cores = share
    for i in range(len(ids)):
        if ids[i] >= 0 and ids[i] % cores == core:
            sums[ids[i]] += squares[i]


@_compiled
def _write(ids: Ints, rows: Floats, state: Any, rate: Any, share: Any) -> None:
    """Takes the gradient's steps in the rows of a core's words.

    Args:
        ids: [n] int32; negative for padding.
        rows: [n, D'] float32, the gradient.
        state: a table and its accumulators.
        rate: the learning rate.
        share: the core's number, and how many cores there are.
    """
    table, sums = state
    core, cores = share
    for i in range(len(ids)):
        at = ids[i]
        if at >= 0 and at % cores == core:
            scale = rate / np.sqrt(sums[at]) if len(sums) else rate
            for d in range(table.shape[1]):
                table[at, d] -= scale * rows[i, d]


@_compiled
def _update(batch: Any, tables: Tables, rows: Rows, step: Any, share: Any) -> None:
    """Changes the rows of a core's words; all accumulators first, as `optimizers.Adagrad`.

    Args:
        batch: tokens, windows and negatives of its records.
        tables: to be changed.
        rows: the gradients.
        step: w, and the learning rate.
        share: the core's number, and how many cores there are.
    """
    tokens, _, negatives = batch
    window, rate = step
    target = (tables.target, tables.target_sums)
    context = (tables.context, tables.context_sums)
    if len(tables.target_sums):
        for at in range(len(tokens)):
            _remember(tokens[at], rows.target_squares[at], tables.target_sums, share)
            _remember(tokens[at], rows.context_squares[at], tables.context_sums, share)
            _remember(negatives[at], rows.negative_squares[at], tables.context_sums, share)
    for at in range(len(tokens)):
        _write(tokens[at], rows.targets[at], target, rate, share)
        _write(tokens[at], rows.contexts[at, window:], context, rate, share)
        _write(negatives[at], rows.negatives[at], context, rate, share)


@_compiled(parallel=True, nogil=True)
def train(steps: Any, tables: Tables, sizes: Sizes, room: Scratch, rows: Rows) -> Any:
    """Trains on n batches, one after the other.

    Args:
        steps: tokens [n, B, T] int32, windows [n, B, T] uint8, negatives [n, B, T / S * K] int32,
            and learning rates [n] float32; these are empty to change nothing.
        tables: what is changed.
        sizes: of the records.
        room: of the cores that are to work.
        rows: of B records.

    Returns:
        [n, cores, 3] float64: loss, pairs and hits.
    """
    tokens, windows, negatives, rates = steps
    cores = len(room.band)
    totals = np.zeros((len(tokens), cores, 3))
    for n in range(len(tokens)):
        batch = (tokens[n], windows[n], negatives[n])
        for core in prange(cores):
            loss, pairs, hits = _gradients(batch, tables, sizes, (room, rows), core)
            totals[n, core, 0], totals[n, core, 1], totals[n, core, 2] = loss, pairs, hits
        if len(rates):
            for core in prange(cores):
                _update(batch, tables, rows, (sizes.window, rates[n]), (core, cores))
    return totals
