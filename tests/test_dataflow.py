"""The Flex Template, its launcher, and what `--setup_file=./setup.py` gives to workers."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.portability.stager import Stager

from beam_pipelines.build import build, check_flags
from beam_pipelines.config import BuildConfig
from dataflow import launcher
from tests.bulk import write_bulk

ROOT = Path(__file__).parent.parent
METADATA = json.loads((ROOT / "dataflow/metadata.json").read_text(encoding="utf-8"))
PARAMETERS = {parameter["name"]: parameter for parameter in METADATA["parameters"]}
# TemplateMetadata, ParameterMetadata and ParameterType of Dataflow's API, v1b3.
OF_TEMPLATE = {"name", "description", "parameters", "streaming", "supportsAtLeastOnce",
               "supportsExactlyOnce", "defaultStreamingMode", "yamlDefinition"}  # fmt: skip
OF_PARAMETER = {"name", "label", "helpText", "isOptional", "regexes", "paramType", "enumOptions",
                "defaultValue", "customMetadata", "groupName", "parentName",
                "parentTriggerValues", "hiddenUi"}  # fmt: skip
TYPES = {"DEFAULT", "TEXT", "GCS_READ_BUCKET", "GCS_WRITE_BUCKET", "GCS_READ_FILE",
         "GCS_WRITE_FILE", "GCS_READ_FOLDER", "GCS_WRITE_FOLDER", "BOOLEAN", "ENUM", "NUMBER",
         "MACHINE_TYPE", "SERVICE_ACCOUNT", "WORKER_REGION", "WORKER_ZONE"}  # fmt: skip
# What Dataflow itself adds to the parameters.
ADDED = ("--runner=DataflowRunner", "--project=p", "--region=europe-west4", "--job_name=build-1",
         "--temp_location=gs://b/tmp", "--staging_location=gs://b/staging",
         "--template_location=gs://b/staging/job_object", "--max_num_workers=100",
         "--service_account_email=pmc2vec@p.iam.gserviceaccount.com")  # fmt: skip
GIVEN = {
    "input": "gs://b/bulk/*.tar.gz gs://b/more",
    "output": "gs://b/data",
    "keywords": "'lung cancer' melanoma",
    "licences": "'CC BY' CC0",
    "max_final_vocab": "100000",
    "sdk_container_image": "europe-west4-docker.pkg.dev/p/pmc2vec/beam-worker:0.1.0",
}


def test_the_metadata_have_the_fields_of_dataflows_api():
    assert METADATA.keys() <= OF_TEMPLATE
    assert METADATA["name"]
    assert len(PARAMETERS) == len(METADATA["parameters"])
    for name, parameter in PARAMETERS.items():
        assert parameter.keys() <= OF_PARAMETER, name
        assert {"name", "label", "helpText"} <= parameter.keys(), name
        assert re.fullmatch("[a-zA-Z][a-zA-Z0-9_-]*", name)
        assert parameter["paramType"] in TYPES
        assert isinstance(parameter.get("isOptional", False), bool)
        assert isinstance(parameter.get("defaultValue", ""), str)
        assert parameter.get("isOptional") or "defaultValue" not in parameter


def test_the_values_in_the_metadata_match_their_own_expressions():
    for name, parameter in PARAMETERS.items():
        value = GIVEN.get(name, parameter.get("defaultValue"))
        for expression in parameter.get("regexes", ()):
            assert re.fullmatch(expression, value), name
            assert not re.fullmatch(expression, "no such value ;"), name


def test_every_parameter_is_ours_or_beams():
    flags = [f"--{name}=1" for name in PARAMETERS if name not in launcher.BUILD_OPTIONS]
    assert flags == ["--sdk_container_image=1"]
    check_flags([*flags, *ADDED])


def test_parameters_become_a_configuration_and_beams_options():
    given = {name: known["defaultValue"] for name, known in PARAMETERS.items()
             if "defaultValue" in known} | GIVEN  # fmt: skip
    own, beam = launcher.split_parameters([f"--{name}={value}" for name, value in given.items()])
    config = launcher.options.parse(BuildConfig, own, prog="launcher", description="")
    assert config == BuildConfig(
        input=("gs://b/bulk/*.tar.gz", "gs://b/more"),
        output="gs://b/data",
        keywords=("lung cancer", "melanoma"),
        licences=("CC BY", "CC0"),
        slices=16,
        num_shards=256,
        max_final_vocab=100_000,
    )
    options = PipelineOptions([*beam, *ADDED])
    assert options.view_as(StandardOptions).runner == "DataflowRunner"
    assert options.view_as(GoogleCloudOptions).template_location == "gs://b/staging/job_object"
    assert options.view_as(WorkerOptions).sdk_container_image == GIVEN["sdk_container_image"]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--keyword=cancer", "not of pmc2vec build, and Beam knows no option --keyword=cancer"),
        ("--lowercase=yes", "--lowercase is true or false, not 'yes'"),
        ("--window=wide", "window"),
    ],
)
def test_a_wrong_parameter_is_told_before_anything_is_launched(capsys, word, says):
    with pytest.raises(SystemExit) as stop:
        launcher.main(["--input=bulk", "--output=data", word])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_the_launcher_builds_what_the_command_builds(tmp_path):
    """On the local engine, which has done its work when `run` returns."""
    bulk = write_bulk(tmp_path / "bulk", archives=2)
    words = [f"--input={bulk}", f"--output={tmp_path / 'launched'}", "--min_count=2"]
    subprocess.run(
        [sys.executable, "dataflow/launcher.py", *words, "--keywords=melanoma carcinoma",
         "--num_shards=2", "--direct_num_workers=1"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    folder = tmp_path / "commanded"
    config = BuildConfig(input=(bulk,), output=str(folder), min_count=2, num_shards=2,
                         keywords=("melanoma", "carcinoma"))  # fmt: skip
    build(config, ["--direct_num_workers=1"])
    for path in folder.glob("*.tfrecord"):
        assert (tmp_path / "launched" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_what_beam_stages_installs_and_imports_in_a_clean_environment(tmp_path, monkeypatch):
    """Beam's own stager makes the package; the workers' packages are those of this environment."""
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("beam_pipelines", "trainer", "pmc2vec"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, source)
    monkeypatch.chdir(source)
    options = PipelineOptions(["--setup_file=./setup.py"])
    options.view_as(SetupOptions).save_main_session = False
    (tmp_path / "staged").mkdir()
    staged = Stager.create_job_resources(options, str(tmp_path / "staged"))
    assert b"workflow.tar.gz" in b" ".join(resource.role_payload for resource in staged)
    (archive,) = (tmp_path / "staged").glob("pmc2vec-*.tar.gz")

    clean = tmp_path / "clean"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(clean)], check=True)
    python = str(clean / "bin/python")
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (site,) = clean.glob("lib/python3*/site-packages")
    # The packages of this environment, without its link to this checkout.
    (site / "here.pth").write_text(f"{here}\n")
    flags = "install --no-deps --no-build-isolation --no-index --quiet".split()
    pip = [sys.executable, "-m", "pip", "--python", python, *flags]
    subprocess.run([*pip, str(archive)], check=True, cwd=tmp_path)
    script = (
        "import beam_pipelines.transforms as t, beam_pipelines.worker_main, sys;"
        "import beam_pipelines.build, trainer, pmc2vec;"
        "assert 'tensorflow' not in sys.modules; print(t.__file__)"
    )
    found = subprocess.run(
        [python, "-c", script], check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout.strip()
    assert found == str(site / "beam_pipelines" / "transforms.py")


def test_the_commands_of_the_page_have_options_that_exist():
    page = (ROOT / "docs/dataflow.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^pmc2vec build .*?(?=^```)", page, re.MULTILINE | re.DOTALL)
    own, _, beam = command.replace("\\\n", " ").partition(" -- ")
    words = shlex.split(own)[2:]
    config = launcher.options.parse(BuildConfig, words, prog="page", description="")
    assert (config.slices, config.num_shards) == (16, 256)
    flags = shlex.split(beam)
    assert len(flags) == 12
    check_flags([*flags, "--setup_file=./setup.py", "--flexrs_goal=COST_OPTIMIZED"])
    given = re.findall(r"[\^~](\w+)=", page)
    assert given
    assert set(given) <= PARAMETERS.keys()
