"""Writes sentences of the planted words, in the inline markup of real articles.

The tables of words hold what makes reading hard: a gene is always `<italic>CFTR</italic>`, a
reference number touches the word before it, a comment is between two words. Part of the slots hold
words of any topic, which makes learning hard: word2vec needs about a million words, so that vectors
that were badly trained fail too.

A sentence is a template whose slots are filled from tables. A table repeats a word as often as it
is likely, so that a choice is one look-up; frequencies fall by Zipf's law.

    >>> writer = SentenceWriter()
    >>> writer.sentence(RandomChoices("seed"), writer.topics["skin"])
    'A perimorphation of 18 orthofiloid was quantified in H<sub>2</sub>O.'
    >>> Template.parse("{T} in {T}", {"T": ("fever", "sepsis")}).fill(RandomChoices("seed"))
    'fever in sepsis'
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from pmc2vec.synthetic import lexicon
from pmc2vec.synthetic.lexicon import EDGE, HOMOGRAPH, Synonym, Triple

T = TypeVar("T")

NUM_REFERENCES: Final = 12
"""Every article has so many references; any of them may be cited anywhere."""

# Shares of slots that hold what they are named for; the rest hold words of any topic (the first)
# or background words. Higher shares make the planted meaning easier to learn.
_ARTICLE_TOPIC_SHARE: Final = 0.6
_COMPANION_SHARE: Final = 0.4
_ROLE_WORD_SHARE: Final = 0.5

_TABLE_SIZE: Final = 1 << 12
# For the background words: so many that the rarest has a share of 1 / 36,000.
_LARGE_TABLE_SIZE: Final = 1 << 16

# Slots: T topic word, B background word, V verb, N number, U unit, F reference to the figure,
# X citations or nothing, M comment or nothing; S synonym, C companion; I, R word and role words
# of a triple; D disease, A drug, G gene; H homograph; K keyword.

_TOPICAL: Final = (
    "the {T} of {T} and {T} was {V} in {B} {B}{X}",
    "we {V} {T}, {T} and {T} from {B}{M} patients{X}",
    "{T} with {T} was {V} by {B} of {T}{X}",
    "in this {B}, {T} and {T} were {V} after {T}{X}",
    "there was no {B} between {T}{M} and {T} in the {B} {B}{X}",
    "{T} ({N}%) and {T} ({N}%) were {V} in the {B} {T}{X}",
    "{B} {T} is a {B} of {T} and of {T}{X}",
    "{F} shows the {T} and the {T} of the {B} {B}",
    "the {B} and the {B} were {V} at {N} {U} before {T} and {T}{X}",
    "{T}, {T} and {B} {T} were {V} ({F}), but {B} was not",
    "after {N} weeks, {T} {B} had {V} {T} more than {B}{X}",
    "both {T} and {T} depend on {B} {T}{X} and on {M}{B}",
)
_NEUTRAL: Final = (
    "the {B} {B} of the {B} was {V} for {N} {B}{X}",
    "{B} and {B} were {V} with {B} and {B}{X}",
    "this {B} was {V} by the {B}{M} {B}, as {V} elsewhere{X}",
    "a {B} of {N} {B} was {V} in {U}{X}",
)
_SYNONYMOUS: Final = (
    "{C} {S} with {C} {T} was {V}{X}",
    "the {S} was {C} and {C} in {T}{X}",
    "{V} {C} {S} and {C} {T} in {B}",
    "a {C}, {C} {S} after {N} days was {V}{X}",
    "{B} {C} and {S} with {C} in {T}",
    "{C} {C} {S} had {V} {T}{X}",
)
_ROLE: Final = (
    "the {R} of {I} with {C} and {R} was {V}{X}",
    "{C} in {I} and {R} of {C} were {V}{X}",
    "{R} and {R} of {I} in {C} and {C}",
    "{V} {I} {R} for {C}, {R} and {C}",
    "{R} {I} {C} {R} in {B} {C}{X}",
)
_TREATS: Final = ("{A} treats {D} with {C}{X}", "{A} was indicated in {B} {D} and {C}")
_MUTATED: Final = (
    "in {B}, the {G} gene is mutated in {D} with {C}{X}",
    "{D} was caused by {G} and {C}",
)
_CONFLICTING: Final = (
    "the {H} of the {T} {T} was {V}{X}",
    "{T} {H} and {T} were {V} at {N} {U}",
    "{B} {T} with a {H} of {T}{X}",
)
_KEYWORD: Final = (
    "{B} with a {B} of {K} were {V}{X}",
    "the {B} of {K} in {N} {B} was {V}",
    "{K} was not {V} in this {B}{X}",
)
_ITEM: Final = ("{C} {C} {T} and {C} {S}", "{N} {T} with {C} {S}", "{C} {C} {S}")
_PLAIN_ITEM: Final = ("{B} {T} and {T}", "{N} {B} with {T}")
_TITLE: Final = ("{T} and {T} in {B} {T}", "{B} {T} of {T}: a {B} {B}", "the {T} of {T} in {B}")
_KEYWORD_TITLE: Final = ("{T} and {T} in {K}", "{K} after {B} {T}: a {B}", "{B} {T} of {K}")
_HEADING: Final = ("{T} and {T}", "{B} of {T}", "{T}, {T} and {B}")


@dataclass(frozen=True)
class Subject:
    """What is written about one topic or other subject.

    Attributes:
        kinds: kinds of sentence, each as often as it is likely; a kind is a choice of templates.
        items: list items, without a full stop; some words stand only at their end.
        titles, keyword_titles: of articles, the latter with a keyword.
        headings: of sections.
        words: its words, each as often as it is likely.
    """

    kinds: tuple[tuple[Template, ...], ...]
    items: tuple[Template, ...]
    titles: tuple[Template, ...]
    keyword_titles: tuple[Template, ...]
    headings: tuple[Template, ...]
    words: Sequence[str]


class SentenceWriter:
    """Writes sentences about topics and other subjects; it holds no state.

    Attributes:
        topics: topic -> what is written about it.
        off_subjects: other subject -> what is written about it.
    """

    def __init__(self) -> None:
        self._tables = _common_tables()
        self._keyword_templates = self._templates(_KEYWORD, {})
        self._any_topic = tuple(
            word
            for words in zip(*lexicon.TOPICS.values(), strict=True)
            for word in words
            if word not in lexicon.KEYWORDS
        )
        self._triples = tuple(t for each in lexicon.TRIPLES for t in self._role_templates(each))
        self._relations = tuple(
            t for each in lexicon.TRIPLES for t in self._relation_templates(each)
        )
        self.topics = {topic: self._topic_subject(topic) for topic in lexicon.TOPICS}
        self.off_subjects = {
            subject: self._off_subject(subject) for subject in lexicon.OFF_SUBJECTS
        }

    def sentence(self, choices: RandomChoices, subject: Subject) -> str:
        """Returns a sentence about `subject`."""
        return capitalize_first(choices.pick(choices.pick(subject.kinds)).fill(choices)) + "."

    def keyword_sentence(self, choices: RandomChoices) -> str:
        """Returns a sentence with a keyword, in any case."""
        return capitalize_first(choices.pick(self._keyword_templates).fill(choices)) + "."

    def _templates(
        self, texts: Sequence[str], tables: Mapping[str, Sequence[str]]
    ) -> tuple[Template, ...]:
        return tuple(Template.parse(text, {**self._tables, **tables}) for text in texts)

    def _topic_subject(self, topic: str) -> Subject:
        topic_words = zipf_table(lexicon.TOPICS[topic], exponent=0.6)
        words = {"T": mixed_table(topic_words, self._any_topic, share=_ARTICLE_TOPIC_SHARE)}
        pairs = [pair for pair in lexicon.SYNONYMS if pair.topic == topic]
        synonymous: list[Template] = []
        items: list[Template] = []
        for pair in pairs:
            tables = {
                **words,
                "C": mixed_table(pair.companions, words["T"], share=_COMPANION_SHARE),
                "S": _synonym_table(pair),
            }
            if pair.trap == EDGE:
                items += self._templates(_ITEM, tables)
            else:
                synonymous += self._templates(_SYNONYMOUS, tables)
        topical = self._templates(_TOPICAL, words)
        neutral = self._templates(_NEUTRAL, {})
        kinds = (
            *[topical] * 11,
            *[neutral] * 4,
            *[tuple(synonymous)] * 2,
            *[self._triples] * 2,
            self._relations,
        )
        return self._subject(words, kinds, tuple(items))

    def _off_subject(self, subject: str) -> Subject:
        words = {"T": zipf_table(lexicon.OFF_SUBJECTS[subject], exponent=0.6)}
        topical = self._templates(_TOPICAL, words)
        conflicting = self._templates(_CONFLICTING, words)
        return self._subject(words, (*[topical] * 5, *[conflicting] * 4), ())

    def _subject(
        self,
        words: Mapping[str, Sequence[str]],
        kinds: tuple[tuple[Template, ...], ...],
        items: tuple[Template, ...],
    ) -> Subject:
        return Subject(
            kinds=kinds,
            items=items or self._templates(_PLAIN_ITEM, words),
            titles=self._templates(_TITLE, words),
            keyword_titles=self._templates(_KEYWORD_TITLE, words),
            headings=self._templates(_HEADING, words),
            words=words["T"],
        )

    def _role_templates(self, triple: Triple) -> Iterator[Template]:
        for role, role_words in lexicon.ROLES.items():
            tables = {
                "I": (triple.form(role),),
                "R": mixed_table(role_words, self._tables["B"], share=_ROLE_WORD_SHARE),
                "C": mixed_table(triple.companions, self._tables["B"], share=_COMPANION_SHARE),
            }
            yield from self._templates(_ROLE, tables)

    def _relation_templates(self, triple: Triple) -> Iterator[Template]:
        tables = {
            "D": (triple.disease,),
            "A": (triple.drug,),
            "G": (triple.gene_form,),
            "C": triple.companions,
        }
        yield from self._templates((*_TREATS, *_MUTATED), tables)


# --- templates and tables ------------------------------------------------------------------------


class RandomChoices:
    """Random choices that are the same for the same key, on any machine.

    Args:
        key: any text; `random.Random` hashes it, and its stream is stable between versions.
    """

    def __init__(self, key: str) -> None:
        self._values = self._random_shorts(random.Random(key))

    def pick(self, options: Sequence[T]) -> T:
        """Returns one of the options, of which there are at most 65,536."""
        return options[next(self._values) % len(options)]

    def below(self, limit: int) -> int:
        """Returns a number in [0, limit), where limit is at most 65,536."""
        return next(self._values) % limit

    def chance(self, share: float) -> bool:
        """Returns true in `share` of all calls."""
        return next(self._values) < share * 65536

    @staticmethod
    def _random_shorts(rng: random.Random) -> Iterator[int]:
        # A call for each choice would take most of the time of a sample.
        while True:
            yield from struct.unpack("<512H", rng.randbytes(1024))


@dataclass(frozen=True)
class Template:
    """A sentence with slots.

    Attributes:
        text: the sentence with `%s` for each slot.
        tables: what each slot may hold.
    """

    text: str
    tables: tuple[Sequence[str], ...]

    @classmethod
    def parse(cls, text: str, tables: Mapping[str, Sequence[str]]) -> Self:
        """Returns the template of `text`, whose slots `{T}` name their table."""
        parts = text.replace("%", "%%").split("{")
        pattern = parts[0] + "".join("%s" + part[2:] for part in parts[1:])
        return cls(pattern, tuple(tables[part[0]] for part in parts[1:]))

    def fill(self, choices: RandomChoices) -> str:
        """Returns the sentence with each slot filled."""
        return self.text % tuple([choices.pick(table) for table in self.tables])


def mixed_table(first: Sequence[str], other: Sequence[str], *, share: float) -> tuple[str, ...]:
    """Returns a table where `share` of the entries are from `first` and the rest from `other`.

    >>> mixed_table(("a", "a", "b", "b"), ("c",), share=0.5)[::512]
    ('a', 'a', 'b', 'b', 'c', 'c', 'c', 'c')
    """
    parts = ((first, round(_TABLE_SIZE * share)), (other, _TABLE_SIZE - round(_TABLE_SIZE * share)))
    return tuple(words[n * len(words) // size] for words, size in parts for n in range(size))


def zipf_table(
    words: Sequence[str], *, exponent: float, size: int = _TABLE_SIZE
) -> tuple[str, ...]:
    """Returns a table of `size` entries where the word of rank r has a share as r ** -exponent.

    >>> zipf_table(("a", "b", "c"), exponent=1.0, size=8)
    ('a', 'a', 'a', 'a', 'b', 'b', 'b', 'c')
    """
    weights = [rank**-exponent for rank in range(1, len(words) + 1)]
    step, cumulative = sum(weights) / size, 0.0
    table: list[str] = []
    for word, weight in zip(words, weights, strict=True):
        cumulative += weight
        table += [word] * (round(cumulative / step) - len(table))
    return tuple(table)


# --- cross references and the tables of all subjects ---------------------------------------------


def cross_reference(kind: str, target: str, text: str) -> str:
    """Returns a cross reference of `kind` to the element with id `target`."""
    return f'<xref ref-type="{kind}" rid="{target}">{text}</xref>'


def _citation(number: int, text: str = "") -> str:
    return cross_reference("bibr", f"B{number}", text or str(number))


def _citation_table() -> tuple[str, ...]:
    """Returns reference numbers in all usual dress, and twice as often nothing."""
    names = [name.capitalize() for name in lexicon.DECOYS["author"]]
    citations = []
    for n in range(1, NUM_REFERENCES - 1):
        first, second = names[n % len(names)], names[(n + 1) % len(names)]
        later = _citation(n + 1, f"{second}, 2010")
        citations += [
            f" [{_citation(n)}]",
            f" [{_citation(n)},{_citation(n + 1)}]",
            f" [{_citation(n)}&#x02013;{_citation(n + 2)}]",
            f" {_citation(n, f'[{n}]')}",
            f"<sup>{_citation(n)}</sup>",
            f"<sup>{_citation(n)},{_citation(n + 2)}</sup>",
            _citation(n, f"<sup>{n}</sup>"),
            f" ({_citation(n, f'{first} et al., 20{n:02d}')})",
            f" ({_citation(n, f'{first} and {second}, 2001')}; {later})",
        ]
    return (*citations, *[""] * (2 * len(citations)))


def _common_tables() -> dict[str, tuple[str, ...]]:
    """Returns the tables that are the same for every subject."""
    words = list(lexicon.background_words())
    words[60::25] = [f"<italic>{word}</italic>" for word in words[60::25]]
    words[70::50] = [f"<bold>{word}</bold>" for word in words[70::50]]
    formula = "<mml:math><mml:mi>eigenvalue</mml:mi><mml:mo>=</mml:mo><mml:mn>2</mml:mn></mml:math>"
    comments = (
        "<!-- copyeditor: check the galleyproof -->",
        "<!--typesetting-->",
        "<?pagebreakhint softreturn?>",
    )
    return {
        "B": zipf_table(words, exponent=1.0, size=_LARGE_TABLE_SIZE),
        "V": zipf_table(lexicon.VERBS, exponent=0.7),
        "N": (*map(str, range(2, 60)), "0.05", "3.5", "12&#x000b7;4"),
        "U": (*lexicon.UNITS.values(), "degrees", f"<inline-formula>{formula}</inline-formula>"),
        "F": (cross_reference("fig", "F1", "Figure 1"), cross_reference("table", "T1", "Table 1")),
        "X": _citation_table(),
        "M": comments + ("",) * (12 * len(comments)),
        "H": tuple(pair.words[0] for pair in lexicon.SYNONYMS if pair.trap == HOMOGRAPH),
        "K": tuple(form(word) for word in lexicon.KEYWORDS for form in (str, str.title, str.upper)),
    }


def _synonym_table(pair: Synonym) -> tuple[str, ...]:
    """Returns a table in which both words of the pair are equally likely."""
    first, second = pair.forms
    if pair.trap != lexicon.CITED:
        return pair.forms
    cited = tuple(f"{second}<sup>{_citation(n)}</sup>" for n in range(1, NUM_REFERENCES + 1))
    return (first,) * len(cited) + cited


def capitalize_first(text: str) -> str:
    """Returns the text with a capital at its start, unless it starts with markup."""
    return text[0].upper() + text[1:]
