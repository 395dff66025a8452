"""Architectures and objectives: what predicts what in a block, and the loss of a prediction.

Each is one small function, in the banded form of `model`; any architecture goes with any objective.
T[w] is the vector of word w in the target table (see `model.InputRows`), C[w] its row of the
context table, w_i the word of token i; M_ij is 1 where j is a context of i; n_k are the K negatives
of the block, each with weight negative / K:

    skipgram            h_i = T[w_i]                           predicts each C[w_j]    (P_ij)
    cbow                h_i = mean of T[w_j] over contexts j   predicts C[w_i]         (P_i)
    negative_sampling   M * softplus(-P) + M * negative / K * sum softplus(h . C[n_k])
    softmax             M * -log(e ** P / (e ** P + negative / K * sum e ** (h . C[n_k])))

Where K equals `negative`, softmax is the categorical cross-entropy over 1 + negative words of
TensorFlow's word2vec tutorial. CBOW's gradient is divided by the number of contexts, as the mean
is; word2vec.c and gensim leave that out (Irsoy, Benton and Stratos 2021, arXiv:2012.15332).

Skip-gram with negative sampling in float32, the default, is in `model`, fused by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import tensorflow as tf

from pmc2vec.dataset.records import RecordShape
from trainer import model
from trainer.input_pipeline import Batch
from trainer.model import (
    WORD_ROWS,
    InputRows,
    LossTotals,
    TableGradients,
    batch_pair_mask,
    flat_rows,
    frame,
    overlap_add,
    table_rows,
)
from trainer.optimizers import RowGradients

MatrixProduct = Callable[..., tf.Tensor]
"""`tf.matmul`, or a function with its arguments."""

SKIPGRAM, CBOW = "skipgram", "cbow"
NEGATIVE_SAMPLING, SOFTMAX = "negative_sampling", "softmax"


class GradientFunction(Protocol):
    """Computes the gradients of a batch with respect to both tables, as `model.gradients` does."""

    def __call__(
        self,
        target: tf.Variable,
        context: tf.Variable,
        batch: Batch,
        shape: RecordShape,
        input_rows: InputRows = WORD_ROWS,
    ) -> TableGradients:
        """Returns the loss of a batch, summed over its predictions, and its gradients."""
        ...


def chance_loss(objective: str, negative: int) -> float:
    """Returns the loss of a prediction by vectors that know nothing: all logits are 0.

    >>> round(chance_loss(NEGATIVE_SAMPLING, 5), 2), round(chance_loss(SOFTMAX, 5), 2)
    (4.16, 1.79)
    """
    return math.log1p(negative) if objective == SOFTMAX else (1 + negative) * math.log(2)


class ObjectiveGradients(NamedTuple):
    """The loss of a batch and its derivatives with respect to the logits.

    Attributes:
        loss: [] float32, summed over predictions.
        positive: [B, n, S, F] float32, dloss / dlogit of the positive logits.
        negative: [B, n, S, K] float32, of the negative logits.
    """

    loss: tf.Tensor
    positive: tf.Tensor
    negative: tf.Tensor


Objective = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, float], ObjectiveGradients]


def gradient_function(
    architecture: str = SKIPGRAM,
    objective: str = NEGATIVE_SAMPLING,
    *,
    mixed_precision: bool = False,
) -> GradientFunction:
    """Returns the function that computes loss and gradients.

    Args:
        architecture: a key of `ARCHITECTURES`.
        objective: a key of `OBJECTIVES`.
        mixed_precision: multiply matrices in bfloat16 and accumulate in float32.
    """
    if (architecture, objective, mixed_precision) == (SKIPGRAM, NEGATIVE_SAMPLING, False):
        return model.gradients
    matmul = matmul_bfloat16 if mixed_precision else tf.matmul
    return partial(ARCHITECTURES[architecture], objective=OBJECTIVES[objective], matmul=matmul)


# --- objectives --------------------------------------------------------------------------------


def negative_sampling(
    positive: tf.Tensor, negative: tf.Tensor, mask: tf.Tensor, negative_weight: float
) -> ObjectiveGradients:
    """Returns the loss of one binary classification for each word (Mikolov et al. 2013).

    Args:
        positive: [B, n, S, F] float32 logits.
        negative: [B, n, S, K] float32 logits.
        mask: [B, n, S, F] float32, 1 where there is a prediction.
        negative_weight: of each negative in the loss of a prediction.
    """
    weights = negative_weight * tf.reduce_sum(mask, 3, keepdims=True)  # [B, n, S, 1]
    loss = tf.reduce_sum(mask * tf.nn.softplus(-positive))
    loss += tf.reduce_sum(weights * tf.nn.softplus(negative))
    return ObjectiveGradients(loss, -mask * tf.sigmoid(-positive), weights * tf.sigmoid(negative))


def softmax(
    positive: tf.Tensor, negative: tf.Tensor, mask: tf.Tensor, negative_weight: float
) -> ObjectiveGradients:
    """Returns the loss of a softmax over the predicted word and the negatives.

    With noise = negative_weight * sum e ** negative, the loss -log(e ** p / (e ** p + noise)) is
    softplus(log(noise) - p). Arguments as `negative_sampling`.
    """
    log_noise = tf.reduce_logsumexp(negative, 3, keepdims=True)  # [B, n, S, 1]
    gap = log_noise + tf.math.log(negative_weight) - positive
    slopes = mask * tf.sigmoid(gap)
    return ObjectiveGradients(
        tf.reduce_sum(mask * tf.nn.softplus(gap)),
        -slopes,
        tf.reduce_sum(slopes, 3, keepdims=True) * tf.nn.softmax(negative, 3),
    )


# --- architectures -----------------------------------------------------------------------------


def skipgram(
    target: tf.Variable,
    context: tf.Variable,
    batch: Batch,
    shape: RecordShape,
    input_rows: InputRows = WORD_ROWS,
    *,
    objective: Objective,
    matmul: MatrixProduct,
) -> TableGradients:
    """Returns loss and gradients where a word predicts each of its contexts."""
    ids = _token_ids(batch)
    targets = _by_block(input_rows.lookup(target, ids), shape)  # [B, n, S, D]
    contexts = _by_block(table_rows(context, ids), shape)  # [B, n, S, D]
    framed, negatives = frame(contexts, shape.window), _negative_rows(context, batch, shape)
    mask = batch_pair_mask(batch, shape)

    positive = matmul(targets, framed, transpose_b=True)  # [B, n, S, S + 2w]
    negative = matmul(targets, negatives, transpose_b=True)  # [B, n, S, K]
    slopes = objective(positive, negative, mask, shape.negative / shape.block_negatives)

    target_rows = matmul(slopes.positive, framed) + matmul(slopes.negative, negatives)
    frame_rows = matmul(slopes.positive, targets, transpose_a=True)
    return TableGradients(
        _totals(slopes.loss, positive, negative, mask, shape),
        (RowGradients(_flat(ids), flat_rows(target_rows)),),
        (
            RowGradients(_flat(ids), flat_rows(overlap_add(frame_rows, shape.window))),
            RowGradients(
                _flat(batch.negatives),
                flat_rows(matmul(slopes.negative, targets, transpose_a=True)),
            ),
        ),
    )


def cbow(
    target: tf.Variable,
    context: tf.Variable,
    batch: Batch,
    shape: RecordShape,
    input_rows: InputRows = WORD_ROWS,
    *,
    objective: Objective,
    matmul: MatrixProduct,
) -> TableGradients:
    """Returns loss and gradients where the mean of a word's contexts predicts the word.

    The contexts are read from the target table, since that table holds the word vectors that are
    exported. A prediction counts as one pair.
    """
    ids = _token_ids(batch)
    inputs = _by_block(input_rows.lookup(target, ids), shape)  # [B, n, S, D]
    outputs = _by_block(table_rows(context, ids), shape)  # [B, n, S, D]
    framed, negatives = frame(inputs, shape.window), _negative_rows(context, batch, shape)
    mask = batch_pair_mask(batch, shape)
    context_counts = tf.reduce_sum(mask, 3, keepdims=True)  # [B, n, S, 1]
    mean = mask / tf.maximum(context_counts, 1.0)

    hidden = matmul(mean, framed)  # [B, n, S, D]
    positive = tf.reduce_sum(hidden * outputs, 3, keepdims=True)  # [B, n, S, 1]
    negative = matmul(hidden, negatives, transpose_b=True)  # [B, n, S, K]
    predictions = tf.minimum(context_counts, 1.0)  # 1 for a word with contexts
    slopes = objective(positive, negative, predictions, shape.negative / shape.block_negatives)

    hidden_rows = slopes.positive * outputs + matmul(slopes.negative, negatives)
    frame_rows = matmul(mean, hidden_rows, transpose_a=True)
    return TableGradients(
        _totals(slopes.loss, positive, negative, predictions, shape),
        (RowGradients(_flat(ids), flat_rows(overlap_add(frame_rows, shape.window))),),
        (
            RowGradients(_flat(ids), flat_rows(slopes.positive * hidden)),
            RowGradients(
                _flat(batch.negatives),
                flat_rows(matmul(slopes.negative, hidden, transpose_a=True)),
            ),
        ),
    )


OBJECTIVES: dict[str, Objective] = {NEGATIVE_SAMPLING: negative_sampling, SOFTMAX: softmax}

ARCHITECTURES: dict[str, Callable[..., TableGradients]] = {SKIPGRAM: skipgram, CBOW: cbow}


# --- shared by both architectures --------------------------------------------------------------


def matmul_bfloat16(
    a: tf.Tensor, b: tf.Tensor, *, transpose_a: bool = False, transpose_b: bool = False
) -> tf.Tensor:
    """Returns the float32 product of two float32 matrices, each first rounded to bfloat16.

    GPUs and TPUs do this in hardware. TensorFlow has the kernel under XLA only.
    """
    return tf.raw_ops.BatchMatMulV3(
        x=tf.cast(a, tf.bfloat16),
        y=tf.cast(b, tf.bfloat16),
        Tout=tf.float32,
        adj_x=transpose_a,
        adj_y=transpose_b,
    )


def _token_ids(batch: Batch) -> tf.Tensor:
    """Returns the word ids of all tokens, [B, T], 0 for padding."""
    return tf.maximum(batch.tokens, 0)


def _by_block(rows: tf.Tensor, shape: RecordShape) -> tf.Tensor:
    """Returns rows [B, T, D] as [B, n, S, D]."""
    return tf.reshape(rows, [rows.shape[0], shape.blocks, shape.block, rows.shape[-1]])


def _negative_rows(table: tf.Variable, batch: Batch, shape: RecordShape) -> tf.Tensor:
    """Returns the rows of the negatives, [B, n, K, D]."""
    blocks = [batch.tokens.shape[0], shape.blocks, shape.block_negatives]
    return table_rows(table, tf.reshape(batch.negatives, blocks))


def _totals(
    loss: tf.Tensor, positive: tf.Tensor, negative: tf.Tensor, mask: tf.Tensor, shape: RecordShape
) -> LossTotals:
    compared = negative[..., : min(shape.negative, shape.block_negatives)]
    highest = tf.reduce_max(compared, 3, keepdims=True)
    hits = mask * tf.cast(positive > highest, tf.float32)
    return LossTotals(loss, tf.reduce_sum(mask), tf.reduce_sum(hits))


def _flat(ids: tf.Tensor) -> tf.Tensor:
    return tf.reshape(ids, [-1])
