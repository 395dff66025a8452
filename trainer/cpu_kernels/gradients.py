"""The loss and the gradients of a piece of a record, block after block.

A block's tokens are the targets. Each meets the block's K negatives, and of the frame (the block
and w tokens on either side) the contexts within its own window. So the products with the negatives
are whole, [S, K], and those with the frame a band, [S, S + 2w]: row i has columns i to i + 2w.
"""

from __future__ import annotations

from typing import Any

from numba import float32, int32

from pmc2vec.dataset.records import SENTENCE_START, WINDOW_BITS
from trainer.cpu_kernels.buffers import GradientRows, KernelSizes, Scratch
from trainer.cpu_kernels.compilation import inline_njit
from trainer.cpu_kernels.llvm_intrinsics import (
    REGISTER_FLOATS,
    TILE_ROWS,
    pack_two_rows,
    square_sums,
)
from trainer.cpu_kernels.matmul import (
    Operand,
    add_banded_matmul,
    matmul,
    matmul_band,
    pack_matrix,
    transpose,
)

# Literals would be float64, and a loop with both would have registers of half as many numbers.
_ZERO, _HALF, _ONE = float32(0), float32(0.5), float32(1)


@inline_njit
def prepare_piece(record: Any, begin: int, sizes: KernelSizes, buffers: Any) -> None:
    """Prepares the buffers for the blocks of a piece.

    Args:
        record: tokens, windows, negatives and rows of targets.
        begin: the piece's first token.
        sizes: of the record.
        buffers: scratch of this core; gradients of the piece.
    """
    scratch, gradients = buffers
    _set_context_ranges(record, begin, sizes, scratch)
    # Blocks add to the context rows of the 2w tokens before their end, and set the others.
    gradients.contexts.rows[: 2 * sizes.window] = _ZERO


@inline_njit
def set_block_gradients(record: Any, begin: int, prefetch: Any, model: Any, buffers: Any) -> Any:
    """Sets what a block contributes to the gradients of its piece.

    Args:
        record: tokens, windows, negatives, and the row of the target table for each token.
        begin: the block's first token. The blocks of a piece must come in order.
        prefetch: the ids whose rows this core reads next: targets, contexts, negatives.
        model: sizes; tables, which are not changed.
        buffers: scratch of this core; gradients of the piece.

    Returns:
        Loss, pairs and hits: pairs whose logit is above those of their negatives.
    """
    (sizes, tables), (scratch, gradients) = model, buffers
    _gather_rows(tables.target, (record[3], begin), scratch.targets, sizes, scratch.row_ends)
    negative_loss = _set_noise_gradients(record, begin, prefetch, model, buffers)
    loss, pairs, hits = _add_context_gradients(record, begin, prefetch, model, buffers)
    end = min(begin + sizes.block, len(record[0]))
    if end % sizes.piece == 0 or end == len(record[0]):  # The last block of the piece.
        rest = begin % sizes.piece + sizes.block
        _set_mean_squares(gradients.contexts, rest, 2 * sizes.window, sizes)
    return negative_loss + loss, pairs, hits


@inline_njit
def _set_context_ranges(record: Any, begin: int, sizes: KernelSizes, scratch: Scratch) -> None:
    """Sets the first and the last context of each token of a piece: its window in its sentence."""
    tokens, windows = record[0], record[1]
    end = min(begin + sizes.piece, len(tokens))
    sentence = max(begin - sizes.window, 0)
    for i in range(sentence, end):
        if windows[i] >= SENTENCE_START:
            sentence = i
        window = windows[i] & WINDOW_BITS
        scratch.first_context[i] = i if tokens[i] < 0 else max(sentence, i - window)
    sentence_end = min(end + sizes.window, len(tokens)) - 1
    for i in range(sentence_end, begin - 1, -1):
        if tokens[i] < 0:
            scratch.last_context[i], sentence_end = i, i - 1
        else:
            scratch.last_context[i] = min(sentence_end, i + (windows[i] & WINDOW_BITS))
            if windows[i] >= SENTENCE_START:
                sentence_end = i - 1


