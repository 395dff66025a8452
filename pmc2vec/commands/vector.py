"""`pmc2vec vector`: prints the numbers of words' vectors.

$ pmc2vec vector king queen --vectors run
king    0.25    -1.5    ...
queen   0.125   0.75    ...
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pmc2vec.cli.console import print_json, verbosity
from pmc2vec.cli.options import option, parse
from pmc2vec.commands.neighbours import not_counted_note
from pmc2vec.vectors.keyed_vectors import Vectors

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VectorConfig:
    """Options of `pmc2vec vector`."""

    vectors: Path
    """A workdir, or a file of word vectors."""

    words: Positional[tuple[str, ...]] = option(metavar="WORD ...")
    """One word or several."""

    norm: bool = False
    """Divide each vector by its length."""

    subwords: bool = True
    """Take words that were not counted by their n-grams, if the vectors have some."""

    def __post_init__(self) -> None:
        """Raises ValueError where no word is given."""
        if not self.words:
            raise ValueError("no word is given; name one or several")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec vector` and returns its exit code."""
    config = parse(
        VectorConfig,
        argv,
        prog="pmc2vec vector",
        description="Print the vectors of words: a word and its numbers in each line.",
        examples=[
            "pmc2vec vector melanoma --vectors run",
            "pmc2vec vector melanoma insulin --vectors run --norm --json",
        ],
        json_result=True,
    )
    vectors = Vectors.load(config.vectors, subwords=config.subwords)
    rows = {
        word: vectors.get_vector(vectors.match_case(word), norm=config.norm)
        for word in config.words
    }
    if note := not_counted_note(vectors.not_counted(map(vectors.match_case, config.words))):
        logger.info("%s", note.strip())
    if verbosity.json:
        # In the fewest digits that read back as the same float32.
        print_json({word: [float(str(number)) for number in row] for word, row in rows.items()})
    else:
        for word, row in rows.items():
            print(word, *row, sep="\t")
    return 0
