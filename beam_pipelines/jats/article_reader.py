"""Reads the articles in one XML document: identifiers, metadata and sections of running text.

The table in `markup` says which elements are running text, and `xml_parser` rejects what cannot be
parsed. Element names count in any namespace. A document may hold several articles in a wrapper
(Europe PMC's `<articles>`, efetch's `<pmc-articleset>`, OAI-PMH).

    >>> front = b"<front><article-meta/></front>"
    >>> data = b"<article>" + front + b"<body><p>H<sub>2</sub>O</p></body></article>"
    >>> [section.blocks for section in read_articles(data, "a.xml")[0].sections]
    [('H2O',)]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lxml import etree

from beam_pipelines.jats.licences import read_licence
from beam_pipelines.jats.markup import RULES, Rule, text_blocks
from beam_pipelines.jats.xml_parser import (
    RejectedError,
    element_text,
    is_within_article,
    outermost,
    parse_xml,
)

__all__ = [
    "DEFAULT_SECTIONS",
    "LIST_SEPARATOR",
    "SECTION_NAMES",
    "Article",
    "ArticleElement",
    "ArticleIds",
    "RejectedError",
    "Section",
    "SectionName",
    "find_articles",
    "is_retracted_title",
    "normalized_pmcid",
    "raw_section_text",
    "read_article",
    "read_articles",
    "read_ids",
]

SectionName = Literal["title", "abstract", "body", "captions", "back", "keywords"]
SECTION_NAMES: tuple[SectionName, ...] = (
    "title", "abstract", "body", "captions", "back", "keywords",
)  # fmt: skip
DEFAULT_SECTIONS: tuple[SectionName, ...] = ("title", "abstract", "body")
LIST_SEPARATOR = "; "
"""Between the publication types of a citation, and between its headings."""

EXCLUDED_ABSTRACT_TYPES = frozenset(
    "author-highlights graphical highlights key-points precis teaser toc web-summary".split()
)
RETRACTED_TYPES = frozenset("partial-retraction retracted-article retraction".split())
RETRACTED_RELATIONS = frozenset(
    "partial-retraction retracted-article retraction retraction-forward".split()
)

_ARTICLE_META = "{*}front/{*}article-meta"
_LANGUAGE_ATTRIBUTE = "{http://www.w3.org/XML/1998/namespace}lang"
# `[Retracted] A cure`, `RETRACTED A cure`, `Retracted Article: A cure`, `Withdrawn: A cure`,
# `Retraction note: A cure` and `Retraction notice to "A cure"`, but not `RETRACTED papers: an
# analysis`, `Retraction of the muscle` or `Withdrawal: symptoms and treatment`.
_RETRACTED_TITLE = re.compile(
    r"\W*+(?i:(?:retracted|withdrawn)(?: (?:article|paper|chapter))? ?[:\])\u2013\u2014]"
    r"|(?:partial )?retraction(?: (?:note|notice|statement))?(?: to| of| for)? ?:"
    r"|(?:partial )?(?:retraction|withdrawal) (?:note|notice|statement) (?:to|of|for|on)\b"
    r"|withdrawal (?:note|notice|statement) ?:)"
    r"|\W*+RETRACTED (?!(?i:papers|articles|publications|studies|research|literature)\b)[A-Z0-9]"
)
_ARTICLE_NUMBER = re.compile(r"(?:PMC)?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """Text of one kind in an article.

    Attributes:
        name: title, abstract, body, captions, back or keywords.
        blocks: paragraphs and titles in document order, spaces normalized, none empty.
        whole_blocks: a block is one sentence, whatever it holds.
    """

    name: SectionName
    blocks: tuple[str, ...]
    whole_blocks: bool = False


@dataclass(frozen=True)
class Article:
    """One JATS `<article>`.

    Attributes:
        article_id: `PMC123`, else `doi:...`, `pmid:...`, else the member's name and number.
        pmcid: with the letters, or empty. Likewise pmid, doi, title, journal, year, licence,
            article_type and language are empty where the article does not say.
        licence: `CC BY 4.0`, `CC0`, ... or the `license-type` of the article.
        sections: the requested ones that are not empty.
        version: number of the article version, or empty.
        retracted: whether it was retracted, or is itself a notice of retraction.
        source: `pmc` or `pubmed`, or empty for what is of neither.
        journal_abbreviations: of the journal's title, in any writing: `N Engl J Med`; and its ids.
        mesh: MeSH headings of a citation, such as `D008545 Melanoma; D006801 Humans`.
    """

    article_id: str
    pmcid: str
    pmid: str
    doi: str
    title: str
    journal: str
    year: str
    licence: str
    article_type: str
    language: str
    sections: tuple[Section, ...]
    version: str = ""
    retracted: bool = False
    source: str = ""
    journal_abbreviations: tuple[str, ...] = ()
    mesh: str = ""


@dataclass(frozen=True)
class ArticleElement:
    """One `<article>` in a parsed document, from which nothing was read yet.

    Attributes:
        element: the lxml element.
        fallback_id: the `article_id` where the article has none: the name of the document, and
            `#` and its number there if there are several.
        reference_ids: ids of references and notes: an `xref` without a type to one of them goes.
    """

    element: Any
    fallback_id: str
    reference_ids: Collection[str]


@dataclass(frozen=True)
class ArticleIds:
    """The identifiers in an article's front matter; each is empty where the article has none.

    Attributes:
        pmcid: with the letters, such as `PMC123`.
        pmid: digits.
        doi: without `doi:`.
        version: number of the article version, such as `2`.
    """

    pmcid: str
    pmid: str
    doi: str
    version: str


def read_articles(
    data: bytes, member: str, sections: Iterable[SectionName] = DEFAULT_SECTIONS
) -> list[Article]:
    """Returns every article in one XML document.

    Args:
        data: the document.
        member: its name, for articles without an identifier.
        sections: which kinds of text to take.

    Raises:
        RejectedError: it cannot be parsed, or holds no JATS article.
    """
    names = tuple(sections)
    return [read_article(article, names) for article in find_articles(data, member)]


def find_articles(data: bytes, member: str) -> list[ArticleElement]:
    """Parses one XML document and returns its articles, to be read by `read_article`.

    Raises:
        RejectedError: it cannot be parsed, or holds no JATS article.
    """
    root = parse_xml(data)
    nodes = [root] if _local_name(root) == "article" else root.iter("{*}article")
    # An article within another is part of its text; JATS has none, and text that each of 250
    # ancestors held would be read as often.
    articles = [node for node in nodes if _is_jats(node) and not is_within_article(node)]
    if not articles:
        raise RejectedError("not_jats", f"root element {root.tag}, no article with front matter")
    name = member.rsplit("/", 1)[-1]
    ids = _ReferenceIds(root)
    if len(articles) == 1:
        return [ArticleElement(articles[0], name, ids)]
    return [ArticleElement(node, f"{name}#{number}", ids) for number, node in enumerate(articles)]


def raw_section_text(article: ArticleElement, sections: Iterable[SectionName]) -> bytes:
    """Returns all text inside the elements of some sections, in UTF-8, without any rule applied.

    It holds every letter that `read_article` finds there, in the same order and no further apart.
    """
    elements = (element for name in sections for element in _SECTIONS[name](article.element))
    return b"\n".join(map(_raw_text, elements))


def _raw_text(element: Any) -> bytes:
    if _local_name(element) != "back":
        return etree.tostring(element, method="text", encoding="utf-8", with_tail=False)
    pieces = [(element.text or "").encode()]
    for child in element:  # The list of references, most of the back matter, is never text.
        if _local_name(child) != "ref-list":
            pieces.append(_raw_text(child))
        pieces.append((child.tail or " ").encode())
    return b"".join(pieces)


def _is_jats(node: Any) -> bool:
    """Tells JATS from the formats of publishers, some of which have an `<article>` too."""
    paths = (_ARTICLE_META, "{*}body/{*}p", "{*}body/{*}sec")
    return any(node.find(path) is not None for path in paths)


def _local_name(node: Any) -> str:
    return str(node.tag).rpartition("}")[2]


def read_ids(article: ArticleElement) -> ArticleIds:
    """Returns the identifiers of an article, and reads nothing else of it."""
    meta = article.element.find(_ARTICLE_META)
    elements = () if meta is None else meta.iterfind("{*}article-id")
    ids = {element.get("pub-id-type", ""): element_text(element) for element in elements}
    return ArticleIds(
        pmcid=normalized_pmcid(ids.get("pmcid") or ids.get("pmc") or ids.get("pmcaid") or ""),
        pmid=ids.get("pmid", ""),
        doi=ids.get("doi", ""),
        version=ids.get("pmcid-ver", "").rpartition(".")[2],
    )


def read_article(
    article: ArticleElement, sections: tuple[SectionName, ...] = DEFAULT_SECTIONS
) -> Article:
    """Returns the metadata of an article and the requested sections."""
    node, reference_ids = article.element, article.reference_ids
    meta = node.find(_ARTICLE_META)
    if meta is None:
        meta = node.makeelement("article-meta")
    ids = read_ids(article)
    titles = _read_sections(node, ("title",), reference_ids)
    title = " ".join(block for section in titles for block in section.blocks)
    identifiers = (
        ids.pmcid,
        ids.doi and f"doi:{ids.doi}",
        ids.pmid and f"pmid:{ids.pmid}",
        article.fallback_id,
    )
    return Article(
        article_id=next(filter(None, identifiers), ""),
        pmcid=ids.pmcid,
        pmid=ids.pmid,
        doi=ids.doi,
        title=title,
        journal=element_text(node.find("{*}front/{*}journal-meta//{*}journal-title")),
        year=_publication_year(meta),
        licence=read_licence(meta.find("{*}permissions")),
        article_type=node.get("article-type", ""),
        language=node.get(_LANGUAGE_ATTRIBUTE, ""),
        sections=_read_sections(node, sections, reference_ids),
        version=ids.version,
        retracted=_is_retracted(node, meta, title),
        source="pmc" if ids.pmcid else "",
        journal_abbreviations=_journal_abbreviations(node),
    )


def _journal_abbreviations(node: Any) -> tuple[str, ...]:
    """Returns abbreviations of the title, the standard ones among them, and ids of the journal."""
    paths = ("{*}journal-id", "{*}abbrev-journal-title", "*/{*}abbrev-journal-title")
    elements = (e for p in paths for e in node.iterfind(f"{{*}}front/{{*}}journal-meta/{p}"))
    return tuple(filter(None, map(element_text, elements)))


def normalized_pmcid(text: str) -> str:
    """Returns `PMC123` for `PMC123`, `pmc123` and `123`, and an empty string for other text."""
    number = _ARTICLE_NUMBER.match(text)
    return f"PMC{number[1]}" if number else ""


def _publication_year(meta: Any) -> str:
    """Returns the earliest year: of the electronic or the printed edition."""
    years = map(element_text, meta.iterfind("{*}pub-date/{*}year"))
    return min((year for year in years if len(year) == 4 and year.isdecimal()), default="")


def is_retracted_title(title: str) -> bool:
    """Tells whether a title alone says that its article is retracted, or a notice of that."""
    return _RETRACTED_TITLE.match(title) is not None


def _is_retracted(node: Any, meta: Any, title: str) -> bool:
    if node.get("article-type") in RETRACTED_TYPES or is_retracted_title(title):
        return True
    related = meta.iterfind("{*}related-article")
    return any(r.get("related-article-type") in RETRACTED_RELATIONS for r in related)


# --- sections ----------------------------------------------------------------------------------


def _read_sections(
    node: Any, names: tuple[SectionName, ...], reference_ids: Collection[str]
) -> tuple[Section, ...]:
    sections = []
    for name in names:
        elements = _SECTIONS[name](node)
        blocks = tuple(block for each in elements for block in text_blocks(each, reference_ids))
        if blocks:
            sections.append(Section(name, blocks))
    return tuple(sections)


class _ReferenceIds(Collection[str]):
    """The ids of references and notes of a tree, looked up at first use: few articles need it."""

    def __init__(self, root: Any) -> None:
        self._root = root

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(node.get("id", "") for node in self._root.iter("{*}ref", "{*}fn"))

    def __contains__(self, reference_id: object) -> bool:
        return reference_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def _titles(node: Any) -> list[Any]:
    group = f"{_ARTICLE_META}/{{*}}title-group"
    return [*node.iterfind(f"{group}/{{*}}article-title"), *node.iterfind(f"{group}/{{*}}subtitle")]


def _abstracts(node: Any) -> list[Any]:
    abstracts = node.iterfind(f"{_ARTICLE_META}/{{*}}abstract")
    return _in_article_language(
        node,
        [a for a in abstracts if a.get("abstract-type", "").lower() not in EXCLUDED_ABSTRACT_TYPES],
    )


def _in_article_language(node: Any, elements: list[Any]) -> list[Any]:
    """Returns the elements in the article's language, or all of them where none is."""
    language = _language(node, "en")
    return [e for e in elements if _language(e, language) == language] or elements


