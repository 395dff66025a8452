"""`pmc2vec sample`: its archives, its folder, and how the program speaks."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import itertools
import json
import re
import tarfile
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from pmc2vec.commands.sample import SampleConfig, archive_articles, main, sample
from pmc2vec.errors import UserError
from pmc2vec.synthetic.ground_truth import GroundTruth, read_ground_truth
from pmc2vec.synthetic.jats import BREAKAGES
from pmc2vec.synthetic.sentences import SentenceWriter

ARTICLES = 240


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "archives"
    sample(SampleConfig(output=folder, articles=ARTICLES, archives=3, words_per_article=600))
    return folder


@pytest.fixture(scope="module")
def truth(folder) -> GroundTruth:
    return read_ground_truth(folder)


@pytest.fixture(scope="module")
def members(folder, truth) -> dict[str, bytes]:
    found = {}
    for archive in truth.archives:
        with tarfile.open(folder / archive) as tar:
            found |= {info.name: tar.extractfile(info).read() for info in tar}
    return found


@pytest.fixture(scope="module")
def trees(members, truth) -> dict[str, etree._Element]:
    broken = {each.member for each in truth.broken}
    parser = etree.XMLParser(load_dtd=False, no_network=True)
    return {n: etree.fromstring(x, parser) for n, x in members.items() if n not in broken}


@pytest.fixture(scope="module")
def writer() -> SentenceWriter:
    return SentenceWriter()


# --- the archives ----------------------------------------------------------------------------


def test_same_options_give_the_same_bytes_and_another_seed_other_articles(tmp_path):
    def made(name, seed):
        config = SampleConfig(output=tmp_path / name, articles=12, archives=2, seed=seed)
        sample(config)
        return {path.name: path.read_bytes() for path in config.output.iterdir()}

    first, again, other = made("a", 1), made("b", 1), made("c", 2)
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first if name.endswith(".gz"))


def test_an_article_depends_on_the_seed_and_its_number_only(tmp_path, writer):
    small = SampleConfig(output=tmp_path, articles=20, archives=2)
    large = SampleConfig(output=tmp_path, articles=200, archives=5)
    few = {a.number: a for a in archive_articles(small, 1, writer)}
    many = {a.number: a for a in archive_articles(large, 1, SentenceWriter())}
    assert list(few) == list(range(1100001, 1100031, 3))
    assert all(many[number] == article for number, article in few.items())


def test_archives_are_named_and_laid_out_as_those_of_pmc(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.filelist.csv",
        "oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.tar.gz",
        "oa_comm_xml.PMC001xxxxxx.baseline.2025-06-26.filelist.csv",
        "oa_comm_xml.PMC001xxxxxx.baseline.2025-06-26.tar.gz",
        "oa_comm_xml.PMC002xxxxxx.baseline.2025-06-26.filelist.csv",
        "oa_comm_xml.PMC002xxxxxx.baseline.2025-06-26.tar.gz",
        "truth.json",
    ]
    archive = folder / "oa_comm_xml.PMC001xxxxxx.baseline.2025-06-26.tar.gz"
    with tarfile.open(archive) as tar:
        infos = tar.getmembers()
    assert [info.name for info in infos[:2]] == [
        "PMC001xxxxxx/PMC1100001.xml",
        "PMC001xxxxxx/PMC1100004.xml",
    ]
    assert {(info.mtime, info.uid, info.gid, info.mode) for info in infos} == {
        (1750896000, 0, 0, 0o644)
    }
    assert archive.read_bytes()[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # no name, no time
    assert len(gzip.decompress(archive.read_bytes())) % 512 == 0


def test_filelist_has_the_real_header_and_a_row_for_each_member(folder, trees):
    for path in sorted(folder.glob("*.filelist.csv")):
        head, _, rows = path.read_bytes().partition(b"\r\n")
        assert head == (
            b"Article File,Article Citation,AccessionID,"
            b"LastUpdated (YYYY-MM-DD HH:MM:SS),PMID,License,Retracted"
        )
        listed = list(csv.reader(io.StringIO(rows.decode(), newline="")))
        with tarfile.open(path.with_name(path.name.replace(".filelist.csv", ".tar.gz"))) as tar:
            assert [row[0] for row in listed] == tar.getnames()
        for member, citation, accession, updated, pmid, licence, retracted in listed:
            assert (updated, retracted) == ("2025-06-20 04:00:00", "no")
            assert accession == Path(member).stem
            if member in trees:
                tree = trees[member]
                journal, year = tree.findtext(".//journal-title"), tree.findtext(".//pub-date/year")
                assert citation == f"{journal}. {year}"
                assert pmid == tree.findtext(".//article-id[@pub-id-type='pmid']", "0")
                assert licence == tree.findtext(".//license-p/ext-link")


def test_kinds_come_in_their_shares(truth, members):
    assert truth.articles == len(members) == ARTICLES
    assert truth.on_subject + truth.off_subject + len(truth.broken) == ARTICLES
    assert 0.6 < truth.on_subject / ARTICLES < 0.8
    assert 0 < truth.reference_only < truth.off_subject / 4
    assert len(truth.broken) == 3


def test_shares_can_be_set(tmp_path):
    none = sample(SampleConfig(output=tmp_path / "a", articles=30, off_subject=0, broken=0))
    assert (none.on_subject, none.off_subject, none.broken) == (30, 0, ())
    all_off = sample(SampleConfig(output=tmp_path / "b", articles=30, off_subject=1, broken=0.2))
    assert (all_off.on_subject, all_off.off_subject, len(all_off.broken)) == (0, 24, 6)


def test_articles_are_made_one_at_a_time(tmp_path, writer):
    endless = SampleConfig(output=tmp_path, articles=1_000_000, archives=4)
    assert [a.number for a in itertools.islice(archive_articles(endless, 3, writer), 2)] == [
        3100001,
        3100004,
    ]

    def peak(articles):
        config = SampleConfig(tmp_path / str(articles), articles=articles, words_per_article=300)
        tracemalloc.start()
        try:
            sample(config)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(250) < peak(25) + 200_000


def test_broken_members_are_those_of_the_truth_and_all_kinds_come_round(tmp_path, truth, members):
    def unreadable(xml):
        try:
            etree.fromstring(xml)
        except etree.XMLSyntaxError:
            return True
        return False

    assert {each.member for each in truth.broken} == {
        name for name, xml in members.items() if unreadable(xml)
    }
    assert {each.archive for each in truth.broken} == set(truth.archives)
    many = sample(SampleConfig(tmp_path, articles=80, broken=0.1, words_per_article=100))
    assert Counter(each.kind for each in many.broken) == dict.fromkeys(BREAKAGES, 2)


# --- the folder and the program --------------------------------------------------------------


def tiny(folder, **options):
    return SampleConfig(output=folder, **{"articles": 4, "archives": 2, **options})


def test_an_earlier_sample_is_replaced_and_leaves_nothing(tmp_path):
    sample(tiny(tmp_path, archives=4))
    sample(tiny(tmp_path, archives=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.filelist.csv",
        "oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.tar.gz",
        "truth.json",
    ]


def test_an_interrupted_sample_looks_unfinished_and_is_replaced(tmp_path):
    sample(tiny(tmp_path))

    def interrupt(done):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(tiny(tmp_path, seed=2), on_article=interrupt)
    assert (tmp_path / "unfinished.json").exists()
    with pytest.raises(UserError, match="no such file"):
        read_ground_truth(tmp_path)
    archive = "oa_comm_xml.PMC001xxxxxx.baseline.2025-06-26.tar.gz"
    assert not (tmp_path / archive).exists()
    assert sample(tiny(tmp_path)) == read_ground_truth(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
    assert not (tmp_path / "unfinished.json").exists()


@pytest.mark.parametrize(
    "name", ["thesis.tex", "oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.tar.gz", "truth.json"]
)
def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_text('{"format": "other"}')
    with pytest.raises(UserError, match=rf"{name}, which pmc2vec sample did not write"):
        sample(tiny(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"format": "other"}'


def test_a_file_added_to_a_sample_is_refused(tmp_path):
    sample(tiny(tmp_path))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes\.txt"):
        sample(tiny(tmp_path))
    assert read_ground_truth(tmp_path).articles == 4


def test_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        sample(tiny(tmp_path / "file"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"articles": 0}, "at least 1"),
        ({"archives": 0}, "between 1 and 1000, not 0"),
        ({"articles": 1_000_000, "archives": 2}, "1,000,000 articles need --archives 4 or more"),
        ({"off_subject": 1.5}, "--off_subject must be between 0 and 1, not 1.5"),
        ({"broken": -0.1}, "--broken must be between 0 and 1, not -0.1"),
    ],
)
def test_options_out_of_range_are_refused(tmp_path, options, complaint, capsys):
    with pytest.raises(ValueError, match=complaint):
        tiny(tmp_path / "sample", **options)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with pytest.raises(SystemExit) as stop:
        main(["--output", str(tmp_path / "sample"), *words])
    assert stop.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "sample").exists()


def test_the_program_says_what_it_wrote(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "s"), "--articles", "6", "--archives", "2"]) == 0
    shown = capsys.readouterr()
    assert re.search(r"articles\s+│\s+6 │", shown.out)
    assert "6 of 6 articles" in shown.err
    config = json.loads((tmp_path / "s" / "truth.json").read_text())["config"]
    assert config == {
        name: value
        for name, value in dataclasses.asdict(tiny(tmp_path, articles=6)).items()
        if name != "output"
    }


def test_the_program_fails_with_one_line(tmp_path, capsys):
    (tmp_path / "thesis.tex").touch()
    assert main(["--output", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == (
        f"pmc2vec: error: {tmp_path}: holds thesis.tex, which pmc2vec sample did not write there;"
        " choose an empty --output"
    )
