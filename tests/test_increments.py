"""`build --since`: what is new since an earlier dataset, with the words of both."""

import gzip
import json
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build, main
from beam_pipelines.config import BuildConfig
from beam_pipelines.stages import increments
from beam_pipelines.stages.increments import NothingNewError
from pmc2vec.cli import exit_codes
from pmc2vec.dataset.vocabulary import parse_vocabulary
from pmc2vec.errors import UserError
from tests.bulk import add, article

ALONE = ("--direct_num_workers=1",)


def config(bulk: Path, output: Path, since: Path | None = None, **options) -> BuildConfig:
    small = {"min_count": 2, "num_shards": 2, "record_length": 64, "block": 8,
             "block_negatives": 4, "validation_fraction": 0.2}  # fmt: skip
    return BuildConfig(
        input=(str(bulk),), output=str(output), since=since and str(since), **(small | options)
    )


def counts(dataset: Path) -> dict[str, int]:
    words = parse_vocabulary((dataset / "vocabulary.tsv").read_text(), "vocabulary.tsv")
    return dict(zip(words.words, words.counts.tolist(), strict=True))


def sources(dataset: Path) -> list[str]:
    rows = (dataset / "SOURCES.tsv").read_text().splitlines()[1:]
    return ["/".join((row.split("\t")[0], row.split("\t")[2].split(".")[0])) for row in rows]


@pytest.fixture(scope="module")
def months(tmp_path_factory) -> Path:
    """Three months' archives, each built since the one before; the first two datasets are gone."""
    folder = tmp_path_factory.mktemp("since")
    bulk = folder / "bulk"
    topics = ["melanoma", "carcinoma", "maize"]
    add(bulk, "a", {n: topics[n % 3] for n in range(12)}, "2025-06-01")
    build(config(bulk, folder / "june"), ALONE)
    # Of old articles: 1 is as it was, 2 is newer. The others are new.
    add(bulk, "b", {1: "carcinoma", 2: "melanoma", 20: "maize", 21: "maize"}, "2025-06-01")
    text = (bulk / "b.filelist.csv").read_text()
    (bulk / "b.filelist.csv").write_text(text.replace("PMC2,2025-06", "PMC2,2025-07"))
    build(config(bulk, folder / "july", folder / "june"), ALONE)
    shutil.rmtree(folder / "june")
    add(bulk, "c", {20: "melanoma", 30: "carcinoma"}, "2025-08-01")
    add(bulk, "d", {2: "melanoma", 21: "maize"}, "2025-07-15", retracted=True)
    shutil.copytree(folder / "july", folder / "before")
    build(config(bulk, folder / "august", folder / "july"), ALONE)
    return folder


def facts(dataset: Path) -> dict:
    return json.loads((dataset / "manifest.json").read_text())


def test_only_new_files_are_read(months):
    july, august = facts(months / "july"), facts(months / "august")
    assert [Path(path).name for path, _ in july["inputs"]] == ["b.tar.gz"]
    assert [Path(path).name for path, _ in august["inputs"]] == ["c.tar.gz", "d.tar.gz"]
    assert july["since"]["dataset"] == str(months / "june")
    assert (july["since"]["inputs"], august["since"]["inputs"]) == (1, 2)
    known = (months / "august/known/inputs.tsv").read_text().splitlines()
    assert [Path(line).name for line in known] == [f"{n}.tar.gz" for n in "abcd"]


def test_the_newest_wins_over_all_that_is_known(months):
    july = facts(months / "july")["funnel"]
    assert (july["read"], july["kept"], july["dropped:superseded"]) == (4, 3, 1)
    august = facts(months / "august")["funnel"]
    assert (august["read"], august["kept"], august["dropped:retracted"]) == (4, 2, 2)
    assert sources(months / "july")[12:] == ["PMC2/b", "PMC20/b", "PMC21/b"]
    assert sources(months / "august")[15:] == ["PMC20/c", "PMC30/c"]


