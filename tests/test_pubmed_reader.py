import pytest

from beam_pipelines.jats.article_reader import RejectedError
from beam_pipelines.jats.pubmed_reader import read_citation
from tests.pubmed import citation

TEXT = ("title", "abstract")


def read(text: str, sections=TEXT, **options):
    return read_citation(text.encode(), sections, **options)


def blocks(article, name="abstract"):
    return [block for s in article.sections if s.name == name for block in s.blocks]


def test_what_a_citation_says_of_itself():
    article = read(citation(12, pmc="PMC34", types=("Journal Article", "Review"), version=3))
    facts = {name: value for name, value in vars(article).items() if name != "sections"}
    assert facts == {
        "article_id": "pmid:12", "pmcid": "PMC34", "pmid": "12", "doi": "10.1/12",
        "title": "A title", "journal": "The Journal", "year": "2020", "licence": "",
        "article_type": "Journal Article; Review", "language": "en", "version": "3",
        "retracted": False, "source": "pubmed", "mesh": "",
        "journal_abbreviations": ("J",),
    }  # fmt: skip
    assert blocks(article, "title") == ["A title"]
    assert blocks(article) == ["Melanoma cells divide."]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("[Gout in Paris].", "Gout in Paris"),
        ("[Gout in Paris (author's transl)].", "Gout in Paris (author's transl)"),
        ("[Gout in Paris [author's transl)].", "Gout in Paris [author's transl)"),
        ("[1H]NMR of [13C]urea.", "[1H]NMR of [13C]urea"),
        ("Is it <i>BRCA1</i>?", "Is it BRCA1?"),
        ("[Not Available].", ""),
        ("", ""),
    ],
)
def test_a_title_loses_its_full_stop_and_the_brackets_of_a_translation(title, expected):
    assert read(citation(1, title=title)).title == expected


def test_both_abbreviations_of_a_journal_are_known():
    info = "<MedlineJournalInfo><MedlineTA>N Engl J Med</MedlineTA></MedlineJournalInfo>"
    article = read(citation(1, abbreviation="N. Engl. J. Med.", extra=info))
    assert article.journal_abbreviations == ("N. Engl. J. Med.", "N Engl J Med")


def test_labels_are_blocks_of_their_own_and_placeholders_are_none():
    article = read(
        citation(
            1,
            '<AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">One.</AbstractText>'
            '<AbstractText Label="UNLABELLED">Two.</AbstractText>'
            '<AbstractText Label="EMPTY"/>'
            "<AbstractText>Three.</AbstractText>",
        )
    )
    assert blocks(article) == ["BACKGROUND", "One.", "Two.", "Three."]


def test_markup_and_formulas_follow_the_rules_of_full_text():
    article = read(
        citation(
            1,
            "<AbstractText>At 10<sup>6</sup> CD8<sup>+</sup> cells, H<sub>2</sub>O and "
            '<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>x</mml:mi></mml:math>'
            " rose &#8211; <b>IL-2</b> &beta;.</AbstractText>",
        )
    )
    assert blocks(article) == ["At 10^6 CD8+ cells, H2O and rose \u2013 IL-2 \u03b2."]


@pytest.mark.parametrize(
    "line",
    [
        "Copyright \u00a9 2020 Elsevier Inc. All rights reserved.",
        "Copyright 1999 Academic Press.",
        "\u00a9 2019 The Authors.",
        "(c) 2004 Wiley-Liss, Inc.",
        "(PsycInfo Database Record (c) 2021 APA, all rights reserved).",
        "This article is protected by copyright. All rights reserved.",
        "(ABSTRACT TRUNCATED AT 250 WORDS)",
    ],
)
def test_copyright_lines_and_notes_go(line):
    assert blocks(read(citation(1, f"It heals (P < .05). {line}".replace("<", "&lt;")))) == [
        "It heals (P < .05)."
    ]


@pytest.mark.parametrize(
    "text",
    [
        "The copyright of an image is discussed.",
        "We asked whether copyright by publishers matters.",
        "Groups (a), (b) and (c) 20 rats each.",
    ],
)
def test_text_about_copyright_stays(text):
    assert blocks(read(citation(1, text))) == [text]


