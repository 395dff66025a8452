"""Reads one citation of PubMed (`<PubmedArticle>` or `<PubmedBookArticle>`) as an Article.

Element names are those of NLM's PubMed DTD. Markup inside titles and abstracts follows the table in
`markup`, as in JATS. The rules of text are:

* The brackets of a translated title and the full stop of every title go: `[Gout in Paris].`
  becomes `Gout in Paris`. `[Not Available].` is no title.
* Each `AbstractText` is a block, and its label is a block before it, as the title of a section is
  in JATS: no sentence holds both. `UNLABELLED` and `UNASSIGNED` are no labels.
* Copyright lines and notes that an abstract was cut go.
* MeSH headings are metadata (`Article.mesh`), not text.

    >>> data = b'''<PubmedArticle><MedlineCitation><PMID Version="2">7</PMID>
    ... <Article><ArticleTitle>[Gout in Paris].</ArticleTitle><Abstract>
    ... <AbstractText Label="AIM">H<sub>2</sub>O helped.</AbstractText>
    ... </Abstract></Article></MedlineCitation></PubmedArticle>'''
    >>> citation = read_citation(data, ("title", "abstract"))
    >>> citation.article_id, citation.version, [section.blocks for section in citation.sections]
    ('pmid:7', '2', [('Gout in Paris',), ('AIM', 'H2O helped.')])
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from beam_pipelines.jats.article_reader import (
    LIST_SEPARATOR,
    Article,
    Section,
    SectionName,
    is_retracted_title,
    normalized_pmcid,
)
from beam_pipelines.jats.markup import text_blocks
from beam_pipelines.jats.xml_parser import RejectedError, element_text, parse_xml

SOURCE = "pubmed"
"""`Article.source` of a citation."""

# `Retraction Notice` has the place of `Retraction of Publication` since 2025.
_RETRACTED_TYPES = frozenset(
    ("Retracted Publication", "Retraction of Publication", "Retraction Notice")
)
_RETRACTED_RELATIONS = frozenset(
    ("RetractionIn", "RetractionOf", "PartialRetractionIn", "PartialRetractionOf")
)
_PLACEHOLDER_LABELS = frozenset(("UNLABELLED", "UNASSIGNED"))
_PLACEHOLDER_TITLES = frozenset(("not available", "in process citation"))

_REFERENCES = b"<ReferenceList"
_HEADINGS = b"<MeshHeadingList>"
_UNREAD_LISTS = (
    (_REFERENCES, b"</ReferenceList>"),
    (b"<AuthorList ", b"</AuthorList>"),
    (b"<ChemicalList>", b"</ChemicalList>"),
    (b"<GrantList ", b"</GrantList>"),
    (b"<History>", b"</History>"),
)
_HEADINGS_END = b"</MeshHeadingList>"
# A name without entities and without spaces to be put right.
_DESCRIPTOR = re.compile(r'<DescriptorName UI="(D\d+)"[^<>]*>([^\s<>&][^<>&\r\n\t]*)</')
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
# Lines that publishers put at the end of an abstract. They are short: an abstract that speaks of
# copyright in its midst keeps what follows.
_COPYRIGHT = re.compile(
    r"(?:(?<=[.?!)\]] )|\A)"
    r"(?:Copyright\b\W{0,3}(?:\(c\)|\u00a9|\d{4}|by\b)|\u00a9|\(c\)(?= ?\d{4})|"
    r"\(PsycInfo Database Record|This article is protected by copyright|Published by Elsevier|"
    r"All rights reserved)"
    r"(?s:.{0,300})\Z",
    re.IGNORECASE,
)
_CUT_NOTE = re.compile(r"\s*\(?ABSTRACT TRUNCATED[^)]{0,40}\)?\.?\s*\Z")

# ISO 639-2 codes (bibliographic, as MEDLINE has them) whose first two letters are not those of
# ISO 639-1, which JATS has.
_LANGUAGES = {
    "alb": "sq", "arm": "hy", "baq": "eu", "bos": "bs", "chi": "zh", "cze": "cs", "dut": "nl",
    "est": "et", "geo": "ka", "ger": "de", "gle": "ga", "ice": "is", "ind": "id", "jpn": "ja",
    "kaz": "kk", "mac": "mk", "mao": "mi", "may": "ms", "per": "fa", "pol": "pl", "por": "pt",
    "rum": "ro", "scc": "sr", "scr": "hr", "slo": "sk", "slv": "sl", "spa": "es", "srp": "sr",
    "swe": "sv", "tur": "tr", "wel": "cy",
}  # fmt: skip


def read_citation(
    data: bytes, sections: Iterable[SectionName], *, other_abstracts: bool = False
) -> Article:
    """Returns a citation with the requested sections: title, abstract and keywords.

    Args:
        data: one XML document with one citation, inside whatever root element.
        sections: which kinds of text to take; a citation has none of the others.
        other_abstracts: take `OtherAbstract` too: other languages, summaries in plain language.

    Raises:
        RejectedError: it cannot be parsed, or has no PMID.
    """
    data, headings = _without_lists(data)
    node = _citation_element(data)
    number = node.find("{*}PMID")
    pmid = element_text(number)
    if not (pmid.isascii() and pmid.isdecimal()):
        raise RejectedError("no_pmid", f"PMID {pmid!r}" if pmid else "no PMID")
    article = node.find("{*}Article")
    if article is None:  # A book or its chapter, or nothing but a PMID.
        article = node
    ids = {i.get("IdType", ""): element_text(i) for i in _article_ids(node)}
    types = [element_text(kind) for kind in article.iterfind(".//{*}PublicationType")]
    title = _title(article)
    return Article(
        article_id=f"pmid:{pmid}",
        pmcid=normalized_pmcid(ids.get("pmc", "")),
        pmid=pmid,
        doi=ids.get("doi") or _location_doi(article),
        title=title,
        journal=element_text(article.find("{*}Journal/{*}Title"))
        or element_text(node.find("{*}Book/{*}BookTitle")),
        year=_publication_year(article),
        licence="",
        article_type=LIST_SEPARATOR.join(types),
        language=" ".join(map(_language, article.iterfind("{*}Language"))),
        sections=tuple(_sections(node, article, title, sections, other_abstracts)),
        version=number.get("Version", ""),
        retracted=_is_retracted(node, types, title),
        source=SOURCE,
        journal_abbreviations=_journal_abbreviations(node),
        mesh=headings or _headings(node),
    )


def _citation_element(data: bytes) -> Any:
    root = parse_xml(data)
    node = next(root.iter("{*}MedlineCitation", "{*}BookDocument"), None)
    if node is None:
        raise RejectedError("not_pubmed", f"no MedlineCitation or BookDocument in {root.tag}")
    return node


def _without_lists(data: bytes) -> tuple[bytes, str]:
    """Returns a citation without lists that the parser need not read, and its MeSH headings.

    The lists are most of a citation's markup.
    """
    if b"<!--" in data or b"<![CDATA[" in data:  # Where a tag may be no tag.
        return data, ""
    for start_tag, end_tag in _UNREAD_LISTS:
        start = data.find(start_tag)
        end = data.rfind(end_tag, start) if start >= 0 else -1
        # Of several, others may stand between them; of references nothing else does.
        if end >= 0 and (start_tag == _REFERENCES or data.find(start_tag, start + 1) < 0):
            data = data[:start] + data[end + len(end_tag) :]
    return _without_headings(data)


def _without_headings(data: bytes) -> tuple[bytes, str]:
    """Returns a citation without its list of headings, and the headings as in `Article.mesh`.

    A search reads the list as NLM writes it in a fifth of the parser's time. A list that is
    written otherwise stays where it is, for `_headings`.
    """
    start, end = data.find(_HEADINGS), data.find(_HEADINGS_END)
    if not 0 <= start < end:
        return data, ""
    section = data[start:end]
    descriptors = _DESCRIPTOR.findall(section.decode("ascii")) if section.isascii() else []
    if len(descriptors) != section.count(b"<DescriptorName"):
        return data, ""
    headings = LIST_SEPARATOR.join([f"{ui} {name}" for ui, name in descriptors])
    return data[:start] + data[end + len(_HEADINGS_END) :], headings


def _headings(node: Any) -> str:
    """Returns the MeSH headings of a citation as in `Article.mesh`."""
    descriptors = node.iterfind("{*}MeshHeadingList/{*}MeshHeading/{*}DescriptorName")
    return LIST_SEPARATOR.join(
        f"{descriptor.get('UI', '')} {element_text(descriptor)}" for descriptor in descriptors
    )


def _article_ids(node: Any) -> Iterator[Any]:
    """Yields the ids of the citation itself; its references have such lists too."""
    yield from node.iterfind("{*}ArticleIdList/{*}ArticleId")  # of a book
    if (around := node.getparent()) is not None:
        yield from around.iterfind("{*}PubmedData/{*}ArticleIdList/{*}ArticleId")


def _journal_abbreviations(node: Any) -> tuple[str, ...]:
    """Returns the abbreviations of the journal's title: ISO's and NLM's."""
    # Other than by paths, lxml looks for them in C.
    elements = node.iter("{*}ISOAbbreviation", "{*}MedlineTA")
    return tuple(filter(None, map(element_text, elements)))