def test_what_was_learned_and_is_superseded_is_listed(months):
    assert facts(months / "july")["funnel"]["superseded_earlier"] == 1
    assert facts(months / "august")["funnel"]["superseded_earlier"] == 3
    rows = (months / "july/superseded.tsv").read_text().splitlines()
    assert rows == [
        "article_id\tlicence\tplace\tpmcid\tpmid\tdoi\tyear\tjournal\tsource",
        "PMC2\tCC BY 4.0\ta.tar.gz/PMC000/PMC2.xml\tPMC2\t\t\t2020\tJ\tpmc",
    ]
    rows = (months / "august/superseded.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == ["PMC2", "PMC20", "PMC21"]
    assert rows[0].split("\t")[2] == "b.tar.gz/PMC000/PMC2.xml"  # as it was learned last


def test_an_increment_of_other_articles_has_the_vocabulary_of_one_whole_build(tmp_path):
    bulk = tmp_path / "bulk"
    add(bulk, "a", {1: "melanoma", 2: "carcinoma", 6: "carcinoma"}, "2025-06-01")
    rare = {"min_count": 7}
    build(config(bulk, tmp_path / "first", **rare), ALONE)
    assert "maize" not in counts(tmp_path / "first")
    add(bulk, "b", {3: "maize", 4: "melanoma"}, "2025-06-02")
    build(config(bulk, tmp_path / "second", tmp_path / "first", **rare), ALONE)
    add(bulk, "c", {5: "maize"}, "2025-06-03")
    build(config(bulk, tmp_path / "third", tmp_path / "second", **rare), ALONE)
    whole = build(config(bulk, tmp_path / "whole", **rare), ALONE)
    third = facts(tmp_path / "third")["vocabulary"]
    assert third["sha256"] == whole.vocabulary.sha256
    assert third["dropped_words"] == whole.vocabulary.dropped_words > 0
    assert third["dropped_tokens"] == whole.vocabulary.dropped_tokens
    for name in ("words", "editions"):
        known = [tmp_path / of / f"known/{name}.parquet" for of in ("third", "whole")]
        assert known[0].read_bytes() == known[1].read_bytes()


def test_rare_words_of_every_month_add_up(tmp_path):
    bulk = tmp_path / "bulk"
    add(bulk, "a", {1: "melanoma", 2: "maize", 3: "maize"}, "2025-06-01")
    build(config(bulk, tmp_path / "first", min_count=8), ALONE)
    add(bulk, "b", {4: "melanoma", 5: "maize"}, "2025-06-02")
    build(config(bulk, tmp_path / "second", tmp_path / "first", min_count=8), ALONE)
    first, second = counts(tmp_path / "first"), counts(tmp_path / "second")
    assert "braf" not in first  # 6 times in each
    assert second["braf"] == 12
    assert (first["noon"], second["noon"]) == (12, 18)


def test_an_article_stays_in_its_split(months):
    """No article is in a training shard of one month and held out in another."""
    july, august = facts(months / "july")["config"], facts(months / "august")["config"]
    assert (july["seed"], july["validation_fraction"]) == (august["seed"], 0.2)
    with pytest.raises(UserError, match=r"was built with --seed 1, now 2; give the same"):
        build(config(months / "bulk", months / "no", months / "august", seed=2), ALONE)


def test_phrases_are_those_of_the_earlier_dataset(tmp_path):
    bulk, options = tmp_path / "bulk", {"phrases": 1, "phrase_threshold": 0.2}
    add(bulk, "a", dict.fromkeys(range(4), "melanoma"), "2025-06-01")
    build(config(bulk, tmp_path / "first", **options), ALONE)
    phrases = (tmp_path / "first/phrases-1.tsv").read_bytes()
    add(bulk, "b", dict.fromkeys(range(4, 8), "maize") | {9: "melanoma"}, "2025-06-02")
    build(config(bulk, tmp_path / "second", tmp_path / "first", **options), ALONE)
    assert (tmp_path / "second/phrases-1.tsv").read_bytes() == phrases
    first, second = counts(tmp_path / "first"), counts(tmp_path / "second")
    joined = [word for word in first if "_" in word]
    assert len(joined) > 3
    assert {word for word in second if "_" in word} == set(joined)
    # Four articles on melanoma and one more; `word0_ends` is in those on maize too.
    assert min(second[word] / first[word] for word in joined) == 5 / 4


def test_a_moved_folder_is_known_by_the_names_of_its_files(months, tmp_path):
    moved = shutil.copytree(months / "bulk", tmp_path / "elsewhere")
    with pytest.raises(NothingNewError, match=r"^nothing new since .*: all 4 files are known"):
        build(config(moved, tmp_path / "no", months / "august"), ALONE)
    assert not (tmp_path / "no").exists()


def test_files_whose_names_tell_nothing_are_known_by_their_paths():
    files = (("x/PMC1/main.nxml", 5), ("x/PMC2.1.xml", 5), ("J/PMC3.nxml", 5), ("a.tar.gz", 9))
    since = increments.Since("d", {}, files)
    new = (("x/PMC9/main.nxml", 5), ("y/PMC2.2.xml", 5), ("J/PMC3.nxml", 6), ("a.tar.gz", 8))
    old = (("x/PMC1/main.nxml", 5), ("y/PMC2.1.xml", 0), ("y/PMC3.nxml", 5), ("y/a.tar.gz", 9))
    assert since.new_files((*new, *old)) == new


def test_a_new_version_of_an_article_is_read_and_wins(tmp_path):
    for version, topic in ((1, "maize"), (2, "melanoma")):
        (tmp_path / f"in/PMC7.{version}").mkdir(parents=True)
        (tmp_path / f"in/PMC7.{version}/PMC7.{version}.xml").write_bytes(article(7, topic))
        since = tmp_path / "data1" if version == 2 else None
        options = {"validation_fraction": 0.0}
        build(config(tmp_path / "in", tmp_path / f"data{version}", since, **options), ALONE)
    funnel = facts(tmp_path / "data2")["funnel"]
    assert (funnel["read"], funnel["kept"], funnel["superseded_earlier"]) == (1, 1, 1)


def inventory(path: Path, versions: list[str]) -> str:
    kinds = [f"{v}/{v}.{kind}" for v in versions for kind in ("xml", "json", "txt")]
    rows = [f'"bucket","{key}","2026-10-01T00:00:00.000Z","76250f5b"' for key in kinds]
    path.write_bytes(gzip.compress("\n".join([*rows, ""]).encode()))
    return str(path)


def test_what_one_inventory_has_more_than_another_is_read(tmp_path):
    for name, topic in {"PMC1.1": "maize", "PMC2.1": "melanoma", "PMC1.2": "carcinoma"}.items():
        (tmp_path / "bucket" / name).mkdir(parents=True)
        (tmp_path / "bucket" / name / f"{name}.xml").write_bytes(article(int(name[3]), topic))
    (tmp_path / "bucket/PMC3.1").mkdir()
    (tmp_path / "bucket/PMC3.1/PMC3.1.xml").write_text("not listed, so not read")
    first = (inventory(tmp_path / "first.csv.gz", ["PMC1.1", "PMC2.1"]),)
    second = (inventory(tmp_path / "second.csv.gz", ["PMC1.1", "PMC1.2", "PMC2.1"]),)
    options = {"validation_fraction": 0.0}
    bucket, data = tmp_path / "bucket", [tmp_path / "one", tmp_path / "two"]
    build(config(bucket, data[0], inventory=first, **options), ALONE)
    build(config(bucket, data[1], data[0], inventory=second, **options), ALONE)
    assert facts(data[0])["funnel"]["kept"] == 2
    made = facts(data[1])
    assert made["inputs"] == [[str(bucket), 0]]
    counts = {
        name: made["funnel"].get(f"not_downloaded:{name}") for name in ("known", "older_version")
    }
    assert counts == {"known": 1, "older_version": 1}
    assert (made["funnel"]["kept"], made["funnel"]["superseded_earlier"]) == (1, 1)
    with pytest.raises(NothingNewError, match="it knows all versions"):
        build(config(bucket, tmp_path / "no", data[1], inventory=second, **options), ALONE)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'"bucket","index.html"\n', "lists no article version"),
        (b"<html>\n", "cannot be read .rows are not bucket, key"),
        (gzip.compress(b"a,b\n", mtime=0)[:12], "cannot be read"),
    ],
)
def test_what_is_no_inventory_is_refused(tmp_path, data, says):
    path = tmp_path / ("list.csv.gz" if data[:1] == b"\x1f" else "list.csv")
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"^--inventory .*list.csv.*: {says}"):
        build(config(tmp_path, tmp_path / "no", inventory=(str(path),)), ALONE)
    with pytest.raises(ValueError, match="--inventory needs one --input"):
        BuildConfig(input=("a", "b"), output="c", inventory=("d",))


