"""SkipGram: two tables of vectors, and the loss and gradients of a batch of blocks by hand.

A block's S targets, the tokens around it and its K negatives need few rows, so that all their dot
products are small matrix products. For one block, with targets T [S, D] and candidates
C = [X; N] [S + 2w + K, D], X being the tokens of the block with w more on either side and N the
negatives; M [S, S + 2w] says which are pairs, n_i are its row sums:

    L  = T C^T                             logits
    W  = [M, n_i * negative / K]           how often each logit counts
    loss = sum W * softplus(-/+ L)         - for contexts, + for negatives
    G  = W * (-/+ sigmoid(-/+ L))          dloss / dL
    dT = G C,   dC = G^T T

The expectation is that of `negative` noise words drawn for every pair (Mikolov et al. 2013), at
lower variance. Everything compiles under XLA: shapes are static and nothing branches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.dataset.records import SENTENCE_START, WINDOW_BITS, RecordShape
from trainer.input_pipeline import Batch
from trainer.optimizers import RowGradients

Tensor = Any

_ROWS = 1 << 13  # That are added at a time.


class Totals(NamedTuple):
    """Sums over pairs, to be added up over batches.

    Attributes:
        loss: [] float32.
        pairs: [] float32, exact up to 2 ** 24 of them in a batch.
        hits: [] float32, pairs whose logit beats those of `negative` noise words.
    """

    loss: Tensor
    pairs: Tensor
    hits: Tensor


class Gradients(NamedTuple):
    """What a batch says about both tables, and how well they did before.

    Attributes:
        totals: loss, pairs and hits.
        target: of the target table, a row for each token.
        context: of the context table, a row for each token, and then for each negative.
    """

    totals: Totals
    target: tuple[RowGradients]
    context: tuple[RowGradients, RowGradients]


class SkipGram(tf.Module):
    """The two tables of word2vec.

    Attributes:
        shape: of the records that it eats.
        target: [V, D] float32, the word vectors; uniform in (-0.5 / D, 0.5 / D) at first.
        context: [V, D] float32, zero at first, as in word2vec.c; or the target table again.
    """

    def __init__(
        self,
        shape: RecordShape,
        *,
        words: int,
        vector_size: int,
        seed: int,
        compute: Callable[..., Gradients] | None = None,
        tied: bool = False,
    ) -> None:
        """Makes the tables.

        Args:
            shape: of the records that it eats.
            words: V.
            vector_size: D.
            seed: of the first vectors.
            compute: an `objectives.GradientFunction`; by default `gradients`.
            tied: use one table for both.
        """
        super().__init__()
        self.shape = shape
        self._compute = compute or gradients
        rng = np.random.default_rng(seed)
        start = rng.random((words, vector_size), np.float32)
        start -= np.float32(0.5)
        start /= np.float32(vector_size)
        self.target = tf.Variable(start, name="target")
        self.context = (
            self.target if tied else tf.Variable(tf.zeros([words, vector_size]), name="context")
        )

    @property
    def tied(self) -> bool:
        """Whether both tables are one."""
        return self.context is self.target

    def vectors(self, *, add_context: bool) -> NDArray[np.float32]:
        """Returns the word vectors, [V, D] float32.

        By their targets two words are near if they stand in like contexts, by the sums also if each
        is a context of the other (Levy, Goldberg and Dagan 2015, section 3.3). How much it is one
        the logits say: they tend to the pair's mutual information and, since noise is not drawn by
        frequency alone, to a number that goes with the frequency of the context (Levy and Goldberg
        2014). That number tells nothing of the pair, and word2vec has no bias for it; what all
        targets have in common, their mean, is in its place.

        Args:
            add_context: add up each word's row of both tables, where they are two (Pennington et
                al. 2014, section 4.2), that of the target table less the mean of all; else return
                the target table.
        """
        found: NDArray[np.float32] = self.target.numpy()
        if add_context and not self.tied:
            found -= found.mean(0, dtype=np.float64).astype(np.float32)
            for rows in range(0, len(found), _ROWS):  # A third table would be a gigabyte or two.
                found[rows : rows + _ROWS] += self.context[rows : rows + _ROWS].numpy()
        return found

    def gradients(self, batch: Batch) -> Gradients:
        """Returns loss and gradients of a batch; see `gradients`."""
        return self._compute(self.target, self.context, batch, self.shape)

    def totals(self, batch: Batch) -> Totals:
        """Returns loss, pairs and hits of a batch."""
        return self.gradients(batch).totals


def gradients(
    target: tf.Variable, context: tf.Variable, batch: Batch, shape: RecordShape
) -> Gradients:
    """Returns the loss of a batch, summed over its pairs, and its gradients.

    Each table's row of a token is read once, and written once: T + T / S * K rows of a record, not
    one per pair. Padding gets the rows of word 0 and a gradient of zero for them.

    Args:
        target: [V, D] float32.
        context: [V, D] float32.
        batch: of records of `shape`.
        shape: T, S, K, w, and `negative`.
    """
    halo, drawn = shape.window, shape.block_negatives
    blocks = [batch.tokens.shape[0], shape.blocks, -1]
    ids = tf.reshape(tf.maximum(batch.tokens, 0), blocks)
    negatives = tf.reshape(batch.negatives, blocks)
    targets = rows_of(target, ids)  # [B, n, S, D]
    candidates = rows_of(context, tf.concat([frame(ids, halo), negatives], 2))  # [B, n, C, D]

    mask = tf.linalg.matrix_transpose(pair_mask(batch, shape))  # [B, n, S + 2w, S]
    pairs = tf.reduce_sum(mask, 2, keepdims=True)  # [B, n, 1, S]
    noise = tf.repeat(pairs * (shape.negative / drawn), drawn, 2)
    weights = tf.concat([mask, noise], 2)
    sign = tf.constant([-1.0] * mask.shape[2] + [1.0] * drawn)[:, None]

    logits = tf.matmul(candidates, targets, transpose_b=True)  # [B, n, C, S]
    softplus, sigmoid = _softplus_and_sigmoid(logits * sign)
    slopes = sigmoid * sign
    candidate_rows = tf.matmul(weights * slopes, targets)  # [B, n, C, D]
    transposed = tf.linalg.matrix_transpose(weights) * tf.linalg.matrix_transpose(slopes)
    target_rows = tf.matmul(transposed, candidates)  # [B, n, S, D]
    framed, negative_rows = tf.split(candidate_rows, [mask.shape[2], drawn], 2)

    def flat(rows: Tensor) -> Tensor:
        """Returns rows one after the other, [n, D]."""
        return tf.reshape(rows, [-1, rows.shape[-1]])

    return Gradients(
        Totals(
            tf.reduce_sum(weights * softplus),
            tf.reduce_sum(pairs),
            _hits(logits, mask, min(shape.negative, drawn)),
        ),
        (RowGradients(tf.reshape(ids, [-1]), flat(target_rows)),),
        (
            RowGradients(tf.reshape(ids, [-1]), flat(overlap_add(framed, halo))),
            RowGradients(tf.reshape(batch.negatives, [-1]), flat(negative_rows)),
        ),
    )


def rows_of(table: tf.Variable, ids: Tensor) -> Tensor:
    """Returns rows of a table, [..., D] float32, for ids [...] int32."""
    if tf.config.list_logical_devices("GPU") and table.shape[1] % 2 == 0:
        return _rows_by_pairs(table, ids)
    return tf.gather(table, ids)


def _rows_by_pairs(table: tf.Variable, ids: Tensor) -> Tensor:
    """Returns the rows, read as whole numbers of 64 bits.

    A cast between widths fixes how an array lies in memory. Reading floats, XLA lays the table out
    by columns on GPUs, and turns all of it round and back in every step.
    """
    words, size = table.shape
    pairs = tf.bitcast(tf.reshape(table, [words, size // 2, 2]), tf.int64)
    return tf.reshape(tf.bitcast(tf.gather(pairs, ids), tf.float32), [*ids.shape, size])


def pair_mask(batch: Batch, shape: RecordShape) -> Tensor:
    """Returns [B, n, S, S + 2w] float32: 1 where a target and a token of its frame are a pair.

    They are if they stand in the same sentence, not further apart than the target's window.
    """
    blocks, halo = [batch.tokens.shape[0], shape.blocks, shape.block], shape.window
    starts = frame(tf.reshape(tf.cast(batch.windows >= SENTENCE_START, tf.float32), blocks), halo)
    real = frame(tf.reshape(tf.cast(batch.tokens >= 0, tf.float32), blocks), halo)
    # A product with a triangle is a running sum, of which XLA makes ten passes over the batch.
    before = tf.constant(np.triu(np.ones([starts.shape[2]] * 2, np.float32)))
    sentences = (1.0 + tf.matmul(starts, before)) * real  # [B, n, S + 2w]; 0: no token
    own = sentences[:, :, halo : halo + shape.block, None]
    windows = tf.reshape(tf.cast(batch.windows, tf.int32) & WINDOW_BITS, blocks)
    places = np.arange(shape.block + 2 * shape.window) - shape.window
    distance = tf.constant(np.abs(places[None] - np.arange(shape.block)[:, None]), tf.int32)
    paired = (
        (sentences[:, :, None, :] == own)
        & (own > 0)
        & (distance > 0)
        & (distance <= windows[..., None])
    )
    return tf.cast(paired, tf.float32)


def frame(blocks: Tensor, halo: int) -> Tensor:
    """Returns each block with `halo` neighbours on either side, zeros beyond the record.

    Args:
        blocks: [B, n, S, ...].
        halo: w, at most S.

    Returns:
        [B, n, S + 2w, ...].
    """
    size = blocks.shape[2]
    rest = [[0, 0]] * (blocks.shape.rank - 2)
    before = tf.pad(blocks[:, :-1, size - halo :], [[0, 0], [1, 0], *rest])
    after = tf.pad(blocks[:, 1:, :halo], [[0, 0], [0, 1], *rest])
    return tf.concat([before, blocks, after], 2)


def overlap_add(framed: Tensor, halo: int) -> Tensor:
    """Returns [B, n, S, D], for each token the sum over the frames it is in: `frame`, transposed.

    Args:
        framed: [B, n, S + 2w, D].
        halo: w, at most S.
    """
    size = framed.shape[2] - 2 * halo
    to_previous = framed[:, 1:, :halo]
    to_next = framed[:, :-1, halo + size :]
    none = [0, 0]
    return (
        framed[:, :, halo : halo + size]
        + tf.pad(to_previous, [none, [0, 1], [size - halo, 0], none])
        + tf.pad(to_next, [none, [1, 0], [0, size - halo], none])
    )


def _softplus_and_sigmoid(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Returns log(1 + e ** x) and 1 / (1 + e ** -x), from one exponential and without overflow."""
    small = tf.exp(-tf.abs(logits))
    inverse = 1.0 / (1.0 + small)
    softplus = tf.maximum(logits, 0.0) - tf.math.log(inverse)
    return softplus, tf.where(logits >= 0.0, inverse, small * inverse)


def _hits(logits: Tensor, mask: Tensor, negative: int) -> Tensor:
    """Returns [] float32, the pairs whose logit beats those of the first `negative` negatives."""
    frames = mask.shape[2]
    best = tf.reduce_max(logits[:, :, frames : frames + negative], 2, keepdims=True)
    return tf.reduce_sum(mask * tf.cast(logits[:, :, :frames] > best, tf.float32))
