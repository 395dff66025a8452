"""Inventories of article versions -> the input files that they list, without listing a folder.

    "bucket","PMC1065070.1/PMC1065070.1.xml","2026-10-01T00:00:00.000Z","76250f5b727c6217..."

CSV without a header, gzipped or not, as S3 writes it: bucket, key, last modified, ETag. A key that
is an article's XML becomes a file, in the folder where the bucket's keys are. Sizes are not told: a
size of 0 stands for that.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence

from beam_pipelines.inputs.archives import SUFFIXES
from beam_pipelines.inputs.sources import article_version
from pmc2vec.errors import UserError
from pmc2vec.storage.files import join, open_binary


def listed_files(inventories: Sequence[str], folder: str) -> tuple[tuple[str, int], ...]:
    """Returns (path, 0) of every article version that the inventories list, by path, each once.

    Args:
        inventories: paths of the CSV files.
        folder: where the keys are: `s3://bucket`, or a copy of it.

    Raises:
        UserError: an inventory cannot be read, or lists no article.
    """
    found: set[str] = set()
    for path in inventories:
        keys = {key for key in _keys(path) if key.endswith(SUFFIXES) and article_version(key)}
        if not keys:
            raise UserError(f"--inventory {path}: lists no article version (PMC1.1/PMC1.1.xml)")
        found |= keys
    return tuple((join(folder, key), 0) for key in sorted(found))


def _keys(path: str) -> Iterator[str]:
    with open_binary(path) as file:
        try:
            binary = gzip.GzipFile(fileobj=file) if path.endswith(".gz") else file
            with io.TextIOWrapper(binary, "utf-8", newline="") as text:
                for number, row in enumerate(csv.reader(text), 1):
                    if len(row) < 2:
                        raise UserError(
                            f"--inventory {path}: line {number} is not bucket, key, ...; give a "
                            "CSV inventory as S3 writes it"
                        )
                    yield row[1]
        except (EOFError, OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"--inventory {path}: cannot be read ({error})") from error
