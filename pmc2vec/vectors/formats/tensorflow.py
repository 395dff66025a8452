"""What TensorFlow and Keras load: an Embedding that takes text, and a model for TensorFlow Serving.

Importing this module loads neither; the `write` functions do.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmc2vec.dataset.vocabulary import UNKNOWN_WORD
from pmc2vec.errors import UserError
from pmc2vec.machine import load_tensorflow
from pmc2vec.storage.local_files import atomic_local_folder, scratch_folder
from pmc2vec.vectors.formats.vector_table import (
    ASCII_SPACE,
    FormatFiles,
    Matrix,
    VectorFormat,
    VectorTable,
    WriteOptions,
    check_unique,
    check_words,
    first_places,
    plain_writer,
    read_lines,
    row_norms,
)
from pmc2vec.vectors.optional_packages import import_optional

if TYPE_CHECKING:
    import tensorflow as tf

# Rows of a Keras embedding before the first word: padding, and words outside the vocabulary.
SPECIAL_ROWS = 2

# Drawn rows are as wide as the numbers of so many vectors, which is enough to know.
_SAMPLE_ROWS = 1 << 16


def read_keras_vocabulary(path: Path) -> list[str]:
    """Returns a classifier's vocabulary: a word in each row, as `get_vocabulary()` lists them.

    Keras's own first entries, the empty one and `[UNK]`, are left out.

    Raises:
        UserError: there is no such file, it is empty, or not UTF-8.
    """
    words = [line.rstrip("\r") for line in read_lines(path)]
    return [word for word in words if word not in {"", UNKNOWN_WORD}]


def embedding_table(
    table: VectorTable, vocabulary: Sequence[str], *, random_unknown: bool
) -> tuple[Matrix, int]:
    """Returns the rows of an Embedding for a vocabulary, and how many of its words have vectors.

    Args:
        table: words with their vectors.
        vocabulary: words, most frequent first.
        random_unknown: draw rows for words without a vector, from a normal distribution as wide as
            that of the numbers in `table`, with a fixed seed; else these rows are zero.

    Returns:
        [2 + words, D] float32: padding (always zero), words outside the vocabulary, and each word.
        The second row is the vector of `[UNK]` where the table has one (`build --unknown keep`).
    """
    vector_size = table.matrix.shape[1]
    embedding = np.zeros((len(vocabulary) + SPECIAL_ROWS, vector_size), np.float32)
    if random_unknown:
        spread = float(np.std(table.matrix[:_SAMPLE_ROWS]))
        embedding[1:] = np.random.default_rng(0).normal(
            0, spread, (len(embedding) - 1, vector_size)
        )
    word_ids = first_places(table.words)
    if UNKNOWN_WORD in word_ids:
        embedding[1] = table.matrix[word_ids[UNKNOWN_WORD]]
    covered = [place for place, word in enumerate(vocabulary) if word in word_ids]
    rows = [word_ids[vocabulary[place]] for place in covered]
    embedding[np.array(covered, np.int64) + SPECIAL_ROWS] = table.matrix[rows]
    return embedding, len(covered)


def write_keras(
    path: Path,
    table: VectorTable,
    vocabulary: Sequence[str],
    *,
    random_unknown: bool,
    mask_unknown: bool,
) -> int:
    """Writes a Keras model of text: TextVectorization, Embedding, Masking; see `embedding_table`.

    The model splits text at spaces. It makes text lower-case where every word of the vocabulary is
    lower-case, and takes out punctuation where no word has any.

    Args:
        path: file, named `.keras`.
        table: words with their vectors.
        vocabulary: of the layer; words without spaces, no two alike.
        random_unknown: draw rows for words without a vector; else they are zero.
        mask_unknown: mask words whose row is zero, so that a mean does not count them; they are
            then not trained.

    Returns:
        How many words of the vocabulary have vectors, at least one.

    Raises:
        UserError: TensorFlow is not installed, a word is not possible, or none has a vector.
    """
    check_words(vocabulary, f"{ASCII_SPACE}|^{re.escape(UNKNOWN_WORD)}$", path)
    check_unique(vocabulary, path)
    rows, covered = embedding_table(table, vocabulary, random_unknown=random_unknown)
    if not covered:
        raise UserError(f"{path.name}: no word of the vocabulary has a vector; give another one")
    model = _embedding_model(vocabulary, rows, mask_unknown=mask_unknown)
    with scratch_folder(path) as folder:
        model.save(temporary := folder / path.name)
        temporary.replace(path)
    return covered


def _embedding_model(vocabulary: Sequence[str], rows: Matrix, *, mask_unknown: bool) -> Any:
    """Returns the keras.Model of `write_keras`; `rows` are those of `embedding_table`."""
    keras = _load_keras()
    embedding = keras.layers.Embedding(*rows.shape, mask_zero=True, name="embedding")
    # Masks the rows that are zero: padding, and words without a vector.
    masking = [keras.layers.Masking(name="mask")] if mask_unknown else []
    model = keras.Sequential(
        [
            keras.Input(shape=(), dtype="string", name="text"),
            # Not by set_vocabulary later: Keras would then split the words at U+2028 too.
            keras.layers.TextVectorization(
                vocabulary=list(vocabulary),
                standardize=_standardization(vocabulary),
                split="whitespace",
                name="words",
            ),
            embedding,
            *masking,
        ]
    )
    embedding.set_weights([rows])
    return model


def _standardization(vocabulary: Sequence[str]) -> str | None:
    """Returns what Keras does to text before it splits it, so that it meets these words.

    >>> _standardization(["il2", "fever"]), _standardization(["il-2"]), _standardization(["IL-2"])
    ('lower_and_strip_punctuation', 'lower', None)
    """
    is_lower = all(word == word.lower() for word in vocabulary)
    if any(mark in word for word in vocabulary for mark in string.punctuation):
        return "lower" if is_lower else None
    return "lower_and_strip_punctuation" if is_lower else "strip_punctuation"


def write_saved_model(path: Path, table: VectorTable) -> list[Path]:
    """Writes a SavedModel whose signatures take words, and returns its folder.

    `embed(words)` returns `vectors`, [N, D] float32, zero for an unknown word, and `known`, [N].
    `neighbours(words, topn)` returns `neighbours` and `cosines`, [N, topn], nearest first (empty
    and 0 for an unknown word), and `known`.

    Args:
        path: folder, which is replaced.
        table: words, no two alike, with their vectors.

    Raises:
        UserError: TensorFlow is not installed, or a word comes twice.
    """
    check_unique(table.words, path)
    _load_keras()
    import tensorflow as tf

    module = _saved_module(table)
    signatures = {"serving_default": module.embed, "embed": module.embed}
    with atomic_local_folder(path) as folder:
        tf.saved_model.save(
            module, str(folder), signatures={**signatures, "neighbours": module.neighbours}
        )
    return [path]


def _load_keras() -> Any:
    """Returns the module Keras, with TensorFlow behind it and without messages."""
    load_tensorflow()
    tensorflow = import_optional("tensorflow", extra="trainer", purpose="this format")
    tensorflow.get_logger().setLevel("WARNING")
    return import_optional("keras", extra="trainer", purpose="this format")


def _saved_module(table: VectorTable) -> Any:
    """Returns the tf.Module that is saved."""
    import tensorflow as tf

    words_spec = tf.TensorSpec([None], tf.string, name="words")

    class WordVectors(tf.Module):
        """Holds the matrix as a variable: a constant is limited to the 2 GB of a graph."""

        def __init__(self) -> None:
            super().__init__()
            self.matrix = tf.Variable(np.asarray(table.matrix), trainable=False, name="matrix")
            lengths = np.maximum(row_norms(table), np.finfo(np.float32).tiny)[:, None]
            self.lengths = tf.Variable(lengths, trainable=False, name="lengths")  # [V, 1]
            self.words = tf.constant(list(table.words))
            ids = tf.range(len(table.words), dtype=tf.int64)
            entries = tf.lookup.KeyValueTensorInitializer(self.words, ids)
            self.ids = tf.lookup.StaticHashTable(entries, default_value=-1)

        @tf.function(input_signature=[words_spec])
        def embed(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
            """Returns `vectors` [N, D] float32, zeros for unknown words, and `known` [N] bool."""
            ids = self.ids.lookup(words)
            in_vocabulary = ids >= 0
            rows = tf.gather(self.matrix, tf.maximum(ids, 0))
            return {"vectors": tf.where(in_vocabulary[:, None], rows, 0.0), "known": in_vocabulary}

        @tf.function(input_signature=[words_spec, tf.TensorSpec([], tf.int32, name="topn")])
        def neighbours(self, words: tf.Tensor, topn: tf.Tensor) -> dict[str, tf.Tensor]:
            """Returns `neighbours` and `cosines`, [N, topn], nearest first, and `known` [N]."""
            ids = self.ids.lookup(words)
            in_vocabulary = ids >= 0
            cosines = _cosines_with_others(self.matrix, self.lengths, tf.maximum(ids, 0))
            best, places = tf.math.top_k(cosines, tf.clip_by_value(topn, 0, len(table.words) - 1))
            return {
                "neighbours": tf.where(in_vocabulary[:, None], tf.gather(self.words, places), ""),
                "cosines": tf.where(in_vocabulary[:, None], best, 0.0),
                "known": in_vocabulary,
            }

    return WordVectors()


def _cosines_with_others(matrix: tf.Tensor, lengths: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Returns the cosines of the words `ids`, [N], with all words, [N, V].

    That of a word with itself is minus infinity: it is not its own neighbour.

    Args:
        matrix: [V, D], the vectors.
        lengths: [V, 1], of the vectors.
        ids: [N] int64.
    """
    import tensorflow as tf

    units = tf.gather(matrix, ids) / tf.gather(lengths, ids)  # [N, D]
    cosines = tf.matmul(units, matrix, transpose_b=True)  # [N, V]
    cosines /= tf.transpose(lengths)
    rows = tf.range(tf.size(ids, out_type=tf.int64))
    return tf.tensor_scatter_nd_update(
        cosines,
        tf.stack([rows, ids], axis=1),
        tf.fill(tf.shape(ids), np.float32(-np.inf)),
    )


