import gzip
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from beam_pipelines.inputs import article_versions
from beam_pipelines.inputs.article_versions import (
    list_versions,
    read_pmcids,
    read_selection,
    select_versions,
    selected_versions,
    split_bucket,
    write_selection,
)
from pmc2vec.errors import UserError

ROWS = """\
"b","PMC2.1/PMC2.1.pdf","2026-10-01T00:00:00.000Z","00000000000000000000000000000001","9"
"b","PMC2.1/PMC2.1.xml","2026-10-01T00:00:00.000Z","00000000000000000000000000000002","90"
"b","PMC10.2/PMC10.2.xml","2026-10-01T00:00:00.000Z","10000000000000000000000000000002","7"
"b","PMC2.1/PMC2.1.txt","2026-10-01T00:00:00.000Z","00000000000000000000000000000003","9"
"b","PMC10.2/g001.jpg","2026-10-01T00:00:00.000Z","00000000000000000000000000000004","9"
"b","PMC10.1/PMC10.1.xml","2026-10-01T00:00:00.000Z","0fffffffffffff100000000000000001","8"
"b","index.xml","2026-10-01T00:00:00.000Z","00000000000000000000000000000005","9"
"""
METADATA_ROWS = """\
"b","metadata/PMC10.2.json","2026-10-01T00:00:00.000Z","00000000000000a00000000000000000"
"b","metadata/PMC2.1.json","2026-10-01T00:00:00.000Z","odd"
"b","metadata/PMC10.1.json","2026-10-01T00:00:00.000Z","00000000000000b00000000000000000"
"""


def inventory(folder, *data, schema="Bucket, Key, LastModifiedDate, ETag, Size"):
    """Writes a report as S3 does and returns its manifest."""
    keys = [f"inventory/data/{n}.csv.gz" for n in range(len(data))]
    (folder / "inventory/data").mkdir(parents=True)
    for key, text in zip(keys, data, strict=True):
        (folder / key).write_bytes(gzip.compress(text.encode()))
    manifest = folder / "inventory/2026-10-01T01-00Z/manifest.json"
    manifest.parent.mkdir()
    facts = {"fileFormat": "CSV", "fileSchema": schema, "files": [{"key": key} for key in keys]}
    manifest.write_text(json.dumps(facts))
    return str(manifest)


def rows(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def test_a_report_of_several_files_with_keys_of_all_kinds(tmp_path):
    lines = ROWS.splitlines(keepends=True)
    manifest = inventory(tmp_path, "".join(lines[:3]), "".join(lines[3:]))
    assert rows(list_versions(str(tmp_path), [manifest])) == [
        (2, 1, 90, 0),
        (10, 1, 8, 0x0FFFFFFFFFFFFF1),
        (10, 2, 7, 0x100000000000000),
    ]


def test_the_keys_of_all_files_are_counted(tmp_path):
    manifest = inventory(tmp_path, ROWS, METADATA_ROWS)
    on = Console(file=io.StringIO(), width=99)
    list_versions(str(tmp_path), [manifest], on=on)
    assert on.file.getvalue().startswith("list: 10 of 10 keys (100%), ")


def test_keys_of_metadata_alone_name_the_versions(tmp_path):
    manifest = inventory(tmp_path, METADATA_ROWS, schema="Bucket, Key, LastModifiedDate, ETag")
    assert rows(list_versions(str(tmp_path), [manifest])) == [
        (2, 1, 0, 0),
        (10, 1, 0, 11),
        (10, 2, 0, 10),
    ]


def test_the_size_is_that_of_the_xml_and_the_digest_that_of_the_metadata(tmp_path):
    sized = [line + ',"5"\n' for line in METADATA_ROWS.splitlines()]
    manifest = inventory(tmp_path, "".join(sized), ROWS)
    assert rows(list_versions(str(tmp_path), [manifest])) == [
        (2, 1, 90, 0),
        (10, 1, 8, 11),
        (10, 2, 7, 10),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"b,index.html\n", "lists no article version"),
        (b"<html>\n", "rows are not bucket, key"),
        (b"b,PMC1.1.xml\nno comma\n", "cannot be read .*Expected 2 columns, got 1"),
        (b"b,PMC1.1.xml\xff\n", "cannot be read"),
        (gzip.compress(b"b,PMC1.1.xml\n" * 99)[:-9], "cannot be read"),
        (b'b,"PMC1.1.xml' + b"x" * (9 << 20), "cannot be read"),
    ],
    ids=["no article", "no CSV", "no comma", "no UTF-8", "truncated", "stray quote"],
)
def test_what_cannot_be_read_is_named(tmp_path, data, message):
    (tmp_path / "i.csv").write_bytes(data)
    with pytest.raises(UserError, match=f"^--inventory .*i.csv: .*{message}"):
        list_versions("in", [str(tmp_path / "i.csv")])


@pytest.mark.parametrize("text", ["{}", "[]", '{"fileSchema": 1}', "no JSON"])
def test_what_is_no_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="not a manifest of an S3 inventory"):
        list_versions("in", [str(tmp_path / "manifest.json")])
    (tmp_path / "manifest.json").write_text('{"fileSchema": "a", "files": [], "fileFormat": "ORC"}')
    with pytest.raises(UserError, match="lists ORC with the columns a; only CSV"):
        list_versions("in", [str(tmp_path / "manifest.json")])


