import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.inputs import slices, work_items
from beam_pipelines.inputs.archives import Document
from beam_pipelines.inputs.slices import Slice
from pmc2vec.errors import UserError
from tests.bulk import TOPICS, article, write_archive

ALONE = ("--direct_num_workers=1",)
OPTIONS = {"min_count": 2, "num_shards": 3, "record_length": 64, "block": 8, "block_negatives": 4,
           "validation_fraction": 0.2, "keywords": ("melanoma", "carcinoma")}  # fmt: skip
ARTICLES = 40


def read_by(part: Slice, positions: list[int], size: int) -> list[str | None]:
    """What a slice takes of documents named by their number, each read at its position."""
    at = -1

    def documents():
        nonlocal at
        for at in range(len(positions)):
            yield Document(str(at), b"")

    found = part.documents(documents(), lambda: positions[at], size)
    return [document and document.member for document in found]


def test_a_slice_takes_the_runs_that_begin_in_its_bytes(monkeypatch):
    monkeypatch.setattr(slices, "RUN_DOCUMENTS", 2)
    positions = [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert read_by(Slice(0, 2), positions, 100) == ["0", "1", None, "2", "3"]
    assert read_by(Slice(1, 2), positions, 100) == [None, "4", "5", None, "6", "7", None, "8"]
    whole = [None if n == -1 else str(n) for n in (0, 1, -1, 2, 3, -1, 4, 5, -1, 6, 7, -1, 8)]
    assert read_by(Slice(), positions, 100) == whole


@pytest.mark.parametrize("positions", [[100] * 7, [0] * 7, [5, 80, 5, 80, 5, 80, 5]])
def test_every_document_is_in_one_slice_wherever_it_stands(monkeypatch, positions):
    monkeypatch.setattr(slices, "RUN_DOCUMENTS", 2)
    taken = [name for i in range(5) for name in read_by(Slice(i, 5), positions, 100) if name]
    assert taken == [str(number) for number in range(7)]


def test_the_bytes_read_of_all_slices_add_up():
    assert [Slice(i, 3).done(60, 100) for i in range(3)] == [33, 27, 0]
    assert [Slice(i, 3).done(100, 100) for i in range(3)] == [33, 33, 34]


@pytest.fixture
def bulk(tmp_path, monkeypatch):
    """Two archives with broken members, the second cut off and with an article of the first."""
    monkeypatch.setattr(slices, "RUN_DOCUMENTS", 4)
    monkeypatch.setattr(work_items, "SLICE_BYTES", 1000)
    monkeypatch.setattr("beam_pipelines.inputs.archives._CHUNK", 512)
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
