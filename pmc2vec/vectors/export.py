"""Writes word vectors in every format, and what TensorBoard's projector needs to show them.

`write_vectors` is the end of training; `pmc2vec export` turns a workdir's vectors, or any file of
vectors, into what other programs read:

    pmc2vec export --workdir run --format word2vec parquet

Beside them it writes MODEL_CARD.md, where the workdir says what the vectors come from. The
projector is found by `tensorboard --logdir WORKDIR`: projector_config.pbtxt names its files
relative to the folder in which it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pmc2vec.cli.options import parse
from pmc2vec.vectors import model_card, vector_files
from pmc2vec.vectors.formats import gensim, parquet, word2vec
from pmc2vec.vectors.vector_files import Counts, Matrix
from pmc2vec.vectors.word_vectors import Vectors

PROJECTOR_CONFIG = "projector_config.pbtxt"
PROJECTOR_VECTORS = "projector_vectors.tsv"
PROJECTOR_METADATA = "projector_metadata.tsv"

PROJECTOR_ROWS = 100_000
"""Rows that TensorBoard's page fetches at most; its PCA takes a sample of 50,000 of them."""

Format = Literal[
    "tsv", "word2vec", "word2vec_binary", "glove", "gensim", "numpy", "parquet", "keras",
    "saved_model",
]  # fmt: skip


@dataclass(frozen=True)
class ExportConfig:
    """Options of `pmc2vec export`."""

    workdir: Path
    """A workdir of `pmc2vec train`, or any file of word vectors."""

    format: tuple[Format, ...] = ("word2vec",)
    """For each: vectors.tsv, vectors.txt, vectors.bin, glove.txt, vectors.kv, vectors.npy,
    vectors.parquet, embedding.keras, saved_model/1; one or several."""

    output: Path | None = None
    """Folder for the files; by default the workdir, or the folder of the file."""

    keras_vocabulary: Path | None = None
    """A classifier's own vocabulary for embedding.keras, a word in each row; by default the
    vectors'."""

    keras_unknown: Literal["zero", "random"] = "zero"
    """Vectors of that vocabulary's words that have none, and of words outside it."""

    def __post_init__(self) -> None:
        """Raises ValueError where there is nothing to write."""
        if not self.format:
            raise ValueError("--format names no format; name one or several")
        if self.keras_vocabulary and "keras" not in self.format:
            raise ValueError("--keras_vocabulary is for --format keras, which is not asked for")


def write_vectors(
    workdir: Path, words: Sequence[str], counts: Counts | None, matrix: Matrix
) -> None:
    """Writes vectors.tsv, metadata.tsv, vectors.npy and the projector's configuration.

    More than `PROJECTOR_ROWS` words get two files more, for the projector alone: the most frequent
    words. Each file appears whole or not at all, the configuration last.

    Args:
        workdir: folder for them, which is there.
        words: V words.
        counts: [V] int64, tokens of each word; None where nobody knows, and then the words are
            taken to be in falling order.
        matrix: [V, D] float32.

    Raises:
        UserError: a vector is not finite, or a word holds a tab or an end of line.
    """
    matrix = np.asarray(matrix, np.float32)
    vector_files.check_finite(np.einsum("ij,ij->i", matrix, matrix), words)
    vector_files.write_workdir(workdir, words, counts, matrix)
    shown, described = workdir / vector_files.VECTORS, workdir / vector_files.METADATA
    own = (workdir / PROJECTOR_VECTORS, workdir / PROJECTOR_METADATA)
    if len(words) > PROJECTOR_ROWS:
        shown, described = own
        top = np.arange(PROJECTOR_ROWS)
        if counts is not None:
            top = np.argsort(-counts, kind="stable")[:PROJECTOR_ROWS]
        vector_files.write_tsv(
            shown,
            described,
            [words[at] for at in top.tolist()],
            None if counts is None else counts[top],
            matrix[top],
        )
    else:
        for path in own:  # Of an earlier, larger vocabulary.
            path.unlink(missing_ok=True)
    with vector_files.replacing(workdir / PROJECTOR_CONFIG) as file:
        file.write(projector_config(shown.name, described.name).encode())


