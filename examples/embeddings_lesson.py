"""The embeddings lesson: what word vectors are good for in a classifier of texts, and analogies.

    pmc2vec sample --output bulk --articles 1500
    pmc2vec build --input bulk --output dataset
    pmc2vec train --dataset dataset --workdir run --vector_size 64
    python examples/embeddings_lesson.py --bulk bulk --run run

A text of a few words is to be given its topic by the mean of its words' vectors and one dense
layer. There are few texts to learn from: most words of the others were never seen with a label.
Vectors from unlabelled articles know them all the same. The texts are made of the words that
`pmc2vec sample` planted, so the right answer is known.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pmc2vec import Vectors
from pmc2vec.cli import exit_codes, options
from pmc2vec.commands.export import main as export
from pmc2vec.machine import load_tensorflow
from pmc2vec.synthetic.ground_truth import GroundTruth, read_ground_truth

Texts = list[tuple[str, int]]
"""Texts, each with the number of its topic."""


@dataclass(frozen=True)
class LessonConfig:
    """Options of the lesson."""

    bulk: Path
    """Folder of `pmc2vec sample`."""
    run: Path
    """Workdir of the vectors."""
    texts: int = 4
    """Texts of each topic to learn from."""
    epochs: int = 30
    """Passes over them."""


def texts_of(topics: Mapping[str, Sequence[str]], count: int, noise: Sequence[str]) -> Texts:
    """Returns `count` texts of each topic: four of its words among eight of everybody's."""
    rng = random.Random(count)
    return [
        (" ".join(rng.sample([*rng.sample(words, 4), *rng.choices(noise, k=8)], 12)), number)
        for number, words in enumerate(topics.values())
        for _ in range(count)
    ]


def classifier(text_to_vectors: Any, topics: int, *, trainable: bool) -> Any:
    """Returns an embedding bag: the mean of the words' vectors, then a dense layer.

    Args:
        text_to_vectors: TextVectorization, Embedding and Masking, as `--format keras` writes them.
        topics: classes.
        trainable: whether the vectors are learned too.
    """
    import keras

    text_to_vectors.trainable = trainable
    return keras.Sequential(
        [
            keras.Input(shape=(), dtype="string"),
            *text_to_vectors.layers,
            keras.layers.GlobalAveragePooling1D(),  # Leaves out the padding, by the mask.
            keras.layers.Dense(topics, activation="softmax"),
        ]
    )


def accuracy(model: Any, train: Texts, test: Texts, *, epochs: int, rate: float = 0.02) -> float:
    """Returns the share of `test` that the model gets right after learning from `train`."""
    import keras
    import tensorflow as tf

    (x, y), (test_x, test_y) = (
        (tf.constant([text for text, _ in part]), tf.constant([topic for _, topic in part]))
        for part in (train, test)
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return float(model.evaluate(test_x, test_y, verbose=0)[1])


def lesson(config: LessonConfig) -> dict[str, float]:
    """Returns the accuracy with random, frozen and fine-tuned vectors."""
    import keras

    truth, vectors = read_ground_truth(config.bulk), Vectors.load(config.run)
    topics = {name: [w for w in words if w in vectors] for name, words in truth.topics.items()}
    noise = vectors.words[:200]
    train, test = texts_of(topics, config.texts, noise), texts_of(topics, 40, noise)
    export(["--workdir", str(config.run), "--format", "keras"])
    accuracies = {}
    for name in ("random", "frozen", "fine-tuned"):
        keras.utils.set_random_seed(1)
        bag = keras.models.load_model(config.run / "embedding.keras")
        if name == "random":
            table = bag.get_layer("embedding")
            rows = np.array(keras.random.normal(table.embeddings.shape, stddev=0.05))
            rows[:2] = 0  # Padding and unknown words stay masked.
            table.set_weights([rows])
        model = classifier(bag, len(topics), trainable=name == "random")
        accuracies[name] = accuracy(model, train, test, epochs=config.epochs)
        if name == "fine-tuned":  # When the dense layer is good already, and with small steps.
            bag.trainable = True
            accuracies[name] = accuracy(model, train, test, epochs=5, rate=0.001)
    return accuracies


def analogies(truth: GroundTruth, vectors: Vectors) -> list[tuple[str, str, str, str, str]]:
    """Returns planted analogies, with the vectors' answer: (a, b, c, right answer, answer)."""
    return [
        (a, b, c, d, vectors.analogy(a, b, c, topn=1)[0][0])
        for a, b, c, d in truth.analogies
        if all(word in vectors for word in (a, b, c, d))
    ]


def run(config: LessonConfig) -> int:
    """Prints what came out."""
    load_tensorflow()
    for name, share in lesson(config).items():
        print(f"{name:10}  {share:.0%} of the texts get the right topic")
    answers = analogies(read_ground_truth(config.bulk), Vectors.load(config.run))
    for a, b, c, right, answer in answers[:5]:
        print(
            f"{a} is to {b} as {c} is to {answer}" + ("" if answer == right else f", not {right}")
        )
    print(f"{sum(a == d for *_, d, a in answers):,} of {len(answers):,} analogies are right")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the lesson."""
    config = options.parse(
        LessonConfig, argv, prog="embeddings_lesson.py", description="Random, frozen, fine-tuned."
    )
    return exit_codes.run_program(lambda: run(config))


if __name__ == "__main__":
    sys.exit(main())
