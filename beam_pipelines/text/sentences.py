"""Splits blocks of text into sentences.

A sentence ends at `.`, `!` or `?` before a space and what may begin the next one: a capital, a
digit, a bracket, or a name such as `mRNA` or `β-actin`. It does not end after an abbreviation, an
initial, a genus (`E. coli`) or the number of a list item. References in square brackets after the
mark belong to the sentence before them. `。`, `！` and `？` end a sentence wherever they stand.

    >>> split_sentences("CD8+ cells (Smith et al. 2010) made IL-2. P53 rose 0.5-fold.")
    ['CD8+ cells (Smith et al. 2010) made IL-2.', 'P53 rose 0.5-fold.']
    >>> split_sentences("They had hepatitis B. Patients of J. Smith had not.")
    ['They had hepatitis B.', 'Patients of J. Smith had not.']
"""

from __future__ import annotations

import re

# Group 1 is a whole run of end marks: the lookbehind refuses to start within one, and possessive
# quantifiers never give back, so that the time is linear in the text. A pattern that began with
# the lookbehind would lose the fast search for its first character.
_BOUNDARY = re.compile(
    r"""([.!?](?<![.!?]{2})[.!?]*+)["'”’)\]]*+(?:\s?\[\d[\d,;\s\u2013-]{0,60}+\])?\s++"""
    r"""(?=["'“‘(\[]*+(?:[A-Z0-9Α-Ω]|[a-zα-ω]{1,3}-?[A-Z0-9]|[α-ω]-))"""
)
_ABBREVIATIONS = frozenset(
    """al approx ca cf dept dr ed eds eq eqs equiv et etc exp ext fig figs gen inc incl jr ltd max
    min mr mrs ms no nos nov nr p pp prof ref refs resp sect ser sp spp st subg subsp suppl supp
    tab var viz vol vols vs wt""".split()
)
# Abbreviations only before a number: `Jan. 2010`, `v. 20.0`.
_NUMBERED_ABBREVIATIONS = frozenset(
    "apr aug dec feb jan jul jun mar nov oct sep sept v ver vers".split()
)
# Words after which a single capital is a name (`hepatitis B.`), and no initial.
_LETTERED_NOUNS = frozenset(
    """amphotericin arm case class coenzyme cohort complex condition cyclosporin dnase experiment
    factor grade group haemophilia hemophilia hepatitis immunoglobulin influenza isomer metaphase
    model panel phase protein schedule scheme serogroup serotype site stage step strain subtype
    type vitamin vitamins""".split()
)
_UNIT_ABBREVIATIONS = frozenset(("min", "max"))
# A word of so many letters is neither an abbreviation nor the number of a list item.
_LONG_WORD = 1 + max(map(len, _ABBREVIATIONS))
_INITIALS = re.compile(r"[A-Z]|[A-Za-z](?>(?:[.-]++[A-Za-z])+)")  # J, U.S, J.-P
_LIST_NUMBER = re.compile(r"\s*[(\[]?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})(?:\.\d{1,3})*[)\]]?")
_LONGEST_LIST_NUMBER = 16
# Two words are looked at; a longer one is neither an abbreviation nor initials.
_LONGEST_CONTEXT = 64
_SENTENCE_OPENERS = re.compile(
    r"""(?:After|All|Also|Although|An|As|At|Both|By|Each|For|From|Further|Furthermore|He|Here|How
    |However|If|In|It|Its|Moreover|Most|No|Of|On|One|Our|She|Since|So|Some|Such|That|The|Then|There
    |Therefore|These|They|This|Those|Thus|To|Two|Using|We|What|When|While|With)[ ,]""",
    re.VERBOSE,
)


_FULL_WIDTH_MARKS = "\u3002\uff01\uff1f"
_FULL_WIDTH_SENTENCE = re.compile(
    f"[^{_FULL_WIDTH_MARKS}]*+(?:[{_FULL_WIDTH_MARKS}]++[\u300d\u300f\uff09\u201d\u2019)]*+|\\Z)"
)


def split_sentences(block: str) -> list[str]:
    """Returns the sentences of a block, in order; together they are the block but for spaces."""
    if not block.isascii() and any(mark in block for mark in _FULL_WIDTH_MARKS):
        pieces = filter(None, (m[0].strip() for m in _FULL_WIDTH_SENTENCE.finditer(block)))
        return [sentence for piece in pieces for sentence in _split_at_spaces(piece)]
    return _split_at_spaces(block)


def _split_at_spaces(block: str) -> list[str]:
    sentences, start = [], 0
    for boundary in _BOUNDARY.finditer(block):
        position = boundary.start()
        # Most boundaries follow a long word, which decides without a search.
        follows_long_word = (
            position >= _LONG_WORD and block[position - _LONG_WORD : position].isalpha()
        )
        if follows_long_word or _ends_sentence(block, start, boundary):
            sentences.append(block[start : boundary.end()].rstrip())
            start = boundary.end()
    if start < len(block):
        sentences.append(block[start:])
    return sentences


def _ends_sentence(block: str, start: int, boundary: re.Match[str]) -> bool:
    if boundary[1] != ".":
        return True
    position = boundary.start()
    if position - start < _LONGEST_LIST_NUMBER and _LIST_NUMBER.fullmatch(block, start, position):
        return False
    before, _, word = block[max(start, position - _LONGEST_CONTEXT) : position].rpartition(" ")
    word = word.lstrip("([")
    lower = word.lower()
    next_character = block[boundary.end()]
    if lower in _NUMBERED_ABBREVIATIONS and next_character.isdigit():
        return False
    is_initial = _INITIALS.fullmatch(word) is not None
    if lower not in _ABBREVIATIONS and not is_initial:
        return True
    before = before.rpartition(" ")[2]
    if next_character.isupper() and (
        before.lower() in _LETTERED_NOUNS
        if is_initial
        else lower in _UNIT_ABBREVIATIONS and before[-1:].isdigit()
    ):
        return True
    # `hepatitis B. The` ends a sentence, `A. Smith` and `i.e. The` do not.
    may_end = word not in {"i.e", "e.g", "vs"}
    return may_end and _SENTENCE_OPENERS.match(block, boundary.end()) is not None
