"""`pmc2vec fetch`: articles of PubMed Central's bucket -> archives of one's own, as bulk ones.

    pmc2vec fetch --output bulk --pmcids list.txt
    pmc2vec build --input bulk --output dataset

    bulk/pmc.00000.tar.gz          PMC10009416.1/PMC10009416.1.xml, ...
    bulk/pmc.00000.filelist.csv    licence, version, retraction, date and MD5 of each; written last

`--input pubmed` downloads PubMed's files of citations; see `fetch_pubmed`.

The same command again downloads what is new in the bucket, or newer, into further archives. An
archive is a series of gzip streams of 64 articles. An unfinished one ends in `.part`, and its
filelist says up to which byte it is whole: a download that was killed goes on from there.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
import tarfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from beam_pipelines.inputs.pubmed_server import SERVER_NAME, SERVER_URL
from beam_pipelines.stages.output_folder import REJECTED_NAME
from pmc2vec.cli import exit_codes, options
from pmc2vec.cli.console import progress, stderr_console, verbosity
from pmc2vec.cli.logging_setup import LogFormat
from pmc2vec.cli.options import option
from pmc2vec.commands.fetch_pubmed import UNFINISHED_SUFFIX, FetchResult, fetch_pubmed
from pmc2vec.errors import UserError
from pmc2vec.storage import files
from pmc2vec.storage.object_stores import parse_storage_options, use_storage_options

if TYPE_CHECKING:
    import pyarrow as pa

    from beam_pipelines.stages.version_reader import ReadVersion

PROG = "pmc2vec fetch"
ARCHIVE_SUFFIX, FILELIST_SUFFIX = ".tar.gz", ".filelist.csv"
# As many articles as a run of the corpus has (`work_items.RUN_DOCUMENTS`): archives of whole runs
# make the row groups that the bucket itself makes.
_STREAM_ARTICLES = 64
_GZIP_LEVEL = 4
_STREAMS_AHEAD = 8
_MAX_XML_BYTES = 1 << 30  # Each of `--requests_in_flight` articles is held in memory.
_MEGA = 1e6

FILELIST_HEADER = (
    "Article File", "Article Citation", "AccessionID", "LastUpdated (YYYY-MM-DD HH:MM:SS)", "PMID",
    "License", "Retracted", "Manuscript", "Historical OCR", "Version", "MD5", "Digest", "End",
)  # fmt: skip
"""The bulk filelists' columns, and ours: Digest is that of the inventory, End where the gzip stream
of the article ends in the archive."""


@dataclass(frozen=True)
class FetchConfig:
    """Options of `pmc2vec fetch`."""

    output: Path
    """Local folder of the archives; what it has already is not downloaded again."""
    input: str = "pmc"
    """pmc, which is PubMed Central's public bucket, or a bucket with its layout; pubmed, which is
    PubMed's baseline and updates on NLM's server."""
    pubmed_url: str = option(SERVER_URL, rare=True)
    """Folder above baseline/ and updatefiles/ that `--input pubmed` reads, such as a mirror's."""
    pmcids: str | None = None
    """Only the articles in this file: PMC123, PMC123.2 or 123, one a line."""
    query: str | None = None
    """Only the articles that this query of PMC's search finds, as 'melanoma[title]'."""
    limit: int | None = option(None, default_text="no limit", minimum=1)
    """At most this many articles: a sample, the same every time."""
    share_of_articles: float = option(1.0, rare=True)
    """Share of the articles: a sample, the same every time."""
    inventory: tuple[str, ...] = option((), rare=True)
    """S3 inventories (manifest.json or .csv) of the bucket, in place of its newest one."""
    archive_megabytes: int = option(256, rare=True, minimum=1)
    """Size of an archive."""
    requests_in_flight: int = option(64, rare=True, minimum=1)
    """Articles that are requested at once."""
    max_requests_per_second: float | None = option(None, rare=True, default_text="no limit")
    """Requests that are started in a second, at most."""
    storage_option: tuple[str, ...] = option((), rare=True)
    """For the bucket: key=value, such as endpoint=http://127.0.0.1:9000."""
    log_format: LogFormat = option("text", rare=True)
    """Format of the lines on stderr."""

    def __post_init__(self) -> None:
        """Raises ValueError for options that cannot mean anything."""
        options.check_options(self)
        if self.query and self.pmcids:
            raise ValueError("--query and --pmcids both name articles; give one of them")
        if not 0 < self.share_of_articles <= 1 or (self.max_requests_per_second or 1) <= 0:
            raise ValueError("--share_of_articles or --max_requests_per_second is out of range")
        selecting = ("pmcids", "query", "limit", "inventory")
        if self.is_pubmed and (
            self.share_of_articles < 1 or any(getattr(self, name) for name in selecting)
        ):
            raise ValueError(
                "--pmcids, --query, --limit, --share_of_articles and --inventory select from a "
                f"bucket; with --input {SERVER_NAME} all files are downloaded"
            )
        if "://" in str(self.output) or ":/" in str(self.output):
            raise ValueError(f"--output {self.output}: must be a folder of this machine")
        parse_storage_options(self.storage_option)

    @property
    def is_pubmed(self) -> bool:
        """Tells whether the input is PubMed's server, and no folder of this name."""
        return self.input == SERVER_NAME and not files.exists(self.input)


