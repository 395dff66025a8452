"""The overlays, applied to a real API server in the order of docs/kubernetes.md.

`make kube` builds the API server and its etcd. There are no nodes and no controllers, so that
nothing runs: what is tested is that Kubernetes takes every object, and every change of one.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from flink.cluster import free_ports

ROOT = Path(__file__).parent.parent
BINARIES = ROOT / ".kube"
OVERLAYS = sorted(path.name for path in (ROOT / "k8s/overlays").iterdir())
FIRST = "app.kubernetes.io/component=storage"
# The Flink operator's resource. Its fields are checked by k8s/check.py.
FLINK_DEPLOYMENT = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "flinkdeployments.flink.apache.org"},
    "spec": {
        "group": "flink.apache.org",
        "scope": "Namespaced",
        "names": {"kind": "FlinkDeployment", "plural": "flinkdeployments"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}
Kubectl = Callable[..., str]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BINARIES / "kube-apiserver").exists() or not shutil.which("kubectl"),
        reason="make kube was not run, or there is no kubectl",
    ),
]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Runs kubectl against an API server of its own; returns what it prints."""
    folder = tmp_path_factory.mktemp("kube")
    clients, peers, secure = free_ports(3)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "tokens.csv").write_text("token,admin,admin,system:masters\n")
    etcd, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    commands = (
        [BINARIES / "etcd", "--data-dir", folder / "etcd", "--name", "one",
         "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
         "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
         "--initial-cluster", f"one={peer}"],
        [BINARIES / "kube-apiserver", "--etcd-servers", etcd, "--secure-port", str(secure),
         "--cert-dir", folder / "certs", "--token-auth-file", folder / "tokens.csv",
         "--service-account-issuer", "https://kubernetes.default.svc",
         "--service-account-key-file", folder / "key.pem",
         "--service-account-signing-key-file", folder / "key.pem",
         # What has neither a controller nor a service account can be deleted and made at once.
         "--disable-admission-plugins", "ServiceAccount,StorageObjectInUseProtection"],
    )  # fmt: skip
    processes = []
    options = [
        f"--server=https://127.0.0.1:{secure}",
        "--insecure-skip-tls-verify",
        "--token=token",
    ]

    def run(*words: object, stdin: str = "") -> str:
        done = subprocess.run(
            ["kubectl", *options, *map(str, words)],
            input=stdin, capture_output=True, text=True, check=False,
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        for number, command in enumerate(commands):
            with (folder / f"{number}.log").open("wb") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        # Asked again and again until it answers.
        ready = ["kubectl", *options, "get", "--raw", "/readyz"]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            logs = [path.read_text()[-2000:] for path in folder.glob("*.log")]
            assert all(process.poll() is None for process in processes), logs
        run("apply", "--filename", "-", stdin=json.dumps(FLINK_DEPLOYMENT))
        run("wait", "--for=condition=established", "crd/flinkdeployments.flink.apache.org")
        yield run
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_taken_in_the_order_of_the_docs(kubectl: Kubectl, overlay: str) -> None:
    folder = ROOT / "k8s/overlays" / overlay
    kubectl("apply", "--kustomize", folder, "--selector", FIRST)
    here = ("--namespace", "pmc2vec")
    if overlay != "bucket":
        kubectl(*here, "scale", "statefulset/pmc2vec-shell", "--replicas=1")
    warnings = kubectl("apply", "--kustomize", folder)
    assert "job.batch/pmc2vec-train created" in warnings
    kubectl(*here, "patch", "job/pmc2vec-train", "--patch", '{"spec": {"suspend": false}}')
    if overlay != "bucket":
        replicas = "jsonpath={.spec.replicas}"
        assert kubectl(*here, "get", "statefulset/pmc2vec-shell", "-o", replicas) == "0"
    # The same again changes nothing but what the docs have changed. Of a budget kubectl always says
    # that it is configured.
    again = kubectl("apply", "--kustomize", folder)
    changed = {line for line in again.splitlines() if not line.endswith("unchanged")}
    assert changed == {
        "job.batch/pmc2vec-train configured",
        "poddisruptionbudget.policy/pmc2vec-train configured",
    }
    kinds = "job,cronjob,deployment,statefulset,service,networkpolicy,pdb,flinkdeployment,pvc"
    kubectl(*here, "delete", kinds, "--all", "--wait=false")
