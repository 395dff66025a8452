import gzip
import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build, build_corpus, main
from beam_pipelines.build_progress import corpus_table
from beam_pipelines.config import BuildConfig, option_differences
from beam_pipelines.inputs.documents import ReadOptions
from beam_pipelines.inputs.sources import read_documents
from beam_pipelines.runner import check_flags
from beam_pipelines.stages import corpus_files, shards
from beam_pipelines.stages.corpus_files import Part, Tokens
from beam_pipelines.stages.corpus_parts import PartReader
from pmc2vec.commands.inspect import inspect
from pmc2vec.dataset import manifest, records, skipgrams, vocabulary
from pmc2vec.errors import UserError
from tests.bulk import article, write_archive, write_bulk

ALONE = ("--direct_num_workers=1",)
SMALL = {"min_count": 2, "num_shards": 3, "record_length": 64, "block": 8, "block_negatives": 4}


def config(tmp_path, name="data", **options):
    bulk = write_bulk(tmp_path / "bulk")
    keywords = ("Melanoma", "carcinoma")
    defaults = SMALL | {"validation_fraction": 0.2, "keywords": keywords}
    return BuildConfig(input=(bulk,), output=str(tmp_path / name), **(defaults | options))


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("build.json", "manifest.json")
    }


def read(path):
    with path.open("rb") as file:
        return list(records.read_shard(file, str(path)))


# --- the pipeline ------------------------------------------------------------------------------


def test_the_pipeline_equals_direct_computation(tmp_path):
    """The same pure functions in a loop, over the archives in order, give the same records."""
    options = config(tmp_path, passes=2)
    made = build(options, ALONE)
    reader, sampling = PartReader(options.reading()), options.sampling()
    articles = [
        found
        for path in sorted((tmp_path / "bulk").iterdir())
        for document in read_documents(path.open("rb"), path.name, ReadOptions())
        for found in reader.read_document(document, path.name)
    ]
    counts = Counter(w for found in articles for s in found.sentences for w in s.split(" "))
    words = vocabulary.rank_words(list(counts), np.array(list(counts.values())), min_count=2)
    assert (tmp_path / "data/vocabulary.tsv").read_text() == vocabulary.format_vocabulary(words)

    table = shards.drawing_tables(words, sampling)
    for split, draw in (("train", 0), ("train", 1), ("validation", 0)):
        drawn = skipgrams.RandomSeed(1, draw)
        # Each part here is one row group, and there are as many shards as parts.
        for number, shard in enumerate(made.select(split, draw)):
            mine = [a for a in articles if a.archive == f"oa_{number}.tar.gz"]
            runs = []
            for found in mine:
                name = found.article.article_id
                if skipgrams.is_validation(name, 0.2, 1) == (split == "validation"):
                    text = Tokens(name, pa.array(found.sentences, pa.string()))
                    ((ids, lengths),) = table.articles([text])
                    runs.append(
                        skipgrams.sample_article(
                            name, ids, lengths, keep=table.keep, window=5, seed=drawn
                        )
                    )
            expected = skipgrams.pack_records(runs, options.shape(), table.noise, drawn)
            data = b"".join(records.encode_tfrecords(expected))
            assert (tmp_path / "data" / shard.name).read_bytes() == data


def test_one_worker_and_two_processes_write_the_same_bytes(tmp_path):
    build(config(tmp_path, "one"), ALONE)
    build(config(tmp_path, "two"), ("--direct_num_workers=2",))
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 6 + 15 + 4 + 4


def test_another_seed_writes_other_records_of_the_same_corpus(tmp_path):
    build(config(tmp_path, "one"), ALONE)
    build(config(tmp_path, "two", seed=2), ALONE)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    differ = {name for name in one if one[name] != two[name]}
    assert "vocabulary.tsv" not in differ
    assert "train-00000-of-00003.tfrecord" in differ
    assert not any(name.endswith(".parquet") for name in differ)


