"""`pmc2vec export-corpus`: the articles of a dataset's corpus as plain text or JSON lines.

| format | files | read again by |
|---|---|---|
| text | one for each part, a sentence in each line | `--text_unit line --tokenizer whitespace` |
| articles | one for each article, a sentence in each line | the same |
| jsonl | one for each part, an article in each line, with its metadata | jq, pandas, datasets |

The sentences are those of the corpus: tokens between single spaces. Read back they give the same
tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from pmc2vec.cli.options import parse
from pmc2vec.dataset.manifest import CORPUS_NAME
from pmc2vec.errors import UserError
from pmc2vec.storage import files
from pmc2vec.storage.local_files import atomic_local_file

CorpusFormat = Literal["text", "articles", "jsonl"]

_SUFFIXES = {"text": ".txt", "jsonl": ".jsonl"}
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_LONGEST_NAME = 100  # Characters; a file system takes 255 bytes.


@dataclass(frozen=True)
class ExportCorpusConfig:
    """Options of `pmc2vec export-corpus`."""

    dataset: str
    """Dataset whose corpus to write, or a corpus of `build --stop_after corpus`."""

    output: Path
    """Folder to write into; a new or an empty one."""

    format: CorpusFormat = "text"
    """text: a sentence a line, a file for each part of the corpus; articles: the same, a file for
    each article; jsonl: an article a line, with its metadata."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec export-corpus`, prints what was written and returns the exit code."""
    config = parse(
        ExportCorpusConfig,
        argv,
        prog="pmc2vec export-corpus",
        description="Write the articles of a dataset as plain text or JSON lines.",
        examples=[
            "pmc2vec export-corpus --dataset dataset --output text",
            "pmc2vec export-corpus --dataset dataset --output json --format jsonl",
            "pmc2vec build --input text --text_unit line --tokenizer whitespace --output again",
        ],
    )
    articles = export_corpus(config)
    print(f"{config.output}: {articles:,} articles as {config.format}")
    return 0


def export_corpus(config: ExportCorpusConfig) -> int:
    """Writes the corpus and returns how many articles it has.

    Raises:
        UserError: there is no finished corpus, or the folder is not empty.
    """
    folder = config.dataset.rstrip("/")
    if not files.exists(f"{folder}/{CORPUS_NAME}"):
        raise UserError(f"{folder}: no {CORPUS_NAME}; give a dataset of pmc2vec build")
    if config.output.exists() and (not config.output.is_dir() or any(config.output.iterdir())):
        raise UserError(f"{config.output}: not an empty folder; give another --output")
    config.output.mkdir(parents=True, exist_ok=True)
    written = 0
    for name in _parts(folder):
        articles = _articles(f"{folder}/corpus/{name}.parquet")
        if config.format == "articles":
            for number, article in enumerate(articles):
                path = config.output / article_file_name(name, number, article["article_id"])
                with atomic_local_file(path) as file:
                    file.writelines(_sentence_lines(article))
                written += 1
            continue
        with atomic_local_file(config.output / f"{name}{_SUFFIXES[config.format]}") as file:
            for article in articles:
                lines = _sentence_lines if config.format == "text" else _json_lines
                file.writelines(lines(article))
                written += 1
    return written


def article_file_name(part: str, number: int, article_id: str) -> str:
    """Returns the file name of an article: sorted, the files are in the order of the corpus.

    >>> article_file_name("part-00003", 7, "doi:10.1/a b")
    'part-00003-000007-doi-10.1-a-b.txt'
    """
    return f"{part}-{number:06d}-{_NOT_IN_NAMES.sub('-', article_id)[:_LONGEST_NAME]}.txt"


def _parts(folder: str) -> list[str]:
    facts = json.loads(files.read_text(f"{folder}/{CORPUS_NAME}") or "{}")
    return sorted(facts.get("parts", {}))


def _articles(path: str) -> Iterator[dict[str, Any]]:
    """Yields the rows of a part."""
    with files.open_binary(path) as file:
        reader = pq.ParquetFile(file)
        for group in range(reader.num_row_groups):
            yield from reader.read_row_group(group).to_pylist()


def _sentence_lines(article: dict[str, Any]) -> list[bytes]:
    return [f"{sentence}\n".encode() for sentence in article["sentences"]]


def _json_lines(article: dict[str, Any]) -> list[bytes]:
    return [(json.dumps(article, ensure_ascii=False) + "\n").encode()]


if __name__ == "__main__":
    raise SystemExit(main())