@inline_njit
def _set_noise_gradients(record: Any, begin: int, prefetch: Any, model: Any, buffers: Any) -> Any:
    """Sets the gradients between a block's targets and its negatives; returns the loss.

    Arguments as of `set_block_gradients`.
    """
    (sizes, tables), (scratch, gradients) = model, buffers
    count, row = sizes.block_negatives, begin % sizes.piece
    ids = record[2], begin // sizes.block * count
    _gather_rows(tables.context, ids, scratch.negatives, sizes, scratch.row_ends)
    transpose(scratch.negatives.rows, scratch.negatives_transposed)
    no_prefetch = tables.context, prefetch[2][:0]
    logits = scratch.negative_logits
    matmul(scratch.targets.rows, scratch.negatives_transposed, logits, no_prefetch)
    for i in range(sizes.block):
        scratch.pair_counts[i] = scratch.last_context[begin + i] - scratch.first_context[begin + i]
        scratch.best_negative[i] = _maximum(logits[i, : min(sizes.negative, count)])
    weight = float32(sizes.negative / count)
    loss = _differentiate_negatives(logits, count, scratch.pair_counts, weight)
    pack_matrix(logits, scratch.negative_operand, sizes.packing)
    derivatives = scratch.negative_operand
    targets = gradients.targets.rows[row : row + logits.shape[0]]
    matmul(derivatives.rows, scratch.negatives.columns, targets, (tables.target, prefetch[0]))
    first = row // sizes.block * count
    negatives = gradients.negatives.rows[first : first + logits.shape[1]]
    next_negatives = tables.context, prefetch[2]
    matmul(derivatives.columns.T, scratch.targets.columns, negatives, next_negatives)
    _set_mean_squares(gradients.negatives, first, count, sizes)
    return loss


@inline_njit
def _add_context_gradients(record: Any, begin: int, prefetch: Any, model: Any, buffers: Any) -> Any:
    """Adds the gradients between a block's targets and their contexts.

    Arguments as of `set_block_gradients`.

    Returns:
        Loss, pairs and hits.
    """
    (sizes, tables), (scratch, gradients) = model, buffers
    block, width, row = sizes.block, 2 * sizes.window, begin % sizes.piece
    ids = record[0], begin - sizes.window
    _gather_rows(tables.context, ids, scratch.contexts, sizes, scratch.row_ends)
    transpose(scratch.contexts.rows, scratch.contexts_transposed)
    logits = scratch.band_logits
    matmul_band(scratch.targets.rows, scratch.contexts_transposed, logits, width)
    pairs, hits = _mark_pairs(begin, sizes, scratch)
    loss = _differentiate_pairs(logits.reshape(-1), scratch.pair_mask.reshape(-1))
    pack_matrix(logits, scratch.band_operand, sizes.packing)
    derivatives = scratch.band_operand
    targets = gradients.targets.rows[row : row + len(logits)]
    band = (0, width, sizes.packing)
    no_prefetch = tables.context, prefetch[1][:0]
    add_banded_matmul(derivatives.rows, scratch.contexts.columns, targets, band, no_prefetch)
    contexts = gradients.contexts.rows[row : row + sizes.frame]
    contexts[width:] = _ZERO  # The block before added to the rows above.
    band = (-width, 0, sizes.packing)
    next_contexts = tables.context, prefetch[1]
    add_banded_matmul(derivatives.columns.T, scratch.targets.columns, contexts, band, next_contexts)
    _set_mean_squares(gradients.targets, row, block, sizes)
    # The next block adds to the rows from here on; these are finished.
    _set_mean_squares(gradients.contexts, row, block, sizes)
    return loss, pairs, hits


@inline_njit
def _gather_rows(table: Any, ids: Any, operand: Operand, sizes: KernelSizes, row_ends: Any) -> None:
    """Reads as many rows of a table as an operand has.

    Args:
        table: [V, D] float32.
        ids: word ids, and the place of the first one among them.
        operand: set.
        sizes: of the rows.
        row_ends: see `Scratch`.
    """
    size, step = table.shape[1], REGISTER_FLOATS * sizes.packing
    whole = size // step * step
    rows, columns = operand
    for i in range(0, rows.shape[0], 2):
        first, second = _word_id(ids, i), _word_id(ids, i + 1)
        for j in range(0, whole, step):
            pack_two_rows(table, (first, second), j, rows, columns, i, j)
        if whole < size:
            for j in range(whole, size):
                row_ends[0, j - whole], row_ends[1, j - whole] = (
                    table[first, j],
                    table[second, j],
                )
            pack_two_rows(row_ends, (0, 1), 0, rows, columns, i, whole)


@inline_njit
def _word_id(ids: Any, i: int) -> int:
    """Returns a word id, 0 for padding and outside of the record: such logits are masked later."""
    words, first = ids
    at = first + i
    return max(words[at], 0) if 0 <= at < len(words) else 0


