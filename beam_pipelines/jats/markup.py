"""Turns a JATS element into blocks of running text, by a table with a rule for each element.

Names are those of the JATS Archiving and Interchange Tag Library (NISO Z39.96) and of the older
NLM DTDs; the local name decides, whatever the namespace prefix. An element that the table does not
name is INLINE. Text comes in blocks (paragraphs, titles, list items); no sentence crosses one.

    >>> from lxml import etree
    >>> p = "<p>H<sub>2</sub>O rose<sup><xref ref-type='bibr'>1</xref></sup> in CD8<sup>+</sup></p>"
    >>> text_blocks(etree.fromstring(p))
    ['H2O rose in CD8+']
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from enum import Enum
from itertools import islice
from typing import Any

from beam_pipelines.jats.citations import (
    BLOCK_END,
    REFERENCE_MARK,
    is_only_references,
    reference_mark,
    remove_references,
)


class Rule(Enum):
    """What an element's content is to the text around it."""

    INLINE = "content stays, adjacent to what stands beside it"
    APART = "content stays, with a space on either side"
    BLOCK = "content is a block of its own"
    OUT = "content is not running text: a space stands in its place"
    RAISED = "as INLINE; out if it holds nothing but references and numbers"
    REFERENCE = "out, with what only held it, if it points to literature or a note; else INLINE"
    FORMULA = "as INLINE; a formula that is one letter of a word stays, as in TGF-β1"
    TAXON = "as APART if it is a part of a taxon's name, as genus and species; else INLINE"


_ELEMENTS: dict[Rule, str] = {
    Rule.INLINE: """
        abbrev alternatives article-title award-id bold date email ext-link fixed-case
        funding-source inline-supplementary-material institution institution-wrap
        italic milestone-end milestone-start monospace overline overline-end
        overline-start pub-id rb related-article related-object roman ruby sans-serif sc source
        strike string-date string-name styled-content sub target textual-form underline
        underline-end underline-start uri volume x year
    """,
    Rule.APART: """
        addr-line city country day given-names month postal-code prefix season state suffix surname
        taxon-name-part
    """,
    Rule.BLOCK: """
        abstract ack address aff answer answer-set app app-group attrib back bio body
        boxed-text caption collab contrib def def-head def-item def-list disp-quote explanation
        glossary gloss-group kwd list list-item nomenclature note notes option p question
        question-preamble question-wrap rationale sec section sig sig-block speaker speech
        statement subtitle term term-head title treatment-sec verse-group verse-line
    """,
    Rule.OUT: """
        alt-text annotation array block-alternatives break chem-struct chem-struct-wrap
        chem-struct-wrapper citation citation-alternatives code contrib-group disp-formula
        disp-formula-group element-citation fig fig-group floats-group floats-wrap fn fn-group
        glyph-data graphic hr index-term index-term-range-end inline-graphic inline-media
        kwd-group label long-desc math media mixed-citation nlm-citation object-id permissions
        preformat private-char processing-meta product ref ref-list response rp rt sec-meta
        sub-article supplementary-material table table-wrap table-wrap-foot table-wrap-group
        tbody td tex-math tfoot th thead tr trans-abstract trans-subtitle trans-title
        trans-title-group
    """,
    Rule.RAISED: "sup",
    Rule.FORMULA: "inline-formula",
    Rule.REFERENCE: "xref",
    Rule.TAXON: "named-content",
}
RULES: dict[str, Rule] = {name: rule for rule, names in _ELEMENTS.items() for name in names.split()}
"""The rule of each element."""

REFERENCE_TYPES = frozenset(
    "aff author-notes bibr bio collab contrib corresp fn ref table-fn".split(),
)
"""`ref-type` of an `xref` that goes, in any case."""
_TEXT_REFERENCE_TYPES = frozenset(
    """app boxed-text chem disp-formula fig figure list plate scheme sec statement
    supplementary-material table video""".split()
)
"""`ref-type` of an `xref` that keeps its words; with any other (`other`, none), `rid` decides."""
_TAXON_PARTS = frozenset("family genus order species subgenus subspecies taxon-name-part".split())
"""`content-type` of a `named-content` that is one word of a taxon's name."""

_ENDS_IN_TEN = re.compile(r"(?<![0-9.,])10\Z")
_POWER_OF_TEN = re.compile("[-+\u2212\u2013]?[0-9]{1,3}")
_HYPHENS = frozenset("-\u2010\u2011\u2013")
# Mathematics that is a letter has fewer pieces of text. No more are looked at, for a formula may be
# within 250 others, and each would look at all.
_MAX_LETTER_TEXTS = 100
_ASCII = bytes(range(128))
# Tags of HTML and JATS that were escaped twice (`&lt;i&gt;`), and so are text after parsing.
_INLINE_TAG = re.compile(
    r"</?+(?:b|bold|em|font|i|italic|sc|span|strong|su[bp]|u|underline)(?:\s[^<>]*+)?>",
    re.IGNORECASE,
)
_BLOCK_TAG = re.compile(r"</?+(?:br|div|li|ol|p|sec|title|ul)(?>(?:\s[^<>]*+)?)/?>", re.IGNORECASE)