def test_a_shard_does_not_follow_the_order_of_the_archives(tmp_path, monkeypatch):
    """Else every epoch would end with the newest ones."""
    monkeypatch.setattr(corpus_files, "GROUP_ARTICLES", 1)
    letters = "abcdefgh"
    for letter in letters:
        (tmp_path / f"{letter}.txt").write_text(f"word{letter} and others " * 8 + "\n")
    options = SMALL | {"num_shards": 1, "passes": 2, "sample": 0.0, "validation_fraction": 0.0}
    made = build(
        BuildConfig(input=(str(tmp_path / "*.txt"),), output=str(tmp_path / "data"), **options),
        ALONE,
    )
    words = vocabulary.parse_vocabulary((tmp_path / "data/vocabulary.tsv").read_text(), "").words
    orders = []
    for draw in (0, 1):
        (shard,) = made.select("train", draw)
        ids = np.concatenate([record.tokens for record in read(tmp_path / "data" / shard.name)])
        known = [words[at] for at in ids if at >= 0]
        orders.append("".join(dict.fromkeys(w[-1] for w in known if w.startswith("word"))))
    assert [sorted(order) for order in orders] == [list(letters)] * 2
    assert len({*orders, letters}) == 3


def test_archives_are_read_together_as_far_as_their_footers_may_be_held(monkeypatch):
    monkeypatch.setattr(shards, "_FOOTER_GROUPS", 4)
    parts = [Part(f"part-{n:05d}", (10,) * groups) for n, groups in enumerate([2, 2, 2, 9, 0, 2])]
    turns = shards._reading_rounds(parts, np.random.default_rng(1))
    assert turns.keys() == {part.name for part in parts}
    for turn in range(max(turns.values()) + 1):
        together = [len(part.groups) for part in parts if turns[part.name] == turn]
        assert sum(together) <= 4 or sum(together) == max(together)


def test_texts_are_looked_up_together_as_far_as_their_bytes_go(monkeypatch):
    monkeypatch.setattr(shards, "_LOOKUP_BYTES", 100)
    texts = [Tokens(f"PMC{n}", pa.array(["x" * n])) for n in (1, 60, 30, 99, 200, 5)]
    found = list(shards._lookup_batches([[text] for text in texts]))
    ids = [[text.article_id for text in held] for held in found]
    assert ids == [["PMC1", "PMC60", "PMC30"], ["PMC99"], ["PMC200"], ["PMC5"]]


def test_the_manifest_tells_what_the_files_hold(tmp_path):
    made = build(config(tmp_path), ALONE)
    folder = tmp_path / "data"
    for shard in made.shards:
        found = read(folder / shard.name)
        data = (folder / shard.name).read_bytes()
        assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert shard.records == len(found)
        assert shard.pairs == sum(len(skipgrams.explicit_pairs(r, made.shape)[0]) for r in found)
        assert shard.targets == sum(int((r.tokens >= 0).sum()) for r in found)
    funnel = made.funnel
    assert funnel["read"] == 36
    assert funnel["kept"] == 24 == funnel["read"] - funnel["dropped:no_keyword"]
    assert sum(made.licences.values()) == funnel["kept"]
    tables = [pq.read_table(path) for path in (folder / "corpus").glob("*.parquet")]
    tokens = sum(len(s.split(" ")) for t in tables for r in t.to_pylist() for s in r["sentences"])
    assert tokens == funnel["tokens"]
    assert tokens == made.vocabulary.tokens + made.vocabulary.dropped_tokens
    assert tokens == sum(shard.words for shard in made.shards)


def test_no_article_is_in_both_splits_and_none_is_lost(tmp_path):
    options = config(tmp_path, sample=0.0)
    made = build(options, ALONE)
    targets = sum(shard.targets for shard in made.shards)
    assert targets == made.vocabulary.tokens
    held = [skipgrams.is_validation(f"PMC{n}", 0.2, 1) for n in range(36) if n % 3 != 2]
    assert 0 < sum(held) < 24


def test_dropped_subjects_leave_no_word(tmp_path):
    build(config(tmp_path, min_count=1), ALONE)
    words = (tmp_path / "data/vocabulary.tsv").read_text()
    assert "melanoma\t" in words
    assert "maize" not in words


# --- starting again ----------------------------------------------------------------------------


