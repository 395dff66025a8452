import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.inputs import work_items
from beam_pipelines.inputs.documents import Document
from beam_pipelines.inputs.work_items import ByteRange, WorkItem, bundles
from pmc2vec.errors import UserError
from tests.bulk import TOPICS, article, write_archive

ALONE = ("--direct_num_workers=1",)
OPTIONS = {"min_count": 2, "num_shards": 3, "record_length": 64, "block": 8, "block_negatives": 4,
           "validation_fraction": 0.2, "keywords": ("melanoma", "carcinoma")}  # fmt: skip
ARTICLES = 40


def test_an_archive_is_one_item_and_loose_files_come_by_the_handful():
    files = [("a.tar.gz", 9), ("b.zip", 9), *((f"{n:04d}.xml", 1) for n in range(1068))]
    items = work_items.work_items(files)
    assert [len(item.files) for item in items] == [1, 1, 1024, 44]
    assert [item.name for item in items] == ["part-00000", "part-00001", "part-00002", "part-00003"]
    assert [file for item in items for file in item.files] == files


def test_large_loose_files_make_parts_of_bounded_size():
    size = 40 << 20
    items = work_items.work_items([("a.xml", size), ("b.xml", size)])
    assert [item.size for item in items] == [size, size]


def test_files_of_one_name_are_told_apart_by_their_folders():
    paths = ["/a/x/part.txt", "/a/y/part.txt", "/b/x/part.txt", "/b/only.txt", "part.txt"]
    assert list(work_items.file_names(paths).values()) == [
        "a/x/part.txt", "y/part.txt", "b/x/part.txt", "only.txt", "part.txt",
    ]  # fmt: skip
    (item,) = work_items.work_items([(path, 1) for path in paths])
    assert item.names == tuple(work_items.file_names(paths).values())


def test_bundles_are_of_like_size_whatever_the_order():
    items = [WorkItem(n, ((f"{n}", size),)) for n, size in enumerate((1, 35, 8, 20, 12, 4))]
    made = bundles(items, 2)
    assert [sum(item.size for item in bundle) for bundle in made] == [40, 40]
    assert sorted(item.index for bundle in made for item in bundle) == list(range(6))


def test_there_is_no_empty_bundle():
    assert bundles([WorkItem(0, (("a", 0),))], 8) == [[WorkItem(0, (("a", 0),))]]


def read_by(part: ByteRange, positions: list[int], size: int) -> list[str | None]:
    """What a byte range takes of documents named by their number, each read at its position."""
    at = -1

    def documents():
        nonlocal at
        for at in range(len(positions)):
            yield Document(str(at), b"")

    selected = part.select(documents(), lambda: positions[at], size)
    return [document and document.member for document in selected]


def test_a_byte_range_takes_the_runs_that_begin_in_its_bytes(monkeypatch):
    monkeypatch.setattr(work_items, "RUN_DOCUMENTS", 2)
    positions = [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert read_by(ByteRange(0, 2), positions, 100) == ["0", "1", None, "2", "3"]
    assert read_by(ByteRange(1, 2), positions, 100) == [None, "4", "5", None, "6", "7", None, "8"]
    whole = [None if n == -1 else str(n) for n in (0, 1, -1, 2, 3, -1, 4, 5, -1, 6, 7, -1, 8)]
    assert read_by(ByteRange(), positions, 100) == whole


@pytest.mark.parametrize("positions", [[100] * 7, [0] * 7, [5, 80, 5, 80, 5, 80, 5]])
def test_every_document_is_in_one_byte_range_wherever_it_stands(monkeypatch, positions):
    monkeypatch.setattr(work_items, "RUN_DOCUMENTS", 2)
    taken = [name for i in range(5) for name in read_by(ByteRange(i, 5), positions, 100) if name]
    assert taken == [str(number) for number in range(7)]


def test_the_bytes_read_of_all_byte_ranges_add_up():
    assert [ByteRange(i, 3).bytes_read(60, 100) for i in range(3)] == [33, 27, 0]
    assert [ByteRange(i, 3).bytes_read(100, 100) for i in range(3)] == [33, 33, 34]


@pytest.fixture
def bulk(tmp_path, monkeypatch):
    """Two archives with broken members, the second cut off and with an article of the first."""
    monkeypatch.setattr(work_items, "RUN_DOCUMENTS", 4)
    monkeypatch.setattr(work_items, "RANGE_BYTES", 1000)
    monkeypatch.setattr("beam_pipelines.inputs.decompression.CHUNK_BYTES", 512)
    topics = list(TOPICS)
    (tmp_path / "bulk").mkdir()
    for name, first in (("a.tar.gz", 0), ("b.tar.gz", ARTICLES - 1)):
        ids = range(first, first + ARTICLES)
        members = {f"PMC/PMC{n}.xml": article(n, topics[n % 3]) for n in ids}
        members[f"PMC/PMC{first + 7}.xml"] = b"<article><front>"
        archive = write_archive(tmp_path / "bulk" / name, members, level=0)
    archive.write_bytes(archive.read_bytes()[:-9000])
    return str(tmp_path / "bulk")


def built(tmp_path, bulk: str, number: int):
    folder = tmp_path / f"by-{number}"
    config = BuildConfig(input=(bulk,), output=str(folder), slices=number, **OPTIONS)
    made = build(config, ALONE)
    names = ["rejected.jsonl", "SOURCES.tsv", "vocabulary.tsv"]
    files = {path: path.read_bytes() for path in folder.iterdir() if path.name in names}
    files |= {path: path.read_bytes() for path in folder.glob("*.tfrecord")}
    return made, {path.name: data for path, data in files.items()}


def test_a_dataset_is_the_same_for_any_number_of_slices(tmp_path, bulk):
    (whole, files) = built(tmp_path, bulk, 1)
    assert whole.funnel["truncated_archive"] == 1
    assert whole.funnel["dropped:superseded"] == 1
    assert whole.funnel["rejected:broken_xml"] == 2
    assert len(files) == 3 + 2 * 3
    for number in (2, 7, 50):
        made, found = built(tmp_path, bulk, number)
        assert found == files
        assert made == whole
        parts = sorted((tmp_path / f"by-{number}" / "corpus").glob("*.parquet"))
        assert len(parts) == 2 * number


def test_another_number_of_slices_is_another_build(tmp_path, bulk):
    built(tmp_path, bulk, 2)
    other = BuildConfig(input=(bulk,), output=str(tmp_path / "by-2"), slices=3, **OPTIONS)
    with pytest.raises(UserError, match="holds a build with --slices 2, now 3"):
        build(other, ALONE)
