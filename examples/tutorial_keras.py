"""The Keras model of TensorFlow's word2vec tutorial, trained on our shards with `model.fit`.

    python examples/tutorial_keras.py --dataset dataset --log_dir logs --output vectors
    tensorboard --logdir logs

https://www.tensorflow.org/text/tutorials/word2vec. The model is the tutorial's and sees single
pairs, in batches of 1,024; `pmc2vec train` trains on the same pairs in blocks.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import pmc2vec
from trainer.dataset_reader import open_dataset


class Word2Vec(keras.Model):
    """Two embeddings; the logit of a context is its dot product with the target."""

    def __init__(self, vocab_size: int, embedding_dim: int) -> None:
        super().__init__()
        self.target_embedding = keras.layers.Embedding(vocab_size, embedding_dim)
        self.context_embedding = keras.layers.Embedding(vocab_size, embedding_dim)

    def call(self, pair: tuple[Any, Any]) -> Any:
        """Returns logits [B, 1 + num_ns] of a target [B] and its contexts [B, 1 + num_ns]."""
        target, context = pair
        return tf.einsum(
            "be,bce->bc", self.target_embedding(target), self.context_embedding(context)
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Trains the model and, where asked, writes its word vectors."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dataset", required=True, help="folder that `pmc2vec build` wrote")
    parser.add_argument("--log_dir", type=Path, help="for TensorBoard")
    parser.add_argument("--output", type=Path, help="a folder for vectors.tsv and metadata.tsv")
    parser.add_argument("--embedding_dim", type=int, default=128)
    parser.add_argument("--num_ns", type=int, default=4)
    parser.add_argument("--batch_size", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps_per_epoch", type=int, help="by default all of the pairs")
    options = parser.parse_args(argv)

    vocabulary = open_dataset(options.dataset).vocabulary
    pairs = pmc2vec.pairs(
        options.dataset,
        batch_size=options.batch_size,
        negative=options.num_ns,
        unique_negatives=True,
    )
    model = Word2Vec(len(vocabulary), options.embedding_dim)
    model.compile(
        optimizer="adam",
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    callbacks = [keras.callbacks.TensorBoard(options.log_dir)] if options.log_dir else []
    if options.steps_per_epoch:
        pairs = pairs.take(options.steps_per_epoch)
    model.fit(pairs, epochs=options.epochs, callbacks=callbacks, shuffle=False, verbose=2)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        matrix = model.target_embedding.get_weights()[0]
        pmc2vec.Vectors(vocabulary.words, matrix, vocabulary.counts).save(options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
