"""The one door to files: a local path, file://, or an object store (see `object_stores`).

Every path is literal: a folder named `out[a]` or `run*` is that folder. Only `match_files` takes a
pattern of the user's, and `list_files` and `remove_files` take a pattern of names *inside* a
literal folder.

A file appears under its name only when it is complete. Locally it is written beside it under a
temporary name, flushed to the disk and renamed, so that this holds after a loss of power too. In an
object store it is written by one request, and nothing is ever renamed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import posixpath
import re
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from urllib.parse import unquote

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import walk_folder
from pmc2vec.storage.object_stores import (
    FileMetadata,
    ObjectReader,
    delete_objects,
    error_reason,
    list_objects,
    locate,
    object_metadata,
    read_object,
    write_object,
)

TEMPORARY_SUFFIX = ".tmp"

# Bytes of a file for an object store that are kept in memory; more of them go to a temporary file.
_SPOOL_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20

# A scheme has two letters or more, which a drive letter has not.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WILDCARDS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
_GLOB_PART = re.compile(r"\*\*|\[([^/][^]/]*)\]|.", re.DOTALL)


# --- paths -------------------------------------------------------------------------------------


def join(folder: str, *names: str) -> str:
    """Returns the path of a file in a folder, local or not."""
    return posixpath.join(folder, *names)


def is_remote(path: str) -> bool:
    """Returns whether a path is a URL of an object store.

    >>> is_remote("s3://bucket/a"), is_remote("file:///a"), is_remote("out[a]")
    (True, False, False)
    """
    return bool(_SCHEME.match(path)) and not path.startswith("file://")


def local_path(path: str) -> Path:
    """Returns a local path or file:// URL as a path.

    >>> str(local_path("file:///data/a%20b")), str(local_path("a%20b"))
    ('/data/a b', 'a%20b')
    """
    return Path(unquote(path.removeprefix("file://")) if path.startswith("file://") else path)


def same_place(path: str, other: str) -> bool:
    """Returns whether two paths name one file or folder, however they are spelled.

    >>> same_place("d", "./d/"), same_place("s3://b/d", "s3a://b//d/"), same_place("d", "s3://b/d")
    (True, True, False)
    """
    if is_remote(path) or is_remote(other):
        return is_remote(path) and is_remote(other) and locate(path).url == locate(other).url
    first, second = local_path(path), local_path(other)
    if first.resolve() == second.resolve():
        return True
    # Two names of one folder without a link: a bind mount, or a disk that ignores case.
    return first.exists() and second.exists() and first.samefile(second)


# --- one file ----------------------------------------------------------------------------------


def open_binary(path: str) -> BinaryIO:
    """Opens a file for reading, seekable, as its bytes are.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        if is_remote(path):
            return io.BufferedReader(cast(io.RawIOBase, ObjectReader(path)), _CHUNK_BYTES)
        return local_path(path).open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error_reason(error)})") from error


def read_bytes(path: str) -> bytes | None:
    """Returns a file's bytes; None where there is no such file."""
    if is_remote(path):
        return read_object(path)
    try:
        return local_path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def read_text(path: str, *, errors: str = "strict") -> str | None:
    """Returns a file's UTF-8 text; None where there is no such file.

    Args:
        path: of the file.
        errors: `replace` for a file that is not one of ours.
    """
    data = read_bytes(path)
    return None if data is None else data.decode(errors=errors)


def exists(path: str) -> bool:
    """Returns whether there is a file; locally also whether there is a folder."""
    return object_metadata(path) is not None if is_remote(path) else local_path(path).exists()