def fetch(config: FetchConfig, *, quiet: bool = True) -> FetchResult:
    """Downloads what the folder does not have.

    Raises:
        UserError: the bucket, the server or the folder is not usable.
    """
    from beam_pipelines.inputs.article_versions import split_bucket

    use_storage_options(parse_storage_options(config.storage_option))
    if config.is_pubmed:
        return fetch_pubmed(
            config.output, config.pubmed_url, on=Console(quiet=True) if quiet else None
        )
    root, _ = split_bucket([config.input], config.inventory)
    if root is None:
        raise UserError(
            f"--input {config.input}: no bucket of article versions; give pmc or pubmed"
        )
    return _fetch_articles(root, config, quiet=quiet)


def _fetch_articles(root: str, config: FetchConfig, *, quiet: bool) -> FetchResult:
    """Downloads articles of a bucket into archives; arguments and errors as of `fetch`."""
    from beam_pipelines.inputs import article_versions
    from beam_pipelines.inputs.esearch import wanted_articles
    from beam_pipelines.stages.version_reader import read_article_versions

    output = str(config.output)
    with files.lock_folder(output), ExitStack() as stack:
        archives = _Archives(config.output, config.archive_megabytes * 1_000_000)
        versions = article_versions.list_versions(
            root, config.inventory, on=None if quiet else stderr_console()
        )
        ids = wanted_articles(config.pmcids, config.query)
        selected, counts, missing = article_versions.select_versions(
            versions, ids, share=config.share_of_articles, limit=config.limit,
            known=_filelist_versions(archives.rows),
        )  # fmt: skip
        article_versions.warn_of_missing(root, missing)
        result = FetchResult(counts)
        rejected = stack.enter_context(Path(output, REJECTED_NAME).open("w", encoding="utf-8"))
        work = None if quiet else stack.enter_context(
            progress("fetch", "articles", total=selected.num_rows)
        )  # fmt: skip
        articles = read_article_versions(
            root, list(article_versions.as_versions(selected)), unwanted=lambda _: None,
            max_bytes=_MAX_XML_BYTES, in_flight=config.requests_in_flight,
            per_second=config.max_requests_per_second,
        )  # fmt: skip
        with closing(archives):
            for number, article in enumerate(articles, 1):
                _add(article, archives, rejected, result)
                if work is not None:
                    speed = f"{result.bytes / max(work.elapsed, 1e-9) / _MEGA:.0f} MB/s"
                    work.update(number, size=f"{result.bytes / _MEGA:,.0f} MB of XML", speed=speed)
            archives.finish()
    return result


def _add(article: ReadVersion, archives: _Archives, rejected: Any, result: FetchResult) -> None:
    from beam_pipelines.inputs.documents import Document

    if isinstance(article.content, Document):
        archives.add(article)
        result.fetched += 1
        result.bytes += len(article.content.data)
    elif article.content is not None:
        row = {"member": article.content.member, "reason": article.content.reason,
               "detail": article.content.detail}  # fmt: skip
        rejected.write(json.dumps(row, ensure_ascii=False) + "\n")
        result.rejected += 1


