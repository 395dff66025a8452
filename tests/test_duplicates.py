"""Which copy of an article counts."""

import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.stages import corpus_files
from beam_pipelines.stages.companion_files import ArticleFacts, read_article_facts, read_filelist
from beam_pipelines.stages.duplicates import fingerprint, named_article, rank, resolve
from pmc2vec.errors import UserError
from tests.bulk import add, article, write_archive

HEADER = (
    "Article File,Article Citation,AccessionID,LastUpdated (YYYY-MM-DD HH:MM:SS),"
    "PMID,License,Retracted"
)
FILELIST = f"""{HEADER}
PMC000/PMC1.xml,"J. 2020; 1, 2",PMC1,2025-06-20 04:00:00,0,CC BY,no
PMC000/PMC2.xml,J. 2020,PMC2,2025-06-20 04:00:00,7,CC BY,yes
"""
ALONE = ("--direct_num_workers=1",)


def funnel(tmp_path, name="d", **options):
    """Builds what is in the folder `in` and returns its funnel."""
    config = BuildConfig(
        input=(str(tmp_path / "in"),), output=str(tmp_path / name), min_count=1, num_shards=1,
        validation_fraction=0.0, **options,
    )  # fmt: skip
    return build(config, ALONE).funnel


def words(tmp_path, name="d"):
    rows = (tmp_path / name / "vocabulary.tsv").read_text().splitlines()[1:]
    return {row.split("\t")[0] for row in rows}


# --- what is known of a copy ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("PMC006xxxxxx/PMC6908519.xml", "PMC6908519"),
        ("PMC10009416.12/PMC10009416.12.xml", "PMC10009416"),
        ("Journal_Name/PMC123.nxml", "PMC123"),
        ("PMC123.xml.gz", "PMC123"),
        ("PMC7112410/main.nxml", ""),
        ("PMC111/PMC111.s001.xml", ""),
        ("x/._PMC1.xml", ""),
        ("PMC123-supplement.xml", ""),
        ("PMC2024/article0.xml", ""),
    ],
)
def test_a_name_that_is_an_id_and_nothing_else_names_an_article(path, expected):
    assert named_article(path) == expected


def test_a_version_counts_before_a_date_and_a_date_before_an_archive():
    def ranked(path, version="", date="", archive="a.tar.gz"):
        return rank("PMC1", path, xml_version=version, date=date, archive=archive)

    ordered = [
        ranked("PMC1.xml", date="2025-06-20", archive="z.tar.gz"),
        ranked("PMC1.xml", date="2025-06-27", archive="a.tar.gz"),
        ranked("PMC1.xml", date="2025-06-27", archive="b.tar.gz"),
        ranked("x/main.xml", version="1"),
        ranked("PMC1.2/main.xml", version="1"),
        ranked("PMC1.12.xml"),
    ]
    assert ordered == sorted(ordered)
    assert ranked("PMC9.7/main.xml") == ranked("x/main.xml")  # the version of another article


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_filelist_says_id_date_licence_and_retraction(tmp_path, mark):
    """With a byte order mark, as Excel writes it, too."""
    (tmp_path / "a.filelist.csv").write_text(mark + FILELIST, encoding="utf-8")
    companion = read_filelist(str(tmp_path / "a.tar.gz"))
    one, two = (companion.facts(f"PMC000/PMC{n}.xml") for n in (1, 2))
    assert one == ArticleFacts("PMC1", "2025-06-20 04:00:00", "CC BY", "")
    assert (two.pmcid, two.marks) == ("PMC2", "retracted")
    assert companion.facts("PMC000/PMC3.xml") == ArticleFacts()


def test_a_filelist_with_a_stray_quote_is_one_line(tmp_path):
    (tmp_path / "in").mkdir()
    write_archive(tmp_path / "in/q.tar.gz", {"PMC000/PMC1.xml": article(1, "maize")})
    (tmp_path / "in/q.filelist.csv").write_text(FILELIST.replace("J. 2020,", '"J. 2020,'))
    with pytest.raises(UserError, match=r"q\.filelist\.csv: not a filelist that can be read"):
        funnel(tmp_path)


