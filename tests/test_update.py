"""`pmc2vec update`: month after month, and killed in between."""

import fcntl
import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pmc2vec.commands.update import Releases, UpdateConfig, main, sections
from pmc2vec.errors import UserError
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.bulk import add
from tests.pubmed import citation, write_numbered

ROOT = Path(__file__).parent.parent
BUILD = ["--build", "--min_count=2", "--num_shards=2", "--record_length=64", "--block=8",
         "--block_negatives=4", "--validation_fraction=0.2"]  # fmt: skip
TRAIN = ["--train", "--vector_size=8", "--epochs=1", "--batch_size=128"]
OPTIONS = [*BUILD, *TRAIN, "--", "--direct_num_workers=1"]


def run(bulk: Path, root: Path, *words: str) -> int:
    return main([f"--input={bulk}", f"--root={root}", *words, *OPTIONS])


def month(bulk: Path, number: int) -> None:
    """Adds the articles of a month; those of the third one are the first about maize."""
    topics = ["melanoma", "carcinoma"] if number < 3 else ["maize"]
    first = number * 12
    articles = {n: topics[n % len(topics)] for n in range(first, first + 12)}
    add(bulk, f"month{number}", articles, f"2025-{number:02d}-01")


def facts(release: Path) -> dict:
    return json.loads((release / "dataset/manifest.json").read_text())


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Path:
    """Three months of updates, the last two releases kept."""
    folder = tmp_path_factory.mktemp("update")
    for number in (1, 2, 3):
        month(folder / "bulk", number)
        assert run(folder / "bulk", folder / "root", "--keep=2", "--quiet") == 0
    return folder


def test_current_is_the_last_release_and_the_last_few_are_kept(service):
    root = service / "root"
    assert (root / "current").readlink() == Path("releases/0003")
    assert {path.name for path in (root / "releases").iterdir()} == {"0002", "0003"}
    vectors = Vectors.load(root / "current")
    assert "maize" in vectors
    assert "melanoma" in vectors
    assert "maize" not in Vectors.load(root / "releases/0002")


def test_each_release_reads_what_is_new_and_starts_from_the_one_before(service):
    root = service / "root"
    third = facts(root / "current")
    assert [Path(path).name for path, _ in third["inputs"]] == ["month3.tar.gz"]
    assert third["since"]["dataset"] == str(root / "releases/0002/dataset")
    assert third["since"]["inputs"] == 2
    trained = json.loads((root / "current/config.json").read_text())
    assert trained["init_from"] == str(root / "releases/0002")


@pytest.mark.slow
def test_a_new_update_file_of_pubmed_is_the_next_release(tmp_path):
    words = "cells divide in skin and grow where drugs stop them in mice".split()
    texts = [" ".join(words[n % 5 :]) for n in range(30)]
    write_numbered(tmp_path / "in/baseline", 1, *(citation(n, t) for n, t in enumerate(texts, 1)))
    assert run(tmp_path / "in", tmp_path / "root", "--quiet") == 0
    new = (citation(n, text) for n, text in enumerate(texts, 100))
    write_numbered(tmp_path / "in/updatefiles", 2, citation(1, "Cells grow."), *new, delete=(2,))
    assert run(tmp_path / "in", tmp_path / "root", "--quiet") == 0
    second = facts(tmp_path / "root/current")
    assert [Path(path).name for path, _ in second["inputs"]] == ["pubmed26n0002.xml.gz"]
    assert (second["funnel"]["read"], second["funnel"]["superseded_earlier"]) == (31, 2)


def test_nothing_new_changes_nothing_and_is_no_failure(service, capsys):
    root = shutil.copytree(service / "root", service / "same", symlinks=True)
    before = sorted(root.rglob("*"))
    assert run(service / "bulk", root, "--keep=2", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"release": None}
    assert said.err.startswith("update: nothing new since ")
    assert said.err.count("\n") == 1
    assert sorted(root.rglob("*")) == before


