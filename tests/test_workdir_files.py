"""Every file of vectors that is written is read back; damaged and foreign ones are told."""

import gzip
import struct

import numpy as np
import pytest

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import parquet, text_tables, word2vec, workdir_files
from pmc2vec.vectors.formats.vector_table import VectorTable
from pmc2vec.vectors.keyed_vectors import Vectors

ODD_WORDS = [
    '"',
    '"quoted',
    "it's",
    "#1",
    "# ",
    "\\",
    "\\t",
    "nan",
    "NaN",
    "null",
    "NULL",
    "true",
    "NA",
    "-",
    "1e5",
    "β-catenin",
    "naïve",
    "中文",
    "😀",
    "\ufeffmark",
    "line\u2028separator",
    "next\x85line",
    "a,b",
    "word",
]


def odd(size: int = 3) -> tuple[list[str], np.ndarray]:
    matrix = np.random.default_rng(1).standard_normal((len(ODD_WORDS), size))
    return ODD_WORDS, matrix.astype(np.float32)


def write(folder, form, words, matrix):
    """Writes one format and returns the path to load."""
    if form == "tsv":
        counts = np.arange(len(words), 0, -1)
        workdir_files.write_tsv(
            folder / "vectors.tsv", folder / "metadata.tsv", VectorTable(words, matrix, counts)
        )
        return folder
    path = folder / f"vectors.{form}"
    if form == "txt":
        word2vec.write_text_vectors(path, VectorTable(words, matrix))
    elif form == "glove":
        word2vec.write_glove(path, VectorTable(words, matrix))
    elif form == "bin":
        word2vec.write_binary(path, VectorTable(words, matrix))
    elif form == "parquet":
        parquet.write_parquet(path, VectorTable(words, matrix))
    else:
        workdir_files.write_words(folder / "words.txt", words)
        workdir_files.write_npy(path, matrix)
    return path


def compressed(path):
    """Returns the path of a gzip file of the same content."""
    gzip_path = path.with_name(f"{path.name}.gz")
    gzip_path.write_bytes(gzip.compress(path.read_bytes()))
    return gzip_path


@pytest.mark.parametrize("form", ["tsv", "txt", "glove", "bin", "npy", "parquet"])
@pytest.mark.parametrize("size", [1, 3])
def test_odd_words_survive_every_format(tmp_path, form, size):
    words, matrix = odd(size)
    if form in {"txt", "bin", "glove"}:
        words = [word.replace(" ", "_") for word in words]
    vectors = Vectors.load(write(tmp_path, form, words, matrix))
    assert vectors.words == words
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_array_equal(vectors.matrix, matrix)
    assert (vectors.counts is not None) == (form == "tsv")


def test_more_rows_than_a_chunk_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(text_tables, "CHUNK_NUMBERS", 12)
    matrix = np.arange(300, dtype=np.float32).reshape(100, 3)
    words = [f"w{number}" for number in range(100)]
    for form in ("tsv", "txt", "glove"):
        vectors = Vectors.load(write(tmp_path, form, words, matrix))
        assert vectors.words == words
        np.testing.assert_array_equal(vectors.matrix, matrix)


def test_counts_come_back_from_metadata(tmp_path):
    write(tmp_path, "tsv", ["b", "a"], np.eye(2, dtype=np.float32))
    assert Vectors.load(tmp_path).counts.tolist() == [2, 1]
    assert Vectors.load(str(tmp_path / "vectors.tsv")).words == ["b", "a"]


def test_metadata_of_one_column_has_no_header_as_in_the_tensorflow_tutorial(tmp_path):
    (tmp_path / "vectors.tsv").write_text("1\t2\n3\t4\n")
    (tmp_path / "metadata.tsv").write_text("the\nof\n")
    vectors = Vectors.load(tmp_path)
    assert (vectors.words, vectors.counts) == (["the", "of"], None)
    assert vectors["of"].tolist() == [3.0, 4.0]


def test_text_as_word2vec_c_writes_it_is_read(tmp_path):
    path = tmp_path / "w2v.txt"
    path.write_text("2 3\n</s> 0.001 -0.5 1e-3 \nthe 1 2 3 \n")
    vectors = Vectors.load(path)
    assert vectors.words == ["</s>", "the"]
    assert vectors["</s>"].tolist() == pytest.approx([0.001, -0.5, 0.001])


