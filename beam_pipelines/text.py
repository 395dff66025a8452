"""Blocks of text -> sentences -> tokens.

A sentence ends at `.`, `!` or `?` before a space and a capital, digit or opening bracket, unless
the word before is an abbreviation, an initial or a genus (`E. coli`). A token is a run of letters
and digits, held together by single hyphens and apostrophes, and between digits by points and
commas.

    >>> block = "CD8+ cells (Smith et al. 2010) made IL-2. P53 rose 0.5-fold."
    >>> [tokens(sentence) for sentence in sentences(block)]
    [['cd8+', 'cells', 'smith', 'et', 'al', '2010', 'made', 'il-2'], ['p53', 'rose', '0.5-fold']]
"""

from __future__ import annotations

import re
import unicodedata

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_REMOVED = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u00ae\u2122\u00a9"
_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_QUOTES = "\u2018\u2019\u02bc\u2032"
_CLEAN = str.maketrans(
    {**dict.fromkeys(_DASHES, "-"), **dict.fromkeys(_REMOVED), **dict.fromkeys(_SPACES, " ")}
    | dict.fromkeys(_QUOTES, "'")
)

_BOUNDARY = re.compile(r"""[.!?]+["'”’)\]]*\s+(?=["'“‘(\[]*[A-Z0-9Α-Ω])""")
_LAST_WORD = re.compile(r"[^\s(\[]*$")
_ABBREVIATIONS = frozenset(
    """al approx ca cf dept dr e.g ed eds eq eqs et etc exp fig figs i.e inc incl jr ltd max min
    mr mrs ms no nos nr p pp prof ref refs resp sect sp spp sr st subsp suppl supp tab var vol vs
    viz""".split()
)

_TOKEN = re.compile(r"[^\W_]+(?:(?:[-']|(?<=\d)[.,](?=\d))[^\W_]+)*(?:\++(?![^\W_]))?")


def normalize(text: str) -> str:
    """Returns the text in NFKC with one kind of hyphen, apostrophe and space.

    Soft hyphens, zero-width characters and trade marks go first, so that `Matrigel™` does not
    become `MatrigelTM`. Greek stays Greek; the micro sign becomes mu.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", text.translate(_CLEAN)).translate(_CLEAN)


def sentences(block: str) -> list[str]:
    """Returns the sentences of a block, in order; joined by spaces they are the block again."""
    found, start = [], 0
    for boundary in _BOUNDARY.finditer(block):
        if _ends_sentence(block, start, boundary):
            found.append(block[start : boundary.end()].rstrip())
            start = boundary.end()
    if start < len(block):
        found.append(block[start:])
    return found


def _ends_sentence(block: str, start: int, boundary: re.Match[str]) -> bool:
    if block[boundary.start()] != ".":
        return True
    before = _LAST_WORD.search(block, max(start, boundary.start() - 24), boundary.start())
    word = before.group() if before else ""
    if word.lower() in _ABBREVIATIONS:
        return False
    return not (len(word) == 1 and word.isalpha() and word.isupper())


def tokens(sentence: str, *, lowercase: bool = True) -> list[str]:
    """Returns the tokens of a sentence: `IL-2`, `TNF-α`, `5-fluorouracil`, `CD8+`, `0.05`."""
    return _TOKEN.findall(normalize(sentence.lower() if lowercase else sentence))
