"""Parses the bytes of one XML document with a parser that trusts nothing.

A document cannot make the parser read a file or an address: external DTDs and external entities
stay unread. libxml2 bounds the depth (256), the length of one text (10 MB) and the growth by
entities. Comments and processing instructions are removed, so that every node has a name. A
document whose bytes do not fit its encoding is rejected, never repaired: a guess would put wrong
words among the right ones without a trace.

The time that a document takes is bounded by its size, not by a clock: a verdict by a clock would
depend on the machine, and the bytes that come out with it. So each rule of this package looks at
each element and each character a limited number of times: quantifiers of regular expressions are
possessive where they could give back, and no rule reads all that is below an element for each of
the elements around it. The parser's memory is bounded by the markup characters.

    >>> parse_xml(b"<p>a<!-- not text -->b</p>").text
    'ab'
    >>> parse_xml(b"")
    Traceback (most recent call last):
    beam_pipelines.jats.xml_parser.RejectedError: empty: 0 bytes, none of them text
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.entities import html5
from typing import Any

from lxml import etree

# A node of the tree takes up to about 200 bytes and its markup as few as 4 (`<b/>`, ` a=""`), so
# that a small document may fill a machine. Articles have a `<` or `=` for every 20 bytes or more:
# sets of articles of the largest document size stay below.
MAX_MARKUP_CHARACTERS = 4_000_000

_HTML_PAGE = re.compile(
    rb"\s*+(?>(?:<\?xml[^>]*+>\s*+)?)(?>(?:(?><!--.*?-->)\s*+)*)<(?:!doctype\s++)?html\b",
    re.IGNORECASE | re.DOTALL,
)
_ENCODING = re.compile(rb"""^<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)""")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_PREDEFINED_ENTITIES = frozenset(("amp", "lt", "gt", "quot", "apos"))
# Character data, comments and instructions are matched to be left alone. One that never ends is
# taken to the end of the document: a search for its end from each start would be quadratic.
_ENTITY = re.compile(
    r"(?><!\[CDATA\[(?:.*?\]\]>|.*))|(?><!--(?:.*?-->|.*))|(?><\?(?:.*?\?>|.*))"
    r"|&([A-Za-z][\w.-]*+);",
    re.DOTALL,
)
_EXTERNAL_ENTITY = re.compile(r"<!ENTITY\s++([\w.-]++)\s++(?:SYSTEM|PUBLIC)\b")
_INTERNAL_ENTITY = re.compile(r"""<!ENTITY\s++([\w.-]++)\s++["']""")
_UNDECLARED_ENTITY_CODES = frozenset(
    (etree.ErrorTypes.ERR_UNDECLARED_ENTITY, etree.ErrorTypes.WAR_UNDECLARED_ENTITY)
)
_HOSTILE_CODES = frozenset((etree.ErrorTypes.ERR_ENTITY_LOOP, etree.ErrorTypes.ERR_RESOURCE_LIMIT))


