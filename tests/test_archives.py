"""Every layout is read, hostile archives are bounded, damaged ones give what they have."""

import gzip
import io
import itertools
import random
import re
import tarfile
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.inputs.documents import Damage, Document, ReadOptions
from beam_pipelines.inputs.sources import read_documents
from beam_pipelines.inputs.tar_reader import MAX_HEADER_BYTES
from beam_pipelines.jats.xml_parser import articles_in_set
from tests.bulk import write_archive

ARTICLE = b"<article>text</article>"


def tar(*members: tuple[tarfile.TarInfo | str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def linked(name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def read(data: bytes, name: str = "a.xml", max_bytes: int = 64 << 20) -> list[Document | Damage]:
    return list(read_documents(io.BytesIO(data), name, ReadOptions(max_bytes)))


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


# --- layouts -----------------------------------------------------------------------------------


def test_an_archive_of_texts_alone_says_so(tmp_path):
    path = write_archive(tmp_path / "a.tar.gz", {"P/1.txt": b"one", "P/2.TXT": b"two"})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("P/1.txt", "one")
        archive.writestr("P/2.TXT", "two")
    detail = "no XML, but 2 text files such as P/2.TXT; unpack it and give the folder"
    for archive in (path, tmp_path / "a.zip"):
        with archive.open("rb") as file:
            assert list(read_documents(file, archive.name, ReadOptions())) == [
                Damage("", "text_archive", detail)
            ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_file_that_stands_alone_whatever_its_name(pack):
    assert read(pack(ARTICLE), "PMC1.xml") == [Document("PMC1.xml", ARTICLE)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_bulk_archive(pack, kind):
    names = ["PMC006xxxxxx/PMC1.xml", f"{'Journal_of_Long_Names/' * 4}PMC2.nxml", "é/PMC3.XML"]
    data = pack(tar(*((name, name.encode()) for name in names), kind=kind))
    assert read(data) == [Document(name, name.encode()) for name in names]


def test_names_longer_than_a_ustar_header():
    name = f"{'x' * 120}/{'y' * 300}.xml"
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert read(tar((name, ARTICLE), ("b.xml", b"b"), kind=kind)) == [
            Document(name, ARTICLE),
            Document("b.xml", b"b"),
        ]


def test_only_xml_is_read_from_packages_and_article_versions():
    versions = [f"PMC1.1/PMC1.1.{kind}" for kind in ("json", "pdf", "txt", "xml")]
    package = ["PMC2/g001.jpg", "PMC2/main.nxml", "PMC2/main.pdf", "PMC2/video.mov"]
    data = tar(*((name, noise(3000)) for name in versions + package))
    assert [d.member for d in read(data)] == ["PMC1.1/PMC1.1.xml", "PMC2/main.nxml"]


def test_gzipped_members_are_inflated():
    members = ("a.nxml.gz", gzip.compress(ARTICLE)), ("b.xml", gzip.compress(b"b"))
    expected = [Document("a.nxml.gz", ARTICLE), Document("b.xml", b"b")]
    assert read(tar(*members)) == expected
    assert read(zipped(*members)) == expected


def test_zip_archive():
    data = zipped(("folder/", b""), ("folder/a.xml", ARTICLE), ("b.txt", b"no"))
    assert read(data, "b.zip") == [Document("folder/a.xml", ARTICLE)]


def test_joined_gzip_streams_are_one_file():
    data = gzip.compress(b"<a>") + gzip.compress(b"</a>") + bytes(100)
    assert read(data) == [Document("a.xml", b"<a></a>")]


def test_an_empty_file_is_a_document_without_bytes():
    assert read(b"") == [Document("a.xml", b"")]


def test_a_source_that_gives_few_bytes_at_a_time():
    class Trickle(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 100) if size > 0 else 100)

    data = gzip.compress(tar(("a.xml", noise(5000)), ("b.xml", b"b")))
    assert list(read_documents(Trickle(data), "t", ReadOptions())) == read(data)


# --- hostile -----------------------------------------------------------------------------------


def test_links_devices_and_folders_are_passed_over():
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    data = tar(*((linked("a.xml", kind), b"") for kind in kinds), ("b.xml", ARTICLE))
    assert read(data) == [Document("b.xml", ARTICLE)]


def test_names_that_escape_are_only_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = tar(("../../evil.xml", ARTICLE), ("/etc/evil.xml", ARTICLE))
    assert [d.member for d in read(data)] == ["../../evil.xml", "/etc/evil.xml"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lambda zeros: gzip.compress(tar(("a.xml", zeros))),
        lambda zeros: tar(("a.xml", gzip.compress(zeros))),
        lambda zeros: zipped(("a.xml", zeros)),
    ],
    ids=["file", "member", "gzipped member", "zip"],
)
def test_zeros_without_end_are_too_large_at_bounded_memory(pack):
    data = pack(bytes(100 << 20))
    tracemalloc.start()
    found = read(data, "a.xml", max_bytes=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(d.member, d.reason) for d in found] == [("a.xml", "too_large")]
    assert peak < 8 << 20


def test_what_follows_a_large_member_is_read():
    found = read(tar(("a.xml", bytes(2000)), ("b.xml", ARTICLE)), max_bytes=1000)
    assert found == [Damage("a.xml", "too_large", "2,000 bytes"), Document("b.xml", ARTICLE)]


@pytest.mark.parametrize(
    "wrapper", ["<set>{}</set>", "<a:r xmlns:a='urn:a'><a:b><c/>{}</a:b></a:r>"]
)
def test_a_large_set_is_read_article_by_article(wrapper):
    articles = "\n".join(
        f"<article><body><p>é {n}{'x' * 900}</p></body></article>" for n in range(900)
    )
    documents = read(wrapper.format(articles).encode(), max_bytes=400_000)
    assert [d.member for d in documents] == [f"a.xml#{n}" for n in range(900)]
    assert all(d.in_set for d in documents)
    assert f"<p>é 7{'x' * 900}</p>".encode() in documents[7].data


@pytest.mark.parametrize(
    "pack",
    [
        lambda data: tar(("s.xml", data), ("b.xml", ARTICLE)),
        lambda data: tar(("s.xml", gzip.compress(data)), ("b.xml", ARTICLE)),
        lambda data: tar(("s.xml", gzip.compress(data, 0)), ("b.xml", ARTICLE)),
        lambda data: zipped(("s.xml", data), ("b.xml", ARTICLE)),
        lambda data: zipped(("s.xml", gzip.compress(data)), ("b.xml", ARTICLE)),
    ],
    ids=["tar", "gzipped in a tar", "stored in a tar", "zip", "gzipped in a zip"],
)
def test_a_large_set_in_an_archive_is_read_article_by_article(pack):
    articles = "".join(f"<article><body><p>{n}{'x' * 900}</p></body></article>" for n in range(99))
    documents = read(pack(f"<set>{articles}</set>".encode()), max_bytes=40_000)
    assert [d.member for d in documents] == [*(f"s.xml#{n}" for n in range(99)), "b.xml"]
    assert [d.in_set for d in documents] == [True] * 99 + [False]


def test_an_archive_that_ends_within_a_large_set_yields_the_articles_before():
    articles = "".join(f"<article><body><p>{n}{'x' * 900}</p></body></article>" for n in range(999))
    data = tar(("s.xml", f"<set>{articles}</set>".encode()))[:500_000]
    *documents, member, archive = read(data, max_bytes=40_000)
    assert len(documents) > 400
    assert [d.member for d in documents] == [f"s.xml#{n}" for n in range(len(documents))]
    assert (member.reason, archive.reason) == ("damaged_member", "truncated_archive")


def test_a_large_set_ends_where_it_is_broken():
    article = f"<article><body><p>{'x' * 900}</p></body></article>"
    damages = [
        read(f"<set>{article * 900}{end}".encode(), max_bytes=400_000)[-1]
        for end in ("</nonsense>", "<article>&nonsense;", "<article>" + "y" * 900_000, "")
    ]
    assert [(d.member, d.reason) for d in damages] == [
        ("a.xml", "broken_xml"), ("a.xml", "broken_xml"), ("a.xml", "too_large"),
        ("a.xml", "broken_xml"),
    ]  # fmt: skip


def test_a_large_document_without_an_article_is_too_large():
    assert read(b"<x>" + b"<y>z</y>" * 9000, max_bytes=2000) == [
        Damage("a.xml", "too_large", "more than 2,000 bytes")
    ]
    large = b"<article>" + b"y" * 9000 + b"</article>"
    assert [d.reason for d in read(large, max_bytes=2000)] == ["too_large"]


def test_a_large_set_takes_the_memory_of_one_article():
    article = b"<article><body>" + b"<p>some words of it</p>" * 2000 + b"</body></article>"
    chunks = (article for _ in range(400))
    tracemalloc.start()
    found = articles_in_set(itertools.chain([b"<set>"], chunks, [b"</set>"]), 1 << 20)
    assert sum(1 for _ in found) == 400
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_huge_extended_header_is_not_read():
    data = tar(("x" * (MAX_HEADER_BYTES + 1) + ".xml", ARTICLE))
    (damage,) = read(data)
    assert damage.reason == "damaged_archive"
    assert re.fullmatch(r"an extended header of 1,048,\d{3} bytes at byte 0", damage.detail)


# --- damaged -----------------------------------------------------------------------------------

MEMBERS = [(f"PMC{n}.xml", noise(3000 + n, n)) for n in range(20)]
WHOLE = [Document(name, data) for name, data in MEMBERS]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_truncated_archive_gives_every_whole_member_and_says_so(pack, share):
    data = pack(tar(*MEMBERS))
    *found, last = read(data[: int(len(data) * share)])
    assert last.reason == "truncated_archive"
    assert found == WHOLE[: len(found)]
    assert len(found) >= int(20 * share) - 1


def test_an_archive_cut_between_two_members_says_so():
    cut = tar(*MEMBERS)[: 2 * (512 + 3072)]
    assert read(cut) == [
        *WHOLE[:2],
        Damage("", "truncated_archive", "ends at byte 7,168 without the mark of the end"),
    ]


def test_a_damaged_header_in_mid_archive_is_not_its_end():
    data = bytearray(tar(*MEMBERS))
    data[2 * (512 + 3072) + 5] ^= 0xFF
    *found, last = read(bytes(data))
    assert found == WHOLE[:2]
    assert last == Damage("", "damaged_archive", "no header of a member at byte 7,168")


def test_a_wrong_checksum_is_found_after_all_members():
    data = bytearray(gzip.compress(tar(*MEMBERS)))
    data[-8] ^= 0xFF
    *found, last = read(bytes(data))
    assert found == WHOLE
    assert (last.reason, last.detail) == (
        "damaged_archive",
        "gzip: Error -3 while decompressing data: incorrect data check",
    )


def test_data_after_the_end_is_no_article():
    *found, last = read(gzip.compress(tar(("a.xml", ARTICLE)) + noise(100)))
    assert found == [Document("a.xml", ARTICLE)]
    assert last.detail == "more data after the end of the archive"


def test_a_damaged_member_does_not_stop_the_archive():
    members = ("a.xml.gz", gzip.compress(noise(100))[:-9]), ("b.xml", ARTICLE)
    for pack in (tar, zipped):
        damage, document = read(pack(*members))
        assert (damage.member, damage.reason) == ("a.xml.gz", "damaged_member")
        assert document == Document("b.xml", ARTICLE)


def test_a_damaged_file_that_stands_alone_is_a_damaged_member():
    (damage,) = read(gzip.compress(ARTICLE)[:-9], "PMC1.xml.gz")
    assert (damage.member, damage.reason) == ("PMC1.xml.gz", "damaged_member")


def test_a_wrong_checksum_in_a_zip_is_of_its_member():
    data = zipped(("a.xml", noise(2000)), ("b.xml", ARTICLE)).replace(
        noise(2000)[500:600], b"?" * 100
    )
    damage, document = read(data)
    assert (damage.member, damage.reason) == ("a.xml", "damaged_member")
    assert document == Document("b.xml", ARTICLE)


def test_a_truncated_zip_says_so():
    (damage,) = read(zipped(("a.xml", ARTICLE))[:-10])
    assert damage.reason == "damaged_archive"


PACKED = {
    "tar.gz": gzip.compress(tar(*MEMBERS[:4])),
    "tar": tar(*MEMBERS[:4]),
    "zip": zipped(*MEMBERS[:4]),
}


@given(st.sampled_from(sorted(PACKED)), st.data())
def test_any_damage_ends_in_documents_and_reasons(kind, data):
    damaged = bytearray(PACKED[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(1, 600))] = data.draw(st.binary(max_size=20))
    reasons = {"truncated_archive", "damaged_archive", "damaged_member", "too_large"}
    for found in read(bytes(damaged)):
        assert isinstance(found, Document) or found.reason in reasons
