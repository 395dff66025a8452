import os
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.runner import Engine, check_flags, run_pipeline
from pmc2vec.errors import UserError
from tests.bulk import write_bulk

ROOT = Path(__file__).parent.parent


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
    check_flags(known)
    with pytest.raises(ValueError, match=r"^Beam knows no option --paralelism=4 stray$"):
        check_flags([*known, "--paralelism=4", "stray"])


@pytest.fixture
def job_service(tmp_path):
    """Beam's own portable job service, in a process of its own; yields its address."""
    command = "-m apache_beam.runners.portability.local_job_service_main --port 0".split()
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        says = next(line for line in process.stderr if "Listening for beam jobs on port" in line)
        yield f"localhost:{says.rsplit(' ', 1)[1].strip().rstrip('.')}"
        process.kill()


@pytest.mark.slow
def test_the_portable_runner_makes_the_same_shards(job_service, tmp_path):
    bulk = write_bulk(tmp_path / "bulk")
    flags = ["--runner=PortableRunner", f"--job_endpoint={job_service}"]
    flags += ["--environment_type=LOOPBACK"]
    for name, chosen in (("local", ["--direct_num_workers=1"]), ("portable", flags)):
        folder = str(tmp_path / name)
        build(BuildConfig(input=(bulk,), output=folder, min_count=2, num_shards=3), chosen)
    shards = sorted((tmp_path / "local").glob("*.tfrecord"))
    assert len(shards) == 6
    for path in shards:
        assert (tmp_path / "portable" / path.name).read_bytes() == path.read_bytes()


def test_what_a_job_server_says_of_a_failed_job_is_one_line():
    class Pipeline(beam.Pipeline):
        def run(self):
            raise RuntimeError(
                "Pipeline a-1 failed in state FAILED: java.io.IOException: no\n at x"
            )

    told = "^the job failed in state FAILED: IOException: no; see the logs of the engine's workers$"
    with pytest.raises(UserError, match=told):
        run_pipeline(Pipeline())


@pytest.mark.parametrize("module", ["beam_pipelines.build", "beam_pipelines.worker_main"])
def test_importing_beam_warns_of_nothing(module):
    code = f"import {module}, apache_beam"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
