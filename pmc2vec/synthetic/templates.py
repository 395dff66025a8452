"""Sentence templates with slots, the tables that fill them, and the draws that choose.

A table repeats a word as often as it is likely, so that a choice is one look-up; frequencies fall
as Zipf's law has it.

    >>> Template.of("{T} in {T}", {"T": ("fever", "sepsis")}).fill(Draws("seed"))
    'fever in sepsis'
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

T = TypeVar("T")

TABLE: Final = 1 << 12
LARGE_TABLE: Final = 1 << 16
"""Entries of a table for words so many that the rarest has a share of 1 / 36,000."""


class Draws:
    """Random choices from a key: the same ones for the same key, on any machine.

    Args:
        key: any text; `random.Random` hashes it, and its stream is stable between versions.
    """

    def __init__(self, key: str) -> None:
        self._values = self._sixteen_bits(random.Random(key))

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options, of which there are at most 65,536."""
        return options[next(self._values) % len(options)]

    def below(self, limit: int) -> int:
        """Returns a number in [0, limit), where limit is at most 65,536."""
        return next(self._values) % limit

    def chance(self, share: float) -> bool:
        """Returns true in `share` of all calls."""
        return next(self._values) < share * 65536

    @staticmethod
    def _sixteen_bits(rng: random.Random) -> Iterator[int]:
        while True:
            yield from struct.unpack("<512H", rng.randbytes(1024))


@dataclass(frozen=True)
class Template:
    """A sentence with slots.

    Attributes:
        text: the sentence with `%s` for each slot.
        tables: what each slot may hold.
    """

    text: str
    tables: tuple[Sequence[str], ...]

    @classmethod
    def of(cls, text: str, tables: Mapping[str, Sequence[str]]) -> Self:
        """Returns the template of `text`, whose slots `{T}` name their table."""
        parts = text.replace("%", "%%").split("{")
        filled = parts[0] + "".join("%s" + part[2:] for part in parts[1:])
        return cls(filled, tuple(tables[part[0]] for part in parts[1:]))

    def fill(self, draws: Draws) -> str:
        """Returns the sentence with each slot filled."""
        return self.text % tuple([draws.pick(table) for table in self.tables])


def mixed(own: Sequence[str], other: Sequence[str], *, share: float) -> tuple[str, ...]:
    """Returns a table where `share` of the entries are from `own` and the rest from `other`.

    >>> mixed(("a", "a", "b", "b"), ("c",), share=0.5)[::512]
    ('a', 'a', 'b', 'b', 'c', 'c', 'c', 'c')
    """
    parts = ((own, round(TABLE * share)), (other, TABLE - round(TABLE * share)))
    return tuple(words[n * len(words) // size] for words, size in parts for n in range(size))


def zipf(words: Sequence[str], *, exponent: float, size: int = TABLE) -> tuple[str, ...]:
    """Returns a table of `size` entries where the word of rank r has a share as r ** -exponent.

    >>> zipf(("a", "b", "c"), exponent=1.0, size=8)
    ('a', 'a', 'a', 'a', 'b', 'b', 'b', 'c')
    """
    weights = [rank**-exponent for rank in range(1, len(words) + 1)]
    step, passed = sum(weights) / size, 0.0
    table: list[str] = []
    for word, weight in zip(words, weights, strict=True):
        passed += weight
        table += [word] * (round(passed / step) - len(table))
    return tuple(table)
