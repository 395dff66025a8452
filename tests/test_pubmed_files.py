"""PubMed's files of citations: cut into citations, compared with each other and with full text."""

import gzip
import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build, build_corpus
from beam_pipelines.config import BuildConfig
from beam_pipelines.inputs.documents import Citation, Damage, Deletions, ReadOptions
from beam_pipelines.inputs.listing import input_files
from beam_pipelines.inputs.sources import read_documents, source_of
from beam_pipelines.stages import duplicates
from beam_pipelines.stages.increments import NothingNewError
from pmc2vec.errors import UserError
from tests.bulk import article, write_archive
from tests.pubmed import HEAD, citation, citation_set, serve, write_numbered

ALONE = ("--direct_num_workers=1",)
BOOK = """<PubmedBookArticle><BookDocument><PMID Version="1">20</PMID>
<Book><BookTitle>GeneReviews</BookTitle></Book><ArticleTitle>Gaucher Disease</ArticleTitle>
<Abstract><AbstractText>It is lysosomal.</AbstractText></Abstract></BookDocument>
<PubmedBookData/></PubmedBookArticle>"""


def read(data: bytes, name: str = "set.xml", max_bytes: int = 64 << 20):
    return list(read_documents(io.BytesIO(data), name, ReadOptions(max_bytes)))


def members(contents):
    return [c.member.removeprefix("set.xml#") for c in contents if isinstance(c, Citation)]


def damages(contents):
    return [(c.member, c.reason) for c in contents if isinstance(c, Damage)]


def funnel(tmp_path, name="d", **options):
    """Builds the corpus of what is in the folder `in` and returns its funnel."""
    config = BuildConfig(
        **({"input": (str(tmp_path / "in"),), "output": str(tmp_path / name)} | options)
    )
    return build_corpus(config, ALONE).funnel


def rows(tmp_path, name="d"):
    parts = sorted((tmp_path / name / "corpus").glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def dropped(made):
    return {key: n for key, n in made.items() if ":" in key}


def full_text(number, pmid=None):
    """Returns a JATS article, with its PMID if that is given."""
    ids = f'<article-id pub-id-type="pmid">{pmid}</article-id><title-group>'.encode()
    data = article(number, "melanoma")
    return data if pmid is None else data.replace(b"<title-group>", ids)


# --- cutting -------------------------------------------------------------------------------------


def test_a_file_is_cut_into_citations_and_deletions():
    contents = read(citation_set(citation(1), citation(2), BOOK, delete=(3, 4)))
    assert members(contents) == ["pmid:1", "pmid:2", "pmid:20"]
    assert contents[3] == Deletions((("3", 1), ("4", 1)), "set.xml")
    assert len(contents) == 4
    assert contents[0].data.startswith(HEAD.encode())
    assert contents[0].data.endswith(b"</PubmedArticle></PubmedArticleSet>")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("baseline/pubmed26n0001.xml.gz", "PubMed file"),
        ("pubmed26n0001.xml", "PubMed file"),
        ("pubmed_result.xml", "XML file"),
    ],
)
def test_names_of_nlm_are_known(path, name):
    assert source_of(path).name == name


@pytest.mark.parametrize(
    "data",
    [
        citation(1).encode(),
        b"\xef\xbb\xbf" + citation_set(citation(1)),
        b"<?xml version='1.0'?><!-- <PubmedArticle> --><PubmedArticleSet>"
        + citation(1).encode()
        + b"<!-- <PubmedArticle><PMID>2</PMID></PubmedArticle> --></PubmedArticleSet>",
        b"<PubmedArticleSet/>".replace(b"/>", b">")
        + citation(1).encode()
        + b"</PubmedArticleSet >",
    ],
    ids=["alone", "byte order mark", "comments", "no declaration"],
)
def test_sets_as_programs_write_them(data):
    contents = read(data)
    assert members(contents) == ["pmid:1"]
    assert damages(contents) == []


