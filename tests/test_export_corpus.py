"""pmc2vec export-corpus: the articles of a dataset as text, and back."""

import json

import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build_corpus
from beam_pipelines.config import BuildConfig
from pmc2vec.commands.main import main
from tests.bulk import write_bulk

ALONE = ("--direct_num_workers=1",)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    bulk = write_bulk(folder / "bulk", archives=2, articles=3)
    build_corpus(BuildConfig(input=(bulk,), output=f"{folder}/data"), ALONE)
    return folder / "data"


def sentences(dataset):
    """The sentences of each article, in the order of the corpus."""
    tables = [pq.read_table(path) for path in sorted((dataset / "corpus").glob("*.parquet"))]
    return [article for table in tables for article in table["sentences"].to_pylist()]


def export(dataset, output, *options):
    words = ["export-corpus", "--dataset", str(dataset), "--output", str(output), *options]
    return main(words)


@pytest.mark.parametrize("form", ["text", "articles"])
def test_text_read_back_gives_the_same_tokens(dataset, tmp_path, form, capsys):
    assert export(dataset, tmp_path / "text", "--format", form) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'text'}: 6 articles as {form}\n"
    assert len(list((tmp_path / "text").iterdir())) == {"text": 2, "articles": 6}[form]
    again = BuildConfig(
        input=(f"{tmp_path}/text",), output=f"{tmp_path}/again", text_unit="line",
        tokenizer="whitespace",
    )  # fmt: skip
    build_corpus(again, ALONE)
    lines = [line for article in sentences(dataset) for line in article]
    assert [line for article in sentences(tmp_path / "again") for line in article] == lines


def test_json_lines_have_the_metadata(dataset, tmp_path):
    assert export(dataset, tmp_path / "json", "--format", "jsonl") == 0
    files = sorted((tmp_path / "json").iterdir())
    rows = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    assert [row["sentences"] for row in rows] == sentences(dataset)
    assert rows[0]["licence"] == "CC BY 4.0"


def test_what_is_no_corpus_and_what_is_not_empty_are_refused(dataset, tmp_path, capsys):
    assert export(tmp_path, tmp_path / "out") == 1
    assert "no corpus.json; give a dataset of pmc2vec build" in capsys.readouterr().err
    assert export(dataset, dataset) == 1
    assert "not an empty folder; give another --output" in capsys.readouterr().err
