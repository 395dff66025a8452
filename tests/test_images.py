"""The images: how they are described, and (slow) built and run as a cluster would."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def stages() -> dict[str, str]:
    """Returns the instructions of each stage, by name."""
    found = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==([^ ;\\\n]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    run = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "")


def test_every_image_is_of_the_stage_with_the_user_and_the_health_check() -> None:
    pairs = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    parents = {name: parent for parent, name in pairs}
    for image in ("beam", "trainer", "trainer-gpu", "full", "beam-worker"):
        above = image
        while parents[above] in parents and above != "runtime":
            above = parents[above]
        assert above == "runtime", image
        assert "USER" not in stages()[image]
    runtime = stages()["runtime"]
    assert "\nUSER 10001:10001\n" in runtime
    assert 'CMD ["pmc2vec", "--version"]' in runtime


def test_code_comes_after_the_pins_in_every_image() -> None:
    for image in ("beam", "trainer", "trainer-gpu", "full"):
        copied = re.findall(r"^COPY --from=(\S+)", stages()[image], re.MULTILINE)
        assert copied == [f"{image}-packages", "code"]


def test_every_package_is_pinned_by_hash() -> None:
    installed = re.findall(r"pip(?: --python \S+)? install (?:\\\n\s+)?(.*)", DOCKERFILE)
    assert len(installed) == 6
    ours = "--no-deps /wheels/*.whl"
    assert all(words.startswith(("--require-hashes", ours)) for words in installed)


def test_the_beam_worker_gets_boot_from_the_version_that_is_pinned() -> None:
    image = re.search(r"ARG BEAM_SDK_IMAGE=apache/beam_python(.*)_sdk:(.*)\n", DOCKERFILE)
    base = re.search(r"ARG PYTHON_IMAGE=python:(\d+\.\d+)\.\d+-slim-\w+\n", DOCKERFILE)
    assert image is not None
    assert base is not None
    assert image.groups() == (base[1], pins("beam")["apache-beam"])
    assert "COPY --from=beam-sdk /opt/apache/beam /opt/apache/beam" in stages()["beam-worker"]


def test_gpu_pins_are_those_of_the_trainer_and_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (wanted,) = map(Requirement, project["optional-dependencies"]["gpu"])
    gpu, trainer = pins("gpu"), pins("trainer")
    assert wanted.specifier.contains(gpu["tensorflow"])
    assert {name: trainer[name] for name in gpu.keys() & trainer.keys()} == {
        name: gpu[name] for name in gpu.keys() & trainer.keys()
    }
    assert {"nvidia-cudnn-cu12", "nvidia-nccl-cu12"} <= gpu.keys() - trainer.keys()


def test_the_build_is_sent_what_the_dockerfile_copies_and_no_more() -> None:
    files = [DOCKERFILE, *(path.read_text("utf-8") for path in ROOT.glob("*/Dockerfile"))]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", "\n".join(files), re.MULTILINE)
    wanted = {name for words in copied for name in words.split()}
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    assert {pattern for pattern in allowed if not any(fnmatch(n, pattern) for n in wanted)} == set()
    assert {name for name in wanted if not any(fnmatch(name, p) for p in allowed)} == set()


def can_run() -> bool:
    """Tells whether images can be built and run here."""
    docker = (
        shutil.which("docker")
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )
    tools = ("buildah", "debootstrap", "runc")
    return bool(docker) or (os.getuid() == 0 and all(map(shutil.which, tools)))


@pytest.mark.slow
def test_images_do_their_work_without_rights_on_a_root_that_cannot_be_written() -> None:
    if not can_run():
        pytest.skip("no Docker, nor root with buildah, debootstrap and runc")
    for program in (["images/build"], [sys.executable, "images/check.py"]):
        run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    told = [
        line.split(":")[1].strip() for line in run.stdout.splitlines() if "as it should" in line
    ]
    assert told == ["pmc2vec-beam", "pmc2vec-trainer", "pmc2vec-full"]
