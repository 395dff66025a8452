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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from beam_pipelines.articles.licences import licence
from beam_pipelines.articles.markup import RULES, Rule, blocks
from beam_pipelines.articles.trees import RejectedError, parse

__all__ = [
    "DEFAULT_SECTIONS",
    "SECTION_NAMES",
    "Article",
    "RejectedError",
    "Section",
    "SectionName",
    "articles",
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
    root = parse(data)
    found = [node for node in root.iter("{*}article") if _is_jats(node)]
    if not found:
        raise RejectedError("not_jats", f"root element {root.tag}, no article with front matter")
    wanted = tuple(sections)
    stem = member.rsplit("/", 1)[-1]
    many = len(found) > 1
    return [
        _article(node, f"{stem}#{number}" if many else stem, wanted)
        for number, node in enumerate(found)
    ]


def _is_jats(node: Any) -> bool:
    """Tells JATS from the formats of publishers, some of which have an `<article>` too."""
    paths = (_META, "{*}body/{*}p", "{*}body/{*}sec")
    return any(node.find(path) is not None for path in paths)


def _article(node: Any, name: str, wanted: tuple[SectionName, ...]) -> Article:
    meta = node.find(_META)
    if meta is None:
        meta = node.makeelement("article-meta")
    ids = {i.get("pub-id-type", ""): _text(i) for i in meta.iterfind("{*}article-id")}
    number = _ARTICLE_NUMBER.match(ids.get("pmcid") or ids.get("pmc") or ids.get("pmcaid") or "")
    pmcid = f"PMC{number[1]}" if number else ""
    pmid, doi = ids.get("pmid", ""), ids.get("doi", "")
    targets = _targets(node)
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
    node: Any, wanted: tuple[SectionName, ...], targets: frozenset[str]
) -> tuple[Section, ...]:
    found = (
        (name, tuple(b for element in _SECTIONS[name](node) for b in blocks(element, targets)))
        for name in wanted
    )
    return tuple(Section(name, text) for name, text in found if text)


def _targets(node: Any) -> frozenset[str]:
    """Returns the ids of references and notes: an `xref` without a type to one of them goes."""
    return frozenset(target.get("id", "") for target in node.iter("{*}ref", "{*}fn"))


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
