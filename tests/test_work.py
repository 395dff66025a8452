import pytest

from beam_pipelines.inputs.work_items import bundles, input_files, work_items
from beam_pipelines.stages.corpus_parts import WorkItem
from pmc2vec.errors import UserError


def test_input_is_files_folders_and_globs_each_once(tmp_path):
    for name in ("a.tar.gz", "a.filelist.csv", "b.xml", "deep/c.nxml", "deep/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
    found = input_files([str(tmp_path), str(tmp_path / "*.tar.gz"), str(tmp_path / "a.*")])
    assert [(path.removeprefix(f"{tmp_path}/"), size) for path, size in found] == [
        ("a.tar.gz", 5),
        ("b.xml", 5),
        ("deep/c.nxml", 5),
    ]


@pytest.mark.parametrize("name", ["missing.tar.gz", "empty", "*.nothing"])
def test_input_that_is_not_there_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="matches no archive, XML file or text file"):
        input_files([str(tmp_path / name)])


def test_an_archive_is_one_item_and_loose_files_come_by_the_handful():
    files = [("a.tar.gz", 9), ("b.zip", 9), *((f"{n:04d}.xml", 1) for n in range(1068))]
    items = work_items(files)
    assert [len(item.files) for item in items] == [1, 1, 1024, 44]
    assert [item.name for item in items] == ["part-00000", "part-00001", "part-00002", "part-00003"]
    assert [file for item in items for file in item.files] == files


def test_large_loose_files_make_parts_of_bounded_size():
    size = 40 << 20
    items = work_items([("a.xml", size), ("b.xml", size)])
    assert [item.size for item in items] == [size, size]


def test_bundles_are_of_like_size_whatever_the_order():
    items = [WorkItem(n, ((f"{n}", size),)) for n, size in enumerate((1, 35, 8, 20, 12, 4))]
    made = bundles(items, 2)
    assert [sum(item.size for item in bundle) for bundle in made] == [40, 40]
    assert sorted(item.index for bundle in made for item in bundle) == list(range(6))


def test_there_is_no_empty_bundle():
    assert bundles([WorkItem(0, (("a", 0),))], 8) == [[WorkItem(0, (("a", 0),))]]
