"""What to read of a bucket of article versions, decided before anything of it is downloaded.

    s3://pmc-oa-opendata/PMC10009416.1/PMC10009416.1.xml    the articles; also .json, .txt, .pdf
                         metadata/PMC10009416.1.json        licence, retraction, MD5 of the XML
                         inventory-reports/.../manifest.json

An inventory (`list_inventory`) or a listing (`list_bucket`) gives the versions, `select_versions`
takes the newest of each article that the user wants, and `write_selection` writes them into the
dataset, by id:

    selection.parquet    pmcid, version, size, digest; a row group for each work item

Workers read ranges of its rows. Eight million versions are 200 MB in memory here, and nothing in
the job.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from rich.console import Console

from beam_pipelines.inputs.sources import article_version, source_of
from pmc2vec.cli.console import Progress, progress
from pmc2vec.errors import UserError
from pmc2vec.storage.files import (
    atomic_file,
    exists,
    file_metadata,
    is_folder,
    is_remote,
    join,
    list_files,
    local_path,
    open_binary,
    read_text,
)
from pmc2vec.storage.object_stores import list_objects

PMC = "pmc"
PMC_BUCKET = "s3://pmc-oa-opendata"
INVENTORIES = "inventory-reports/pmc-oa-opendata/metadata"
"""Folder of the bucket in which a report of each day has a folder, `2026-01-18T01-00Z`."""

SELECTION_NAME = "selection.parquet"
ITEM_VERSIONS = 1024
"""Versions of a work item; a multiple of `work_items.RUN_DOCUMENTS`."""

LISTED = "listed"
"""Name of the number of versions that a bucket has."""
NOT_NEWEST = "older_version"
NOT_IN_LIST = "not_in_list"
NOT_IN_SAMPLE = "not_in_sample"
KNOWN = "known"
"""Why a version is not selected."""

VERSIONS_SCHEMA = pa.schema(
    [("pmcid", pa.int32()), ("version", pa.int32()), ("size", pa.int64()), ("digest", pa.int64())]
)
# Four groups: RE2 takes twice as long with a fifth, because its one-pass matcher has room for four.
_KEY = (
    r"^(?:metadata/)?PMC(?P<id>[0-9]{1,9})\.(?P<version>[0-9]{1,5})"
    r"(?:/PMC(?P<id2>[0-9]+)\.(?P<version2>[0-9]+))?\.(?:xml|json)$"
)
# A key as a number: the id, the version (five digits), and whether it is that of the metadata.
_VERSION_BITS = 17
_VERSION_MASK = (1 << _VERSION_BITS) - 1
_KEYS_SCHEMA = pa.schema([(name, pa.int64()) for name in ("key", "size", "digest")])
_ID_IN_LIST = re.compile(r"(?:PMC)?(\d{1,9})(?:\.(\d{1,5}))?", re.IGNORECASE)
_CSV_COLUMNS = ("bucket", "key", "lastmodifieddate", "etag")
_BLOCK_BYTES = 8 << 20
_LISTED_KEYS = 1 << 16  # Of a listing, in one table.
_LAYOUT_KEYS = 100  # Looked at to tell whether a folder has the layout of the bucket.
_SHOWN_IDS = 10

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """What is to be read of a bucket of article versions.

    Attributes:
        root: of the bucket, or of a copy of it.
        versions: how many.
        bytes: of their XML; 0 where the inventory does not say.
        counts: versions listed (LISTED), and those that were left out, by reason.
    """

    root: str
    versions: int
    bytes: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ArticleVersion:
    """One version of an article in a bucket.

    Attributes:
        pmcid: such as `PMC123`.
        name: such as `PMC123.2`.
        size: of its XML in bytes; 0 if unknown.
        digest: changes with its metadata, and so with its XML; 0 if unknown.
    """

    pmcid: str
    name: str
    size: int
    digest: int

    def xml_path(self, root: str) -> str:
        """Returns the path of its XML."""
        return join(root, self.name, f"{self.name}.xml")

    def metadata_paths(self, root: str) -> tuple[str, ...]:
        """Returns the paths at which its metadata may stand, the usual one first."""
        name = f"{self.name}.json"
        return join(root, "metadata", name), join(root, self.name, name)


# --- where the versions are ----------------------------------------------------------------------


def split_bucket(
    patterns: Sequence[str], inventories: Sequence[str] = ()
) -> tuple[str | None, tuple[str, ...]]:
    """Returns the bucket of article versions among the inputs, or a copy of it, and the others.

    Of several copies none is the bucket: they are read as the folders that they are.

    Args:
        patterns: of `--input`.
        inventories: of `--inventory`; a single input is what they list the keys of.

    Raises:
        UserError: it is not the only bucket.
    """
    is_only = len(patterns) == 1
    roots = {}
    for pattern in patterns:
        # Of thousands of archives none is asked for its folders: in a bucket that is a request.
        if is_only or source_of(pattern) is None:
            root = pattern.rstrip("/") or "/"
            if root == PMC and not exists(root):  # A folder of that name is what it is.
                root = PMC_BUCKET
            if root == PMC_BUCKET or (is_only and inventories) or _has_metadata(root):
                roots[pattern] = root
    if len(roots) > 1 and PMC_BUCKET in roots.values():
        raise UserError(f"--input {' '.join(roots)}: give one bucket of article versions")
    if len(roots) != 1:
        return None, tuple(patterns)
    ((bucket, root),) = roots.items()
    return root, tuple(pattern for pattern in patterns if pattern != bucket)


def _has_metadata(root: str) -> bool:
    """Tells whether a folder has the layout of the bucket: `metadata/PMC1.1.json`."""
    folder = join(root, "metadata")
    if not is_folder(root) or not is_folder(folder):
        return False
    if is_remote(root):
        paths: Iterable[str] = (path for path, _ in list_objects(folder))
    else:
        paths = (path.name for path in local_path(folder).iterdir())
    return any(article_version(p) and p.endswith(".json") for p in islice(paths, _LAYOUT_KEYS))


def newest_inventory(root: str) -> str | None:
    """Returns the manifest of the newest inventory in a bucket, or None where it has none."""
    folder = join(root, INVENTORIES)
    manifests = [path for path, _ in list_files(folder, "*/manifest.json")]
    return max(manifests, default=None)  # Their folders are named by their time.


def list_versions(root: str, inventories: Sequence[str], *, on: Console | None = None) -> pa.Table:
    """Returns the versions of a bucket, as in VERSIONS_SCHEMA, by id and version, each once.

    Args:
        root: of the bucket, or of a copy of it.
        inventories: that list its keys; without any, the newest that is in the bucket, or the
            bucket's listing.
        on: where the progress is shown; nowhere without it.

    Raises:
        UserError: there are none, or the list cannot be read.
    """
    if not inventories and (newest := newest_inventory(root)):
        inventories = (newest,)
    with progress("list", "keys", on=on or Console(quiet=True)) as listing:
        tables = (
            _read_inventories(inventories, root, listing)
            if inventories
            else _list_bucket(root, listing)
        )
        versions = _merge(tables)
    if not versions.num_rows:
        raise UserError(f"--input {root}: lists no article version (PMC1.1/PMC1.1.xml)")
    return versions


def _merge(batches: Iterable[pa.Table]) -> pa.Table:
    """Puts batches of keys together: the XML of a version and its JSON are one row.

    The JSON's digest counts: it holds the MD5 of the XML, so it changes with it. Of two rows for
    one key the later one counts.

    Args:
        batches: as in _KEYS_SCHEMA. Columns of numbers alone are kept, since there may be many.
    """
    table = pa.concat_tables([_KEYS_SCHEMA.empty_table(), *batches])
    keys = table["key"].to_numpy()
    table = table.drop_columns(["key"])
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    is_latest = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
    keys, order = keys[is_latest], order[is_latest]
    begins = np.append(True, (keys[1:] >> 1) != (keys[:-1] >> 1))[: len(keys)]
    ends = np.append(begins[1:], True)[: len(keys)]
    # Of a version's two rows the XML comes first.
    first_rows, last_rows = order[begins], order[ends]
    del order
    keys = keys[begins]
    # The size of the JSON is not that of the article.
    sizes = np.where(keys & 1, 0, table["size"].to_numpy()[first_rows])
    digests = table["digest"].to_numpy()[last_rows]
    del table, first_rows, last_rows
    pa.default_memory_pool().release_unused()
    return pa.table(
        {
            "pmcid": (keys >> 1 + _VERSION_BITS).astype(np.int32),
            "version": (keys >> 1 & _VERSION_MASK).astype(np.int32),
            "size": sizes,
            "digest": digests,
        },
        VERSIONS_SCHEMA,
    )


def _keys_table(
    keys: pa.ChunkedArray | pa.Array,
    sizes: pa.ChunkedArray | pa.Array,
    etags: pa.ChunkedArray | pa.Array,
) -> pa.Table:
    """Returns the rows of those keys that are the XML or the metadata of an article version."""
    is_metadata = pc.ends_with(keys, ".json")
    may_be_ours = pc.or_(is_metadata, pc.ends_with(keys, ".xml"))
    columns = (pc.filter(column, may_be_ours) for column in (keys, is_metadata, sizes, etags))
    keys, is_metadata, sizes, etags = columns
    parts = pc.extract_regex(keys, _KEY)
    is_ours = pc.is_valid(parts)
    columns = (pc.filter(column, is_ours) for column in (parts, is_metadata, sizes, etags))
    parts, is_metadata, sizes, etags = columns
    field = {name: pc.struct_field(parts, name) for name in ("id", "version", "id2", "version2")}
    # The folder and the file of an XML name the same version.
    is_consistent = pc.and_(
        pc.or_(pc.equal(field["id2"], ""), pc.equal(field["id2"], field["id"])),
        pc.or_(pc.equal(field["version2"], ""), pc.equal(field["version2"], field["version"])),
    )
    hexadecimal = pc.match_substring_regex(etags, "^[0-9a-f]{15}")
    digests = pc.if_else(
        hexadecimal, pc.binary_join_element_wise("0x", pc.utf8_slice_codeunits(etags, 0, 15), ""),
        "0x0",
    )  # fmt: skip
    version_keys = _numbers(field["id"]) << _VERSION_BITS | _numbers(field["version"])
    return pa.table(
        {
            "key": version_keys << 1 | _numbers(is_metadata),
            "size": _numbers(sizes),
            "digest": _numbers(digests),
        },
        _KEYS_SCHEMA,
    ).filter(is_consistent)


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return cast(np.ndarray, column.cast(pa.int64()).to_numpy(zero_copy_only=False))


# --- inventories ---------------------------------------------------------------------------------


def _read_inventories(
    inventories: Sequence[str], root: str, listing: Progress
) -> Iterator[pa.Table]:
    """Yields the keys of all inventories, file by file."""
    files = [file for path in inventories for file in _inventory_files(path, root)]
    sizes = [metadata.size if (metadata := file_metadata(path)) else 0 for path, _ in files]
    rows = bytes_before = 0
    for (path, columns), size in zip(files, sizes, strict=True):
        for table, file_rows, position in _read_csv(path, columns):
            # How many keys there are is guessed from the bytes that those so far have taken.
            share = (bytes_before + position) / max(sum(sizes), 1)
            total = round((rows + file_rows) / share) if 0 < share <= 1 else None
            listing.update(rows + file_rows, total)
            yield table
        rows, bytes_before = rows + file_rows, bytes_before + size
    listing.update(rows, rows)


def _inventory_files(path: str, root: str) -> list[tuple[str, Sequence[str]]]:
    """Returns (path, names of the columns) of the CSV files that an inventory consists of.

    It is such a file itself, or a manifest.json that names several.
    """
    if not path.endswith(".json"):
        return [(path, _CSV_COLUMNS)]
    text = read_text(path)
    if text is None:
        raise UserError(f"--inventory {path}: is not there")
    try:
        manifest = json.loads(text)
        columns = [name.strip().lower() for name in manifest["fileSchema"].split(",")]
        keys = [str(entry["key"]) for entry in manifest["files"]]
        file_format = manifest.get("fileFormat", "CSV")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"--inventory {path}: not a manifest of an S3 inventory") from error
    if file_format != "CSV" or not {"bucket", "key"} <= {*columns}:
        raise UserError(
            f"--inventory {path}: lists {file_format} with the columns {', '.join(columns)}; "
            "only CSV inventories with bucket and key are read"
        )
    return [(_data_file(path, key, root), columns) for key in keys]


def _data_file(manifest: str, key: str, root: str) -> str:
    """Returns where a data file is: at its key, or near a manifest that was copied.

    A report of S3 has its files in `data/`, beside the folder of each day that holds a manifest.
    """
    if not is_remote(manifest):
        folder = local_path(manifest).parent
        for near in (folder, folder / "data", folder.parent / "data"):
            path = near / key.rpartition("/")[2]
            if path.is_file():
                return str(path)
    return join(root, key)


def _read_csv(path: str, columns: Sequence[str]) -> Iterator[tuple[pa.Table, int, int]]:
    """Yields the article versions of one file of an inventory, block by block.

    Beside them it yields the rows and the bytes of the file up to there.
    """
    try:
        with open_binary(path) as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = pa.PythonFile(file, mode="r")
            rows = listed = 0
            reader = pa.csv.open_csv(
                pa.CompressedInputStream(stream, "gzip") if is_gzip else stream,
                read_options=pa.csv.ReadOptions(
                    autogenerate_column_names=True, block_size=_BLOCK_BYTES, use_threads=False
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={f"f{n}": pa.string() for n in range(len(columns))}
                ),
            )
            for batch in reader:
                if batch.num_columns < 2:
                    raise pa.ArrowInvalid("rows are not bucket, key, ...")
                table = _rows_table(dict(zip(columns, batch.columns, strict=False)))
                rows, listed = rows + table.num_rows, listed + batch.num_rows
                yield table, listed, file.tell()
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"--inventory {path}: cannot be read ({reason})") from error
    if not rows:
        raise UserError(
            f"--inventory {path}: lists no article version "
            "(PMC1.1/PMC1.1.xml or metadata/PMC1.1.json)"
        )


def _rows_table(cells: Mapping[str, pa.Array]) -> pa.Table:
    """Returns the article versions among the rows of an inventory, given by column."""
    # Keys are URL-encoded in inventories; those of articles have nothing to encode.
    keys = cells["key"]
    empty = pa.array([""] * len(keys), pa.string())
    sizes = cells.get("size", empty)
    sizes = pc.coalesce(pc.if_else(pc.equal(sizes, ""), "0", sizes), pa.scalar("0"))
    return _keys_table(keys, sizes, pc.coalesce(cells.get("etag", empty), ""))


# --- listings ------------------------------------------------------------------------------------


def _list_bucket(root: str, listing: Progress) -> Iterator[pa.Table]:
    """Yields the keys of `metadata/`, one for each version; without any, those of all folders.

    One request brings a thousand keys: of the folders that would be several versions' worth, of
    `metadata/` it is a thousand versions.
    """
    prefix = root.rstrip("/") + "/"
    for folder in (join(root, "metadata"), root):
        rows = 0
        files = _files_below(folder)
        while listed := list(islice(files, _LISTED_KEYS)):
            paths, sizes, etags = zip(*listed, strict=True)
            keys = [path.removeprefix(prefix) for path in paths]
            table = _keys_table(pa.array(keys), pa.array(sizes), pa.array(etags))
            rows += table.num_rows
            listing.update(rows)
            yield table
        if rows:
            return


def _files_below(folder: str) -> Iterator[tuple[str, int, str]]:
    """Yields (path, size, ETag or an empty string)."""
    if is_remote(folder):
        for path, metadata in list_objects(folder):
            yield path, metadata.size, (metadata.etag or "").strip('"')
    else:
        for path, size in list_files(folder):
            yield path, size, ""


# --- the selection -------------------------------------------------------------------------------


def read_pmcids(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids in a file, one a line as PMC123, PMC123.2 or 123, and their versions.

    A version of 0 stands for the newest. Empty lines and what follows a `#` do not count.

    Raises:
        UserError: the file cannot be read, a line is no id, or there is none.
    """
    text = read_text(path, errors="replace")
    if text is None:
        raise UserError(f"--pmcids {path}: is not there")
    rows: list[tuple[int, int]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        word = line.partition("#")[0].strip()
        if not word or (number == 1 and word.upper() in ("PMCID", "PMCIDS", "PMC")):
            continue
        match = _ID_IN_LIST.fullmatch(word)
        if match is None:
            raise UserError(f"--pmcids {path}: line {number} is no id (PMC123, PMC123.2 or 123)")
        rows.append((int(match[1]), int(match[2] or 0)))
    if not rows:
        raise UserError(f"--pmcids {path}: holds no id")
    ids = np.array(rows, np.int64)
    return ids[:, 0], ids[:, 1]


def sample_key(pmcids: np.ndarray) -> np.ndarray:
    """Returns a number from 0 to 1 for each id: a hash, the same every time.

    The finalizer of MurmurHash3 for 64 bits, by Austin Appleby.

    >>> [round(float(x), 3) for x in sample_key(np.array([1, 2, 3]))]
    [0.704, 0.229, 0.044]
    """
    mixed = pmcids.astype(np.uint64)
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(multiplier)
    mixed ^= mixed >> np.uint64(33)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def select_versions(
    versions: pa.Table,
    ids: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    share: float = 1.0,
    limit: int | None = None,
    known: pa.Table | None = None,
) -> tuple[pa.Table, dict[str, int], list[str]]:
    """Selects what is to be read.

    Args:
        versions: as in VERSIONS_SCHEMA, by id and version.
        ids: and versions that are wanted, from `read_pmcids`; None for all.
        share: of the articles.
        limit: at most so many articles.
        known: versions that an earlier dataset knows, as in VERSIONS_SCHEMA.

    Returns:
        The selected rows; how many are listed, and left out by reason; the ids that were asked for
        and are not there.
    """
    counts = {LISTED: versions.num_rows}
    missing: list[str] = []
    if ids is not None:
        keep, missing = _in_list(versions, *ids)
        versions = _keep(versions, keep, NOT_IN_LIST, counts)
    pmcids = versions["pmcid"].to_numpy()
    newest = np.append(pmcids[1:] != pmcids[:-1], True)[: len(pmcids)]
    versions = _keep(versions, newest, NOT_NEWEST, counts)
    if share < 1 or limit is not None:
        sample_keys = sample_key(versions["pmcid"].to_numpy())
        keep = sample_keys < share
        if limit is not None and keep.sum() > limit:
            keep &= sample_keys <= np.partition(sample_keys[keep], limit - 1)[limit - 1]
        versions = _keep(versions, keep, NOT_IN_SAMPLE, counts)
    if known is not None:
        versions = _keep(versions, ~_is_known(versions, known), KNOWN, counts)
    return versions, counts, missing


def warn_of_missing(root: str, missing: Sequence[str]) -> None:
    """Logs which of the wanted ids are not in the bucket, the first of them by name."""
    if missing:
        shown = ", ".join(missing[:_SHOWN_IDS]) + (", ..." if missing[_SHOWN_IDS:] else "")
        _logger.warning("%d of the wanted articles are not in %s: %s", len(missing), root, shown)


def _keep(versions: pa.Table, keep: np.ndarray, reason: str, counts: dict[str, int]) -> pa.Table:
    left_out = len(keep) - int(keep.sum())
    if left_out:
        counts[reason] = left_out
    return versions.filter(pa.array(keep)).combine_chunks() if left_out else versions


def _in_list(
    versions: pa.Table, ids: np.ndarray, numbers: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Returns which rows a list of ids asks for, and what it asks for that is not there."""
    pmcids = versions["pmcid"].to_numpy().astype(np.int64)
    keys, listed_keys = _version_keys(versions), ids << _VERSION_BITS | numbers
    any_version = numbers == 0
    keep = np.isin(pmcids, ids[any_version]) | np.isin(keys, listed_keys[~any_version])
    is_missing = np.where(any_version, ~np.isin(ids, pmcids), ~np.isin(listed_keys, keys))
    return keep, [
        f"PMC{pmcid}.{number}" if number else f"PMC{pmcid}"
        for pmcid, number in zip(ids[is_missing], numbers[is_missing], strict=True)
    ]


def _is_known(versions: pa.Table, known: pa.Table) -> np.ndarray:
    """Returns [n] bool: which versions are known, with the same digest where both have one."""
    keys, known_keys = _version_keys(versions), _version_keys(known)
    if not len(known_keys):
        return np.zeros(len(keys), np.bool_)
    order = np.argsort(known_keys, kind="stable")
    # The last row of a version counts: it is that of the later dataset.
    positions = np.searchsorted(known_keys, keys, side="right", sorter=order) - 1
    rows = order[np.maximum(positions, 0)]
    digests, known_digests = versions["digest"].to_numpy(), known["digest"].to_numpy()[rows]
    is_same = (known_digests == digests) | (known_digests == 0) | (digests == 0)
    return cast(np.ndarray, (known_keys[rows] == keys) & is_same)


def _version_keys(table: pa.Table) -> np.ndarray:
    """Returns [n] int64: the id and the version of each row as one number."""
    pmcids = table["pmcid"].to_numpy().astype(np.int64)
    return cast(np.ndarray, pmcids << _VERSION_BITS | table["version"].to_numpy())


# --- the file ------------------------------------------------------------------------------------


def write_selection(
    path: str, root: str, versions: pa.Table, counts: Mapping[str, int]
) -> Selection:
    """Writes the selection of a dataset, a row group for each work item, and returns it."""
    selection = Selection(root, versions.num_rows, pc.sum(versions["size"]).as_py() or 0, counts)
    facts = json.dumps({"root": root, "counts": dict(counts), "bytes": selection.bytes})
    schema = VERSIONS_SCHEMA.with_metadata({"pmc2vec": facts})
    with (
        atomic_file(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_statistics=False) as writer,
    ):
        writer.write_table(versions.cast(schema), row_group_size=ITEM_VERSIONS)
    return selection


def read_selection(path: str) -> Selection:
    """Returns what `write_selection` wrote, without the versions."""
    with open_binary(path) as file:
        reader = pq.ParquetFile(file)
        facts = json.loads((reader.schema_arrow.metadata or {})[b"pmc2vec"])
        return Selection(facts["root"], reader.metadata.num_rows, facts["bytes"], facts["counts"])


def read_versions(path: str) -> pa.Table:
    """Returns all versions of a file as in VERSIONS_SCHEMA."""
    with open_binary(path) as file:
        return pq.read_table(file).cast(VERSIONS_SCHEMA)


def selected_versions(path: str, group: int) -> tuple[ArticleVersion, ...]:
    """Returns the versions of one row group, those of one work item."""
    with open_binary(path) as file:
        return tuple(
            as_versions(pq.ParquetFile(file, metadata=_footer(path)).read_row_group(group))
        )


def as_versions(table: pa.Table) -> Iterator[ArticleVersion]:
    """Yields the rows of a table as in VERSIONS_SCHEMA."""
    for batch in table.to_batches(max_chunksize=ITEM_VERSIONS):
        columns = (column.to_pylist() for column in batch.columns)
        for pmcid, version, size, digest in zip(*columns, strict=True):
            yield ArticleVersion(f"PMC{pmcid}", f"PMC{pmcid}.{version}", size, digest)


@lru_cache(maxsize=1)
def _footer(path: str) -> pq.FileMetaData:
    """Returns the footer of a selection, which describes thousands of row groups."""
    with open_binary(path) as file:
        return pq.ParquetFile(file).metadata