def test_a_finished_build_is_found_finished(tmp_path):
    made = build(config(tmp_path), ALONE)
    shard = tmp_path / "data/train-00000-of-00003.tfrecord"
    before = shard.stat().st_mtime_ns
    assert build(config(tmp_path), ALONE) == made
    assert shard.stat().st_mtime_ns == before


def test_a_build_that_was_cut_off_goes_on(tmp_path):
    build(config(tmp_path), ALONE)
    folder = tmp_path / "data"
    whole = digests(folder)
    (folder / "manifest.json").unlink()
    (folder / "parts/part-00001.json").unlink()
    (folder / "train-00001-of-00003.tfrecord").write_bytes(b"half")
    (folder / "corpus/part-00001.parquet.abc.tmp").write_bytes(b"left over")
    kept = (folder / "corpus/part-00000.parquet").stat().st_mtime_ns
    build(config(tmp_path), ALONE)
    assert (folder / "corpus/part-00000.parquet").stat().st_mtime_ns == kept
    assert digests(folder) == whole


def test_a_folder_of_another_build_is_refused_until_told_to_overwrite(tmp_path):
    build(config(tmp_path), ALONE)
    with pytest.raises(UserError, match=r"holds a build with --min_count 2, now 3; .*--overwrite"):
        build(config(tmp_path, min_count=3), ALONE)
    made = build(config(tmp_path, min_count=3, overwrite=True), ALONE)
    assert made.config["min_count"] == 3


def test_changed_input_is_another_build(tmp_path):
    build(config(tmp_path), ALONE)
    write_archive(tmp_path / "bulk/oa_9.tar.gz", {"PMC9.xml": article(999, "melanoma")})
    with pytest.raises(UserError, match="holds a build with other input files"):
        build(BuildConfig(**(vars(config(tmp_path)))), ALONE)


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/thesis.doc").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not a dataset"):
        build(config(tmp_path), ALONE)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["thesis.doc"]


# --- corpus first, dataset later ----------------------------------------------------------------


def test_a_corpus_alone_and_then_the_dataset_is_the_dataset_at_once(tmp_path):
    found = build_corpus(config(tmp_path, "steps"), ALONE)
    assert found.funnel["kept"] == 24
    assert not (tmp_path / "steps/manifest.json").exists()
    facts = inspect(tmp_path / "steps")
    assert (facts["kind"], facts["funnel"]["kept"], len(facts["parts"])) == ("corpus", 24, 3)
    part = tmp_path / "steps/corpus/part-00000.parquet"
    written = part.stat().st_mtime_ns
    build(config(tmp_path, "steps"), ALONE)
    build(config(tmp_path, "once"), ALONE)
    assert part.stat().st_mtime_ns == written
    assert digests(tmp_path / "steps") == digests(tmp_path / "once")


def test_another_dataset_from_the_same_corpus_reads_no_article(tmp_path):
    first = build(config(tmp_path, "first"), ALONE)
    for path in (tmp_path / "bulk").iterdir():
        path.unlink()
    options = BuildConfig(
        output=str(tmp_path / "second"), corpus=str(tmp_path / "first"), window=2, **SMALL
    )
    second = build(options, ALONE)
    assert second.shape.window == 2
    for name in ("funnel", "licences", "inputs", "vocabulary"):
        assert getattr(second, name) == getattr(first, name)
    assert not list((tmp_path / "second/corpus").iterdir())


def test_a_corpus_that_is_not_finished_is_refused(tmp_path):
    options = BuildConfig(output=str(tmp_path / "b"), corpus=str(tmp_path / "a"))
    with pytest.raises(UserError, match=r"corpus\.json: no finished corpus; build it with"):
        build(options, ALONE)


def test_sources_name_every_kept_article_and_its_licence(tmp_path):
    build(config(tmp_path), ALONE)
    header, *rows = (tmp_path / "data/SOURCES.tsv").read_text().splitlines()
    assert header == "article_id\tlicence\tplace\tpmcid\tpmid\tdoi\tyear\tjournal\tsource"
    assert rows[0] == "PMC0\tCC BY 4.0\toa_0.tar.gz/PMC000/PMC0.xml\tPMC0\t\t\t2020\tJ\tpmc"
    assert len(rows) == 24


