import bz2
import gzip
import io
import lzma
import tarfile

import pytest

from beam_pipelines.inputs.documents import Document, ReadOptions
from beam_pipelines.inputs.sources import article_version, read_documents, source_of
from beam_pipelines.jats.article_reader import Article

XML = b"<article>text</article>"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.tar.gz", "tar archive"),
        ("A.TAR.GZ", "tar archive"),
        ("a.tgz", "tar archive"),
        ("a.tar.xz", "tar archive"),
        ("a.tar.bz2", "tar archive"),
        ("a.ZIP", "zip archive"),
        ("PMC1.XML", "XML file"),
        ("main.nxml.gz", "XML file"),
        ("novel.TXT", "text file"),
        ("novel.txt.gz", "text file"),
    ],
)
def test_a_suffix_in_any_case_says_which_source_reads_a_file(path, name):
    assert source_of(path).name == name


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_gzip_bzip2_and_xz_archives_and_files(pack):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("PMC1.xml")
        info.size = len(XML)
        archive.addfile(info, io.BytesIO(XML))
    for data, name in ((file.getvalue(), "a.tar.x"), (XML, "PMC1.xml")):
        packed = pack(data)
        whole = list(read_documents(io.BytesIO(packed), name, ReadOptions()))
        assert whole == [Document("PMC1.xml", XML)]
        *_, damage = read_documents(io.BytesIO(packed[:-12]), "PMC1.xml", ReadOptions())
        assert damage.reason in ("truncated_archive", "damaged_member")


def test_text_without_a_suffix_is_recognised_from_its_content():
    data = b" anarchism originated as a term of abuse"
    (article,) = read_documents(io.BytesIO(data), "corpora/text8", ReadOptions())
    assert isinstance(article, Article)
    assert article.article_id == "text8#0000"


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("PMC006xxxxxx/PMC6908519.xml", ("PMC6908519", 0)),
        ("PMC10009416.12/PMC10009416.12.xml", ("PMC10009416", 12)),
        ("Journal_Name/PMC123.nxml", ("PMC123", 0)),
        ("PMC7112410/main.nxml", ("PMC7112410", 0)),
        ("PMC006xxxxxx/other.xml", None),
        ("article.xml", None),
    ],
)
def test_paths_name_articles(member, expected):
    assert article_version(member) == expected