def test_pieces_of_any_size_are_cut_alike(monkeypatch):
    data = citation_set(*(citation(n, "word " * n) for n in range(60)), delete=(7,))
    whole = read(data)
    for size in (1 << 7, 1000, 4096):
        monkeypatch.setattr("beam_pipelines.inputs.pubmed_files.CHUNK_BYTES", size)
        assert read(data) == whole


def test_citations_in_a_tar_and_a_zip(tmp_path):
    data = citation_set(citation(1), citation(2))
    name = "x/pubmed26n0001.xml.gz"
    write_archive(tmp_path / "a.tar.gz", {name: gzip.compress(data), "y.xml": data})
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("efetch.xml", data)
    tar = read((tmp_path / "a.tar.gz").read_bytes(), "a.tar.gz")
    assert members(tar) == [f"{name}#pmid:1", f"{name}#pmid:2", "y.xml#pmid:1", "y.xml#pmid:2"]
    zipped = read((tmp_path / "b.zip").read_bytes(), "b.zip")
    assert members(zipped) == ["efetch.xml#pmid:1", "efetch.xml#pmid:2"]


# --- hostile and odd files -----------------------------------------------------------------------


def test_a_file_that_was_cut_in_the_middle():
    data = citation_set(citation(1), citation(2), citation(3))
    cut = read(data[: data.rindex(b"<ArticleTitle>")])
    assert members(cut) == ["pmid:1", "pmid:2", "pmid:3"]  # The third will be rejected as broken.
    between = read(data[: data.index(b"<PubmedArticle>", data.index(b'<PMID Version="1">2'))])
    assert members(between) == ["pmid:1", "pmid:2"]
    assert damages(between) == [("", "truncated_archive")]


