"""What stands beside an input file and says more about its articles than their XML does.

    oa_comm.baseline.tar.gz    oa_comm.baseline.filelist.csv    id, date, licence, retraction
    PMC123.2/PMC123.2.xml      PMC123.2/PMC123.2.json           licence, retraction, kind of text

The JSON may also stand in the folder `metadata` beside the folder of the version, as in the bucket
of article versions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.csv

from beam_pipelines.inputs.sources import is_archive, stem
from pmc2vec.errors import UserError
from pmc2vec.storage.files import exists, join, open_binary, read_text

RETRACTED = "retracted"
MANUSCRIPT = "manuscript"
HISTORICAL_OCR = "historical_ocr"
MARKS = (RETRACTED, MANUSCRIPT, HISTORICAL_OCR)
"""What an article may be marked as outside its XML, and a filter asks about."""

_MEMBER, _ID, _DATE, _LICENCE, *_ = FILELIST_COLUMNS = (
    "Article File", "AccessionID", "LastUpdated (YYYY-MM-DD HH:MM:SS)", "License", "Retracted",
    "Manuscript", "Historical OCR",
)  # fmt: skip
"""The columns that are read; the last two stand in filelists of `pmc2vec fetch` alone."""


@dataclass(frozen=True)
class ArticleFacts:
    """What a companion file says of one article; empty where it says nothing.

    Attributes:
        pmcid: whose copy it is, such as `PMC123`.
        date: of its last update, as the filelist writes it; compared as text.
        licence: such as `CC BY`.
        marks: those of MARKS that it has, joined by commas.
        md5: hex digest of its XML.
    """

    pmcid: str = ""
    date: str = ""
    licence: str = ""
    marks: str = ""
    md5: str = ""


NO_FACTS = ArticleFacts()


class Companion:
    """The facts about the articles of one input file, by the name of the member or the file."""

    def __init__(self, columns: dict[str, pa.ChunkedArray]) -> None:
        self._columns = columns
        # A row that is given twice counts once, and the later one of two counts.
        self._rows = {member: row for row, member in enumerate(columns[_MEMBER].to_pylist())}

    def facts(self, member: str) -> ArticleFacts:
        """Returns what the file says of one member."""
        row = self._rows.get(member)
        if row is None:
            return NO_FACTS
        pmcid, date, licence, *marks = (
            self._columns[name][row].as_py() or "" for name in FILELIST_COLUMNS[1:]
        )
        marks = [mark for mark, value in zip(MARKS, marks, strict=True) if value.lower() == "yes"]
        return ArticleFacts(pmcid, date, licence, ",".join(marks))

    def ids(self) -> pa.ChunkedArray:
        """Returns the ids of all members."""
        return self._columns[_ID]


def companion_path(path: str) -> str | None:
    """Returns the path of the file that stands beside an input file, or None."""
    return next((place for place in _companion_places(path) if exists(place)), None)


def _companion_places(path: str) -> list[str]:
    if is_archive(path):
        return [f"{stem(path)}.filelist.csv"]
    folder, _, name = path.rpartition("/")
    json_name = f"{stem(name)}.json"
    above = folder.rpartition("/")[0]
    return [join(folder, json_name), join(above, "metadata", json_name)]


@lru_cache(maxsize=1)
def read_filelist(path: str) -> Companion:
    """Returns what the filelist beside an archive says of its members; nothing without one.

    Raises:
        UserError: it is not CSV.
    """
    filelist = companion_path(path)
    if filelist is None:
        return Companion({name: pa.chunked_array([], pa.string()) for name in FILELIST_COLUMNS})
    try:
        with open_binary(filelist) as file:
            table = pa.csv.read_csv(
                pa.PythonFile(file, mode="r"),
                # Citations need not be UTF-8, but nothing may be decoded as another alphabet.
                convert_options=pa.csv.ConvertOptions(
                    include_columns=FILELIST_COLUMNS,
                    include_missing_columns=True,
                    column_types=dict.fromkeys(FILELIST_COLUMNS, pa.string()),
                ),
            )
    except pa.ArrowInvalid as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{filelist}: not a filelist that can be read ({reason})") from error
    return Companion({name: table[name] for name in FILELIST_COLUMNS})


def read_article_facts(path: str) -> ArticleFacts:
    """Returns what the JSON beside a loose file says; nothing where there is none.

    Raises:
        ValueError: it is not JSON, or not an object.
    """
    # Each place is read at once, without asking first whether it is there: in a bucket either is
    # a request.
    texts = ((place, read_text(place, errors="replace")) for place in _companion_places(path))
    place, text = next(((place, text) for place, text in texts if text is not None), ("", "{}"))
    return parse_metadata(text, place)


def parse_metadata(text: str | bytes, where: str) -> ArticleFacts:
    """Returns what the JSON of an article version says.

    Args:
        text: of the file.
        where: its path, for the message.

    Raises:
        ValueError: it is not JSON, or not an object.
    """
    try:
        facts: Any = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{where}: nested too deeply") from error
    except ValueError as error:  # No JSON, or no UTF-8.
        raise ValueError(f"{where}: {error}") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{where}: not an object")
    marks = ",".join(mark for mark in MARKS if facts.get(f"is_{mark}"))
    md5 = _MD5.search(str(facts.get("xml_url") or ""))
    return ArticleFacts(
        licence=str(facts.get("license_code") or ""), marks=marks, md5=md5[1].lower() if md5 else ""
    )


_MD5 = re.compile(r"[?&]md5=([0-9a-fA-F]{32})\b")
