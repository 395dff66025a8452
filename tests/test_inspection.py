"""What `pmc2vec inspect` tells of datasets and workdirs, and what it refuses."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pmc2vec.commands.inspect import inspect, main
from pmc2vec.commands.inspection import check_record, dataset_facts, workdir_facts
from pmc2vec.commands.main import main as pmc2vec_main
from pmc2vec.dataset.records import (
    Record,
    RecordShape,
    encode_tfrecords,
    frame_tfrecord,
    read_shard,
)
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.workdir_files import write_vectors
from tests.datasets import topic_articles, write_dataset

ROOT = Path(__file__).parent.parent
SHAPE = RecordShape(length=8, block=4, block_negatives=2, window=2, negative=5)
TRAIN_SHARD = "train-00000-of-00001.tfrecord"


@pytest.fixture
def dataset(tmp_path):
    """One article of two sentences; ids by falling count: fever 0, cough 1, rash 2."""
    text = [["fever", "cough", "fever", "rash"], ["fever", "cough"]]
    return write_dataset(
        tmp_path / "dataset",
        {"PMC1": text},
        shape=SHAPE,
        num_shards=1,
        validation_fraction=0.0,
        shrink_windows=False,
    )


@pytest.fixture
def workdir(tmp_path):
    """A workdir as training leaves it, with two checkpoints kept."""
    folder = tmp_path / "run"
    for place, name in (("checkpoints", "ckpt-20"), ("checkpoints/best", "ckpt-10")):
        (folder / place).mkdir(parents=True)
        (folder / place / "checkpoint").write_text(
            f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n'
        )
        (folder / place / f"{name}.index").touch()
    (folder / "config.json").write_text('{"vector_size": 2, "epochs": 3}')
    matrix = np.array([[3, 4], [0, 1]], np.float32)
    write_vectors(folder, ["fever", "cough"], np.array([3, 2]), matrix)
    (folder / "provenance.json").write_text('{"scores": {"validation_loss": 2.5}}')
    return folder


def change_manifest(folder: Path, **changes) -> None:
    """Sets fields of the only training shard, or of the manifest itself."""
    path = folder / "manifest.json"
    raw = json.loads(path.read_text())
    shard = next(shard for shard in raw["shards"] if shard["name"] == TRAIN_SHARD)
    for name, value in changes.items():
        (shard if name in shard else raw)[name] = value
    path.write_text(json.dumps(raw))


def rewrite_shard(folder: Path, data: bytes) -> None:
    """Puts other bytes into the training shard, and their size and digest into the manifest."""
    (folder / TRAIN_SHARD).write_bytes(data)
    change_manifest(folder, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def first_record(folder: Path) -> Record:
    with (folder / TRAIN_SHARD).open("rb") as file:
        return next(read_shard(file, TRAIN_SHARD))


# --- a dataset ---------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
def test_facts_of_a_dataset_are_those_of_its_manifest_and_files(dataset, deep):
    facts = dataset_facts(dataset, deep=deep)
    assert facts["kind"] == "dataset"
    assert facts["checked"] == ("every record" if deep else "sizes")
    assert facts["vocabulary"]["size"] == 3
    assert facts["vocabulary"]["most_frequent"] == {"fever": 3, "cough": 2, "rash": 1}
    size = (dataset / TRAIN_SHARD).stat().st_size
    assert facts["splits"][0] == {
        "split": "train",
        "draw": 0,
        "shards": 1,
        "records": 1,
        "targets": 6,
        "pairs": 12,  # 10 in the sentence of four with window 2, 2 in the other.
        "words": 6,
        "bytes": size,
        "bytes_per_pair": round(size / 12, 3),
    }


def test_the_example_shows_what_is_trained_on(dataset):
    example = dataset_facts(dataset)["example"]
    assert example["shard"] == TRAIN_SHARD
    words = "fever cough fever rash fever cough".split()
    assert [token["word"] for token in example["tokens"]] == words
    assert [token["window"] for token in example["tokens"]] == [2] * 6
    assert [at for at, token in enumerate(example["tokens"]) if token["starts"]] == [0, 4]
    shown = [(pair["target"], pair["context"]) for pair in example["pairs"]]
    assert shown == [
        ("fever", "cough"),
        ("fever", "fever"),
        ("cough", "fever"),
        ("cough", "fever"),
        ("cough", "rash"),
        ("fever", "fever"),
    ]
    first_block = [facts_word(dataset, id_) for id_ in first_record(dataset).negatives[:2]]
    assert all(pair["negatives"] == first_block for pair in example["pairs"])


def facts_word(dataset: Path, id_: int) -> str:
    return (dataset / "vocabulary.tsv").read_text().split("\n")[1 + id_].split("\t")[0]


def test_each_draw_of_several_passes_has_its_row(tmp_path):
    folder = write_dataset(tmp_path, topic_articles(12), passes=3)
    splits = dataset_facts(folder, deep=True)["splits"]
    rows = [(split["split"], split["draw"], split["shards"]) for split in splits]
    assert rows == [("train", 0, 2), ("train", 1, 2), ("train", 2, 2), ("validation", 0, 2)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no manifest.json, so the dataset is"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json: not JSON"),
        (lambda folder: change_manifest(folder, version=0), "dataset version 0, this program"),
        (lambda folder: (folder / TRAIN_SHARD).unlink(), f"{TRAIN_SHARD}: no such file"),
        (lambda folder: change_manifest(folder, bytes=7), f"{TRAIN_SHARD}: .* manifest says 7;"),
        (lambda folder: (folder / "vocabulary.tsv").unlink(), "vocabulary.tsv: cannot be read"),
        (
            lambda folder: (folder / "vocabulary.tsv").write_text("word\tcount\nfever\t3\n"),
            r"vocabulary.tsv: not the file that the manifest describes \(sha256\)",
        ),
    ],
    ids=["unfinished", "not json", "version", "no shard", "short", "no vocabulary", "other words"],
)
def test_what_the_quick_check_refuses(dataset, damage, message):
    damage(dataset)
    with pytest.raises(UserError, match=message):
        inspect(dataset)


def test_a_flipped_bit_is_found_by_the_deep_check(dataset):
    data = bytearray((dataset / TRAIN_SHARD).read_bytes())
    data[-20] ^= 1
    rewrite_shard(dataset, bytes(data))
    with pytest.raises(UserError, match=f"{TRAIN_SHARD}: damaged record at byte 0"):
        dataset_facts(dataset, deep=True)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("records", "1 records, the manifest says 9"),
        ("targets", "6 targets"),
        ("pairs", "12 pairs"),
    ],
)
def test_sums_that_differ_from_the_manifest_are_found_by_the_deep_check(dataset, field, message):
    change_manifest(dataset, **{field: 9})
    with pytest.raises(UserError, match=f"{TRAIN_SHARD}: {message}"):
        dataset_facts(dataset, deep=True)


def test_another_file_of_the_same_sums_is_found_by_the_deep_check(dataset):
    record = first_record(dataset)
    swapped = Record(record.tokens, record.windows, record.negatives[::-1] * 0)
    data = b"".join(encode_tfrecords([swapped]))
    (dataset / TRAIN_SHARD).write_bytes(data)
    with pytest.raises(UserError, match=r"describes \(sha256\)"):
        dataset_facts(dataset, deep=True)


def test_a_payload_that_is_no_record_is_found_by_the_deep_check(dataset):
    rewrite_shard(dataset, frame_tfrecord(b"\x0a\x03abc"))
    with pytest.raises(UserError, match=f"{TRAIN_SHARD}: record 0: .*; build the dataset again"):
        dataset_facts(dataset, deep=True)


@pytest.mark.parametrize(
    ("tokens", "windows", "negatives", "message"),
    [
        ([0, 1, 2, -1], [1, 2, 1, 0], [0, 2], None),
        ([0, 1, 2, 2], [129, 2, 130, 1], [0, 2], None),
        ([0, 1, 3, -1], [1, 2, 1, 0], [0, 2], "tokens from 0 to 3, but ids are 0 to 2"),
        ([0, -2, 1, -1], [1, 2, 1, 0], [0, 2], "tokens from -2 to 1"),
        ([0, 1, 2, -1], [1, 2, 1, 0], [0, 3], "negatives from 0 to 3"),
        ([0, 1, 2, -1], [1, 2, 1, 0], [-1, 0], "negatives from -1 to 0"),
        ([0, 1, 2, -1], [1, 3, 1, 0], [0, 2], "windows from 1 to 3, not 1 to 2"),
        ([0, 1, 2, -1], [1, 128, 1, 0], [0, 2], "windows from 0 to 1"),
        ([0, -1, 2, -1], [1, 0, 1, 0], [0, 2], "padding stands elsewhere"),
        ([-1, -1, -1, -1], [0, 0, 0, 0], [0, 2], "padding stands elsewhere"),
        ([0, 1, 2, -1], [1, 2, 1, 1], [0, 2], "padding stands elsewhere"),
        ([0, 1, 2], [1, 2, 1], [0, 2], r"\(3, 3, 2\) tokens, windows and negatives instead of"),
        ([0, 1, 2, 2], [1, 2, 1, 1], [0], r"\(4, 4, 1\) tokens, windows and negatives"),
    ],
)
def test_a_record_is_checked_for_all_that_it_promises(tokens, windows, negatives, message):
    shape = RecordShape(length=4, block=4, block_negatives=2, window=2, negative=5)
    record = Record(
        np.array(tokens, np.int32), np.array(windows, np.uint8), np.array(negatives, np.int32)
    )
    if message is None:
        check_record(record, shape, vocabulary_size=3)
    else:
        with pytest.raises(ValueError, match=message):
            check_record(record, shape, vocabulary_size=3)


# --- a workdir ---------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [False, True])
def test_facts_of_a_finished_workdir(workdir, deep):
    facts = workdir_facts(workdir, deep=deep)
    assert facts["finished"] is True
    assert facts["config"] == {"vector_size": 2, "epochs": 3}
    assert facts["checkpoints"] == {"checkpoints": "ckpt-20", "checkpoints/best": "ckpt-10"}
    assert facts["provenance"] == {"scores": {"validation_loss": 2.5}}
    expected = {"words": 2, "vector_size": 2, "most_frequent": ["fever", "cough"]}
    if deep:
        expected["norms"] = {"least": 1.0, "greatest": 5.0}
    assert facts["vectors"] == expected


def test_an_unfinished_workdir_is_shown_and_then_refused(workdir, capsys):
    (workdir / "provenance.json").unlink()
    assert pmc2vec_main(["inspect", str(workdir)]) == 1
    out, err = capsys.readouterr()
    assert "not finished" in out
    assert "ckpt-20" in out
    assert err == (
        f"pmc2vec: error: {workdir}: training is not finished; `pmc2vec train --workdir {workdir}` "
        "with the same options goes on\n"
    )


def test_a_copy_with_other_numbers_is_refused_by_the_deep_check(tmp_path):
    matrix = np.arange(8, dtype=np.float32).reshape(4, 2)
    write_vectors(tmp_path, list("abcd"), None, matrix)
    inspect(tmp_path, deep=True)
    matrix[2] = 0
    np.save(tmp_path / "vectors.npy", matrix)
    with pytest.raises(UserError, match=r"vectors.npy: not the numbers of vectors.tsv"):
        inspect(tmp_path, deep=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json: not JSON"),
        ("checkpoints/checkpoint", 'model_checkpoint_path: "ckpt-30"\n', "checkpoint ckpt-30, whi"),
        ("checkpoints/checkpoint", "", "names the checkpoint none"),
        ("vectors.tsv", "1\t2\n", "vectors.tsv: 1 rows for 2 words"),
        ("vectors.tsv", "1\t2\nnan\t0\n", "the vector of 'cough' is not finite"),
    ],
)
def test_a_damaged_workdir_is_refused(workdir, name, content, message):
    (workdir / name).write_text(content)
    with pytest.raises(UserError, match=message):
        inspect(workdir, deep=True)


# --- the command -------------------------------------------------------------------------------


def test_a_dataset_as_text(dataset, capsys):
    assert main([str(dataset), "--deep"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{dataset}: a finished dataset, by pmc2vec ")
    assert "vocabulary and 2 shards as its manifest says, every record read\n" in out
    assert "most frequent: fever 3, cough 2, rash 1\n" in out
    assert "\n  fever:2 cough:2 fever:2 rash:2\n  fever:2 cough:2\n" in out
    assert "\x1b" not in out
    (row,) = (line.split() for line in out.splitlines() if line.startswith("train "))
    assert row[:7] == ["train", "0", "1", "1", "6", "12", "6"]


def test_a_workdir_as_text(workdir, capsys):
    assert main([str(workdir)]) == 0
    title, _, *rows = capsys.readouterr().out.splitlines()
    assert title == f"{workdir}: a workdir, finished; --json has every option and figure"
    assert [" ".join(row.split()) for row in rows] == [
        "vectors words 2, vector_size 2",
        "most frequent fever cough",
        "scores validation_loss 2.5",
        "options that are not default vector_size 2, epochs 3",
        "checkpoints checkpoints/best ckpt-10, checkpoints ckpt-20",
    ]


def test_a_workdir_fits_a_screen(workdir, capsys, monkeypatch):
    config = dict.fromkeys(("seed", "vector_size", "epochs", "batch_size", "devices"), 7)
    (workdir / "config.json").write_text(json.dumps(config | {"dataset": "d" * 60}))
    sums = dict.fromkeys(("read", "kept", "tokens", "sentences"), 1000000)
    provenance = {
        "trained": dict.fromkeys(("epochs", "steps", "trained_words", "seconds"), 1_000_000),
        "scores": dict.fromkeys(("loss", "accuracy", "validation_loss"), 0.123456),
        "dataset": {"funnel": sums, "licences": dict.fromkeys("ABCDEFG", 12_345)},
        "config": dict.fromkeys(map(str, range(100)), "long"),
    }
    (workdir / "provenance.json").write_text(json.dumps(provenance))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main([str(workdir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80


def test_json_is_the_facts(dataset, workdir, capsys):
    for folder in (dataset, workdir):
        assert main([str(folder), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == inspect(folder)


def test_a_folder_of_something_else_is_one_line_and_status_1(tmp_path, capsys):
    for folder, message in ((tmp_path, "neither a dataset"), (tmp_path / "x", "no such folder")):
        assert pmc2vec_main(["inspect", str(folder)]) == 1
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert message in err


def test_shards_without_a_manifest_are_an_unfinished_dataset(tmp_path):
    (tmp_path / TRAIN_SHARD).touch()
    with pytest.raises(UserError, match="not finished; run the same `pmc2vec build` again"):
        inspect(tmp_path)


def test_inspection_and_queries_load_neither_tensorflow_nor_beam(dataset):
    program = (
        "import sys, pmc2vec.commands.inspect\n"
        "import pmc2vec.commands.neighbours, pmc2vec.commands.export\n"
        f"pmc2vec.commands.inspect.main([{str(dataset)!r}, '--deep'])\n"
        "assert not {'tensorflow', 'keras', 'apache_beam'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
