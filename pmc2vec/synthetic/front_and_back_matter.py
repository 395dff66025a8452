r"""What stands around the running text of an article: front and back matter, floats, formulas.

None of it may reach a vocabulary; each kind of place has decoy words of its own, so that a reader
who takes one for text is found out, and by which. Every function returns JATS as text.

    >>> peer_review(Draws("seed"))[:57]
    '<sub-article article-type="reviewer-report" id="R1"><fron'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from pmc2vec.synthetic.lexicon import DECOYS, KEYWORDS
from pmc2vec.synthetic.sentences import REFERENCES, Subject
from pmc2vec.synthetic.templates import Draws

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


@dataclass(frozen=True)
class Front:
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
    def drawn(cls, draws: Draws, number: int) -> Self:
        """Returns the facts of article `number`."""
        name, url = _LICENSES[draws.pick((0,) * 5 + (1,) * 3 + (2, 3))]
        return cls(
            number=number,
            modern=draws.chance(0.5),
            journal=_journal(draws),
            year=2000 + draws.below(25),
            license=name,
            license_url=url,
            pmid=10_000_000 + number if draws.chance(0.7) else 0,
        )

    def before_title(self, draws: Draws) -> str:
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
            f'<issn pub-type="epub">{1000 + draws.below(9000)}-{1000 + draws.below(9000)}</issn>'
            "<publisher><publisher-name>Planted Press</publisher-name></publisher></journal-meta>"
            f'<article-meta><article-id pub-id-type="{"pmcid" if self.modern else "pmc"}">'
            f"{self.number}</article-id>{pmid}"
            f'<article-id pub-id-type="doi">10.5555/planted.{self.number}</article-id>'
            '<article-categories><subj-group subj-group-type="heading"><subject>Research'
            "</subject></subj-group></article-categories>"
        )

    def before_abstract(self, draws: Draws) -> str:
        """Returns authors, affiliations, date and licence."""
        authors = "".join(
            f'<contrib contrib-type="author">{_name(draws)}<xref ref-type="aff" rid="A1">1</xref>'
            "</contrib>"
            for _ in range(2 + draws.below(5))
        )
        place = " ".join(word.capitalize() for word in DECOYS["affiliation"])
        url = self.license_url
        link = f'<ext-link ext-link-type="uri" xlink:href="{url}">{self.license}</ext-link>'
        words = " ".join(DECOYS["licence"])
        return (
            f'<contrib-group>{authors}</contrib-group><aff id="A1"><label>1</label>{place}</aff>'
            f'<pub-date pub-type="epub"><day>{1 + draws.below(28)}</day>'
            f"<month>{1 + draws.below(12)}</month><year>{self.year}</year></pub-date>"
            f"<volume>{self.year - 1990}</volume><fpage>{1 + draws.below(900)}</fpage>"
            f"<permissions><copyright-year>{self.year}</copyright-year>"
            f'<license license-type="open-access" xlink:href="{url}"><license-p>This is for'
            f" {words} use ({link}).</license-p></license></permissions>"
        )


def other_abstracts(draws: Draws) -> str:
    """Returns, for some articles, a graphical or a translated abstract."""
    extra = ""
    if draws.chance(0.2):
        words = " ".join(DECOYS["graphical abstract"])
        extra += (
            f'<abstract abstract-type="graphical"><title>Graphical</title><p>{words}</p></abstract>'
        )
    if draws.chance(0.2):
        words = " ".join(DECOYS["translated"])
        extra += f'<trans-abstract xml:lang="fr"><p>{words}</p></trans-abstract>'
    return extra


def keyword_group() -> str:
    """Returns the authors' keywords."""
    words = "".join(f"<kwd>{word}</kwd>" for word in DECOYS["keyword group"])
    return f'<kwd-group kwd-group-type="author">{words}</kwd-group>'


def equation() -> str:
    """Returns a paragraph around a formula; its words are running text, also those after it."""
    return f"<p>The model was estimated as {_FORMULA} where x is the effect at baseline.</p>"


def figure(draws: Draws, subject: Subject) -> str:
    """Returns a figure, with a caption."""
    title = draws.pick(DECOYS["caption"])
    words = f"The {draws.pick(DECOYS['caption'])} of {draws.pick(subject.words)}."
    return (
        '<fig id="F1" position="float"><label>Figure 1</label><caption>'
        f"<title>{title}</title><p>{words}</p></caption>"
        '<graphic xlink:href="gr1.jpg" position="float"/></fig>'
    )


def table(draws: Draws, subject: Subject) -> str:
    """Returns a table, with a caption and a head."""
    rows = "".join(
        f"<tr><td>{draws.pick(DECOYS['table'])} {draws.pick(subject.words)}</td>"
        f"<td>{draws.below(100)}</td></tr>"
        for _ in range(4)
    )
    caption = f"<caption><p>{draws.pick(DECOYS['caption'])} values</p></caption>"
    head = f"<thead><tr><th>{draws.pick(DECOYS['table'])}</th><th>n</th></tr></thead>"
    return (
        f'<table-wrap id="T1" position="float"><label>Table 1</label>{caption}'
        f'<table frame="hsides" rules="groups">{head}<tbody>{rows}</tbody></table></table-wrap>'
    )


def supplement(draws: Draws) -> str:
    """Returns supplementary material."""
    words = f"Additional {draws.pick(DECOYS['supplementary'])}"
    return (
        '<supplementary-material content-type="local-data" id="SM1"><caption>'
        f"<p>{words}</p></caption></supplementary-material>"
    )


def back(draws: Draws, subject: Subject, *, keyword: bool) -> str:
    """Returns acknowledgements and references; a keyword in one title where asked for."""
    thanks = " ".join(draws.pick(DECOYS["acknowledgement"]) for _ in range(2))
    tag = draws.pick(("element-citation", "mixed-citation", "citation"))
    with_keyword = draws.below(REFERENCES) if keyword else None
    references = "".join(
        f'<ref id="B{n + 1}"><label>{n + 1}</label><{tag}>'
        f'<person-group person-group-type="author">{_name(draws)}</person-group> '
        f"<article-title>The {draws.pick(DECOYS['reference'])} of {draws.pick(subject.words)} and"
        f" {draws.pick(KEYWORDS if n == with_keyword else DECOYS['reference'])}</article-title> "
        f"<source>{_journal(draws)}</source> <year>{1980 + draws.below(40)}</year></{tag}></ref>"
        for n in range(REFERENCES)
    )
    return (
        f"<back><ack><title>Acknowledgements</title><p>With {thanks}.</p></ack>"
        f"<ref-list><title>References</title>{references}</ref-list></back>"
    )


def peer_review(draws: Draws) -> str:
    """Returns a reviewer's report, as a sub-article."""
    words = " ".join(draws.pick(DECOYS["peer review"]) for _ in range(6))
    return (
        '<sub-article article-type="reviewer-report" id="R1"><front-stub><title-group>'
        "<article-title>Decision letter</article-title></title-group></front-stub>"
        f"<body><p>This {words} was received.</p></body></sub-article>"
    )


def _name(draws: Draws) -> str:
    surname = draws.pick(DECOYS["author"]).capitalize()
    given = draws.pick("ABCDEFGHJKLM")
    return f"<name><surname>{surname}</surname><given-names>{given}</given-names></name>"


def _journal(draws: Draws) -> str:
    return f"{draws.pick(DECOYS['journal']).capitalize()} of Planted Science"