def test_a_gzip_stream_that_was_cut():
    data = gzip.compress(citation_set(*(citation(n, f"{n * 7919} " * 40) for n in range(400))))
    contents = read(data[: len(data) // 2], "pubmed26n0001.xml.gz")
    assert len(members(contents)) > 50
    assert damages(contents)[-1] == ("", "truncated_archive")


def test_two_files_in_one_gzip_stream():
    one, two = (citation_set(citation(n), delete=(n + 5,)) for n in (1, 2))
    for data in (gzip.compress(one) + gzip.compress(two), gzip.compress(one + two)):
        contents = read(data)
        assert members(contents) == ["pmid:1", "pmid:2"]
        assert damages(contents) == []


def test_a_citation_without_an_end_spoils_no_other():
    broken = citation(2).replace("</PubmedArticle>", "")
    contents = read(citation_set(citation(1), broken, citation(3)))
    assert members(contents) == ["pmid:1", "pmid:2", "pmid:3"]
    assert b'<PMID Version="1">3' not in contents[1].data
    last = read(citation_set(citation(1), broken))
    assert members(last) == ["pmid:1", "pmid:2"]
    assert damages(last) == []


def test_a_huge_citation_is_passed_over():
    huge = citation(2, "word " * 100_000)
    contents = read(citation_set(citation(1), huge, citation(3)), max_bytes=100_000)
    assert members(contents) == ["pmid:1", "pmid:3"]
    assert damages(contents) == [("set.xml#pmid:2", "too_large")]


@pytest.mark.parametrize("data", [citation_set(), b"<PubmedArticleSet/>"])
def test_an_empty_set_says_so(data):
    assert damages(read(data)) == [("set.xml", "empty")]


def test_odd_files_have_a_clear_row_each_and_the_rest_is_read(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    external = HEAD.replace(
        "PUBLIC", 'SYSTEM "file:///etc/passwd" [<!ENTITY x SYSTEM "file:///etc/passwd">]> <!-- '
    ).replace('.dtd">', " -->")
    spaced = citation(2).replace("<", "<p:").replace("<p:/", "</p:")
    files = {
        "entity.xml": (
            external + f"<PubmedArticleSet>{citation(1, 'Secret &x; melanoma.')}</PubmedArticleSet>"
        ).encode(),
        "spaces.xml": (
            f"<p:PubmedArticleSet xmlns:p='urn:nlm'>{spaced}</p:PubmedArticleSet>"
        ).encode(),
        "latin.xml": (
            HEAD.replace("utf-8", "iso-8859-1")
            + f"<PubmedArticleSet>{citation(3, 'Café au lait.')}</PubmedArticleSet>"
        ).encode("latin-1"),
        "empty.xml": citation_set(),
        "bad.xml": citation_set(
            citation(4), citation(5).replace("</Journal>", ""), citation(6).replace("PMID", "PMI")
        ),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    made = funnel(tmp_path)
    assert (made["read"], made["kept"]) == (7, 4)
    assert dropped(made) == {
        "rejected:broken_xml": 1, "rejected:no_pmid": 1, "rejected:empty": 1,
    }  # fmt: skip
    kept = {row["article_id"]: " ".join(row["sentences"]) for row in rows(tmp_path)}
    assert kept == {
        "pmid:1": "a title secret melanoma",
        "pmid:2": "a title melanoma cells divide",
        "pmid:3": "a title café au lait",
        "pmid:4": "a title melanoma cells divide",
    }
    lines = map(json.loads, (tmp_path / "d/rejected.jsonl").read_text().splitlines())
    assert [(line["archive"], line["member"], line["reason"]) for line in lines] == [
        ("bad.xml", "bad.xml#pmid:5", "broken_xml"),
        ("bad.xml", "bad.xml#2", "no_pmid"),
        ("empty.xml", "empty.xml", "empty"),
    ]


@pytest.mark.parametrize("is_right", [True, False])
def test_the_md5_beside_a_file_is_checked(tmp_path, is_right):
    path = write_numbered(tmp_path / "in", 1, citation(1))
    if not is_right:
        path.with_name(f"{path.name}.md5").write_text(f"MD5({path.name})= {'0' * 32}\n")
    made = funnel(tmp_path)
    assert made["kept"] == 1
    assert made.get("damaged_archive", 0) == (0 if is_right else 1)
    text = (tmp_path / "d/rejected.jsonl").read_text()
    assert ("its MD5 is " in text) is not is_right


# --- what counts once ----------------------------------------------------------------------------


def test_the_latest_file_wins_and_a_higher_version_before_it(tmp_path):
    folder = tmp_path / "in"
    write_numbered(
        folder, 1, citation(1, "maize"), citation(2, "old maize", version=2), citation(3)
    )
    write_numbered(folder, 2, citation(1, "carcinoma"), citation(2, "wheat", version=1))
    (folder / "z.xml").write_bytes(citation_set(citation(1, "from a search")))
    made = funnel(tmp_path)
    assert (made["read"], made["kept"]) == (6, 3)
    assert dropped(made) == {"dropped:superseded": 3}
    kept = {row["pmid"]: (row["version"], row["sentences"][-1]) for row in rows(tmp_path)}
    assert kept == {"1": ("1", "carcinoma"), "2": ("2", "old maize"),
                    "3": ("1", "melanoma cells divide")}  # fmt: skip


def test_what_is_deleted_and_comes_again_counts(tmp_path):
    folder = tmp_path / "in"
    write_numbered(folder, 1, *map(citation, (1, 2, 3)), citation(4, "", title=""))
    write_numbered(folder, 2, citation(3, "maize"), delete=(1, 2, 3, 4, 99))
    write_numbered(folder, 3, citation(2, "carcinoma"))
    made = funnel(tmp_path)
    assert (made["read"], made["kept"]) == (6, 1)
    assert dropped(made) == {"dropped:deleted": 3, "dropped:superseded": 2}
    assert [row["sentences"][-1] for row in rows(tmp_path)] == ["carcinoma"]


def test_retracted_citations_and_notices_are_dropped(tmp_path):
    folder = tmp_path / "in"
    retracted = citation(1, types=("Journal Article", "Retracted Publication"))
    write_numbered(folder, 1, citation(1), citation(2, types=("Retraction of Publication",)))
    write_numbered(folder, 2, retracted)
    write_numbered(folder, 3, citation(4))
    made = funnel(tmp_path)
    assert dropped(made) == {"dropped:retracted": 2, "dropped:superseded": 1}


def test_a_citation_whose_article_is_kept_in_full_text_is_not_read_twice(tmp_path):
    folder = tmp_path / "in"
    write_numbered(
        folder, 1, citation(11, pmc="PMC1"), citation(12), citation(13, pmc="PMC3"), citation(14),
        citation(15, pmc="PMC5"),
    )  # fmt: skip
    write_archive(folder / "a.tar.gz", {
        "x/PMC1.xml": full_text(1),  # by the id among ArticleIds
        "x/PMC2.xml": full_text(2, 12),  # by the PMID in the JATS
        "x/PMC3.xml": full_text(3, 13),  # by both
        "x/PMC5.xml": b"<article><front>",  # not readable: the abstract counts
    })  # fmt: skip
    made = funnel(tmp_path)
    assert (made["read"], made["kept"]) == (9, 5)
    assert dropped(made) == {"dropped:in_full_text": 3, "rejected:broken_xml": 1}
    found = sorted((row["article_id"], row["source"]) for row in rows(tmp_path))
    assert found == [
        ("PMC1", "pmc"), ("PMC2", "pmc"), ("PMC3", "pmc"), ("pmid:14", "pubmed"),
        ("pmid:15", "pubmed"),
    ]  # fmt: skip


def test_an_abstract_counts_where_the_full_text_is_dropped(tmp_path):
    folder = tmp_path / "in"
    write_numbered(folder, 1, citation(11, pmc="PMC1"))
    (folder / "PMC1.xml").write_bytes(full_text(1, 11))
    made = funnel(tmp_path, article_types=("journal article",))
    assert (made["kept"], dropped(made)) == (1, {"dropped:article_type": 1})


def test_an_increment_takes_new_files_and_nothing_again(tmp_path):
    folder = tmp_path / "in"
    options = {"min_count": 1, "num_shards": 1, "validation_fraction": 0.0, "sample": 0.0}
    write_numbered(folder, 1, citation(1, "maize grows"), citation(2), citation(3), citation(5))
    (folder / "PMC7.xml").write_bytes(full_text(7, 70))
    config = BuildConfig(input=(str(folder),), output=str(tmp_path / "one"), **options)
    assert build(config, ALONE).funnel["kept"] == 5
    again = BuildConfig(
        input=(str(folder),), output=str(tmp_path / "two"), since=str(tmp_path / "one"), **options
    )
    with pytest.raises(NothingNewError):
        build(again, ALONE)
    write_numbered(
        folder, 2, citation(1, "maize was changed"), citation(2), citation(4, "new wheat"),
        citation(70, "known in full text"), citation(71, "known by id", pmc="PMC7"),
        citation(5, types=("Journal Article", "Retracted Publication")), delete=(3,),
    )  # fmt: skip
    made = build(again, ALONE).funnel
    assert (made["read"], made["kept"]) == (6, 3)
    assert dropped(made) == {"dropped:in_full_text": 2, "dropped:retracted": 1}
    assert made["superseded_earlier"] == 4
    superseded = (tmp_path / "two/superseded.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[0] for row in superseded] == [
        "pmid:1", "pmid:2", "pmid:3", "pmid:5",
    ]  # fmt: skip
    write_numbered(folder, 3, citation(3, "A once more, a once more."))
    third = BuildConfig(
        input=(str(folder),), output=str(tmp_path / "three"), since=str(tmp_path / "two"), **options
    )
    assert build(third, ALONE).funnel["kept"] == 1


def test_datasets_without_the_new_columns_are_still_read(tmp_path):
    folder = tmp_path / "in"
    options = {"min_count": 1, "num_shards": 1, "validation_fraction": 0.0, "sample": 0.0}
    folder.mkdir()
    (folder / "PMC7.xml").write_bytes(full_text(7, 70))
    one = tmp_path / "one"
    build(BuildConfig(input=(str(folder),), output=str(one), **options), ALONE)
    for path, column in (
        ("corpus/part-00000.parquet", "source"),
        ("known/editions.parquet", "kept"),
    ):
        with pq.ParquetFile(one / path) as file:
            groups = [file.read_row_group(n) for n in range(file.num_row_groups)]
        with pq.ParquetWriter(one / path, groups[0].drop_columns(column).schema) as writer:
            for group in groups:
                writer.write_table(group.drop_columns(column))
    (one / "SOURCES.tsv").write_text("pmcid\tlicence\tsource\nPMC7\tCC BY 4.0\tPMC7.xml\n")
    again = BuildConfig(corpus=str(one), output=str(tmp_path / "again"), window=3, **options)
    assert build(again, ALONE).funnel["kept"] == 1
    write_numbered(folder, 1, citation(70, pmc="PMC7"), citation(71, "Maize grows."))
    since = BuildConfig(
        input=(str(folder),), output=str(tmp_path / "two"), since=str(one), **options
    )
    made = build(since, ALONE).funnel
    assert (made["kept"], dropped(made)) == (1, {"dropped:in_full_text": 1})
    rows_of_both = (tmp_path / "two/SOURCES.tsv").read_text().splitlines()[1:]
    assert rows_of_both == [
        "PMC7\tCC BY 4.0\tPMC7.xml\t\t\t\t\t\t",
        "pmid:71\t\tpubmed26n0001.xml.gz#pmid:71\t\t71\t10.1/71\t2020\tThe Journal\tpubmed",
    ]


def test_copies_are_taken_out_of_a_part_of_several_row_groups(tmp_path):
    write_numbered(tmp_path / "in", 1, *(citation(n) for n in range(100)))
    write_numbered(tmp_path / "in", 2, citation(3, "maize"), citation(70, "maize"))
    made = funnel(tmp_path)
    assert (made["read"], made["kept"], made["dropped:superseded"]) == (102, 100, 2)
    assert len(rows(tmp_path)) == 100


def test_many_ids_are_compared_in_pieces(monkeypatch):
    copies = [
        vars(duplicates.Copy(f"pmid:{n % 300}", f"{n:06d} \ta", "", "", n, True, n, ""))
        | {"part": "p0"}
        for n in range(500)
    ]
    table = pa.Table.from_pylist(copies, duplicates.COPIES_SCHEMA)
    known = pa.Table.from_pylist(
        [
            {
                "pmcid": "pmid:9999",
                "rank": "1",
                "marks": "",
                "fingerprint": "",
                "kept": "",
                "heading": "yes",
            }
        ],
        duplicates.KNOWN_SCHEMA,
    )
    whole = duplicates.resolve(copies, known.to_pylist())
    monkeypatch.setattr(duplicates, "_RESOLVED_ROWS", 64)
    pieces = list(duplicates._batches(table, known))
    assert len(pieces) == 8
    resolved = [duplicates.resolve(a.to_pylist(), b.to_pylist()) for a, b in pieces]
    assert [row for newest, _ in resolved for row in newest] == whole[0]
    assert [row for _, left in resolved for row in left] == whole[1]


# --- what is written, and choosing ---------------------------------------------------------------


def test_sources_name_both_kinds(tmp_path):
    folder = tmp_path / "in"
    write_numbered(folder, 1, citation(11, pmc="PMC9", journal="J. of Maize"))
    write_archive(folder / "a.tar.gz", {"x/PMC1.xml": full_text(1, 12)})
    funnel(tmp_path)
    assert (tmp_path / "d/SOURCES.tsv").read_text().splitlines() == [
        "article_id\tlicence\tplace\tpmcid\tpmid\tdoi\tyear\tjournal\tsource",
        "PMC1\tCC BY 4.0\ta.tar.gz/x/PMC1.xml\tPMC1\t12\t\t2020\tJ\tpmc",
        "pmid:11\t\tpubmed26n0001.xml.gz#pmid:11\tPMC9\t11\t10.1/11\t2020\tJ. of Maize\tpubmed",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"min_year": 2015}, ["2", "3"]),
        ({"max_year": 2015}, ["1"]),
        ({"journals": ("gut",)}, ["2"]),
        ({"article_types": ("review",)}, ["1", "3"]),
        ({"languages": ("de", "fr")}, ["3"]),
        ({"keywords": ("insulin",)}, ["2"]),
        ({"sections": ("abstract",)}, ["1", "2", "20"]),
        ({"keywords": ("rein",), "other_abstracts": True}, ["3"]),
        ({"keywords": ("lysosomal",)}, ["20"]),
    ],
)
def test_filters_choose_citations(tmp_path, options, expected):
    write_numbered(
        tmp_path / "in", 1,
        citation(1, types=("Journal Article", "Review"), year="<Year>2001</Year>"),
        citation(2, "Insulin was given.", journal="Gut"),
        citation(
            3, "", title="[Ein Titel].", types=("Review",), language="ger",
            extra="<OtherAbstract><AbstractText>Rein.</AbstractText></OtherAbstract>",
        ),
        BOOK,
    )  # fmt: skip
    funnel(tmp_path, **options)
    assert [row["pmid"] for row in rows(tmp_path)] == expected


def test_slices_of_a_file_are_the_whole_file(tmp_path, monkeypatch):
    monkeypatch.setattr("beam_pipelines.inputs.work_items.RANGE_BYTES", 1 << 11)
    texts = [citation(n, f"{n * 7919} words of {n}.") for n in range(300)]
    write_numbered(tmp_path / "in", 1, *texts, delete=(5,))
    whole = funnel(tmp_path, "whole")
    assert whole == funnel(tmp_path, "sliced", slices=3)
    assert len(list((tmp_path / "sliced/corpus").iterdir())) == 3
    assert rows(tmp_path, "whole") == rows(tmp_path, "sliced")


# --- the server ----------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path):
    """Serves the folder `www`, with index pages, and returns the URL of PubMed's folder in it."""
    with serve(tmp_path / "www") as running:
        yield f"{running.url}pubmed/"


def test_pubmed_is_read_from_its_server(tmp_path, server):
    folder = tmp_path / "www/pubmed"
    write_numbered(folder / "baseline", 1, citation(1, "maize"), citation(2))
    write_numbered(folder / "updatefiles", 2, citation(1, "carcinoma"))
    (folder / "baseline/README.txt").write_text("Read me")
    made = funnel(tmp_path, input=("pubmed",), pubmed_url=server)
    assert (made["read"], made["kept"], made["dropped:superseded"]) == (3, 2, 1)
    assert sorted(row["sentences"][-1] for row in rows(tmp_path)) == [
        "carcinoma", "melanoma cells divide",
    ]  # fmt: skip


def test_a_wrong_md5_on_the_server_is_reported(tmp_path, server):
    path = write_numbered(tmp_path / "www/pubmed/baseline", 1, citation(1))
    path.with_name(f"{path.name}.md5").write_text("0" * 32)
    (tmp_path / "www/pubmed/updatefiles").mkdir()
    assert funnel(tmp_path, input=("pubmed",), pubmed_url=server)["damaged_archive"] == 1


def test_a_server_without_files_is_one_line(tmp_path, server):
    (tmp_path / "www/pubmed/baseline").mkdir(parents=True)
    with pytest.raises(UserError, match="no index page with links to pubmedNNnNNNN"):
        input_files(["pubmed"], server)


def test_a_folder_called_pubmed_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_numbered(tmp_path / "pubmed", 1, citation(1))
    assert [file.path for file in input_files(["pubmed"])] == ["pubmed/pubmed26n0001.xml.gz"]
