"""How a sentence becomes tokens: the choices of `--tokenizer`, `--lowercase` and `--numbers`.

* `biomedical`: `text.tokens`, which keeps `il-2`, `tnf-α`, `5-fluorouracil`, `cd8+` and `0.05`.
* `tutorial`: what Keras' TextVectorization gives with the standardization of the TensorFlow
  word2vec tutorial: ASCII letters in lower case, ASCII punctuation gone, split at ASCII spaces.
* `whitespace`: split at spaces, for text that is tokens already.

    >>> tokenizer("tutorial")(["IL-2, p < 0.05"])
    ['il2 p 005']
    >>> tokenizer(numbers="fold")(["P53 rose 0.5 to 1,000", "in 2010-2012."])
    ['p53 rose <number> to <number>', 'in <number>']
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

from beam_pipelines.text.sentences import tokenized, tokens

TokenizerKind = Literal["biomedical", "tutorial", "whitespace"]
Numbers = Literal["keep", "drop", "fold"]

NUMBER = "<number>"
"""The token that stands for every number when they are folded."""
_NUMBER = re.compile(r"[-+]?\d+(?:[.,-]\d+)*")
_PUNCTUATION = string.punctuation.encode()

Tokenizer = Callable[[Sequence[str]], list[str]]
"""From sentences to the tokens of each, joined by single spaces; empty where there are none."""


def tokenizer(
    kind: TokenizerKind = "biomedical", *, lowercase: bool = True, numbers: Numbers = "keep"
) -> Tokenizer:
    """Returns the function from sentences to their tokens.

    Args:
        kind: see the module.
        lowercase: tokens in lower case.
        numbers: keep, drop or fold (into one) tokens that are numbers.

    Raises:
        ValueError: no such tokenizer, or no such treatment of numbers.
    """
    if kind == "biomedical" and numbers == "keep":
        return partial(tokenized, lowercase=lowercase)
    split = {"biomedical": tokens, "tutorial": _tutorial, "whitespace": _whitespace}.get(kind)
    if split is None:
        raise ValueError(f"no tokenizer {kind!r}; there are {', '.join(get_args(TokenizerKind))}")
    treat = {"keep": _all, "drop": _without_numbers, "fold": _with_folded_numbers}.get(numbers)
    if treat is None:
        raise ValueError(f"numbers can be {', '.join(get_args(Numbers))}, not {numbers!r}")
    return lambda sentences: [
        " ".join(treat(split(sentence, lowercase=lowercase))) for sentence in sentences
    ]


def _tutorial(sentence: str, *, lowercase: bool) -> list[str]:
    data = sentence.encode()
    if lowercase:
        data = data.lower()
    return [token.decode() for token in data.translate(None, _PUNCTUATION).split()]


def _whitespace(sentence: str, *, lowercase: bool) -> list[str]:
    return (sentence.lower() if lowercase else sentence).split()


def _all(found: list[str]) -> list[str]:
    return found


def _without_numbers(found: list[str]) -> list[str]:
    return [token for token in found if not _NUMBER.fullmatch(token)]


def _with_folded_numbers(found: list[str]) -> list[str]:
    return [NUMBER if _NUMBER.fullmatch(token) else token for token in found]