def _filelist_versions(rows: Sequence[dict[str, str]]) -> pa.Table:
    """Returns the versions that filelists name, as in VERSIONS_SCHEMA."""
    import pyarrow as pa

    from beam_pipelines.inputs.article_versions import VERSIONS_SCHEMA

    columns = {
        "pmcid": [int(row["AccessionID"].removeprefix("PMC")) for row in rows],
        "version": [int(row["Version"]) for row in rows],
        "size": [0] * len(rows),
        "digest": [int(row["Digest"]) for row in rows],
    }
    return pa.table(columns, VERSIONS_SCHEMA)


# --- archives ----------------------------------------------------------------------------------


class _Archives:
    """The archives of a folder, and the one that is written.

    Attributes:
        rows: of the filelists, of what the folder has already.
    """

    def __init__(self, folder: Path, archive_bytes: int) -> None:
        self._folder, self._archive_bytes = folder, archive_bytes
        self._check_folder()
        complete = sorted(folder.glob(f"pmc.*{FILELIST_SUFFIX}"))
        self.rows = [row for path in complete for row in _read_rows(path)]
        self._number = 1 + max((int(path.name.split(".")[1]) for path in complete), default=-1)
        self._tar, self._filelist = self._open()
        self._articles: list[ReadVersion] = []
        self._streams: deque[tuple[list[ReadVersion], Future[bytes]]] = deque()
        self._pool = ThreadPoolExecutor(os.cpu_count())

    def _check_folder(self) -> None:
        names = [path.name for path in self._folder.iterdir()]
        if foreign := [name for name in names if not name.startswith(("pmc.", REJECTED_NAME))]:
            raise UserError(
                f"{self._folder}: holds {foreign[0]}, which pmc2vec fetch did not write; "
                "choose another --output"
            )

    def _paths(self) -> tuple[Path, Path]:
        stem = f"pmc.{self._number:05d}"
        return self._folder / f"{stem}{ARCHIVE_SUFFIX}", self._folder / f"{stem}{FILELIST_SUFFIX}"

    def _open(self) -> tuple[io.BufferedRandom, io.BufferedRandom]:
        """Opens the unfinished archive and its filelist, at the end of what is whole of them."""
        final, _ = self._paths()
        if final.exists():  # Killed between the two renames: its name came before its filelist's.
            final.rename(f"{final}{UNFINISHED_SUFFIX}")
        tar, filelist = (
            Path(f"{path}{UNFINISHED_SUFFIX}").open("a+b")  # noqa: SIM115  # `close` closes it.
            for path in self._paths()
        )
        size = os.fstat(tar.fileno()).st_size
        filelist.seek(0)
        lines = filelist.read().splitlines(keepends=True)
        rows = list(_parse_rows(line.decode("utf-8", "replace") for line in lines
                                if line.endswith(b"\n")))  # fmt: skip
        # A row counts if the archive has its whole gzip stream; what comes after is cut off.
        whole_rows = [row for row in rows if row["End"].isdigit() and int(row["End"]) <= size]
        self.rows += whole_rows
        whole_lines = lines[: len(whole_rows) + 1] if whole_rows else []
        filelist.truncate(sum(map(len, whole_lines)))
        tar.truncate(int(whole_rows[-1]["End"]) if whole_rows else 0)
        for file in (tar, filelist):
            file.seek(0, os.SEEK_END)
        if not whole_rows:
            filelist.write(_csv_line(FILELIST_HEADER))
        return tar, filelist

    def add(self, article: ReadVersion) -> None:
        """Adds an article."""
        self._articles.append(article)
        if len(self._articles) == _STREAM_ARTICLES:
            self._end_stream()
        while len(self._streams) > _STREAMS_AHEAD:
            self._write_stream()

    def _end_stream(self) -> None:
        articles, self._articles = self._articles, []
        if articles:
            self._streams.append((articles, self._pool.submit(_compress_articles, articles)))

    def _write_stream(self) -> None:
        """Writes the oldest stream, and then its lines of the filelist."""
        articles, stream = self._streams.popleft()
        try:
            self._tar.write(stream.result())
            self._tar.flush()
            os.fsync(self._tar.fileno())
            end = self._tar.tell()
            self._filelist.write(
                b"".join(_csv_line(_filelist_row(article, end)) for article in articles)
            )
            self._filelist.flush()
            os.fsync(self._filelist.fileno())
        except OSError as error:
            raise UserError(f"{self._tar.name}: cannot be written ({error})") from error
        if end >= self._archive_bytes:
            self._end_archive()
            self._number += 1
            self._tar, self._filelist = self._open()

    def _end_archive(self) -> None:
        """Gives the archive and then its filelist their names."""
        self._tar.write(gzip.compress(bytes(2 * tarfile.BLOCKSIZE), _GZIP_LEVEL, mtime=0))
        for file, path in zip((self._tar, self._filelist), self._paths(), strict=True):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            Path(f"{path}{UNFINISHED_SUFFIX}").rename(path)

    def finish(self) -> None:
        """Writes what is left and ends the last archive, if it has any article."""
        self._end_stream()
        while self._streams:
            self._write_stream()
        if self._tar.tell():
            self._end_archive()
            return
        for file in (self._tar, self._filelist):
            file.close()
            Path(file.name).unlink()

    def close(self) -> None:
        """Ends the threads and closes the files; what is whole of them stays."""
        self._pool.shutdown(cancel_futures=True)
        self._tar.close()
        self._filelist.close()


