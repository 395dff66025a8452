"""PubMed's files -> their citations, streamed: `pubmed26n0001.xml.gz` and what efetch returns.

A file of the yearly baseline holds 30,000 citations in 250 MB of XML, an update file holds new and
changed ones and a list of those to delete. It is not parsed as a whole: the bytes are cut at
the tags of citations, and each becomes a document with the head of the file around it, which has
the encoding and namespaces. So a citation that is broken, or cut off, spoils no other.

    >>> import io
    >>> stream = InputStream(io.BytesIO(b"<PubmedArticleSet><PubmedArticle><PMID>7</PMID>"
    ...     b"</PubmedArticle></PubmedArticleSet>"))
    >>> [citation.member for citation in PubMedFiles().documents(stream, "a.xml", ReadOptions())]
    ['a.xml#pmid:7']

NLM puts an `.md5` beside each of its files, and `with_checksum` compares them.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from typing import BinaryIO, Literal, cast

from beam_pipelines.inputs.decompression import CHUNK_BYTES, DamagedStreamError, InputStream
from beam_pipelines.inputs.documents import Citation, Damage, Deletions, ReadOptions
from pmc2vec.storage.files import read_text

_NUMBERED_NAME = re.compile(r"pubmed\d\dn\d{4,}(?:_\d+)?\.xml(?:\.gz)?", re.IGNORECASE)
_MD5 = re.compile(r"\b[0-9a-fA-F]{32}\b")

_HEAD_BYTES = 1 << 14
# What may stand before the root element: a byte order mark, declarations, comments.
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?"
    rb"((?>(?>\s++|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\b[^\[>]*+(?:\[.*?\]\s*+)?>)*))"
    rb"(<((?:[A-Za-z_][\w.-]*+:)?(?:Pubmed(?:Book)?Article(Set)?))(?:[\s/][^>]*+)?>)",
    re.DOTALL | re.IGNORECASE,
)
_TAG_OR_COMMENT = re.compile(
    rb"<!--|<!\[CDATA\[|"
    rb"<((?:[A-Za-z_][\w.-]{0,63}:)?(Pubmed(?:Book)?Article|Delete(?:Citation|Document)))(?=[\s>/])"
)
_LONGEST_TAG = 128
_SET_END = re.compile(rb"</(?:[\w.-]+:)?Pubmed(?:Book)?ArticleSet\s*>")
_PMID = re.compile(rb"<(?:[\w.-]+:)?PMID\b([^>]*)>\s*(\d+)\s*<")
_VERSION = re.compile(rb"""\bVersion\s*=\s*["'](\d{1,6})["']""")


def is_numbered(path: str) -> bool:
    """Tells whether a file has a name of NLM's baseline or updates.

    >>> is_numbered("baseline/pubmed26n0001.xml.gz"), is_numbered("pubmed_result.xml")
    (True, False)
    """
    return _NUMBERED_NAME.fullmatch(path.rpartition("/")[2]) is not None


# --- checksums -----------------------------------------------------------------------------------


class ChecksumReader(io.RawIOBase):
    """Reads another file forward, and compares its bytes with an MD5 when it is at the end."""

    def __init__(self, file: BinaryIO, expected: str) -> None:
        super().__init__()
        self._file, self._expected = file, expected
        # No protection against forgery: whoever changes a file changes the sum beside it.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._at_end = False

    def read(self, size: int = -1) -> bytes:
        """Returns up to `size` of the next bytes."""
        data = self._file.read(size)
        self._md5.update(data)
        self._at_end = not data
        return data

    def tell(self) -> int:
        """Returns how many bytes were read."""
        return self._file.tell()

    def problem(self) -> str:
        """Returns how the file differs from its MD5; empty if it does not, or was not read out."""
        md5_digest = self._md5.hexdigest()
        if md5_digest == self._expected or not self._at_end:
            return ""
        return f"its MD5 is {md5_digest}, and {self._expected} in the .md5 beside it"


def with_checksum(file: BinaryIO, path: str) -> BinaryIO:
    """Returns the file, such that it is compared with the `.md5` beside it where there is one."""
    md5 = md5_beside(path) if is_numbered(path) else ""
    return cast(BinaryIO, ChecksumReader(file, md5)) if md5 else file


def md5_beside(path: str) -> str:
    """Returns the hex digest in the `.md5` beside a file; empty where there is none."""
    checksum = _MD5.search(read_text(f"{path}.md5", errors="replace") or "")
    return checksum[0].lower() if checksum else ""


# --- citations -----------------------------------------------------------------------------------


class PubMedFiles:
    """Sets of PubMed's citations. NLM's names are known; other files show it in their content."""

    name = "PubMed file"
    holds: Literal["xml", "text"] = "xml"
    suffixes: tuple[str, ...] = ()
    is_archive = True
    is_divisible = True

    def recognises(self, stream: InputStream) -> bool:
        """Tells whether the root element is one of PubMed's."""
        return _HEAD.match(stream.peek(_HEAD_BYTES)) is not None

    def documents(
        self, stream: InputStream, name: str, options: ReadOptions
    ) -> Iterator[Citation | Deletions | Damage]:
        """Yields citations and lists of deleted ones, in the order of the file.

        Args:
            stream: the file.
            name: of the file; in an archive, of the member.
            options: `max_document_bytes` bounds a citation.
        """
        head = _HEAD.match(stream.peek(_HEAD_BYTES))
        before, after = (b"", b"") if head is None else _wrapping(head)
        cutter = _Cutter(stream, options.max_document_bytes)
        try:
            number = -1
            for number, (kind, data) in enumerate(cutter.pieces()):
                pmid = _PMID.search(data)
                member = f"{name}#pmid:{pmid[2].decode()}" if pmid else f"{name}#{number}"
                if kind == "too_large":
                    yield Damage(member, kind, f"more than {options.max_document_bytes:,} bytes")
                elif kind == "deletion":
                    yield Deletions(tuple(_versions(data)), name)
                else:
                    yield Citation(member, b"".join((before, data, after)), name)
        except EOFError as error:
            yield Damage("", "truncated_archive", str(error))
        except DamagedStreamError as error:
            yield Damage("", "damaged_archive", str(error))
        else:
            is_open = head is not None and head[4] and not head[2].endswith(b"/>")
            if is_open and not cutter.has_end:
                yield Damage("", "truncated_archive", "the set of citations does not end")
            elif number < 0:
                yield Damage(name, "empty", "a set without citations")


def _wrapping(head: re.Match[bytes]) -> tuple[bytes, bytes]:
    """Returns what stands before and after a citation to make a document of it."""
    declarations, tag, name, is_set = head.groups()
    if not is_set or tag.endswith(b"/>"):
        return declarations, b""
    return declarations + tag, b"</" + name + b">"


def _versions(data: bytes) -> Iterator[tuple[str, int]]:
    for attributes, pmid in _PMID.findall(data):
        version = _VERSION.search(attributes)
        yield pmid.decode(), int(version[1]) if version else 1


class _Cutter:
    """Cuts a stream at the tags of citations; holds one citation and a piece of the stream.

    Attributes:
        has_end: whether the end tag of the set was passed.
    """

    def __init__(self, stream: InputStream, max_bytes: int) -> None:
        self.has_end = False
        self._stream, self._max_bytes = stream, max_bytes
        self._buffer = bytearray()  # Unlike bytes, it loses its front without being copied.

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """Yields (`citation`, `deletion` or `too_large`, bytes from tag to tag)."""
        while (match := self._next_tag()) is not None:
            # Before the buffer changes: a match copies its groups only when they are asked for.
            opening, name, kind = match[0], match[1], match[2]
            self._drop(match.start())
            if name is None:
                self._skip(b"-->" if opening == b"<!--" else b"]]>")
            elif (end := self._element_end(name)) is None:
                yield "too_large", bytes(self._buffer[:4096])
                del self._buffer[: len(name)]
            else:
                data = bytes(self._buffer[:end])
                del self._buffer[:end]
                yield ("deletion" if kind.startswith(b"Delete") else "citation"), data

    def _read_more(self) -> bool:
        """Appends to the buffer; False at the end of the stream."""
        data = self._stream.read(CHUNK_BYTES)
        self._buffer += data
        return bool(data)

    def _drop(self, count: int) -> None:
        """Passes over bytes between citations."""
        self.has_end = self.has_end or _SET_END.search(self._buffer, 0, count) is not None
        del self._buffer[:count]

    def _next_tag(self) -> re.Match[bytes] | None:
        """Returns the next start of a citation, comment or character data in the buffer."""
        while (match := _TAG_OR_COMMENT.search(self._buffer)) is None:
            # What is left may be the first half of a tag.
            self._drop(max(len(self._buffer) - _LONGEST_TAG, 0))
            if not self._read_more():
                self._drop(len(self._buffer))
                return None
        return match

    def _skip(self, end: bytes) -> None:
        """Passes over a comment or character data up to its end, or to that of the stream."""
        while (at := self._buffer.find(end)) < 0:
            del self._buffer[: max(len(self._buffer) - len(end), 0)]
            if not self._read_more():
                at = len(self._buffer)
                break
        del self._buffer[: at + len(end)]

    def _find(self, mark: bytes, start: int) -> int:
        """Returns where a mark is in the buffer, which grows up to a citation's size; or -1."""
        while (at := self._buffer.find(mark, start)) < 0:
            start = max(len(self._buffer) - len(mark), start)
            if len(self._buffer) > self._max_bytes or not self._read_more():
                return -1
        return at

    def _element_end(self, name: bytes) -> int | None:
        """Returns where the element ends that the buffer begins with; None if it is too large.

        One without an end tag ends where the next begins, or with the set or the stream.
        """
        start_end = self._find(b">", 0)
        if start_end > 0 and self._buffer[start_end - 1] == ord("/"):
            return start_end + 1
        end = self._find(b"</" + name, len(name))
        if end < 0 and len(self._buffer) > self._max_bytes:
            return None
        next_start = re.compile(b"<" + re.escape(name) + rb"[\s>]").search(
            self._buffer, len(name), end if end >= 0 else len(self._buffer)
        )
        if next_start:
            end = next_start.start()
        elif end < 0:
            end = len(self._buffer)
        else:
            closing = self._find(b">", end)
            # The end tag of a set begins like that of its citations.
            if not self._buffer[end + 2 + len(name) : closing].strip():
                end = closing + 1
        return end if end <= self._max_bytes else None
