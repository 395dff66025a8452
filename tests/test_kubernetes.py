"""The manifests: valid as rendered, without rights, and with commands that our programs take."""

import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from flink import cluster as flink
from k8s import check
from pmc2vec import __version__
from pmc2vec.cli import exit_codes
from tests.commands import parsed
from trainer.devices import Worker, this_worker

ROOT = Path(__file__).parent.parent
OVERLAYS = ("bucket", "local", "gpu", "multi-worker", "sharded", "flink", "gke")
FOLDERS = ("base", *(f"overlays/{name}" for name in OVERLAYS))
OUTPUTS = {"output", "workdir", "root"}
BUCKET = "overlays/bucket"
"""The one that has no volume, and so neither TensorBoard nor releases nor a shell."""
FIRST = ("app.kubernetes.io/component", "storage")
"""Label of what docs/kubernetes.md applies first."""
IMAGES = {"beam", "full", "trainer", "trainer-gpu"}
Manifest = dict[str, Any]


@cache
def manifests(folder: str) -> list[Manifest]:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl here to render the overlays")
    return check.rendered(ROOT / "k8s" / folder)


def one(folder: str, kind: str, name: str) -> Manifest:
    (found,) = (m for m in manifests(folder) if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


def job_specs(folder: str) -> Iterator[tuple[str, Manifest]]:
    """Yields the name and spec of every Job, those of CronJobs too."""
    for manifest in manifests(folder):
        if manifest["kind"] == "Job":
            yield manifest["metadata"]["name"], manifest["spec"]
        elif manifest["kind"] == "CronJob":
            yield manifest["metadata"]["name"], manifest["spec"]["jobTemplate"]["spec"]


def pods(folder: str) -> Iterator[tuple[str, Manifest]]:
    """Yields a name and the template of every pod; a Flink pod with what both roles share."""
    for name, spec in job_specs(folder):
        yield name, spec["template"]
    for manifest in manifests(folder):
        name, spec = manifest["metadata"]["name"], manifest.get("spec", {})
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            yield name, spec["template"]
        elif manifest["kind"] == "FlinkDeployment":
            shared = spec["podTemplate"]["spec"]
            for role, pod in check.flink_pods(spec):
                yield f"{name}.{role}", {**pod, "spec": {**shared, **pod["spec"]}}


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_kubectl_sends_is_what_kubernetes_takes(folder: str) -> None:
    sent = manifests(folder)
    on_volume = {"PersistentVolumeClaim", "StatefulSet", "Deployment", "CronJob"}
    kinds = {manifest["kind"] for manifest in sent}
    assert kinds & on_volume == (set() if folder == BUCKET else on_volume)
    assert {"Job", "NetworkPolicy"} <= kinds
    for manifest in sent:
        check.validate(manifest)
        assert manifest["metadata"].get("namespace", "pmc2vec") == "pmc2vec"
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["labels"]["app.kubernetes.io/name"] == "pmc2vec"


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("Job", {"backoffLimits": 3}, "backoffLimits"),
        ("Job", {"backoffLimit": "many"}, "backoffLimit"),
        ("FlinkDeployment", {"parallelism": 3}, "no field parallelism in a FlinkDeployment"),
        ("FlinkDeployment", {"flinkConfiguration": {"a": 1}}, "1 is no text"),
        ("FlinkDeployment", {"taskManager": {"resource": {"ram": "1g"}}}, "no field ram"),
        (
            "FlinkDeployment",
            {"podTemplate": {"apiVersion": "v1", "kind": "Pod",
                             "spec": {"container": [], "containers": []}}},
            "container",
        ),
    ],
)  # fmt: skip
def test_a_wrong_manifest_is_refused(kind: str, change: Manifest, said: str) -> None:
    right = next(m for m in manifests("overlays/flink") if m["kind"] == kind)
    with pytest.raises(ValueError, match=said):
        check.validate({**right, "spec": {**right["spec"], **change}})


