"""What is shown of a build that is done sooner than it is looked at."""

import pytest

from beam_pipelines.build import build_corpus
from beam_pipelines.build_progress import BuildDisplay
from beam_pipelines.config import BuildConfig
from beam_pipelines.stages.output_folder import Heartbeat, OutputFolder
from tests.bulk import write_bulk


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> OutputFolder:
    """A finished corpus of six articles."""
    folder = tmp_path_factory.mktemp("display")
    bulk = write_bulk(folder / "bulk", archives=1, articles=6)
    build_corpus(BuildConfig(input=(bulk,), output=str(folder / "data")))
    return OutputFolder(str(folder / "data"), str(folder / "heartbeats"), None, None)


@pytest.mark.parametrize("drawn", [True, False])
def test_a_stage_that_began_and_ended_unseen_is_shown(output, capsys, drawn):
    with BuildDisplay(output, (), passes=1, phrases=0, quiet=False):
        if drawn:
            Heartbeat(output.heartbeats, "records-00000").beat({"words": 3}, last=True)
    told = capsys.readouterr().err
    assert "read: " in told
    assert ("draw: 3 of " in told) == drawn
