"""The house: packaging, pins and imports."""

import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pmc2vec import __version__

ROOT = Path(__file__).parent.parent
PACKAGES = ("beam_pipelines", "trainer", "pmc2vec")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def files_of_the_project() -> Iterator[tuple[Path, str]]:
    """Yields the text files that git has, or would have after `git add .`."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file():
            yield path, path.read_text(encoding="utf-8", errors="replace")


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==([^ ;\\\n]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def modules(package: str) -> list[str]:
    found = pkgutil.walk_packages([str(ROOT / package)], prefix=f"{package}.")
    return [package, *(m.name for m in found if not m.name.endswith("__main__"))]


def loaded_by(importing: list[str]) -> set[str]:
    """Returns the top-level names of what a Python of its own loads with these modules."""
    code = (
        f"import importlib, sys\nfor name in {importing!r}: importlib.import_module(name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def requirements_by_setup_py(monkeypatch: pytest.MonkeyPatch, *, on_worker: bool) -> list[str]:
    given: dict[str, list[str]] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **fields: given.update(fields))
    exists = Path.exists
    boot = Path("/opt/apache/beam/boot")
    monkeypatch.setattr(Path, "exists", lambda p: on_worker if p == boot else exists(p))
    runpy.run_path(str(ROOT / "setup.py"))
    return given["install_requires"]


def test_importing_beam_pipelines_never_loads_tensorflow() -> None:
    assert not loaded_by(modules("beam_pipelines")) & {"tensorflow", "keras", "tensorboard"}


def test_importing_trainer_never_loads_beam() -> None:
    assert not loaded_by(modules("trainer")) & {"apache_beam", "lxml"}


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    heavy = {"apache_beam", "tensorflow", "keras", "numpy", "lxml", "pyarrow", "tyro", "rich"}
    assert not loaded_by([package]) & heavy


@pytest.mark.parametrize("half", ["beam_pipelines", "trainer"])
def test_neither_half_imports_what_spans_them(half: str) -> None:
    for path in (ROOT / half).glob("**/*.py"):
        assert not re.search(
            r"^\s*(from|import) pmc2vec\.(commands|synthetic)\b",
            path.read_text("utf-8"),
            re.MULTILINE,
        )


def test_the_version_stands_in_one_place() -> None:
    for path, text in files_of_the_project():
        if path.suffix == ".py" and path != Path(__file__):
            places = re.findall(r"^__version__\s*=", text, re.MULTILINE)
            assert len(places) == (path == ROOT / "pmc2vec" / "__init__.py"), path
    assert "version" in PROJECT["dynamic"]


def test_a_plain_install_gets_both_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = requirements_by_setup_py(monkeypatch, on_worker=False)
    assert wanted == sorted({*EXTRAS["beam"], *EXTRAS["trainer"]})
    assert {"apache-beam", "tensorflow"} <= {Requirement(need).name for need in wanted}


def test_a_beam_worker_gets_the_beam_half_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = requirements_by_setup_py(monkeypatch, on_worker=True)
    assert wanted == sorted(EXTRAS["beam"])
    assert "tensorflow" not in {Requirement(need).name for need in wanted}


@pytest.mark.parametrize("extra", ["beam", "trainer", "dev"])
def test_every_requirement_of_an_extra_is_pinned_as_it_allows(extra: str) -> None:
    pinned = pins(extra)
    for need in map(Requirement, EXTRAS[extra]):
        assert need.specifier.contains(pinned[canonicalize_name(need.name)]), need


def test_the_pins_of_all_extras_agree() -> None:
    everything: dict[str, set[str]] = {}
    for lock in ("build", "beam", "trainer", "dev"):
        for name, version in pins(lock).items():
            everything.setdefault(name, set()).add(version)
    assert {name for name, versions in everything.items() if len(versions) > 1} == set()


@pytest.mark.parametrize(
    "lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda p: p.stem
)
def test_pins_have_hashes_and_say_nothing_of_where_from(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    for entry in re.split(r"\n(?=\w)", text.partition("\n#    make lock\n")[2].strip()):
        assert re.fullmatch(
            r"\S+==\S+( ; [^\\\n]+)? \\\n(    --hash=sha256:\w{64}( \\\n)?)+", entry
        )
    assert "://" not in text
    assert not re.search(r"^--|find-links|index", text, re.MULTILINE)


def test_no_file_names_a_package_registry() -> None:
    host = re.compile(
        r"\b(pypi|npmjs|anaconda|conda|rubygems|crates)\.(org|com|io)\b", re.IGNORECASE
    )
    assert [path for path, text in files_of_the_project() if host.search(text)] == []


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stages the project as Beam does for `--setup_file=./setup.py`."""
    work = tmp_path_factory.mktemp("sdist")
    source = work / "pmc2vec"
    source.mkdir()
    for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignore)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(work / "dist")],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    )
    (made,) = (work / "dist").iterdir()
    return made


def test_what_beam_ships_holds_all_three_packages(sdist: Path) -> None:
    assert sdist.name == f"pmc2vec-{__version__}.tar.gz"
    top = f"pmc2vec-{__version__}"
    with tarfile.open(sdist) as archive:
        held = set(archive.getnames())
    ours = {p.relative_to(ROOT) for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    assert {f"{top}/{path}" for path in ours} <= held
    assert {f"{top}/{package}/py.typed" for package in PACKAGES} <= held
    assert {f"{top}/pyproject.toml", f"{top}/setup.py", f"{top}/LICENSE"} <= held
