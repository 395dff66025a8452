"""Article versions in a bucket: what is downloaded, in what order, and what trouble changes."""

import asyncio
import hashlib
import json
import socket
import time
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build, main
from beam_pipelines.config import BuildConfig
from beam_pipelines.inputs.article_versions import PMC_BUCKET
from pmc2vec.errors import UserError
from pmc2vec.storage import files
from pmc2vec.storage.concurrent_reads import read_in_order
from pmc2vec.storage.object_stores import RetryBudget, use_storage_options
from tests.bulk import TOPICS, article
from tests.fault_proxy import FAULTS, fault_proxy
from tests.object_server import KEYS, KINDS, no_cloud, object_server

__all__ = ["no_cloud"]

ALONE = ("--direct_num_workers=1",)
OPTIONS = {"min_count": 2, "num_shards": 2, "record_length": 64, "block": 8, "block_negatives": 4,
           "keywords": ("melanoma", "carcinoma")}  # fmt: skip
IDS = range(1, 71)
RETRACTED, OTHER_LICENCE, TWICE = "PMC4.1", "PMC7.1", "PMC10"


def write_versions(folder: Path) -> Path:
    """Writes 70 articles in 71 versions in the bucket's layout."""
    topics = list(TOPICS)
    (folder / "metadata").mkdir(parents=True)
    for number in IDS:
        for version in (1, 2) if f"PMC{number}" == TWICE else (1,):
            name = f"PMC{number}.{version}"
            data = article(number, topics[(number + version) % 3])
            facts = {
                "license_code": "CC BY-NC" if name == OTHER_LICENCE else "CC BY",
                "is_retracted": name == RETRACTED,
                "xml_url": f"s3://b/{name}/{name}.xml?md5={hashlib.md5(data).hexdigest()}",
            }
            (folder / name).mkdir()
            (folder / name / f"{name}.xml").write_bytes(data)
            (folder / "metadata" / f"{name}.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return write_versions(tmp_path_factory.mktemp("copy") / "versions")


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory, copy):
    with object_server(request.param, tmp_path_factory.mktemp("buckets")) as running:
        use_storage_options(running.options)
        for path, _ in files.list_files(str(copy)):
            with files.atomic_file(path.replace(str(copy), "s3://bucket/pmc")) as file:
                file.write(Path(path).read_bytes())
        yield running
        use_storage_options({})


def dataset(output: Path) -> dict[str, bytes]:
    names = [*output.glob("*.tfrecord"), output / "vocabulary.tsv"]
    return {path.name: path.read_bytes() for path in names}


def built(output: Path, source: str, proxy=None, server=None, *, read_timeout=60, **options):
    storage = {**server.options, "endpoint": proxy.endpoint} if proxy else {}
    storage |= {"read_timeout": str(read_timeout)} if proxy else {}
    pairs = tuple(f"{key}={value}" for key, value in storage.items())
    config = BuildConfig(
        input=(source,), output=str(output), storage_option=pairs, **{**OPTIONS, **options}
    )
    return build(config, ALONE)


@pytest.fixture(scope="module")
def from_copy(copy, tmp_path_factory):
    output = tmp_path_factory.mktemp("from-copy") / "d"
    return built(output, str(copy)), dataset(output)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(RetryBudget, "first_pause", 0.01, raising=False)
    monkeypatch.setattr(
        "pmc2vec.storage.concurrent_reads._jittered_pause", lambda budget, attempt: 0.01
    )


def test_what_is_not_wanted_is_not_downloaded(copy, server, no_cloud, tmp_path, from_copy):
    with fault_proxy(server.options["endpoint"]) as proxy:
        made = built(tmp_path / "d", "s3://bucket/pmc", proxy, server, licences=("CC BY",))
    xml = {Path(path).stem for path in proxy.requests if path.endswith(".xml")}
    assert len(xml) == 68
    assert not xml & {RETRACTED, OTHER_LICENCE, f"{TWICE}.1"}
    reasons = {k: n for k, n in made.funnel.items() if k.startswith("not_downloaded")}
    assert reasons == {
        "not_downloaded:licence": 1,
        "not_downloaded:older_version": 1,
        "not_downloaded:retracted": 1,
    }
    assert (made.funnel["listed"], made.funnel["read"]) == (71, 68)
    # Each is requested once: its metadata, and its XML.
    objects = {p: n for p, n in proxy.requests.items() if p.endswith((".xml", ".json"))}
    assert {*objects.values()} == {1}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_changes_no_byte(server, no_cloud, tmp_path, from_copy, fault):
    def fault_of(path, number):
        return fault if number == 1 and path.endswith(("3.1.xml", "PMC5.1.json")) else None

    with fault_proxy(server.options["endpoint"], fault_of=fault_of) as proxy:
        # Short where a body stalls; elsewhere a slow machine must not look like a fault.
        read_timeout = 2 if fault == "stall" else 60
        built(tmp_path / "d", "s3://bucket/pmc", proxy, server, read_timeout=read_timeout)
    assert dataset(tmp_path / "d") == from_copy[1]
    repeated = {Path(path).name for path, n in proxy.requests.items() if n >= 2}
    assert repeated >= {"PMC3.1.xml", "PMC13.1.xml", "PMC5.1.json"}
    # Three times where the HTTP client itself repeats a request on a connection that it kept.
    assert max(n for path, n in proxy.requests.items() if path.endswith((".xml", ".json"))) <= 3


