"""fastText's models: the vectors of their words are those of fastText and of gensim."""

import gzip
import struct

import numpy as np
import pytest
from gensim.models import FastText
from gensim.models.fasttext import load_facebook_vectors, save_facebook_model

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.registry import read_vectors

WORDS = ["insulin", "β-catenin", "a", "α", "मधुमेह", "il-2", "日本", "p53-/-", "x" * 120]


@pytest.fixture(scope="module")
def sentences():
    rng = np.random.default_rng(1)
    return [[WORDS[i] for i in rng.integers(0, len(WORDS), 8)] for _ in range(100)]


def model_file(folder, sentences, **options):
    model = FastText(
        sentences, vector_size=7, min_count=1, epochs=1, bucket=1000, seed=1, workers=1, **options
    )
    path = folder / "vectors"  # The content says what it is.
    save_facebook_model(model, str(path))
    return path


@pytest.mark.parametrize("lengths", [(3, 6), (1, 2), (4, 4), (0, 0)])
def test_vectors_are_those_that_gensim_reads(tmp_path, sentences, lengths):
    path = model_file(tmp_path, sentences, min_n=lengths[0], max_n=lengths[1])
    expected, table = load_facebook_vectors(str(path)), read_vectors(path)
    assert list(table.words) == expected.index_to_key
    assert table.counts.tolist() == [expected.get_vecattr(w, "count") for w in table.words]
    np.testing.assert_allclose(table.matrix, expected.vectors, rtol=1e-4, atol=1e-6)


def damaged(data: bytes, place: int, value: bytes) -> bytes:
    return data[:place] + value + data[place + len(value) :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:50], "unpack_from requires"),
        (lambda data: damaged(data, 4, struct.pack("<i", 9)), "version 9"),
        (lambda data: damaged(data, 8, struct.pack("<i", 8)), "expected .* of 8 numbers"),
        (lambda data: damaged(data, 64, struct.pack("<i", 10**6)), "expected 1000000|of 1000000"),
        (lambda data: data[: len(data) // 3], "in .* bytes, expected 9 words"),
    ],
)
def test_a_damaged_model_is_named(tmp_path, sentences, damage, message):
    path = model_file(tmp_path, sentences)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message) as failure:
        read_vectors(path)
    assert str(failure.value).startswith(f"{path}: cannot be read as a model of fastText")


def test_a_quantized_model_says_what_to_give(tmp_path, sentences):
    path = model_file(tmp_path, sentences)
    data = path.read_bytes()
    head = 9 + sum(len(word.encode()) + 10 for word in WORDS)
    place = 92 + head - 9
    assert data[place] == 0
    path.write_bytes(damaged(data, place, b"\1"))
    with pytest.raises(UserError, match=r"quantized, \.ftz; give the \.bin"):
        read_vectors(path)


def test_a_compressed_model_is_to_be_decompressed_first(tmp_path, sentences):
    path = model_file(tmp_path, sentences)
    packed = tmp_path / "vectors.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UserError, match="a compressed fasttext_binary file; decompress it first"):
        read_vectors(packed)
