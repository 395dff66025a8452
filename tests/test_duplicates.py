import gzip

import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.stages.duplicates import SCHEMA, catalogue, from_filelist, left_out
from tests.bulk import article, write_archive

HEADER = (
    "Article File,Article Citation,AccessionID,LastUpdated (YYYY-MM-DD HH:MM:SS),"
    "PMID,License,Retracted"
)
FILELIST = f"""{HEADER}
PMC000/PMC1.xml,"J. 2020; 1, 2",PMC1,2025-06-20 04:00:00,0,CC BY,no
PMC000/PMC2.xml,J. 2020,PMC2,2025-06-20 04:00:00,7,CC BY,yes
"""


def test_a_filelist_names_date_and_retraction():
    one, two = from_filelist(FILELIST, "a.tar.gz")
    assert (one.pmcid, one.member, one.marks) == ("PMC1", "PMC000/PMC1.xml", "")
    assert (two.pmcid, two.marks) == ("PMC2", "retracted")
    assert one.rank == "000000 2025-06-20 04:00:00\ta.tar.gz"


def editions(*rows):
    columns = zip(*rows, strict=True)
    return SCHEMA.empty_table().from_pydict(
        dict(zip(SCHEMA.names, map(list, columns), strict=True)), schema=SCHEMA
    )


def test_the_newest_edition_wins_and_a_retracted_one_takes_all_with_it():
    found = left_out(
        editions(
            ("PMC1", "000000 2025-06-27 incr", "manuscript", "p1", "new"),
            ("PMC1", "000000 2025-06-20 base", "", "p0", "old"),
            ("PMC2", "000001", "", "p0", "v1"),
            ("PMC2", "000002", "retracted,historical_ocr", "p1", "v2"),
            ("PMC3", "000001", "retracted", "p0", "was retracted, is not"),
            ("PMC3", "000002", "", "p0", "v2"),
            ("", "", "", "", ""),
        )
    )
    assert sorted(map(tuple, (row.values() for row in found.to_pylist()))) == [
        ("p0", "old", "superseded"),
        ("p0", "v1", "superseded"),
        ("p0", "was retracted, is not", "superseded"),
        ("p1", "new", "manuscript"),
        ("p1", "v2", "historical_ocr"),
        ("p1", "v2", "retracted"),
    ]


def test_an_archive_without_a_filelist_is_known_by_its_members(tmp_path):
    path = write_archive(
        tmp_path / "a.tar.gz", {"J/PMC5.xml": b"", "J/PMC6.jpg": b"", "x.xml": b""}
    )
    assert [(e.pmcid, e.member) for e in catalogue(str(path))] == [("PMC5", "J/PMC5.xml")]


def test_a_damaged_archive_has_the_editions_before_the_damage(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(b"no tar at all"))
    assert list(catalogue(str(path))) == []


def test_the_json_beside_a_version_tells_of_retraction(tmp_path):
    for place in ("PMC7.1/PMC7.1.json", "metadata/PMC8.2.json"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text('{"is_retracted": true, "is_manuscript": true}')
    for name in ("PMC7.1", "PMC8.2", "PMC9.1"):
        (tmp_path / name).mkdir(exist_ok=True)
    found = [
        next(catalogue(str(tmp_path / n / f"{n}.xml"))) for n in ("PMC7.1", "PMC8.2", "PMC9.1")
    ]
    assert [edition.marks for edition in found] == ["retracted,manuscript"] * 2 + [""]
    assert found[0].rank < found[1].rank


def test_across_archives_the_newest_is_built_and_the_funnel_says_so(tmp_path):
    bulk = tmp_path / "bulk"
    bulk.mkdir()
    old = {f"PMC000/PMC{n}.xml": article(n, "maize") for n in (1, 2)}
    write_archive(bulk / "a.baseline.tar.gz", old)
    (bulk / "a.baseline.filelist.csv").write_text(FILELIST.replace("yes", "no"))
    changed = article(1, "melanoma")
    write_archive(bulk / "a.incr.tar.gz", {"PMC000/PMC1.xml": changed, "PMC000/PMC2.xml": changed})
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
