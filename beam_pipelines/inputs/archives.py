"""Archives and files of XML -> their documents (member name, bytes), streamed, at bounded memory.

An archive is hostile input: nothing is extracted to disk, links and devices are passed over, a
document above the size limit is rejected (each article of a set is one), and a truncated or damaged
archive yields every member before the damage and says so.

    >>> import io
    >>> stream = InputStream(io.BytesIO(b"<article/>"))
    >>> list(XmlFiles().documents(stream, "a.xml", ReadOptions()))
    [Document(member='a.xml', data=b'<article/>', in_set=False)]
"""

from __future__ import annotations

import io
import itertools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, Literal, cast

from beam_pipelines.inputs import tar_reader
from beam_pipelines.inputs.decompression import (
    CHUNK_BYTES,
    COMPRESSION_SUFFIXES,
    DamagedStreamError,
    InputStream,
)
from beam_pipelines.inputs.documents import Content, Damage, Document, ReadOptions
from beam_pipelines.inputs.pubmed_files import PubMedFiles
from beam_pipelines.jats.xml_parser import RejectedError, articles_in_set

_XML_SUFFIXES = tuple(
    name + packed for name in (".xml", ".nxml") for packed in ("", *COMPRESSION_SUFFIXES)
)
_ZIP_MAGIC = b"PK\x03\x04"
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"
# What may follow the end of a tar: its padding, and the checksum of the gzip stream.
_MAX_TRAILER_BYTES = 1 << 24
_PUBMED_HEAD_BYTES = 4096
_HEAD_BYTES = 1024
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises where its numbers are damaged; RuntimeError: a password is needed.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, struct.error)


class TarArchives:
    """Bulk packages and other tars, compressed or not."""

    name = "tar archive"
    holds: Literal["xml", "text"] = "xml"
    suffixes: tuple[str, ...] = (
        ".tar",
        *(f".tar{s}" for s in COMPRESSION_SUFFIXES),
        ".tgz",
        ".tbz2",
        ".txz",
    )
    is_archive = True
    is_divisible = True

    def recognises(self, stream: InputStream) -> bool:
        """Tells whether a file is a tar, from its first block."""
        head = stream.peek(tar_reader.TAR_BLOCK_BYTES)
        # Tars from before POSIX have no magic number, but a checksum.
        return head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC) or tar_reader.is_header(head)

    def documents(self, stream: InputStream, name: str, options: ReadOptions) -> Iterator[Content]:
        """Yields the articles' XML, and what could not be read, in the order of the archive."""
        del name
        limit, names = options.max_document_bytes, _MemberNames()
        try:
            for member in tar_reader.members(stream.read, names.is_article, limit):
                if member.is_sparse:
                    detail = "a sparse file; pack without --sparse"
                    yield Damage(member.name, "damaged_member", detail)
                    continue
                for document in _tar_member(member, options):
                    if isinstance(document, Document):
                        yield replace(document, modified=member.modified)
                    else:
                        yield document
            _read_trailer(stream)
            yield from names.problem()
        except EOFError as error:
            yield Damage("", "truncated_archive", str(error))
        except (DamagedStreamError, tar_reader.TarError) as error:
            yield Damage("", "damaged_archive", str(error))


def _tar_member(member: tar_reader.Member, options: ReadOptions) -> Iterator[Content]:
    if member.data is not None:
        yield from _member(member.name, member.data, options)
    elif member.large is not None:
        stream = InputStream(cast(BinaryIO, member.large))  # Of a file it needs `read` alone.
        if b"<" in stream.peek(_HEAD_BYTES):
            yield from _streamed(stream, member.name, options)
        else:
            yield Damage(member.name, "too_large", f"{member.size:,} bytes")


def _read_trailer(stream: InputStream) -> None:
    """Reads what follows the end of a tar, so that the checksum of a gzip stream is reached."""
    trailer = 0
    while piece := stream.read(CHUNK_BYTES):
        trailer += len(piece)
        if trailer > _MAX_TRAILER_BYTES or piece.strip(b"\0"):
            raise tar_reader.TarError("more data after the end of the archive")


class ZipArchives:
    """Zip archives. They are not read forward, so byte ranges of them mean nothing."""

    name = "zip archive"
    holds: Literal["xml", "text"] = "xml"
    suffixes: tuple[str, ...] = (".zip",)
    is_archive = True
    is_divisible = False

    def recognises(self, stream: InputStream) -> bool:
        """Tells whether a file is a zip, from its first bytes."""
        return stream.peek(len(_ZIP_MAGIC)) == _ZIP_MAGIC

    def documents(self, stream: InputStream, name: str, options: ReadOptions) -> Iterator[Content]:
        """Yields the articles' XML, and what could not be read, in the order of the archive."""
        del name
        try:
            archive = zipfile.ZipFile(stream.file)
        except _ZIP_ERRORS as error:
            yield Damage("", "damaged_archive", str(error))
            return
        with archive:
            names = _MemberNames()
            for entry in archive.infolist():
                if names.is_article(entry.filename):
                    yield from _zip_member(archive, entry, options)
            yield from names.problem()