@pytest.mark.parametrize("folder", FOLDERS)
def test_pods_run_without_rights(folder: str) -> None:
    for name, pod in pods(folder):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        if "flink" not in name:  # Flink asks Kubernetes for its TaskManagers.
            assert spec["automountServiceAccountToken"] is False
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, (name, container["name"])
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in context
            if container["name"] != "flink-main-container":
                assert context["readOnlyRootFilesystem"] is True
                assert {"cpu", "memory", "ephemeral-storage"} <= (
                    container["resources"]["requests"].keys()
                )
                assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_command_is_one_that_our_programs_take(folder: str) -> None:
    seen = set()
    for _, pod in pods(folder):
        for container in containers(pod):
            if "pmc2vec" not in container.get("image", "") or "command" in container:
                continue  # Not ours, or with a test of its own below.
            config = parsed(container["args"])
            seen.add(container["args"][0])
            assert_paths_are_mounted(container, config)
    assert {"build", "train"} | ({"update"} if folder != BUCKET else set()) <= seen


def assert_paths_are_mounted(container: Manifest, config: Any) -> None:
    """Every path stands on a volume, and what is written on one that can be written."""
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    for field, value in vars(config).items():
        for path in value if isinstance(value, tuple) else (value,):
            if not str(path).startswith("/"):
                continue
            ways = [str(folder) for folder in PurePosixPath(str(path)).parents]
            (mount,) = (mounts[way] for way in ways if way in mounts)
            assert not (field in OUTPUTS and mount.get("readOnly")), path


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_step_reads_what_the_one_before_has_written(folder: str) -> None:
    words = {c["name"]: c for _, pod in pods(folder) for c in containers(pod)}
    build, train = parsed(words["build"]["args"]), parsed(words["train"]["args"])
    assert train.dataset == build.output
    assert one(folder, "Job", "pmc2vec-train")["spec"]["suspend"] is True
    if folder == BUCKET:
        return
    board = words["tensorboard"]["command"]
    assert board[board.index("--logdir") + 1] == str(train.workdir)
    assert parsed(words["update"]["args"]).input == build.input
    if folder == "overlays/local":
        assert build.input == (f"{parsed(words['sample']['args']).output}/*.tar.gz",)


def test_tensorboard_takes_its_options_and_probes_ask_its_port() -> None:
    from tensorboard import program

    (container,) = one("base", "Deployment", "pmc2vec-tensorboard")["spec"]["template"]["spec"][
        "containers"
    ]
    board = program.TensorBoard()
    board.configure(argv=container["command"])
    (port,) = container["ports"]
    assert (board.flags.port, board.flags.bind_all) == (port["containerPort"], True)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_probes_and_prometheus_ask_the_port_that_a_program_listens_on(folder: str) -> None:
    probed = set()
    for name, spec in job_specs(folder):
        pod = spec["template"]
        (container,) = pod["spec"]["containers"]
        port = parsed(container["args"]).metrics_port
        if port is None:
            assert not container.keys() & {"livenessProbe", "startupProbe"}
            assert "annotations" not in pod["metadata"]
            continue
        probed.add(name)
        assert {"name": "metrics", "containerPort": port} in container["ports"]
        for probe in ("livenessProbe", "startupProbe"):
            assert container[probe]["httpGet"] == {"path": "/healthz", "port": "metrics"}
        assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    unprobed = {"pmc2vec-build"} if folder == "overlays/flink" else set()
    read = {"pmc2vec-read"} if folder == "overlays/sharded" else set()
    if folder == BUCKET:
        unprobed = {"pmc2vec-update"}
    assert probed == {"pmc2vec-build", "pmc2vec-train", "pmc2vec-update", *read} - unprobed


