"""Turns sentences into tokens, by `--tokenizer`, `--lowercase` and `--numbers`.

* `biomedical`: a token is a run of letters and digits, held together by single hyphens and
  apostrophes, and between digits by points and commas; pluses at its end belong to it. So `il-2`,
  `tnf-α`, `5-fluorouracil`, `crohn's`, `0.05` and `cd8+` are one token each. Names with other marks
  in them (`5'-utr`, `p53-/-`, `c.35delg`, `hla-drb1*04:01`, `c57bl/6j`, `10^6`) stay whole by the
  table `_NAME_MARKS`; `.05` becomes `0.05`; links, e-mail addresses and DOIs are left out unless
  `--links` says otherwise.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from beam_pipelines.text.sentences import split_sentences

TokenizerKind = Literal["biomedical", "tutorial", "whitespace"]
NumberHandling = Literal["keep", "drop", "fold"]
LinkHandling = Literal["drop", "fold", "split"]

Tokenizer = Callable[[Sequence[str]], list[str]]
"""Sentences -> the tokens of each, joined by single spaces; empty where there are none."""

NUMBER_TOKEN = "<number>"  # noqa: S105  # not a password
"""The token that stands for every number when they are folded."""
LINK_TOKEN = "<link>"  # noqa: S105
"""The token that stands for every link, e-mail address and DOI when they are folded."""
_NUMBER = re.compile(r"[-+]?\d++(?>(?:[.,-]\d++)*)(?:\^[-+]?\d++)?")


def make_tokenizer(
    kind: TokenizerKind = "biomedical",
    *,
    lowercase: bool = True,
    numbers: NumberHandling = "keep",
    links: LinkHandling = "drop",
) -> Tokenizer:
    """Returns the function from sentences to their tokens.

    Args:
        kind: see the module.
        lowercase: tokens in lower case.
        numbers: keep tokens that are numbers, drop them, or fold them into one.
        links: drop links, e-mail addresses and DOIs, fold them into one token, or split them as any
            text; only the biomedical tokenizer knows them.

    Raises:
        ValueError: no such tokenizer, or no such treatment of numbers or links.
    """
    if kind not in _TOKENIZERS:
        raise ValueError(f"no tokenizer {kind!r}; there are {', '.join(get_args(TokenizerKind))}")
    if links not in get_args(LinkHandling):
        raise ValueError(f"links can be {', '.join(get_args(LinkHandling))}, not {links!r}")
    tokenizer = partial(_TOKENIZERS[kind], lowercase=lowercase)
    if kind == "biomedical":
        tokenizer = partial(tokenizer, links=links)
    if numbers == "keep":
        return tokenizer
    if numbers == "drop":
        return lambda sentences: [_drop_numbers(line) for line in tokenizer(sentences)]
    if numbers == "fold":
        return lambda sentences: [_fold_numbers(line) for line in tokenizer(sentences)]
    raise ValueError(f"numbers can be {', '.join(get_args(NumberHandling))}, not {numbers!r}")


def tokenize(
    text: str,
    *,
    tokenizer: TokenizerKind = "biomedical",
    lowercase: bool = True,
    numbers: NumberHandling = "keep",
    links: LinkHandling = "drop",
) -> list[str]:
    """Returns the tokens of a text, as `pmc2vec build` makes them of a paragraph.

    So they are the words that have vectors, but for phrases and words that were too rare.

    >>> tokenize("TNF-α rose 0.05-fold (fever, IL-2).")
    ['tnf-α', 'rose', '0.05-fold', 'fever', 'il-2']

    Args:
        text: of any length; an end of line is a space.
        tokenizer: biomedical, tutorial or whitespace; as `--tokenizer` of the build.
        lowercase: tokens in lower case.
        numbers: keep, drop or fold; as `--numbers`.
        links: drop, fold or split; as `--links`.

    Raises:
        ValueError: no such tokenizer, or no such treatment of numbers or links.
    """
    function = make_tokenizer(tokenizer, lowercase=lowercase, numbers=numbers, links=links)
    lines = function(split_sentences(text.replace("\n", " ")))
    return [token for line in lines for token in line.split()]


def _drop_numbers(line: str) -> str:
    return " ".join(token for token in line.split(" ") if not _NUMBER.fullmatch(token))


def _fold_numbers(line: str) -> str:
    return " ".join(
        NUMBER_TOKEN if _NUMBER.fullmatch(token) else token for token in line.split(" ")
    )


# --- normalization -------------------------------------------------------------------------------

_DASHES = "\u2010\u2011\u2012\u2013\u2043\u2212\ufe63\uff0d"
# The last four are em dashes and the horizontal bar, which stand between clauses.
_SPACES = (
    "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2014\u2015\ufe31\ufe58"
)  # fmt: skip
# Acute accent and prime are used as the others are.
_APOSTROPHES = "\u2018\u2019\u02bc\u2032\u00b4"
# Soft hyphen, zero-width characters, variation selectors, and the signs of trade marks.
_INVISIBLE = "\u00ad\u034f\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff\u00ae\u2122"
_REPLACEMENTS = {
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys(_SPACES, " "),
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_INVISIBLE, ""),
    "\u2206": "\u0394",  # the sign of increment is typed for the Greek letter
    "\u00ba": "\u00b0",  # the ordinal sign for degrees: NFKC would make 25oC of 25 ºC
}
# Between digits these are decimal points, but not in a formula such as MgSO4·7H2O.
_MIDDLE_DOTS = "\u00b7\u2022\u2027\u2219\u22c5"
_MIDDLE_DOT = re.compile(rf"[{_MIDDLE_DOTS}](?<=[0-9].)(?<![A-Za-z)][0-9].)(?=[0-9])")
_REPLACED = re.compile("[" + "".join(_REPLACEMENTS) + "]")
_COMBINING = "".join(
    chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M"
)
# The halfwidth voiced sound marks are letters that become combining marks.
_MARKS_OF_LETTERS = _COMBINING + "\uff9e\uff9f"
# Normalization sorts the combining marks of a letter, in time quadratic in their number. Thirty is
# the limit of Unicode's Stream-Safe Text Format (UAX #15); more are cut off.
_MANY_MARKS = re.compile(f"([{_MARKS_OF_LETTERS}]{{30}})[{_MARKS_OF_LETTERS}]++")
_ASCII = bytes(range(128))


def normalize_text(text: str) -> str:
    """Returns the text in NFKC with one kind of hyphen, apostrophe and space.

    Invisible characters and trade marks go before NFKC, so that `Matrigel™` does not become
    `MatrigelTM`. Greek stays Greek; the micro sign becomes mu. An em dash is a space. A middle dot
    between digits is a decimal point.
    """
    if text.isascii():
        return text
    characters = _characters_beyond_ascii(text)
    if not characters.isdisjoint(_MIDDLE_DOTS):
        text = _MIDDLE_DOT.sub(".", text)
    forms = {character: _normal_form(character) for character in characters}
    if None not in forms.values():
        return _replace_characters(text, forms)
    text = _MANY_MARKS.sub(r"\1", _REPLACED.sub(_replacement, text))
    # NFKC makes some of the characters again: U+2033 becomes two primes.
    return _REPLACED.sub(_replacement, unicodedata.normalize("NFKC", text))


def _characters_beyond_ascii(text: str) -> set[str]:
    # As bytes, because `set(text)` would look at every letter.
    return set(text.encode(errors="replace").translate(None, _ASCII).decode())


def _replace_characters(text: str, forms: Mapping[str, str | None]) -> str:
    """Returns the text with each character's form; an article has few characters, often used."""
    for character, form in forms.items():
        if form is not None and form != character:
            text = text.replace(character, form)
    return text


