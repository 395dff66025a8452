"""Blocks of text -> sentences -> tokens.

A sentence ends at `.`, `!` or `?` before a space and what may begin one (a capital, a digit, a
bracket, a name such as `mRNA`), unless the word before is an abbreviation, an initial, a genus
(`E. coli`) or the number of a list item. A token is a run of letters and digits, held together by
single hyphens and apostrophes, and between digits by points and commas; `tokenizers` has others.

    >>> block = "CD8+ cells (Smith et al. 2010) made IL-2. P53 rose 0.5-fold."
    >>> [tokens(sentence) for sentence in sentences(block)]
    [['cd8+', 'cells', 'smith', 'et', 'al', '2010', 'made', 'il-2'], ['p53', 'rose', '0.5-fold']]
"""

from __future__ import annotations

import re
import unicodedata

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_REMOVED = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u00ae\u2122"
_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_QUOTES = "\u2018\u2019\u02bc\u2032"
_CLEANED = {
    **dict.fromkeys(_DASHES, "-"), **dict.fromkeys(_SPACES, " "), **dict.fromkeys(_QUOTES, "'"),
    **dict.fromkeys(_REMOVED, ""),
}  # fmt: skip
_UNCLEAN = re.compile("[" + "".join(_CLEANED) + "]")

_BOUNDARY = re.compile(
    r"""([.!?]+)["'”’)\]]*\s+(?=["'“‘(\[]*(?:[A-Z0-9Α-Ω]|[a-zα-ω]{1,3}-?[A-Z0-9]))"""
)
_ABBREVIATIONS = frozenset(
    """al approx ca cf dept dr ed eds eq eqs equiv et etc exp ext fig figs gen inc incl jr ltd max
    min mr mrs ms no nos nov nr p pp prof ref refs resp sect ser sp spp st subg subsp suppl supp
    tab var viz vol vols vs wt""".split()
)
_INITIALS = re.compile(r"[A-Z]|[A-Za-z](?:[.-]+[A-Za-z])+")
_ITEM = re.compile(r"\s*[(\[]?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})(?:\.\d{1,3})*[)\]]?")
_LONGEST_ITEM = 16
_STARTERS = re.compile(
    r"""(?:After|All|Also|Although|An|As|At|Both|By|Each|For|From|Further|Furthermore|He|Here|How
    |However|If|In|It|Its|Moreover|Most|No|Of|On|One|Our|She|Since|So|Some|Such|That|The|Then|There
    |Therefore|These|They|This|Those|Thus|To|Two|Using|We|What|When|While|With)[ ,]""",
    re.VERBOSE,
)

_WORD = r"{0}+(?:(?:[-']|(?<=\d)[.,](?=\d)){0}+)*(?:\++(?!{0}))?"
_ASCII_TOKEN = re.compile(_WORD.format("[A-Za-z0-9]"))  # twice as fast, and the same in ASCII
_ANY_TOKEN = re.compile(_WORD.format(r"[^\W_]"))


def normalize(text: str) -> str:
    """Returns the text in NFKC with one kind of hyphen, apostrophe and space.

    Soft hyphens, zero-width characters and trade marks go first, so that `Matrigel™` does not
    become `MatrigelTM`. Greek stays Greek; the micro sign becomes mu.
    """
    if text.isascii():
        return text
    text = _UNCLEAN.sub(_clean, text)
    if unicodedata.is_normalized("NFKC", text):
        return text
    return _UNCLEAN.sub(_clean, unicodedata.normalize("NFKC", text))


def _clean(found: re.Match[str]) -> str:
    return _CLEANED[found[0]]


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
    if boundary[1] != ".":
        return True
    at = boundary.start()
    if at - start < _LONGEST_ITEM and _ITEM.fullmatch(block, start, at):
        return False
    word = block[max(start, block.rfind(" ", start, at) + 1) : at].lstrip("([")
    if word.lower() not in _ABBREVIATIONS and not _INITIALS.fullmatch(word):
        return True
    # `hepatitis B. The` ends a sentence, `A. Smith` and `i.e. The` do not.
    return word not in {"i.e", "e.g", "vs"} and _STARTERS.match(block, boundary.end()) is not None


def tokens(sentence: str, *, lowercase: bool = True) -> list[str]:
    """Returns the tokens of a sentence: `IL-2`, `TNF-α`, `5-fluorouracil`, `CD8+`, `0.05`."""
    if lowercase:
        sentence = sentence.lower()
    if sentence.isascii():
        return _ASCII_TOKEN.findall(sentence)
    return _ANY_TOKEN.findall(normalize(sentence))
