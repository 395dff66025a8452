"""Files of partitions, gathered: the same dataset, with each part's files opened once."""

import io
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.stages import duplicates, partitions, word_counts
from beam_pipelines.stages.partitions import PARTITIONS, gather, placeholder, read_partition
from tests.bulk import add

SCHEMA = pa.schema([("word", pa.string()), ("count", pa.int64()), ("kept", pa.bool_())])


def rows(*words: str) -> pa.Table:
    return pa.table({"word": words, "count": [1] * len(words), "kept": [True] * len(words)}, SCHEMA)


def write(path: Path, tables: dict[int, pa.Table], rounds: int = 1) -> str:
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for number in range(PARTITIONS * rounds):
            writer.write_table(tables.get(number, placeholder(SCHEMA)))
    return str(path)


@pytest.mark.parametrize("waiting", [1 << 20, 2])
def test_each_partition_has_the_rows_of_all_files_in_their_order(tmp_path, monkeypatch, waiting):
    monkeypatch.setattr(partitions, "_WAITING_ROWS", waiting)
    paths = [
        write(tmp_path / "a", {0: rows("a", "b"), 31: rows("z"), 32: rows("c")}, rounds=2),
        write(tmp_path / "b", {0: rows("a")}),
        write(tmp_path / "c", {}),
    ]
    gather(paths, str(tmp_path / "all"), SCHEMA)
    file = io.BytesIO((tmp_path / "all").read_bytes())
    words = {n: read_partition(file, n)["word"].to_pylist() for n in range(PARTITIONS)}
    assert {n: [w for w in ws if w] for n, ws in words.items() if any(ws)} == {
        0: ["a", "b", "c", "a"],
        31: ["z"],
    }
    assert (pq.ParquetFile(file).num_row_groups > PARTITIONS) == (waiting == 2)


@pytest.fixture(scope="module")
def bulk(tmp_path_factory) -> Path:
    """Five archives; the last two have newer copies of some articles, one of them dropped."""
    folder = tmp_path_factory.mktemp("partitions") / "bulk"
    topics = ("melanoma", "carcinoma", "maize")
    for archive in range(3):
        ids = range(archive * 4, archive * 4 + 4)
        add(folder, f"oa_{archive}", {n: topics[n % 3] for n in ids}, "2026-01-01")
    add(folder, "oa_3", {1: "melanoma", 3: "maize"}, "2026-02-01")
    add(folder, "oa_4", {1: "carcinoma", 9: "melanoma"}, "2026-03-01")
    return folder


def test_gathered_parts_make_the_same_dataset(bulk, tmp_path, monkeypatch):
    def dataset(name: str) -> dict[str, bytes]:
        config = BuildConfig(
            input=(str(bulk),), output=str(tmp_path / name), keywords=("melanoma", "carcinoma"),
            min_count=2, num_shards=2, phrases=1, phrase_min_count=1, phrase_threshold=1,
        )  # fmt: skip
        build(config, ["--direct_num_workers=1"])
        folder = tmp_path / name
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    whole = dataset("whole")
    assert b"superseded" in whole["manifest.json"]
    monkeypatch.setattr(partitions, "PARTS_OF_A_GROUP", 2)
    opened: Counter[str] = Counter()

    def counting(function):
        def count(path):
            opened[str(Path(path).relative_to(tmp_path / "gathered"))] += 1
            return function(path)

        return count

    monkeypatch.setattr(duplicates, "open_binary", counting(duplicates.open_binary))
    monkeypatch.setattr(word_counts, "open_binary", counting(word_counts.open_binary))
    monkeypatch.setattr(partitions, "read_bytes", counting(partitions.read_bytes))
    assert dataset("gathered") == whole
    parts = {path: n for path, n in opened.items() if "/part-" in path}
    assert parts == {
        f"{path}/part-0000{n}{suffix}.parquet": 1
        for n in range(5)
        for path, suffix in (("parts", ".copies"), ("pairs-1", ""), ("phrased", ""))
    }
    # In three groups: each partition, and each of the five parts that are finished.
    assert sum(n for path, n in opened.items() if "gathered-left" in path) == 5