def test_no_name_and_no_licence_makes_a_row_of_its_own_in_sources(tmp_path):
    licence = "<license><license-p>a&#10;b&#9;c&#x2028;d&#x85;</license-p></license>"
    data = article(1, "melanoma").replace(b"</article-meta>", f"{licence}</article-meta>".encode())
    assert licence.encode() in data
    write_archive(tmp_path / "a.tar.gz", {"P/x\ty\n\x1fPMC7\tCC0\tz.xml": data})
    options = BuildConfig(
        input=(str(tmp_path / "a.tar.gz"),), output=str(tmp_path / "data"),
        min_count=1, validation_fraction=0,
    )  # fmt: skip
    build(options, ALONE)
    _, row = (tmp_path / "data/SOURCES.tsv").read_text().splitlines()
    assert row.split("\t")[2] == "a.tar.gz/P/x y  PMC7 CC0 z.xml"


def test_loose_files_and_archives_of_one_name_keep_their_folders(tmp_path):
    for number in (1, 2):
        folder = tmp_path / f"in/{number}"
        folder.mkdir(parents=True)
        (folder / "main.nxml").write_bytes(article(number, "melanoma"))
        write_archive(folder / "a.tar.gz", {"P/x.xml": article(number + 2, "melanoma")})
    build(
        BuildConfig(input=(str(tmp_path / "in"),), output=str(tmp_path / "d"), min_count=1), ALONE
    )
    rows = (tmp_path / "d/SOURCES.tsv").read_text().splitlines()[1:]
    assert sorted(row.split("\t")[2] for row in rows) == [
        "1/a.tar.gz/P/x.xml", "1/main.nxml", "2/a.tar.gz/P/x.xml", "2/main.nxml",
    ]  # fmt: skip


def test_texts_of_one_name_have_ids_of_their_own(tmp_path):
    for number in (1, 2):
        (tmp_path / f"in/{number}").mkdir(parents=True)
        (tmp_path / f"in/{number}/part.txt").write_text("one two\n")
    options = BuildConfig(input=(str(tmp_path / "in"),), output=str(tmp_path / "d"))
    build_corpus(options, ALONE)
    rows = pq.read_table(tmp_path / "d/corpus")["article_id"].to_pylist()
    assert sorted(rows) == ["1/part.txt#0000", "2/part.txt#0000"]


def test_phrases_become_words_and_the_corpus_stays(tmp_path):
    plain = build(config(tmp_path, "plain"), ALONE)
    options = config(tmp_path, "joined", phrases=2, phrase_min_count=1, phrase_threshold=0.5)
    joined = build(options, ALONE)
    words = vocabulary.parse_vocabulary((tmp_path / "joined/vocabulary.tsv").read_text(), "v").words
    assert any("braf_mutations" in word for word in words)
    assert any(word.count("_") > 1 for word in words)
    assert joined.funnel == plain.funnel
    counted = joined.vocabulary.tokens + joined.vocabulary.dropped_tokens
    assert counted == sum(shard.words for shard in joined.shards) < plain.funnel["tokens"]
    left = {path.parent.name for path in (tmp_path / "joined").rglob("*") if path.is_file()}
    assert left == {"joined", "corpus", "counts", "known", "parts"}


def test_plain_text_is_input_too(tmp_path):
    text = tmp_path / "novel.txt"
    text.write_text("It was the best of times.\nIt was the worst of times.\n" * 1500)
    options = BuildConfig(
        input=(str(text),), output=str(tmp_path / "data"), validation_fraction=0.0, num_shards=1
    )
    made = build(options, ALONE)
    assert made.funnel["kept"] == 3
    assert made.funnel["tokens"] == 18_000
    assert made.vocabulary.size == 7


def test_a_line_is_one_sentence_or_has_several(tmp_path):
    (tmp_path / "lines.txt").write_text("First line. Has Two sentences.\nSecond line\n")
    sentences = {
        unit: build_corpus(
            BuildConfig(
                input=(f"{tmp_path}/lines.txt",), output=f"{tmp_path}/{unit}", text_unit=unit
            ),
            ALONE,
        ).funnel["sentences"]
        for unit in ("line", "sentence")
    }
    assert sentences == {"line": 2, "sentence": 3}