def test_the_json_beside_a_version_says_retraction_and_licence(tmp_path):
    for place in ("PMC7.1/PMC7.1.json", "metadata/PMC8.2.json"):
        (tmp_path / place).parent.mkdir()
        facts = {"is_retracted": True, "is_manuscript": True, "license_code": "CC0"}
        (tmp_path / place).write_text(json.dumps(facts))
    found = [
        read_article_facts(str(tmp_path / n / f"{n}.xml")) for n in ("PMC7.1", "PMC8.2", "PMC9.1")
    ]
    assert [facts.marks for facts in found] == ["retracted,manuscript"] * 2 + [""]
    assert [facts.licence for facts in found] == ["CC0", "CC0", ""]


@pytest.mark.parametrize("text", ["[" * 100_000, "not JSON", "[]"])
def test_json_that_says_nothing_is_named_and_the_article_is_read(tmp_path, text):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/PMC1.1.xml").write_bytes(article(1, "maize"))
    (tmp_path / "in/PMC1.1.json").write_text(text)
    assert funnel(tmp_path)["kept"] == 1
    (line,) = (tmp_path / "d/rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "unreadable_metadata"
    assert "PMC1.1.json: " in json.loads(line)["detail"]


# --- copies of one article -----------------------------------------------------------------------


def copies(*rows):
    """Returns rows of a catalogue from (id, rank, marks, part, position)."""
    names = ("pmcid", "rank", "marks", "part", "position")
    filler = {"fingerprint": "", "readable": True, "row": 0, "outcome": "",
              "has_heading": True, "mesh": ""}  # fmt: skip
    return [filler | dict(zip(names, row, strict=True)) for row in rows]


def test_the_newest_copy_wins_and_the_others_are_superseded():
    found = copies(
        ("PMC1", "000000 2025-06-27\tincr", "", "p1", 0),
        ("PMC1", "000000 2025-06-20\tbase", "", "p0", 3),
        ("PMC2", "000001 \ta", "", "p0", 4),
        ("PMC2", "000002 \ta", "retracted", "p1", 5),
        ("PMC3", "000001 \ta", "", "p0", 6),
    )
    newest, left = resolve(found)
    assert [(row["pmcid"], row["rank"][:17].rstrip(), row["marks"]) for row in newest] == [
        ("PMC1", "000000 2025-06-27", ""),
        ("PMC2", "000002 \t\U0010ffff", "retracted"),
        ("PMC3", "000001 \t\U0010ffff", ""),
    ]
    assert [(row["part"], row["pmcid"], row["reason"]) for row in left] == [
        ("p0", "PMC1", "superseded"),
        ("p0", "PMC2", "superseded"),
    ]


def test_of_two_members_of_one_name_the_later_wins():
    _, left = resolve(copies(("PMC1", "0\ta", "", "p0", 0), ("PMC1", "0\ta", "", "p0", 21)))
    assert [row["reason"] for row in left] == ["superseded"]


def test_what_cannot_be_read_supersedes_nothing():
    old, new = copies(("PMC1", "1\ta", "", "p0", 0), ("PMC1", "2\tb", "", "p1", 0))
    newest, left = resolve([old, new | {"readable": False}])
    assert [row["rank"][0] for row in newest] == ["1"]
    assert [(row["part"], row["reason"]) for row in left] == [("p0", "older_version")]


def test_a_retraction_counts_even_where_its_article_cannot_be_read():
    old, new = copies(("PMC1", "1\ta", "", "p0", 0), ("PMC1", "2\tb", "retracted", "p1", 0))
    _, left = resolve([old, new | {"readable": False}])
    assert [(row["part"], row["reason"]) for row in left] == [("p0", "retracted")]


@pytest.mark.parametrize(
    ("change", "loser"),
    [
        ({}, "p0"),
        ({"fingerprint": "other-1"}, "known"),
        ({"marks": "retracted"}, "known"),
        ({"rank": "000001 2025-07\tb"}, "known"),
        ({"rank": "000001 2025-05\tb", "fingerprint": "other-1"}, "p0"),
    ],
)
def test_a_known_copy_loses_to_a_later_or_a_changed_one(change, loser):
    known = {"pmcid": "PMC1", "rank": "000001 2025-06\t\U0010ffff", "marks": "",
             "fingerprint": "same-1", "heading": "yes"}  # fmt: skip
    (copy,) = copies(("PMC1", "000001 2025-06\tb", "", "p0", 0))
    _, left = resolve([copy | {"fingerprint": "same-1"} | change], [known])
    assert [row["part"] for row in left] == [loser]


def test_a_fingerprint_tells_bytes_apart():
    assert fingerprint(b"<article/>") == "31f7ca4b-10"
    assert fingerprint(b"<article/>") != fingerprint(b"<article />")


# --- builds --------------------------------------------------------------------------------------


def test_an_article_beside_other_xml_is_kept(tmp_path):
    members = {
        "PMC1/article.nxml": article(1, "maize"),
        "PMC1/article.s001.xml": b"<sbml/>",
        "PMC1/word.frequencies.xml": b"<frequencies/>",
        "x/._PMC2.xml": b"\0\5\26\7 what macOS keeps beside a file",
        "x/PMC2.xml": article(2, "melanoma"),
    }
    (tmp_path / "in").mkdir()
    write_archive(tmp_path / "in/a.tar.gz", members)
    made = funnel(tmp_path)
    assert (made["read"], made["kept"]) == (4, 2)
    assert "dropped:superseded" not in made


def test_articles_in_a_folder_named_like_an_id_are_all_kept(tmp_path):
    (tmp_path / "in/PMC2024").mkdir(parents=True)
    for n in range(5):
        (tmp_path / f"in/PMC2024/article{n}.xml").write_bytes(article(n, "maize"))
    assert funnel(tmp_path)["kept"] == 5


def test_one_article_in_a_tar_a_zip_and_a_set_is_kept_once(tmp_path):
    (tmp_path / "in").mkdir()
    one, two = article(1, "melanoma"), article(2, "maize")
    write_archive(tmp_path / "in/a.tar.gz", {"x/main.nxml": one})
    with zipfile.ZipFile(tmp_path / "in/b.zip", "w") as archive:
        archive.writestr("PMC1.xml", one)
    inside = b"".join(data.partition(b"?>")[2] for data in (one, two))
    (tmp_path / "in/efetch.xml").write_bytes(b"<pmc-articleset>" + inside + b"</pmc-articleset>")
    made = funnel(tmp_path)
    assert (made["read"], made["kept"], made["dropped:superseded"]) == (4, 2, 2)


def test_a_member_that_was_appended_again_is_kept_once(tmp_path):
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in/a.tar", "w") as tar:
        for topic in ("maize", "melanoma"):
            (tmp_path / "PMC1.xml").write_bytes(article(1, topic))
            tar.add(tmp_path / "PMC1.xml", "x/PMC1.xml")
    row = FILELIST.splitlines()[1].replace("PMC000", "x")
    (tmp_path / "in/a.filelist.csv").write_text(f"{HEADER}\n{row}\n{row}\n")
    made = funnel(tmp_path)
    assert (made["read"], made["kept"], made["dropped:superseded"]) == (2, 1, 1)
    assert "melanoma" in words(tmp_path)
    assert "maize" not in words(tmp_path)


def test_the_next_one_counts_where_the_newest_is_broken(tmp_path):
    add(tmp_path / "in", "a.baseline", {1: "maize", 2: "melanoma"}, "2025-06-20")
    add(tmp_path / "in", "a.incr", {1: "carcinoma", 3: "carcinoma"}, "2025-06-27")
    whole = {"PMC000/PMC1.xml": b"<article><front>", "PMC000/PMC3.xml": article(3, "carcinoma")}
    write_archive(tmp_path / "in/a.incr.tar.gz", whole)
    made = funnel(tmp_path)
    assert (made["read"], made["kept"], made["rejected:broken_xml"]) == (4, 3, 1)
    assert made["older_version"] == 1
    assert "maize" in words(tmp_path)


def test_row_groups_without_a_duplicate_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "GROUP_ARTICLES", 2)
    add(tmp_path / "in", "a.baseline", dict.fromkeys(range(5), "maize"), "2025-06-20")
    add(tmp_path / "in", "a.incr", {2: "carcinoma", 3: "carcinoma", 4: "maize"}, "2025-06-27")
    made = funnel(tmp_path)
    assert (made["read"], made["kept"], made["dropped:superseded"]) == (8, 5, 3)
    part = pq.ParquetFile(tmp_path / "d/corpus/part-00000.parquet")
    assert [part.metadata.row_group(n).num_rows for n in range(part.num_row_groups)] == [2]
    summary = json.loads((tmp_path / "d/parts/part-00000.json").read_text())
    assert (len(summary["groups"]), summary["funnel"]["kept"]) == (1, 2)
    assert summary["licences"] == {"CC BY 4.0": 2}