class _MemberNames:
    """The names in an archive, of which those of articles are read."""

    def __init__(self) -> None:
        self._articles, self._texts, self._text = 0, 0, ""

    def is_article(self, name: str) -> bool:
        """Tells whether a member is an article, and counts it."""
        is_article = is_article_name(name)
        self._articles += is_article
        if name.lower().endswith(".txt"):
            self._texts, self._text = self._texts + 1, name
        return is_article

    def problem(self) -> Iterator[Damage]:
        """Yields what is wrong with an archive that has text and no article's XML."""
        if self._texts and not self._articles:
            detail = f"no XML, but {self._texts:,} text files such as {self._text}"
            yield Damage("", "text_archive", f"{detail}; unpack it and give the folder")


def _zip_member(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, options: ReadOptions
) -> Iterator[Content]:
    if entry.compress_type not in _ZIP_METHODS or entry.header_offset < 0:
        yield Damage(entry.filename, "damaged_member", "neither stored nor deflated")
        return
    try:
        with archive.open(entry) as content:
            data = content.read(options.max_document_bytes + 1)
        if len(data) <= options.max_document_bytes:
            yield from _member(entry.filename, data, options)
            return
        with archive.open(entry) as content:  # A large set, from its start.
            yield from _streamed(InputStream(cast(BinaryIO, content)), entry.filename, options)
    except _ZIP_ERRORS as error:
        yield Damage(entry.filename, "damaged_member", str(error))


class XmlFiles:
    """Files that are one XML document each: loose articles, article versions, sets of articles."""

    name = "XML file"
    holds: Literal["xml", "text"] = "xml"
    suffixes: tuple[str, ...] = _XML_SUFFIXES
    is_archive = False
    is_divisible = False

    def recognises(self, stream: InputStream) -> bool:
        """Tells whether a file looks like XML in a usual encoding."""
        return stream.peek(64).lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n").startswith(b"<")

    def documents(
        self, stream: InputStream, name: str, options: ReadOptions
    ) -> Iterator[Document | Damage]:
        """Yields the one document, or the articles of a large set, or why they cannot be read."""
        limit = options.max_document_bytes
        try:
            data = _read_over(stream, limit)
            if len(data) <= limit or b"<" not in data[:_HEAD_BYTES]:
                yield _bounded(name, data, limit)
                return
            first_chunks = (data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES))
            later_chunks = iter(lambda: stream.read(CHUNK_BYTES), b"")
            articles = articles_in_set(itertools.chain(first_chunks, later_chunks), limit)
            for number, article in enumerate(articles):
                content = _bounded(f"{name}#{number}", article, limit)
                if isinstance(content, Document):
                    content = replace(content, in_set=True)
                yield content
        except RejectedError as error:
            yield Damage(name, error.reason, error.detail)
        except (EOFError, DamagedStreamError) as error:
            yield Damage(name, "damaged_member", str(error))


def is_article_name(member: str) -> bool:
    """Tells whether a name is that of an article's XML.

    `._main.nxml` is not: macOS puts such a file beside each file of an archive that it makes.

    >>> [is_article_name(name) for name in ("PMC1/main.nxml", "PMC1.XML.gz", "PMC1/._main.nxml")]
    [True, True, False]
    """
    name = member.rpartition("/")[2].lower()
    return name.endswith(_XML_SUFFIXES) and not name.startswith("._")


def _member(name: str, data: bytes, options: ReadOptions) -> Iterator[Content]:
    """Yields a member of an archive, or its citations; one that is compressed is decompressed."""
    # The usual case: a stream for each member takes time.
    if data.startswith(b"<") and b"<Pubmed" not in data[:_PUBMED_HEAD_BYTES]:
        yield _bounded(name, data, options.max_document_bytes)
        return
    yield from _streamed(InputStream(io.BytesIO(data)), name, options)


def _streamed(stream: InputStream, name: str, options: ReadOptions) -> Iterator[Content]:
    """Yields what a member holds: a document, its citations, or the articles of a large set."""
    source = PubMedFiles()
    if source.recognises(stream):
        yield from source.documents(stream, name, options)
    else:
        yield from XmlFiles().documents(stream, name, options)


def _read_over(stream: InputStream, max_bytes: int) -> bytes:
    """Returns all of a stream, or more than `max_bytes` of it."""
    pieces, size = [], 0
    while size <= max_bytes and (piece := stream.read(CHUNK_BYTES)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _bounded(member: str, data: bytes, max_bytes: int) -> Document | Damage:
    if len(data) > max_bytes:
        return Damage(member, "too_large", f"more than {max_bytes:,} bytes")
    return Document(member, data)
