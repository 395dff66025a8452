"""What a build counts of PubMed's files is what lxml counts, which parses each file as a whole."""

import gzip
import random
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from lxml import etree

from beam_pipelines.build import build_corpus
from beam_pipelines.config import BuildConfig
from tests.pubmed import citation, write_numbered
from tests.test_pubmed_files import ALONE, dropped

TYPES = ("Journal Article", "Retracted Publication", "Retraction Notice", "Review")


def write_files(folder: Path, seed: int) -> None:
    """Writes a baseline of 60 citations and two updates that change, repeat and delete them."""
    draw = random.Random(seed)
    for number in (1, 2, 3):
        pmids = range(1, 61) if number == 1 else [draw.randrange(1, 80) for _ in range(50)]
        citations = [
            citation(
                pmid,
                draw.choice(["", f"Text {number} of {pmid}."]),
                title=draw.choice(["", "A title.", "[Not Available].", "Retracted: a title."]),
                types=draw.choices(TYPES, (8, 1, 1, 4), k=2),
                version=draw.choice([1, 1, 1, 2, 3]),
            )
            for pmid in pmids
        ]
        delete = draw.sample(range(1, 80), 12) if number > 1 else ()
        write_numbered(folder, number, *citations, delete=delete)


def counted(folder: Path) -> tuple[Counter, set[tuple[str, str]]]:
    """Returns what becomes of the citations, and (PMID, version) of those that are kept."""
    copies: dict[str, list] = {}
    for path in sorted(folder.glob("*.gz")):  # In the order in which NLM says to apply them.
        root = etree.fromstring(gzip.decompress(path.read_bytes()))
        for place, node in enumerate(root):
            for pmid in node.xpath("MedlineCitation/PMID | self::DeleteCitation/PMID"):
                order = (int(pmid.get("Version")), path.name, place)
                copies.setdefault(pmid.text, []).append((order, node))
    counts: Counter = Counter()
    articles = set()
    for pmid, events in copies.items():
        *older, (order, last) = sorted(events, key=lambda event: event[0])
        older = [node for _, node in older if node.tag != "DeleteCitation"]
        if last.tag == "DeleteCitation":
            counts["dropped:deleted"] += bool(older)
            counts["dropped:superseded"] += len(older[:-1])
            continue
        counts["dropped:superseded"] += len(older)
        title, abstract = (last.findtext(f".//{tag}") for tag in ("ArticleTitle", "AbstractText"))
        if not abstract and title in ("", None, "[Not Available]."):
            counts["dropped:no_text"] += 1
        elif last.xpath(".//PublicationType[starts-with(., 'Retract')]") or title[:4] == "Retr":
            counts["dropped:retracted"] += 1
        else:
            articles.add((pmid, str(order[0])))
    return counts, articles


def test_a_build_counts_what_lxml_counts(tmp_path):
    totals: Counter = Counter()
    for seed in (1, 2):
        folder, output = tmp_path / f"in{seed}", tmp_path / f"out{seed}"
        write_files(folder, seed)
        counts, articles = counted(folder)
        funnel = build_corpus(BuildConfig(input=(str(folder),), output=str(output)), ALONE).funnel
        assert funnel["read"] == 160
        assert dropped(funnel) == +counts
        rows = [
            row
            for part in (output / "corpus").glob("*.parquet")
            for row in pq.read_table(part, columns=["pmid", "version"]).to_pylist()
        ]
        assert {(row["pmid"], row["version"]) for row in rows} == articles
        assert funnel["kept"] == len(rows) == len(articles)
        totals += counts
    assert min(totals.values()) > 3  # Every way was gone.
    assert len(totals) == 4
