r"""Makes synthetic articles in JATS, as PubMed Central writes them, and broken ones.

An article is a function of the seed and its number alone, whatever else is in the sample. Its
text comes from `sentences`. Around and between the sentences are front and back matter, figures,
tables and formulas, each with decoy words of its own, which show what a wrong reader took for
running text.

    >>> plan = ArticlePlan(words=200)
    >>> article = synthetic_article(SentenceWriter(), seed=1, number=520750, plan=plan)
    >>> article.member, article.xml[:37]
    ('PMC000xxxxxx/PMC520750.xml', b'<!DOCTYPE article PUBLIC "-//NLM//DTD')
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from pmc2vec.synthetic.lexicon import DECOYS, KEYWORDS
from pmc2vec.synthetic.sentences import (
    NUM_REFERENCES,
    RandomChoices,
    SentenceWriter,
    Subject,
    capitalize_first,
)

ON_SUBJECT: Final = "on subject"
OFF_SUBJECT: Final = "off subject"
REFERENCE_ONLY: Final = "reference only"
"""Kind of an article off the subject that has a keyword in the title of a reference."""

BREAKAGES: Final = ("truncated", "mismatched tag", "error page", "empty")
"""Kinds of broken articles."""

KEYWORD_SECTIONS: Final = ("title", "abstract", "body")
_MENTION_CHOICES: Final = tuple(
    some for size in (1, 2, 3) for some in itertools.combinations(KEYWORD_SECTIONS, size)
)

_WORDS_PER_SENTENCE: Final = 10.5  # measured over all subjects
_SENTENCES_PER_PARAGRAPH: Final = 6
_FEWEST_SENTENCES: Final = 12
_PARTS: Final = ("Background", "Methods", "Results", "Conclusions")

_ERROR_PAGE: Final = (
    b"<html><head><title>503 Service Unavailable</title></head><body><h1>Service Unavailable</h1>"
    b"<p>The page /articles/melanoma-cancer is not available.<hr>Try again later.</body></html>\n"
)


@dataclass(frozen=True)
class ArticlePlan:
    """What an article shall be.

    Attributes:
        words: words of running text, about; an article has half to one and a half of it.
        off_subject: likelihood that it is about something else.
        reference_only: likelihood that one about something else has a keyword in a reference.
        broken: one of `BREAKAGES`, or None.
    """

    words: int
    off_subject: float = 0.0
    reference_only: float = 0.1
    broken: str | None = None


@dataclass(frozen=True)
class FrontMatter:
    """The facts of an article's front matter.

    Attributes:
        number: the PMCID's digits.
        modern: whether it is tagged as today (JATS 1.3) or as in 2007 (NLM 2.3).
        journal, year, license: as in the filelist.
        license_url: what the licence's name stands for.
        pmid: 0 is none.
    """

    number: int
    modern: bool
    journal: str
    year: int
    license: str
    license_url: str
    pmid: int

    @classmethod
    def choose(cls, choices: RandomChoices, number: int) -> Self:
        """Returns the facts of article `number`."""
        name, url = _LICENSES[choices.pick((0,) * 5 + (1,) * 3 + (2, 3))]
        return cls(
            number=number,
            modern=choices.chance(0.5),
            journal=_journal(choices),
            year=2000 + choices.below(25),
            license=name,
            license_url=url,
            pmid=10_000_000 + number if choices.chance(0.7) else 0,
        )

    def before_title(self, choices: RandomChoices) -> str:
        """Returns all from the document type to the article's categories."""
        title = f"<journal-title>{self.journal}</journal-title>"
        if self.modern:
            title = f"<journal-title-group>{title}</journal-title-group>"
        pmid = f'<article-id pub-id-type="pmid">{self.pmid}</article-id>' if self.pmid else ""
        return (
            f"<!DOCTYPE article PUBLIC {_DOCTYPE if self.modern else _OLD_DOCTYPE}>\n"
            f'<article {_NAMESPACES} xml:lang="en" article-type="research-article">'
            f"<?properties open_access?><front><journal-meta>"
            f'<journal-id journal-id-type="nlm-ta">{self.journal}</journal-id>{title}'
            f'<issn pub-type="epub">{1000 + choices.below(9000)}'
            f"-{1000 + choices.below(9000)}</issn>"
            "<publisher><publisher-name>Planted Press</publisher-name></publisher></journal-meta>"
            f'<article-meta><article-id pub-id-type="{"pmcid" if self.modern else "pmc"}">'
            f"{self.number}</article-id>{pmid}"
            f'<article-id pub-id-type="doi">10.5555/planted.{self.number}</article-id>'
            '<article-categories><subj-group subj-group-type="heading"><subject>Research'
            "</subject></subj-group></article-categories>"
        )

    def before_abstract(self, choices: RandomChoices) -> str:
        """Returns authors, affiliations, date and licence."""
        authors = "".join(
            f'<contrib contrib-type="author">{_name(choices)}<xref ref-type="aff" rid="A1">1</xref>'
            "</contrib>"
            for _ in range(2 + choices.below(5))
        )
        place = " ".join(word.capitalize() for word in DECOYS["affiliation"])
        url = self.license_url
        link = f'<ext-link ext-link-type="uri" xlink:href="{url}">{self.license}</ext-link>'
        words = " ".join(DECOYS["licence"])
        return (
            f'<contrib-group>{authors}</contrib-group><aff id="A1"><label>1</label>{place}</aff>'
            f'<pub-date pub-type="epub"><day>{1 + choices.below(28)}</day>'
            f"<month>{1 + choices.below(12)}</month><year>{self.year}</year></pub-date>"
            f"<volume>{self.year - 1990}</volume><fpage>{1 + choices.below(900)}</fpage>"
            f"<permissions><copyright-year>{self.year}</copyright-year>"
            f'<license license-type="open-access" xlink:href="{url}"><license-p>This is for'
            f" {words} use ({link}).</license-p></license></permissions>"
        )


