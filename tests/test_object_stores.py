import hashlib
import io
import pickle
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_pipelines.build import build
from beam_pipelines.config import BuildConfig
from beam_pipelines.stages.output_folder import OutputFolder
from pmc2vec.errors import UserError
from pmc2vec.storage import files, object_stores
from pmc2vec.storage.object_stores import use_storage_options
from tests.bulk import write_bulk
from tests.object_server import KINDS, cloud_storage_server, no_cloud, object_server

__all__ = ["no_cloud"]

ALONE = ("--direct_num_workers=1",)


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    with object_server(request.param, tmp_path_factory.mktemp("buckets")) as running:
        yield running


@pytest.fixture
def bucket(server, no_cloud, request):
    """A folder of its own for each test."""
    use_storage_options(server.options)
    return f"s3://bucket/{request.node.name.partition('[')[0]}"


def test_what_is_written_is_read(bucket):
    assert files.read_text(f"{bucket}/a.txt") is None
    files.write_text(f"{bucket}/a.txt", "caf\u00e9")
    assert files.read_text(f"{bucket}/a.txt") == "caf\u00e9"
    assert files.exists(f"{bucket}/a.txt")
    assert not files.exists(f"{bucket}/b.txt")
    described = files.file_metadata(f"{bucket}/a.txt")
    assert (described.size, described.etag is None) == (5, False)
    assert files.sha256_of(f"{bucket}/a.txt") == hashlib.sha256("caf\u00e9".encode()).hexdigest()
    with pytest.raises(UserError, match=r"b\.txt: cannot be read"):
        files.open_binary(f"{bucket}/b.txt")


def test_a_writer_that_fails_writes_nothing(bucket):
    def write_half():
        with files.atomic_file(f"{bucket}/a") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert files.list_files(bucket) == []


def test_a_large_file_is_one_object(bucket, monkeypatch):
    monkeypatch.setattr(object_stores, "_PART_BYTES", 5 << 20)
    data = bytes(range(256)) * (12 << 12)  # 12 MiB
    with files.atomic_file(f"{bucket}/large") as file:
        file.write(data)
    assert files.list_files(bucket) == [(f"{bucket}/large", len(data))]
    with files.open_binary(f"{bucket}/large") as file:
        assert file.read(3) == b"\0\1\2"
        assert file.read() == data[3:]
        assert file.seek(-2, io.SEEK_END) == len(data) - 2
        assert file.read() == b"\xfe\xff"
        file.seek(1 << 20)
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(data[1 << 20 :]).digest()


def test_archives_and_tables_are_read_in_place(bucket):
    with (
        files.atomic_file(f"{bucket}/a.tar.gz") as file,
        tarfile.open(fileobj=file, mode="w:gz") as tar,
    ):
        tar.add(__file__, "test.py")
    with files.open_binary(f"{bucket}/a.tar.gz") as file, tarfile.open(fileobj=file) as tar:
        assert tar.getnames() == ["test.py"]
    table = pa.table({"a": list(range(100_000)), "b": ["x" * 20] * 100_000})
    with files.atomic_file(f"{bucket}/a.parquet") as file:
        pq.write_table(table, file, row_group_size=10_000)
    with files.open_binary(f"{bucket}/a.parquet") as file:
        assert pq.ParquetFile(file).read_row_group(3, ["a"])["a"][0].as_py() == 30_000


@pytest.mark.parametrize(
    ("folder", "neighbour"), [("out[a]", "outa"), ("run*", "run1"), ("a?b", "aXb"), ("ou", "out")]
)
def test_a_folder_is_its_name_whatever_characters_are_in_it(bucket, folder, neighbour):
    base = f"{bucket}/{len(folder)}{folder[0]}"
    for name in (folder, neighbour):
        for file in ("1.tmp", "sub/2.tmp"):
            files.write_text(f"{base}/{name}/{file}", name)
    ours = f"{base}/{folder}"
    assert files.is_folder(ours)
    assert files.list_files(ours, "*.tmp") == [(f"{ours}/1.tmp", len(folder))]
    files.remove_files(ours, "**")
    assert files.list_files(ours) == []
    assert len(files.list_files(f"{base}/{neighbour}")) == 2


def test_a_users_pattern_matches_names(bucket):
    for name in ("PMC1/PMC1.xml", "PMC1/PMC1.txt", "PMC2/PMC2.xml", "other/a.xml"):
        files.write_text(f"{bucket}/{name}", "1")
    assert files.match_files(f"{bucket}/PMC*/*.xml") == [
        (f"{bucket}/PMC1/PMC1.xml", 1),
        (f"{bucket}/PMC2/PMC2.xml", 1),
    ]
    assert files.match_files(f"{bucket}/other/a.xml") == [(f"{bucket}/other/a.xml", 1)]


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(bucket):
    files.write_text(f"{bucket}/a", "1" * (4 << 20))
    with files.open_binary(f"{bucket}/a") as file:
        file.seek(1 << 20)
        files.write_text(f"{bucket}/a", "2" * (4 << 20))
        with pytest.raises(UserError, match="a: cannot be read"):
            file.read(10)