def test_a_dataset_from_before_sentence_was_a_unit_was_built_with_it():
    now = BuildConfig(output="data", input=("bulk",)).recorded_options()
    before = {name: value for name, value in now.items() if name != "unknown"}
    assert option_differences(before | {"text_unit": "line"}, now) == []
    assert option_differences(now | {"text_unit": "line"}, now) == [
        "--text_unit 'line', now 'sentence'"
    ]


def test_text_without_spaces_is_warned_of(tmp_path, caplog):
    (tmp_path / "zh.txt").write_text("糖尿病患者的胰岛素水平升高。\n糖尿病 患者 的 胰岛素\n" * 3)
    build_corpus(BuildConfig(input=(f"{tmp_path}/zh.txt",), output=f"{tmp_path}/data"), ALONE)
    assert "20 % of the tokens are clauses of Chinese" in caplog.text
    assert "jieba" in caplog.text


def test_a_truncated_text_file_gives_what_it_has_and_says_so(tmp_path):
    whole = gzip.compress("".join(f"line {n} of many words\n" for n in range(40_000)).encode())
    (tmp_path / "cut.txt.gz").write_bytes(whole[: len(whole) // 2])
    options = BuildConfig(
        input=(str(tmp_path / "cut.txt.gz"),), output=str(tmp_path / "data"), num_shards=1
    )
    made = build(options, ALONE)
    assert made.funnel["kept"] > 5
    assert made.funnel["rejected:damaged_member"] == 1
    assert made.funnel["read"] == made.funnel["kept"] + 1
    (line,) = (tmp_path / "data/rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["member"] == "cut.txt.gz"


def test_overwriting_never_touches_a_folder_that_is_not_ours(tmp_path):
    (tmp_path / "data/corpus").mkdir(parents=True)
    (tmp_path / "data/corpus/thesis.doc").write_text("years of work")
    with pytest.raises(UserError, match="not empty and not a dataset"):
        build(config(tmp_path, overwrite=True), ALONE)
    assert (tmp_path / "data/corpus/thesis.doc").exists()


def test_a_dataset_is_not_written_over_the_corpus_it_is_made_from():
    with pytest.raises(ValueError, match="--output must not be the dataset that --corpus names"):
        BuildConfig(output="data/", corpus="data", overwrite=True)


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keywords": ("zebra",)}, r"none of 36 articles is kept \(36 dropped:no_keyword\); check"),
        ({"min_count": 10_000}, "nothing to train on: .*lower --min_count"),
    ],
)
def test_an_empty_result_says_why_and_is_not_finished(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        build(config(tmp_path, **options), ALONE)
    assert not (tmp_path / "data/manifest.json").exists()
    assert not list((tmp_path / "data").rglob("*.tmp"))


def text_config(tmp_path, text, **options):
    (tmp_path / "novel.txt").write_text(text)
    given = {"min_count": 1, "num_shards": 2, "validation_fraction": 0.99} | options
    return BuildConfig(input=(str(tmp_path / "novel.txt"),), output=str(tmp_path / "d"), **given)


def test_the_only_article_is_never_held_out(tmp_path):
    text = "one two three four five six seven\n" * 50
    made = build(text_config(tmp_path, text, sample=0), ALONE)
    assert skipgrams.is_validation("novel.txt#0000", 0.99, 1)
    assert sum(shard.targets for shard in made.select("train")) == 350
    assert not any(shard.targets for shard in made.select("validation"))


def test_of_several_that_would_be_held_out_the_first_is_trained_on(tmp_path):
    text = "one two three four five six seven\n" * 3000
    made = build(text_config(tmp_path, text, sample=0, validation_fraction=0.999), ALONE)
    assert made.funnel["kept"] == 3
    assert sum(shard.targets for shard in made.select("train")) == 7000
    assert sum(shard.targets for shard in made.select("validation")) == 14000


def test_what_took_the_tokens_is_named(tmp_path):
    said = r"^nothing to train on: of 7 tokens in 1 article, "
    with pytest.raises(UserError, match=said) as told:
        build(text_config(tmp_path, "a b c d e f g\n"), ALONE)
    assert str(told.value).endswith(
        "7 are words of the vocabulary, --sample 0.001 leaves about 1; no two are beside each "
        "other; give --sample 0 or more text"
    )
    with pytest.raises(UserError, match="no word is frequent enough for the vocabulary; lower"):
        build(text_config(tmp_path, "a b c\n", min_count=2, overwrite=True), ALONE)
    text = "a\n" * 1000 + "b\n" * 1000
    with pytest.raises(UserError, match="1,000 are held out by --validation_fraction; no two are"):
        build(text_config(tmp_path, text, sample=0, overwrite=True), ALONE)


def test_the_funnel_says_that_an_older_version_counts():
    told = corpus_table({"read": 3, "kept": 2, "older_version": 1, "rejected:malformed": 1})
    rows = [re.split(r" {2,}", line.strip()) for line in told.splitlines()]
    assert rows[:4] == [
        ["articles read", "3"], ["rejected, malformed", "-1"],
        ["kept in an older version", "1"], ["articles kept", "2"],
    ]  # fmt: skip


def test_an_archive_of_rubbish_is_named(tmp_path):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"\x1f\x8b" + b"rubbish" * 100)
    with pytest.raises(UserError, match=r"none of 1 articles is kept \(1 rejected:damaged_member"):
        build(BuildConfig(input=(str(path),), output=str(tmp_path / "data")), ALONE)
    (line,) = (tmp_path / "data/rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["archive"] == "a.tar.gz"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--window", "40", "--block", "16"],
            "must be at most 16, the tokens that share their negatives; give --block 64 too",
        ),
        (["--window", "128"], "--window 128: must be at most 127"),
        (["--window", "90", "--record_length", "64"], "give --record_length 90 --block 90 too"),
        (["--negative", "0"], "--negative 0: must be at least 1"),
        (["--block", "30"], "--block 30: must divide --record_length 512"),
        (["--validation_fraction", "1"], "--validation_fraction must be at least 0 and below 1"),
        (["--windw", "5"], "perhaps you meant: --window"),
        (["--", "--direct_num_wokers=2"], "Beam knows no option --direct_num_wokers=2"),
        (["--", "--direct_num_workers=-1"], "--direct_num_workers -1: must not be negative"),
        (["--", "--direct_num_workers=abc"], "--direct_num_workers: invalid int value: 'abc'"),
        (["--", "--runner=Nope"], "--runner Nope: Unexpected pipeline runner: Nope."),
        (["--", "--runner=no.such.Runner"], "--runner no.such.Runner: No module named 'no'"),
        (["--metrics_port", "99999999"], "--metrics_port 99999999: must be at most 65535"),
        (["--ns_exponent", "nan"], "--ns_exponent nan: must be a finite number"),
        (["--ns_exponent", "1000"], "--ns_exponent 1000.0: must be at most 10"),
        (["--sample", "inf"], "--sample inf: must be a finite number"),
        (["--min_count", "9" * 20], f"--min_count {'9' * 20}: too large"),
        (["--max_final_vocab", "0"], "--max_final_vocab 0: must be at least 1"),
        (["--min_count", "0"], "--min_count 0: must be at least 1"),
        (["--num_shards", "0"], "--num_shards 0: must be at least 1"),
        (["--passes", "0"], "--passes 0: must be at least 1"),
        (["--slices", "0"], "--slices 0: must be at least 1"),
        (["--phrases", "-1"], "--phrases -1: must be at least 0"),
        (["--phrase_min_count", "0"], "--phrase_min_count 0: must be at least 1"),
        (["--phrase_threshold", "0"], "--phrase_threshold 0.0: must be above 0"),
        (["--sample", "-1"], "--sample -1.0: must be at least 0"),
        (
            ["--record_length", "500", "--block", "16"],
            "--block 16: must divide --record_length 500",
        ),
        (["--min_year", "1", "--max_year", "0"], "--min_year is after --max_year"),
        (["--sections"], "--sections needs at least one section"),
        (["--keywords", " "], "--keywords: an empty keyword, which every article mentions"),
        (["--corpus", "c"], "give either --input (archives, files, folders) or --corpus"),
        (["--inventory", "i", "--input", "a", "b"], "--inventory needs one --input"),
        (["--share", "2/2"], "--share 2/2: must be I/N with I from 0 to N - 1"),
        (["--share", "0/2", "--overwrite"], "--share goes with no --corpus, --stop_after or"),
        (["--storage_option", "endpoint"], "endpoint"),
    ],
)
def test_a_usage_error_is_one_line_and_status_2(tmp_path, capsys, words, message):
    given = [] if "--input" in words else ["--input", "a"]
    with pytest.raises(SystemExit) as stop:
        main([*given, "--output", str(tmp_path / "data"), *words])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "a.xml"}, r"--input 'a.xml': must be several, as in a tuple"),
        ({"noise": "zipf"}, r"--noise 'zipf': must be one of unigram, log_uniform, uniform"),
        ({"sections": ("boddy",)}, r"--sections \('boddy',\): must be one of title, abstract, "),
        ({"min_count": 2.5}, r"--min_count 2.5: must be a whole number"),
        ({"min_count": True}, r"--min_count True: must be a whole number"),
        ({"sample": "0"}, r"--sample '0': must be a finite number"),
        ({"lowercase": "no"}, r"--lowercase 'no': must be True or False"),
        ({"output": "a\0b"}, r"--output 'a\\x00b': must be UTF-8 without zero bytes"),
        ({"output": b"a"}, r"--output b'a': must be text"),
        ({"since": "d", "output": "./d/"}, r"--output must not be the dataset that --since names"),
        ({"corpus": "d", "input": (), "output": "d/"}, r"--output must not .* --corpus names"),
        ({"corpus": "d", "input": (), "since": "e"}, r"--since needs --input"),
        ({"corpus": "d", "input": (), "stop_after": "corpus"}, r"--stop_after corpus has nothing"),
    ],
)
def test_options_from_python_are_checked_as_those_of_a_command_line(options, message):
    with pytest.raises(ValueError, match="^" + message):
        BuildConfig(**{"input": ("a",), "output": "data", **options})


