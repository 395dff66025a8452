"""Patterns of --input -> the input files: what there is, before anything is read.

    input_files(["bulk", "articles/*.xml", "s3://bucket/PMC1*/*.xml", "text8"])

A folder is searched through, links to folders included. In it, XML and archives count; text counts
where there are none of them (article versions have a .txt beside each .xml); files without a suffix
count where there is no text either, if their first bytes say that they can be read.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from beam_pipelines.inputs.decompression import InputStream
from beam_pipelines.inputs.documents import InputFile
from beam_pipelines.inputs.pubmed_server import SERVER_NAME, SERVER_URL, server_files
from beam_pipelines.inputs.sources import COMPANION_SUFFIXES, recognise, source_of, stem
from pmc2vec.errors import UserError
from pmc2vec.storage.files import (
    glob_regex,
    is_remote,
    join,
    list_files,
    local_path,
    match_files,
    open_binary,
    split_pattern,
)
from pmc2vec.storage.local_files import walk_folder

_logger = logging.getLogger(__name__)


def input_files(patterns: Sequence[str], pubmed_url: str = SERVER_URL) -> tuple[InputFile, ...]:
    """Returns every input file, by path, each once.

    Args:
        patterns: files, folders (searched through) and globs; `**` matches folders too. `pubmed`
            means the files of NLM's server, unless a file or folder has this name.
        pubmed_url: of that server's folder.

    Raises:
        UserError: a pattern matches nothing that could be an input.
    """
    files: dict[str, InputFile] = {}
    for pattern in patterns:
        on_server = pattern == SERVER_NAME and not os.path.lexists(pattern)
        listed = server_files(pubmed_url) if on_server else _expand(pattern)
        matched = {file.path: file for file in listed}
        if not matched:
            raise _nothing(pattern)
        files |= matched
    files = {path: f for path, f in files.items() if not path.lower().endswith(COMPANION_SUFFIXES)}
    _drop_text_beside_xml(files)
    _drop_text_without_suffix(files)
    if not files:
        raise _nothing(" ".join(patterns))
    return tuple(files[path] for path in sorted(files))


def _nothing(pattern: str) -> UserError:
    return UserError(
        f"--input {pattern}: matches no archive, XML file or text file; "
        "give archives (.tar.gz, .tar, .zip), .xml or .txt files, or a folder of them"
    )


def _drop_text_beside_xml(files: dict[str, InputFile]) -> None:
    """Removes `PMC1.1.txt` where `PMC1.1.xml` is among the files: it is the same article."""
    texts = [path for path in files if _holds(path) == "text"]
    if not texts:  # As usual: the stems of millions of article versions are not needed.
        return
    articles = {stem(path) for path in files if _holds(path) == "xml"}
    beside = [path for path in texts if stem(path) in articles]
    _drop(files, beside, "text beside XML of the same name")


def _drop_text_without_suffix(files: dict[str, InputFile]) -> None:
    """Removes README and the like from files with suffixes, as `bulk/*` matches them."""
    unnamed = [path for path in files if source_of(path) is None]
    if len(unnamed) < len(files):
        extras = [path for path in unnamed if _content(path) != "xml"]
        _drop(files, extras, "no XML, no archive and no text by its suffix")


def _drop(files: dict[str, InputFile], paths: Sequence[str], reason: str) -> None:
    for path in paths:
        del files[path]
    if paths:
        more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        _logger.warning("%s%s: passed over (%s)", paths[0], more, reason)


def _holds(path: str) -> str:
    source = source_of(path)
    return source.holds if source else ""


def _content(path: str) -> str:
    """Returns what a file's first bytes say that it holds: `xml`, `text` or nothing."""
    with open_binary(path) as file:
        source = recognise(InputStream(file), path)
    return source.holds if source else ""


def _expand(pattern: str) -> Iterator[InputFile]:
    """Yields the files that match, and those inside a folder that matches."""
    if is_remote(pattern):
        files = [InputFile(path, size) for path, size in match_files(pattern)]
        yield from files or _inputs_in_folder(
            InputFile(path, size) for path, size in list_files(pattern)
        )
        return
    if "://" in pattern:
        pattern = str(local_path(pattern))
    # A file called `a[1].xml` is meant by its name, not as a pattern.
    for path in [pattern] if os.path.lexists(pattern) else _matching_paths(pattern):
        if not Path(path).is_dir():
            yield from _regular_file(path)
        elif not pattern.endswith("**"):  # Which has matched everything inside already.
            yield from _inputs_in_folder(_files_below(path.rstrip("/") or "/"))


def _inputs_in_folder(files: Iterable[InputFile]) -> list[InputFile]:
    """Returns the files of a folder that count."""
    inside = list(files)
    for holds in ("xml", "text"):
        if inputs := [file for file in inside if _holds(file.path) == holds]:
            return inputs
    unnamed = [file for file in inside if "." not in file.path.rpartition("/")[2]]
    return [file for file in unnamed if _content(file.path)]


def _files_below(folder: str) -> Iterator[InputFile]:
    for name, entry in _walk(folder, None):
        if not entry.is_dir():
            yield from _regular_file(join(folder, name))


def _regular_file(path: str) -> Iterator[InputFile]:
    """Yields the file, unless it is a FIFO or the like, which could be waited for without end."""
    try:
        status = Path(path).stat()
    except OSError as error:
        _logger.warning("%s: passed over (%s)", path, error.strerror)
        return
    if stat.S_ISREG(status.st_mode):
        yield InputFile(path, status.st_size, _iso_time(status.st_mtime))
    else:
        _logger.warning("%s: passed over (no regular file)", path)


def _iso_time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return ""


# --- local folders -----------------------------------------------------------------------------


def _matching_paths(pattern: str) -> list[str]:
    """Returns the local files and folders that match a glob.

    `glob.glob` is not used: with `**` it follows links to folders round and round.
    """
    folder, inside = split_pattern(pattern)
    if not inside or not Path(folder).is_dir():
        return []
    # `**/` matches no folder too, which it does not in a bucket.
    regex = re.compile("(?:.*/)?".join(map(glob_regex, inside.split("**/"))), re.DOTALL)
    below = _walk(folder or ".", None if "**" in inside else inside.count("/") + 1)
    return sorted(join(folder, name) for name, _ in below if regex.fullmatch(name))


def _walk(folder: str, depth: int | None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields (path inside the folder, entry) of all that is below it, through links too.

    Raises:
        UserError: a folder cannot be listed.
    """
    try:
        yield from walk_folder(folder, depth=depth, follow_links=True, skip=_is_added_by_macos)
    except OSError as error:
        raise UserError(
            f"--input {error.filename or folder}: cannot be listed ({error.strerror})"
        ) from error


def _is_added_by_macos(name: str) -> bool:
    """Tells whether macOS puts a file or folder so named beside those of an archive it makes."""
    return name.startswith("._") or name == "__MACOSX"