def test_options_travel_with_the_output(bucket, server):
    files.write_text(f"{bucket}/a", "travelled")
    output = OutputFolder(bucket, storage_options=tuple(server.options.items()))
    code = (
        "import pickle, sys; from pmc2vec.storage.files import read_text\n"
        "output = pickle.load(sys.stdin.buffer)\n"
        "print(read_text(output.path('a')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(output), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout == b"travelled\n"


def test_keys_come_from_variables_or_a_profile(bucket, server, monkeypatch, tmp_path):
    files.write_text(f"{bucket}/a", "1")
    use_storage_options({})
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.options["endpoint"])
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(UserError, match=r"a: cannot be read .*40[03]"):  # Anonymous.
        files.read_text(f"{bucket}/a")
    (tmp_path / "home/.aws").mkdir(parents=True)
    (tmp_path / "home/.aws/credentials").write_text(
        "[lab]\naws_access_key_id = tester\naws_secret_access_key = secret-of-tests\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    use_storage_options({})
    assert files.read_text(f"{bucket}/a") == "1"
    monkeypatch.setenv("AWS_PROFILE", "other")
    use_storage_options({})
    with pytest.raises(UserError, match="no profile 'other'"):
        files.read_text(f"{bucket}/a")
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-tests")
    use_storage_options({})
    assert files.read_text(f"{bucket}/a") == "1"


def test_a_bucket_that_is_not_there_and_an_unknown_option_are_one_line(bucket, server):
    with pytest.raises(UserError, match="s3://nobody") as caught:
        files.list_files("s3://nobody/a")
    assert "\n" not in str(caught.value)
    use_storage_options({**server.options, "colour": "red"})
    with pytest.raises(UserError, match="colour"):
        files.read_text(f"{bucket}/a")


@pytest.mark.s3
def test_cloud_storage_is_read_and_listed_without_a_login(no_cloud, tmp_path, monkeypatch):
    folder = tmp_path / "buckets/bucket/b[1]"
    write_bulk(folder, archives=2, articles=3)

    def digests(source: str, output: str) -> list[str]:
        config = BuildConfig(
            input=(source,), output=str(tmp_path / output), min_count=1, num_shards=1
        )
        return [shard.sha256 for shard in build(config, ALONE).shards]

    with cloud_storage_server(tmp_path / "buckets") as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        use_storage_options({"max_retries": "1"})
        assert files.read_text("gs://bucket/none") is None
        with pytest.raises(UserError, match="gs://nobody") as caught:
            files.list_files("gs://nobody/a")
        assert "\n" not in str(caught.value)
        with files.open_binary("gs://bucket/b[1]/oa_0.tar.gz") as file:
            file.seek(-4, io.SEEK_END)
            assert file.read() == (folder / "oa_0.tar.gz").read_bytes()[-4:]
        assert digests("gs://bucket/b[1]", "remote") == digests(str(folder), "local")


def test_cloud_storage_is_not_written_without_credentials(no_cloud):
    use_storage_options({})
    with pytest.raises(UserError, match="there are no credentials to write with"):
        files.write_text("gs://bucket/a", "1")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("ftp://b/k", "no support for ftp://; give a local path or a URL with one of s3://"),
        ("hdfs://b/k", "no support for hdfs://"),
        ("s3://", "names no bucket"),
        ("az://account", "names no account and a container"),
        ("az://account/c/k", "az://account/c/k: cannot be read"),
    ],
)
def test_what_cannot_be_opened_is_one_line(no_cloud, path, message):
    use_storage_options({"endpoint": "http://127.0.0.1:9", "max_retries": "0"})
    with pytest.raises(UserError, match=message) as caught:
        files.open_binary(path)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_an_error_within_the_budget(no_cloud):
    use_storage_options({"endpoint": "http://127.0.0.1:9", "max_retries": "1", "region": "r"})
    with pytest.raises(UserError, match="s3://b/a: cannot be read"):
        files.read_text("s3://b/a")


def test_a_web_server_is_read_and_neither_listed_nor_written(bucket, server):
    with pytest.raises(UserError, match="only read"):
        files.write_text(f"{server.options['endpoint']}/a", "1")
    with pytest.raises(UserError, match=r"lists no files|cannot be read"):
        files.match_files(f"{server.options['endpoint']}/*.tar.gz")
