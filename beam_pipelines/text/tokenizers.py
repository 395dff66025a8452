"""Turns sentences into tokens, by `--tokenizer`, `--lowercase` and `--numbers`.

* `biomedical`: a token is a run of letters and digits, held together by single hyphens and
  apostrophes, and between digits by points and commas; pluses at its end belong to it. So `il-2`,
  `tnf-α`, `5-fluorouracil`, `crohn's`, `0.05` and `cd8+` are one token each.
* `tutorial`: what Keras' TextVectorization gives with the standardization of the TensorFlow
  word2vec tutorial: ASCII letters in lower case, ASCII punctuation gone, split at ASCII spaces.
* `whitespace`: split at spaces, for text that is tokens already.

    >>> make_tokenizer()(["IL-2, p < 0.05", "Ca2+ (and K+)"])
    ['il-2 p 0.05', 'ca2+ and k+']
    >>> make_tokenizer("tutorial")(["IL-2, p < 0.05"])
    ['il2 p 005']
    >>> make_tokenizer(numbers="fold")(["P53 rose 0.5 to 1,000", "in 2010-2012."])
    ['p53 rose <number> to <number>', 'in <number>']
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

TokenizerKind = Literal["biomedical", "tutorial", "whitespace"]
NumberHandling = Literal["keep", "drop", "fold"]

Tokenizer = Callable[[Sequence[str]], list[str]]
"""Sentences -> the tokens of each, joined by single spaces; empty where there are none."""

NUMBER_TOKEN = "<number>"  # noqa: S105  # not a password
"""The token that stands for every number when they are folded."""
_NUMBER = re.compile(r"[-+]?\d++(?:[.,-]\d++)*+")


def make_tokenizer(
    kind: TokenizerKind = "biomedical", *, lowercase: bool = True, numbers: NumberHandling = "keep"
) -> Tokenizer:
    """Returns the function from sentences to their tokens.

    Args:
        kind: see the module.
        lowercase: tokens in lower case.
        numbers: keep tokens that are numbers, drop them, or fold them into one.

    Raises:
        ValueError: no such tokenizer, or no such treatment of numbers.
    """
    if kind not in _TOKENIZERS:
        raise ValueError(f"no tokenizer {kind!r}; there are {', '.join(get_args(TokenizerKind))}")
    tokenize = partial(_TOKENIZERS[kind], lowercase=lowercase)
    if numbers == "keep":
        return tokenize
    if numbers == "drop":
        return lambda sentences: [_drop_numbers(line) for line in tokenize(sentences)]
    if numbers == "fold":
        return lambda sentences: [_fold_numbers(line) for line in tokenize(sentences)]
    raise ValueError(f"numbers can be {', '.join(get_args(NumberHandling))}, not {numbers!r}")


def _drop_numbers(line: str) -> str:
    return " ".join(token for token in line.split(" ") if not _NUMBER.fullmatch(token))


def _fold_numbers(line: str) -> str:
    return " ".join(
        NUMBER_TOKEN if _NUMBER.fullmatch(token) else token for token in line.split(" ")
    )


# --- normalization -------------------------------------------------------------------------------

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"
_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_APOSTROPHES = "\u2018\u2019\u02bc\u2032"
# Soft hyphen, zero-width characters, and the signs of trade marks.
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff\u00ae\u2122"
_REPLACEMENTS = {
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_INVISIBLE, ""),
}
_REPLACED = re.compile("[" + "".join(_REPLACEMENTS) + "]")
# Normalization sorts the combining marks of a letter, in time quadratic in their number. Thirty is
# the limit of Unicode's Stream-Safe Text Format (UAX #15); more marks or symbols are cut off.
_MANY_SYMBOLS = re.compile(r"([^\w\s\x00-\x7f]{30})[^\w\s\x00-\x7f]++")


def normalize_text(text: str) -> str:
    """Returns the text in NFKC with one kind of hyphen, apostrophe and space.

    Invisible characters and trade marks go before NFKC, so that `Matrigel™` does not become
    `MatrigelTM`. Greek stays Greek; the micro sign becomes mu.
    """
    if text.isascii():
        return text
    text = _MANY_SYMBOLS.sub(r"\1", _REPLACED.sub(_replacement, text))
    if unicodedata.is_normalized("NFKC", text):
        return text
    # NFKC makes some of the characters again: U+FE31 becomes an em dash.
    return _REPLACED.sub(_replacement, unicodedata.normalize("NFKC", text))


def _replacement(match: re.Match[str]) -> str:
    return _REPLACEMENTS[match[0]]


# --- the biomedical tokenizer --------------------------------------------------------------------

_PLUSES = re.compile(rb"\++")
_NON_ASCII_SYMBOLS = re.compile(r"[^\w\x00-\x7f]+")
# The kinds of a byte of UTF-8 are flags, so that `&` says what two neighbours have in common.
_LETTER, _DIGIT, _HYPHEN, _POINT, _LINE_BREAK = 1, 2, 4, 8, 16
_KINDS = bytes(
    _LETTER * (byte > 127 or chr(byte).isalnum())
    | _DIGIT * (chr(byte) in "0123456789")
    | _HYPHEN * (chr(byte) in "-'")
    | _POINT * (chr(byte) in ".,")
    | _LINE_BREAK * (chr(byte) == "\n")
    for byte in range(256)
)


def tokenize(sentence: str, *, lowercase: bool = True) -> list[str]:
    """Returns the biomedical tokens of one sentence.

    >>> tokenize("TNF-α rose 0.05-fold.")
    ['tnf-α', 'rose', '0.05-fold']
    """
    return " ".join(tokenize_sentences([sentence], lowercase=lowercase)).split()


def tokenize_sentences(sentences: Sequence[str], *, lowercase: bool = True) -> list[str]:
    """Returns the biomedical tokens of each sentence, joined by spaces.

    NumPy looks at the bytes of all sentences at once: its calls cost more than one sentence does.

    Args:
        sentences: of one article, say, none with a line break in it.
        lowercase: tokens in lower case.

    >>> tokenize_sentences(["Fever (39 °C) rose.", "...", "TNF-α fell."])
    ['fever 39 c rose', '', 'tnf-α fell']
    """
    ascii_or_letters = (
        sentence if sentence.isascii() else _without_symbols(sentence, lowercase)
        for sentence in sentences
    )
    data = "\n".join(ascii_or_letters).encode()
    if lowercase:
        data = data.lower()
    kinds = np.frombuffer(data.translate(_KINDS), np.uint8)
    in_token = _token_bytes(kinds)
    if b"+" in data:
        _mark_pluses(data, kinds, in_token)
    spaced = np.where(in_token, np.frombuffer(data, np.uint8), np.uint8(ord(" ")))
    in_token[1:] |= in_token[:-1]  # of several spaces, the first stays
    lines = spaced[in_token].tobytes().decode().split("\n")
    return [line.strip(" ") for line in lines]


def _without_symbols(sentence: str, lowercase: bool) -> str:
    """Returns a sentence in which every character beyond ASCII is a letter or a digit."""
    text = normalize_text(sentence)
    return _NON_ASCII_SYMBOLS.sub(" ", text.lower() if lowercase else text)


def _token_bytes(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Returns [n] bool: which bytes are part of a token, or a line break; pluses are not yet."""
    neighbours = np.zeros_like(kinds)  # the flags that the bytes on either side both have
    neighbours[1:-1] = kinds[:-2] & kinds[2:]
    # Shifted by two, the flag of a hyphen is that of a letter, and of a point that of a digit.
    hyphens = (kinds >> 2) & neighbours & _LETTER
    points = (kinds >> 2) & neighbours & _DIGIT
    return (((kinds | hyphens | points) & (_LETTER | _LINE_BREAK)) | points).astype(np.bool_)


def _mark_pluses(data: bytes, kinds: NDArray[np.uint8], in_token: NDArray[np.bool_]) -> None:
    """Marks the pluses that end a token, in place: both of `a++`, the first of `a++b`."""
    for match in _PLUSES.finditer(data):
        start, end = match.span()
        if start and kinds[start - 1] & _LETTER:
            before_letter = end < len(kinds) and bool(kinds[end] & _LETTER)
            in_token[start : end - before_letter] = True


# --- the other tokenizers ------------------------------------------------------------------------

_ASCII_PUNCTUATION = string.punctuation.encode()


def _tutorial_tokens(sentences: Sequence[str], *, lowercase: bool) -> list[str]:
    lines = []
    for sentence in sentences:
        data = sentence.encode()
        if lowercase:
            data = data.lower()
        lines.append(b" ".join(data.translate(None, _ASCII_PUNCTUATION).split()).decode())
    return lines


def _whitespace_tokens(sentences: Sequence[str], *, lowercase: bool) -> list[str]:
    return [" ".join((each.lower() if lowercase else each).split()) for each in sentences]


_TOKENIZERS = {
    "biomedical": tokenize_sentences,
    "tutorial": _tutorial_tokens,
    "whitespace": _whitespace_tokens,
}