def test_other_abstracts_only_where_they_are_asked_for():
    other = (
        '<OtherAbstract Type="Publisher" Language="fre"><AbstractText>Le coeur.</AbstractText>'
        "</OtherAbstract>"
    )
    text = citation(1, extra=other)
    assert blocks(read(text)) == ["Melanoma cells divide."]
    assert blocks(read(text, other_abstracts=True)) == ["Melanoma cells divide.", "Le coeur."]


def test_keywords_are_a_section():
    keywords = "<KeywordList><Keyword>gout</Keyword><Keyword>uric acid</Keyword></KeywordList>"
    article = read(citation(1, extra=keywords), ("keywords",))
    assert blocks(article, "keywords") == ["gout", "uric acid"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"types": ("Journal Article", "Retracted Publication")}, True),
        ({"types": ("Retraction of Publication",)}, True),
        ({"types": ("Retraction Notice",)}, True),
        ({"title": "WITHDRAWN: A cure."}, True),
    ],
)
def test_retracted_articles_and_notices(change, expected):
    assert read(citation(1, **change)).retracted is expected


@pytest.mark.parametrize(
    ("relation", "expected"), [("RetractionIn", True), ("RetractionOf", True), ("Cites", False)]
)
def test_relations_tell_retractions(relation, expected):
    corrections = (
        f'<CommentsCorrectionsList><CommentsCorrections RefType="{relation}"/>'
        "</CommentsCorrectionsList>"
    )
    assert read(citation(1, extra=corrections)).retracted is expected


@pytest.mark.parametrize(
    ("date", "year"),
    [
        ("<Year>1998</Year><Month>Dec</Month>", "1998"),
        ("<MedlineDate>1998 Dec-1999 Jan</MedlineDate>", "1998"),
        ("<MedlineDate>Spring 2001</MedlineDate>", "2001"),
        ("", ""),
    ],
)
def test_years(date, year):
    assert read(citation(1, year=date)).year == year


@pytest.mark.parametrize(
    ("codes", "expected"), [("eng", "en"), ("ger", "de"), ("spa", "es"), ("fre", "fr")]
)
def test_languages_are_those_of_jats(codes, expected):
    assert read(citation(1, language=codes)).language == expected


def test_a_chapter_of_a_book():
    text = """<PubmedBookArticle><BookDocument><PMID Version="1">20301295</PMID>
<ArticleIdList><ArticleId IdType="bookaccession">NBK1</ArticleId></ArticleIdList>
<Book><BookTitle>GeneReviews</BookTitle><PubDate><Year>1993</Year></PubDate></Book>
<ArticleTitle>Gaucher Disease</ArticleTitle><Language>eng</Language>
<Abstract><AbstractText Label="CLINICAL">It is lysosomal.</AbstractText></Abstract>
<PublicationType UI="D016454">Review</PublicationType></BookDocument></PubmedBookArticle>"""
    article = read(text)
    assert (article.article_id, article.journal, article.year) == (
        "pmid:20301295", "GeneReviews", "1993",
    )  # fmt: skip
    assert article.article_type == "Review"
    assert [block for s in article.sections for block in s.blocks] == [
        "Gaucher Disease", "CLINICAL", "It is lysosomal.",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<PubmedArticle><MedlineCitation><PMID>1</PMID>", "broken_xml"),
        ("<PubmedArticle/>", "not_pubmed"),
        ("<PubmedArticle><MedlineCitation/></PubmedArticle>", "no_pmid"),
        ("<PubmedArticle><MedlineCitation><PMID>x</PMID></MedlineCitation></PubmedArticle>",
         "no_pmid"),
    ],
)  # fmt: skip
def test_what_is_no_citation_is_rejected(text, reason):
    with pytest.raises(RejectedError) as caught:
        read(text)
    assert caught.value.reason == reason


def test_a_list_inside_a_comment_or_character_data_cuts_nothing():
    article = read(citation(1, "See <![CDATA[<AuthorList x>]]> here."))
    assert blocks(article) == ["See <AuthorList x> here."]
