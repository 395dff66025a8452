"""Sentences of the planted language, in the inline markup of real articles.

What makes reading hard stands in the tables of words: a gene is always `<italic>CFTR</italic>`, a
reference number touches the word before it, a comment stands between two words. What makes
learning hard are the shares of slots that words of any topic fill: word2vec needs about a million
words, so one that learns badly is found out as well.

    >>> prose = Prose()
    >>> prose.sentence(Draws("seed"), prose.topics["skin"])
    'A perimorphation of 18 orthofiloid was quantified in H<sub>2</sub>O.'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pmc2vec.synthetic import lexicon
from pmc2vec.synthetic.lexicon import EDGE, HOMOGRAPH, Synonym, Triple
from pmc2vec.synthetic.templates import LARGE_TABLE, Draws, Template, mixed, zipf

REFERENCES: Final = 12
"""Every article has so many references; any of them may be cited anywhere."""

_OWN_TOPIC: Final = 0.6
"""Share of topic words that are the article's topic's own; the rest are of any topic."""
_COMPANIONS: Final = 0.4
"""Share of the slots for companions that hold one."""
_ROLE_WORDS: Final = 0.5
"""Share of the slots for role words that hold one."""

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


def xref(kind: str, target: str, text: str) -> str:
    """Returns a cross reference of `kind` to the element with id `target`."""
    return f'<xref ref-type="{kind}" rid="{target}">{text}</xref>'


def _cited(number: int, text: str = "") -> str:
    return xref("bibr", f"B{number}", text or str(number))


def _citations() -> tuple[str, ...]:
    """Returns reference numbers in all usual dress, and twice as often nothing."""
    names = [name.capitalize() for name in lexicon.DECOYS["author"]]
    dressed = []
    for n in range(1, REFERENCES - 1):
        first, second = names[n % len(names)], names[(n + 1) % len(names)]
        dressed += [
            f" [{_cited(n)}]",
            f" [{_cited(n)},{_cited(n + 1)}]",
            f" [{_cited(n)}&#x02013;{_cited(n + 2)}]",
            f" {_cited(n, f'[{n}]')}",
            f"<sup>{_cited(n)}</sup>",
            f"<sup>{_cited(n)},{_cited(n + 2)}</sup>",
            _cited(n, f"<sup>{n}</sup>"),
            f" ({_cited(n, f'{first} et al., 20{n:02d}')})",
            f" ({_cited(n, f'{first} and {second}, 2001')}; {_cited(n + 1, f'{second}, 2010')})",
        ]
    return (*dressed, *[""] * (2 * len(dressed)))


def _small_tables() -> dict[str, tuple[str, ...]]:
    """Returns the tables that are the same for every subject."""
    words = list(lexicon.background())
    words[60::25] = [f"<italic>{word}</italic>" for word in words[60::25]]
    words[70::50] = [f"<bold>{word}</bold>" for word in words[70::50]]
    formula = "<mml:math><mml:mi>eigenvalue</mml:mi><mml:mo>=</mml:mo><mml:mn>2</mml:mn></mml:math>"
    comments = (
        "<!-- copyeditor: check the galleyproof -->",
        "<!--typesetting-->",
        "<?pagebreakhint softreturn?>",
    )
    return {
        "B": zipf(words, exponent=1.0, size=LARGE_TABLE),
        "V": zipf(lexicon.VERBS, exponent=0.7),
        "N": (*map(str, range(2, 60)), "0.05", "3.5", "12&#x000b7;4"),
        "U": (*lexicon.UNITS.values(), "degrees", f"<inline-formula>{formula}</inline-formula>"),
        "F": (xref("fig", "F1", "Figure 1"), xref("table", "T1", "Table 1")),
        "X": _citations(),
        "M": comments + ("",) * (12 * len(comments)),
        "H": tuple(pair.words[0] for pair in lexicon.SYNONYMS if pair.trap == HOMOGRAPH),
        "K": tuple(form(word) for word in lexicon.KEYWORDS for form in (str, str.title, str.upper)),
    }


def _forms(pair: Synonym) -> tuple[str, ...]:
    """Returns a table in which both words of the pair are equally likely."""
    first, second = pair.forms
    if pair.trap != lexicon.CITED:
        return pair.forms
    touched = tuple(f"{second}<sup>{_cited(n)}</sup>" for n in range(1, REFERENCES + 1))
    return (first,) * len(touched) + touched


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


class Prose:
    """Writes sentences; made once, it is the same every time.

    Attributes:
        topics: topic -> what is written about it.
        off_subjects: other subject -> what is written about it.
    """

    def __init__(self) -> None:
        self._tables = _small_tables()
        self._keyword = self._templates(_KEYWORD, {})
        self._any_topic = tuple(
            word
            for words in zip(*lexicon.TOPICS.values(), strict=True)
            for word in words
            if word not in lexicon.KEYWORDS
        )
        self._triples = tuple(t for each in lexicon.TRIPLES for t in self._role(each))
        self._relations = tuple(t for each in lexicon.TRIPLES for t in self._relation(each))
        self.topics = {topic: self._topic(topic) for topic in lexicon.TOPICS}
        self.off_subjects = {
            subject: self._off_subject(subject) for subject in lexicon.OFF_SUBJECTS
        }

    def sentence(self, draws: Draws, subject: Subject) -> str:
        """Returns a sentence about `subject`."""
        return capitalized(draws.pick(draws.pick(subject.kinds)).fill(draws)) + "."

    def keyword_sentence(self, draws: Draws) -> str:
        """Returns a sentence with a keyword, in any case."""
        return capitalized(draws.pick(self._keyword).fill(draws)) + "."

    def _templates(
        self, texts: Sequence[str], tables: Mapping[str, Sequence[str]]
    ) -> tuple[Template, ...]:
        return tuple(Template.of(text, {**self._tables, **tables}) for text in texts)

    def _topic(self, topic: str) -> Subject:
        own = zipf(lexicon.TOPICS[topic], exponent=0.6)
        words = {"T": mixed(own, self._any_topic, share=_OWN_TOPIC)}
        pairs = [pair for pair in lexicon.SYNONYMS if pair.topic == topic]
        synonymous: list[Template] = []
        items: list[Template] = []
        for pair in pairs:
            tables = {
                **words,
                "C": mixed(pair.companions, words["T"], share=_COMPANIONS),
                "S": _forms(pair),
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
        words = {"T": zipf(lexicon.OFF_SUBJECTS[subject], exponent=0.6)}
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

    def _role(self, triple: Triple) -> Iterator[Template]:
        for role, role_words in lexicon.ROLES.items():
            tables = {
                "I": (triple.form(role),),
                "R": mixed(role_words, self._tables["B"], share=_ROLE_WORDS),
                "C": mixed(triple.companions, self._tables["B"], share=_COMPANIONS),
            }
            yield from self._templates(_ROLE, tables)

    def _relation(self, triple: Triple) -> Iterator[Template]:
        tables = {
            "D": (triple.disease,),
            "A": (triple.drug,),
            "G": (triple.gene_form,),
            "C": triple.companions,
        }
        yield from self._templates((*_TREATS, *_MUTATED), tables)


def capitalized(text: str) -> str:
    """Returns the text with a capital at its start, unless it starts with markup."""
    return text[0].upper() + text[1:]