def _language(node: Any, default: str) -> str:
    return str(node.get(_LANGUAGE_ATTRIBUTE, default))[:2].lower()


def _bodies(node: Any) -> list[Any]:
    boxes = node.iterfind("{*}floats-group/{*}boxed-text")
    return [*node.iterfind("{*}body"), *boxes]


def _captions(node: Any) -> list[Any]:
    floats, back = node.iterfind("{*}floats-group"), node.iterfind("{*}back")
    places = (*_abstracts(node), *node.iterfind("{*}body"), *floats, *back)
    captions = []
    for place in places:
        is_in_float: dict[Any, bool] = {place: False}
        captions += [c for c in place.iter("{*}caption") if _is_float(c, is_in_float)]
    return captions


def _is_float(caption: Any, is_in_float: dict[Any, bool]) -> bool:
    """Tells whether a caption is outside running text: a figure's is, a text box's is not.

    Args:
        caption: in the place that ends the search for a float.
        is_in_float: of ancestors that were asked before; changed, so that each is asked once.
    """
    path, verdict = [], False
    for ancestor in caption.iterancestors():
        if ancestor in is_in_float:
            verdict = is_in_float[ancestor]
            break
        path.append(ancestor)
        name = _local_name(ancestor)
        verdict = RULES.get(name) is Rule.OUT
        if verdict or name == "caption":
            break
    is_in_float.update(dict.fromkeys(path, verdict))
    return verdict


def _keywords(node: Any) -> list[Any]:
    groups = _in_article_language(node, node.findall(f"{_ARTICLE_META}/{{*}}kwd-group"))
    names = ("{*}kwd", "{*}compound-kwd-part")
    return [k for group in groups for k in outermost(group.iter(*names), *names)]


_SECTIONS: dict[SectionName, Callable[[Any], list[Any]]] = {
    "title": _titles,
    "abstract": _abstracts,
    "body": _bodies,
    "captions": _captions,
    "back": lambda node: node.findall("{*}back"),
    "keywords": _keywords,
}