def test_a_release_that_was_cut_off_is_finished_though_more_came_in(service, tmp_path, capsys):
    """Its dataset is finished: the new file is for the release after it."""
    bulk = shutil.copytree(service / "bulk", tmp_path / "bulk")
    root = shutil.copytree(service / "root", tmp_path / "root", symlinks=True)
    (root / "current").unlink()
    (root / "current").symlink_to("releases/0002")
    shutil.rmtree(root / "releases/0003/checkpoints")
    (root / "releases/0003/vectors.tsv").unlink()
    for name in ("config.json", "provenance.json"):
        (root / "releases/0003" / name).unlink()
    month(bulk, 4)
    assert run(bulk, root, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out)["release"] == str(root / "releases/0003")
    assert len(facts(root / "current")["inputs"]) == 1
    assert run(bulk, root, "--json", "--quiet") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["release"] == str(root / "releases/0004")
    assert (made["funnel"]["read"], made["funnel"]["superseded_earlier"]) == (12, 0)


def cut_off(root: Path) -> None:
    """Leaves of the last release, which is unpublished, what a kill in its build leaves."""
    last = max((root / "releases").iterdir())
    (root / "current").unlink()
    (root / "current").symlink_to(f"releases/{int(last.name) - 1:04d}")
    (last / "dataset/manifest.json").unlink()
    for path in last.iterdir():
        if path.name != "dataset":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def input_names(release: Path) -> list[str]:
    return [Path(path).name for path, _ in facts(release)["inputs"]]


def test_a_build_that_was_cut_off_goes_on_with_its_input_in_a_moved_root(service, tmp_path):
    """As given by a shell, which names every archive, and in a root that has moved."""
    bulk = shutil.copytree(service / "bulk", tmp_path / "bulk")
    root = shutil.copytree(service / "root", tmp_path / "root", symlinks=True)

    def update() -> int:
        archives = sorted(map(str, bulk.glob("*.tar.gz")))
        return main(["--input", *archives, f"--root={root}", "--quiet", *OPTIONS])

    month(bulk, 4)
    assert update() == 0
    cut_off(root)
    month(bulk, 5)
    root = root.rename(tmp_path / "moved")
    assert update() == 0
    assert (root / "current").readlink() == Path("releases/0004")
    assert input_names(root / "current") == ["month4.tar.gz"]
    assert facts(root / "current")["since"]["dataset"] == str(root / "releases/0003/dataset")
    assert update() == 0
    assert input_names(root / "current") == ["month5.tar.gz"]


def test_a_build_whose_input_is_gone_is_begun_again(service, tmp_path, capsys):
    bulk = shutil.copytree(service / "bulk", tmp_path / "bulk")
    root = shutil.copytree(service / "root", tmp_path / "root", symlinks=True)
    cut_off(root)
    begun = root / "releases/0003/dataset/build.json"
    begun.write_text(begun.read_text().replace(str(service / "bulk"), str(tmp_path / "old")))
    assert run(bulk, root) == 0
    assert (
        "month3.tar.gz, which is gone; begins again with what is there" in capsys.readouterr().err
    )
    assert input_names(root / "current") == ["month3.tar.gz"]
    assert facts(root / "current")["inputs"][0][0].startswith(str(bulk))


def test_a_build_that_was_begun_with_other_options_is_told_with_what_helps(
    service, tmp_path, capsys
):
    root = shutil.copytree(service / "root", tmp_path / "root", symlinks=True)
    cut_off(root)
    words = [f"--input={service / 'bulk'}", f"--root={root}", *OPTIONS, "--direct_num_workers=1"]
    words[words.index("--num_shards=2")] = "--num_shards=3"
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "was begun with --num_shards 2, now 3; give the same, or remove " in said
    assert f"{root / 'releases/0003'} to begin this release again" in said


def test_a_lost_link_is_that_of_the_newest_whole_release(service, tmp_path, capsys):
    root = shutil.copytree(service / "root", tmp_path / "root", symlinks=True)
    (root / "current").unlink()
    (root / "releases/0004/dataset").mkdir(parents=True)
    assert run(service / "bulk", root, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"release": None}
    assert "current: was lost; the newest whole release, 0003, is published again" in said.err
    assert (root / "current").readlink() == Path("releases/0003")


