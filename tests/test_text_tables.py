"""Numbers as text: their forms, and that each reads back as the same number."""

import numpy as np
import pytest

from pmc2vec.vectors.formats.text_tables import number_text


def lines(numbers) -> list[bytes]:
    """Returns each number as text."""
    return number_text(np.asarray(numbers, np.float32)[:, None], " ").split(b"\n")[:-1]


def test_rows_are_lines():
    matrix = np.array([[0.1, -2.0], [1e-7, 1 / 3]], np.float32)
    assert number_text(matrix, "\t") == b"0.1\t-2\n1e-7\t0.33333334\n"


def test_every_number_reads_back():
    bits = np.random.default_rng(2).integers(0, 1 << 32, 500_000, dtype=np.uint32)
    powers = np.ldexp(np.float32(1), np.arange(-149, 128))
    numbers = np.concatenate([bits.view(np.float32), powers, -powers])
    numbers = numbers[np.isfinite(numbers)]
    texts = lines(numbers)
    back = np.array(texts, np.float32)
    assert np.array_equal(back.view(np.uint32), numbers.view(np.uint32))
    assert max(map(len, texts)) == len(b"-0.0000012345679")


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
