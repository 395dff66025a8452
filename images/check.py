"""Runs the images as a cluster would: as their own user, on a read-only root, without any rights.

    python3 images/check.py [target ...]      those of beam, trainer and full that are there

With Docker; or, where no engine answers, as root with buildah and runc (`images/build` made them).
No network, no capability, no new privileges; /data and /tmp are all that can be written. It fails
if an image writes elsewhere, lacks what it is for, holds the other half, or cannot do its work.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
USER = 10001
Run = Callable[..., str]


def version() -> str:
    """Returns the version of pmc2vec, which tags the images."""
    text = (ROOT / "pmc2vec" / "__init__.py").read_text(encoding="utf-8")
    return text.partition('__version__ = "')[2].partition('"')[0]


def output(*command: str) -> str:
    """Returns what a command prints; ends the program with what it says where it fails."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        said = (run.stderr or run.stdout).strip()
        sys.exit(f"images: {' '.join(command)[:300]}: exit status {run.returncode}\n{said}")
    return run.stdout


def in_docker(image: str, words: Sequence[str], data: Path, *, entrypoint: bool = True) -> str:
    """Returns what `words` print in a container of an image; see `in_runc`."""
    rights = ["--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    disk = ["--read-only", "--tmpfs=/tmp", f"--volume={data}:/data"]
    start = [] if entrypoint else [f"--entrypoint={words[0]}"]
    rest = words if entrypoint else words[1:]
    return output("docker", "run", "--rm", *rights, *disk, *start, image, *rest)


def in_runc(image: str, words: Sequence[str], data: Path, *, entrypoint: bool = True) -> str:
    """Returns what `words` print in a container of an image, with the user and words it names.

    Args:
        image: name and tag.
        words: after the image's entry point.
        data: folder of this machine that is /data.
        entrypoint: whether the image's entry point comes before `words`.
    """
    about = json.loads(output("buildah", "inspect", "--type", "image", image))["Docker"]["config"]
    container = output("buildah", "from", "--pull-never", image).strip()
    bundle = Path(tempfile.mkdtemp(prefix="pmc2vec-bundle-"))
    try:
        root = output("buildah", "mount", container).strip()
        output("runc", "spec", "--bundle", str(bundle))
        spec = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
        spec["root"] = {"path": root, "readonly": True}
        user, _, group = about["User"].partition(":")
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group)},
            "args": [*(about["Entrypoint"] if entrypoint else []), *words],
            "env": about["Env"],
            "cwd": about["WorkingDir"],
            "capabilities": {},
            "noNewPrivileges": True,
            "rlimits": [],
        }
        spec["mounts"] += [
            {"destination": "/tmp", "type": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
            {"destination": "/data", "type": "bind", "source": str(data), "options": ["bind"]},
        ]
        (bundle / "config.json").write_text(json.dumps(spec), encoding="utf-8")
        return output("runc", "run", "--bundle", str(bundle), f"pmc2vec-check-{os.getpid()}")
    finally:
        output("buildah", "rm", container)
        shutil.rmtree(bundle)


def check(target: str, run: Run, health: Sequence[str], data: Path) -> None:
    """Checks one image.

    Args:
        target: of the Dockerfile.
        run: runs words in it, on `data`.
        health: the command of its health check.
        data: an empty folder that its user may write to.
    """
    told = run(health, entrypoint=False).strip()
    expect(told == f"pmc2vec {version()}", f"{target}: health check says {told!r}")
    told = run(["sh", "-c", "id -u; touch /opt/pmc2vec/x /x || true"], entrypoint=False).strip()
    expect(told == str(USER), f"{target}: runs as user {told}, not {USER}")
    find = "import importlib.util as u; print(*[n for n in {} if u.find_spec(n)])"
    halves = ["apache_beam", "tensorflow"]
    told = run(["python", "-c", find.format(halves)], entrypoint=False).strip()
    expect(
        told == {"beam": halves[0], "full": " ".join(halves)}.get(target, halves[1]),
        f"{target}: holds {told or 'neither half'}",
    )
    if target == "beam":
        run(["sample", "--output", "/data/bulk", "--articles", "300"])
        build = ["build", "--input", "/data/bulk/*.tar.gz", "--output", "/data/dataset"]
        expect("finished" in run([*build, "--", "--direct_num_workers=2"]), f"{target}: build")
        pool = "from apache_beam.runners.worker import worker_pool_main"
        run(["python", "-c", pool], entrypoint=False)
    elif target == "full":
        shown = run(["demo", "--output", "/data/demo"])
        print("\n".join(shown.splitlines()[-12:]))
    elif (data / "dataset").exists():
        words = ["--dataset", "/data/dataset", "--workdir", f"/data/{target}", "--epochs", "1"]
        expect("trained " in run(["train", *words]), f"{target}: train")
        expect(run(["neighbours", "melanoma", "--vectors", f"/data/{target}"]), f"{target}: query")
    print(f"images: pmc2vec-{target}:{version()} is as it should be")


def expect(holds: object, otherwise: str) -> None:
    """Ends the program with `otherwise` unless something holds."""
    if not holds:
        sys.exit(f"images: {otherwise}")


def main(targets: Sequence[str]) -> None:
    """Checks the images of these targets, in the order of the data's way."""
    docker = (
        shutil.which("docker")
        and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    )
    inspect = ["docker", "image", "inspect"] if docker else ["buildah", "inspect", "--type=image"]
    folder = Path(tempfile.mkdtemp(prefix="pmc2vec-images-"))
    try:
        os.chown(folder, USER, USER)
        for target in targets or ("beam", "trainer", "full"):
            image = f"pmc2vec-{target}:{version()}" if docker else (
                f"localhost/pmc2vec-{target}:{version()}")  # fmt: skip
            found = json.loads(output(*inspect, image))
            about = found[0]["Config"] if docker else found["Docker"]["config"]
            first, *health = about["Healthcheck"]["Test"]
            expect(first == "CMD", f"{target}: no health check")

            def run(words: Sequence[str], *, entrypoint: bool = True, image: str = image) -> str:
                start = in_docker if docker else in_runc
                return start(image, words, folder, entrypoint=entrypoint)

            check(target, run, health, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