@inline_njit
def _maximum(numbers: Any) -> Any:
    """Returns the largest number. NumPy's `max` creates an array, which `inline_njit` forbids."""
    largest = numbers[0]
    for number in numbers[1:]:
        largest = max(largest, number)
    return largest


@inline_njit
def _mark_pairs(begin: int, sizes: KernelSizes, scratch: Scratch) -> Any:
    """Sets the mask of a block's pairs; returns the number of pairs and of hits.

    Each row is scanned whole and without a branch: a loop over a target's few contexts alone would
    not be vectorized. Numbers are int32, as wide as float32, for the same reason.
    """
    pairs = hits = int32(0)
    for i in range(sizes.block):
        diagonal = int32(sizes.window + i)  # The column of the target itself.
        offset = int32(begin + i) - diagonal
        first = scratch.first_context[begin + i] - offset
        last = scratch.last_context[begin + i] - offset
        best = scratch.best_negative[i]
        for j in range(scratch.pair_mask.shape[1]):
            is_pair = (int32(j) >= first) & (int32(j) <= last) & (int32(j) != diagonal)
            scratch.pair_mask[i, j] = float32(is_pair)
            hits += int32(is_pair & (scratch.band_logits[i, j] > best))
        pairs += last - first
    return pairs, hits


@inline_njit
def _set_mean_squares(gradient: GradientRows, begin: int, count: int, sizes: KernelSizes) -> None:
    """Sets the mean squares of some rows, and of up to TILE_ROWS - 1 after them."""
    scale = _ONE / float32(sizes.vector_size)
    squares = gradient.mean_squares
    for i in range(begin, begin + count, TILE_ROWS):
        one, two, three, four = square_sums(gradient.rows, i)
        squares[i], squares[i + 1] = one * scale, two * scale
        squares[i + 2], squares[i + 3] = three * scale, four * scale


@inline_njit
def _differentiate_negatives(logits: Any, count: int, pair_counts: Any, weight: Any) -> Any:
    """Sets the logits of `count` negatives to the loss's derivatives, other columns to 0.

    Every pair of a target meets all negatives of its block, so their loss counts `pair_counts`
    times, and `weight`, negative / K.

    Returns:
        The loss: sum of weight * pair_counts * log(1 + e**logit).
    """
    loss = 0.0
    logits[:, count:] = _ZERO
    for i in range(len(logits)):
        target_loss = _ZERO
        for k in range(count):
            x = logits[i, k]
            sigmoid = _sigmoid(x)
            target_loss += _softplus(x, sigmoid)
            logits[i, k] = pair_counts[i] * weight * sigmoid
        loss += pair_counts[i] * weight * target_loss
    return loss


@inline_njit
def _differentiate_pairs(logits: Any, mask: Any) -> Any:
    """Sets logits to the loss's derivatives where the mask is 1, to 0 where it is 0.

    The block comes as one long row: a target's own row is too short for wide registers.

    Returns:
        The loss: sum of log(1 + e**-logit).
    """
    loss = _ZERO
    for i in range(len(logits)):
        x = -logits[i]
        sigmoid = _sigmoid(x)
        loss += mask[i] * _softplus(x, sigmoid)
        logits[i] = -mask[i] * sigmoid
    return loss


@inline_njit
def _sigmoid(x: Any) -> Any:
    """Returns 1 / (1 + e**-x), to 3e-7.

    It is (1 + tanh(x / 2)) / 2, with the rational approximation of tanh that Eigen has
    (`ptanh_float` in Eigen/src/Core/MathFunctionsImpl.h). Unlike a call of `exp` it is vectorized.
    Beyond 7.9 tanh is 1 in float32.
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


@inline_njit
def _softplus(x: Any, sigmoid: Any) -> Any:
    """Returns log(1 + e**x), to 2e-7; not finite where x is not.

    It is max(x, 0) - log(1 - r), where r is the smaller one of sigmoid and 1 - sigmoid.
    -log(1 - r) is r times a polynomial, fitted at Chebyshev points between 0 and 1/2: no division,
    and no logarithm, which would not be vectorized.
    """
    r = min(sigmoid, _ONE - sigmoid)
    p = float32(1.1863941)
    p = p * r - float32(1.0841025)
    p = p * r + float32(0.78719475)
    p = p * r + float32(0.037416168)
    p = p * r + float32(0.27235588)
    p = p * r + float32(0.33185387)
    p = p * r + float32(0.50003684)
    p = p * r + float32(0.99999988)
    # `_ZERO * x` instead of 0: an x that is NaN or infinite stays so.
    return (x if x > _ZERO else _ZERO * x) + r * p
