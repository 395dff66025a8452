"""Which words somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pmc2vec.errors import UserError

_COMPARED = 20_000


class UnknownWordError(UserError, KeyError):
    """A word that the vocabulary lacks; the message names words that look like it."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown(word: str, words: Sequence[str]) -> UnknownWordError:
    """Returns the error about a word that is not among `words`.

    >>> print(unknown("fathr", ["man", "father"]))
    'fathr' is not in the vocabulary; did you mean father?
    """
    near = lookalikes(word, words)
    hint = f"did you mean {', '.join(near)}?" if near else "no word of it looks like that"
    return UnknownWordError(f"{word!r} is not in the vocabulary; {hint}")


def lookalikes(word: str, words: Sequence[str], limit: int = 3) -> list[str]:
    """Returns those of `words` that look like `word`, likest first.

    Only words of about the same length with the same first letter or the same ending are compared,
    and of those the first 20,000: at most a third of a second.

    >>> lookalikes("fathr", ["man", "father", "mother"])
    ['father']
    """
    folded, length = word.casefold(), len(word)
    head, tail = folded[:1], folded[-2:]
    near = [
        (known.casefold(), known)
        for known in words
        if abs(len(known) - length) <= 2
        and (known[:1].casefold() == head or known[-2:].casefold() == tail)
    ][:_COMPARED]
    spelt = dict(reversed(near))
    found = difflib.get_close_matches(folded, spelt, n=limit, cutoff=0.7)
    return [spelt[form] for form in found]
