"""An archive read by several workers: each takes what stands in one stretch of its bytes.

A run is `RUN_DOCUMENTS` documents, counted from the start of the archive, and belongs to the slice
in whose share of the archive's bytes it begins. No row group of the corpus spans two runs, so the
row groups of all slices, one slice after another, are those of the whole archive, and what is drawn
from them is the same for any number of slices.

A slice must inflate the archive up to its own stretch (gzip has no other way in) but parses nothing
there, and stops behind it: docs/scaling.md says what that costs.

    >>> [Slice(index, 4).size_of(10) for index in range(4)]
    [2, 3, 2, 3]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from beam_pipelines.inputs.archives import Damage, Document

RUN_DOCUMENTS = 64


@dataclass(frozen=True)
class Slice:
    """The `index`-th of `count` stretches of an archive."""

    index: int = 0
    count: int = 1

    def size_of(self, size: int) -> int:
        """Returns how many of an archive's bytes are in this slice; those of all add up."""
        return self._start(size, self.index + 1) - self._start(size, self.index)

    def done(self, position: int, size: int) -> int:
        """Returns how many bytes of this slice have been read, from the position in the archive."""
        return min(max(position - self._start(size, self.index), 0), self.size_of(size))

    def _start(self, size: int, index: int) -> int:
        return size * index // self.count

    def documents(
        self, found: Iterator[Document | Damage], position: Callable[[], int], size: int
    ) -> Iterator[Document | Damage | None]:
        """Yields the documents of this slice, in order, and None between two runs.

        Args:
            found: every document of the archive.
            position: how many bytes of the archive have been read.
            size: of the archive, in bytes.
        """
        owner = 0
        for number, document in enumerate(found):
            if number % RUN_DOCUMENTS == 0:
                share = min(position() * self.count // max(size, 1), self.count - 1)
                owner = max(owner, share)  # a zip under another name is not read forward
                if owner > self.index:
                    return
                if owner == self.index and number:
                    yield None
            if owner == self.index:
                yield document
