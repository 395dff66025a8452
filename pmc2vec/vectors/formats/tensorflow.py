"""What TensorFlow and Keras load: an Embedding that takes text, and a model for TensorFlow Serving.

Importing this module loads neither; each `write` function does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmc2vec.errors import UserError
from pmc2vec.machine import load_tensorflow
from pmc2vec.vectors.optional_packages import load
from pmc2vec.vectors.vector_files import Matrix, check_unique, check_words, lines, scratch

if TYPE_CHECKING:
    from pmc2vec.vectors.word_vectors import Vectors

KERAS = "embedding.keras"
SAVED_MODEL = "saved_model/1"
"""With a version, as TensorFlow Serving wants it: it is given the folder above."""

UNKNOWN = "[UNK]"
SPECIAL = 2
"""Rows of a Keras embedding that are no word: padding, and words outside the vocabulary."""


def read_vocabulary(path: Path) -> list[str]:
    """Returns a classifier's vocabulary: a word in each row, as `get_vocabulary()` lists them.

    Keras's own first entries, the empty one and `[UNK]`, are left out.

    Raises:
        UserError: there is no such file, it is empty, or not UTF-8.
    """
    words = [line.rstrip("\r") for line in lines(path)]
    return [word for word in words if word not in {"", UNKNOWN}]


def embedding_table(
    vectors: Vectors, vocabulary: Sequence[str], *, random_unknown: bool
) -> tuple[Matrix, int]:
    """Returns the rows of an Embedding for a vocabulary, and how many of its words have vectors.

    Args:
        vectors: what is known.
        vocabulary: words, most frequent first.
        random_unknown: rows of words without a vector are drawn, normally and as widely as the
            numbers of `vectors` vary, always the same ones; else they are zero.

    Returns:
        [2 + words, D] float32: padding (always zero), words outside the vocabulary, and each word.
    """
    shape = (len(vocabulary) + SPECIAL, vectors.vector_size)
    table = np.zeros(shape, np.float32)
    if random_unknown:
        spread = float(np.std(vectors.matrix[: 1 << 16]))
        table[1:] = np.random.default_rng(0).normal(0, spread, (shape[0] - 1, shape[1]))
    places = [place for place, word in enumerate(vocabulary) if word in vectors]
    rows = [vectors.ids[vocabulary[place]] for place in places]
    table[np.array(places, np.int64) + SPECIAL] = vectors.matrix[rows]
    return table, len(places)


def write_keras(
    path: Path, vectors: Vectors, vocabulary: Sequence[str], *, random_unknown: bool
) -> int:
    """Writes a Keras model of text: TextVectorization, then Embedding; see `embedding_table`.

    Text is cut at spaces, and made lower-case where every word of the vocabulary is.

    Args:
        path: file, named `.keras`.
        vectors: what is known.
        vocabulary: of the layer; words without spaces, no two alike.
        random_unknown: rows of words without a vector are drawn; else they are zero.

    Returns:
        How many words of the vocabulary have vectors, at least one.

    Raises:
        UserError: TensorFlow is not installed, a word is not possible, or none has a vector.
    """
    check_words(vocabulary, r"[ \t\n\v\f\r]|^\[UNK\]$", path)
    check_unique(vocabulary, path)
    table, covered = embedding_table(vectors, vocabulary, random_unknown=random_unknown)
    if not covered:
        raise UserError(f"{path.name}: no word of the vocabulary has a vector; give another one")
    keras = _keras()
    lower = all(word == word.lower() for word in vocabulary)
    embedding = keras.layers.Embedding(*table.shape, mask_zero=True, name="embedding")
    model = keras.Sequential(
        [
            keras.Input(shape=(), dtype="string", name="text"),
            # Given here and not set later, for then Keras would cut the words at U+2028 too.
            keras.layers.TextVectorization(
                vocabulary=list(vocabulary),
                standardize="lower" if lower else None,
                split="whitespace",
                name="words",
            ),
            embedding,
        ]
    )
    embedding.set_weights([table])
    with scratch(path) as folder:
        model.save(made := folder / path.name)
        made.replace(path)
    return covered


def write_saved_model(path: Path, vectors: Vectors) -> None:
    """Writes a SavedModel whose signatures take words.

    `embed(words)` gives `vectors`, [N, D] float32, zero for an unknown word, and `known`, [N].
    `neighbours(words, topn)` gives `neighbours` and `cosines`, [N, topn], nearest first (empty and
    0 for an unknown word), and `known`.

    Args:
        path: folder; what is there is replaced.
        vectors: no two words alike.

    Raises:
        UserError: TensorFlow is not installed, or a word comes twice.
    """
    check_unique(vectors.words, path)
    _keras()
    import tensorflow as tf

    module = _module(vectors)
    signatures = {"serving_default": module.embed, "embed": module.embed}
    with _replacing_folder(path) as folder:
        tf.saved_model.save(
            module, str(folder), signatures={**signatures, "neighbours": module.neighbours}
        )


def _keras() -> Any:
    """Returns Keras, on TensorFlow and silent."""
    load_tensorflow()
    tensorflow = load("tensorflow", extra="trainer", purpose="this format")
    tensorflow.get_logger().setLevel("WARNING")
    return load("keras", extra="trainer", purpose="this format")


def _module(vectors: Vectors) -> Any:
    """Returns the tf.Module that is saved."""
    import tensorflow as tf

    words_spec = tf.TensorSpec([None], tf.string, name="words")

    class WordVectors(tf.Module):
        """The matrix as a variable, so that it is not limited to the 2 GB of a graph."""

        def __init__(self) -> None:
            super().__init__()
            self.matrix = tf.Variable(np.asarray(vectors.matrix), trainable=False, name="matrix")
            lengths = np.maximum(vectors.norms, np.finfo(np.float32).tiny)[:, None]
            self.lengths = tf.Variable(lengths, trainable=False, name="lengths")  # [V, 1]
            self.words = tf.constant(vectors.words)
            ids = tf.range(len(vectors), dtype=tf.int64)
            entries = tf.lookup.KeyValueTensorInitializer(self.words, ids)
            self.ids = tf.lookup.StaticHashTable(entries, default_value=-1)

        @tf.function(input_signature=[words_spec])
        def embed(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
            """Returns `vectors` [N, D] float32, zeros for unknown words, and `known` [N] bool."""
            ids = self.ids.lookup(words)
            known = ids >= 0
            rows = tf.gather(self.matrix, tf.maximum(ids, 0))
            return {"vectors": tf.where(known[:, None], rows, 0.0), "known": known}

        @tf.function(input_signature=[words_spec, tf.TensorSpec([], tf.int32, name="topn")])
        def neighbours(self, words: tf.Tensor, topn: tf.Tensor) -> dict[str, tf.Tensor]:
            """Returns `neighbours` and `cosines`, [N, topn], nearest first, and `known` [N]."""
            ids = self.ids.lookup(words)
            known = ids >= 0
            at = tf.maximum(ids, 0)
            units = tf.gather(self.matrix, at) / tf.gather(self.lengths, at)  # [N, D]
            cosines = tf.matmul(units, self.matrix, transpose_b=True)  # [N, V]
            cosines /= tf.transpose(self.lengths)
            rows = tf.range(tf.size(at, out_type=tf.int64))
            own = tf.stack([rows, at], axis=1)
            cosines = tf.tensor_scatter_nd_update(
                cosines, own, tf.fill(tf.shape(at), np.float32(-np.inf))
            )
            best, places = tf.math.top_k(cosines, tf.clip_by_value(topn, 0, len(vectors) - 1))
            return {
                "neighbours": tf.where(known[:, None], tf.gather(self.words, places), ""),
                "cosines": tf.where(known[:, None], best, 0.0),
                "known": known,
            }

    return WordVectors()


@contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    """Yields a new folder that takes the place of `path` when the work inside ends well."""
    with scratch(path) as temporary:
        yield (made := temporary / "new")
        if path.exists():
            path.replace(temporary / "old")
        made.replace(path)
