"""SkipGram: two tables of vectors, and the loss and gradients of a batch of blocks by hand.

A block has S targets, the tokens around it and K negatives. They need few rows, so all their dot
products are small matrix products. For one block, with targets T [S, D] and candidates
C = [X; N] [S + 2w + K, D], where X are the tokens of the block with w more on either side and N the
negatives; M [S, S + 2w] is 1 for pairs, and n_i are its row sums:

    L  = T C^T                             logits
    W  = [M, n_i * negative / K]           weight of each logit
    loss = sum W * softplus(-/+ L)         - for contexts, + for negatives
    G  = W * (-/+ sigmoid(-/+ L))          dloss / dL
    dT = G C,   dC = G^T T

The expectation of the loss is that of `negative` noise words drawn for every pair (Mikolov et al.
2013); its variance is lower. Everything compiles under XLA: shapes are static, nothing branches.

What stands for a word in T is decided by `InputRows`: the mean of some rows of the input table. It
is a word's own row (`WordRows`), or that and the rows of its n-grams (`subword_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pmc2vec.dataset.records import SENTENCE_START, WINDOW_BITS, RecordShape
from pmc2vec.vectors.output_vectors import OutputVectors, combine_tables
from trainer.input_pipeline import Batch
from trainer.optimizers import Optimizer, RowGradients, Slots


class LossTotals(NamedTuple):
    """Sums over the pairs of a batch.

    Attributes:
        loss: [] float32.
        pairs: [] float32, exact up to 2 ** 24 pairs in a batch.
        hits: [] float32, pairs whose logit is above those of `negative` negatives.
    """

    loss: tf.Tensor
    pairs: tf.Tensor
    hits: tf.Tensor


class TableGradients(NamedTuple):
    """The gradients of a batch with respect to both tables, and its loss before the update.

    Attributes:
        totals: loss, pairs and hits.
        target: parts of the gradient of the words' vectors, which `InputRows.update` brings to the
            rows of the target table, the input table of the model.
        context: parts of the gradient of the context table, the output table: a row for each token,
            and a row for each negative.
    """

    totals: LossTotals
    target: tuple[RowGradients, ...]
    context: tuple[RowGradients, ...]


class InputRows(Protocol):
    """Which rows of the input table each word's vector is the mean of, as in fastText.

    The rest of the trainer asks this object wherever a word becomes rows: the step (`lookup`,
    `update`), the export (`compose`) and a warm start (`names`). Checkpoints and the context table
    know nothing of it.
    """

    def table_size(self, words: int) -> int:
        """Returns R, the rows of the input table, for a vocabulary of so many words."""
        ...

    @property
    def one_row_per_word(self) -> bool:
        """Whether word id i has row i and no other, as one table for both needs."""
        ...

    def lookup(self, table: tf.Variable, word_ids: tf.Tensor) -> tf.Tensor:
        """Returns the words' vectors, [..., D] float32, for word ids [...] int32."""
        ...

    def update(
        self,
        optimizer: Optimizer,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """Changes the table and its slots by the gradients of words' vectors.

        Args:
            optimizer: changes rows.
            table: [R, D] float32.
            slots: of the optimizer, for this table.
            gradients: word ids with the gradients of their vectors; repeated ones add up.
            rate: [] float32, the learning rate.
        """
        ...

    def compose(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the vectors of all words, [V, D], from a table [R, D]; it may be the table."""
        ...

    def names(self, words: Sequence[str]) -> Sequence[str | int]:
        """Returns a name for each row, by which a warm start finds it in another vocabulary."""
        ...


@dataclass(frozen=True)
class WordRows:
    """One row for each word: word id i has row i. This is word2vec."""

    def table_size(self, words: int) -> int:
        """See `InputRows`."""
        return words

    @property
    def one_row_per_word(self) -> bool:
        """See `InputRows`."""
        return True

    def lookup(self, table: tf.Variable, word_ids: tf.Tensor) -> tf.Tensor:
        """See `InputRows`."""
        return table_rows(table, word_ids)

    def update(
        self,
        optimizer: Optimizer,
        table: tf.Variable,
        slots: Slots,
        gradients: Sequence[RowGradients],
        rate: tf.Tensor,
    ) -> None:
        """See `InputRows`."""
        optimizer.update(table, slots, gradients, rate)

    def compose(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `InputRows`."""
        return table

    def names(self, words: Sequence[str]) -> Sequence[str]:
        """See `InputRows`."""
        return words


WORD_ROWS = WordRows()


class SkipGram(tf.Module):
    """The two tables of word2vec.

    Attributes:
        shape: of the records.
        input_rows: the rows of the target table that stand for each word.
        target: [R, D] float32, the input table; first uniform in (-0.5 / D, 0.5 / D).
        context: [V, D] float32, the output table; first zero, as in word2vec.c. Or the target table
            itself.
    """

    def __init__(
        self,
        shape: RecordShape,
        *,
        words: int,
        vector_size: int,
        seed: int,
        gradient_function: Callable[..., TableGradients] | None = None,
        input_rows: InputRows = WORD_ROWS,
        tied: bool = False,
    ) -> None:
        """Makes the tables.

        Args:
            shape: of the records.
            words: V.
            vector_size: D.
            seed: of the first vectors.
            gradient_function: an `objectives.GradientFunction`; by default `gradients`.
            input_rows: the rows of the target table that stand for each word.
            tied: use one table for both; needs one row for each word.
        """
        super().__init__()
        self.shape = shape
        assert input_rows.one_row_per_word or not tied
        self.input_rows = input_rows
        self._gradient_function = gradient_function or gradients
        rng = np.random.default_rng(seed)
        table = rng.random((input_rows.table_size(words), vector_size), np.float32)
        table -= np.float32(0.5)
        table /= np.float32(vector_size)
        self.target = tf.Variable(table, name="target")
        self.context = (
            self.target if tied else tf.Variable(tf.zeros([words, vector_size]), name="context")
        )

    @property
    def tied(self) -> bool:
        """Whether both tables are one."""
        return self.context is self.target

    def word_vectors(self, kind: OutputVectors) -> NDArray[np.float32]:
        """Returns the published word vectors alone; see `published`."""
        return self.published(kind)[0]

    def published(
        self, kind: OutputVectors
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Returns the published word vectors, [V, D] float32, or [V, 2 D] for `concatenate`.

        The second array has the rows of n-grams in the same space, [R - V, D]; it is None where
        each word has a row of its own and no others.

        Args:
            kind: see `output_vectors.combine_tables`; a tied table has no contexts to add, so it is
                published as it is, or balanced.
        """
        table = self.target.numpy()
        vectors = self.input_rows.compose(table)
        if self.tied and kind != "balanced":
            return vectors, None
        ngrams = None if self.input_rows.one_row_per_word else table[len(vectors) :]
        # A view of one zero, not a table of zeros. A variable is read in slices, not copied whole.
        context = np.broadcast_to(np.float32(0), vectors.shape) if self.tied else self.context
        return combine_tables(vectors, context, kind=kind, ngrams=ngrams), ngrams

    def gradients(self, batch: Batch) -> TableGradients:
        """Returns loss and gradients of a batch; see `gradients`."""
        return self._gradient_function(
            self.target, self.context, batch, self.shape, self.input_rows
        )

    def totals(self, batch: Batch) -> LossTotals:
        """Returns loss, pairs and hits of a batch."""
        return self.gradients(batch).totals


def gradients(
    target: tf.Variable,
    context: tf.Variable,
    batch: Batch,
    shape: RecordShape,
    input_rows: InputRows = WORD_ROWS,
) -> TableGradients:
    """Returns the loss of a batch, summed over its pairs, and its gradients.

    A token's vector is read once and its gradient written once: T + T / S * K rows of each table
    for a record, not one per pair. Padding gets the rows of word 0 and a gradient of zero for them.

    Args:
        target: [R, D] float32.
        context: [V, D] float32.
        batch: of records of `shape`.
        shape: T, S, K, w, and `negative`.
        input_rows: the rows of `target` that stand for each word.
    """
    halo, block_negatives = shape.window, shape.block_negatives
    blocks = [batch.tokens.shape[0], shape.blocks, -1]
    ids = tf.reshape(tf.maximum(batch.tokens, 0), blocks)
    negatives = tf.reshape(batch.negatives, blocks)
    targets = input_rows.lookup(target, ids)  # [B, n, S, D]
    candidates = table_rows(context, tf.concat([frame(ids, halo), negatives], 2))  # [B, n, C, D]

    # Mask, weights, logits and slopes are transposed from here on: candidates by targets.
    mask = tf.linalg.matrix_transpose(batch_pair_mask(batch, shape))  # [B, n, S + 2w, S]
    pairs = tf.reduce_sum(mask, 2, keepdims=True)  # [B, n, 1, S]
    noise_weights = tf.repeat(pairs * (shape.negative / block_negatives), block_negatives, 2)
    weights = tf.concat([mask, noise_weights], 2)
    sign = tf.constant([-1.0] * mask.shape[2] + [1.0] * block_negatives)[:, None]

    logits = tf.matmul(candidates, targets, transpose_b=True)  # [B, n, C, S]
    softplus, sigmoid = _softplus_and_sigmoid(logits * sign)
    slopes = sigmoid * sign
    candidate_rows = tf.matmul(weights * slopes, targets)  # [B, n, C, D]
    transposed = tf.linalg.matrix_transpose(weights) * tf.linalg.matrix_transpose(slopes)
    target_rows = tf.matmul(transposed, candidates)  # [B, n, S, D]
    frame_rows, negative_rows = tf.split(candidate_rows, [mask.shape[2], block_negatives], 2)

    token_ids = tf.reshape(ids, [-1])
    return TableGradients(
        LossTotals(
            tf.reduce_sum(weights * softplus),
            tf.reduce_sum(pairs),
            _hits(logits, mask, min(shape.negative, block_negatives)),
        ),
        (RowGradients(token_ids, flat_rows(target_rows)),),
        (
            RowGradients(token_ids, flat_rows(overlap_add(frame_rows, halo))),
            RowGradients(tf.reshape(batch.negatives, [-1]), flat_rows(negative_rows)),
        ),
    )


def flat_rows(rows: tf.Tensor) -> tf.Tensor:
    """Returns rows [..., D] one after the other, [n, D]."""
    return tf.reshape(rows, [-1, rows.shape[-1]])


def table_rows(table: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """Returns rows of a table, [..., D] float32, for ids [...] int32."""
    if tf.config.list_logical_devices("GPU") and table.shape[1] % 2 == 0:
        return _rows_as_int64(table, ids)
    return tf.gather(table, ids)


def _rows_as_int64(table: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """Returns the rows, read as pairs of floats in int64.

    A workaround for GPUs: in a program that reads floats, XLA (TensorFlow 2.21) chooses a
    column-major layout for the table and transposes all of it, and back, in every step. A bitcast
    between types of different width forces the row-major layout.
    """
    count, size = table.shape
    float_pairs = tf.bitcast(tf.reshape(table, [count, size // 2, 2]), tf.int64)
    return tf.reshape(tf.bitcast(tf.gather(float_pairs, ids), tf.float32), [*ids.shape, size])


def batch_pair_mask(batch: Batch, shape: RecordShape) -> tf.Tensor:
    """Returns [B, n, S, S + 2w] float32: 1 where a target and a token of its frame are a pair.

    They are a pair if they are in the same sentence and not further apart than the target's window.
    """
    blocks, halo = [batch.tokens.shape[0], shape.blocks, shape.block], shape.window
    starts = frame(tf.reshape(tf.cast(batch.windows >= SENTENCE_START, tf.float32), blocks), halo)
    is_token = frame(tf.reshape(tf.cast(batch.tokens >= 0, tf.float32), blocks), halo)
    # A product with a triangle of ones is a cumulative sum; XLA compiles tf.cumsum to a
    # reduce-window of ten passes over the batch.
    triangle = tf.constant(np.triu(np.ones([starts.shape[2]] * 2, np.float32)))
    sentences = (1.0 + tf.matmul(starts, triangle)) * is_token  # [B, n, S + 2w]; 0: no token
    target_sentences = sentences[:, :, halo : halo + shape.block, None]
    windows = tf.reshape(tf.cast(batch.windows, tf.int32) & WINDOW_BITS, blocks)
    offsets = np.arange(shape.block + 2 * shape.window) - shape.window
    distance = tf.constant(np.abs(offsets[None] - np.arange(shape.block)[:, None]), tf.int32)
    is_pair = (
        (sentences[:, :, None, :] == target_sentences)
        & (target_sentences > 0)
        & (distance > 0)
        & (distance <= windows[..., None])
    )
    return tf.cast(is_pair, tf.float32)


def frame(blocks: tf.Tensor, halo: int) -> tf.Tensor:
    """Returns each block with `halo` neighbours on either side, zeros beyond the record.

    Args:
        blocks: [B, n, S, ...].
        halo: w, at most S.

    Returns:
        [B, n, S + 2w, ...].
    """
    size = blocks.shape[2]
    no_padding = [[0, 0]] * (blocks.shape.rank - 2)
    before = tf.pad(blocks[:, :-1, size - halo :], [[0, 0], [1, 0], *no_padding])
    after = tf.pad(blocks[:, 1:, :halo], [[0, 0], [0, 1], *no_padding])
    return tf.concat([before, blocks, after], 2)


def overlap_add(framed: tf.Tensor, halo: int) -> tf.Tensor:
    """Returns [B, n, S, D]: the sum over the frames that a token is in; the transpose of `frame`.

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


def _softplus_and_sigmoid(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns log(1 + e ** x) and 1 / (1 + e ** -x), from one exponential and without overflow."""
    small = tf.exp(-tf.abs(logits))
    inverse = 1.0 / (1.0 + small)
    softplus = tf.maximum(logits, 0.0) - tf.math.log(inverse)
    return softplus, tf.where(logits >= 0.0, inverse, small * inverse)


def _hits(logits: tf.Tensor, mask: tf.Tensor, negative: int) -> tf.Tensor:
    """Returns [] float32: the pairs whose logit is above those of the first negatives.

    Args:
        logits: [B, n, C, S].
        mask: [B, n, S + 2w, S].
        negative: how many negatives of the block are compared with.
    """
    contexts = mask.shape[2]
    highest = tf.reduce_max(logits[:, :, contexts : contexts + negative], 2, keepdims=True)
    return tf.reduce_sum(mask * tf.cast(logits[:, :, :contexts] > highest, tf.float32))
