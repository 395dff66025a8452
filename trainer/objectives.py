"""Architectures and objectives: what predicts what in a block, and what a prediction costs.

Each is one small function, in the banded form of `model`; any architecture goes with any objective.
With T and C the target and the context table, w_i the word of token i, M_ij whether j is a context
of i, and n_k the K negatives of the block, each of which counts negative / K times:

    skipgram            h_i = T[w_i]                           is to find each C[w_j]    (P_ij)
    cbow                h_i = mean of T[w_j] over contexts j   is to find C[w_i]         (P_i)
    negative_sampling   M * softplus(-P) + M * negative / K * sum softplus(h . C[n_k])
    softmax             M * -log(e ** P / (e ** P + negative / K * sum e ** (h . C[n_k])))

Where K is `negative`, softmax is the categorical cross-entropy over 1 + negative words of
TensorFlow's word2vec tutorial. CBOW's gradient is divided by the number of contexts as its mean is,
which word2vec.c and gensim leave out (Irsoy, Benton and Stratos 2021, arXiv:2012.15332).

The default pair of the two stands in `model`, fused by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from pmc2vec.dataset.records import RecordShape
from trainer import model
from trainer.input_pipeline import Batch
from trainer.model import Gradients, Totals, frame, overlap_add, pair_mask, rows_of
from trainer.optimizers import RowGradients

Tensor = Any
Product = Callable[..., Tensor]

SKIPGRAM, CBOW = "skipgram", "cbow"
NEGATIVE_SAMPLING, SOFTMAX = "negative_sampling", "softmax"


class GradientFunction(Protocol):
    """What a batch says about both tables; `model.gradients` is one."""

    def __call__(
        self, target: tf.Variable, context: tf.Variable, batch: Batch, shape: RecordShape
    ) -> Gradients:
        """Returns the loss of a batch, summed over its predictions, and its gradients."""
        ...


class Costs(NamedTuple):
    """What the predictions of a batch cost.

    Attributes:
        loss: [] float32, summed over predictions.
        positive: [B, n, S, F] float32, the loss's slope in each positive logit.
        negative: [B, n, S, K] float32, likewise.
    """

    loss: Tensor
    positive: Tensor
    negative: Tensor


Objective = Callable[[Tensor, Tensor, Tensor, float], Costs]


def gradient_function(
    architecture: str = SKIPGRAM,
    objective: str = NEGATIVE_SAMPLING,
    *,
    mixed_precision: bool = False,
) -> GradientFunction:
    """Returns how to compute loss and gradients.

    Args:
        architecture: a key of `ARCHITECTURES`.
        objective: a key of `OBJECTIVES`.
        mixed_precision: multiply matrices in bfloat16 and add up in float32.
    """
    if (architecture, objective, mixed_precision) == (SKIPGRAM, NEGATIVE_SAMPLING, False):
        return model.gradients
    product = product_bfloat16 if mixed_precision else tf.matmul
    return partial(ARCHITECTURES[architecture], objective=OBJECTIVES[objective], product=product)


# --- objectives --------------------------------------------------------------------------------


def negative_sampling(positive: Tensor, negative: Tensor, mask: Tensor, share: float) -> Costs:
    """Returns the costs of one yes-or-no question for each word (Mikolov et al. 2013).

    Args:
        positive: [B, n, S, F] float32 logits.
        negative: [B, n, S, K] float32 logits.
        mask: [B, n, S, F] float32, 1 where there is a prediction.
        share: how often each negative counts.
    """
    weights = share * tf.reduce_sum(mask, 3, keepdims=True)  # [B, n, S, 1]
    loss = tf.reduce_sum(mask * tf.nn.softplus(-positive))
    loss += tf.reduce_sum(weights * tf.nn.softplus(negative))
    return Costs(loss, -mask * tf.sigmoid(-positive), weights * tf.sigmoid(negative))


def softmax(positive: Tensor, negative: Tensor, mask: Tensor, share: float) -> Costs:
    """Returns the costs of one choice among the right word and the negatives.

    -log(e ** p / (e ** p + noise)) is softplus(log(noise) - p): arguments as `negative_sampling`.
    """
    noise = tf.reduce_logsumexp(negative, 3, keepdims=True) + tf.math.log(share)  # [B, n, S, 1]
    gap = noise - positive
    slopes = mask * tf.sigmoid(gap)
    return Costs(
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
    *,
    objective: Objective,
    product: Product,
) -> Gradients:
    """Returns loss and gradients where a word is to find each of its contexts."""
    ids, targets = _token_rows(target, batch, shape)
    _, contexts = _token_rows(context, batch, shape)
    framed, negatives = frame(contexts, shape.window), _negative_rows(context, batch, shape)
    mask = pair_mask(batch, shape)

    positive = product(targets, framed, transpose_b=True)  # [B, n, S, S + 2w]
    negative = product(targets, negatives, transpose_b=True)  # [B, n, S, K]
    costs = objective(positive, negative, mask, shape.negative / shape.block_negatives)

    target_rows = product(costs.positive, framed) + product(costs.negative, negatives)
    framed_rows = product(costs.positive, targets, transpose_a=True)
    return Gradients(
        _totals(costs.loss, positive, negative, mask, shape),
        (RowGradients(ids, _flat(target_rows)),),
        (
            RowGradients(ids, _flat(overlap_add(framed_rows, shape.window))),
            RowGradients(
                tf.reshape(batch.negatives, [-1]),
                _flat(product(costs.negative, targets, transpose_a=True)),
            ),
        ),
    )


def cbow(
    target: tf.Variable,
    context: tf.Variable,
    batch: Batch,
    shape: RecordShape,
    *,
    objective: Objective,
    product: Product,
) -> Gradients:
    """Returns loss and gradients where the mean of a word's contexts is to find the word.

    The contexts are read from the target table, since it holds the word vectors that come out; a
    prediction is counted as one pair.
    """
    ids, rows = _token_rows(target, batch, shape)
    _, words = _token_rows(context, batch, shape)
    framed, negatives = frame(rows, shape.window), _negative_rows(context, batch, shape)
    mask = pair_mask(batch, shape)
    contexts = tf.reduce_sum(mask, 3, keepdims=True)  # [B, n, S, 1]
    mean = mask / tf.maximum(contexts, 1.0)

    hidden = product(mean, framed)  # [B, n, S, D]
    positive = tf.reduce_sum(hidden * words, 3, keepdims=True)  # [B, n, S, 1]
    negative = product(hidden, negatives, transpose_b=True)  # [B, n, S, K]
    predicted = tf.minimum(contexts, 1.0)
    costs = objective(positive, negative, predicted, shape.negative / shape.block_negatives)

    hidden_rows = costs.positive * words + product(costs.negative, negatives)
    framed_rows = product(mean, hidden_rows, transpose_a=True)
    return Gradients(
        _totals(costs.loss, positive, negative, predicted, shape),
        (RowGradients(ids, _flat(overlap_add(framed_rows, shape.window))),),
        (
            RowGradients(ids, _flat(costs.positive * hidden)),
            RowGradients(
                tf.reshape(batch.negatives, [-1]),
                _flat(product(costs.negative, hidden, transpose_a=True)),
            ),
        ),
    )


OBJECTIVES: dict[str, Objective] = {NEGATIVE_SAMPLING: negative_sampling, SOFTMAX: softmax}

ARCHITECTURES: dict[str, Callable[..., Gradients]] = {SKIPGRAM: skipgram, CBOW: cbow}


# --- what they share ---------------------------------------------------------------------------


def product_bfloat16(
    a: Tensor, b: Tensor, *, transpose_a: bool = False, transpose_b: bool = False
) -> Tensor:
    """Returns the float32 product of two float32 matrices, each rounded to bfloat16 before.

    Only XLA has this kernel, which GPUs and TPUs have in hardware.
    """
    return tf.raw_ops.BatchMatMulV3(
        x=tf.cast(a, tf.bfloat16),
        y=tf.cast(b, tf.bfloat16),
        Tout=tf.float32,
        adj_x=transpose_a,
        adj_y=transpose_b,
    )


def _token_rows(table: tf.Variable, batch: Batch, shape: RecordShape) -> tuple[Tensor, Tensor]:
    """Returns the ids of all tokens, [B * T], 0 for padding, and their rows, [B, n, S, D]."""
    ids = tf.reshape(tf.maximum(batch.tokens, 0), [-1])
    blocks = [batch.tokens.shape[0], shape.blocks, shape.block, -1]
    return ids, tf.reshape(rows_of(table, ids), blocks)


def _negative_rows(table: tf.Variable, batch: Batch, shape: RecordShape) -> Tensor:
    """Returns the rows of the negatives, [B, n, K, D]."""
    blocks = [batch.tokens.shape[0], shape.blocks, shape.block_negatives]
    return rows_of(table, tf.reshape(batch.negatives, blocks))


def _totals(
    loss: Tensor, positive: Tensor, negative: Tensor, mask: Tensor, shape: RecordShape
) -> Totals:
    rivals = negative[..., : min(shape.negative, shape.block_negatives)]
    best = tf.reduce_max(rivals, 3, keepdims=True)
    hits = mask * tf.cast(positive > best, tf.float32)
    return Totals(loss, tf.reduce_sum(mask), tf.reduce_sum(hits))


def _flat(rows: Tensor) -> Tensor:
    return tf.reshape(rows, [-1, rows.shape[-1]])
