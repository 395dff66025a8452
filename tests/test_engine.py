import os

import pytest
from apache_beam.options.pipeline_options import DirectOptions

from beam_pipelines.engine import Engine, unknown_options


@pytest.mark.parametrize(
    ("flags", "local"),
    [
        ([], True),
        (["--runner=DirectRunner"], True),
        (["--runner", "FnApiRunner"], True),
        (["--runner=DirectRunner", "--prism_location=/opt/prism"], False),
        (["--runner=FlinkRunner", "--flink_master=localhost:8081"], False),
        (["--runner=DataflowRunner", "--project=p"], False),
    ],
)
def test_which_engines_are_the_local_one(flags, local):
    assert Engine(flags).local is local


def test_the_local_engine_uses_every_core_unless_told_otherwise():
    assert Engine().workers == os.cpu_count()
    assert Engine(["--direct_num_workers=0"]).workers == os.cpu_count()
    assert Engine(["--direct_num_workers=3"]).workers == 3
    assert Engine(["--runner=FlinkRunner"]).workers == 1


def test_a_running_mode_that_is_asked_for_is_kept():
    engine = Engine(["--direct_num_workers=2", "--direct_running_mode=multi_threading"])
    assert engine.options.view_as(DirectOptions).direct_running_mode == "multi_threading"


def test_only_a_local_folder_of_the_local_engine_can_be_watched():
    assert Engine().shares_files("/data/out")
    assert not Engine().shares_files("gs://bucket/out")
    assert not Engine(["--runner=FlinkRunner"]).shares_files("/data/out")


def test_options_are_beams_or_named():
    known = ["--runner=FlinkRunner", "--parallelism=4", "--environment_type=LOOPBACK"]
    assert unknown_options(known) == []
    assert unknown_options([*known, "--paralelism=4", "stray"]) == ["--paralelism=4", "stray"]