def test_nothing_new_is_one_line_and_an_exit_status_of_its_own(months, tmp_path, capsys):
    words = ["--min_count=2", "--num_shards=2", "--record_length=64", "--block=8",
             "--block_negatives=4", "--validation_fraction=0.2"]  # fmt: skip
    words += [f"--input={months / 'bulk'}", f"--since={months / 'august'}"]
    assert main([*words, f"--output={tmp_path / 'no'}"]) == exit_codes.NOTHING_NEW == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("pmc2vec: nothing new since ")
    assert said.err.count("\n") == 1


def test_new_files_without_a_new_article_are_nothing_new_either(months, tmp_path):
    bulk = shutil.copytree(months / "bulk", tmp_path / "bulk")
    add(bulk, "e", {3: "melanoma"}, "2024-01-01")
    with pytest.raises(NothingNewError, match=r"none of 1 articles is kept \(1 dropped:supersed"):
        build(config(bulk, tmp_path / "no", months / "august"), ALONE)


def test_a_dataset_to_which_nothing_can_be_added_is_refused(months, tmp_path):
    bulk = months / "bulk"
    with pytest.raises(UserError, match=r"^--since .*nowhere: no manifest.json, so there is no"):
        build(config(bulk, tmp_path / "no", tmp_path / "nowhere"), ALONE)
    old = shutil.copytree(months / "before", tmp_path / "old")
    shutil.rmtree(old / "known")
    with pytest.raises(UserError, match=r"has no known/inputs.tsv to go on from"):
        build(config(bulk, tmp_path / "no", old), ALONE)
    with pytest.raises(ValueError, match=r"--since needs --input"):
        BuildConfig(corpus="a", output="b", since="c")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tokenizer": "whitespace"}, "--tokenizer 'biomedical', now 'whitespace'"),
        ({"keywords": ("cancer",)}, r"--keywords \[\], now \['cancer'\]"),
        ({"min_count": 3}, "--min_count 2, now 3"),
        ({"validation_fraction": 0.1}, "--validation_fraction 0.2, now 0.1"),
    ],
)
def test_another_option_is_refused_by_name(months, tmp_path, options, says):
    with pytest.raises(UserError, match=f"^--since .*: was built with {says}; give the same"):
        build(config(months / "bulk", tmp_path / "no", months / "before", **options), ALONE)