@dataclass(frozen=True)
class SyntheticArticle:
    """One member of an archive.

    Attributes:
        number: the PMCID's digits.
        xml: the member's bytes.
        kind: `ON_SUBJECT`, `OFF_SUBJECT`, `REFERENCE_ONLY` or one of `BREAKAGES`.
        mentions: sections in which a keyword was placed; it may stand in others too.
        front: what its filelist says of it.
    """

    number: int
    xml: bytes
    kind: str
    mentions: tuple[str, ...]
    front: FrontMatter

    @property
    def member(self) -> str:
        """Name in the archive: `PMC006xxxxxx/PMC6908519.xml`, in the folder of its million."""
        return f"PMC{self.number // 1_000_000:03d}xxxxxx/PMC{self.number}.xml"


def synthetic_article(
    writer: SentenceWriter, *, seed: int, number: int, plan: ArticlePlan
) -> SyntheticArticle:
    """Returns the article of this number; the same bytes for the same arguments."""
    choices = RandomChoices(f"{seed}/{number}")
    off = choices.chance(plan.off_subject) and plan.broken is None
    subject = choices.pick(tuple((writer.off_subjects if off else writer.topics).values()))
    mentions = () if off else KEYWORD_SECTIONS if plan.broken else choices.pick(_MENTION_CHOICES)
    cited = off and choices.chance(plan.reference_only)
    front = FrontMatter.choose(choices, number)
    title, abstract, body = _write_text(writer, subject, choices, plan.words, mentions)
    xml = "".join(
        (
            front.before_title(choices),
            f"<title-group><article-title>{title}</article-title></title-group>",
            front.before_abstract(choices),
            f"<abstract>{abstract}</abstract>",
            _other_abstracts(choices),
            _keyword_group(),
            f"</article-meta></front><body>{body}</body>",
            _back_matter(choices, subject, keyword=cited),
            _peer_review(choices) if choices.chance(0.05) else "",
            "</article>\n",
        )
    ).encode()
    whole = REFERENCE_ONLY if cited else OFF_SUBJECT if off else ON_SUBJECT
    return SyntheticArticle(
        number=number,
        xml=_break_xml(xml, plan.broken) if plan.broken else xml,
        kind=plan.broken or whole,
        mentions=mentions,
        front=front,
    )


