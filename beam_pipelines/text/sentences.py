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
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
_LONG = 1 + max(map(len, _ABBREVIATIONS))
"""Letters of a word that is neither an abbreviation nor the number of a list item."""
_INITIALS = re.compile(r"[A-Z]|[A-Za-z](?:[.-]+[A-Za-z])+")
_ITEM = re.compile(r"\s*[(\[]?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})(?:\.\d{1,3})*[)\]]?")
_LONGEST_ITEM = 16
_STARTERS = re.compile(
    r"""(?:After|All|Also|Although|An|As|At|Both|By|Each|For|From|Further|Furthermore|He|Here|How
    |However|If|In|It|Its|Moreover|Most|No|Of|On|One|Our|She|Since|So|Some|Such|That|The|Then|There
    |Therefore|These|They|This|Those|Thus|To|Two|Using|We|What|When|While|With)[ ,]""",
    re.VERBOSE,
)

_WORD = r"{0}+(?:(?:[-']|(?<=[0-9])[.,](?=[0-9])){0}+)*(?:\++(?!{0}))?"
_ASCII_TOKEN = re.compile(_WORD.format("[A-Za-z0-9]"))  # twice as fast, and the same in ASCII
_ANY_TOKEN = re.compile(_WORD.format(r"[^\W_]"))

_PLUSES = re.compile(rb"\++")
_SYMBOLS = re.compile(r"[^\w\x00-\x7f]+")
# What a byte of UTF-8 is in the text of a token: flags, so that neighbours are compared at once.
_LETTER, _DIGIT, _HYPHEN, _POINT, _LINE = 1, 2, 4, 8, 16
_KINDS = bytes(
    _LETTER * (byte > 127 or chr(byte).isalnum())
    | _DIGIT * (chr(byte) in "0123456789")
    | _HYPHEN * (chr(byte) in "-'")
    | _POINT * (chr(byte) in ".,")
    | _LINE * (chr(byte) == "\n")
    for byte in range(256)
)


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
        at = boundary.start()
        is_after_long_word = at >= _LONG and block[at - _LONG : at].isalpha()
        if is_after_long_word or _ends_sentence(block, start, boundary):
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
    sentence = normalize(sentence)
    if lowercase:
        sentence = sentence.lower()
    return (_ASCII_TOKEN if sentence.isascii() else _ANY_TOKEN).findall(sentence)


def tokenized(sentences: Sequence[str], *, lowercase: bool = True) -> list[str]:
    """Returns each sentence as its `tokens`, joined by spaces: the same, byte by byte in NumPy.

    Args:
        sentences: of one article, say, none with a line break in it.
        lowercase: tokens in lower case.

    >>> tokenized(["Fever (39 °C) rose.", "...", "TNF-α fell."])
    ['fever 39 c rose', '', 'tnf-α fell']
    """
    plain = (each if each.isascii() else _letters_of(each, lowercase) for each in sentences)
    data = "\n".join(plain).encode()
    if lowercase:
        data = data.lower()
    kinds = np.frombuffer(data.translate(_KINDS), np.uint8)
    kept = _kept(kinds)
    if b"+" in data:
        _keep_pluses(data, kinds, kept)
    text = np.where(kept, np.frombuffer(data, np.uint8), np.uint8(ord(" ")))
    kept[1:] |= kept[:-1]  # of several spaces, the first
    lines = text[kept].tobytes().decode().split("\n")
    return [line.strip(" ") for line in lines]


def _letters_of(sentence: str, lowercase: bool) -> str:
    """Returns a sentence in which whatever is not ASCII is a letter or a digit."""
    normal = normalize(sentence)
    return _SYMBOLS.sub(" ", normal.lower() if lowercase else normal)


def _kept(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns [n] bool: the bytes of tokens, and line breaks; a plus is not yet one."""
    both = np.zeros_like(kinds)  # what the bytes on either side both are
    both[1:-1] = kinds[:-2] & kinds[2:]
    hyphens = (kinds >> 2) & both & _LETTER
    points = (kinds >> 2) & both & _DIGIT
    return (((kinds | hyphens | points) & (_LETTER | _LINE)) | points).astype(np.bool_)


def _keep_pluses(data: bytes, kinds: NDArray[np.uint8], kept: NDArray[np.bool_]) -> None:
    """Keeps the pluses that end a token, in place."""
    for found in _PLUSES.finditer(data):
        start, end = found.span()
        if start and kinds[start - 1] & _LETTER:
            joins = end < len(kinds) and bool(kinds[end] & _LETTER)
            kept[start : end - joins] = True