# --- the formats -------------------------------------------------------------------------------


def _write_keras_format(path: Path, table: VectorTable, options: WriteOptions) -> FormatFiles:
    vocabulary: Sequence[str] = [word for word in table.words if word != UNKNOWN_WORD]
    if options.keras_vocabulary is not None:
        vocabulary = read_keras_vocabulary(options.keras_vocabulary)
    random_unknown = options.keras_unknown == "random"
    covered = write_keras(
        path,
        table,
        vocabulary,
        random_unknown=random_unknown,
        # A classifier's own vocabulary is to be trained, also where its rows begin at zero.
        mask_unknown=options.keras_vocabulary is None and not random_unknown,
    )
    note = f"{path}: {covered:,} of {len(vocabulary):,} words have vectors; it needs TensorFlow"
    if (_standardization(vocabulary) or "").endswith("punctuation"):
        return FormatFiles([path], note)
    return FormatFiles([path], f"{note}, and text from ' '.join(pmc2vec.tokenize(text))")


KERAS_FORMAT = VectorFormat(
    name="keras",
    file_name="embedding.keras",
    files="embedding.keras",
    other_programs='`keras.models.load_model("embedding.keras")`',
    write=_write_keras_format,
)

SAVED_MODEL_FORMAT = VectorFormat(
    name="saved_model",
    file_name="saved_model/1",  # TensorFlow Serving takes the folder above and looks for versions.
    files="saved_model/1",
    other_programs='`tf.saved_model.load("saved_model/1")`, TensorFlow Serving',
    write=plain_writer(write_saved_model),
)
