"""The registry of vector formats: docs/formats.md and the options are made from it.

python tests/test_registry.py        writes the table in docs/formats.md again
"""

import bz2
import gzip
import io
import lzma
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from gensim.models import Word2Vec

from pmc2vec.commands.export import FormatName
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import registry
from pmc2vec.vectors.formats.registry import (
    EXPORT_FORMATS,
    FORMATS,
    export_vectors,
    read_vectors,
)
from pmc2vec.vectors.formats.vector_table import VectorTable

DOCUMENT = Path(__file__).parent.parent / "docs" / "formats.md"
TABLE = re.compile(r"\| `--format` \|.*\n(\|.*\n)+")


def test_the_document_has_the_table_of_the_registry():
    table = TABLE.search(DOCUMENT.read_text(encoding="utf-8"))
    assert table.group() == registry.formats_table(), "run python tests/test_registry.py"


def test_formats_have_these_names_in_the_options_too():
    names = (
        "tsv", "word2vec", "word2vec_binary", "glove", "gensim", "numpy", "parquet", "safetensors",
        "keras", "saved_model", "fasttext", "fasttext_binary",
    )  # fmt: skip
    assert names == EXPORT_FORMATS
    assert FormatName.__args__ == names


@pytest.mark.parametrize("name", [name for name in EXPORT_FORMATS if FORMATS[name].read])
def test_what_a_format_writes_it_reads(tmp_path, name):
    words, matrix = ["the", "β"], np.array([[0.1, -2], [3, 1e-7]], np.float32)
    ((paths, note),) = export_vectors(tmp_path, VectorTable(words, matrix), [name])
    assert note == ""
    assert paths[0] == tmp_path / FORMATS[name].file_name
    assert all(path.is_file() for path in paths)
    table = read_vectors(paths[0])
    assert table.words == words
    np.testing.assert_array_equal(table.matrix, matrix)


def test_no_two_formats_claim_a_suffix():
    suffixes = [suffix for entry in FORMATS.values() for suffix in entry.suffixes]
    assert sorted(set(suffixes)) == sorted(suffixes)


# --- files of other programs, recognised by their content --------------------------------------

TEXT = b"2 2\nhello 1 0\nna\xc3\xafve 0 1\n"
GLOVE = TEXT.partition(b"\n")[2]
BINARY = b"2 2\nhello " + struct.pack("<2f", 1, 0) + b"\nna\xc3\xafve " + struct.pack("<2f", 0, 1)


