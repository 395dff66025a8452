"""Questions typed at a terminal, with the vocabulary completed by Tab; and those of a pipe."""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from io import BufferedReader, TextIOWrapper
from itertools import islice, takewhile

PROMPT = "words> "
_MAX_COMPLETIONS = 200
_READ_BYTES = 1 << 16


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


def line_batches(stream: TextIOWrapper[BufferedReader]) -> Iterator[list[str]]:
    """Yields the lines of a pipe or a file, as many at a time as are there to be read.

    So a file comes in large batches, and a program that writes a line and waits for its answer gets
    it before it writes the next one.
    """
    decoder = codecs.getincrementaldecoder(stream.encoding)(stream.errors or "strict")
    unfinished: list[str] = []
    while chunk := stream.buffer.read1(_READ_BYTES):
        *lines, last = decoder.decode(chunk).split("\n")
        if lines:
            lines[0] = "".join([*unfinished, lines[0]])
            unfinished = []
            yield lines
        unfinished.append(last)
    if last := "".join([*unfinished, decoder.decode(b"", final=True)]):
        yield [last]
