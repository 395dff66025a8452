"""What input consists of: files, the documents in them, and what could not be read of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MAX_DOCUMENT_BYTES = 64 << 20

TextUnit = Literal["line", "sentence", "paragraph", "file"]


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that is to be read, as a folder, a bucket or an inventory lists it.

    Attributes:
        path: on disk or in a bucket.
        size: bytes; 0 where the list does not say.
        modified: `2026-10-01T00:00:00.000Z`; empty where the list does not say.
        digest: of its bytes, such as S3's ETag; empty where the list does not say.
    """

    path: str
    size: int
    modified: str = ""
    digest: str = ""


@dataclass(frozen=True)
class ReadOptions:
    """How files are read.

    Attributes:
        max_document_bytes: larger documents are rejected as `too_large`; a file of XML that is
            larger is read article by article.
        text_unit: what a block of a plain text file is: a `line`, which is one sentence whatever it
            holds; a line with the sentences within it (`sentence`); a `paragraph` (lines up to an
            empty one); or all lines of an article, as for a `file` whose sentences run over its
            line ends.
    """

    max_document_bytes: int = MAX_DOCUMENT_BYTES
    text_unit: TextUnit = "sentence"


@dataclass(frozen=True)
class Document:
    """One member of an archive, or a file that stands alone.

    Attributes:
        member: its name inside the archive, or the file's own name.
        data: its bytes, decompressed.
        modified: seconds since 1970, as a tar has it; None where nothing says so.
        in_set: one of many in its file, whose name says nothing of it.
    """

    member: str
    data: bytes
    # Two documents are equal if they hold the same; the time is a fact about the archive.
    modified: float | None = field(default=None, compare=False, repr=False)
    in_set: bool = False


@dataclass(frozen=True)
class Damage:
    """What could not be read.

    Attributes:
        member: name inside the archive; empty where the archive itself is damaged.
        reason: `truncated_archive`, `damaged_archive`, `text_archive`, `damaged_member`,
            `too_large` or `empty`.
        detail: what is wrong.
    """

    member: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Citation:
    """One citation of PubMed.

    Attributes:
        member: `efetch.xml#pmid:123`: the file, and the PMID or the number of the citation.
        data: an XML document of this citation alone.
        file_name: of the file that holds it, which says which of two copies is the later.
    """

    member: str
    data: bytes
    file_name: str


@dataclass(frozen=True)
class Deletions:
    """Citations that an update file deletes.

    Attributes:
        citations: (PMID, version) of each.
        file_name: of the file: copies in later files stay.
    """

    citations: tuple[tuple[str, int], ...]
    file_name: str


Content = Document | Citation | Deletions | Damage
"""What sources of XML yield."""