def projector_config(tensor_path: str, metadata_path: str) -> str:
    """Returns TensorBoard's `ProjectorConfig` for one table, as text.

    >>> print(projector_config("vectors.tsv", "metadata.tsv"), end="")
    embeddings {
      tensor_name: "vectors"
      tensor_path: "vectors.tsv"
      metadata_path: "metadata.tsv"
    }
    """
    fields = {
        "tensor_name": "vectors",
        "tensor_path": tensor_path,
        "metadata_path": metadata_path,
    }
    rows = "".join(f'  {name}: "{value}"\n' for name, value in fields.items())
    return f"embeddings {{\n{rows}}}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec export` and returns its exit status; prints the files that it wrote."""
    config = parse(
        ExportConfig,
        argv,
        prog="pmc2vec export",
        description="Write word vectors in the formats that other programs read.",
        examples=[
            "pmc2vec export --workdir run",
            "pmc2vec export --workdir run --format gensim parquet --output exported",
            "pmc2vec export --workdir run --format keras --keras_vocabulary classifier.txt",
            "pmc2vec export --workdir glove.840B.300d.txt --format numpy",
        ],
    )
    vectors = Vectors.load(config.workdir)
    folder = config.output or (config.workdir if config.workdir.is_dir() else config.workdir.parent)
    folder.mkdir(parents=True, exist_ok=True)
    for name in dict.fromkeys(config.format):
        for path in _WRITERS[name](folder, vectors, config):
            print(f"{path}  {_size(path):,} bytes")
    if (card := model_card.write(config.workdir, folder, vectors)) is not None:
        print(f"{card}  {_size(card):,} bytes")
    return 0


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _write_tsv(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    write_vectors(folder, vectors.words, vectors.counts, vectors.matrix)
    names = (vector_files.VECTORS, vector_files.METADATA, vector_files.NUMPY, PROJECTOR_CONFIG)
    return [folder / name for name in names]


def _write_word2vec(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    word2vec.write_text(path := folder / word2vec.TEXT, vectors.words, vectors.matrix)
    return [path]


def _write_word2vec_binary(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    word2vec.write_binary(path := folder / word2vec.BINARY, vectors.words, vectors.matrix)
    return [path]


def _write_glove(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    word2vec.write_glove(path := folder / word2vec.GLOVE, vectors.words, vectors.matrix)
    return [path]


def _write_gensim(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    path = folder / gensim.NAME
    return gensim.write(path, vectors.words, vectors.counts, vectors.matrix)


def _write_numpy(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    path, words_path = folder / vector_files.NUMPY, folder / vector_files.WORDS
    vector_files.write_words(words_path, vectors.words)
    vector_files.write_numpy(path, vectors.matrix)
    return [path, words_path]


def _write_parquet(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    path = folder / parquet.NAME
    parquet.write(path, vectors.words, vectors.counts, vectors.matrix)
    return [path]


def _write_keras(folder: Path, vectors: Vectors, config: ExportConfig) -> Sequence[Path]:
    from pmc2vec.vectors.formats import tensorflow

    path = folder / tensorflow.KERAS
    vocabulary = vectors.words
    if config.keras_vocabulary is not None:
        vocabulary = tensorflow.read_vocabulary(config.keras_vocabulary)
    covered = tensorflow.write_keras(
        path, vectors, vocabulary, random_unknown=config.keras_unknown == "random"
    )
    print(f"{path}: {covered:,} of {len(vocabulary):,} words have vectors")
    return [path]


def _write_saved_model(folder: Path, vectors: Vectors, _: ExportConfig) -> Sequence[Path]:
    from pmc2vec.vectors.formats import tensorflow

    tensorflow.write_saved_model(path := folder / tensorflow.SAVED_MODEL, vectors)
    return [path]


_WRITERS: dict[Format, Callable[[Path, Vectors, ExportConfig], Sequence[Path]]] = {
    "tsv": _write_tsv,
    "word2vec": _write_word2vec,
    "word2vec_binary": _write_word2vec_binary,
    "glove": _write_glove,
    "gensim": _write_gensim,
    "numpy": _write_numpy,
    "parquet": _write_parquet,
    "keras": _write_keras,
    "saved_model": _write_saved_model,
}
