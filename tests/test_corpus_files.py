"""The corpus in Parquet is read by the programs that people have: pandas, DuckDB and Beam."""

from pathlib import Path

import apache_beam as beam
import duckdb
import pandas as pd
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.build import BuildConfig, build_corpus
from tests.bulk import write_bulk

FIRST = ("title", "on carcinoma")


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """Returns the glob of the parts of a corpus: 2 archives, 4 articles on carcinoma of 12."""
    folder = tmp_path_factory.mktemp("corpus")
    bulk = write_bulk(folder / "bulk", archives=2, articles=6)
    config = BuildConfig(input=(bulk,), output=str(folder / "data"), keywords=("carcinoma",))
    assert build_corpus(config, ("--direct_num_workers=1",)).funnel["kept"] == 4
    return str(folder / "data" / "corpus" / "*.parquet")


def parts(pattern):
    return list(Path(pattern).parent.glob("*.parquet"))


def test_pandas_reads_the_corpus(pattern):
    rows = pd.read_parquet(parts(pattern)).sort_values("pmcid", ignore_index=True)
    assert rows.pmcid.tolist() == ["PMC1", "PMC10", "PMC4", "PMC7"]
    assert set(rows.licence) == {"CC BY 4.0"}
    assert (rows.sections[0][0], rows.sentences[0][0]) == FIRST
    sentences = rows.sentences.explode()
    assert sentences.str.split(" ").str.len().sum() == 4 * (2 + 1 + 6 * (9 + 4 + 3))


def test_pandas_reads_the_folder_as_a_whole(pattern):
    assert sorted(pd.read_parquet(Path(pattern).parent).pmcid) == ["PMC1", "PMC10", "PMC4", "PMC7"]


def test_duckdb_reads_the_corpus(pattern):
    asked = f"select pmcid, unnest(sections), unnest(sentences) from '{pattern}'"
    rows = duckdb.sql(asked).fetchall()
    assert len(rows) == 4 * (1 + 1 + 6 * 3)
    assert {row[1:] for row in rows} >= {FIRST, ("body", "its cells divide quickly")}


def test_beam_reads_the_corpus(pattern):
    with beam.Pipeline(FnApiRunner()) as pipeline:
        found = (
            pipeline
            | beam.io.ReadFromParquet(pattern, columns=["pmcid", "archive"])
            | beam.Map(lambda row: (row["pmcid"], row["archive"]))
        )
        assert_that(
            found,
            equal_to(
                [("PMC1", "oa_0.tar.gz"), ("PMC4", "oa_0.tar.gz"),
                 ("PMC7", "oa_1.tar.gz"), ("PMC10", "oa_1.tar.gz")]
            ),
        )  # fmt: skip
