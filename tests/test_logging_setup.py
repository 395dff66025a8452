"""pmc2vec/cli/logging_setup.py: --log_format json, a JSON object for every line on stderr.

That a training speaks so is asserted in tests/test_metrics.py, which runs one.
"""

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from beam_pipelines.config import BuildConfig
from pmc2vec.cli import options
from pmc2vec.cli.console import progress, set_verbosity
from pmc2vec.cli.exit_codes import run_program
from pmc2vec.cli.metrics import serve_metrics
from pmc2vec.errors import UserError
from tests.bulk import write_bulk

ROOT = Path(__file__).parent.parent
KEYS = {"time", "level", "stage", "message", "figures"}


@pytest.fixture
def as_json():
    set_verbosity((), "json")


def lines(text: str) -> list[dict]:
    found = [json.loads(line) for line in text.splitlines()]
    assert all(found_keys >= KEYS for found_keys in map(set, found))
    return found


def run(*words: str) -> tuple[int, list[dict], str]:
    done = subprocess.run(
        [sys.executable, "-m", "pmc2vec", *words, "--log_format=json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, lines(done.stderr), done.stdout


def test_a_line_has_its_stage_and_the_figures(as_json, capsys):
    logger = logging.getLogger("trainer.loop")
    logger.info("continues after step 500", extra={"stage": "train"})
    logger.info('  melanoma  skin 0.6, "braf" 0.5')
    one, two = lines(capsys.readouterr().err)
    assert (one["stage"], one["message"]) == ("train", "continues after step 500")
    assert two["message"] == 'melanoma  skin 0.6, "braf" 0.5'
    assert one["level"] == "info"


def test_progress_is_told_in_numbers(as_json, capsys):
    times = iter(range(100, 200, 4))
    with progress("train", "words", total=2400, clock=lambda: next(times)) as work:
        work.update(1204, loss=2.34567, epoch="epoch 1 of 5")
    *_, last = lines(capsys.readouterr().err)
    assert last["stage"] == "train"
    assert last["message"].startswith("1,204 of 2,400 words (50%)")
    assert last["figures"].items() >= {
        "done": 1204, "total": 2400, "unit": "words", "loss": 2.34567
    }.items()  # fmt: skip
    assert last["figures"]["elapsed"] > 0


def test_a_line_of_text_has_its_stage_and_what_is_no_info_its_level(capsys):
    set_verbosity(())
    logger = logging.getLogger("trainer.loop")
    logger.info("continues after step 500", extra={"stage": "train"})
    logger.info("  melanoma  skin 0.6")
    logger.error("no such folder", extra={"stage": "pmc2vec"})
    logging.getLogger("engine").warning("retrying %s", "it")
    logging.getLogger("engine").info("connected")
    assert capsys.readouterr().err == (
        "train: continues after step 500\n  melanoma  skin 0.6\npmc2vec: error: no such folder\n"
        "engine: warning: retrying it\n"
    )


def test_engines_and_warnings_speak_json_too(as_json, capsys):
    logging.getLogger("engine").warning("retrying %s", "it")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old name", DeprecationWarning, stacklevel=1)
    one, two = lines(capsys.readouterr().err)
    assert (one["level"], one["message"], one["logger"]) == ("warning", "retrying it", "engine")
    assert "DeprecationWarning: old name" in two["message"]


def test_quiet_leaves_only_failures(capsys):
    set_verbosity({"--quiet"}, "json")
    logging.getLogger("trainer.loop").info("continues", extra={"stage": "train"})
    with serve_metrics(0), progress("train", "words") as work:
        work.update(3)
    assert capsys.readouterr().err == ""

    def fails():
        raise UserError("no such folder")

    assert run_program(fails) == 1
    (one,) = lines(capsys.readouterr().err)
    assert (one["level"], one["message"]) == ("error", "no such folder")


def test_a_usage_error_is_a_json_line(capsys):
    words = ["--input=a", "--output=b", "--log_format", "json", "--no_such_option"]
    with pytest.raises(SystemExit) as stop:
        options.parse(BuildConfig, words, prog="pmc2vec build", description="")
    assert stop.value.code == 2
    (one,) = lines(capsys.readouterr().err)
    assert one["message"].startswith("unrecognized options: --no_such_option")
    assert one["stage"] == "pmc2vec build"


def test_a_build_and_a_failure_of_it(tmp_path):
    bulk = write_bulk(tmp_path / "bulk", archives=1, articles=6)
    words = ["build", f"--input={bulk}", f"--output={tmp_path / 'data'}", "--min_count=2"]
    status, told, out = run(*words, "--num_shards=2", "--json")
    assert status == 0
    assert json.loads(out)["funnel"]["kept"] == 6
    stages = [line["stage"] for line in told]
    assert stages[0] == "read"
    assert stages[-1] == "draw"
    assert told[-1]["figures"]["build_articles_read"] == 6
    status, told, out = run(*words, "--num_shards=3")
    assert (status, out) == (1, "")
    assert [line["level"] for line in told] == ["error"]
    assert "holds a build with --num_shards 2, now 3" in told[0]["message"]
