"""XML bytes -> an lxml tree, from a parser that trusts nothing.

A document can make the parser read no file and no address: external DTDs and external entities are
left unread. Depth (256), one text (10 MB) and the growth by entities are bounded by libxml2.
Comments and processing instructions are gone, so that every node has a name. A document whose
bytes are not what its encoding says is rejected, never repaired: a guess would put wrong words
among the right ones without a trace.

A list of references is never running text, and is a third of an article's bytes and more of its
elements. It is cut out before libxml2 sees it where that can be done without doubt, and whether it
is well-formed itself is then not known.

    >>> parse(b"<p>a<!-- not text -->b</p>").root.text
    'ab'
    >>> parse(b"")
    Traceback (most recent call last):
    beam_pipelines.jats.xml_parser.RejectedError: empty: 0 bytes, none of them text
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.entities import html5
from typing import Any

from lxml import etree

_HTML = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+)?html\b", re.IGNORECASE | re.DOTALL
)
_ENCODING = re.compile(rb"""^<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)""")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_PREDEFINED = frozenset(("amp", "lt", "gt", "quot", "apos"))
_LIST, _LIST_END, _BACK = b"<ref-list", b"</ref-list>", b"<back"
_USUAL_PLACE = "back/ref-list"
_NAMED = re.compile(r"<!\[CDATA\[.*?\]\]>|<!--.*?-->|&([A-Za-z][\w.-]*);", re.DOTALL)
_EXTERNAL = re.compile(r"<!ENTITY\s+([\w.-]+)\s+(?:SYSTEM|PUBLIC)\b")
_INTERNAL = re.compile(r"""<!ENTITY\s+([\w.-]+)\s+["']""")
_ENTITY_ERRORS = frozenset(
    (etree.ErrorTypes.ERR_UNDECLARED_ENTITY, etree.ErrorTypes.WAR_UNDECLARED_ENTITY)
)
_HOSTILE = frozenset((etree.ErrorTypes.ERR_ENTITY_LOOP, etree.ErrorTypes.ERR_RESOURCE_LIMIT))


class RejectedError(Exception):
    """A document that is not an article of ours.

    Attributes:
        reason: `empty`, `not_xml`, `broken_xml`, `hostile_xml` or `not_jats`.
        detail: what was found and where.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Tree:
    """A parsed document.

    Attributes:
        root: its root element, without comments and processing instructions.
        references: the list of references that was cut out of it, or nothing.
    """

    root: Any
    references: bytes = b""


def parse(data: bytes) -> Tree:
    """Returns the tree of a document.

    Raises:
        RejectedError: it is not well-formed XML, or asks for more than the limits.
    """
    if not data.strip(b" \t\r\n\0"):
        raise RejectedError("empty", f"{len(data)} bytes, none of them text")
    if _HTML.match(data[:1024].removeprefix(_UTF8_MARK)):
        raise RejectedError("not_xml", "an HTML page")
    if tree := _tree_without_references(data):
        return tree
    try:
        try:
            return Tree(_root(data))
        except etree.XMLSyntaxError as error:
            if _code(error) not in _ENTITY_ERRORS:
                raise
        return Tree(_root(_without_named_entities(data)))
    except etree.XMLSyntaxError as error:
        raise _rejection(data, error) from error


def _root(data: bytes) -> Any:
    # `collect_ids=False` would save 1 % and make libxml2 read the external DTD.
    parser = etree.XMLParser(
        resolve_entities="internal",  # type: ignore[arg-type]  # the stubs are older
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    return etree.fromstring(data, parser)


def _tree_without_references(data: bytes) -> Tree | None:
    """Returns the tree of a document without its only list of references; None in any doubt.

    If the list began in a comment or in character data, the tree would not have the element.
    """
    start = data.find(_LIST)
    end = data.find(_LIST_END, start)
    if start < 0 or end < 0 or data.rfind(_BACK, 0, start) < 0:
        return None
    if data.find(_LIST, start + 1, end) >= 0 or data.find(_LIST, end) >= 0:
        return None
    try:
        root = _root(b"".join((data[:start], _LIST, b">", data[end:])))
    except etree.XMLSyntaxError:
        return None
    if root.find(_USUAL_PLACE) is None and next(root.iter("{*}ref-list"), None) is None:
        return None
    return Tree(root, data[start:end])


def _without_named_entities(data: bytes) -> bytes:
    """Returns the document with the entities that only an unread DTD defines as characters.

    The names of the JATS DTDs are those of HTML. An external entity that the document declares
    becomes a space: it is not read. Any other name stays, and the parser will reject it.
    """
    encoding = "utf-16" if data.startswith(_WIDE) else _encoding(data)
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return data
    unread = set(_EXTERNAL.findall(text))
    known = _PREDEFINED.union(_INTERNAL.findall(text))

    def replacement(found: re.Match[str]) -> str:
        """Returns what is to stand for an entity, or what was found where it is none."""
        name = found[1]
        if name is None or name in known:
            return found[0]
        if name in unread:
            return " "
        characters = html5.get(f"{name};")
        return "".join(f"&#{ord(c)};" for c in characters) if characters else found[0]

    return _NAMED.sub(replacement, text).encode(encoding)


def _encoding(data: bytes) -> str:
    declared = _ENCODING.match(data.removeprefix(_UTF8_MARK)[:200])
    return declared[1].decode() if declared else "utf-8"


def _code(error: etree.XMLSyntaxError) -> int:
    return int(error.code)  # type: ignore[attr-defined]  # the stubs lack it


def _rejection(data: bytes, error: etree.XMLSyntaxError) -> RejectedError:
    detail = " ".join((error.msg or "cannot be parsed").split())
    if _code(error) in _HOSTILE:
        return RejectedError("hostile_xml", detail)
    if b"<" not in data[:1024]:
        return RejectedError("not_xml", detail)
    if _code(error) == etree.ErrorTypes.ERR_INVALID_ENCODING:
        try:
            data.decode(_encoding(data))
        except (UnicodeDecodeError, LookupError) as wrong:
            detail = f"{detail}: {wrong}"
    return RejectedError("broken_xml", detail)
