"""Removes references from text, and the brackets and words that held nothing else.

The rules of `markup` put a mark where an `xref` to the literature or to a note stood. Brackets,
commas, dashes and lead words that held nothing but references go with the marks:

    cancer [<xref>1</xref>,<xref>2</xref>-<xref>4</xref>].       cancer.
    growth<sup><xref>12</xref></sup> was                         growth was
    shown (reviewed in <xref>7</xref>; Figure 3)                 shown (Figure 3)
    shown (Smith et al., <xref>2010</xref>; Wu, <xref>2012</xref>)   shown

In the last form only the year is marked up; the names go too where the brackets hold nothing
else. Outside brackets names stay: `Smith et al. (<xref>2010</xref>) showed` becomes `Smith et al.
showed`. Letters are never joined: a reference between two words leaves a space.

    >>> remove_references(f"growth{REFERENCE_MARK} was seen [{REFERENCE_MARK},{REFERENCE_MARK}].")
    'growth was seen.'
"""

from __future__ import annotations

import re

# XML 1.0 has no such characters, so that an article cannot forge them.
REFERENCE_MARK = "\x01"
"""The mark of a reference."""
YEAR_MARK = "\x02"
"""The mark of a reference of which only the year is marked up."""
BLOCK_END = "\x03"
"""The end of a block."""

_YEAR = re.compile(r"\s*\(?(?:1[89]|20)\d\d[a-z]?\b")
_MARKS = re.compile("[\x01\x02]+")
# Brackets end within their block. There is a pattern for each kind, for the search is fast where
# a pattern begins with one character.
_INSIDE = "([^()\\[\\]\x01-\x03]*+[\x01\x02][^()\\[\\]\x03]*+)"
_BRACKETS = (re.compile(rf"\[{_INSIDE}\]"), re.compile(rf"\({_INSIDE}\)"))
_NESTED_BRACKETS = 3
_RUN = re.compile("\x01(?>(?:(?>(?:[\\s,;&\u2010-\u2015\u2212-]|and\\b)*)\x01)+)")
_WORD = re.compile(r"[^\W_]++(?>(?:['\u2019\u2010-\u2013-][^\W_]++)*)")
_SEPARATORS = re.compile("[\\s,.:;&\u2010-\u2015\u2212'\u2019\x01\x02-]*")
# Numbers, signs of notes and single letters, as in `a,1`.
_NUMBERS = re.compile(
    "(?:[\\d\\s,;.*\u2020\u2021\u00a7\u00b6()\\[\\]\u2010-\u2015\u2212\x01\x02-]|[a-z](?<![a-z]{2})(?![a-z]))*"
)
_LEAD_WORDS = frozenset(
    """a also al an and as but by cf chapter e.g eg et example for from further g her his i.e ie e
    i in instance my of or our p page pages personal pp recent recently ref reference references
    refs review reviewed reviews see supra the their to
    """.split()
)
_NAME_PARTICLES = frozenset(
    "al ben bin da de del della den der di do dos du el la le ten ter van von zu".split()
)
_FLOAT_WORDS = frozenset(
    "appendix box eq eqs equation fig figs figure figures table tables".split()
)
_SPACES = " \t\r\n"
_CLOSING = frozenset(",;.:!?)]" + BLOCK_END)


def reference_mark(reference: str) -> str:
    """Returns the mark of a reference with this text: `YEAR_MARK` for `(2010a)`."""
    return YEAR_MARK if _YEAR.match(reference) else REFERENCE_MARK


def is_only_references(text: str) -> bool:
    """Tells whether marked text is references, numbers and separators, such as `1,` and a mark."""
    return _MARKS.search(text) is not None and _NUMBERS.fullmatch(text) is not None


def remove_references(text: str) -> str:
    """Returns marked text without its references; `BLOCK_END` still ends each block."""
    if REFERENCE_MARK not in text and YEAR_MARK not in text:
        return text
    for _ in range(_NESTED_BRACKETS):
        before = text
        for brackets in _BRACKETS:
            text = brackets.sub(_clean_brackets, text)
        if text == before:
            break
    first, *later_parts = _RUN.sub(REFERENCE_MARK, text.replace(YEAR_MARK, REFERENCE_MARK)).split(
        REFERENCE_MARK
    )
    pieces = [first]
    for piece in later_parts:
        pieces[-1], right = _close_gap(pieces[-1], piece)
        pieces.append(right)
    return "".join(pieces)


def _close_gap(left: str, right: str) -> tuple[str, str]:
    """Returns the text on either side of a removed reference, with the space between them."""
    before, after = left.rstrip(_SPACES), right.lstrip(_SPACES)
    if not after or after[0] in _CLOSING:
        return before.rstrip(",;" + _SPACES) if before.endswith((",", ";")) else before, after
    if after is not right:
        return before, right
    joins_words = before[-1:].isalnum() or before[-1:] in _CLOSING or before is not left
    return (before + " " if after[0].isalnum() and joins_words else left), right


def _clean_brackets(match: re.Match[str]) -> str:
    """Returns what remains of a pair of brackets: a mark where nothing does."""
    parts = []
    for part in match[1].split(";"):
        if not _MARKS.search(part):
            parts.append(part.strip())
        elif not _is_citation(part):
            parts.append(remove_references(part).strip(_SPACES + ","))
    parts = [part for part in parts if part]
    return f"{match[0][0]}{'; '.join(parts)}{match[0][-1]}" if parts else REFERENCE_MARK


def _is_citation(part: str) -> bool:
    by_year = YEAR_MARK in part
    if _SEPARATORS.fullmatch(_WORD.sub("", part)) is None:
        return False
    words = _WORD.findall(part)
    if by_year and not _FLOAT_WORDS.isdisjoint(word.lower() for word in words):
        return False
    return all(
        word.lower() in _LEAD_WORDS or word.isdigit() or (by_year and _is_name(word))
        for word in words
    )


def _is_name(word: str) -> bool:
    if word in _NAME_PARTICLES or _YEAR.fullmatch(word):
        return True
    is_initials = len(word) <= 2
    return word[0].isupper() and (is_initials or not word.isupper())
