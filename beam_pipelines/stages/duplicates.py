"""Which copy of an article counts: the newest, and none of one that was retracted.

An article stands in a baseline, again in an increment, or in several versions. Its editions are
known without reading it: from the filelist beside a bulk archive, from member names, and from the
JSON beside an article version. They go through files, spread by a hash of the article's id, so
that one worker compares all editions of an article and holds no others.

    catalogue/part-00003.parquet   the editions in one work item; row group i is partition i
    catalogue/left-00017.parquet   of one partition: what is left out, and why

Newest: the higher version (`PMC123.2`), then the later date, then the later archive name. What an
earlier dataset knows (`--since`) is a part of its own, whose editions lose only to a higher version
or a later date: a new archive repeats most articles as they were.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_pipelines.inputs.sources import article_version, is_archive, open_source, stem
from beam_pipelines.inputs.work_items import WorkItem
from beam_pipelines.stages import history
from beam_pipelines.stages.output_folder import OutputFolder
from pmc2vec.storage.files import atomic_file, join, open_binary, read_text

ID_PARTITIONS = 32
SUPERSEDED = "superseded"
RETRACTED = "retracted"
MANUSCRIPT = "manuscript"
HISTORICAL_OCR = "historical_ocr"
MARKS = (RETRACTED, MANUSCRIPT, HISTORICAL_OCR)
"""What an edition may be marked as, outside its XML, that a filter asks about."""


_KNOWN = "known"
"""Name of the part that an edition of an earlier dataset belongs to; its member is the pmcid."""

_AFTER_ARCHIVES = "\U0010ffff"

_FILELIST = ("Article File", "AccessionID", "LastUpdated (YYYY-MM-DD HH:MM:SS)", "Retracted")
SCHEMA = pa.schema(
    [("pmcid", pa.string()), ("rank", pa.string()), ("marks", pa.string()),
     ("part", pa.string()), ("member", pa.string())]
)  # fmt: skip
LEFT_SCHEMA = pa.schema([("part", pa.string()), ("member", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class Edition:
    """One copy of an article.

    Attributes:
        pmcid: whose.
        rank: the greater is the newer; compared as text.
        marks: those of MARKS that its filelist or JSON gives it, with commas.
        member: name inside the archive, or the path of a loose file.
    """

    pmcid: str
    rank: str
    marks: str
    member: str


def rank(version: int, date: str, archive: str) -> str:
    """Returns what orders editions of one article."""
    return f"{version:06d} {date}\t{archive}"


def from_filelist(text: str, archive: str) -> Iterator[Edition]:
    """Yields the editions that a bulk archive's filelist names; other columns are not looked at."""
    for row in csv.DictReader(io.StringIO(text)):
        member, pmcid, date, retracted = (row.get(name) or "" for name in _FILELIST)
        if member and pmcid:
            version = article_version(member)
            place = rank(version[1] if version else 0, date, archive)
            yield Edition(pmcid, place, RETRACTED if retracted.lower() == "yes" else "", member)


def from_headers(headers: Iterable[tuple[str, float]], archive: str) -> Iterator[Edition]:
    """Yields the editions that (member name, modification time) of an archive's members name."""
    for member, time in headers:
        if found := article_version(member):
            date = datetime.fromtimestamp(time, UTC).isoformat(" ", "seconds")
            yield Edition(found[0], rank(found[1], date, archive), "", member)


def from_version(path: str, metadata: str | None) -> Edition | None:
    """Returns the edition that a loose file is, with the JSON that stands beside it or None."""
    if not (found := article_version(path)):
        return None
    known = _parsed(metadata)
    marks = ",".join(mark for mark in MARKS if known.get(f"is_{mark}"))
    return Edition(found[0], rank(found[1], "", path), marks, path)


def _parsed(metadata: str | None) -> dict[str, Any]:
    """Returns the JSON beside an article; what is no JSON says nothing."""
    try:
        known = json.loads(metadata or "{}")
    except json.JSONDecodeError:
        return {}
    return known if isinstance(known, dict) else {}


# --- files -------------------------------------------------------------------------------------


def catalogue(path: str) -> Iterator[Edition]:
    """Yields the editions in one input file, reading no article."""
    archive = path.rsplit("/", 1)[-1]
    if not is_archive(path):
        if article_version(path) and (edition := from_version(path, _metadata(path))):
            yield edition
    elif (listed := _filelist(path)) is not None:
        yield from from_filelist(listed, archive)
    else:
        with open_binary(path) as file:
            source, stream = open_source(file, path)
            yield from from_headers(source.list_articles(stream), archive)


@lru_cache(maxsize=1)
def licences(path: str) -> Mapping[str, str]:
    """Returns the licences that stand beside an input file, for articles that do not say.

    Returns:
        Member to licence, from an archive's filelist; or the path itself to it, from JSON.
    """
    if not is_archive(path):
        return {path: str(_parsed(_metadata(path)).get("license_code") or "")}
    rows = csv.DictReader(io.StringIO(_filelist(path) or ""))
    return {row[_FILELIST[0]]: row.get("License") or "" for row in rows if row.get(_FILELIST[0])}


