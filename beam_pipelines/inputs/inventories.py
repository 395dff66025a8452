"""Inventories of article versions -> the input files that they list, without listing a folder.

    "bucket","PMC1065070.1/PMC1065070.1.xml","2026-10-01T00:00:00.000Z","76250f5b727c6217..."

CSV without a header, gzipped or not, as S3 writes it: bucket, key, last modified, ETag. A key that
is an article's XML becomes a file, in the folder where the bucket's keys are. An inventory does not
say how large files are: their size is 0.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence

from beam_pipelines.inputs.decompression import CHUNK_BYTES, DamagedStreamError, InputStream
from beam_pipelines.inputs.documents import InputFile
from beam_pipelines.inputs.sources import XML_FILES, article_version
from pmc2vec.errors import UserError
from pmc2vec.storage.files import join, open_binary

MAX_ROW_CHARACTERS = 1 << 20


def listed_files(inventories: Sequence[str], folder: str) -> tuple[InputFile, ...]:
    """Returns every article version that the inventories list, by path, each once.

    Args:
        inventories: paths of the CSV files; a later one counts where two list a key.
        folder: where the keys are: `s3://bucket`, or a copy of it.

    Raises:
        UserError: an inventory cannot be read, or lists no article.
    """
    versions: dict[str, InputFile] = {}
    for path in inventories:
        listed = {file.path: file for file in _read_inventory(path, folder)}
        if not listed:
            raise UserError(f"--inventory {path}: lists no article version (PMC1.1/PMC1.1.xml)")
        versions |= listed
    return tuple(versions[path] for path in sorted(versions))


def _read_inventory(path: str, folder: str) -> Iterator[InputFile]:
    with open_binary(path) as file:
        stream = InputStream(file)
        try:
            for number, row in enumerate(csv.reader(_lines(stream)), 1):
                if len(row) < 2:
                    raise UserError(
                        f"--inventory {path}: line {number} is not bucket, key, ...; give a "
                        "CSV inventory as S3 writes it"
                    )
                key = row[1]
                if key.lower().endswith(XML_FILES.suffixes) and article_version(key):
                    modified, digest = [*row[2:4], "", ""][:2]
                    yield InputFile(join(folder, key), 0, modified, digest)
        except (EOFError, DamagedStreamError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"--inventory {path}: cannot be read ({error})") from error


def _lines(stream: InputStream) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    while data := stream.read(CHUNK_BYTES):
        *lines, rest = (rest + decoder.decode(data)).split("\n")
        yield from (line + "\n" for line in lines)
        if len(rest) > MAX_ROW_CHARACTERS:
            raise csv.Error(f"a row of more than {MAX_ROW_CHARACTERS:,} characters")
    if rest:
        yield rest
