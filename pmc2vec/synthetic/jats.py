r"""Synthetic articles in JATS, as PubMed Central writes them, and broken ones.

An article is a function of the seed and its number alone, whatever else is in the sample. Its
sentences come from `prose`, and `matter` puts around and between them what is not running text.

    >>> article = synthetic_article(Prose(), seed=1, number=520750, plan=Plan(words=200))
    >>> article.member, article.xml[:37]
    ('PMC000xxxxxx/PMC520750.xml', b'<!DOCTYPE article PUBLIC "-//NLM//DTD')
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pmc2vec.synthetic import front_and_back_matter
from pmc2vec.synthetic.sentences import Prose, Subject, capitalized
from pmc2vec.synthetic.templates import Draws

ON_SUBJECT: Final = "on subject"
OFF_SUBJECT: Final = "off subject"
REFERENCE_ONLY: Final = "reference only"
"""Kind of an article off the subject that has a keyword in the title of a reference."""

BREAKAGES: Final = ("truncated", "mismatched tag", "error page", "empty")
"""Kinds of broken articles."""

SECTIONS: Final = ("title", "abstract", "body")
_MENTIONS: Final = tuple(
    some for size in (1, 2, 3) for some in itertools.combinations(SECTIONS, size)
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
class Plan:
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
    front: front_and_back_matter.Front

    @property
    def member(self) -> str:
        """Name in the archive: `PMC006xxxxxx/PMC6908519.xml`, in the folder of its million."""
        return f"PMC{self.number // 1_000_000:03d}xxxxxx/PMC{self.number}.xml"


def synthetic_article(prose: Prose, *, seed: int, number: int, plan: Plan) -> SyntheticArticle:
    """Returns the article of this number; the same bytes for the same arguments."""
    draws = Draws(f"{seed}/{number}")
    off = draws.chance(plan.off_subject) and plan.broken is None
    subject = draws.pick(tuple((prose.off_subjects if off else prose.topics).values()))
    mentions = () if off else SECTIONS if plan.broken else draws.pick(_MENTIONS)
    cited = off and draws.chance(plan.reference_only)
    front = front_and_back_matter.Front.drawn(draws, number)
    title, abstract, body = _text(prose, subject, draws, plan.words, mentions)
    xml = "".join(
        (
            front.before_title(draws),
            f"<title-group><article-title>{title}</article-title></title-group>",
            front.before_abstract(draws),
            f"<abstract>{abstract}</abstract>",
            front_and_back_matter.other_abstracts(draws),
            front_and_back_matter.keyword_group(),
            f"</article-meta></front><body>{body}</body>",
            front_and_back_matter.back(draws, subject, keyword=cited),
            front_and_back_matter.peer_review(draws) if draws.chance(0.05) else "",
            "</article>\n",
        )
    ).encode()
    whole = REFERENCE_ONLY if cited else OFF_SUBJECT if off else ON_SUBJECT
    return SyntheticArticle(
        number=number,
        xml=_broken(xml, plan.broken) if plan.broken else xml,
        kind=plan.broken or whole,
        mentions=mentions,
        front=front,
    )


def _broken(xml: bytes, kind: str) -> bytes:
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


def _text(
    prose: Prose, subject: Subject, draws: Draws, words: int, mentions: Sequence[str]
) -> tuple[str, str, str]:
    """Returns title, abstract and body in XML, with a keyword in each section of `mentions`."""
    length = round(words / _WORDS_PER_SENTENCE * (0.5 + draws.below(1001) / 1000))
    count = max(_FEWEST_SENTENCES, length)
    sentences = [prose.sentence(draws, subject) for _ in range(count)]
    cut = max(4, count // 8)
    parts = {"abstract": sentences[:cut], "body": sentences[cut:]}
    for name, part in parts.items():
        if name in mentions:
            part.insert(draws.below(len(part)), prose.keyword_sentence(draws))
    titles = subject.keyword_titles if "title" in mentions else subject.titles
    return (
        capitalized(draws.pick(titles).fill(draws)),
        _abstract(draws, parts["abstract"]),
        _body(draws, subject, parts["body"]),
    )


def _abstract(draws: Draws, sentences: Sequence[str]) -> str:
    """Returns one paragraph, or in half of the articles four titled parts."""
    if draws.chance(0.5):
        return _paragraph(sentences)
    return "".join(
        f"<sec><title>{name}</title>{_paragraph(part)}</sec>"
        for name, part in zip(_PARTS, _split(sentences, len(_PARTS)), strict=True)
    )


def _body(draws: Draws, subject: Subject, sentences: Sequence[str]) -> str:
    """Returns four sections, two of them with sections inside, and what floats between them."""
    intro, setting, analysis, first, second, discussion = map(_paragraphs, _split(sentences, 6))
    heads = [capitalized(draws.pick(subject.headings).fill(draws)) for _ in range(4)]
    equation = front_and_back_matter.equation() if draws.chance(0.5) else ""
    return (
        f'<sec sec-type="intro" id="S1"><title>Introduction</title>{intro}</sec>'
        f'<sec sec-type="methods" id="S2"><title>Methods</title>'
        f"<sec><title>{heads[0]}</title>{setting}{equation}</sec>"
        f"<sec><title>{heads[1]}</title>{analysis}</sec></sec>"
        f'<sec sec-type="results" id="S3"><title>Results</title>'
        f"<sec><title>{heads[2]}</title>{_listing(draws, subject)}{first}"
        f"{front_and_back_matter.figure(draws, subject)}</sec>"
        f"<sec><title><italic>{heads[3]}</italic></title>"
        f"{front_and_back_matter.table(draws, subject)}{second}"
        "</sec></sec>"
        f'<sec sec-type="discussion" id="S4"><title>Discussion</title>{discussion}'
        f"{front_and_back_matter.supplement(draws)}</sec>"
    )


def _listing(draws: Draws, subject: Subject) -> str:
    """Returns a paragraph around a list, whose items end without a full stop."""
    items = "".join(
        f"<list-item><p>{draws.pick(subject.items).fill(draws)}</p></list-item>"
        for _ in range(3 + draws.below(4))
    )
    listed = f'<list list-type="bullet">{items}</list>'
    return f"<p>The following were observed:{listed}These were analysed.</p>"


def _split(sentences: Sequence[str], parts: int) -> list[Sequence[str]]:
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
