"""Questions typed at a terminal, with the vocabulary completed by Tab."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

PROMPT = "words> "
_MAX_COMPLETIONS = 200


class Completer:
    """Completes the last word of a line, as readline wants it: one completion a call.

    >>> complete = Completer(["melanoma", "fever", "melanin"])
    >>> [complete("mel", 0), complete("mel", 1), complete("mel", 2)]
    ['melanin', 'melanoma', None]
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        # Sorted when Tab is first pressed: a million words take a second.
        self._sorted: list[str] | None = None
        self._matches: list[str] = []

    def __call__(self, text: str, state: int) -> str | None:
        """Returns completion number `state` of `text`; None after the last."""
        if state == 0:
            self._matches = self.completions(text)
        return self._matches[state] if state < len(self._matches) else None

    def completions(self, text: str) -> list[str]:
        """Returns words that begin with `text`, in order, a screenful at most."""
        if self._sorted is None:
            self._sorted = sorted(self._words)
        rest = islice(self._sorted, bisect_left(self._sorted, text), None)
        return list(islice(takewhile(lambda word: word.startswith(text), rest), _MAX_COMPLETIONS))


def prompt_lines(words: Sequence[str]) -> Iterator[str]:
    """Yields what is typed, line by line, until Ctrl-D.

    Args:
        words: the vocabulary, to complete from.
    """
    try:
        import readline
    except ImportError:  # Some builds of Python have none; then nothing is completed.
        pass
    else:
        readline.set_completer(Completer(words))
        readline.set_completer_delims(" \t\n")
        readline.parse_and_bind("tab: complete")
    while True:
        try:
            line = input(PROMPT).strip()
        except EOFError:
            print()
            return
        if line:
            yield line