def _location_doi(article: Any) -> str:
    locations = article.iterfind("{*}ELocationID")
    return next(
        (element_text(location) for location in locations if location.get("EIdType") == "doi"), ""
    )


def _publication_year(article: Any) -> str:
    """Returns the earliest year: of the electronic or the printed edition."""
    paths = ("{*}Journal/{*}JournalIssue/{*}PubDate", "{*}ArticleDate", "{*}Book/{*}PubDate")
    dates = (element_text(date.find("{*}Year")) or element_text(date.find("{*}MedlineDate"))
             for path in paths for date in article.iterfind(path))  # fmt: skip
    # MedlineDate is text: `1998 Dec-1999 Jan`, `Spring 2001`.
    years = (match[0] for match in map(_YEAR.search, dates) if match)
    return min(years, default="")


def _language(node: Any) -> str:
    code = element_text(node).lower()
    return _LANGUAGES.get(code, code[:2])


def _is_retracted(node: Any, types: Iterable[str], title: str) -> bool:
    if not _RETRACTED_TYPES.isdisjoint(types) or is_retracted_title(title):
        return True
    relations = node.iterfind("{*}CommentsCorrectionsList/{*}CommentsCorrections")
    return any(relation.get("RefType") in _RETRACTED_RELATIONS for relation in relations)


