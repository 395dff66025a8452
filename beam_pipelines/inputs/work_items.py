"""Input patterns -> work items, and work items -> bundles of like size."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from pathlib import Path

from beam_pipelines.inputs import plain_text
from beam_pipelines.inputs.archives import ARCHIVE_SUFFIXES, SUFFIXES
from beam_pipelines.inputs.slices import Slice
from beam_pipelines.stages.corpus_parts import WorkItem
from pmc2vec.errors import UserError
from pmc2vec.storage.files import join, matches

SLICE_BYTES = 1 << 20
"""Bytes of an archive that are worth a slice; a zip, which is not read forward, is never sliced."""
LOOSE_FILES = 1024
LOOSE_BYTES = 64 << 20
"""Loose files that make one part of the corpus, at most."""


_BESIDE = (".csv", ".csv.gz", ".json", ".pdf")
"""What stands beside articles and may be matched with them by a glob."""


def input_files(patterns: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Returns (path, size in bytes) of every input file, by path, each once.

    Args:
        patterns: files, folders (searched through) and globs; `**` matches folders too.

    Raises:
        UserError: a pattern matches nothing that could be an input.
    """
    found: dict[str, int] = {}
    for pattern in patterns:
        named = {path: size for path, size in _expanded(pattern) if not path.endswith(_BESIDE)}
        if not named:
            raise UserError(
                f"--input {pattern}: matches no archive, XML file or text file; "
                "give archives (.tar.gz, .tar, .zip), .xml or .txt files, or a folder of them"
            )
        found.update(named)
    return tuple(sorted(found.items()))


def _expanded(pattern: str) -> Iterator[tuple[str, int]]:
    """Yields the files that match, and those inside a folder that matches."""
    matched = matches(pattern)
    folders = [path for path, _ in matched if Path(path).is_dir()] if matched else [pattern]
    yield from (file for file in matched if file[0] not in folders)
    for folder in folders:
        inside = matches(join(folder.rstrip("/"), "**"))
        articles = [file for file in inside if file[0].endswith(SUFFIXES + ARCHIVE_SUFFIXES)]
        # Article versions have a .txt beside each .xml: text counts where there is nothing else.
        yield from articles or (file for file in inside if file[0].endswith(plain_text.SUFFIXES))


def work_items(files: Sequence[tuple[str, int]], slices: int = 1) -> list[WorkItem]:
    """Returns the parts that the input will become: one an archive, loose files by the handful.

    Args:
        files: (path, size in bytes) of each input file.
        slices: parts that a large archive becomes.
    """
    groups: list[tuple[list[tuple[str, int]], Slice]] = []
    loose: list[tuple[str, int]] = []
    loose_bytes = 0
    for path, size in files:
        if path.endswith(ARCHIVE_SUFFIXES):
            groups.extend(([(path, size)], part) for part in _slices(path, size, slices))
            continue
        loose_bytes += size
        if not loose or len(loose) >= LOOSE_FILES or loose_bytes > LOOSE_BYTES:
            loose, loose_bytes = [], size
            groups.append((loose, Slice()))
        loose.append((path, size))
    return [WorkItem(index, tuple(group), part) for index, (group, part) in enumerate(groups)]


def _slices(path: str, size: int, wanted: int) -> list[Slice]:
    count = 1 if path.endswith(".zip") else max(min(wanted, size // SLICE_BYTES), 1)
    return [Slice(index, count) for index in range(count)]


def bundles(items: Sequence[WorkItem], workers: int) -> list[list[WorkItem]]:
    """Returns at most `workers` bundles of like size, the largest item first.

    For the local engine, which deals elements out beforehand: with one archive much larger than
    the others a worker would else wait for half of the run. What is written does not depend on it.
    """
    heap: list[tuple[int, int, list[WorkItem]]] = [(0, n, []) for n in range(workers)]
    for item in sorted(items, key=lambda item: -item.size):
        size, number, bundle = heapq.heappop(heap)
        bundle.append(item)
        heapq.heappush(heap, (size + item.size + 1, number, bundle))
    return [bundle for _, _, bundle in sorted(heap, key=lambda entry: entry[1]) if bundle]