def test_what_stays_is_a_row_of_rejected(server, no_cloud, tmp_path):
    faults = {"PMC3.1.xml": "404", "PMC5.1.xml": "403", "PMC6.1.xml": "wrong bytes",
              "PMC8.1.json": "404"}  # fmt: skip
    with fault_proxy(
        server.options["endpoint"], fault_of=lambda path, number: faults.get(Path(path).name)
    ) as proxy:
        made = built(tmp_path / "d", "s3://bucket/pmc", proxy, server)
    rows = map(json.loads, (tmp_path / "d/rejected.jsonl").read_text().splitlines())
    assert {row["member"]: row["reason"] for row in rows} == {
        "PMC3.1.xml": "missing",
        "PMC5.1.xml": "refused",
        "PMC6.1.xml": "wrong_md5",
    }
    assert made.funnel["rejected:wrong_md5"] == 1
    (wrong,) = (n for path, n in proxy.requests.items() if path.endswith("PMC6.1.xml"))
    assert wrong == 3


def test_trouble_of_the_whole_bucket_is_one_line(server, no_cloud, tmp_path, copy):
    inventory = tmp_path / "i.csv"
    inventory.write_text("".join(f"b,metadata/PMC{n}.1.json\n" for n in IDS))
    for fault, message in (
        ("403", "s3://bucket/pmc: may not be read"),
        ("503", r"cannot be read, 3 times .*503"),
    ):
        with fault_proxy(server.options["endpoint"], fault_of=lambda p, n, f=fault: f) as proxy:
            options = {**server.options, "endpoint": proxy.endpoint, "max_retries": "2"}
            config = BuildConfig(
                input=("s3://bucket/pmc",), inventory=(str(inventory),), **OPTIONS,
                output=str(tmp_path / fault),
                storage_option=tuple(f"{key}={value}" for key, value in options.items()),
            )  # fmt: skip
            with pytest.raises(UserError, match=message):
                build(config, ALONE)


def test_the_public_bucket_needs_no_configuration(
    server, no_cloud, tmp_path, monkeypatch, copy, capfd
):
    client = boto3.client(
        "s3", endpoint_url=server.options["endpoint"], region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"], aws_secret_access_key=KEYS["secret_access_key"],
    )  # fmt: skip
    name = PMC_BUCKET.removeprefix("s3://")
    client.create_bucket(Bucket=name)
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{where}"}
        for action, where in (("s3:ListBucket", name), ("s3:GetObject", f"{name}/*"))
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    for path in (*copy.glob("PMC[1-3].1/*.xml"), *copy.glob("metadata/PMC[1-3].1.json")):
        client.put_object(Bucket=name, Key=str(path.relative_to(copy)), Body=path.read_bytes())
    # Whatever is not asked of the server goes to this address, a metadata address too.
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{elsewhere.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.options["endpoint"])
        words = ["--input", "pmc", "--output", str(tmp_path / "d"), "--min_count", "1"]
        assert main([*words, "--", *ALONE]) == 0
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    out, err = capfd.readouterr()
    assert "articles kept                         3" in out
    assert err.startswith("list: 3 keys, ")


def test_a_killed_build_goes_on_with_its_selection(copy, tmp_path, caplog):
    (tmp_path / "ids").write_text("PMC2\nPMC3\nPMC900\n")
    options = {"pmcids": str(tmp_path / "ids"), "keywords": ()}
    first = built(tmp_path / "d", str(copy), **options)
    assert "1 of the wanted articles are not in" in caplog.text
    assert "PMC900" in caplog.text
    assert first.funnel["read"] == 2
    (tmp_path / "d/manifest.json").unlink()
    selection = tmp_path / "d/selection.parquet"
    assert pq.read_table(selection)["pmcid"].to_pylist() == [2, 3]
    before = selection.stat().st_mtime_ns
    assert built(tmp_path / "d", str(copy), **options) == first
    assert selection.stat().st_mtime_ns == before
    (tmp_path / "ids").write_text("PMC2\n")
    with pytest.raises(UserError, match="other input files"):
        built(tmp_path / "d", str(copy), **options)


def test_a_selection_needs_a_bucket(tmp_path):
    (tmp_path / "a.xml").write_bytes(article(1, "maize"))
    with pytest.raises(UserError, match="give --input pmc"):
        built(tmp_path / "d", str(tmp_path / "a.xml"), limit=5)


def test_results_are_in_order_and_bounded(monkeypatch):
    running, most, started = 0, 0, []

    async def read(item, requests):
        nonlocal running, most
        started.append(item)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02 if item % 5 == 0 else 0)
        running -= 1
        return item

    assert list(read_in_order(read, range(50), in_flight=4)) == list(range(50))
    assert 1 < most <= 4
    monkeypatch.setattr("pmc2vec.storage.concurrent_reads.MAX_WAITING_BYTES", 1)
    assert list(read_in_order(read, range(9), in_flight=4, size_of=lambda _: 5)) == list(range(9))
    started.clear()
    results = read_in_order(read, range(10**9), in_flight=4, size_of=lambda _: 5)
    assert next(results) == 0
    time.sleep(0.1)
    # At most four ran when no result waited; the next runs when those before it have been taken.
    assert started == [0, 1, 2, 3][: len(started)]
    results.close()
