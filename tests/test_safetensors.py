"""pmc2vec/vectors/formats/safetensors.py, read by the definition of the format."""

import json
import struct

import numpy as np
import pytest

from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.registry import read_vectors
from pmc2vec.vectors.formats.safetensors import write_safetensors
from pmc2vec.vectors.formats.vector_table import VectorTable

TABLE = VectorTable(
    ["the", "\u03b2", "new york"],
    np.array([[0.1, -2], [3, 1e-7], [5, 6]], np.float32),
    np.array([9, 7, 1]),
)


def test_the_bytes_are_those_of_the_definition(tmp_path):
    path = tmp_path / "vectors.safetensors"
    write_safetensors(path, TABLE)
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert length % 8 == 0
    header, numbers = json.loads(data[8 : 8 + length]), data[8 + length :]
    assert data[8:9] == b"{"
    assert header == {
        "__metadata__": {"format": "np"},
        "vectors": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
        "counts": {"dtype": "I64", "shape": [3], "data_offsets": [24, 48]},
    }
    assert struct.unpack("<6f3q", numbers) == pytest.approx((0.1, -2, 3, 1e-7, 5, 6, 9, 7, 1))
    assert (tmp_path / "words.txt").read_text(encoding="utf-8") == "the\n\u03b2\nnew york\n"


def test_what_is_written_is_read_whatever_its_name(tmp_path):
    write_safetensors(tmp_path / "vectors", TABLE)
    table = read_vectors(tmp_path / "vectors")
    assert table.words == TABLE.words
    np.testing.assert_array_equal(table.matrix, TABLE.matrix)
    np.testing.assert_array_equal(table.counts, TABLE.counts)


def of(header: object, numbers: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (of({"v": {"dtype": "F32", "shape": [3, 1], "data_offsets": [0, 12]}}, bytes(12)), "'vec"),
        (of({"vectors": {"dtype": "F32", "shape": [3, 1], "data_offsets": [0, 12]}}), "byte 12 of"),
        (of({"vectors": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, bytes(4)), "in 4"),
        (of({"vectors": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}}, bytes(8)),
         r"shape \(2, 1\), expected float32 with a row for each of the 3 words"),
        (of({"vectors": {"dtype": "F32"}}), "shape"),
        (of({"vectors": {}})[:12], "safetensors"),
        (struct.pack("<Q", 1 << 40), "a header of 1099511627776 bytes"),
        (of([1]), "no JSON object"),
        (b"", "empty"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path, data, message):
    path = tmp_path / "v.safetensors"
    path.write_bytes(data)
    (tmp_path / "words.txt").write_text("a\nb\nc\n")
    with pytest.raises(UserError, match=message) as failure:
        read_vectors(path)
    assert str(failure.value).startswith(f"{path}: ")