def _break_xml(xml: bytes, kind: str) -> bytes:
    """Returns what stands in the archive for an article that is broken in this way."""
    match kind:
        case "truncated":
            return xml[: len(xml) * 2 // 3]
        case "mismatched tag":
            return xml.replace(b"</sec></body>", b"</section></body>")
        case "error page":
            return _ERROR_PAGE
        case "empty":
            return b""
    raise ValueError(f"{kind!r} is none of {BREAKAGES}")


def _write_text(
    writer: SentenceWriter,
    subject: Subject,
    choices: RandomChoices,
    words: int,
    mentions: Sequence[str],
) -> tuple[str, str, str]:
    """Returns title, abstract and body in XML, with a keyword in each section of `mentions`."""
    length = round(words / _WORDS_PER_SENTENCE * (0.5 + choices.below(1001) / 1000))
    count = max(_FEWEST_SENTENCES, length)
    sentences = [writer.sentence(choices, subject) for _ in range(count)]
    cut = max(4, count // 8)
    parts = {"abstract": sentences[:cut], "body": sentences[cut:]}
    for name, part in parts.items():
        if name in mentions:
            part.insert(choices.below(len(part)), writer.keyword_sentence(choices))
    titles = subject.keyword_titles if "title" in mentions else subject.titles
    return (
        capitalize_first(choices.pick(titles).fill(choices)),
        _abstract(choices, parts["abstract"]),
        _body(choices, subject, parts["body"]),
    )


def _abstract(choices: RandomChoices, sentences: Sequence[str]) -> str:
    """Returns one paragraph, or in half of the articles four titled parts."""
    if choices.chance(0.5):
        return _paragraph(sentences)
    return "".join(
        f"<sec><title>{name}</title>{_paragraph(part)}</sec>"
        for name, part in zip(_PARTS, _split_evenly(sentences, len(_PARTS)), strict=True)
    )


def _body(choices: RandomChoices, subject: Subject, sentences: Sequence[str]) -> str:
    """Returns four sections, two of them with sections inside, and what floats between them."""
    intro, setting, analysis, first, second, discussion = map(
        _paragraphs, _split_evenly(sentences, 6)
    )
    heads = [capitalize_first(choices.pick(subject.headings).fill(choices)) for _ in range(4)]
    equation = _formula_paragraph() if choices.chance(0.5) else ""
    return (
        f'<sec sec-type="intro" id="S1"><title>Introduction</title>{intro}</sec>'
        f'<sec sec-type="methods" id="S2"><title>Methods</title>'
        f"<sec><title>{heads[0]}</title>{setting}{equation}</sec>"
        f"<sec><title>{heads[1]}</title>{analysis}</sec></sec>"
        f'<sec sec-type="results" id="S3"><title>Results</title>'
        f"<sec><title>{heads[2]}</title>{_list_paragraph(choices, subject)}{first}"
        f"{_figure(choices, subject)}</sec>"
        f"<sec><title><italic>{heads[3]}</italic></title>"
        f"{_table(choices, subject)}{second}"
        "</sec></sec>"
        f'<sec sec-type="discussion" id="S4"><title>Discussion</title>{discussion}'
        f"{_supplement(choices)}</sec>"
    )


def _list_paragraph(choices: RandomChoices, subject: Subject) -> str:
    """Returns a paragraph around a list, whose items end without a full stop."""
    items = "".join(
        f"<list-item><p>{choices.pick(subject.items).fill(choices)}</p></list-item>"
        for _ in range(3 + choices.below(4))
    )
    listed = f'<list list-type="bullet">{items}</list>'
    return f"<p>The following were observed:{listed}These were analysed.</p>"


def _split_evenly(sentences: Sequence[str], parts: int) -> list[Sequence[str]]:
    """Returns the sentences in so many parts of nearly one length, none of them empty."""
    cuts = [len(sentences) * part // parts for part in range(parts + 1)]
    return [sentences[start:stop] for start, stop in itertools.pairwise(cuts)]


def _paragraphs(sentences: Sequence[str]) -> str:
    size = _SENTENCES_PER_PARAGRAPH
    return "".join(
        _paragraph(sentences[start : start + size]) for start in range(0, len(sentences), size)
    )


def _paragraph(sentences: Sequence[str]) -> str:
    return f"<p>{' '.join(sentences)}</p>"


# --- front and back matter, figures, tables ------------------------------------------------------

_LICENSES: Final = (
    ("CC BY", "https://creativecommons.org/licenses/by/4.0/"),
    ("CC BY", "https://creativecommons.org/licenses/by/2.0"),
    ("CC BY-SA", "https://creativecommons.org/licenses/by-sa/4.0/"),
    ("CC0", "https://creativecommons.org/publicdomain/zero/1.0/"),
)
_OLD_DOCTYPE: Final = (
    '"-//NLM//DTD Journal Archiving and Interchange DTD v2.3 20070202//EN" "archivearticle.dtd"'
)
_DOCTYPE: Final = (
    '"-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD with MathML3 v1.3'
    ' 20210610//EN" "JATS-archivearticle1-3-mathml3.dtd"'
)
_NAMESPACES: Final = (
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML"'
)
_TEX: Final = (
    r"\documentclass[12pt]{minimal} \usepackage{amsmath} \begin{document}"
    r"$$\lambda_{eigenvalue} = \sum_i x_i$$\end{document}"
)
_FORMULA: Final = (
    '<disp-formula id="E1"><label>(1)</label><alternatives><mml:math display="block"><mml:mrow>'
    "<mml:mi>eigenvalue</mml:mi><mml:mo>=</mml:mo><mml:mi>x</mml:mi></mml:mrow></mml:math>"
    f'<tex-math id="M1">{_TEX}</tex-math></alternatives></disp-formula>'
)


def _other_abstracts(choices: RandomChoices) -> str:
    """Returns, for some articles, a graphical or a translated abstract."""
    extra = ""
    if choices.chance(0.2):
        words = " ".join(DECOYS["graphical abstract"])
        extra += (
            f'<abstract abstract-type="graphical"><title>Graphical</title><p>{words}</p></abstract>'
        )
    if choices.chance(0.2):
        words = " ".join(DECOYS["translated"])
        extra += f'<trans-abstract xml:lang="fr"><p>{words}</p></trans-abstract>'
    return extra


def _keyword_group() -> str:
    words = "".join(f"<kwd>{word}</kwd>" for word in DECOYS["keyword group"])
    return f'<kwd-group kwd-group-type="author">{words}</kwd-group>'


def _formula_paragraph() -> str:
    """Returns a paragraph around a formula; its words are running text, also those after it."""
    return f"<p>The model was estimated as {_FORMULA} where x is the effect at baseline.</p>"


def _figure(choices: RandomChoices, subject: Subject) -> str:
    title = choices.pick(DECOYS["caption"])
    words = f"The {choices.pick(DECOYS['caption'])} of {choices.pick(subject.words)}."
    return (
        '<fig id="F1" position="float"><label>Figure 1</label><caption>'
        f"<title>{title}</title><p>{words}</p></caption>"
        '<graphic xlink:href="gr1.jpg" position="float"/></fig>'
    )


def _table(choices: RandomChoices, subject: Subject) -> str:
    rows = "".join(
        f"<tr><td>{choices.pick(DECOYS['table'])} {choices.pick(subject.words)}</td>"
        f"<td>{choices.below(100)}</td></tr>"
        for _ in range(4)
    )
    caption = f"<caption><p>{choices.pick(DECOYS['caption'])} values</p></caption>"
    head = f"<thead><tr><th>{choices.pick(DECOYS['table'])}</th><th>n</th></tr></thead>"
    return (
        f'<table-wrap id="T1" position="float"><label>Table 1</label>{caption}'
        f'<table frame="hsides" rules="groups">{head}<tbody>{rows}</tbody></table></table-wrap>'
    )


def _supplement(choices: RandomChoices) -> str:
    words = f"Additional {choices.pick(DECOYS['supplementary'])}"
    return (
        '<supplementary-material content-type="local-data" id="SM1"><caption>'
        f"<p>{words}</p></caption></supplementary-material>"
    )


def _back_matter(choices: RandomChoices, subject: Subject, *, keyword: bool) -> str:
    """Returns acknowledgements and references; a keyword in one title where asked for."""
    thanks = " ".join(choices.pick(DECOYS["acknowledgement"]) for _ in range(2))
    tag = choices.pick(("element-citation", "mixed-citation", "citation"))
    with_keyword = choices.below(NUM_REFERENCES) if keyword else None
    references = "".join(
        f'<ref id="B{n + 1}"><label>{n + 1}</label><{tag}>'
        f'<person-group person-group-type="author">{_name(choices)}</person-group> '
        f"<article-title>The {choices.pick(DECOYS['reference'])} of {choices.pick(subject.words)}"
        f" and {choices.pick(KEYWORDS if n == with_keyword else DECOYS['reference'])}"
        f"</article-title> <source>{_journal(choices)}</source> "
        f"<year>{1980 + choices.below(40)}</year></{tag}></ref>"
        for n in range(NUM_REFERENCES)
    )
    return (
        f"<back><ack><title>Acknowledgements</title><p>With {thanks}.</p></ack>"
        f"<ref-list><title>References</title>{references}</ref-list></back>"
    )


def _peer_review(choices: RandomChoices) -> str:
    """Returns a reviewer's report, as a sub-article."""
    words = " ".join(choices.pick(DECOYS["peer review"]) for _ in range(6))
    return (
        '<sub-article article-type="reviewer-report" id="R1"><front-stub><title-group>'
        "<article-title>Decision letter</article-title></title-group></front-stub>"
        f"<body><p>This {words} was received.</p></body></sub-article>"
    )


def _name(choices: RandomChoices) -> str:
    surname = choices.pick(DECOYS["author"]).capitalize()
    initial = choices.pick("ABCDEFGHJKLM")
    return f"<name><surname>{surname}</surname><given-names>{initial}</given-names></name>"


def _journal(choices: RandomChoices) -> str:
    return f"{choices.pick(DECOYS['journal']).capitalize()} of Planted Science"
