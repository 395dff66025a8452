"""Runs the images as a cluster would: as their own user, on a read-only root, without capabilities.

    python3 images/check.py [target ...]      by default beam, trainer and full

It uses Docker; where Docker does not answer, buildah and runc as root (`images/build` makes the
images). A container has no network, no capabilities and no new privileges, and can write to /data
and /tmp only. The program fails if an image writes elsewhere, lacks its own packages, has those of
the other half, or cannot do its work.
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
    """Returns what a command prints; ends the program with its message where it fails."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        message = (run.stderr or run.stdout).strip()
        sys.exit(f"images: {' '.join(command)[:300]}: exit code {run.returncode}\n{message}")
    return run.stdout


def in_docker(image: str, words: Sequence[str], data: Path, *, entrypoint: bool = True) -> str:
    """Returns what `words` print in a container of an image; see `in_runc`."""
    rights = ["--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    disk = ["--read-only", "--tmpfs=/tmp", f"--volume={data}:/data"]
    start = [] if entrypoint else [f"--entrypoint={words[0]}"]
    rest = words if entrypoint else words[1:]
    return output("docker", "run", "--rm", *rights, *disk, *start, image, *rest)


def in_runc(image: str, words: Sequence[str], data: Path, *, entrypoint: bool = True) -> str:
    """Returns what `words` print in a container of an image, as the image's own user.

    Args:
        image: name and tag.
        words: after the image's entry point.
        data: folder of this machine that is /data.
        entrypoint: whether the image's entry point comes before `words`.
    """
    config = json.loads(output("buildah", "inspect", "--type", "image", image))["Docker"]["config"]
    container = output("buildah", "from", "--pull-never", image).strip()
    bundle = Path(tempfile.mkdtemp(prefix="pmc2vec-bundle-"))
    try:
        root = output("buildah", "mount", container).strip()
        output("runc", "spec", "--bundle", str(bundle))
        spec = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
        spec["root"] = {"path": root, "readonly": True}
        user, _, group = config["User"].partition(":")
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group)},
            "args": [*(config["Entrypoint"] if entrypoint else []), *words],
            "env": config["Env"],
            "cwd": config["WorkingDir"],
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
    printed = run(health, entrypoint=False).strip()
    expect(printed == f"pmc2vec {version()}", f"{target}: health check says {printed!r}")
    printed = run(["sh", "-c", "id -u; touch /opt/pmc2vec/x /x || true"], entrypoint=False).strip()
    expect(printed == str(USER), f"{target}: runs as user {printed}, not {USER}")
    set_uid = ["find", "/", "-xdev", "-type", "f", "-perm", "/6000"]
    printed = run(["sh", "-c", f"{' '.join(set_uid)} 2>/dev/null || true"], entrypoint=False)
    expect(not printed.strip(), f"{target}: has set-uid files: {printed.split()}")
    find = "import importlib.util as u; print(*[n for n in {} if u.find_spec(n)])"
    halves = ["apache_beam", "tensorflow"]
    printed = run(["python", "-c", find.format(halves)], entrypoint=False).strip()
    expect(
        printed == {"beam": halves[0], "full": " ".join(halves)}.get(target, halves[1]),
        f"{target}: holds {printed or 'neither half'}",
    )
    if target == "beam":
        run(["sample", "--output", "/data/bulk", "--articles", "300"])
        build = ["build", "--input", "/data/bulk/*.tar.gz", "--output", "/data/dataset"]
        expect("finished" in run([*build, "--", "--direct_num_workers=2"]), f"{target}: build")
        pool = "from apache_beam.runners.worker import worker_pool_main"
        run(["python", "-c", pool], entrypoint=False)
    elif target == "full":
        printed = run(["demo", "--output", "/data/demo"])
        print("\n".join(printed.splitlines()[-12:]))
    elif not (data / "dataset").exists():
        name = f"pmc2vec-{target}:{version()}"
        print(
            f"images: {name}: user and packages are right; training was not checked: name beam too"
        )
        return
    else:
        words = ["--dataset", "/data/dataset", "--workdir", f"/data/{target}", "--epochs", "1"]
        expect("trained " in run(["train", *words]), f"{target}: train")
        expect(run(["neighbours", "melanoma", "--vectors", f"/data/{target}"]), f"{target}: query")
    print(f"images: pmc2vec-{target}:{version()} is as it should be")


def expect(holds: object, otherwise: str) -> None:
    """Ends the program with the message `otherwise` unless `holds`."""
    if not holds:
        sys.exit(f"images: {otherwise}")


def main(targets: Sequence[str]) -> None:
    """Checks the images of these targets in order: `trainer` uses the dataset of `beam`."""
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
            images = json.loads(output(*inspect, image))
            config = images[0]["Config"] if docker else images["Docker"]["config"]
            first, *health = config["Healthcheck"]["Test"]
            expect(first == "CMD", f"{target}: no health check")

            def run(words: Sequence[str], *, entrypoint: bool = True, image: str = image) -> str:
                start = in_docker if docker else in_runc
                return start(image, words, folder, entrypoint=entrypoint)

            check(target, run, health, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
