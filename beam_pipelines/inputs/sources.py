"""Where input comes from: files, folders and patterns -> the list of input files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from beam_pipelines.inputs import plain_text
from beam_pipelines.inputs.archives import ARCHIVE_SUFFIXES, SUFFIXES
from pmc2vec.errors import UserError
from pmc2vec.storage.files import is_folder, join, list_files, match_files

_COMPANION_SUFFIXES = (".csv", ".csv.gz", ".json", ".pdf")
"""What stands beside articles and may be matched with them by a glob."""

_ARTICLE_VERSION = re.compile(r"(PMC\d+)(?:\.(\d+))?(?=[./]|$)")


def article_version(path: str) -> tuple[str, int] | None:
    """Returns the id and version of the article that a path names, or None.

    >>> article_version("PMC10009416.2/PMC10009416.2.xml"), article_version("PMC7112410/main.nxml")
    (('PMC10009416', 2), ('PMC7112410', 0))
    >>> article_version("a.xml")
    """
    *folders, name = path.rsplit("/", 2)
    for place in (name, *reversed(folders[-1:])):
        if match := _ARTICLE_VERSION.match(place):
            return match[1], int(match[2] or 0)
    return None


def input_files(patterns: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Returns (path, size in bytes) of every input file, by path, each once.

    Args:
        patterns: files, folders (searched through) and globs; `**` matches folders too.

    Raises:
        UserError: a pattern matches nothing that could be an input.
    """
    files: dict[str, int] = {}
    for pattern in patterns:
        matched = dict(_expanded(pattern))
        inputs = {p: size for p, size in matched.items() if not p.endswith(_COMPANION_SUFFIXES)}
        if not inputs:
            raise UserError(
                f"--input {pattern}: matches no archive, XML file or text file; "
                "give archives (.tar.gz, .tar, .zip), .xml or .txt files, or a folder of them"
            )
        files.update(inputs)
    return tuple(sorted(files.items()))


def _expanded(pattern: str) -> Iterator[tuple[str, int]]:
    """Yields the files that match, and those inside a folder that matches."""
    if is_folder(pattern):
        inside = list_files(pattern.rstrip("/") or "/", follow_links=True)
    elif matched := match_files(pattern):
        yield from matched
        return
    else:
        inside = match_files(join(pattern.rstrip("/"), "**"))
    articles = [file for file in inside if file[0].endswith(SUFFIXES + ARCHIVE_SUFFIXES)]
    # Article versions have a .txt beside each .xml: text counts where there is nothing else.
    yield from articles or (file for file in inside if file[0].endswith(plain_text.SUFFIXES))
