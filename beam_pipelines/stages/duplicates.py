"""Which copy of an article counts: the newest that could be read (docs/decisions/0013).

An article stands in a baseline, again in an increment, or in several versions. Each part of the
corpus lists the copies that it has read. The lists are spread by a hash of the article's id, so
that one worker compares all copies of an article and holds no others:

    parts/part-00003.copies.parquet   the copies in one part; row group i is partition i
    catalogue/left-00017.parquet      of one partition: the copies that do not count, and why

Newest: the higher version (`PMC123.2`), then the later date, then the later archive name, then the
later place. A copy of an earlier dataset (`--since`) is beaten only by a higher version, a later
date, other bytes or other marks: a new archive repeats most articles as they were.

Citations of PubMed are copies too, of `pmid:123`; a file that deletes one lists a copy with the
mark DELETED. A citation does not count where its article is kept in full text. Two ids may show
that, and the lists are spread by id. So a full text also lists its PMID, with the mark FULL_TEXT,
and a citation its id of PubMed Central, with the mark CITATION.

MeSH headings stand in citations alone. The same two ids take them to the full text (HEADINGS): with
`--mesh` a full text is kept whose citation has one of the headings, whatever becomes of the
citation itself.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import groupby, pairwise
from operator import attrgetter, itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_pipelines.inputs.pubmed_files import is_numbered
from beam_pipelines.inputs.sources import article_version, stem
from beam_pipelines.stages import history
from beam_pipelines.stages.companion_files import RETRACTED, ArticleFacts
from beam_pipelines.stages.output_folder import (
    CATALOGUE_FOLDER,
    SUMMARIES_FOLDER,
    OutputFolder,
)
from beam_pipelines.stages.partitions import PARTITIONS, gather, group_of, read_partition
from pmc2vec.storage.files import atomic_file, open_binary

SUPERSEDED = "superseded"
IN_FULL_TEXT = "in_full_text"
OLDER_VERSION = "older_version"
"""Mark of a copy that counts although a newer one exists, which could not be read."""

DELETED = "deleted"
"""Mark of a copy by which PubMed deletes a citation, and why its other copies do not count."""
FULL_TEXT = "full_text"
"""Mark beside a PMID: an article that is kept in full text has it."""
CITATION = "citation"
"""Mark beside an id of PubMed Central: a citation has it."""
HEADINGS = "headings"
"""In LEFT_SCHEMA, no reason: the row is a full text, and `--mesh` wants it by its citation."""

_GATHERED = "gathered-"
"""Prefix of the names of what is gathered from a group of parts."""
_KNOWN_PART = "known"
"""Name of the part that a copy of an earlier dataset belongs to."""
_AFTER_ARCHIVES = "\U0010ffff"
"""Sorts after the name of every archive."""

_NAMED_ARTICLE = re.compile(r"(PMC\d+)(?:\.\d+)?")


@dataclass(frozen=True)
class Copy:
    """One copy of an article.

    Attributes:
        pmcid: whose copy: an id of PubMed Central, or `pmid:123` of a citation.
        rank: the greater is the newer; compared as text.
        marks: see `companion_files.ArticleFacts`; or one of the marks above.
        fingerprint: of its bytes; empty for an article in a file of several.
        position: number of the copy in its part.
        readable: whether it was read as an article with this id.
        row: in the part, or -1 where it is not kept.
        outcome: name in the funnel where it is not kept, such as `dropped:no_keyword`.
        has_heading: whether a citation has a heading that `--mesh` wants; of a full text, whether
            it is kept without one. True without `--mesh`.
        mesh: headings of a citation beside an id of PubMed Central.
    """

    pmcid: str
    rank: str
    marks: str
    fingerprint: str
    position: int
    readable: bool
    row: int
    outcome: str
    has_heading: bool = True
    mesh: str = ""


_ARROW_TYPES = {"str": pa.string(), "int": pa.int32(), "bool": pa.bool_()}
COPIES_SCHEMA = pa.schema(
    [*((f.name, _ARROW_TYPES[str(f.type)]) for f in fields(Copy)), ("part", pa.string())]
)
LEFT_SCHEMA = pa.schema(
    [("part", pa.string()), ("pmcid", pa.string()), ("row", pa.int32()),
     ("outcome", pa.string()), ("reason", pa.string()), ("mesh", pa.string())]
)  # fmt: skip
KNOWN_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("pmcid", "rank", "marks", "fingerprint", "kept", "heading")]
)
_RESOLVED_ROWS = 1 << 16
"""Rows that are compared at once: as dictionaries they take ten times what they take in Arrow."""


def named_article(path: str) -> str:
    """Returns the id where the name of a file says nothing but it, else an empty string.

    >>> named_article("J/PMC123.nxml"), named_article("PMC7.2.xml"), named_article("PMC7/main.nxml")
    ('PMC123', 'PMC7', '')
    """
    match = _NAMED_ARTICLE.fullmatch(stem(path.rpartition("/")[2]))
    return match[1] if match else ""


def rank(pmcid: str, path: str, *, xml_version: str, date: str, archive: str) -> str:
    """Returns what orders the copies of one article.

    Args:
        pmcid: whose copy.
        path: its member name; its version counts where it names this article.
        xml_version: counts where the path says none.
        date: from the filelist, or of the member in the archive.
        archive: name of the input file.
    """
    named = article_version(path)
    version = named[1] if named and named[0] == pmcid else 0
    if not version:
        digits = re.match(r"\d{1,6}", xml_version)
        version = int(digits[0]) if digits else 0
    return f"{min(version, 999_999):06d} {date}\t{archive}"


def citation_id(pmid: str) -> str:
    """Returns what stands for a citation of PubMed in the lists of copies."""
    return f"pmid:{pmid}"


def citation_rank(version: int, file_name: str, archive: str) -> str:
    r"""Returns what orders the copies of one citation: its version, then the order of NLM's files.

    A file without a number (a search's download) comes before all that have one.

    >>> citation_rank(1, "x/pubmed26n1335.xml.gz", "a.tar"), citation_rank(2, "set.xml", "set.xml")
    ('000001 pubmed26n1335.xml.gz\ta.tar', '000002 \tset.xml')
    """
    name = file_name.rpartition("/")[2].lower()
    date = name if is_numbered(name) else ""
    return f"{min(version, 999_999):06d} {date}\t{archive}"


def member_date(modified: float | None) -> str:
    """Returns the time of a member of an archive as text; empty for what is no time."""
    if modified is None:
        return ""
    try:
        return datetime.fromtimestamp(modified, UTC).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return ""


def fingerprint(data: bytes) -> str:
    """Returns what two copies have in common if their bytes are the same.

    Not a digest against forgery: a checksum and a length cost a tenth of SHA-256, and tell one
    delivery of an article from the next.
    """
    return f"{zlib.crc32(data):08x}-{len(data)}"


# --- what the earlier dataset knows --------------------------------------------------------------


@dataclass(frozen=True)
class KnownCopies:
    """The newest copies of some articles in the earlier datasets.

    Attributes:
        rows: id to version and date, marks, and fingerprint.
    """

    rows: Mapping[str, tuple[str, str, str]]

    def supersede(self, pmcid: str, rank: str, facts: ArticleFacts, data: bytes) -> bool:
        """Tells whether a known copy supersedes this one, which then need not be parsed."""
        if (row := self.rows.get(pmcid)) is None:
            return False
        known_rank, marks, known_print = row
        version_and_date = rank.partition("\t")[0]
        if version_and_date != known_rank:
            return version_and_date < known_rank
        return facts.marks == marks and known_print in ("", fingerprint(data))


NOTHING_KNOWN = KnownCopies({})


def read_known(ids: pa.Array | pa.ChunkedArray, output: OutputFolder) -> KnownCopies:
    """Returns the known copies of some articles."""
    rows: dict[str, tuple[str, str, str]] = {}
    if output.since is not None and len(ids):
        wanted = pc.unique(ids)
        for partition in range(PARTITIONS):
            for table in _known_table(partition, output):
                for row in table.filter(pc.is_in(table["pmcid"], wanted)).to_pylist():
                    version_and_date = row["rank"].partition("\t")[0]
                    rows[row["pmcid"]] = (version_and_date, row["marks"], row["fingerprint"])
    return KnownCopies(rows)


def _known_table(partition: int, output: OutputFolder) -> Iterator[pa.Table]:
    for table in history.read_earlier_partition(history.EDITIONS, partition, output=output):
        columns = {name: table[name] for name in KNOWN_SCHEMA.names if name in table.schema.names}
        # Datasets of version 0.1 have no fingerprints, and do not say what they kept: a citation
        # of an article that they know counts as read, for what was dropped there for its words
        # or its licence would be dropped here too. Nor do they know `--mesh`.
        for name, value in (("fingerprint", ""), ("kept", "yes"), ("heading", "yes")):
            columns.setdefault(name, pa.array([value] * table.num_rows, pa.string()))
        yield pa.table(columns, KNOWN_SCHEMA).filter(pc.field("pmcid") != "")


# --- files ---------------------------------------------------------------------------------------

_NO_COPY = Copy("", "", "", "", 0, False, -1, "")
# `dataclasses.astuple` would copy each value deeply.
_copy_values = attrgetter(*(field.name for field in fields(Copy)))


def write_copies(part: str, copies: Iterable[Copy], *, output: OutputFolder) -> None:
    """Writes the copies of one part, a row group for each partition."""
    partitions: list[list[Copy]] = [[] for _ in range(PARTITIONS)]
    for copy in copies:
        partitions[zlib.crc32(copy.pmcid.encode()) % PARTITIONS].append(copy)
    with (
        atomic_file(_copies_path(part, output)) as file,
        pq.ParquetWriter(file, COPIES_SCHEMA, compression="zstd") as writer,
    ):
        for rows in partitions:
            # See `partitions.placeholder`.
            columns = zip(*map(_copy_values, rows or [_NO_COPY]), strict=True)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, COPIES_SCHEMA, strict=False)]
            parts = pa.array([part] * len(arrays[0]), pa.string())
            writer.write_table(pa.Table.from_arrays([*arrays, parts], schema=COPIES_SCHEMA))


def _copies_path(name: str, output: OutputFolder) -> str:
    folder = CATALOGUE_FOLDER if name.startswith(_GATHERED) else SUMMARIES_FOLDER
    return output.path(folder, f"{name}.copies.parquet")


def _left_path(number: int, output: OutputFolder, *, gathered: bool = False) -> str:
    prefix = _GATHERED if gathered else ""
    return output.path(CATALOGUE_FOLDER, f"{prefix}left-{number:05d}.parquet")


def gather_copies(group: int, parts: Iterable[str], *, output: OutputFolder, groups: int) -> str:
    """Puts the lists of a group of parts into one, and returns the name that stands for them."""
    name = f"{_GATHERED}{group:05d}"
    paths = (_copies_path(part, output) for part in sorted(parts)
             if group_of(part, groups) == group)  # fmt: skip
    gather(paths, _copies_path(name, output), COPIES_SCHEMA)
    return name


def write_left_out(partition: int, lists: Iterable[str], *, output: OutputFolder) -> int:
    """Writes which copies of one partition do not count; returns the number of rows.

    Args:
        partition: which.
        lists: names of all parts, or of all groups of them.
        output: the dataset.
    """
    tables = [COPIES_SCHEMA.empty_table()]
    for name in sorted(lists):
        with open_binary(_copies_path(name, output)) as file:
            tables.append(read_partition(file, partition))
    known = pa.concat_tables([KNOWN_SCHEMA.empty_table(), *_known_table(partition, output)])
    copies = pa.concat_tables(tables).filter(pc.field("pmcid") != "")
    newest, left = [KNOWN_SCHEMA.empty_table()], [LEFT_SCHEMA.empty_table()]
    for some_copies, some_known in _batches(copies, known):
        newest_rows, left_rows = resolve(some_copies.to_pylist(), some_known.to_pylist())
        newest.append(pa.Table.from_pylist(newest_rows, KNOWN_SCHEMA))
        left.append(pa.Table.from_pylist(left_rows, LEFT_SCHEMA))
    history.write_partition(
        history.EDITIONS, partition, pa.concat_tables(newest).combine_chunks(), output=output
    )
    left_out = pa.concat_tables(left).combine_chunks()
    with atomic_file(_left_path(partition, output)) as file:
        pq.write_table(left_out, file)
    return int(left_out.num_rows)


def _batches(copies: pa.Table, known: pa.Table) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yields both tables in pieces, in the order of ids; all rows of an id are in one piece."""
    if copies.num_rows + known.num_rows <= _RESOLVED_ROWS:
        yield copies, known
        return
    ids = pa.chunked_array([*copies["pmcid"].chunks, *known["pmcid"].chunks], pa.string())
    ids = ids.take(pc.sort_indices(ids))
    starts = dict.fromkeys(ids[::_RESOLVED_ROWS].to_pylist())
    for start, end in pairwise([*starts, None]):
        inside = pc.field("pmcid") >= start
        if end is not None:
            inside &= pc.field("pmcid") < end
        yield copies.filter(inside), known.filter(inside)


def resolve(
    copies: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Compares the copies of some articles.

    Args:
        copies: rows as in COPIES_SCHEMA.
        known: rows as in KNOWN_SCHEMA, of the earlier dataset.

    Returns:
        The newest copy of each article, as in KNOWN_SCHEMA, and what does not count, as in
        LEFT_SCHEMA: `superseded` copies, and one that counts for want of a newer one that can be
        read, as `older_version` or, where the newer is marked so, as `retracted`; citations as
        `deleted` or `in_full_text`.
    """
    earlier = [_known_copy(row) for row in known]
    order = itemgetter("pmcid", "rank", "part", "position")
    newest: list[dict[str, Any]] = []
    left: list[dict[str, Any]] = []
    for _, group in groupby(sorted([*earlier, *copies], key=order), key=itemgetter("pmcid")):
        some_newest, some_left = _resolve_article(list(group))
        newest += some_newest
        left += some_left
    return newest, left


def _resolve_article(
    rows: list[Mapping[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns what `resolve` does, for the copies with one id, the newest of which comes last."""
    full_texts = [row for row in rows if row["marks"] == FULL_TEXT]
    citations = [row for row in rows if row["marks"] == CITATION]
    ordered = _known_first([row for row in rows if row["marks"] not in (FULL_TEXT, CITATION)])
    readable = [copy for copy in ordered if copy["readable"]]
    winner = readable[-1] if readable else None
    by_heading = _full_texts_by_heading(full_texts, citations, winner)
    newest = [_known_row(row, "") for row in full_texts[-1:] if row["has_heading"] or by_heading]
    left = [_left(row, HEADINGS, citations) for row in by_heading]
    if any(copy["row"] >= 0 or copy.get("kept") for copy in readable):
        left += (_left(row, IN_FULL_TEXT) for row in citations if row["row"] >= 0)
    if winner is None:
        return newest, left
    is_deleted = winner["marks"] == DELETED
    older = [copy for copy in readable[:-1] if copy["marks"] != DELETED]
    left += (_left(c, DELETED if is_deleted and c is older[-1] else SUPERSEDED) for c in older)
    if full_texts and winner["row"] >= 0:
        left.append(_left(winner, IN_FULL_TEXT))
    version_and_date = _version_and_date(winner)
    newer = [c for c in ordered if not c["readable"] and _version_and_date(c) > version_and_date]
    if newer and winner["part"] != _KNOWN_PART and not is_deleted:
        retracted = RETRACTED in newer[-1]["marks"].split(",")
        left.append(_left(winner, RETRACTED if retracted else OLDER_VERSION))
    newest.append(_known_row(winner, f"{version_and_date}\t{_AFTER_ARCHIVES}", bool(by_heading)))
    return newest, left


def _full_texts_by_heading(
    full_texts: list[Mapping[str, Any]],
    citations: list[Mapping[str, Any]],
    winner: Mapping[str, Any] | None,
) -> list[Mapping[str, Any]]:
    """Returns the full texts here that have the headings of a citation here, and are wanted by it.

    Args:
        full_texts: with the mark FULL_TEXT, beside the PMID of `winner`, a citation.
        citations: with the mark CITATION, beside the id of `winner`, a full text.
        winner: the newest copy.
    """
    if winner is None or winner["marks"] == DELETED:
        return []
    source = citations[-1] if citations else winner
    candidates = [winner] if citations else full_texts
    return [
        row
        for row in candidates
        if row["row"] >= 0 and source["has_heading"] and (source["mesh"] or not row["has_heading"])
    ]


def _known_row(
    copy: Mapping[str, Any], rank: str, is_kept_by_citation: bool = False
) -> dict[str, Any]:
    has_heading = copy["has_heading"] or is_kept_by_citation
    kept_mark = "yes" if copy["row"] >= 0 and has_heading else copy.get("kept", "")
    return {"pmcid": copy["pmcid"], "rank": rank, "marks": copy["marks"],
            "fingerprint": copy["fingerprint"], "kept": kept_mark,
            "heading": "yes" if has_heading else ""}  # fmt: skip


def _known_copy(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "part": _KNOWN_PART, "position": 0, "readable": True, "row": -1, "outcome": "",
            "has_heading": row["heading"] == "yes", "mesh": ""}  # fmt: skip


def _known_first(copies: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Puts a known copy before others of its version and date that differ from it."""
    at = next((n for n, copy in enumerate(copies) if copy["part"] == _KNOWN_PART), None)
    if at is None:
        return copies
    known = copies[at]
    same = [c for c in copies[:at] if _version_and_date(c) == _version_and_date(known)]
    changed = [
        copy
        for copy in same
        if copy["readable"]
        and (
            copy["marks"] != known["marks"]
            or (known["fingerprint"] and copy["fingerprint"] not in ("", known["fingerprint"]))
        )
    ]
    if not changed:
        return copies
    first = at - len(same)
    return [*copies[:first], known, *same, *copies[at + 1 :]]


def _version_and_date(copy: Mapping[str, Any]) -> str:
    return str(copy["rank"]).partition("\t")[0]


def _left(
    copy: Mapping[str, Any], reason: str, citations: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    mesh = citations[-1]["mesh"] if citations else ""
    row = {name: copy[name] for name in ("part", "pmcid", "row", "outcome")}
    return row | {"reason": reason, "mesh": mesh}


def gather_left_out(group: int, *, output: OutputFolder, groups: int) -> int:
    """Puts the rows that `write_left_out` wrote for a group of parts into one file."""
    tables = []
    for partition in range(PARTITIONS):
        with open_binary(_left_path(partition, output)) as file:
            table = pq.ParquetFile(file).read()
        parts = [
            part
            for part in pc.unique(table["part"]).to_pylist()
            if part != _KNOWN_PART and group_of(part, groups) == group
        ]
        tables.append(table.filter(pc.is_in(table["part"], pa.array(parts, pa.string()))))
    with atomic_file(_left_path(group, output, gathered=True)) as file:
        pq.write_table(pa.concat_tables(tables), file)
    return group


def read_left_out(
    part: str, *, output: OutputFolder, groups: int = 0
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Returns what the comparison says of one part.

    Args:
        part: its name.
        output: the dataset.
        groups: into how many groups of parts this was gathered; 0 if it was not.

    Returns:
        The rows of LEFT_SCHEMA that belong to the part, by article, each copy once, without those
        with HEADINGS; and of these row to headings, which may be empty.
    """
    paths = (
        [_left_path(group_of(part, groups), output, gathered=True)]
        if groups
        else [_left_path(partition, output) for partition in range(PARTITIONS)]
    )
    rows: list[dict[str, Any]] = []
    for path in paths:
        with open_binary(path) as file:
            table = pq.ParquetFile(file).read()
        # A mask: for an expression Arrow would set up a query, which costs more than a small table.
        rows += table.filter(pc.equal(table["part"], part)).to_pylist()
    headings: dict[int, str] = {}
    for row in rows:
        if row["reason"] == HEADINGS:
            headings[row["row"]] = headings.get(row["row"]) or row["mesh"]
    rows = [row for row in rows if row["reason"] != HEADINGS]
    # A citation may be found superseded by its PMID, and in full text by either of its ids.
    rows_out = {row["row"] for row in rows if row["reason"] not in (IN_FULL_TEXT, OLDER_VERSION)}
    distinct: list[dict[str, Any]] = []
    for row in rows:
        if row["reason"] == IN_FULL_TEXT:
            if row["row"] in rows_out:
                continue
            rows_out.add(row["row"])
        distinct.append(row)
    return distinct, headings


def read_superseded(output: OutputFolder) -> set[str]:
    """Returns the ids of articles of earlier datasets of which there is a newer copy here."""
    return {row["pmcid"] for row in read_left_out(_KNOWN_PART, output=output)[0]}