@pytest.mark.parametrize("folder", FOLDERS)
def test_images_are_targets_of_the_dockerfile_and_have_the_version(folder: str) -> None:
    targets = re.findall(
        r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    for name, pod in pods(folder):
        for container in containers(pod):
            if container["name"] == "flink-main-container":
                continue
            image, _, tag = container["image"].rpartition("/")[2].partition(":")
            assert tag, (name, container["image"])
            if image.startswith("pmc2vec-"):
                assert tag == __version__
                assert image.removeprefix("pmc2vec-") in IMAGES & set(targets)


@pytest.mark.parametrize("folder", FOLDERS)
def test_jobs_tell_faults_from_disruptions(folder: str) -> None:
    for name, spec in job_specs(folder):
        assert spec["ttlSecondsAfterFinished"] >= 24 * 3600
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        rules = spec["podFailurePolicy"]["rules"]
        (disrupted,) = (rule for rule in rules if "onPodConditions" in rule)
        assert disrupted == {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        }
        by_status = {
            status: rule
            for rule in rules
            for status in rule.get("onExitCodes", {}).get("values", ())
        }
        actions = {status: rule["action"] for status, rule in by_status.items()}
        assert actions == {exit_codes.TERMINATED: "Ignore", exit_codes.USAGE_ERROR: "FailJob"}, name
        running = {container["name"] for container in spec["template"]["spec"]["containers"]}
        assert {rule["onExitCodes"]["containerName"] for rule in by_status.values()} == running


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_local_build_has_as_many_workers_as_cpus_are_asked_for(folder: str) -> None:
    flags = [
        (word, container["resources"]["requests"]["cpu"])
        for _, pod in pods(folder)
        for container in containers(pod)
        for word in container.get("args", ())
        if word.startswith("--direct_num_workers=")
    ]
    assert len(flags) == {"overlays/flink": 1, BUCKET: 1, "overlays/sharded": 3}.get(folder, 2)
    assert all(word.partition("=")[2] == str(cpu) for word, cpu in flags)


def matches(selector: Manifest, pod: Manifest) -> bool:
    return selector.get("matchLabels", {}).items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("folder", FOLDERS)
def test_policies_select_our_pods(folder: str) -> None:
    ours = [pod for name, pod in pods(folder) if "flink" not in name]
    silence = one(folder, "NetworkPolicy", "pmc2vec-silence")["spec"]
    assert all(matches(silence["podSelector"], pod) for pod in ours)
    assert set(silence["policyTypes"]) == {"Ingress", "Egress"}
    assert not silence.keys() & {"ingress", "egress"}
    for manifest in manifests(folder):
        if manifest["kind"] == "NetworkPolicy":
            assert any(matches(manifest["spec"]["podSelector"], pod) for pod in ours)
    training = one(folder, "Job", "pmc2vec-train")["spec"]
    budget = one(folder, "PodDisruptionBudget", "pmc2vec-train")["spec"]
    assert [matches(budget["selector"], pod) for pod in ours].count(True) == 1
    assert matches(budget["selector"], training["template"])
    assert budget["minAvailable"] == training.get("parallelism", 1)


def test_workers_find_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    job = one("overlays/multi-worker", "Job", "pmc2vec-train")["spec"]
    pod = job["template"]
    (container,) = pod["spec"]["containers"]
    index, config = container["env"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"] == 2
    assert index["name"] == "JOB_COMPLETION_INDEX"
    assert index["valueFrom"]["fieldRef"]["fieldPath"] == (
        "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    )
    for number in range(job["completions"]):
        value = config["value"].replace("$(JOB_COMPLETION_INDEX)", str(number))
        monkeypatch.setenv(config["name"], value)
        assert this_worker() == Worker(number, job["completions"])
    service = one("overlays/multi-worker", "Service", "pmc2vec-train")
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert matches({"matchLabels": service["spec"]["selector"]}, pod)
    port = next(port for port in container["ports"] if port["name"] == "grpc")
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    assert json.loads(value)["cluster"]["worker"] == [
        f"pmc2vec-train-{number}.pmc2vec-train:{port['containerPort']}" for number in range(2)
    ]


def test_shares_of_a_sharded_build_are_all_of_it_and_of_the_same_build() -> None:
    job = one("overlays/sharded", "Job", "pmc2vec-read")["spec"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"]
    words = {c["name"]: c["args"] for _, pod in pods("overlays/sharded") for c in containers(pod)
             if "args" in c}  # fmt: skip
    share = f"--share=$(JOB_COMPLETION_INDEX)/{job['completions']}"
    assert share in words["read"]
    assert [word for word in words["read"] if word != share] == words["build"]
    assert one("overlays/sharded", "Job", "pmc2vec-build")["spec"]["suspend"] is True


def test_gpus_are_asked_for_by_training_alone() -> None:
    for folder in ("overlays/gpu", "overlays/multi-worker", "overlays/gke"):
        for _, pod in pods(folder):
            for container in containers(pod):
                gpu = "nvidia.com/gpu" in container["resources"]["limits"]
                assert gpu == (container["name"] == "train")
                assert gpu == ("trainer-gpu" in container["image"])
        # NCCL's shared memory, of which a container has 64 MB otherwise.
        spec = one(folder, "Job", "pmc2vec-train")["spec"]["template"]["spec"]
        (mounted,) = (m["name"] for m in spec["containers"][0]["volumeMounts"]
                      if m["mountPath"] == "/dev/shm")  # fmt: skip
        (volume,) = (volume for volume in spec["volumes"] if volume["name"] == mounted)
        assert volume["emptyDir"]["medium"] == "Memory"


def test_what_is_applied_first_is_the_namespace_and_the_volume_with_a_shell() -> None:
    for folder in FOLDERS[1:]:
        labels = [(m["kind"], m["metadata"]["labels"]) for m in manifests(folder)]
        first = [kind for kind, of in labels if of.get(FIRST[0]) == FIRST[1]]
        volume = [] if folder == BUCKET else ["PersistentVolumeClaim", "StatefulSet"]
        assert sorted(first) == sorted(["Namespace", *volume])


def test_a_volume_is_of_one_access_mode_from_the_first_apply() -> None:
    modes = {
        folder.rpartition("/")[2]: m["spec"]["accessModes"]
        for folder in FOLDERS
        for m in manifests(folder)
        if m["kind"] == "PersistentVolumeClaim"
    }
    assert modes.pop("local") == ["ReadWriteOnce"]
    assert set(map(tuple, modes.values())) == {("ReadWriteMany",)}


def test_the_build_on_flink_finds_its_server_its_cluster_and_its_workers() -> None:
    cluster = one("overlays/flink", "FlinkDeployment", "pmc2vec-flink")
    spec = cluster["spec"]
    words = {c["name"]: c for _, pod in pods("overlays/flink") for c in containers(pod)}
    build, server, pool = words["build"], words["job-server"], words["worker-pool"]
    flags = build["args"][build["args"].index("--") + 1 :]
    asked = PipelineOptions(flags).view_as(PortableOptions)
    assert asked.environment_type == "EXTERNAL"
    (port,) = pool["ports"]
    assert asked.environment_config == f"localhost:{port['containerPort']}"
    assert pool["args"] == [f"--service_port={port['containerPort']}"]
    python, run, module = pool["command"]
    assert (python, run) == ("python", "-m")
    assert hasattr(import_module(module), "main")
    assert f"--flink-master={cluster['metadata']['name']}-rest:8081" in server["args"]
    assert asked.job_endpoint == "localhost:8099"
    assert server["restartPolicy"] == "Always"
    version = re.search(r"flink(\d+)\.(\d+)", server["image"])
    assert version is not None
    major, minor = version.groups()
    assert spec["flinkVersion"] == f"v{major}_{minor}"
    import apache_beam

    assert server["image"].endswith(f":{apache_beam.__version__}")
    slots = spec["flinkConfiguration"]["slotmanager.number-of-slots.max"]
    assert f"--parallelism={slots}" in flags
    of_each = spec["flinkConfiguration"]["taskmanager.numberOfTaskSlots"]
    assert f"--sdk_worker_parallelism={of_each}" in flags
    assert f"--flink_master={cluster['metadata']['name']}-rest:8081" in flags
    lock = (ROOT / "flink/requirements.txt").read_text("utf-8")
    assert spec["image"] == f"flink:{lock.partition('==')[2].split()[0]}-java17"
    # As on the cluster where it was run.
    assert flink.SETTINGS.items() <= spec["flinkConfiguration"].items()
    assert int(asked.environment_cache_millis) >= 60_000
    (copy,) = spec["podTemplate"]["spec"]["initContainers"]
    assert copy["image"] == server["image"]
    (place,) = (mount["name"] for mount in copy["volumeMounts"])
    mounts = {m["name"]: m["mountPath"] for m in words["flink-main-container"]["volumeMounts"]}
    assert mounts[place].startswith("/opt/flink/lib/")
    # What the job server stages, TaskManagers read; and all write to one dataset.
    for container in (build, server, pool, words["flink-main-container"]):
        assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_in_its_kustomization(folder: str) -> None:
    place = ROOT / "k8s" / folder
    about = yaml.safe_load((place / "kustomization.yaml").read_text("utf-8"))
    named = [*about["resources"], *(patch.get("path") for patch in about.get("patches", ()))]
    there = {path.name for path in place.iterdir()} - {"kustomization.yaml"}
    assert {name for name in named if name and name.endswith(".yaml")} == there
