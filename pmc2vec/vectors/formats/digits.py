"""Decimal digits of float32 as machine code: no more than it takes to read the number back.

Six digits survive the way there and back, and nine tell any number from all others (IEEE 754-2019,
5.12.2), so four lengths are tried at most. The arithmetic is that of float64, whose error is some
1e-16 of a number: where a length is so near the edge that this matters, the next one is taken.
(Subnormal numbers, which have fewer than six digits, get six.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.cpu_kernels.compilation import compiled, kept

LONGEST = 18
"""Bytes of a number and what stands after it, at most: -0.00000123456789 and a tab."""

_FEWEST, _MOST = 6, 9
_POWERS = 10.0 ** np.arange(23)  # Those that float64 has exactly.
_ERROR = 2.0**-50  # Of a number: that of the arithmetic below, and some more.
_PLAIN = (-6, 9)  # Powers of ten that are not written as such.
_MINUS, _PLUS, _POINT, _ZERO, _E = b"-+.0e"
_NAN, _INF = np.frombuffer(b"nan", np.uint8), np.frombuffer(b"inf", np.uint8)
_END_OF_LINE = 10


@compiled
def _scaled(number: Any, power: Any) -> Any:
    """Returns number * 10 ** power, as near as float64 comes to it."""
    last = len(_POWERS) - 1
    while power > last:
        number, power = number * _POWERS[last], power - last
    while power < -last:
        number, power = number / _POWERS[last], power + last
    return number * _POWERS[power] if power >= 0 else number / _POWERS[-power]


@compiled
def _reads_as(number: Any, digits: Any, power: Any) -> Any:
    """Tells whether digits * 10 ** power is surely read as this float32."""
    value = _scaled(digits, power)
    low, high = np.float32(value * (1 - _ERROR)), np.float32(value * (1 + _ERROR))
    return low == number and high == number


@compiled
def _shortest(number: Any) -> Any:
    """Returns a positive number's digits as one integer, their count, the first's power of ten."""
    exact = np.float64(number)
    power = math.floor(math.log10(exact))
    digits = 0.0
    for count in range(_FEWEST, _MOST + 1):
        digits = np.rint(_scaled(exact, count - 1 - power))
        if _reads_as(number, digits, power + 1 - count):
            break
    whole, length = np.int64(digits), 0
    while whole % 10 == 0:
        whole //= 10
    while length < len(_POWERS) and whole >= _POWERS[length]:
        length += 1
    return whole, length, power + (digits >= _POWERS[count])


@compiled
def _put(text: Any, at: Any, number: Any) -> Any:
    """Writes a float32 into `text` ([n] uint8) from a place on; returns the place after it."""
    if number < 0 or (number == 0 and math.copysign(1.0, number) < 0):
        text[at], at, number = _MINUS, at + 1, -number
    if not number < np.inf:
        for letter in _INF if number == np.inf else _NAN:
            text[at], at = letter, at + 1
        return at
    if number == 0:
        text[at] = _ZERO
        return at + 1
    digits, length, power = _shortest(number)
    plain = _PLAIN[0] <= power <= _PLAIN[1]
    before = power + 1 if plain else 1  # Digits in front of the point.
    if before <= 0:
        text[at], text[at + 1] = _ZERO, _POINT
        at += 2
        for _ in range(-before):
            text[at], at = _ZERO, at + 1
    point = before if 0 < before < length else length
    for place in range(length - 1, -1, -1):
        text[at + place + (place >= point)] = _ZERO + digits % 10
        digits //= 10
    at += length
    if point < length:
        text[at - length + point] = _POINT
        at += 1
    while length < before:
        text[at], at, length = _ZERO, at + 1, length + 1
    return at if plain else _put_power(text, at, power)


@compiled
def _put_power(text: Any, at: Any, power: Any) -> Any:
    """Writes a power of ten, of up to two digits."""
    text[at], text[at + 1] = _E, _PLUS if power > 0 else _MINUS
    at, power = at + 2, abs(power)
    if power > 9:
        text[at], at = _ZERO + power // 10, at + 1
    text[at] = _ZERO + power % 10
    return at + 1


def _write(matrix, delimiter, text):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Writes the rows of a matrix, a line for each.

    Args:
        matrix: [n, D] float32.
        delimiter: what stands between two numbers, a byte.
        text: [n * D * LONGEST] uint8, set.

    Returns:
        How many bytes were written.
    """
    at = 0
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            at = _put(text, at, matrix[row, column])
            text[at] = delimiter
            at += 1
        text[at - 1] = _END_OF_LINE
    return at


_write_rows = kept(_write, parallel=False)


def text_of(matrix: NDArray[np.float32], delimiter: str) -> bytes:
    r"""Returns the rows of a matrix as text; other threads may do so at the same time.

    >>> text_of(np.array([[0.1, -2], [1e-7, 1 / 3]], np.float32), "\t")
    b'0.1\t-2\n1e-7\t0.33333334\n'

    Args:
        matrix: [n, D] float32.
        delimiter: what stands between two numbers, one character of ASCII.
    """
    text = np.empty(matrix.size * LONGEST, np.uint8)
    count = _write_rows(np.ascontiguousarray(matrix, np.float32), ord(delimiter), text)
    return text[:count].tobytes()
