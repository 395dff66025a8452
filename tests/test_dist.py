"""What is released: equal bytes from equal sources, a list of what is in it, and what is known."""

import doctest
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pmc2vec import __version__
from requirements import audit

ROOT = Path(__file__).parent.parent
SHIPPED = ("LICENSE", "README.md", "pyproject.toml", "setup.py", "Makefile")
PACKAGES = ("beam_pipelines", "trainer", "pmc2vec")
EPOCH = 1_700_000_000


def make(target: str, folder: Path, *, umask: int = 0o022) -> None:
    """Runs make in a copy of the project, with the environment that runs this test."""
    command = ["make", "-o", ".venv/.installed", target, f"BIN={Path(sys.executable).parent}"]
    run = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def copy(folder: Path, *, seconds: int) -> Path:
    """Returns a copy of the project whose files are all of one time."""
    folder.mkdir()
    for name in SHIPPED:
        shutil.copy(ROOT / name, folder)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*"):
        os.utime(path, (seconds, seconds))
    return folder


@pytest.mark.slow
def test_equal_sources_make_equal_bytes(tmp_path: Path) -> None:
    made = []
    for name, seconds, umask in (("a", EPOCH - 9, 0o022), ("b", EPOCH + 9999, 0o077)):
        folder = copy(tmp_path / name, seconds=seconds)
        make("dist", folder, umask=umask)
        files = sorted((folder / "dist").iterdir())
        made.append({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})
    wheel, sdist = f"pmc2vec-{__version__}-py3-none-any.whl", f"pmc2vec-{__version__}.tar.gz"
    assert made[0].keys() == {wheel, sdist}
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "a" / "dist" / sdist) as archive:
        members = archive.getmembers()
    assert {(member.mtime, member.uid, member.uname) for member in members} == {(EPOCH, 0, "")}
    with zipfile.ZipFile(tmp_path / "a" / "dist" / wheel) as archive:
        held = set(archive.namelist())
    ours = {str(p.relative_to(ROOT)) for name in PACKAGES for p in (ROOT / name).rglob("*.py")}
    assert {name for name in held if name.endswith(".py")} == ours


def test_the_list_of_what_is_in_it_names_every_pin(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    make("sbom", tmp_path)
    for extra in ("beam", "trainer", "gpu"):
        bom = json.loads((tmp_path / "dist" / f"pmc2vec-{extra}.cdx.json").read_text("utf-8"))
        assert bom["bomFormat"] == "CycloneDX"
        assert bom["metadata"]["component"]["name"] == "pmc2vec"
        lines = (ROOT / "requirements" / f"{extra}.txt").read_text("utf-8").splitlines()
        pins = {line.split()[0].lower() for line in lines if line[:1].isalnum()}
        found = {f"{part['name']}=={part['version']}".lower() for part in bom["components"]}
        assert found == pins


def test_the_audit_fails_for_what_is_known_alone() -> None:
    assert doctest.testmod(audit).failed == 0
    assert doctest.testmod(audit).attempted > 0
    unknown = {"dependencies": [{"name": "six", "skip_reason": "not found"}]}
    assert audit.verdict([unknown]) == audit.verdict([None])


def test_the_audit_tells_a_file_that_is_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / "wrong.txt"
    lock.write_text("six\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"wrong\.txt"):
        audit.asked(str(lock))