def test_other_options_are_refused_by_name(service, capsys):
    month(service / "more", 9)
    words = [f"--input={service / 'more'}", f"--root={service / 'root'}", "--quiet", *OPTIONS]
    words[words.index("--min_count=2")] = "--min_count=3"
    assert main(words) == 1
    assert "was built with --min_count 2, now 3; give the same" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--build", "--since", "x"], "--since is not for --build to say"),
        (["--train", "--checkpoint_dir", "x"], "--checkpoint_dir is not for --train to say"),
        (["--build", "--output", "x"], "pmc2vec build: error: --output is given twice"),
        (["--train", "--vector_sice", "3"], "unrecognized options: --vector_sice"),
        (["--keep", "0"], "--keep 0: must be at least 1"),
        (["--", "--no_such_thing"], "Beam knows no option --no_such_thing"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error_before_anything_is_done(
    tmp_path, capsys, words, says
):
    with pytest.raises(SystemExit) as stop:
        main([f"--input={tmp_path}", f"--root={tmp_path / 'root'}", *words])
    assert stop.value.code == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "root").exists()


def test_two_updates_at_once_are_refused(tmp_path):
    with Releases(tmp_path / "root").lock():
        pass
    with (tmp_path / "root/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            pytest.raises(UserError, match="another update is running here"),
            Releases(tmp_path / "root").lock(),
        ):
            pass


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/thesis.txt").write_text("mine")
    with (
        pytest.raises(UserError, match="not empty and no root of releases"),
        Releases(tmp_path / "root").lock(),
    ):
        pass


def test_only_whole_releases_have_a_number(tmp_path):
    releases = Releases(tmp_path)
    with releases.lock():
        assert releases.current() == 0
        for number in (1, 2, 3):
            releases.folder(number).mkdir()
            releases.publish(number)
            assert releases.current() == number
        (tmp_path / "releases/.removed-0000").mkdir()
        releases.remove_before(3)
        assert [path.name for path in (tmp_path / "releases").iterdir()] == ["0003"]
        releases.folder(3).rename(tmp_path / "gone")
        with pytest.raises(UserError, match=r"leads to releases/0003, which is no release"):
            releases.current()


def test_words_belong_to_the_section_before_them():
    found = sections(["--keep", "2", "--build", "--keywords", "train", "--", "--build"])
    assert found == {"": ["--keep", "2"], "--build": ["--keywords", "train"], "--train": [],
                     "--": ["--build"]}  # fmt: skip


def test_the_root_is_a_folder_of_this_machine():
    with pytest.raises(ValueError, match="must be a folder of this machine"):
        UpdateConfig(input=("a",), root=Path("gs://bucket/root"))


# The process is killed by the system, at a line of Python that it comes by: in a build, in a
# training, between them, while the link is swapped or an old release is removed.
KILLED = """
import os
import signal
import sys
from pmc2vec.cli import exit_codes
import beam_pipelines.build
from pmc2vec.machine import load_tensorflow

load_tensorflow()
import trainer.loop
from pmc2vec.commands import update

left, *words = sys.argv[1:]
left = int(left)

def count(frame, event, _):
    global left
    name = frame.f_code.co_filename
    if not any(place in name for place in ("/trainer/", "/pmc2vec/", "/beam_pipelines/stages/")):
        return None
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return count

sys.settrace(count)
sys.exit(update.main(words))
"""


@pytest.mark.slow
def test_killed_at_random_moments_no_reader_sees_a_half(service, tmp_path):
    whole = {
        number: (service / "root/releases" / f"000{number}" / "vectors.tsv").read_bytes()
        for number in (2, 3)
    }
    bulk, root = tmp_path / "bulk", tmp_path / "root"
    draw, kills = random.Random(3), 0
    for number in (1, 2, 3):
        month(bulk, number)
        reach = 6000
        while True:
            words = [f"--input={bulk}", f"--root={root}", "--keep=2", "--quiet", *OPTIONS]
            done = subprocess.run(
                [sys.executable, "-c", KILLED, str(draw.randrange(200, reach)), *words],
                cwd=ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
            current = root / "current"
            if done.returncode == 0 or current.is_symlink():
                assert (current / "provenance.json").is_file()
                assert Vectors.load(current).words
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL, done.stderr
            kills, reach = kills + 1, reach + 30_000
            assert kills < 40
        if number in whole:
            assert (root / "current/vectors.tsv").read_bytes() == whole[number]
    assert kills > 2
    assert {path.name for path in (root / "releases").iterdir()} == {"0002", "0003"}
    print(f"killed {kills} times")


def test_the_root_is_no_input(tmp_path):
    with pytest.raises(ValueError, match="--root must not be a folder that --input names"):
        UpdateConfig(input=("bulk", f"{tmp_path}/"), root=tmp_path)