def test_a_wide_window_has_blocks_that_hold_it():
    blocks = [BuildConfig(output="d", input=("b",), window=w).block for w in (5, 16, 17, 100)]
    assert blocks == [16, 16, 32, 128]


def test_options_from_python_become_those_of_a_command_line():
    made = BuildConfig(input=[Path("a.xml")], output=Path("data"), sample=0, keywords_file="k")
    assert made == BuildConfig(input=("a.xml",), output="data", sample=0.0, keywords_file=Path("k"))
    assert isinstance(made.sample, float)
    assert isinstance(made.output, str)


def test_beams_own_options_are_known():
    check_flags(["--runner=FlinkRunner", "--flink_master=a:1", "--setup_file=./s"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_error_in_a_worker_is_one_line(tmp_path, workers):
    bulk = write_bulk(tmp_path / "bulk")
    (tmp_path / "bulk/gone.tar.gz").symlink_to(tmp_path / "bulk/oa_0.tar.gz")
    (tmp_path / "data/counts/part-00001.parquet").mkdir(parents=True)  # stands in the way
    (tmp_path / "data/build.json").write_text("{}")
    command = [
        sys.executable, "-m", "pmc2vec", "build", "--input", bulk, "--overwrite",
        "--output", str(tmp_path / "data"), "--", f"--direct_num_workers={workers}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("pmc2vec: error: ")
    assert "Traceback" not in done.stderr


def test_the_command_prints_the_funnel(tmp_path, capsys):
    bulk = write_bulk(tmp_path / "bulk")
    output = str(tmp_path / "d")
    words = ["--input", bulk, "--output", output, "--keywords", "melanoma", "--min_count", "2"]
    assert main([*words, "--", *ALONE]) == 0
    printed = capsys.readouterr().out
    rows = [line.split("  ") for line in printed.splitlines()]
    cells = {row[0].strip() or row[1]: row[-1].strip() for row in rows if len(row) > 1}
    assert cells["articles read"] == "36"
    assert cells["dropped, no keyword"] == "-24"
    assert cells["articles kept"] == "12"
    assert "pmc2vec train --dataset" in printed
    assert (
        manifest.parse_manifest((tmp_path / "d/manifest.json").read_text(), "m").funnel["kept"]
        == 12
    )