# --- text ----------------------------------------------------------------------------------------


def _sections(
    node: Any, article: Any, title: str, names: Iterable[SectionName], other_abstracts: bool
) -> Iterator[Section]:
    for name in names:
        blocks: list[str] = []
        if name == "title" and title:
            blocks = [title]
        elif name == "abstract":
            blocks = _abstract(article.find("{*}Abstract"))
            if other_abstracts:
                # A book's chapter is both `node` and `article`.
                nodes = (
                    abstract for n in (article, node) for abstract in n.iterfind("{*}OtherAbstract")
                )
                blocks += [b for abstract in dict.fromkeys(nodes) for b in _abstract(abstract)]
        elif name == "keywords":
            blocks = [b for k in node.iterfind("{*}KeywordList/{*}Keyword") for b in text_blocks(k)]
        if blocks:
            yield Section(name, tuple(blocks))


def _title(article: Any) -> str:
    element = article.find("{*}ArticleTitle")
    if element is None:
        element = article.find("{*}Book/{*}BookTitle")
    title = "" if element is None else " ".join(text_blocks(element))
    title = clean_title(title)
    return "" if title.lower() in _PLACEHOLDER_TITLES else title


def clean_title(title: str) -> str:
    """Returns a title without its full stop and the brackets of a translation.

    >>> [clean_title(title) for title in ("[Gout].", "[1H]NMR of [13C]urea.", "Why?", "p53...")]
    ['Gout', '[1H]NMR of [13C]urea', 'Why?', 'p53...']
    """
    if title.endswith(".") and not title.endswith(".."):
        title = title[:-1].rstrip()
    # A bracket that is never closed is a slip in what is inside: `[Gout [author's transl)].`
    if title[:1] + title[-1:] == "[]" and _closing_bracket(title) in (-1, len(title) - 1):
        return clean_title(title[1:-1].strip())
    return title


def _closing_bracket(title: str) -> int:
    """Returns where the bracket that begins a title is closed, or -1."""
    depth = 0
    for at, character in enumerate(title):
        depth += (character == "[") - (character == "]")
        if not depth:
            return at
    return -1


def _abstract(abstract: Any) -> list[str]:
    """Returns the blocks of an abstract: labels and texts, without copyright lines."""
    blocks: list[str] = []
    texts = () if abstract is None else abstract.iterfind("{*}AbstractText")
    for text in texts:
        label = " ".join(text.get("Label", "").split())
        inside = [block for block in map(_without_notes, text_blocks(text)) if block]
        if inside and label and label.upper() not in _PLACEHOLDER_LABELS:
            blocks.append(label)
        blocks += inside
    return blocks


def _without_notes(block: str) -> str:
    """Returns a block without the copyright line or the note of truncation at its end.

    >>> _without_notes("It heals. Copyright (c) 1999 Elsevier Science. All rights reserved.")
    'It heals.'
    """
    block = _CUT_NOTE.sub("", block)
    # The search looks at the end alone, so that it takes no longer for a long block.
    at = max(len(block) - 400, 0)
    if at:
        at = block.find(" ", at) + 1 or at
    match = _COPYRIGHT.search(block, at)
    return block[: match.start()].rstrip() if match else block