def _filelist(path: str) -> str | None:
    return read_text(stem(path) + ".filelist.csv", errors="replace")


def _metadata(path: str) -> str | None:
    folder, _, name = path.rpartition("/")
    above = folder.rpartition("/")[0]
    metadata = f"{stem(name)}.json"
    places = (join(folder, metadata), join(above, "metadata", metadata))
    return next(
        (text for place in places if (text := read_text(place, errors="replace")) is not None), None
    )


def write_catalogue(item: WorkItem, *, output: OutputFolder) -> str:
    """Writes the copies in one work item; returns the name of its part."""
    part = item.catalogue
    partitions: list[list[dict[str, object]]] = [[] for _ in range(ID_PARTITIONS)]
    for path, _ in item.files:
        for edition in catalogue(path):
            row = asdict(edition) | {"part": part}
            partitions[zlib.crc32(edition.pmcid.encode()) % ID_PARTITIONS].append(row)
    with (
        atomic_file(output.path("catalogue", f"{part}.parquet")) as file,
        pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer,
    ):
        for rows in partitions:
            # An empty row group would not be written, and the next would take its place.
            writer.write_table(pa.Table.from_pylist(rows or [_NOTHING], SCHEMA))
    return part


_NOTHING: dict[str, object] = {"pmcid": "", "rank": "", "marks": "", "part": "", "member": ""}


def write_left_out(partition: int, parts: Iterable[str], *, output: OutputFolder) -> int:
    """Writes what is left out of one partition; returns how many editions."""
    tables = [SCHEMA.empty_table(), *history.before(history.EDITIONS, partition, output=output)]
    for part in sorted(parts):
        with open_binary(output.path("catalogue", f"{part}.parquet")) as file:
            tables.append(pq.ParquetFile(file).read_row_group(partition))
    editions = pa.concat_tables(tables)
    history.write(history.EDITIONS, partition, newest(editions), output=output)
    left = left_out(editions)
    with atomic_file(output.path("catalogue", f"left-{partition:05d}.parquet")) as file:
        pq.write_table(left, file)
    return int(left.num_rows)


def left_out(editions: pa.Table) -> pa.Table:
    """Returns part, member and reason of editions: older ones, and the marks of the newest."""
    ordered, last = _by_article(editions)
    rows = zip(last, *(ordered[n].to_pylist() for n in ("marks", "part", "member")), strict=True)
    left = [
        {"part": part, "member": member, "reason": reason}
        for is_last, marks, part, member in rows
        for reason in ([SUPERSEDED] if not is_last else filter(None, marks.split(",")))
    ]
    return pa.Table.from_pylist(left, LEFT_SCHEMA)


def newest(editions: pa.Table) -> pa.Table:
    """Returns the newest edition of each article, as a later increment is to know it."""
    ordered, last = _by_article(editions)
    kept = ordered.filter(pa.array(last, pa.bool_()))
    ranks = (rank.partition("\t")[0] for rank in kept["rank"].to_pylist())
    columns = {
        "pmcid": kept["pmcid"],
        "rank": [f"{rank}\t{_AFTER_ARCHIVES}" for rank in ranks],
        "marks": kept["marks"],
        "part": [_KNOWN] * kept.num_rows,
        "member": kept["pmcid"],
    }
    return pa.table(columns, SCHEMA)


def _by_article(editions: pa.Table) -> tuple[pa.Table, list[bool]]:
    """Returns the editions by article, older ones first, and whether each is its article's last."""
    editions = editions.filter(pc.field("pmcid") != "")
    order = [("pmcid", "ascending"), ("rank", "ascending"), ("member", "ascending")]
    ordered = editions.sort_by(order)
    ids = ordered["pmcid"].to_pylist()
    return ordered, [i + 1 == len(ids) or ids[i] != ids[i + 1] for i in range(len(ids))]


def read_superseded(output: OutputFolder) -> set[str]:
    """Returns the ids of articles of earlier datasets of which there is a newer edition here.

    The known edition of an article whose marks leave it out is the newest, and so is none of them.
    """
    left = read_left_out(_KNOWN, welcome=MARKS, output=output)
    return {pmcid for pmcid, reason in left.items() if reason == SUPERSEDED}


def read_left_out(part: str, *, welcome: Collection[str], output: OutputFolder) -> dict[str, str]:
    """Returns member -> reason of what one work item leaves out.

    Args:
        part: name of the work item.
        welcome: those of MARKS that are no reason to leave an edition out.
        output: the dataset.
    """
    left: dict[str, str] = {}
    for partition in range(ID_PARTITIONS):
        with open_binary(output.path("catalogue", f"left-{partition:05d}.parquet")) as file:
            mine = pq.read_table(file).filter(pc.field("part") == part)
        found = zip(mine["member"].to_pylist(), mine["reason"].to_pylist(), strict=True)
        left.update((member, reason) for member, reason in found if reason not in welcome)
    return left
