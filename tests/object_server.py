"""Servers of buckets for tests: moto's, of PyPI; versitygw and fake-gcs-server, of `make s3`."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pmc2vec.storage import object_stores

_PROGRAMS = Path(__file__).parent.parent / ".s3"
VERSITYGW, FAKE_GCS = _PROGRAMS / "versitygw", _PROGRAMS / "fake-gcs-server"
KEYS = {"access_key_id": "tester", "secret_access_key": "secret-of-tests"}


@dataclass(frozen=True)
class ObjectServer:
    """A server with a bucket `bucket`.

    Attributes:
        options: storage options for it, with its keys.
    """

    options: dict[str, str]


@contextlib.contextmanager
def object_server(kind: str, folder: Path) -> Iterator[ObjectServer]:
    """Runs a server, with no other configuration of a cloud in sight."""
    port = _free_port()
    if kind == "versitygw":
        if not VERSITYGW.exists():
            pytest.skip("no .s3/versitygw; `make s3` sets it up")
        (folder / "bucket").mkdir(parents=True)
        command = [str(VERSITYGW), "--quiet", "--port", f"127.0.0.1:{port}", "--access",
                   KEYS["access_key_id"], "--secret", KEYS["secret_access_key"],
                   "posix", str(folder)]  # fmt: skip
    else:
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, port):
        if kind == "moto":
            import boto3

            boto3.client(
                "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                aws_access_key_id="tester", aws_secret_access_key="secret-of-tests",
            ).create_bucket(Bucket="bucket")  # fmt: skip
        yield ObjectServer({"endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1", **KEYS})


@contextlib.contextmanager
def cloud_storage_server(folder: Path) -> Iterator[str]:
    """Runs fake-gcs-server, whose buckets are the folders in `folder`; yields its address.

    It reads and lists by the XML interface, which obstore speaks, and writes by the other one only.
    """
    if not FAKE_GCS.exists():
        pytest.skip("no .s3/fake-gcs-server; `make s3` sets it up")
    port = _free_port()
    address = f"127.0.0.1:{port}"
    command = [str(FAKE_GCS), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
               "-backend", "memory", "-data", str(folder), "-public-host", address]  # fmt: skip
    with _running(command, port):
        yield address


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the server does not answer")


@pytest.fixture
def no_cloud(monkeypatch, tmp_path):
    """A machine on which no cloud is configured."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "STORAGE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield
    object_stores.use_storage_options({})


KINDS = ["moto", pytest.param("versitygw", marks=pytest.mark.s3)]