def file_metadata(path: str) -> FileMetadata | None:
    """Returns size, etag and time of a file; None where there is none.

    Raises:
        UserError: it cannot be looked at.
    """
    if is_remote(path):
        return object_metadata(path)
    try:
        return _local_metadata(local_path(path).stat())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def sha256_of(path: str) -> str:
    """Returns the hex SHA-256 of a file's bytes."""
    with open_binary(path) as file:
        return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that takes its name only when the block ends without an error.

    Raises:
        UserError: it cannot be written (no permission, no space).
    """
    if is_remote(path):
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            write_object(path, cast(IO[bytes], spool))
        return
    # A name of its own for each attempt: two workers may write one file at the same time.
    final = local_path(path)
    temporary = Path(f"{final}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                file.close()
                temporary.replace(final)
            except BaseException:
                with contextlib.suppress(OSError):
                    file.close()
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error})") from error


def write_text(path: str, text: str) -> None:
    """Writes a whole file at once, UTF-8."""
    with atomic_file(path) as file:
        file.write(text.encode())


# --- folders -----------------------------------------------------------------------------------


def is_folder(path: str) -> bool:
    """Returns whether a path is a folder; in an object store, whether anything is below it."""
    if not is_remote(path):
        return local_path(path).is_dir()
    return locate(path).scheme != "http" and next(list_objects(path), None) is not None


def make_folder(path: str) -> None:
    """Makes a folder and those above it; an object store has none to make."""
    if is_remote(path):
        locate(path)
        return
    try:
        local_path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made ({error}); choose another --output") from error


@contextlib.contextmanager
def lock_folder(folder: str, *, shared: bool = False) -> Iterator[None]:
    """Makes a folder and locks it against a second build for the duration of the block.

    A shared lock excludes builds of the whole; other shares may run beside it. The lock is the
    system's (flock) and on the folder itself, so it leaves no file and ends with its process,
    however that ends. An object store has no locks: there the user must not start a build twice.

    Raises:
        UserError: another process builds in the folder, or it cannot be made.
    """
    make_folder(folder)
    if is_remote(folder):
        yield
        return
    descriptor = os.open(local_path(folder), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError(
            f"{folder}: another build is writing here; wait for it, stop it, "
            "or choose another --output"
        ) from error
    except OSError:
        pass  # Some network file systems cannot lock a folder.
    try:
        yield
    finally:
        os.close(descriptor)


def list_files(
    folder: str, pattern: str = "**", *, follow_links: bool = False
) -> list[tuple[str, int]]:
    """Returns (path, size in bytes) of the files in a folder, by path; none where it is not there.

    Args:
        folder: literal, whatever characters are in it.
        pattern: of paths inside the folder: `*` and `?` match within a name, `**` also across `/`.
        follow_links: list the files of folders that are linked there too.
    """
    is_match = re.compile(glob_regex(pattern), re.DOTALL).fullmatch
    return sorted(
        (join(folder, name), metadata.size)
        for name, metadata in _walk(
            folder, deep="/" in pattern or "**" in pattern, links=follow_links
        )
        if is_match(name)
    )


def remove_files(folder: str, pattern: str) -> None:
    """Deletes the files in a folder whose paths inside it match a pattern; none is no error."""
    paths = [path for path, _ in list_files(folder, pattern)]
    if is_remote(folder):
        delete_objects(paths)
        return
    for path in paths:
        try:
            local_path(path).unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"{path}: cannot be deleted ({error})") from error


def match_files(pattern: str) -> list[tuple[str, int]]:
    """Returns (path, size in bytes) of each file that a user's path or glob names, by path.

    A path that is there is that file, and a folder that is there is that folder, even if its name
    has `*`, `?` or `[` in it. Otherwise `*` and `?` match within a name, `[ab]` one of the
    characters, and `**` also matches across `/`.

    Raises:
        UserError: the place cannot be listed.
    """
    metadata = None if is_folder(pattern) else file_metadata(pattern)
    if metadata is not None:
        return [(pattern, metadata.size)]
    folder, inside = split_pattern(pattern)
    if not inside:
        return []
    is_match = re.compile(glob_regex(inside), re.DOTALL).fullmatch
    return sorted(
        (folder + name, metadata.size)
        for name, metadata in _walk(folder or ".", deep="/" in inside or "**" in inside, links=True)
        if is_match(name)
    )


def split_pattern(pattern: str) -> tuple[str, str]:
    """Returns the literal folder in which a pattern begins, with its `/`, and what is inside it.

    >>> split_pattern("bulk/2026/*/a?.xml"), split_pattern("*.xml"), split_pattern("bulk/a.xml")
    (('bulk/2026/', '*/a?.xml'), ('', '*.xml'), ('bulk/a.xml', ''))
    """
    begin = 0  # Of a name in the pattern.
    for end in (match.start() for match in re.finditer("/|$", pattern)):
        is_glob = re.search(r"[*?\[]", pattern[begin:end])
        if is_glob and (end == len(pattern) or not is_folder(pattern[:end])):
            return pattern[:begin], pattern[begin:]
        begin = end + 1
    return pattern, ""


def glob_regex(pattern: str) -> str:
    """Returns a regular expression for a glob.

    >>> glob_regex("a*/[!b]?"), glob_regex("**/b"), glob_regex("a[b") == re.escape("a[b")
    ('a[^/]*/[^b][^/]', '.*/b', True)
    """
    return "".join(
        _character_class(part[1]) if part[1] else _WILDCARDS.get(part[0]) or re.escape(part[0])
        for part in _GLOB_PART.finditer(pattern)
    )


def _character_class(content: str) -> str:
    """Returns a regular expression for `[content]`, which is literal where it means nothing."""
    escaped = content.replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
    regex = f"[{'^' + escaped[1:] if content.startswith('!') else escaped}]"
    try:
        re.compile(regex)
    except re.error:  # Such as [z-a].
        return re.escape(f"[{content}]")
    return regex


def _walk(folder: str, *, deep: bool, links: bool) -> Iterator[tuple[str, FileMetadata]]:
    """Yields (path inside the folder, metadata) of the files in a folder, in no order.

    Args:
        folder: local or not; may be missing.
        deep: also of the folders in it. (In an object store all are listed anyway.)
        links: follow links to folders.
    """
    if is_remote(folder):
        base = locate(folder).url + "/"
        for url, metadata in list_objects(folder):
            yield url.removeprefix(base), metadata
        return
    try:
        below = walk_folder(str(local_path(folder)), depth=None if deep else 1, follow_links=links)
        for name, entry in below:
            if not entry.is_dir():
                with contextlib.suppress(FileNotFoundError):  # Deleted since, or a broken link.
                    yield name, _local_metadata(entry.stat())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error})") from error


def _local_metadata(status: os.stat_result) -> FileMetadata:
    return FileMetadata(status.st_size, None, datetime.fromtimestamp(status.st_mtime, UTC))