def test_an_option_that_came_up_since_then_is_no_difference(months, tmp_path):
    old = shutil.copytree(months / "before", tmp_path / "old")
    known = json.loads((old / "manifest.json").read_text())
    del known["config"]["retracted"]
    (old / "manifest.json").write_text(json.dumps(known))
    with pytest.raises(UserError, match="built with --retracted False, now True"):
        build(config(months / "bulk", tmp_path / "no", old, retracted=True), ALONE)
    made = build(config(months / "bulk", tmp_path / "new", old), ALONE)
    assert made.funnel["kept"] == 2
    started = json.loads((tmp_path / "new/build.json").read_text())
    del started["config"]["retracted"]
    (tmp_path / "new/build.json").write_text(json.dumps(started))
    assert build(config(months / "bulk", tmp_path / "new", old), ALONE) == made


def test_an_increment_that_was_cut_off_goes_on(months, tmp_path):
    build(config(months / "bulk", tmp_path / "again", months / "before"), ALONE)
    whole = {p.name: p.read_bytes() for p in tmp_path.glob("again/**/*") if p.is_file()}
    (tmp_path / "again/manifest.json").unlink()
    (tmp_path / "again/known/words.parquet").unlink()
    (tmp_path / "again/parts/part-00000.json").unlink()
    build(config(months / "bulk", tmp_path / "again", months / "before"), ALONE)
    again = {p.name: p.read_bytes() for p in tmp_path.glob("again/**/*") if p.is_file()}
    assert again == whole


