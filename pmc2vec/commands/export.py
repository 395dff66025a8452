"""`pmc2vec export`: writes word vectors in the formats that other programs read.

    pmc2vec export --workdir run --format word2vec parquet

It writes MODEL_CARD.md beside them, where the workdir says what the vectors were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from pmc2vec.cli.options import option, parse
from pmc2vec.vectors import model_card
from pmc2vec.vectors.formats.registry import (
    EXPORT_FORMATS,
    FORMATS,
    export_vectors,
    read_vectors,
)
from pmc2vec.vectors.formats.vector_table import WriteOptions

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[EXPORT_FORMATS]

_FORMAT_HELP = "One or several of " + ", ".join(
    f"{name} ({FORMATS[name].file_name})" for name in EXPORT_FORMATS
)


@dataclass(frozen=True)
class ExportConfig:
    """Options of `pmc2vec export`."""

    workdir: Path
    """A workdir of `pmc2vec train`, or any file of word vectors."""

    format: Annotated[tuple[FormatName, ...], tyro.conf.arg(help=_FORMAT_HELP)] = option(
        ("word2vec",), metavar="FORMAT ..."
    )

    output: Path | None = option(None, default_text="the workdir, or the folder of the file")
    """Folder for the files."""

    keras_vocabulary: Path | None = option(None, default_text="the words of the vectors")
    """File with the vocabulary of a classifier, for embedding.keras: a word in each line."""

    keras_unknown: Literal["zero", "random"] = "zero"
    """In embedding.keras, the vectors of words that have none."""

    def __post_init__(self) -> None:
        """Raises ValueError where there is nothing to write."""
        if not self.format:
            raise ValueError("--format names no format; name one or several")
        if self.keras_vocabulary and "keras" not in self.format:
            raise ValueError("--keras_vocabulary is for --format keras, which is not given")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec export` and returns its exit code; prints the files that it writes."""
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
    table = read_vectors(config.workdir)
    folder = config.output or (config.workdir if config.workdir.is_dir() else config.workdir.parent)
    options = WriteOptions(config.keras_vocabulary, config.keras_unknown)
    for paths, note in export_vectors(folder, table, config.format, options):
        if note:
            print(note)
        for path in paths:
            print(f"{path}  {_size(path):,} bytes")
    if (card := model_card.write_model_card(config.workdir, folder, table)) is not None:
        print(f"{card}  {_size(card):,} bytes")
    return 0


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
