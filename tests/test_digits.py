"""Numbers as text: what another library writes, and nothing that reads back as another number."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from pmc2vec.vectors.formats.digits import LONGEST, text_of


def lines(numbers) -> list[bytes]:
    """Returns each number as text."""
    return text_of(np.asarray(numbers, np.float32)[:, None], " ").split(b"\n")[:-1]


def test_rows_are_lines():
    matrix = np.array([[0.1, -2.0], [1e-7, 1 / 3]], np.float32)
    assert text_of(matrix, "\t") == b"0.1\t-2\n1e-7\t0.33333334\n"


def test_vectors_have_the_text_that_arrow_gives_them():
    numbers = np.random.default_rng(1).normal(size=200_000).astype(np.float32)
    sink = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    csv.write_csv(pa.table({"number": numbers}), sink, options)
    assert b"\n".join([*lines(numbers), b""]) == sink.getvalue().to_pybytes()


def test_every_number_reads_back():
    bits = np.random.default_rng(2).integers(0, 1 << 32, 500_000, dtype=np.uint32)
    powers = np.ldexp(np.float32(1), np.arange(-149, 128))
    numbers = np.concatenate([bits.view(np.float32), powers, -powers])
    numbers = numbers[np.isfinite(numbers)]
    found = lines(numbers)
    back = np.array(found, np.float32)
    assert np.array_equal(back.view(np.uint32), numbers.view(np.uint32))
    assert max(map(len, found)) < LONGEST


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, b"0"),
        (-0.0, b"-0"),
        (100, b"100"),
        (1234567, b"1234567"),
        (9.99999999, b"10"),
        (999999.97, b"1000000"),
        (1e9, b"1000000000"),
        (1e10, b"1e+10"),
        (-1.2345679e-6, b"-0.0000012345679"),
        (1.25e-7, b"1.25e-7"),
        (1.1754944e-38, b"1.1754944e-38"),
        (np.nan, b"nan"),
        (-np.inf, b"-inf"),
    ],
)
def test_forms(number, text):
    assert lines([number]) == [text]