@pytest.mark.parametrize("newline", [b"", b"\n"], ids=["gensim", "word2vec.c"])
def test_binary_with_and_without_newlines_is_read(tmp_path, newline):
    path = tmp_path / "w2v.bin"
    blank = b"\n  \n \n\n "  # Numbers made of the very bytes that end words and rows.
    path.write_bytes(
        b"2 2\nthe %b%bcaf\xc3\xa9 %b%b" % (blank, newline, struct.pack("<2f", 1, -2), newline)
    )
    vectors = Vectors.load(path)
    assert vectors.words == ["the", "café"]
    assert vectors["the"].tolist() == list(struct.unpack("<2f", blank))
    assert vectors["café"].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("form", ["txt", "glove", "bin"])
def test_compressed_files_are_read_as_what_they_hold(tmp_path, form):
    words = [word.replace(" ", "_") for word in ODD_WORDS]
    path = compressed(write(tmp_path, form, words, odd()[1]))
    vectors = Vectors.load(path)
    assert vectors.words == words
    np.testing.assert_array_equal(vectors.matrix, odd()[1])


def test_binary_rows_that_straddle_two_reads_are_put_together(tmp_path, monkeypatch):
    monkeypatch.setattr(text_tables, "READ_BLOCK_BYTES", 40)
    matrix = np.arange(300, dtype=np.float32).reshape(100, 3)
    vectors = Vectors.load(write(tmp_path, "bin", [f"w{n}" for n in range(100)], matrix))
    assert vectors.words[99] == "w99"
    np.testing.assert_array_equal(vectors.matrix, matrix)


@pytest.mark.parametrize("block", [1 << 24, 32])
def test_a_glove_word_with_spaces_is_put_where_it_stands(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_tables, "READ_BLOCK_BYTES", block)
    path = tmp_path / "glove.840B.txt"
    path.write_text("the 1 2\n. . 3 4\nof 5 6\nat name@domain.com 7 8\nto 9 10\n")
    vectors = Vectors.load(path)
    assert vectors.words == ["the", ". .", "of", "at name@domain.com", "to"]
    assert vectors.matrix.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]


def test_parquet_keeps_counts(tmp_path):
    path = tmp_path / "v.parquet"
    table = VectorTable(["a", "b"], np.eye(2, dtype=np.float32), np.array([7, 3]))
    parquet.write_parquet(path, table)
    assert Vectors.load(path).counts.tolist() == [7, 3]


def test_a_workdir_is_loaded_from_its_numpy_file(tmp_path):
    matrix = np.random.default_rng(2).standard_normal((3, 2)).astype(np.float32)
    workdir_files.write_workdir(tmp_path, VectorTable(["a", "b", "c"], matrix, np.array([3, 2, 1])))
    vectors = Vectors.load(tmp_path)
    assert isinstance(vectors.matrix, np.memmap)
    assert vectors.counts.tolist() == [3, 2, 1]
    np.testing.assert_array_equal(vectors.matrix, matrix)
    # Without words.txt the words are those of metadata.tsv.
    assert Vectors.load(tmp_path / "vectors.npy").words == ["a", "b", "c"]


@pytest.mark.parametrize("other", [[[9, 2], [3, 4]], [[1, 2], [3, 9]], [[1, 2]], [[1], [3]]])
def test_a_numpy_file_that_is_not_the_table_is_not_used(tmp_path, other):
    (tmp_path / "vectors.tsv").write_text("1\t2\n3\t4\n")
    (tmp_path / "metadata.tsv").write_text("a\nb\n")
    np.save(tmp_path / "vectors.npy", np.array(other, np.float32))
    vectors = Vectors.load(tmp_path)
    assert vectors.matrix.tolist() == [[1, 2], [3, 4]]
    assert not isinstance(vectors.matrix, np.memmap)


def test_a_folder_with_only_a_numpy_file_is_loaded(tmp_path):
    write(tmp_path, "npy", ["a", "b"], np.eye(2, dtype=np.float32))
    assert Vectors.load(tmp_path).words == ["a", "b"]


def test_numpy_vectors_are_memory_mapped_and_answer(tmp_path):
    path = write(tmp_path, "npy", ["a", "b", "c"], np.eye(3, 2, dtype=np.float32))
    vectors = Vectors.load(path)
    assert isinstance(vectors.matrix, np.memmap)
    assert [word for word, _ in vectors.most_similar("a")] == ["b", "c"]