def text_blocks(element: Any, reference_ids: Collection[str] = frozenset()) -> list[str]:
    """Returns the blocks of running text in `element`, none empty, spaces normalized.

    Args:
        element: an lxml element without comments and processing instructions.
        reference_ids: ids of references and notes; an `xref` to them goes, if its type is vague.
    """
    pieces: list[str] = []
    _collect_text(element, pieces, reference_ids)
    text = remove_references("".join(pieces))
    if "</" in text:
        text = _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", text))
    blocks = (_single_spaced(block) for block in _with_one_kind_of_space(text).split(BLOCK_END))
    return [block for block in blocks if block]


def _with_one_kind_of_space(text: str) -> str:
    """Returns the text with a space for each character that `str.split` would split at."""
    # A text has few kinds, often none, so that a search for each costs less than a split.
    kinds = "\n\t\r"
    if not text.isascii():
        beyond_ascii = set(text.encode().translate(None, _ASCII).decode())
        kinds += "".join(filter(str.isspace, beyond_ascii))
    for kind in kinds:
        text = text.replace(kind, " ")
    return text


def _single_spaced(block: str) -> str:
    return " ".join(block.split()) if "  " in block else block.strip(" ")


def _collect_text(element: Any, pieces: list[str], reference_ids: Collection[str]) -> None:
    """Appends the text inside `element`; the parser bounds the recursion at a depth of 256."""
    if text := element.text:
        pieces.append(text)
    for child in element:
        rule = RULES.get(child.tag) or _rule_of(child.tag)
        if rule is Rule.INLINE:
            _collect_text(child, pieces, reference_ids)
        elif rule is Rule.REFERENCE:
            _collect_reference(child, pieces, reference_ids)
        elif rule is Rule.BLOCK:
            pieces.append(BLOCK_END)
            _collect_text(child, pieces, reference_ids)
            pieces.append(BLOCK_END)
        elif rule is Rule.OUT:
            pieces.append(" ")
        elif rule is Rule.RAISED:
            _collect_raised(child, pieces, reference_ids)
        elif rule is Rule.FORMULA:
            _collect_formula(child, pieces, reference_ids)
        elif rule is Rule.TAXON and child.get("content-type") not in _TAXON_PARTS:
            _collect_text(child, pieces, reference_ids)
        else:
            pieces.append(" ")
            _collect_text(child, pieces, reference_ids)
            pieces.append(" ")
        if tail := child.tail:
            pieces.append(tail)


def _rule_of(tag: str) -> Rule:
    return RULES.get(tag.rpartition("}")[2], Rule.INLINE)


def _collect_reference(xref: Any, pieces: list[str], reference_ids: Collection[str]) -> None:
    kind = xref.get("ref-type", "").lower()
    if kind in REFERENCE_TYPES or (
        kind not in _TEXT_REFERENCE_TYPES and _points_to(xref.get("rid", ""), reference_ids)
    ):
        pieces.append(reference_mark(xref.text or ""))
    else:
        _collect_text(xref, pieces, reference_ids)


def _points_to(rid: str, reference_ids: Collection[str]) -> bool:
    """Tells whether all ids in an `rid`, of which it has one or more, are of references."""
    ids = rid.split()
    return bool(ids) and all(each in reference_ids for each in ids)


def _collect_raised(sup: Any, pieces: list[str], reference_ids: Collection[str]) -> None:
    raised: list[str] = []
    _collect_text(sup, raised, reference_ids)
    text = "".join(raised)
    if is_only_references(text):
        text = REFERENCE_MARK
    elif text in {"-", "\u2013"}:
        text = "\u2212"  # a hyphen that is raised is a minus sign, as of a cell or an ion
    elif text in {"o", "0"} and (sup.tail or "").startswith(("C", "F", " C")):
        text = "\u00b0" if pieces and pieces[-1].rstrip()[-1:].isdigit() else text
    elif pieces and _POWER_OF_TEN.fullmatch(text) and _ENDS_IN_TEN.search(pieces[-1][-3:]):
        text = f"^{text}"
    pieces.append(text)


def _collect_formula(formula: Any, pieces: list[str], reference_ids: Collection[str]) -> None:
    if letter := _letter_of_word(formula, pieces):
        pieces.append(letter)
    else:
        _collect_text(formula, pieces, reference_ids)


def _letter_of_word(formula: Any, pieces: list[str]) -> str:
    """Returns the letter that a formula is, if that is part of a word (α-synuclein), or none.

    An ASCII letter is taken between hyphens only (p-value): `filters.may_mention` relies on it.
    """
    math = next(formula.iter("{*}math"), None)
    texts = [] if math is None else list(islice(math.itertext(), _MAX_LETTER_TEXTS))
    text = "".join(texts).strip()
    if len(texts) == _MAX_LETTER_TEXTS or len(text) != 1 or not text.isalpha():
        return ""
    letter = unicodedata.normalize("NFKC", text)
    neighbours = (pieces[-1][-1:] if pieces else "", (formula.tail or "")[:1])
    if letter.isascii() and any(map(str.isalnum, neighbours)):
        return ""
    return letter if any(each.isalnum() or each in _HYPHENS for each in neighbours) else ""
