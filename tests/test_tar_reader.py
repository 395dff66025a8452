"""Hostile tar headers end in members and errors, soon and at bounded memory."""

import contextlib
import io
import struct
import tarfile
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.inputs.archives import is_article_name
from beam_pipelines.inputs.decompression import DamagedStreamError, InputStream
from beam_pipelines.inputs.documents import Damage, Document, ReadOptions
from beam_pipelines.inputs.sources import read_documents
from beam_pipelines.inputs.tar_reader import (
    MAX_CHAINED_HEADERS,
    MAX_HEADER_BYTES,
    TarError,
    members,
)
from beam_pipelines.stages.duplicates import member_date

ARTICLE = b"<article>text</article>"
END = bytes(1024)


def number(value: int, size: int) -> bytes:
    """Octal where it fits, else GNU's binary form."""
    octal = b"%0*o" % (size - 1, value)
    return octal + b"\0" if len(octal) < size else b"\x80" + value.to_bytes(size - 1, "big")


def header(
    name: bytes = b"x/PMC1.xml", kind: bytes = b"0", size: int = len(ARTICLE), time: int = 0,
    magic: bytes = b"ustar\x0000", signed: bool = False, **fields: bytes,
) -> bytes:  # fmt: skip
    block = bytearray(512)
    block[:100] = name.ljust(100, b"\0")
    block[100:124] = b"0000644\0" * 3
    block[124:136] = fields.get("size_field", number(size, 12))
    block[136:148] = fields.get("time_field", number(time, 12))
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257 : 257 + len(magic)] = magic
    for at, data in ((386, fields.get("sparse", b"")), (482, fields.get("more", b""))):
        block[at : at + len(data)] = data
    total = sum(struct.unpack("512b", block)) if signed else sum(block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(*records: tuple[bytes, bytes]) -> bytes:
    content = b""
    for key, value in records:
        record = b" %s=%s\n" % (key, value)
        size = len(record) + 1
        while size != len(record) + len(str(size)):  # The length counts its own digits.
            size += 1
        content += b"%d" % size + record
    return header(kind=b"x", size=len(content)) + padded(content)


def read(data: bytes) -> list[Document | Damage]:
    return list(read_documents(io.BytesIO(data), "a.tar", ReadOptions()))


def listed(data: bytes) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    with contextlib.suppress(EOFError, DamagedStreamError, TarError):
        stream = InputStream(io.BytesIO(data))
        headers = members(stream.read, is_article_name, max_bytes=-1)
        found.extend((member.name, member.modified) for member in headers)
    return found


WHOLE = [Document("x/PMC1.xml", ARTICLE)]


@pytest.mark.parametrize(
    ("before", "fields"),
    [
        (b"", {"time": 1 << 50}),
        (b"", {"time_field": b"\xff" * 12}),
        (b"", {"time_field": b"not a number"}),
        (pax((b"mtime", b"nan")), {"time": 5}),
        (pax((b"mtime", b"inf")), {"time": 5}),
        (pax((b"mtime", b"-1e400")), {"time": 5}),
        (pax((b"mtime", b"tomorrow")), {"time": 5}),
    ],
    ids=["2^50", "negative", "text", "nan", "inf", "-1e400", "pax text"],
)
def test_a_member_time_that_is_none_is_0_and_the_member_is_read(before, fields):
    data = before + header(**fields) + padded(ARTICLE) + END
    assert read(data) == WHOLE
    assert listed(data) == [("x/PMC1.xml", 0.0)]
    assert [document.modified for document in read(data)] == [0.0]
    assert member_date(0.0) == "1970-01-01 00:00:00+00:00"


def test_times_are_those_of_header_and_pax():
    data = header(time=1_700_000_000) + padded(ARTICLE)
    data += pax((b"mtime", b"1700000001.25")) + header(b"x/PMC2.xml") + padded(ARTICLE) + END
    assert listed(data) == [("x/PMC1.xml", 1_700_000_000), ("x/PMC2.xml", 1_700_000_001.25)]


@pytest.mark.parametrize("field", [b"-0000000012\0", b"0000000_27\0\0", b"00000000089\0"])
def test_a_size_that_is_no_octal_number_is_a_damaged_header(field):
    (damage,) = read(header(size_field=field) + padded(ARTICLE) + END)
    assert damage == Damage("", "damaged_archive", "no header of a member at byte 0")


@pytest.mark.parametrize("size", [b"-1", b"1e9", b"9" * 5000, b"\xb2"])
def test_a_pax_size_that_is_no_number_is_a_damaged_header(size):
    (damage,) = read(pax((b"size", size)) + header() + padded(ARTICLE) + END)
    assert damage == Damage("", "damaged_archive", "a damaged extended header at byte 0")


def test_a_pax_size_counts_before_the_header_s():
    data = pax((b"size", b"%d" % len(ARTICLE))) + header(size=0) + padded(ARTICLE) + END
    assert read(data) == WHOLE


def test_a_binary_size_is_read_and_a_huge_one_is_a_truncated_archive():
    binary = b"\x80" + len(ARTICLE).to_bytes(11, "big")
    assert read(header(size_field=binary) + padded(ARTICLE) + END) == WHOLE
    *_, last = read(header(size=1 << 80) + padded(ARTICLE) + END)
    assert last.reason == "truncated_archive"


def test_a_huge_pax_header_is_not_read():
    class Zeros(io.RawIOBase):
        """Two GiB that are never all in memory, and fail if they are read."""

        at = 0

        def read(self, size=-1):
            self.at += 1
            assert self.at < 10
            return header(kind=b"x", size=2 << 30) if self.at == 1 else bytes(size)

    tracemalloc.start()
    (damage,) = read_documents(Zeros(), "a.tar", ReadOptions())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert damage.detail == "an extended header of 2,147,483,648 bytes at byte 0"
    assert peak < 8 * MAX_HEADER_BYTES


def test_thousands_of_chained_headers_are_a_damaged_archive():
    chain = pax((b"mtime", b"1")) * 3000
    (damage,) = read(chain + header() + padded(ARTICLE) + END)
    assert damage.detail == f"an extended header after many others at byte {1024 * 64:,}"
    assert listed(chain) == []
    allowed = pax((b"mtime", b"1")) * MAX_CHAINED_HEADERS
    assert read(allowed + header() + padded(ARTICLE) + END) == WHOLE


def test_a_sparse_file_is_named_and_what_follows_it_is_read():
    sparse = header(b"x/PMC2.xml", b"S", 512, more=b"\1") + bytes(504) + b"\1" + bytes(7)
    data = sparse + bytes(512) + padded(b"data") + header() + padded(ARTICLE) + END
    assert read(data) == [
        Damage("x/PMC2.xml", "damaged_member", "a sparse file; pack without --sparse"),
        *WHOLE,
    ]


@pytest.mark.parametrize("cut", [1, 100, 504, 511])
def test_an_archive_cut_within_a_sparse_map_is_truncated(cut):
    (damage,) = read(header(b"x/PMC2.xml", b"S", 512, more=b"\1") + bytes(512 - cut))
    detail = "ends at byte 512 in the map of a sparse file"
    assert damage == Damage("", "truncated_archive", detail)


def test_a_map_of_a_sparse_file_without_end_is_a_truncated_archive():
    block = bytes(504) + b"\1" + bytes(7)
    (damage,) = read(header(kind=b"S", more=b"\1") + block * 10_000)
    assert damage.reason == "truncated_archive"


@pytest.mark.parametrize("signed", [False, True])
def test_old_tars_without_a_magic_number(signed):
    name = "é/PMC1.xml".encode("latin-1") if signed else b"x/PMC1.xml"
    data = header(name, b"\0", magic=b"", signed=signed) + padded(ARTICLE) + END
    (document,) = read_documents(io.BytesIO(data), "OLD.TAR", ReadOptions())
    assert document.data == ARTICLE


def test_folders_and_links_have_no_content_whatever_their_size_says():
    folders = b"".join(header(b"x/PMC9.xml", bytes([kind]), 5000) for kind in b"123456")
    assert read(folders + header() + padded(ARTICLE) + END) == WHOLE


def test_members_that_macos_adds_are_passed_over():
    data = header(b"x/._PMC1.xml") + padded(ARTICLE) + header() + padded(ARTICLE) + END
    assert read(data) == WHOLE
    assert [name for name, _ in listed(data)] == ["x/PMC1.xml"]


FUZZED = (
    pax((b"path", b"x/PMC3.xml"), (b"mtime", b"1.5"), (b"size", b"%d" % len(ARTICLE)))
    + header(size=0) + padded(ARTICLE)
    + header(b"././@LongLink", b"L", 12) + padded(b"x/PMC2.xml\0\0") + header() + padded(ARTICLE)
    + header(b"x/PMC4.xml", b"S", 512, more=b"\1") + bytes(512) + bytes(512)
    + header(kind=b"5", size=0) + header(time=1 << 60) + padded(ARTICLE) + END
)  # fmt: skip


@given(st.data())
def test_any_damage_ends_in_members_and_errors_for_headers_and_documents(data):
    damaged = bytearray(FUZZED)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
    # Checksums are put right, so that damage reaches the fields.
    for at in range(0, len(damaged) - 511, 512):
        if damaged[at + 257 : at + 262] == b"ustar":
            damaged[at + 148 : at + 156] = b" " * 8
            damaged[at + 148 : at + 156] = b"%06o\0 " % sum(damaged[at : at + 512])
    started = time.process_time()
    articles = read(bytes(damaged))
    reasons = {"truncated_archive", "damaged_archive", "damaged_member", "too_large"}
    assert all(isinstance(a, Document) or a.reason in reasons for a in articles)
    names = [a.member for a in articles if a.member]
    # Both see the same members, but for a single file that is no tar at all.
    assert [name for name, _ in listed(bytes(damaged))] == names or names == ["a.tar"]
    assert time.process_time() - started < 5


def test_the_fuzzed_archive_is_whole():
    found = list(members(io.BytesIO(FUZZED).read, lambda name: True, 1 << 20))
    assert [member.name for member in found] == [
        "x/PMC3.xml", "x/PMC2.xml", "x/PMC4.xml", "x/PMC1.xml",
    ]  # fmt: skip


def test_what_tarfile_writes_is_read_alike():
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
            info = tarfile.TarInfo("x/PMC1.xml")
            info.size, info.mtime = len(ARTICLE), 1_700_000_000
            archive.addfile(info, io.BytesIO(ARTICLE))
        assert listed(file.getvalue()) == [("x/PMC1.xml", 1_700_000_000)]