def test_the_newest_inventory_is_found_and_else_the_folder_is_listed(tmp_path):
    for path in ("metadata/PMC3.1.json", "PMC3.1/PMC3.1.xml", "metadata/PMC3.2.json"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("{}")
    assert split_bucket([f"{tmp_path}/"], [])[0] == str(tmp_path)
    # The size of a JSON is not that of its article.
    assert rows(list_versions(str(tmp_path), [])) == [(3, 1, 0, 0), (3, 2, 0, 0)]
    reports = tmp_path / article_versions.INVENTORIES
    reports.mkdir(parents=True)
    (reports / "data.csv").write_text("b,metadata/PMC4.1.json\n")
    for day in ("2026-01-01T01-00Z", "2026-01-02T01-00Z"):
        (reports / day).mkdir()
        key = f"{article_versions.INVENTORIES}/data.csv"
        facts = {"fileSchema": "Bucket, Key", "files": [{"key": key}] if "02" in day[8:] else []}
        (reports / day / "manifest.json").write_text(json.dumps(facts))
    assert [row[:2] for row in rows(list_versions(str(tmp_path), []))] == [(4, 1)]


def test_pmc_is_the_bucket_unless_it_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert split_bucket(["pmc"], [])[0] == "s3://pmc-oa-opendata"
    assert split_bucket(["s3://pmc-oa-opendata/"], [])[0] == "s3://pmc-oa-opendata"
    assert split_bucket(["copy"], ["i.csv"])[0] == "copy"
    assert split_bucket(["copy"], [])[0] is None
    assert split_bucket(["copy", "pmc", "a.zip"]) == ("s3://pmc-oa-opendata", ("copy", "a.zip"))
    with pytest.raises(UserError, match="--input pmc s3://pmc-oa-opendata: give one bucket"):
        split_bucket(["pmc", "s3://pmc-oa-opendata"])
    (tmp_path / "pmc").mkdir()
    assert split_bucket(["pmc"], [])[0] is None


def versions(*named):
    table = [(pmcid, version, 5, 7) for pmcid, version in named]
    columns = zip(*table, strict=True)
    names = article_versions.VERSIONS_SCHEMA.names
    schema = article_versions.VERSIONS_SCHEMA
    return pa.table(dict(zip(names, columns, strict=True)), schema)


def test_the_newest_version_of_what_is_asked_for(tmp_path):
    (tmp_path / "ids").write_text("\ufeffPMCID\nPMC1\n2\n\npmc3.1 # a comment\nPMC4.9\nPMC5\n")
    ids = read_pmcids(str(tmp_path / "ids"))
    listed = versions((1, 1), (1, 3), (2, 2), (3, 1), (3, 2), (4, 1), (6, 1))
    selected, counts, missing = select_versions(listed, ids)
    assert [row[:2] for row in rows(selected)] == [(1, 3), (2, 2), (3, 1)]
    assert counts == {"listed": 7, "not_in_list": 3, "older_version": 1}
    assert missing == ["PMC4.9", "PMC5"]


@pytest.mark.parametrize(
    ("text", "message"), [("PMC1\nx1\n", "line 2 is no id"), ("# nothing\n", "holds no id")]
)
def test_what_is_no_list_of_ids_is_named(tmp_path, text, message):
    (tmp_path / "ids").write_text(text)
    with pytest.raises(UserError, match=f"--pmcids .*ids: {message}"):
        read_pmcids(str(tmp_path / "ids"))
    with pytest.raises(UserError, match="--pmcids none: is not there"):
        read_pmcids("none")


def test_a_smaller_sample_is_part_of_a_larger_one():
    listed = versions(*((n, 1) for n in range(1, 2001)))
    tenth, counts, _ = select_versions(listed, share=0.1)
    assert counts == {"listed": 2000, "not_in_sample": 2000 - tenth.num_rows}
    assert 150 < tenth.num_rows < 250
    few, _, _ = select_versions(listed, limit=40)
    assert few.num_rows == 40
    assert {*rows(few)} < {*rows(tenth)}
    assert select_versions(listed, limit=3000)[0].num_rows == 2000
    assert select_versions(listed, share=0.1, limit=40)[0] == few


def test_a_known_version_is_left_out_unless_its_digest_is_another():
    listed = versions((1, 1), (2, 2), (3, 1))
    changed = listed.set_column(3, listed.schema.field("digest"), [np.array([7, 7, 8])])
    new, counts, _ = select_versions(changed, known=versions((1, 1), (2, 1), (3, 1)))
    assert [row[:2] for row in rows(new)] == [(2, 2), (3, 1)]
    assert counts == {"listed": 3, "known": 1}
    assert select_versions(listed, known=versions((1, 1)).slice(1))[0] == listed


def test_a_selection_is_read_by_the_row_group(tmp_path):
    path = str(tmp_path / "selection.parquet")
    listed = versions(*((n, 1) for n in range(1, 1501)))
    written = write_selection(path, "s3://b", listed, {"listed": 1500})
    assert (written.versions, written.bytes) == (1500, 7500)
    assert read_selection(path) == written
    last = selected_versions(path, 1)
    assert (len(last), last[0].name, last[-1].pmcid) == (476, "PMC1025.1", "PMC1500")
    assert last[0].xml_path("s3://b") == "s3://b/PMC1025.1/PMC1025.1.xml"
    assert last[0].metadata_paths("s3://b")[0] == "s3://b/metadata/PMC1025.1.json"
