import io
import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from beam_pipelines.inputs.work_items import WorkItem
from beam_pipelines.jats.article_reader import read_articles
from beam_pipelines.stages import corpus_files, duplicates
from beam_pipelines.stages.corpus_files import Part, finished_parts, sum_summaries
from beam_pipelines.stages.corpus_parts import Reading, finish_part, read_part, with_licence_beside
from beam_pipelines.stages.output_folder import OutputFolder, sum_heartbeats
from beam_pipelines.stages.partitions import PARTITIONS
from beam_pipelines.text.filters import ArticleFilter
from tests.bulk import article, write_archive

READING = Reading(ArticleFilter(("melanoma",)))
MEMBERS = {
    "PMC000/PMC1.xml": article(1, "melanoma", paragraphs=1),
    "PMC000/PMC2.xml": article(2, "maize"),
    "PMC000/PMC3.xml": b"<article><front>",
    "PMC000/PMC4.xml": b"",
    "PMC000/readme.txt": b"not an article",
    "PMC000/PMC5.xml": article(5, "melanoma", paragraphs=1),
}


def written(tmp_path, data=None, reading=READING):
    for folder in ("catalogue", "corpus", "counts", "known", "parts"):
        (tmp_path / folder).mkdir(exist_ok=True)
    archive = write_archive(tmp_path / "a.tar.gz", MEMBERS, level=0)
    if data is not None:
        archive.write_bytes(data(archive.read_bytes()))
    item = WorkItem(0, ((str(archive), archive.stat().st_size),))
    output = OutputFolder(str(tmp_path), str(tmp_path))
    names = [read_part(item, output=output, reading=reading)]
    for partition in range(PARTITIONS):
        duplicates.write_left_out(partition, names, output=output)
    part = finish_part(item, output=output, reading=reading)
    return part, sum_summaries([part], output)


def test_a_part_that_was_finished_before_counts_as_read(tmp_path):
    _, summary = written(tmp_path)
    (tmp_path / "corpus-00000").unlink()
    written(tmp_path)
    archive = tmp_path / "a.tar.gz"
    heartbeat = sum_heartbeats(tmp_path, "corpus-")
    assert heartbeat["bytes"] == archive.stat().st_size
    assert heartbeat["read"] == summary.funnel["read"]
    assert "xml_bytes" not in heartbeat  # None was read now: no speed comes of it.


def test_a_part_is_the_kept_articles_in_archive_order(tmp_path):
    part, _ = written(tmp_path)
    rows = pq.read_table(tmp_path / "corpus/part-00000.parquet").to_pylist()
    assert part == Part("part-00000", (2 * (2 + 1 + 7 + 5 + 3),))
    assert [row["pmcid"] for row in rows] == ["PMC1", "PMC5"]
    first = rows[0]
    assert {k: first[k] for k in ("title", "journal", "year", "licence", "archive", "member")} == {
        "title": "On melanoma",
        "journal": "J",
        "year": "2020",
        "licence": "CC BY 4.0",
        "archive": "a.tar.gz",
        "member": "PMC000/PMC1.xml",
    }
    assert list(zip(first["sections"], first["sentences"], strict=True)) == [
        ("title", "on melanoma"),
        ("body", "results"),
        ("body", "melanoma cells of skin carry braf mutations"),
        ("body", "patients with melanoma had fever"),
        ("body", "word0 ends it"),
    ]


def test_the_funnel_adds_up_and_rejected_files_are_named(tmp_path):
    _, summary = written(tmp_path)
    funnel = summary.funnel
    assert funnel["read"] == 5 == funnel["kept"] + sum(n for k, n in funnel.items() if ":" in k)
    assert funnel["dropped:no_keyword"] == 1
    assert summary.licences == {"CC BY 4.0": 2}
    lines = (tmp_path / "parts/part-00000.rejected.jsonl").read_text().splitlines()
    rejected = [json.loads(line) for line in lines]
    assert [(r["archive"], r["member"], r["reason"]) for r in rejected] == [
        ("a.tar.gz", "PMC000/PMC3.xml", "broken_xml"),
        ("a.tar.gz", "PMC000/PMC4.xml", "empty"),
    ]


def test_a_truncated_archive_gives_what_it_has_and_says_so(tmp_path):
    _, summary = written(tmp_path, data=lambda whole: whole[:4000])
    assert summary.funnel["truncated_archive"] == 1
    assert summary.funnel["kept"] == 1
    (last,) = (tmp_path / "parts/part-00000.rejected.jsonl").read_text().splitlines()[-1:]
    assert json.loads(last) | {"detail": ""} == {
        "archive": "a.tar.gz",
        "member": "",
        "reason": "truncated_archive",
        "detail": "",
    }


def test_a_finished_part_is_not_made_again_unless_something_changed(tmp_path):
    written(tmp_path)
    path = tmp_path / "corpus/part-00000.parquet"
    path.write_bytes(b"touched")
    written(tmp_path)
    assert path.read_bytes() == b"touched"
    written(tmp_path, reading=Reading())
    assert pq.read_table(path).num_rows == 3


def test_a_part_that_was_cut_off_is_made_again(tmp_path):
    written(tmp_path)
    (tmp_path / "parts/part-00000.json").unlink()
    (tmp_path / "corpus/part-00000.parquet").write_bytes(b"half")
    part, _ = written(tmp_path)
    assert pq.read_table(tmp_path / "corpus/part-00000.parquet").num_rows == 2
    assert finished_parts(OutputFolder(str(tmp_path))) == [part]


def test_row_groups_hold_few_articles_and_read_back_in_order(monkeypatch):
    monkeypatch.setattr(corpus_files, "GROUP_ARTICLES", 2)
    file, summary = io.BytesIO(), corpus_files.Summary()
    writer = corpus_files.CorpusWriter(file, summary)
    for n in range(5):
        (found,) = read_articles(article(n, "maize"), "m")
        sentences = [f"maize {n}"] * n
        writer.write(corpus_files.CorpusArticle(found, "a", "m", ["body"] * n, sentences))
    writer.close()
    assert summary.groups == [2, 10, 8]
    reader = pq.ParquetFile(io.BytesIO(file.getvalue()))
    read = [text for group in range(3) for text in corpus_files.read_group(reader, group)]
    assert [(t.article_id, t.sentences.to_pylist()) for t in read] == [
        (f"PMC{n}", [f"maize {n}"] * n) for n in range(5)
    ]


@pytest.mark.parametrize(
    ("stated", "in_filelist", "licence"),
    [
        ("CC BY-NC 4.0", "CC BY", "CC BY-NC 4.0"),
        ("open-access", "CC BY", "CC BY"),
        ("open-access", "", "open-access"),
        ("", "CC0", "CC0"),
    ],
)
def test_the_filelist_has_the_licence_of_an_article_that_states_no_terms(
    stated, in_filelist, licence
):
    (read,) = read_articles(article(1, "maize"), "m")
    assert with_licence_beside(replace(read, licence=stated), in_filelist).licence == licence