class RejectedError(Exception):
    """A document that holds no article of ours.

    Attributes:
        reason: `empty`, `not_xml`, `broken_xml`, `hostile_xml`, `too_much_markup`, `too_large` (of
            a set of articles) or `not_jats`.
        detail: what is wrong and where.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def parse_xml(data: bytes) -> Any:
    """Returns the root element of a document, without comments and processing instructions.

    Raises:
        RejectedError: it is not well-formed XML, or exceeds the limits.
    """
    if not data.strip(b" \t\r\n\0"):
        raise RejectedError("empty", f"{len(data)} bytes, none of them text")
    if _HTML_PAGE.match(data[:1024].removeprefix(_UTF8_MARK)):
        raise RejectedError("not_xml", "an HTML page")
    if len(data) > MAX_MARKUP_CHARACTERS:
        count = data.count(b"<") + data.count(b"=")
        if count > MAX_MARKUP_CHARACTERS:
            detail = f"{count:,} tags and attributes, more than {MAX_MARKUP_CHARACTERS:,}"
            raise RejectedError("too_much_markup", detail)
    try:
        try:
            return _parse(data)
        except etree.XMLSyntaxError as error:
            if _error_code(error) not in _UNDECLARED_ENTITY_CODES:
                raise
        return _parse(_replace_named_entities(data))
    except etree.XMLSyntaxError as error:
        raise _rejection(data, error) from error


def element_text(node: Any) -> str:
    """Returns all text inside an element, single-spaced; empty for None."""
    return "" if node is None else " ".join("".join(node.itertext()).split())


def outermost(nodes: Iterable[Any], *names: str) -> Iterator[Any]:
    """Yields those elements that are in no other with one of the names.

    The text of an element that were read for each of 250 ancestors too would take as much longer.
    """
    return (node for node in nodes if next(node.iterancestors(*names), None) is None)


def is_within_article(node: Any) -> bool:
    """Tells whether an element is inside an `<article>`, in any namespace."""
    return next(node.iterancestors("{*}article"), None) is not None


def articles_in_set(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """Yields each `<article>` of a document that holds many, as a document of its own.

    The tree never holds more than the article that is being read.

    Args:
        chunks: the document, in pieces of any size.
        max_bytes: an article that takes more of it is the end.

    Raises:
        RejectedError: what follows cannot be parsed, or exceeds the limits.
    """
    parser: Any = etree.XMLPullParser(("end",), tag="{*}article", **_TRUST_NOTHING)
    size = markup = 0
    try:
        for chunk in chunks:
            size += len(chunk)
            markup += chunk.count(b"<") + chunk.count(b"=")
            parser.feed(chunk)
            for _, article in parser.read_events():
                if is_within_article(article):
                    continue
                yield etree.tostring(article, encoding="utf-8", with_tail=False)
                _remove_from_set(article)
                size = markup = 0
            if size > max_bytes:
                raise RejectedError("too_large", f"more than {max_bytes:,} bytes")
            if markup > MAX_MARKUP_CHARACTERS:
                raise RejectedError("too_much_markup", f"more than {MAX_MARKUP_CHARACTERS:,} tags")
        parser.close()
    except etree.XMLSyntaxError as error:
        raise RejectedError("broken_xml", " ".join((error.msg or "").split())) from error


def _remove_from_set(article: Any) -> None:
    """Removes an article that was read, and what stands before it (OAI-PMH: its record)."""
    article.clear()
    for node in (article, *article.iterancestors()):
        while (before := node.getprevious()) is not None:
            before.getparent().remove(before)


_TRUST_NOTHING: dict[str, Any] = {
    # `collect_ids=False` would save 1 %, and make libxml2 read the external DTD.
    "resolve_entities": "internal",
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}


def _parse(data: bytes) -> Any:
    return etree.fromstring(data, etree.XMLParser(**_TRUST_NOTHING))


def _replace_named_entities(data: bytes) -> bytes:
    """Returns the document with characters for the entities that only an unread DTD defines.

    The names of the JATS DTDs are those of HTML. An external entity that the document declares
    becomes a space: it is not read. Any other name stays, and the parser will reject it.
    """
    encoding = "utf-16" if data.startswith(_UTF16_MARKS) else _declared_encoding(data)
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return data
    external = set(_EXTERNAL_ENTITY.findall(text))
    defined = _PREDEFINED_ENTITIES.union(_INTERNAL_ENTITY.findall(text))

    def replacement(match: re.Match[str]) -> str:
        """Returns what stands for an entity, or what is to be left alone as it is."""
        name = match[1]  # None in a comment and in character data
        if name is None or name in defined:
            return match[0]
        if name in external:
            return " "
        characters = html5.get(f"{name};")
        return "".join(f"&#{ord(c)};" for c in characters) if characters else match[0]

    return _ENTITY.sub(replacement, text).encode(encoding)


def _declared_encoding(data: bytes) -> str:
    declaration = _ENCODING.match(data.removeprefix(_UTF8_MARK)[:200])
    return declaration[1].decode() if declaration else "utf-8"


def _error_code(error: etree.XMLSyntaxError) -> int:
    return int(error.code)  # type: ignore[attr-defined]  # the stubs lack it


def _rejection(data: bytes, error: etree.XMLSyntaxError) -> RejectedError:
    detail = " ".join((error.msg or "cannot be parsed").split())
    if _error_code(error) in _HOSTILE_CODES:
        return RejectedError("hostile_xml", detail)
    if b"<" not in data[:1024]:
        return RejectedError("not_xml", detail)
    if _error_code(error) == etree.ErrorTypes.ERR_INVALID_ENCODING:
        try:
            data.decode(_declared_encoding(data))
        except (UnicodeDecodeError, LookupError) as decode_error:
            detail = f"{detail}: {decode_error}"
    return RejectedError("broken_xml", detail)
