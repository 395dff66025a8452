"""A share of the articles or citations of some input files, as one archive.

    python -m benchmarks.subset bulk/*.tar.gz --share 0.36 --output third.tar

Which ones is decided by a checksum of their names, so it is the same in every run. What lies
beside the files (filelists, JSON) and the deletions of update files are not taken over.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from beam_pipelines.inputs.documents import Citation, Document, ReadOptions
from beam_pipelines.inputs.sources import read_documents


def selected(paths: Iterable[Path], share: float) -> Iterator[Document | Citation]:
    """Yields this share of the documents and citations in some files, in their order."""
    for path in paths:
        with path.open("rb") as file:
            for content in read_documents(file, path.name, ReadOptions()):
                if isinstance(content, Document | Citation):
                    checksum = zlib.crc32(content.member.encode())
                    if checksum < share * 2**32:
                        yield content


def main() -> None:
    """Writes the archive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    with tarfile.open(options.output, "w") as tar:
        for content in selected(options.files, options.share):
            # A citation is `pubmed26n0001.xml.gz#pmid:1`, which is no name of a file of XML.
            is_file = isinstance(content, Document)
            info = tarfile.TarInfo(content.member if is_file else f"{content.member}.xml")
            info.size = len(content.data)
            tar.addfile(info, io.BytesIO(content.data))


if __name__ == "__main__":
    main()
