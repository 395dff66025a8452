"""Text with marks where references stood -> text without them and without what only held them.

The markup rules (see `markup`) put a mark where an `xref` to the literature or to a note stood.
Brackets, commas, dashes and lead words that held nothing but references go with them:

    cancer [<xref>1</xref>,<xref>2</xref>-<xref>4</xref>].       cancer.
    growth<sup><xref>12</xref></sup> was                         growth was
    shown (reviewed in <xref>7</xref>; Figure 3)                 shown (Figure 3)
    shown (Smith et al., <xref>2010</xref>; Wu, <xref>2012</xref>)   shown

In the last form only the year is marked up; the names go too where they stand in brackets and
nothing else does. Outside brackets names stay: `Smith et al. (<xref>2010</xref>) showed` is
`Smith et al. showed`. No letters are ever joined: where a reference stood between two words
without a space, there is one.
"""

from __future__ import annotations

import re

# XML 1.0 has no such characters, so that text cannot forge them.
NUMBER, YEAR, BREAK = "\x01", "\x02", "\x03"
"""A reference, a reference of which only the year is marked up, and the end of a block."""

_YEAR = re.compile(r"\s*\(?(?:1[89]|20)\d\d[a-z]?\b")
_MARKS = re.compile("[\x01\x02]+")
# No bracket reaches past a block. Patterns that begin with one character are searched fast.
_INSIDE = "([^()\\[\\]\x01-\x03]*[\x01\x02][^()\\[\\]\x03]*)"
_GROUPS = (re.compile(rf"\[{_INSIDE}\]"), re.compile(rf"\({_INSIDE}\)"))
_RUN = re.compile("\x01(?:(?:[\\s,;&\u2010-\u2015\u2212-]|and\\b)*\x01)+")
_WORD = re.compile(r"[^\W_]+(?:['\u2019\u2010-\u2013-][^\W_]+)*")
_SEPARATORS = re.compile("[\\s,.:;&\u2010-\u2015\u2212'\u2019\x01\x02-]*")
_NUMBERS = re.compile("[\\d\\s,;.*\u2020\u2021\u00a7\u00b6()\\[\\]\u2010-\u2015\u2212\x01\x02-]*")
_LEAD = frozenset(
    """a also al an and as but by cf chapter e.g eg et example for from further g her his i.e ie e
    i in instance my of or our p page pages personal pp recent recently ref reference references
    refs review reviewed reviews see supra the their to
    """.split()
)
_PARTICLES = frozenset(
    "al ben bin da de del della den der di do dos du el la le ten ter van von zu".split()
)
_OBJECTS = frozenset("appendix box eq eqs equation fig figs figure figures table tables".split())
_SPACES = " \t\r\n"
_CLOSERS = frozenset(",;.:!?)]" + BREAK)


def mark_of(reference: str) -> str:
    """Returns the mark that stands for a reference with this text."""
    return YEAR if _YEAR.match(reference) else NUMBER


def holds_only_references(text: str) -> bool:
    """Tells whether text (with marks) is references, numbers and separators, as in `1,[mark]`."""
    return _MARKS.search(text) is not None and _NUMBERS.fullmatch(text) is not None


def without_references(text: str) -> str:
    """Returns the text without marks; blocks stay apart by `BREAK`."""
    if NUMBER not in text and YEAR not in text:
        return text
    for _ in range(3):  # brackets within brackets within brackets
        before = text
        for group in _GROUPS:
            text = group.sub(_group, text)
        if text == before:
            break
    pieces = _RUN.sub(NUMBER, text.replace(YEAR, NUMBER)).split(NUMBER)
    joined = pieces[:1]
    for piece in pieces[1:]:
        joined[-1], right = _closed_up(joined[-1], piece)
        joined.append(right)
    return "".join(joined)


def _closed_up(left: str, right: str) -> tuple[str, str]:
    """Returns the text on either side of a reference that went."""
    before, after = left.rstrip(_SPACES), right.lstrip(_SPACES)
    if not after or after[0] in _CLOSERS:
        return before.rstrip(",;" + _SPACES) if before.endswith((",", ";")) else before, after
    if after is not right:
        return before, right
    joins_words = before[-1:].isalnum() or before[-1:] in _CLOSERS or before is not left
    return (before + " " if after[0].isalnum() and joins_words else left), right


def _group(found: re.Match[str]) -> str:
    """Returns what remains of a pair of brackets: a mark where nothing does."""
    kept = []
    for part in found[1].split(";"):
        if not _MARKS.search(part):
            kept.append(part.strip())
        elif not _is_citation(part):
            kept.append(without_references(part).strip(" \t\r\n,"))
    kept = [part for part in kept if part]
    return f"{found[0][0]}{'; '.join(kept)}{found[0][-1]}" if kept else NUMBER


def _is_citation(part: str) -> bool:
    by_year = YEAR in part
    if _SEPARATORS.fullmatch(_WORD.sub("", part)) is None:
        return False
    words = _WORD.findall(part)
    if by_year and not _OBJECTS.isdisjoint(word.lower() for word in words):
        return False
    return all(
        word.lower() in _LEAD or word.isdigit() or (by_year and _is_name(word)) for word in words
    )


def _is_name(word: str) -> bool:
    if word in _PARTICLES or _YEAR.fullmatch(word):
        return True
    is_initials = len(word) <= 2
    return word[0].isupper() and (is_initials or not word.isupper())
