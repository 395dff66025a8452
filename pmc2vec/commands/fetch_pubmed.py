"""`pmc2vec fetch --input pubmed`: PubMed's baseline and updates -> a folder of one's own.

    pmc2vec fetch --input pubmed --output citations
    pmc2vec build --input citations --output dataset

    citations/baseline/pubmed26n0001.xml.gz        as it is on the server
    citations/baseline/pubmed26n0001.xml.gz.md5    what it was compared with, written last
    citations/updatefiles/pubmed26n1335.xml.gz

The same command again downloads what is new on the server, or has another MD5 there. An unfinished
file ends in `.part`: a download that was killed goes on from the last byte that it has.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from beam_pipelines.inputs.pubmed_files import md5_beside
from beam_pipelines.inputs.pubmed_server import CONNECTIONS, SERVER_FOLDERS, server_paths
from beam_pipelines.stages.output_folder import REJECTED_NAME
from pmc2vec.cli.console import progress
from pmc2vec.errors import UserError
from pmc2vec.storage import files

UNFINISHED_SUFFIX = ".part"
# NLM asks for few at a time, and a file alone comes faster than most disks write.
_DOWNLOADS = 3
_CHUNK_BYTES = 1 << 20
_SECONDS_BETWEEN_LOOKS = 0.25
_MEGA = 1e6


@dataclass(frozen=True)
class _Download:
    """A file to be downloaded.

    Attributes:
        url: on the server.
        path: here.
        size: bytes, as the server says.
        md5: of the server's `.md5`; empty where there is none.
    """

    url: str
    path: Path
    size: int
    md5: str


@dataclass
class FetchResult:
    """What came of a download, of a bucket or of PubMed's server.

    Attributes:
        counts: versions of the bucket or files of the server (`listed`), and those that were left
            out by reason (`known`: they are here already).
        fetched: articles or files that were downloaded now.
        rejected: those that could not be downloaded; see rejected.jsonl.
        bytes: that were downloaded now, of the articles' XML or of files.
    """

    counts: dict[str, int]
    fetched: int = 0
    rejected: int = 0
    bytes: int = 0


def fetch_pubmed(output: Path, url: str, *, on: Console | None = None) -> FetchResult:
    """Downloads what the folder does not have.

    Args:
        output: local folder.
        url: of the folder above `baseline/` and `updatefiles/`.
        on: where the progress is shown; on stderr without it.

    Raises:
        UserError: the server or the folder is not usable.
    """
    with files.lock_folder(str(output)):
        _check_folder(output)
        urls = server_paths(url)
        downloads = _new_files(urls, output, on)
        listed = len(urls)
        result = FetchResult({"listed": listed, "known": listed - len(downloads)})
        for folder in SERVER_FOLDERS:
            files.make_folder(str(output / folder))
        problems = _download_all(downloads, result, on) if downloads else []
        lines = (json.dumps(problem, ensure_ascii=False) for problem in problems)
        files.write_text(str(output / REJECTED_NAME), "".join(f"{line}\n" for line in lines))
    result.rejected = len(problems)
    result.fetched = len(downloads) - len(problems)
    return result


def _check_folder(folder: Path) -> None:
    expected = (*SERVER_FOLDERS, REJECTED_NAME)
    if foreign := [path.name for path in folder.iterdir() if path.name not in expected]:
        raise UserError(
            f"{folder}: holds {min(foreign)}, which pmc2vec fetch --input pubmed did not write; "
            "choose another --output"
        )


def _new_files(urls: Sequence[str], output: Path, on: Console | None) -> list[_Download]:
    """Returns the files of the server that are not here, or have another MD5 there."""
    new: list[_Download] = []
    with (
        progress("compare", "files", total=len(urls), on=on) as work,
        ThreadPoolExecutor(CONNECTIONS) as requests,
    ):
        # A file is asked for its MD5 alone; the size matters of those that will be downloaded.
        for number, download in enumerate(requests.map(lambda u: _compare(u, output), urls), 1):
            new += [download] if download else []
            work.update(number)
    return new


def _compare(url: str, output: Path) -> _Download | None:
    """Returns the file as a download, unless it is here already."""
    folder, name = url.rsplit("/", 2)[-2:]
    path = output / folder / name
    md5 = md5_beside(url)
    exists = path.is_file()
    if md5 and exists:
        # Killed before the MD5 was written, a file has none beside it.
        local_md5 = md5_beside(str(path))
        if not local_md5 and _md5_of(path) == md5:
            _write_md5(path, local_md5 := md5)
        if local_md5 == md5:
            return None
    metadata = files.file_metadata(url)
    if metadata is None:
        raise UserError(f"{url}: is not there, though its index page links to it; try again later")
    if not md5 and exists and path.stat().st_size == metadata.size:
        return None
    return _Download(url, path, metadata.size, md5)


# --- downloads -----------------------------------------------------------------------------------


def _download_all(
    downloads: Sequence[_Download], result: FetchResult, on: Console | None
) -> list[dict[str, str]]:
    """Downloads the files, some at once; returns a line of rejected.jsonl for each that failed."""
    bytes_before = sum(map(_unfinished_size, downloads))
    total = sum(download.size for download in downloads)
    counter, stop = _ByteCounter(), threading.Event()
    with (
        progress(
            "fetch", "MB", start=_megabytes(bytes_before), total=_megabytes(total), on=on
        ) as work,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        pending = [pool.submit(_download, item, counter.add, stop) for item in downloads]
        unfinished: set[Future[str]] = set(pending)
        try:
            while unfinished:
                ended, unfinished = wait(unfinished, _SECONDS_BETWEEN_LOOKS, FIRST_EXCEPTION)
                for future in ended:
                    future.result()  # Raises what ended it.
                number = len(pending) - len(unfinished)
                shown = f"{number:,} of {len(pending):,} files"
                work.update(_megabytes(bytes_before + counter.total), files=shown)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        result.bytes = counter.total
        problems = [future.result() for future in pending]
    return [
        {"archive": download.url, "member": "", "reason": "wrong_md5", "detail": problem}
        for download, problem in zip(downloads, problems, strict=True)
        if problem
    ]


class _ByteCounter:
    """Adds up bytes of several threads."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Adds to the total."""
        with self._lock:
            self.total += count