@lru_cache(maxsize=1 << 14)
def _normal_form(character: str) -> str | None:
    """Returns what becomes of a character in any text, or None if its neighbours have a say."""
    form = _REPLACEMENTS.get(character)
    if form is None:
        form = _REPLACED.sub(_replacement, unicodedata.normalize("NFKC", character))
    # Marks combine with the letter before them, and so do the vowels and finals of Hangul.
    return None if any(map(_combines, form)) else form


def _combines(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"


def _replacement(match: re.Match[str]) -> str:
    return _REPLACEMENTS[match[0]]


# --- the biomedical tokenizer --------------------------------------------------------------------

_ALNUM = r"A-Za-z0-9\x80-\xff"  # in UTF-8: letters, digits and, by then, nothing else beyond ASCII
# (mark, what is before it, what is after it): where a mark belongs to a name. Everywhere else it
# separates tokens, except as the next table says. `(?<!...)` refuses a longer word.
_NAME_MARKS = (
    ("'", r"[0-9]", r"[-,][0-9A-Za-z\x80-\xff]"),  # 5'-utr, 4',6-diamidino-2-phenylindole
    ("'", r"-[2-5]", rf"(?![{_ALNUM}])"),  # gattaca-3'
    ("'", rf"(?<![{_ALNUM}.,])[2-5]", r" (?:utrs?|ends?|untranslated|flanking|terminal|region)\b"),
    ("'", r",[nosp]", r"-"),  # n,n'-, o,p'-ddt
    (",", r"[0-9]'", r"[0-9]"),
    (",", r"[\xce\xcf][\x80-\xbf]", r"[0-9]"),  # 1-α,25-dihydroxy
    (",", rf"(?<![{_ALNUM}])[nosp]", r"[nosp]['-]"),  # n,n-dimethylformamide
    ("*", r"[a-z]", r"[0-9]{2,3}:[0-9]{2}"),  # hla-a*02:01
    ("*", r"[a-z][0-9]", rf"[0-9]{{1,3}}(?:(?![{_ALNUM}])|:[0-9]{{2}})"),  # cyp2d6*4
    ("*", r"[a-z][0-9]{2}", rf"[0-9]{{1,2}}(?![{_ALNUM}])"),  # cyp2c19*17
    (":", r"\*[0-9]{2}", r"[0-9]{2}"),
    (":", r"\*[0-9]{3}", r"[0-9]{2}"),
    (":", r"\*[0-9]{2}:[0-9]{2}", r"[0-9]{2}"),
    (
        ".",
        rf"(?<![{_ALNUM}])[cgmnr]",
        r"[-*]?[0-9]{1,9}(?:[+-][0-9]{1,6})?(?:[acgt]>|del|dup|ins|_)",
    ),
    (".", rf"(?<![{_ALNUM}])p", r"(?:[a-z]{3}[0-9]|[a-z][0-9]{1,5}[a-z*])"),  # p.val600glu, p.v600e
    ("_", r"[0-9]", r"[0-9]{1,9}(?:del|dup|ins|inv)"),  # c.76_78del
    (">", r"[0-9][acgt]", rf"[acgt](?![{_ALNUM}])"),  # c.76a>t
    ("+", r"[0-9]", r"[0-9]{1,6}(?:[acgt]>|_|del|dup|ins)"),  # c.88+2t>g
    ("-", r"[a-z0-9]", rf"/[-+](?![{_ALNUM}])"),  # p53-/-, p53-/+
    ("+", r"[a-z0-9]", rf"/[-+](?![{_ALNUM}])"),
    ("/", r"[a-z0-9][-+]", rf"[-+](?![{_ALNUM}])"),
    ("-", r"[a-z0-9][-+]/", rf"(?![{_ALNUM}])"),
    ("+", r"[a-z0-9][-+]/", rf"(?![{_ALNUM}])"),
    ("/", r"c57bl", r"(?:6|10)"),  # names of strains
    ("/", r"balb", r"c"),
    ("/", r"dba", r"[12]"),
    ("/", r"c3h", r"he"),
    ("/", r"fvb", r"n"),
    ("/", r"129", r"sv"),
    ("/", r"nod", r"(?:scid|ltj|shi)"),
    ("^", rf"(?<![{_ALNUM}.,])10", rf"[-+]?[0-9]{{1,3}}(?![{_ALNUM}])"),  # 10^6, 10^-3
    ("-", r"10\^", r"[0-9]"),
    ("+", r"10\^", r"[0-9]"),
)


def _name_mark_patterns() -> list[tuple[bytes, re.Pattern[bytes]]]:
    """Returns (mark, where it belongs to a name).

    A pattern that begins with a byte is searched fast. What is before the mark is looked at first:
    in most places it decides.
    """
    branches: dict[str, list[str]] = {}
    for mark, before, after in _NAME_MARKS:
        escaped = re.escape(mark)
        if before.startswith("(?<!"):  # a lookbehind has one width: two of them
            refused, _, allowed = before.rpartition(")")
            branch = f"{refused}{'.' * (2 if allowed == '10' else 1)}{escaped})"
        else:
            branch, allowed = "", before
        branches.setdefault(escaped, []).append(f"(?<={allowed}{escaped}){branch}(?={after})")
    return [
        (
            mark.replace("\\", "").encode(),
            re.compile(f"{mark}(?:{'|'.join(each)})".encode("latin-1"), re.IGNORECASE),
        )
        for mark, each in branches.items()
    ]


_NAME_MARK_PATTERNS = _name_mark_patterns()
# A mark of a name is a control character while the tokens are made. Real ones become spaces.
_MARKS = bytes(sorted({ord(mark) for mark, _, _ in _NAME_MARKS}))
_CODES = bytes(range(14, 14 + len(_MARKS)))
_LINK_CODE = chr(14 + len(_MARKS))
_TO_CODES = bytes.maketrans(_MARKS, _CODES)
_TO_MARKS = bytes.maketrans(_CODES, _MARKS)
_CLEANED = bytes.maketrans(_CODES + _LINK_CODE.encode(), b" " * (len(_CODES) + 1))
_CLEANED_LOWER = bytes(
    byte + 32 if chr(byte) in string.ascii_uppercase else byte for byte in _CLEANED
)

_CELL_MARKER = re.compile(
    rf"\+(?<=[{_ALNUM}]\+)(?=cd[0-9]|[a-z]{{2,5}}[0-9]{{0,3}}[-+](?![{_ALNUM}/]))".encode(
        "latin-1"
    ),
    re.IGNORECASE,
)
_BARE_DECIMAL = re.compile(rb"\.(?<![^\s=<>~(\[+-]\.)(?=[0-9])")
# Addresses are searched by what is in them and then extended to the left: a pattern that began
# with the letters of a scheme or of a mailbox would be tried at each letter of the text.
_LINK = re.compile(rb"://(?:(?<=(http)://)|(?<=(https)://)|(?<=(ftp)://))\S++", re.IGNORECASE)
_WWW_LINK = re.compile(rb"www\.\S++")
_E_MAIL_DOMAIN = re.compile(rb"@[\w-]++(?>(?:\.[\w-]++)+)")
_MAILBOX_BYTES = string.ascii_letters.encode() + b"0123456789_.+-"
_LONGEST_MAILBOX = 64  # RFC 5321
_DOI = re.compile(rb"10\.[0-9]{4,9}/\S++")
_DOI_LABEL = re.compile(rb"\bdoi:? ?\Z", re.IGNORECASE)
_LONGEST_DOI_LABEL = len("doi: ")

_SYMBOLS = re.compile(rf"[^\w\x00-\x7f\ue000{_COMBINING}]+")
# A mark belongs to the letter before it; this one has none, but another ASCII character.
_LONE_MARKS = re.compile(rf"[{_COMBINING}](?<![^\x00-/:-@\[-`{{-\x7f].)[{_COMBINING}]*+")
_RAISED_DIGITS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
_POWER_OF_TEN = re.compile(rf"10(?<![0-9.,]..)(?=[\u207a\u207b]?[{_RAISED_DIGITS}])")
# Stands for the minus sign of `HER2−` while the tokens are made.
_KEPT_MINUS = "\ue000"
_MINUS_SIGNS = "\u2212\u207b"
# Some journals write `mg L− 1`, with a space.
_CELL_MINUS = re.compile(rf"[{_MINUS_SIGNS}](?<=[A-Za-z0-9].)(?![\w/]|\s[0-9])")

_PLUSES = re.compile(rb"\+\+*+")  # begins with a byte, unlike `\++`, and so is searched fast
# The kinds of a byte of UTF-8 are flags, so that `&` says what two neighbours have in common.
_LETTER, _DIGIT, _HYPHEN, _POINT, _LINE_BREAK = 1, 2, 4, 8, 16
_KINDS = bytes(
    _LETTER * (byte > 127 or chr(byte).isalnum() or byte in _CODES or chr(byte) == _LINK_CODE)
    | _DIGIT * (chr(byte) in "0123456789")
    | _HYPHEN * (chr(byte) in "-'")
    | _POINT * (chr(byte) in ".,")
    | _LINE_BREAK * (chr(byte) == "\n")
    for byte in range(256)
)


def tokenize_sentences(
    sentences: Sequence[str], *, lowercase: bool = True, links: LinkHandling = "drop"
) -> list[str]:
    """Returns the biomedical tokens of each sentence, joined by spaces.

    NumPy looks at the bytes of all sentences at once: its calls cost more than one sentence does.

    Args:
        sentences: of one article, say, none with a line break in it.
        lowercase: tokens in lower case.
        links: see `make_tokenizer`.

    >>> tokenize_sentences(["Fever (39 °C) rose.", "...", "TNF-α fell."])
    ['fever 39 c rose', '', 'tnf-α fell']
    """
    beyond_ascii = "\n".join(sentence for sentence in sentences if not sentence.isascii())
    if beyond_ascii:
        beyond_ascii = _without_symbols(beyond_ascii, lowercase)
        cleaned = iter(beyond_ascii.split("\n"))
        sentences = [each if each.isascii() else next(cleaned) for each in sentences]
    data = _protect_names("\n".join(sentences).encode(), lowercase, links)
    if _KEPT_MINUS in beyond_ascii:
        data = data.replace(_KEPT_MINUS.encode(), b"-".translate(_TO_CODES))
    kinds = np.frombuffer(data.translate(_KINDS), np.uint8)
    in_token = _token_bytes(kinds)
    if b"+" in data:
        _mark_pluses(data, kinds, in_token)
    spaced = np.where(in_token, np.frombuffer(data, np.uint8), np.uint8(ord(" ")))
    in_token[1:] |= in_token[:-1]  # of several spaces, the first stays
    lines = spaced[in_token].tobytes().translate(_TO_MARKS).decode().split("\n")
    if links == "fold":
        lines = [line.replace(_LINK_CODE, LINK_TOKEN) for line in lines]
    return [line.strip(" ") for line in lines]


def _without_symbols(text: str, lowercase: bool) -> str:
    """Returns text in which every character beyond ASCII is part of a word.

    The characters of all the text are looked at once, and each rule is asked for only where it has
    one of them.
    """
    characters = _characters_beyond_ascii(text)
    if _KEPT_MINUS in characters:
        text = text.replace(_KEPT_MINUS, " ")
    if not characters.isdisjoint(_MINUS_SIGNS):
        text = _CELL_MINUS.sub(_KEPT_MINUS, text)
    if not characters.isdisjoint(_RAISED_DIGITS):
        text = _POWER_OF_TEN.sub("10^", text)
    text = normalize_text(text)
    forms = {each: _word_form(each, lowercase) for each in _characters_beyond_ascii(text)}
    if None not in forms.values():
        return _replace_characters(text, forms)
    if lowercase:
        text = text.lower().replace("i\u0307", "i")  # of a Turkish capital I with a dot
    return _LONE_MARKS.sub(" ", _SYMBOLS.sub(" ", text))


@lru_cache(maxsize=1 << 14)
def _word_form(character: str, lowercase: bool) -> str | None:
    """Returns a normalized character in a token, or a space; None if its neighbours have a say."""
    if _combines(character) or character in "\u0130\u03a3":  # capital I with a dot, and sigma
        return None
    if lowercase:
        character = character.lower()
    return _SYMBOLS.sub(" ", character)


def _protect_names(data: bytes, lowercase: bool, links: LinkHandling) -> bytes:
    """Returns the text with a control character for each mark of a name, and for each link."""
    data = data.translate(_CLEANED_LOWER if lowercase else _CLEANED)
    if links != "split":
        data = _replace_addresses(data, f" {_LINK_CODE} ".encode() if links == "fold" else b" ")
    data = _BARE_DECIMAL.sub(b"0.", data)
    protected = bytearray(data)
    for mark, pattern in _NAME_MARK_PATTERNS:
        if mark in data:
            for match in pattern.finditer(data):  # not in `protected`: patterns look at each other
                protected[match.start()] = _TO_CODES[mark[0]]
    data = bytes(protected)
    if b"+" in data:
        data = _CELL_MARKER.sub(b"+ ", data)
    return data


def _replace_addresses(data: bytes, replacement: bytes) -> bytes:
    pieces, end = [], 0
    for start, stop in sorted(_addresses(data)):
        if start >= end:
            pieces += [data[end:start], replacement]
        end = max(end, stop)
    return b"".join((*pieces, data[end:])) if pieces else data


def _addresses(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields (start, end) of links, e-mail addresses and DOIs, which may overlap."""
    # Most articles have none of each, which a search for one byte string shows fastest.
    if b"://" in data:
        for match in _LINK.finditer(data):
            yield match.start(match.lastindex or 0), match.end()
    if b"www." in data:
        yield from (match.span() for match in _WWW_LINK.finditer(data))
    if b"@" in data:
        for match in _E_MAIL_DOMAIN.finditer(data):
            before = data[max(0, match.start() - _LONGEST_MAILBOX) : match.start()]
            if mailbox := len(before) - len(before.rstrip(_MAILBOX_BYTES)):
                yield match.start() - mailbox, match.end()
    for match in _DOI.finditer(data):
        before = data[max(0, match.start() - _LONGEST_DOI_LABEL) : match.start()]
        label = _DOI_LABEL.search(before)
        yield match.start() - (len(label[0]) if label else 0), match.end()


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


# --- scripts without spaces ----------------------------------------------------------------------

# Longer than words are: of Han and kana, and of Thai, Lao, Burmese and Khmer, whose words have more
# letters.
_CLAUSE = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff]{8}|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]{16}"
)


def count_clauses(lines: Sequence[str]) -> int:
    """Returns how many tokens are clauses, as of Chinese, Japanese and Thai without spaces.

    >>> count_clauses(["糖尿病患者的胰岛素水平升高 il-2", "糖尿病 患者"])
    1
    """
    return sum(
        _CLAUSE.search(token) is not None
        for line in lines
        if not line.isascii() and _CLAUSE.search(line)
        for token in line.split(" ")
    )


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
