"""XML bytes -> Articles: identifiers, metadata and the sections that were asked for.

Which elements are running text is the table in `markup`; what cannot be parsed is rejected by
`trees`. Names are looked for in any namespace, and at any depth: a file may hold several articles
in a wrapper (Europe PMC's `<articles>`, efetch's `<pmc-articleset>`, OAI-PMH).

    >>> front = b"<front><article-meta/></front>"
    >>> data = b"<article>" + front + b"<body><p>H<sub>2</sub>O</p></body></article>"
    >>> [section.blocks for section in articles(data, "a.xml")[0].sections]
    [('H2O',)]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from lxml import etree

from beam_pipelines.jats.licences import licence
from beam_pipelines.jats.markup import RULES, Rule, blocks
from beam_pipelines.jats.xml_parser import RejectedError, Tree, parse

__all__ = [
    "DEFAULT_SECTIONS",
    "SECTION_NAMES",
    "Article",
    "ArticleElement",
    "RejectedError",
    "Section",
    "SectionName",
    "articles",
    "elements",
    "raw_text",
    "read",
]

SectionName = Literal["title", "abstract", "body", "captions", "back", "keywords"]
SECTION_NAMES: tuple[SectionName, ...] = (
    "title", "abstract", "body", "captions", "back", "keywords",
)  # fmt: skip
DEFAULT_SECTIONS: tuple[SectionName, ...] = ("title", "abstract", "body")

ABSTRACTS_LEFT_OUT = frozenset("graphical key-points precis teaser toc web-summary".split())
RETRACTED_TYPES = frozenset("partial-retraction retracted-article retraction".split())
RETRACTED_RELATIONS = frozenset(
    "partial-retraction retracted-article retraction retraction-forward".split()
)

_META = "{*}front/{*}article-meta"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_RETRACTED_TITLE = re.compile(r"\W*(RETRACTED|Retracted( article)?:|Retraction( note)?:)")
_ID = re.compile(rb"""<(?:ref|fn)\s(?:[^<>]*?\s)?id\s*=\s*["']([^"'<>]*)""")
_ARTICLE_NUMBER = re.compile(r"(?:PMC)?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """Text of one kind in an article.

    Attributes:
        name: title, abstract, body, captions, back or keywords.
        blocks: paragraphs and titles in document order, spaces normalized, none empty.
    """

    name: SectionName
    blocks: tuple[str, ...]


@dataclass(frozen=True)
class Article:
    """One JATS `<article>`.

    Attributes:
        article_id: `PMC123`, else `doi:...`, `pmid:...`, else the member's name and number.
        pmcid: with the letters, or empty. Likewise pmid, doi, title, journal, year, licence,
            article_type and language are empty where the article does not say.
        licence: `CC BY 4.0`, `CC0`, ... or the licence's own type.
        sections: those that were asked for and are not empty.
        version: number of the article version, or empty.
        retracted: it says that it was retracted, or is itself a notice of retraction.
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


@dataclass(frozen=True)
class ArticleElement:
    """One `<article>` in a document, parsed but not read.

    Attributes:
        element: the element.
        name: of the article where it has no identifier: the member's, and its number there.
        targets: ids of references and notes: an `xref` without a type to one of them goes.
    """

    element: Any
    name: str
    targets: Collection[str]


def articles(
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
    wanted = tuple(sections)
    return [read(found, wanted) for found in elements(data, member)]


def elements(data: bytes, member: str) -> list[ArticleElement]:
    """Returns the articles in one XML document, not yet read; arguments and errors as above."""
    tree = parse(data)
    root = tree.root
    nodes = [root] if _local_name(root) == "article" else root.iter("{*}article")
    found = [node for node in nodes if _is_jats(node)]
    if not found:
        raise RejectedError("not_jats", f"root element {root.tag}, no article with front matter")
    stem = member.rsplit("/", 1)[-1]
    targets = _Targets(tree)
    many = len(found) > 1
    return [
        ArticleElement(node, f"{stem}#{number}" if many else stem, targets)
        for number, node in enumerate(found)
    ]


def raw_text(found: ArticleElement, sections: Iterable[SectionName]) -> bytes:
    """Returns all text inside the elements of some sections, in UTF-8.

    It holds every letter that `read` will find there, in the same order and no further apart; and
    more, for no rule is applied.
    """
    elements = (element for name in sections for element in _SECTIONS[name](found.element))
    return b"\n".join(
        etree.tostring(element, method="text", encoding="utf-8", with_tail=False)
        for element in elements
    )


def _is_jats(node: Any) -> bool:
    """Tells JATS from the formats of publishers, some of which have an `<article>` too."""
    paths = (_META, "{*}body/{*}p", "{*}body/{*}sec")
    return any(node.find(path) is not None for path in paths)


def _local_name(node: Any) -> str:
    return str(node.tag).rpartition("}")[2]


def read(found: ArticleElement, wanted: tuple[SectionName, ...] = DEFAULT_SECTIONS) -> Article:
    """Returns what an article says of itself, and the sections that are wanted."""
    node, name, targets = found.element, found.name, found.targets
    meta = node.find(_META)
    if meta is None:
        meta = node.makeelement("article-meta")
    ids = {i.get("pub-id-type", ""): _text(i) for i in meta.iterfind("{*}article-id")}
    number = _ARTICLE_NUMBER.match(ids.get("pmcid") or ids.get("pmc") or ids.get("pmcaid") or "")
    pmcid = f"PMC{number[1]}" if number else ""
    pmid, doi = ids.get("pmid", ""), ids.get("doi", "")
    titles = _sections(node, ("title",), targets)
    title = " ".join(block for section in titles for block in section.blocks)
    return Article(
        article_id=pmcid or (doi and f"doi:{doi}") or (pmid and f"pmid:{pmid}") or name,
        pmcid=pmcid,
        pmid=pmid,
        doi=doi,
        title=title,
        journal=_text(node.find("{*}front/{*}journal-meta//{*}journal-title")),
        year=_year(meta),
        licence=licence(meta.find("{*}permissions")),
        article_type=node.get("article-type", ""),
        language=node.get(_LANGUAGE, ""),
        sections=_sections(node, wanted, targets),
        version=ids.get("pmcid-ver", "").rpartition(".")[2],
        retracted=_retracted(node, meta, title),
    )


def _text(node: Any) -> str:
    return "" if node is None else " ".join("".join(node.itertext()).split())


def _year(meta: Any) -> str:
    """Returns the earliest year of publication."""
    years = map(_text, meta.iterfind("{*}pub-date/{*}year"))
    return min((year for year in years if len(year) == 4 and year.isdecimal()), default="")


def _retracted(node: Any, meta: Any, title: str) -> bool:
    if node.get("article-type") in RETRACTED_TYPES or _RETRACTED_TITLE.match(title):
        return True
    related = meta.iterfind("{*}related-article")
    return any(r.get("related-article-type") in RETRACTED_RELATIONS for r in related)


# --- sections ----------------------------------------------------------------------------------


def _sections(
    node: Any, wanted: tuple[SectionName, ...], targets: Collection[str]
) -> tuple[Section, ...]:
    found = (
        (name, tuple(b for element in _SECTIONS[name](node) for b in blocks(element, targets)))
        for name in wanted
    )
    return tuple(Section(name, text) for name, text in found if text)


class _Targets(Collection[str]):
    """The ids of references and notes of a tree, which hardly any article asks for."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @cached_property
    def _ids(self) -> frozenset[str]:
        nodes = self._tree.root.iter("{*}ref", "{*}fn")
        cut = (found.decode(errors="replace") for found in _ID.findall(self._tree.references))
        return frozenset((*(node.get("id", "") for node in nodes), *cut))

    def __contains__(self, target: object) -> bool:
        return target in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def _titles(node: Any) -> list[Any]:
    group = f"{_META}/{{*}}title-group"
    return [*node.iterfind(f"{group}/{{*}}article-title"), *node.iterfind(f"{group}/{{*}}subtitle")]


def _abstracts(node: Any) -> list[Any]:
    found = node.iterfind(f"{_META}/{{*}}abstract")
    return _in_its_language(
        node, [a for a in found if a.get("abstract-type", "") not in ABSTRACTS_LEFT_OUT]
    )


def _in_its_language(node: Any, elements: list[Any]) -> list[Any]:
    """Returns those in the article's language; all of them where that would leave none."""
    language = node.get(_LANGUAGE, "en")[:2].lower()
    fitting = [e for e in elements if e.get(_LANGUAGE, language)[:2].lower() == language]
    return fitting or elements


def _bodies(node: Any) -> list[Any]:
    boxes = node.iterfind("{*}floats-group/{*}boxed-text")
    return [*node.iterfind("{*}body"), *boxes]


def _captions(node: Any) -> list[Any]:
    floats, back = node.iterfind("{*}floats-group"), node.iterfind("{*}back")
    places = (*_abstracts(node), *node.iterfind("{*}body"), *floats, *back)
    return [c for place in places for c in place.iter("{*}caption") if _is_float(c, place)]


def _is_float(caption: Any, place: Any) -> bool:
    """Tells whether a caption stands outside running text: a figure's does, a text box's not."""
    for ancestor in caption.iterancestors():
        if ancestor is place:
            return False
        name = ancestor.tag.rpartition("}")[2]
        if name == "caption":
            return False
        if RULES.get(name) is Rule.OUT:
            return True
    return False


def _keywords(node: Any) -> list[Any]:
    groups = _in_its_language(node, node.findall(f"{_META}/{{*}}kwd-group"))
    return [k for group in groups for k in group.iter("{*}kwd", "{*}compound-kwd-part")]


_SECTIONS: dict[SectionName, Callable[[Any], list[Any]]] = {
    "title": _titles,
    "abstract": _abstracts,
    "body": _bodies,
    "captions": _captions,
    "back": lambda node: node.findall("{*}back"),
    "keywords": _keywords,
}