def test_of_a_word_that_comes_twice_the_first_counts(tmp_path):
    path = tmp_path / "twice.txt"
    path.write_text("3 1\na 1\nb 2\na 3\n")
    assert Vectors.load(path)["a"].tolist() == [1.0]


def test_a_vector_that_is_not_finite_is_named(tmp_path):
    (tmp_path / "vectors.tsv").write_text("1\t2\nnan\t4\n")
    (tmp_path / "metadata.tsv").write_text("good\nbad\n")
    with pytest.raises(UserError, match="the vector of 'bad' is not finite: training diverged"):
        Vectors.load(tmp_path).most_similar("good")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vectors.tsv", b"1\t2\n", r"vectors.tsv: 1 rows for 2 words"),
        ("vectors.tsv", b"1\t2\n3\t4\n5\t6\n", r"vectors.tsv: 3 rows for 2 words"),
        ("vectors.tsv", b"1\t2\n3\n", r"vectors.tsv: .*Expected 2 columns, got 1"),
        ("vectors.tsv", b"1\t2\n3\tx\n", r"vectors.tsv: .*invalid value 'x'"),
        ("vectors.tsv", b"1\t2\n3\t\n", r"vectors.tsv: .*invalid value ''"),
        ("vectors.tsv", b"", r"vectors.tsv: .*[Ee]mpty"),
        ("vectors.txt", b"", r"vectors.txt: empty"),
        ("vectors.txt", b"once upon a time\n", r"vectors.txt: line 1 is neither the number"),
        ("vectors.txt", b"the 1 2\nof 3\n", r"vectors.txt: .*Expected 3 columns, got 2"),
        ("vectors.txt", b"the 1 2\nof x 2\n", r"vectors.txt: .*invalid value 'x'"),
        ("vectors.txt", b"the 1 2\nof a b 2\n", r"vectors.txt: line 2: could not convert"),
        ("vectors.txt.gz", b"\x1f\x8bgarbage", r"vectors.txt.gz: .*amaged"),
        (
            "vectors.bin.gz",
            gzip.compress(b"2 1\na \0\0\0\0b", mtime=0)[:-12],
            r"vectors.bin.gz: damaged",
        ),
        ("vectors.parquet", b"PAR1garbage", r"vectors.parquet: not a Parquet file"),
        ("vectors.txt", b"0 2\n", r"vectors.txt: line 1 is not"),
        ("vectors.txt", b"2 2\nthe 1 2\n", r"vectors.txt: 1 rows for 2 words"),
        ("vectors.txt", b"9000000 2\nthe 1 2\n", r"vectors.txt: too short for 9000000 words"),
        ("vectors.bin", b"2 1\na \0\0\0\0b \0\0", r"vectors.bin: ends inside word 2 of 2"),
        ("vectors.bin", b"2 1\na \0\0\0\0bbbbbbb", r"vectors.bin: ends inside word 2 of 2"),
        ("vectors.bin", b"garbage", r"vectors.bin: line 1 is not"),
        ("vectors.npy", b"garbage", r"vectors.npy: not a NumPy file"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, name, content, message):
    (tmp_path / "metadata.tsv").write_text("the\nof\n")
    (tmp_path / "words.txt").write_text("the\nof\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        Vectors.load(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"", "metadata.tsv: empty"),
        (b"word\tcount\nthe\t3\nof\tmany\n", "metadata.tsv: a row has no whole number"),
        (b"word\tcount\nthe\t3\nof\n", "metadata.tsv: a row has no whole number"),
        (b"caf\xe9\nof\n", "metadata.tsv: not UTF-8"),
        (None, "metadata.tsv: no such file"),
    ],
)
def test_damaged_metadata_is_named_with_what_is_wrong(tmp_path, metadata, message):
    (tmp_path / "vectors.tsv").write_text("1\t2\n3\t4\n")
    if metadata is not None:
        (tmp_path / "metadata.tsv").write_bytes(metadata)
    with pytest.raises(UserError, match=message):
        Vectors.load(tmp_path)


def test_an_array_of_another_type_is_refused(tmp_path):
    np.save(tmp_path / "vectors.npy", np.zeros((2, 3)))
    (tmp_path / "words.txt").write_text("the\nof\n")
    with pytest.raises(UserError, match=r"float64 of shape \(2, 3\), expected float32"):
        Vectors.load(tmp_path / "vectors.npy")


def test_a_folder_without_vectors_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"vectors.tsv: no such file; give a workdir"):
        Vectors.load(tmp_path)
