"""Raw bytes -> whether an article can mention the keywords at all, without parsing it.

Most articles of a filtered build hold none of the keywords. That is seen in the raw bytes at
several times the speed of parsing, but only where the bytes say what the text will be. Whatever
makes that doubtful is answered with yes, and the article is parsed:

* a letter may come from a character reference, an entity, a ligature or another character that
  NFKC turns into letters, or from a CDATA section;
* a word may be broken by inline markup (`can<italic>cer</italic>`), a comment, or a character
  that `text.normalize` removes (a soft hyphen);
* the encoding may be none of ASCII and UTF-8; the file may hold several articles, or none.

Elements that `markup.RULES` keeps apart from the text around them cannot join what stands on
either side of them, nor can a reference that is removed: there is always a space or a break.

    >>> article = b"<article><body><p>%s</p></body></article>"
    >>> [may_match(article % text, ["cancer"]) for text in (b"maize", b"Cancers", b"c<b>a</b>ncer")]
    [False, True, True]
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from html.entities import html5

from beam_pipelines.articles.filters import Require
from beam_pipelines.articles.markup import RULES, Rule
from beam_pipelines.articles.text import normalize

_PART = re.compile(r"[a-z0-9]+")
_ENCODING = re.compile(rb"""^(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)""")
_PLAIN_ENCODINGS = frozenset((b"utf-8", b"utf8", b"us-ascii", b"ascii"))
_OTHER_ENCODINGS = re.compile(rb"iso-8859-\d+|windows-125\d")
_ASCII = bytes(range(128))
_HEAD = 1 << 12
_PREDEFINED = frozenset("&<>\"'")
_APART = b"|".join(
    name.encode() for name, rule in RULES.items() if rule in (Rule.BLOCK, Rule.APART, Rule.OUT)
)
# What may stand between two letters of a word: an inline tag, a reference, another character.
_TAG = (
    rb"(?!/?(?:[\w.-]+:)?(?:" + _APART + rb")[\s/>])"
    rb"""[^<>"'!?](?:[^<>"']|"[^"]*"|'[^']*')*>"""
)
_REFERENCE = rb"[^;&<\s]{1,40};"
_BETWEEN = rb"(?:<" + _TAG + rb"|&" + _REFERENCE + rb"|[\x80-\xff])*"
_REFERENCES = re.compile(rb"&(" + _REFERENCE + rb")")


def may_match(data: bytes, keywords: Collection[str], require: Require = "any") -> bool:
    """Tells whether a document may mention the keywords; False is certain.

    Args:
        data: the document.
        keywords: as in `filters.Filter`, in any case, as parts of words or more.
        require: whether any or all of them must occur.
    """
    needed = _needed(tuple(keywords))
    data = _without_references(data)
    lowered = data.lower()
    parts = frozenset(part for parts in needed for part in parts)
    missing = frozenset(part for part in parts if part not in lowered)
    enough = all if require == "all" else any
    if not needed or enough(missing.isdisjoint(parts) for parts in needed):
        return True
    if not _is_one_article_in_ascii_or_utf8(data):
        return True
    characters = _characters(data)
    if characters is None or not _letters_of(characters).isdisjoint(b"".join(missing)):
        return True
    removes = not all(map(normalize, characters))
    return _holds_broken_word(data, lowered, missing, removes=removes)


def _without_references(data: bytes) -> bytes:
    """Returns the document without its list of references, if it has exactly one.

    The titles of what an article cites mention most keywords, and are never its text.
    """
    opening, closing = b"<ref-list", b"</ref-list>"
    start, end = data.find(opening), data.rfind(closing)
    if not 0 <= start < end or data.find(closing, start) != end:
        return data
    if data.find(opening, start + 1) >= 0 or _is_in_markup(data, start, end):
        return data
    return data[:start] + data[end:]


def _is_in_markup(data: bytes, start: int, end: int) -> bool:
    """Tells whether one of two places stands in a comment or an instruction."""
    for opened, closed in ((b"<!--", b"-->"), (b"<?", b"?>")):
        for begin, place in ((0, start), (start, end)):
            at = data.rfind(opened, begin, place)
            if at >= 0 and data.find(closed, at, place) < 0:
                return True
    return False


@lru_cache(maxsize=16)
def _needed(keywords: tuple[str, ...]) -> list[list[bytes]]:
    """Returns the runs of ASCII letters and digits that each keyword's text must hold."""
    texts = (normalize(keyword).lower() for keyword in keywords)
    return [[part.encode() for part in _PART.findall(text)] for text in texts]


def _is_one_article_in_ascii_or_utf8(data: bytes) -> bool:
    before_root = data.find(b"<front")
    if b"\0" in data[:4] or b"<![CDATA[" in data or data.find(b"<!ENTITY", 0, before_root) >= 0:
        return False
    if data.count(b"/article>") != 1 or b":article" in data[:_HEAD]:
        return False
    declared = _ENCODING.match(data[:200])
    name = declared[1].lower() if declared else b"utf-8"
    if data.isascii():
        return name in _PLAIN_ENCODINGS or _OTHER_ENCODINGS.fullmatch(name) is not None
    return name in _PLAIN_ENCODINGS


def _characters(data: bytes) -> set[str] | None:
    """Returns the characters that stand outside ASCII or come from references; None in doubt."""
    references = set(_REFERENCES.findall(data))
    try:
        characters = {_character(reference) for reference in references}
        characters.update(data.translate(None, _ASCII).decode())
    except (ValueError, OverflowError):
        return None
    return characters - _PREDEFINED


@lru_cache(maxsize=4096)
def _character(reference: bytes) -> str:
    """Returns what `&reference` stands for; raises ValueError where that is unknown."""
    name = reference[:-1].decode()
    if name.startswith("#"):
        return chr(int(name.replace("#", "0", 1), 16 if name[1] == "x" else 10))
    if len(character := html5.get(f"{name};", "")) != 1:
        raise ValueError(name)
    return character


def _letters_of(characters: set[str]) -> set[int]:
    return {letter for character in characters for letter in _letters(character)}


@lru_cache(maxsize=4096)
def _letters(character: str) -> bytes:
    """Returns the ASCII letters and digits that a character turns into."""
    return "".join(_PART.findall(normalize(character).lower())).encode()


def _holds_broken_word(
    data: bytes, lowered: bytes, parts: frozenset[bytes], *, removes: bool
) -> bool:
    """Tells whether a word may stand there with something between two of its letters.

    Args:
        data: the document.
        lowered: in lower case, byte for byte.
        parts: the words.
        removes: whether it has characters that are removed.
    """
    patterns, beginnings = _broken(parts)
    longest = max(map(len, parts))
    for pattern in patterns if removes else patterns[:1]:
        at = 0
        while found := pattern.search(data, at):
            start, end = found.span()
            if data[end - 1 : end] in (b"!", b"?") or lowered.endswith(
                beginnings.get(lowered[end : end + 1], ()), max(0, start - longest), start
            ):
                return True
            at = start + 1
    return False


@lru_cache(maxsize=64)
def _broken(
    parts: frozenset[bytes],
) -> tuple[list[re.Pattern[bytes]], dict[bytes, tuple[bytes, ...]]]:
    """Returns patterns of what may break a word, and the beginnings by the letter that follows.

    The patterns start at a tag, at a reference and at another character. Each ends before a
    letter, or within a comment or an instruction, where anything may follow.
    """
    beginnings: dict[bytes, tuple[bytes, ...]] = {}
    for part in parts:
        for at in range(1, len(part)):
            beginnings[part[at : at + 1]] = (*beginnings.get(part[at : at + 1], ()), part[:at])
    before = b"".join(part[:-1] for part in parts)
    after = b"".join(part[1:] for part in parts)
    left, right = before + before.upper(), after + after.upper()
    end = _BETWEEN + rb"(?:<[!?]|(?=[" + right + rb"]))"
    if not beginnings:
        return [], {}
    starts = (
        rb"<(?<=[" + left + rb"]<)(?:[!?]|" + _TAG + end + rb")",
        rb"&(?<=[" + left + rb"]&)" + _REFERENCE + end,
        rb"[\x80-\xff](?<=[" + left + rb"].)" + end,
    )
    return [re.compile(start, re.DOTALL) for start in starts], beginnings
