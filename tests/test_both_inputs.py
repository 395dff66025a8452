"""A bucket of article versions and files of citations in one build."""

import json

import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import STARTED_NAME, build
from beam_pipelines.build_progress import BuildDisplay
from beam_pipelines.config import BuildConfig
from beam_pipelines.inputs.work_items import VERSION_BYTES, bundles, version_items, work_items
from beam_pipelines.stages.increments import NothingNewError
from beam_pipelines.stages.output_folder import Heartbeat, OutputFolder
from tests.bulk import article
from tests.pubmed import citation, write_numbered
from tests.test_bucket import ALONE, OPTIONS, write_versions

INCREMENT = OPTIONS | {"keywords": (), "min_count": 1, "validation_fraction": 0.0}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A copy of the bucket, and citations: two of its articles, one of another."""
    folder = tmp_path_factory.mktemp("both")
    write_versions(folder / "pmc")
    write_numbered(
        folder / "citations", 1,
        citation(1, pmc="PMC1"),  # read in full text
        citation(4, pmc="PMC4"),  # retracted there, and not downloaded: judged for itself
        citation(900, "Maize grows where melanoma does not."),
    )  # fmt: skip
    return folder


def config(inputs, output, **options):
    places = tuple(str(inputs / name) for name in ("citations", "pmc"))
    return BuildConfig(input=places, output=str(output), **{**INCREMENT, **options})


@pytest.fixture(scope="module")
def dataset(inputs):
    build(config(inputs, inputs / "first"), ALONE)
    return inputs / "first"


def test_each_article_is_read_once(dataset):
    facts = json.loads((dataset / "manifest.json").read_text())
    funnel = facts["funnel"]
    assert (funnel["listed"], funnel["not_downloaded:retracted"]) == (71, 1)
    assert (funnel["read"], funnel["kept"], funnel["dropped:in_full_text"]) == (72, 71, 1)
    rows = [
        row
        for part in sorted((dataset / "corpus").glob("*.parquet"))
        for row in pq.read_table(part, columns=["article_id", "source", "mesh"]).to_pylist()
    ]
    assert [row["article_id"] for row in rows if row["source"] == "pubmed"] == [
        "pmid:4", "pmid:900",
    ]  # fmt: skip
    # Versions come first, since a row group of the selection is found by its part's number.
    assert [path.split("/")[-1] for path, _ in facts["inputs"]] == [
        "pmc", "pubmed26n0001.xml.gz",
    ]  # fmt: skip


def test_options_that_select_from_the_bucket_leave_the_files_alone(inputs, tmp_path):
    funnel = build(config(inputs, tmp_path / "d", limit=5), ALONE).funnel
    assert (funnel["read"], funnel["not_downloaded:not_in_sample"]) == (8, 65)
    started = json.loads((tmp_path / "d" / STARTED_NAME).read_text())
    assert started["selection"]["limit"] == 5


def test_an_increment_takes_what_is_new_on_either_side(inputs, dataset, tmp_path):
    def increment(name, since):
        return build(config(inputs, tmp_path / name, since=str(since)), ALONE).funnel

    with pytest.raises(NothingNewError, match="knows all versions"):
        increment("none", dataset)
    write_numbered(inputs / "citations", 2, citation(901, "Wheat grows."))
    second = increment("second", dataset)
    assert (second["read"], second["kept"], second["not_downloaded:known"]) == (1, 1, 70)
    (inputs / "pmc/PMC99.1").mkdir()
    (inputs / "pmc/PMC99.1/PMC99.1.xml").write_bytes(article(99, "maize"))
    (inputs / "pmc/metadata/PMC99.1.json").write_text("{}")
    third = increment("third", tmp_path / "second")
    assert (third["read"], third["kept"]) == (1, 1)


def test_versions_weigh_as_much_as_archives_of_their_size():
    items = [*version_items(2048), *work_items([("a.tar.gz", 2048 * VERSION_BYTES)], first=2)]
    assert [item.name for item in items] == ["part-00000", "part-00001", "part-00002"]
    assert [[item.index for item in bundle] for bundle in bundles(items, 2)] == [[2], [0, 1]]


def test_progress_is_in_megabytes_of_both(tmp_path, capsys):
    output = OutputFolder(str(tmp_path), str(tmp_path / "beats"))
    files = (("a.tar.gz", 40_000_000),)
    with BuildDisplay(output, files, versions=1000, passes=1, phrases=0, quiet=False):
        Heartbeat(output.heartbeats, "corpus-00000").beat({"versions": 500}, last=True)
        Heartbeat(output.heartbeats, "corpus-00001").beat({"bytes": 20_000_000}, last=True)
    assert "read: 36 of 73 MB (49%)" in capsys.readouterr().err
