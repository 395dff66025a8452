"""Input files -> work items, each of which becomes one part of the corpus.

A work item is one archive, a byte range of one, a handful of loose files, or a row group of a
selection of article versions, which are counted in runs as the documents of an archive are. Byte
ranges let several workers read one archive:

A run is `RUN_DOCUMENTS` documents, counted from the start of the archive. It belongs to the byte
range in which it begins. No row group of the corpus spans two runs, so the row groups of all byte
ranges, one after another, are those of the whole archive, and the records drawn from them are the
same for any number of byte ranges.

A worker must inflate the archive up to its byte range (gzip has no other way in), but it parses
nothing there, and it stops behind the range: docs/scaling.md says what that costs.

    >>> [ByteRange(index, 4).size_of(10) for index in range(4)]
    [2, 3, 2, 3]
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from beam_pipelines.inputs.article_versions import ITEM_VERSIONS
from beam_pipelines.inputs.sources import is_archive, source_of

DocumentT = TypeVar("DocumentT")

RUN_DOCUMENTS = 64
RANGE_BYTES = 1 << 20
"""Bytes of an archive that are worth a range of their own."""
VERSION_BYTES = 1 << 15
"""What an article version counts as beside bytes of archives: about its size when compressed."""
LOOSE_FILES = 1024
LOOSE_BYTES = 64 << 20
"""Loose files that make one part of the corpus, at most."""


@dataclass(frozen=True)
class ByteRange:
    """The `index`-th of `count` ranges of like size that an archive's bytes are divided into."""

    index: int = 0
    count: int = 1

    def size_of(self, size: int) -> int:
        """Returns how many bytes of an archive of `size` bytes are in this range."""
        return self._start(size, self.index + 1) - self._start(size, self.index)

    def bytes_read(self, position: int, size: int) -> int:
        """Returns how many bytes of this range have been read at a position in the archive."""
        return min(max(position - self._start(size, self.index), 0), self.size_of(size))

    def _start(self, size: int, index: int) -> int:
        return size * index // self.count

    def select(
        self, documents: Iterable[DocumentT], position: Callable[[], int], size: int
    ) -> Iterator[DocumentT | None]:
        """Yields the documents of this range, in order, and None between two runs.

        Args:
            documents: every document of the archive.
            position: returns how many bytes of the archive have been read.
            size: of the archive, in bytes.
        """
        owner = 0
        for number, document in enumerate(documents):
            if number % RUN_DOCUMENTS == 0:
                at = min(position() * self.count // max(size, 1), self.count - 1)
                owner = max(owner, at)  # Positions in a zip, which is not read forward, go back.
                if owner > self.index:
                    return
                if owner == self.index and number:
                    yield None
            if owner == self.index:
                yield document


@dataclass(frozen=True)
class WorkItem:
    """Input files, or a byte range of an archive, that become one part of the corpus.

    Attributes:
        index: number of the part; the byte ranges of an archive follow each other.
        files: (path, size in bytes) of each; none for article versions of a bucket.
        byte_range: which of its documents.
        names: what the corpus calls each file; see `file_names`.
        versions: how many article versions, those of the `index`-th row group of the selection.
    """

    index: int
    files: tuple[tuple[str, int], ...] = ()
    byte_range: ByteRange = ByteRange()  # frozen
    names: tuple[str, ...] = ()
    versions: int = 0

    @property
    def name(self) -> str:
        """Name of the part: `part-00003`."""
        return f"part-{self.index:05d}"

    @property
    def size(self) -> int:
        """Bytes of its files, or of the byte range; of article versions, what they count as."""
        files = sum(self.byte_range.size_of(size) for _, size in self.files)
        return files + self.versions * VERSION_BYTES


def work_items(
    files: Sequence[tuple[str, int]], ranges: int = 1, *, first: int = 0
) -> list[WorkItem]:
    """Returns the work items of the input: one for each archive, loose files by the handful.

    Args:
        files: (path, size in bytes) of each input file.
        ranges: the most byte ranges that a large archive is divided into.
        first: index of the first work item, after those of article versions.
    """
    groups: list[tuple[list[tuple[str, int]], ByteRange]] = []
    loose: list[tuple[str, int]] = []
    loose_bytes = 0
    for path, size in files:
        if is_archive(path):
            groups.extend(([(path, size)], part) for part in _byte_ranges(path, size, ranges))
            continue
        loose_bytes += size
        if not loose or len(loose) >= LOOSE_FILES or loose_bytes > LOOSE_BYTES:
            loose, loose_bytes = [], size
            groups.append((loose, ByteRange()))
        loose.append((path, size))
    names = file_names([path for path, _ in files])
    return [
        WorkItem(index, tuple(group), part, tuple(names[path] for path, _ in group))
        for index, (group, part) in enumerate(groups, first)
    ]


def file_names(paths: Sequence[str]) -> dict[str, str]:
    """Returns what the corpus calls each input file: its name, with the folders that it needs.

    >>> list(file_names(["in/a.tar.gz", "in/PMC1/main.nxml", "in/PMC2/main.nxml"]).values())
    ['a.tar.gz', 'PMC1/main.nxml', 'PMC2/main.nxml']

    Args:
        paths: each once.
    """
    names: dict[str, str] = {}
    ambiguous, folders = list(paths), 0
    while ambiguous:
        # Parts of a path from its end: the name, and one folder more in each round.
        endings = {path: "/".join(path.split("/")[-1 - folders :]) for path in ambiguous}
        count = Counter(endings.values())
        names |= {path: end for path, end in endings.items() if count[end] == 1 or end == path}
        ambiguous = [path for path in ambiguous if path not in names]
        folders += 1
    return {path: names[path] for path in paths}


def version_items(versions: int) -> list[WorkItem]:
    """Returns the work items of so many selected article versions: one for each row group.

    >>> [item.versions for item in version_items(1500)]
    [1024, 476]
    """
    starts = range(0, versions, ITEM_VERSIONS)
    return [
        WorkItem(index, versions=min(ITEM_VERSIONS, versions - start))
        for index, start in enumerate(starts)
    ]


def _byte_ranges(path: str, size: int, most: int) -> list[ByteRange]:
    source = source_of(path)
    is_divisible = source is not None and source.is_divisible
    count = max(min(most, size // RANGE_BYTES), 1) if is_divisible else 1
    return [ByteRange(index, count) for index in range(count)]


def bundles(items: Sequence[WorkItem], workers: int) -> list[list[WorkItem]]:
    """Returns at most `workers` bundles of like size, the largest item first.

    Beam's local engine assigns elements to workers before it starts. Without bundles a worker
    could get one archive much larger than the others, and the rest would wait for it. What is
    written does not depend on the bundles.
    """
    heap: list[tuple[int, int, list[WorkItem]]] = [(0, n, []) for n in range(workers)]
    for item in sorted(items, key=lambda item: -item.size):
        size, number, bundle = heapq.heappop(heap)
        bundle.append(item)
        # One more than its bytes: items without a size are spread too.
        heapq.heappush(heap, (size + item.size + 1, number, bundle))
    return [bundle for _, _, bundle in sorted(heap, key=lambda entry: entry[1]) if bundle]