def test_another_archive_of_one_name_and_size_is_read(tmp_path):
    """A tar's size is a multiple of 10,240 bytes, so that one of next month often has the same."""
    for month, number in (("january", 1), ("february", 2)):
        (tmp_path / month).mkdir()
        with tarfile.open(tmp_path / month / "update.tar", "w") as tar:
            (tmp_path / "article.xml").write_bytes(article(number, "maize"))
            tar.add(tmp_path / "article.xml", f"x/PMC{number}.xml")
    one, two = (tmp_path / month / "update.tar" for month in ("january", "february"))
    assert one.stat().st_size == two.stat().st_size
    options = {"validation_fraction": 0.0}
    build(config(one, tmp_path / "first", **options), ALONE)
    build(config(two, tmp_path / "second", tmp_path / "first", **options), ALONE)
    assert sources(tmp_path / "second") == ["PMC1/update", "PMC2/update"]
    with pytest.raises(NothingNewError, match="the input file is known"):
        build(config(one, tmp_path / "no", tmp_path / "second", **options), ALONE)


def test_a_retraction_in_the_json_of_a_known_version_is_seen(tmp_path):
    for number in (1, 2):
        (tmp_path / f"in/PMC{number}.1").mkdir(parents=True)
        (tmp_path / f"in/PMC{number}.1/PMC{number}.1.xml").write_bytes(article(number, "maize"))
        (tmp_path / f"in/PMC{number}.1/PMC{number}.1.json").write_text("{}")
    options = {"validation_fraction": 0.0}
    build(config(tmp_path / "in", tmp_path / "first", **options), ALONE)
    (tmp_path / "in/PMC2.1/PMC2.1.json").write_text('{"is_retracted": true}')
    with pytest.raises(NothingNewError, match=r"none of 1 articles is kept \(1 dropped:retr"):
        build(config(tmp_path / "in", tmp_path / "second", tmp_path / "first", **options), ALONE)
    rows = (tmp_path / "second/superseded.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == ["PMC2"]


def test_a_dataset_of_the_version_before_is_one_to_go_on_from(months, tmp_path):
    """It has no digests of files and no fingerprints of copies."""
    old = shutil.copytree(months / "before", tmp_path / "old")
    (old / "known/digests.tsv").unlink()
    reader = pq.ParquetFile(old / "known/editions.parquet")
    tables = [reader.read_row_group(n) for n in range(reader.num_row_groups)]
    with pq.ParquetWriter(old / "known/editions.parquet", tables[0].schema.remove(3)) as writer:
        for table in tables:
            writer.write_table(table.drop_columns(["fingerprint"]))
    made = build(config(months / "bulk", tmp_path / "new", old), ALONE)
    assert made.funnel == facts(months / "august")["funnel"]