def _compress_articles(articles: Sequence[ReadVersion]) -> bytes:
    """Returns articles as the members of a tar, without its end, in one gzip stream."""
    tar = io.BytesIO()
    for article in articles:
        data = article.content.data  # type: ignore[union-attr]  # Documents alone are added.
        info = tarfile.TarInfo(_member_name(article))
        info.size = len(data)
        info.mtime = int(article.modified.timestamp()) if article.modified else 0
        tar.write(info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE))
    return gzip.compress(tar.getbuffer(), _GZIP_LEVEL, mtime=0)


def _member_name(article: ReadVersion) -> str:
    return f"{article.version.name}/{article.version.name}.xml"


def _filelist_row(article: ReadVersion, end: int) -> tuple[Any, ...]:
    from beam_pipelines.stages.companion_files import MARKS

    date = article.modified.strftime("%Y-%m-%d %H:%M:%S") if article.modified else ""
    marks = article.facts.marks.split(",")
    number = article.version.name.rpartition(".")[2]
    return (
        _member_name(article), "", article.version.pmcid, date, "", article.facts.licence,
        *("yes" if mark in marks else "no" for mark in MARKS),
        number, article.facts.md5, article.version.digest, end,
    )  # fmt: skip


def _csv_line(row: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue().encode()


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
            if rows and not {"AccessionID", "Version", "Digest"} <= rows[0].keys():
                raise UserError(f"{path}: no filelist of pmc2vec fetch; choose another --output")
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _parse_rows(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Yields the rows after the header; each line is a row, since no value has a line end."""
    for line in islice(lines, 1, None):
        values = next(csv.reader([line]))
        if len(values) == len(FILELIST_HEADER):
            yield dict(zip(FILELIST_HEADER, values, strict=True))


# --- the command -------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec fetch`."""
    config = options.parse(
        FetchConfig, argv, prog=PROG, json_result=True,
        description="Download articles of PubMed Central, or PubMed's citations, for builds "
        "without a network.",
        examples=(
            "pmc2vec fetch --output bulk --limit 5000",
            "pmc2vec fetch --output bulk --pmcids list.txt",
            "pmc2vec fetch --output bulk --query 'melanoma[title] AND 2024[pdat]'",
            "pmc2vec build --input bulk --output dataset --keywords melanoma",
            "pmc2vec fetch --input pubmed --output citations",
            "pmc2vec build --input bulk citations --output dataset",
        ),
    )  # fmt: skip
    return exit_codes.run_program(lambda: _command(config))


def _command(config: FetchConfig) -> int:
    result = fetch(config, quiet=verbosity.quiet)
    if verbosity.json:
        print(json.dumps(vars(result)))
        return 0
    size, present = result.bytes / _MEGA, result.counts.get("known", 0)
    noun, unit = ("files", "MB") if config.is_pubmed else ("articles", "MB of XML")
    print(f"{config.output}: {result.fetched:,} {noun} fetched, {size:,.1f} {unit}; "
          f"{present:,} were there")  # fmt: skip
    if result.rejected:
        print(f"{result.rejected:,} could not be downloaded; see {config.output / REJECTED_NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