def zipped(data: bytes, *names: str) -> bytes:
    """Returns a zip archive with the same data under each name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("name", ["vectors", "german.model", "V.BIN", "v.txt", "v.2024.vec"])
@pytest.mark.parametrize("content", [TEXT, GLOVE, BINARY], ids=["text", "glove", "binary"])
def test_the_content_says_which_format_it_is_whatever_the_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    table = read_vectors(tmp_path / name)
    assert table.words == ["hello", "naïve"]
    assert table.matrix.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("name", ["v.txt", "v.gz", "v.bin.zst"])
@pytest.mark.parametrize("content", [TEXT, GLOVE, BINARY], ids=["text", "glove", "binary"])
@pytest.mark.parametrize(
    "compress",
    [
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lambda data: pa.compress(data, codec="zstd", asbytes=True),
        lambda data: zipped(data, "glove/", "glove/v.txt", "__MACOSX/glove/._v.txt"),
    ],
    ids=["gzip", "bzip2", "xz", "zstd", "zip"],
)
def test_compressed_files_are_read_whatever_their_names(tmp_path, name, content, compress):
    (tmp_path / name).write_bytes(compress(content))
    table = read_vectors(tmp_path / name)
    assert table.words == ["hello", "naïve"]
    assert table.matrix.tolist() == [[1, 0], [0, 1]]


def test_a_zip_of_several_files_names_them(tmp_path):
    (tmp_path / "glove.zip").write_bytes(zipped(GLOVE, "50d.txt", "100d.txt"))
    with pytest.raises(UserError, match=r"glove.zip: holds 2 files \(50d.txt, 100d.txt, ...\)"):
        read_vectors(tmp_path / "glove.zip")


@pytest.mark.parametrize("content", [TEXT, GLOVE], ids=["text", "glove"])
def test_byte_order_marks_and_crlf_are_no_part_of_words(tmp_path, content):
    (tmp_path / "v.txt").write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert read_vectors(tmp_path / "v.txt").words == ["hello", "naïve"]


@pytest.mark.parametrize("header", [b"", b"word\tcount\r\n"], ids=["words", "counts"])
def test_crlf_in_metadata_is_no_part_of_words_and_counts(tmp_path, header):
    (tmp_path / "vectors.tsv").write_bytes(b"1\t0\r\n0\t1\r\n")
    row = b"%b\t7\r\n" if header else b"%b\r\n"
    (tmp_path / "metadata.tsv").write_bytes(
        b"\xef\xbb\xbf" + header + row % b"hello" + row % b"name"
    )
    table = read_vectors(tmp_path / "vectors.tsv")
    assert table.words == ["hello", "name"]
    assert (table.counts is None) if not header else table.counts.tolist() == [7, 7]


def test_a_vector_that_is_not_finite_is_left_out_and_named(tmp_path, caplog):
    (tmp_path / "v.txt").write_bytes(b"3 2\nhello 1 0\nbroken nan 1\nname 0 1\n")
    table = read_vectors(tmp_path / "v.txt")
    assert table.words == ["hello", "name"]
    assert table.matrix.tolist() == [[1, 0], [0, 1]]
    assert caplog.messages == [
        f"{tmp_path}/v.txt: the vectors of 1 words are not finite and are left out: 'broken'"
    ]


@pytest.mark.parametrize("content", [TEXT, GLOVE, BINARY], ids=["text", "glove", "binary"])
def test_a_byte_that_is_not_utf8_is_replaced_and_told(tmp_path, caplog, content):
    (tmp_path / "v").write_bytes(content.replace(b"\xc3\xaf", b"\xef"))
    assert read_vectors(tmp_path / "v").words == ["hello", "na\ufffdve"]
    (line,) = caplog.messages
    assert line.endswith("1 words hold bytes that are not UTF-8, replaced by \ufffd: na\ufffdve")


def test_words_with_spaces_are_read_after_a_header_too(tmp_path):
    (tmp_path / "v.txt").write_bytes(b"3 2\nhello 1 0\n. . 2 3\nname 0 1\n")
    table = read_vectors(tmp_path / "v.txt")
    assert table.words == ["hello", ". .", "name"]
    assert table.matrix.tolist() == [[1, 0], [2, 3], [0, 1]]


def test_more_rows_than_the_header_says_are_told(tmp_path, caplog):
    (tmp_path / "v.txt").write_bytes(TEXT.replace(b"2 2", b"1 2", 1))
    assert read_vectors(tmp_path / "v.txt").words == ["hello", "naïve"]
    assert caplog.messages == [
        f"{tmp_path}/v.txt: line 1 says 1 words, but there are 2; all are read"
    ]
    (tmp_path / "v.bin").write_bytes(BINARY.replace(b"2 2", b"1 2", 1))
    assert read_vectors(tmp_path / "v.bin").words == ["hello"]
    assert caplog.messages[1:] == [
        f"{tmp_path}/v.bin: line 1 says 1 words; what comes after them is not read"
    ]


def test_gensims_models_say_what_to_give_instead(tmp_path):
    Word2Vec([["hello", "name"]] * 5, vector_size=2, min_count=1, workers=1).save(
        str(tmp_path / "german.model")
    )
    with pytest.raises(UserError, match=r"a whole model of gensim, not its vectors; .*wv\.save"):
        read_vectors(tmp_path / "german.model")


@pytest.mark.parametrize("content", [bytes(range(256)), b"\x1b[31mred\n", b"\xff\xd8\xff\xe0JFIF"])
def test_messages_show_no_bytes_that_are_not_text(tmp_path, content):
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(UserError, match="but bytes that are not text; give a file"):
        read_vectors(tmp_path / "v.txt")


def test_a_file_that_is_not_there_says_what_to_give(tmp_path):
    with pytest.raises(UserError, match=r"none.bin: no such file; give a workdir that"):
        read_vectors(tmp_path / "none.bin")


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(TABLE.sub(lambda _: registry.formats_table(), text), encoding="utf-8")