def test_a_newer_one_that_is_listed_and_not_there_supersedes_nothing(tmp_path):
    add(tmp_path / "in", "a.baseline", {1: "maize"}, "2025-06-20")
    add(tmp_path / "in", "a.incr", {1: "carcinoma", 3: "carcinoma"}, "2025-06-27")
    write_archive(tmp_path / "in/a.incr.tar.gz", {"PMC000/PMC3.xml": article(3, "carcinoma")})
    made = funnel(tmp_path)
    assert (made["read"], made["kept"]) == (2, 2)


def test_a_newer_copy_without_a_keyword_supersedes_one_with_it(tmp_path):
    add(tmp_path / "in", "a.baseline", {1: "melanoma", 2: "melanoma"}, "2025-06-20")
    add(tmp_path / "in", "a.incr", {1: "maize"}, "2025-06-27")
    made = funnel(tmp_path, keywords=("melanoma",))
    assert (made["kept"], made["dropped:superseded"], made["dropped:no_keyword"]) == (1, 1, 1)
    rows = (tmp_path / "d/SOURCES.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == ["PMC2"]


def test_a_name_that_disagrees_with_the_article_is_reported(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/PMC1.xml").write_bytes(article(5, "maize"))
    (tmp_path / "in/PMC5.xml").write_bytes(article(5, "maize"))
    made = funnel(tmp_path)
    assert (made["kept"], made["dropped:superseded"]) == (1, 1)
    (line,) = (tmp_path / "d/rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "other_id"
    assert json.loads(line)["detail"] == "its name or filelist says PMC1, its XML PMC5"


def held(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "build.json"
    }


def test_a_part_that_was_being_rewritten_is_read_again(tmp_path):
    add(tmp_path / "in", "a.baseline", dict.fromkeys(range(5), "maize"), "2025-06-20")
    add(tmp_path / "in", "a.incr", {1: "carcinoma"}, "2025-06-27")
    assert funnel(tmp_path)["dropped:superseded"] == 1
    whole = held(tmp_path / "d")
    (tmp_path / "d/manifest.json").unlink()
    summary = tmp_path / "d/parts/part-00000.json"
    facts = {"funnel": {}, "licences": {}, "groups": [], "origin": "", "left_out": ""}
    summary.write_text(json.dumps(facts))
    (tmp_path / "d/corpus/part-00000.parquet").write_bytes(b"half")
    funnel(tmp_path)
    assert held(tmp_path / "d") == whole


def test_across_archives_the_newest_is_built_and_the_funnel_says_so(tmp_path):
    bulk = tmp_path / "bulk"
    bulk.mkdir()
    old = {f"PMC000/PMC{n}.xml": article(n, "maize") for n in (1, 2)}
    write_archive(bulk / "a.baseline.tar.gz", old)
    (bulk / "a.baseline.filelist.csv").write_text(FILELIST.replace("yes", "no"))
    changed = {f"PMC000/PMC{n}.xml": article(n, "melanoma") for n in (1, 2)}
    write_archive(bulk / "a.incr.tar.gz", changed)
    (bulk / "a.incr.filelist.csv").write_text(FILELIST.replace("06-20", "06-27"))
    output = str(tmp_path / "data")
    options = BuildConfig(input=(str(bulk),), output=output, min_count=2, num_shards=1)
    made = build(options, ("--direct_num_workers=1",))
    assert {k: made.funnel[k] for k in ("read", "kept")} == {"read": 4, "kept": 1}
    assert made.funnel["dropped:superseded"] == 2
    assert made.funnel["dropped:retracted"] == 1
    words = (tmp_path / "data/vocabulary.tsv").read_text()
    assert "melanoma\t" in words
    assert "maize" not in words


@pytest.mark.parametrize(
    ("options", "kept", "reason"),
    [
        ({}, 1, "retracted"),
        ({"retracted": True}, 2, None),
        ({"retracted": True, "manuscripts": False}, 1, "manuscript"),
    ],
)
def test_marks_are_reasons_only_where_they_are_not_welcome(tmp_path, options, kept, reason):
    for n in (1, 2):
        (tmp_path / f"in/PMC{n}.1").mkdir(parents=True)
        (tmp_path / f"in/PMC{n}.1/PMC{n}.1.xml").write_bytes(article(n, "melanoma"))
    marks = '{"is_retracted": true, "is_manuscript": true}'
    (tmp_path / "in/PMC2.1/PMC2.1.json").write_text(marks)
    (tmp_path / "in/PMC2.1/PMC2.1.txt").write_text("the same text, not to be read twice")
    config = BuildConfig(
        input=(str(tmp_path / "in"),), output=str(tmp_path / "d"), min_count=1,
        validation_fraction=0.0, num_shards=1, **options,
    )  # fmt: skip
    funnel = build(config, ("--direct_num_workers=1",)).funnel
    assert (funnel["read"], funnel["kept"]) == (2, kept)
    dropped = {name: n for name, n in funnel.items() if name.startswith("dropped:")}
    assert dropped == ({f"dropped:{reason}": 1} if reason else {})


def test_a_licence_beside_the_article_stands_in_for_one_that_it_lacks(tmp_path):
    bulk = tmp_path / "bulk"
    bulk.mkdir()
    without = article(1, "melanoma").replace(b"https://creativecommons.org", b"https://example.org")
    members = {"PMC000/PMC1.xml": without, "PMC000/PMC2.xml": article(2, "melanoma")}
    write_archive(bulk / "a.tar.gz", members)
    (bulk / "a.filelist.csv").write_text(FILELIST.replace("CC BY,yes", "other,no"))
    (tmp_path / "PMC3.1.xml").write_bytes(without.replace(b">1<", b">3<"))
    (tmp_path / "PMC3.1.json").write_text('{"license_code": "CC BY-NC"}')
    (tmp_path / "PMC4.1.xml").write_bytes(without.replace(b">1<", b">4<"))
    (tmp_path / "PMC4.1.json").write_text("not JSON")
    config = BuildConfig(
        input=(str(bulk), str(tmp_path / "*.xml")), output=str(tmp_path / "d"), min_count=1,
        validation_fraction=0.0, num_shards=1,
    )  # fmt: skip
    build(config, ("--direct_num_workers=1",))
    rows = (tmp_path / "d/SOURCES.tsv").read_text().splitlines()[1:]
    found = dict(row.split("\t")[:2] for row in rows)
    assert found == {"PMC1": "CC BY", "PMC2": "CC BY 4.0", "PMC3": "CC BY-NC", "PMC4": ""}
