"""An article's raw text -> whether it can mention the keywords at all, before it is read.

Most articles of a filtered build hold none of the keywords. That is seen in the text inside their
elements (`jats.raw_text`), which is had in a fraction of the time that the rules of `markup` take:
those leave text out and put spaces in, but never bring two letters together, so that a keyword
that is not in the raw text is not in the article. What `text.normalize` may bring together, or
turn into letters, is put in place of such characters first.

    >>> texts = "maize", "Cancers", "can\u00adcer", "c ancer"
    >>> [may_mention(text.encode(), ["cancer"]) for text in texts]
    [False, True, True, False]
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from beam_pipelines.text.filters import Require
from beam_pipelines.text.sentences import normalize

_PART = re.compile(r"[a-z0-9]+")
_ASCII = bytes(range(128))


def may_mention(text: bytes, keywords: Collection[str], require: Require = "any") -> bool:
    """Tells whether an article may mention the keywords; False is certain.

    Args:
        text: all that is in its elements, in UTF-8.
        keywords: as in `filters.Filter`, in any case, as parts of words or more.
        require: whether any or all of them must occur.
    """
    needed = _needed(tuple(keywords))
    parts = frozenset().union(*needed)
    lowered = text.lower()
    missing = {part for part in parts if part not in lowered}
    if missing and not text.isascii():
        for character, letters in _letters(text, b"".join(missing)):
            lowered = lowered.replace(character, letters)
        missing = {part for part in missing if part not in lowered}
    enough = all if require == "all" else any
    return not needed or enough(missing.isdisjoint(parts) for parts in needed)


@lru_cache(maxsize=16)
def _needed(keywords: tuple[str, ...]) -> list[frozenset[bytes]]:
    """Returns the runs of ASCII letters and digits that each keyword's text must hold."""
    texts = (normalize(keyword).lower() for keyword in keywords)
    return [frozenset(part.encode() for part in _PART.findall(text)) for text in texts]


def _letters(text: bytes, wanted: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the characters that become nothing, or letters of which some are wanted; and those."""
    for character in set(text.translate(None, _ASCII).decode()):
        letters = _turned(character)
        if not letters or any(letter in wanted for letter in letters):
            yield character.encode(), letters


@lru_cache(maxsize=4096)
def _turned(character: str) -> bytes:
    return normalize(character).lower().encode()
