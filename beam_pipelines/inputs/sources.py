"""Which file is read by which source: one table, SOURCES.

A source is an input layout. A new one is a module with a class that satisfies `Source`, and an
entry in the table:

    source = source_of("bulk/a.tar.gz")             # by the name alone: a tar archive
    source.is_archive                               # so it is a work item of its own
    read_documents(file, "bulk/a.tar.gz", options)  # its documents, one after another

Sources have no state. Work items name files, and a worker on any machine finds their source again.
A source yields documents of XML one at a time, or Articles where there is no XML. A file of 30,000
citations (PubMed's `<PubmedArticleSet>`) shares the suffix `.xml.gz` with articles: it is
recognised from its first bytes, and yields a document for each citation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Literal, Protocol

from beam_pipelines.inputs.archives import TarArchives, XmlFiles, ZipArchives
from beam_pipelines.inputs.decompression import InputStream
from beam_pipelines.inputs.documents import Content, ReadOptions
from beam_pipelines.inputs.plain_text import PlainText
from beam_pipelines.inputs.pubmed_files import PubMedFiles, is_numbered
from beam_pipelines.jats.article_reader import Article


class Source(Protocol):
    """An input layout.

    Attributes:
        name: for messages, such as `tar archive`.
        holds: `xml`, documents to be parsed; or `text`, articles as they are.
        suffixes: of its files, in lower case.
        is_archive: a file holds many documents with names of their own, and is a work item.
        is_divisible: a file is read forward, so that several workers can read byte ranges of it.
    """

    name: str
    holds: Literal["xml", "text"]
    suffixes: tuple[str, ...]
    is_archive: bool
    is_divisible: bool

    def recognises(self, stream: InputStream) -> bool:
        """Tells whether a file is of this layout, from its first bytes (`stream.peek`)."""

    def documents(
        self, stream: InputStream, name: str, options: ReadOptions
    ) -> Iterator[Content | Article]:
        """Yields what a file holds, and what of it could not be read, at bounded memory."""


XML_FILES = XmlFiles()
PUBMED_FILES = PubMedFiles()
SOURCES: tuple[Source, ...] = (
    TarArchives(), ZipArchives(), PUBMED_FILES, XML_FILES, PlainText(),
)  # fmt: skip
"""In the order in which they are asked whether they recognise a file."""

COMPANION_SUFFIXES = (".csv", ".csv.gz", ".json", ".md5", ".pdf", ".filelist.txt")
"""What stands beside articles and may be matched with them by a glob."""

_SUFFIXES = sorted(
    {*COMPANION_SUFFIXES, *(suffix for source in SOURCES for suffix in source.suffixes)},
    key=len,
    reverse=True,
)

_ARTICLE_VERSION = re.compile(r"(PMC\d+)(?:\.(\d+))?(?=[./]|$)")


def source_of(path: str) -> Source | None:
    """Returns the source that a file's name stands for, or None where its suffix says nothing.

    >>> source_of("A.TAR.GZ").name, source_of("PMC1.1.xml").name, source_of("text8")
    ('tar archive', 'XML file', None)
    >>> source_of("pubmed26n0001.xml.gz").name
    'PubMed file'
    """
    if is_numbered(path):
        return PUBMED_FILES
    lower = path.lower()
    return next((source for source in SOURCES if lower.endswith(source.suffixes)), None)


def is_archive(path: str) -> bool:
    """Tells whether a file's name is that of an archive."""
    source = source_of(path)
    return source is not None and source.is_archive


def stem(path: str) -> str:
    """Returns a path without the suffix of its source, or of a companion.

    >>> stem("bulk/a.incr.tar.gz"), stem("PMC1.1/PMC1.1.xml"), stem("text8")
    ('bulk/a.incr', 'PMC1.1/PMC1.1', 'text8')
    """
    suffix = next(filter(path.lower().endswith, _SUFFIXES), "")  # The longest, as `.csv.gz`.
    return path[: len(path) - len(suffix)]


def recognise(stream: InputStream, path: str) -> Source | None:
    """Returns the source that reads a file, or None where it is neither XML nor text.

    The name decides between text and XML, the first bytes between layouts of XML. Where the name
    says nothing, the first bytes decide all.
    """
    by_name = source_of(path)
    for source in SOURCES:
        if (by_name is None or by_name.holds == source.holds) and source.recognises(stream):
            return source
    # An archive by its name alone is none: it could not be read as one.
    return None if by_name is None or by_name.is_archive else by_name


def open_source(file: BinaryIO, path: str) -> tuple[Source, InputStream]:
    """Returns the source that reads a file, and the stream that it reads.

    A file that nothing recognises is read as XML, which reports what is wrong with it.
    """
    stream = InputStream(file)
    return recognise(stream, path) or XML_FILES, stream


def read_documents(file: BinaryIO, path: str, options: ReadOptions) -> Iterator[Content | Article]:
    """Yields what a file holds, and what could not be read, in the order of the file.

    Args:
        file: at its start; it is read once, forward (a zip must be seekable).
        path: of the file.
        options: how it is read.
    """
    source, stream = open_source(file, path)
    return source.documents(stream, path.rpartition("/")[2], options)


def article_version(path: str) -> tuple[str, int] | None:
    """Returns the id and version of the article that a path names, or None.

    >>> article_version("PMC10009416.2/PMC10009416.2.xml"), article_version("PMC7112410/main.nxml")
    (('PMC10009416', 2), ('PMC7112410', 0))
    >>> article_version("a.xml")
    """
    *folders, name = path.rsplit("/", 2)
    for place in (name, *reversed(folders[-1:])):
        if match := _ARTICLE_VERSION.match(place):
            return match[1], int(match[2] or 0)
    return None