def _megabytes(count: int) -> int:
    return round(count / _MEGA)


def _unfinished_path(download: _Download) -> Path:
    return download.path.with_name(f"{download.path.name}{UNFINISHED_SUFFIX}")


def _unfinished_size(download: _Download) -> int:
    path = _unfinished_path(download)
    return path.stat().st_size if path.is_file() else 0


def _download(download: _Download, count: Callable[[int], None], stop: threading.Event) -> str:
    """Downloads a file and the MD5 beside it; returns what is wrong with it, or nothing.

    Raises:
        UserError: it cannot be read or written.
    """
    unfinished = _unfinished_path(download)
    problem = ""
    # What is there of a file that was replaced on the server since does not fit to the rest.
    for _ in range(2):
        try:
            _append(download, unfinished, count, stop)
            if stop.is_set():
                return ""
            md5 = _md5_of(unfinished)
            if not download.md5 or md5 == download.md5:
                unfinished.replace(download.path)
                if download.md5:
                    _write_md5(download.path, download.md5)
                return ""
            problem = f"its MD5 is {md5}, and {download.md5} in the .md5 beside it"
            unfinished.unlink()
        except OSError as error:
            raise UserError(f"{unfinished}: cannot be written ({error})") from error
    return problem


def _append(
    download: _Download, path: Path, count: Callable[[int], None], stop: threading.Event
) -> None:
    """Appends to an unfinished file what is missing of it; from a server without ranges, all."""
    lacks_ranges = False
    with files.open_binary(download.url) as source, path.open("ab") as file:
        begin = file.tell()
        if begin:
            source.seek(begin)
        try:
            while not stop.is_set() and (data := source.read(_CHUNK_BYTES)):
                file.write(data)
                count(len(data))
        except UserError:
            if not begin or file.tell() > begin:
                raise
            file.truncate(0)
            lacks_ranges = True
        file.flush()
        os.fsync(file.fileno())
    if lacks_ranges:
        _append(download, path, count, stop)


def _write_md5(path: Path, md5: str) -> None:
    files.write_text(f"{path}.md5", f"MD5({path.name})= {md5}\n")


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
