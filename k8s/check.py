"""Checks every manifest, and every overlay as kubectl renders it, against Kubernetes' schemas.

    python k8s/check.py

A field that does not exist is an error. Kubernetes has no schema for Flink's custom resource: its
fields are compared with those of the operator, and its pod templates are checked as pods. No
cluster is needed. Without kubectl the overlays are not checked, and a line says so.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

FOLDER = Path(__file__).parent
RENDERED = (FOLDER / "base", *sorted((FOLDER / "overlays").iterdir()))
"""Folders with a kustomization."""

_RESOURCE = {"cpu", "memory", "ephemeralStorage"}
_ROLE = {"podTemplate", "replicas", "resource"}
_FLINK = {
    "flinkConfiguration", "flinkVersion", "image", "imagePullPolicy", "ingress", "job",
    "jobManager", "logConfiguration", "mode", "podTemplate", "restartNonce", "serviceAccount",
    "taskManager",
}  # fmt: skip
"""Fields of a FlinkDeployment's spec, version v1beta1, as the operator 1.10 declares them."""

Manifest = dict[str, Any]


def rendered(folder: Path) -> list[Manifest]:
    """Returns the manifests that `kubectl apply --kustomize` would send.

    Raises:
        ValueError: kubectl refuses the folder.
    """
    run = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise ValueError(run.stderr.strip())
    return list(yaml.safe_load_all(run.stdout))


def validate(manifest: Manifest) -> None:
    """Raises ValueError where a manifest is not what Kubernetes takes."""
    if manifest["apiVersion"].startswith("flink.apache.org/"):
        _validate_flink(manifest["spec"])
        return
    try:
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        raise ValueError(f"{'.'.join(map(str, error.path))}: {error.message}") from error


def flink_pods(spec: Manifest) -> Iterator[tuple[str, Manifest]]:
    """Yields the name and the pod of each pod template in a FlinkDeployment's spec."""
    for name in ("", "jobManager", "taskManager"):
        role = spec.get(name, {}) if name else spec
        if "podTemplate" in role:
            yield f"{name}.podTemplate".lstrip("."), role["podTemplate"]


def _validate_flink(spec: Manifest) -> None:
    fields_by_role = {"": _FLINK, "jobManager": _ROLE, "taskManager": _ROLE}
    for name, fields in fields_by_role.items():
        role = spec.get(name, {}) if name else spec
        if unknown := role.keys() - fields:
            raise ValueError(f"{name or 'spec'}: no field {min(unknown)} in a FlinkDeployment")
        if unknown := role.get("resource", {}).keys() - _RESOURCE:
            raise ValueError(f"{name}.resource: no field {min(unknown)}")
    values = spec.get("flinkConfiguration", {}).values()
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise ValueError(f"flinkConfiguration: {wrong[0]!r} is no text; quote it")
    for name, pod in flink_pods(spec):
        image = {"image": spec["image"]}  # The operator adds it.
        whole = [image | container for container in pod["spec"]["containers"]]
        try:
            validate({**pod, "spec": {**pod["spec"], "containers": whole}})
        except ValueError as error:
            raise ValueError(f"{name}.{error}") from error


def main() -> None:
    """Checks all manifests; exits with code 1 where one is wrong."""
    manifests = [
        (path, manifest)
        for path in sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("base/*.yaml")])
        if path.name != "kustomization.yaml"
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    if shutil.which("kubectl"):
        manifests += [(folder, manifest) for folder in RENDERED for manifest in rendered(folder)]
    else:
        print("k8s: no kubectl here; the overlays are not checked", file=sys.stderr)
    for path, manifest in manifests:
        try:
            validate(manifest)
        except ValueError as error:
            sys.exit(f"k8s: {path}, {manifest['kind']} {manifest['metadata']['name']}: {error}")


if __name__ == "__main__":
    main()
