"""Articles are kept and dropped for the right reason; the check of raw text never changes it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.config import BuildConfig
from beam_pipelines.inputs.documents import Document, ReadOptions
from beam_pipelines.inputs.sources import read_documents
from beam_pipelines.jats.article_reader import (
    SECTION_NAMES,
    Article,
    RejectedError,
    Section,
    find_articles,
    raw_section_text,
    read_article,
    read_articles,
)
from beam_pipelines.text.filters import ArticleFilter, may_mention
from pmc2vec.errors import UserError

ARTICLE = Article(
    article_id="PMC1", pmcid="PMC1", pmid="", doi="", title="On skin", journal="J. Skin",
    year="2015", licence="CC BY 4.0", article_type="research-article", language="en",
    sections=(
        Section("title", ("On skin",)),
        Section("abstract", ("Melanoma is AIDS-related.",)),
        Section("body", ("An adenocarcinoma of the breast.", "Breast cancer in non‐small cells.")),
    ),
    journal_abbreviations=("Br J Dermatol",),
)  # fmt: skip


def test_no_condition_keeps_every_article_with_text():
    assert ArticleFilter().drop_reason(ARTICLE) is None
    assert ArticleFilter().drop_reason(replace(ARTICLE, sections=())) == "no_text"


@pytest.mark.parametrize(
    ("keep", "mentioned"),
    [
        (ArticleFilter(["melanoma"]), True),
        (ArticleFilter(["MELANOMA"]), True),
        (ArticleFilter(["maize", "melanoma"]), True),
        (ArticleFilter(["maize", "melanoma"], require="all"), False),
        (ArticleFilter(["breast cancer", "melanoma"], require="all"), True),
        (ArticleFilter(["carcinoma"]), True),
        (ArticleFilter(["carcinoma"], whole_words=True), False),
        (ArticleFilter(["melanoma"], whole_words=True), True),
        (ArticleFilter(["aids"]), True),
        (ArticleFilter(["aids"], case_sensitive=True), False),
        (ArticleFilter(["AIDS"], case_sensitive=True), True),
        (ArticleFilter(["non-small"]), True),
        (ArticleFilter(["breast  cancer"]), True),
        (ArticleFilter(["breast. cancer"]), False),
        (ArticleFilter(["melanoma"], keyword_sections=["title", "body"]), False),
        (ArticleFilter(["skin"], keyword_sections=["title"]), True),
    ],
)
def test_keywords(keep, mentioned):
    assert keep.drop_reason(ARTICLE) == (None if mentioned else "no_keyword")


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (ArticleFilter(licences=["CC BY"]), None),
        (ArticleFilter(licences=["cc0", "cc by 4.0"]), None),
        (ArticleFilter(licences=["CC BY 3.0", "CC BY-NC"]), "licence"),
        (ArticleFilter(article_types=["research-article"]), None),
        (ArticleFilter(article_types=["editorial"]), "article_type"),
        (ArticleFilter(languages=["en", "de"]), None),
        (ArticleFilter(languages=["de"]), "language"),
        (ArticleFilter(min_year=2015, max_year=2015), None),
        (ArticleFilter(min_year=2016), "year"),
        (ArticleFilter(max_year=2014), "year"),
        (ArticleFilter(journals=["j. SKIN"]), None),
        (ArticleFilter(journals=["The  J Skin"]), None),
        (ArticleFilter(journals=["Br. J. Dermatol."]), None),
        (ArticleFilter(journals=["Br J"]), "journal"),
        (ArticleFilter(journals=["Skin"]), "journal"),
    ],
)
def test_metadata(keep, reason):
    assert keep.drop_reason(ARTICLE) == reason


def test_what_an_article_does_not_say():
    silent = replace(ARTICLE, year="", licence="", language="", journal="",
                     journal_abbreviations=())  # fmt: skip
    assert ArticleFilter(journals=["J. Skin"]).drop_reason(silent) == "journal"
    assert ArticleFilter(languages=["en"]).drop_reason(silent) is None
    assert ArticleFilter(min_year=1).drop_reason(silent) == "year"
    assert ArticleFilter(licences=["CC BY"]).drop_reason(silent) == "licence"


def test_retracted_articles_are_out_unless_asked_for():
    retracted = replace(ARTICLE, retracted=True)
    assert ArticleFilter().drop_reason(retracted) == "retracted"
    assert ArticleFilter(retracted=True).drop_reason(retracted) is None


@pytest.mark.parametrize("keyword", ["", " ", "\u00ad", "\u200b\u00a0"])
def test_a_keyword_that_is_nothing_is_a_usage_error(keyword, tmp_path):
    with pytest.raises(ValueError, match="--keywords: an empty keyword"):
        BuildConfig(input=("a",), output="b", keywords=("cancer", keyword))
    path = tmp_path / "keywords.txt"
    path.write_text(f"{keyword}\n\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"keywords\.txt: holds no keyword"):
        BuildConfig(input=("a",), output="b", keywords_file=path).all_keywords()


# --- raw text ----------------------------------------------------------------------------------


def article(text: str, *, head: str = "", back: str = "") -> bytes:
    front = "<front><article-meta/></front>"
    back = back and f"<back>{back}</back>"
    return f"{head}<article>{front}<body><p>{text}</p></body>{back}</article>".encode()


def mentions(data: bytes, keyword: str) -> bool:
    try:
        found = read_articles(data, "a.xml", SECTION_NAMES)
    except RejectedError:
        return False
    return any(ArticleFilter([keyword]).drop_reason(each) is None for each in found)


def may_match(data: bytes, keywords: list[str], require="any") -> bool:
    found = find_articles(data, "a.xml")
    return any(may_mention(raw_section_text(e, SECTION_NAMES), keywords, require) for e in found)


@pytest.mark.parametrize(
    "text",
    [
        "cancer", "CanCer", "adenocancerous", "can<italic>cer</italic>", "c<b>a<i>n</i></b>cer",
        "can<!-- > -->cer", "can<?x >?>cer", "can<![CDATA[cer]]>", "<![CDATA[can]]>cer",
        "&#99;ancer", "can&#x63;er", "can&#xAD;cer", "can\u00adcer", "can\u200bcer",
        "can<i a='>'>cer</i>", "<unknown>can</unknown>cer", "can<sup>cer</sup>",
        "\uff43ancer", "can<xref ref-type='fig'>cer</xref>", "can&shy;cer", "<P>can</P>cer",
        "can<milestone-start/>&#x2060;<b/>cer", "can<i>&#173;</i>cer", "\u24d2ancer",
    ],
)  # fmt: skip
def test_a_mention_is_never_missed(text):
    data = article(text)
    assert mentions(data, "cancer")
    assert may_match(data, ["cancer"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1"])
def test_a_mention_is_never_missed_in_other_encodings(encoding):
    name = encoding.removesuffix("-sig")
    head = f'<?xml version="1.0" encoding="{name}"?>'
    data = article("naïve cancer", head=head).decode().encode(encoding)
    assert mentions(data, "cancer")
    assert may_match(data, ["cancer"])


def test_a_mention_by_an_entity_is_never_missed():
    data = article("can&e;r", head='<!DOCTYPE article [<!ENTITY e "ce">]>')
    assert mentions(data, "cancer")
    assert may_match(data, ["cancer"])


@pytest.mark.parametrize(
    "data",
    [
        article("maize"),
        article("can cer, c ancer"),
        article("can<xref ref-type='bibr'>1</xref> cer 5 &#x2009;mg &#x3b1;, &lt; &#176;"),
        article("maize é α", head='<?xml version="1.0" encoding="UTF-8"?>'),
        article(
            "maize",
            back="<ref-list><ref><mixed-citation>On cancer</mixed-citation></ref></ref-list>",
        ),
    ],
)
def test_what_cannot_match_is_skipped(data):
    assert not mentions(data, "cancer")
    assert not may_match(data, ["cancer"])


def test_any_and_all_keywords():
    data = article("breast and skin")
    assert may_match(data, ["maize", "skin"])
    assert not may_match(data, ["maize", "skin"], "all")
    assert may_match(data, ["breast", "skin"], "all")
    assert not may_match(data, ["breast cancer"])
    assert may_match(data, ["α"])
    assert may_match(data, [])


def test_each_of_several_articles_is_checked():
    one, two = article("maize"), article("cancer")
    found = find_articles(b"<articles>" + one + two + b"</articles>", "a.xml")
    texts = [raw_section_text(each, ["body"]) for each in found]
    assert [may_mention(text, ["cancer"]) for text in texts] == [False, True]


@pytest.mark.parametrize("text", ["can\xadcer", "can®™cer", "\uff43ancer", "ⓒancer", "caŉcer"])
def test_characters_that_go_or_turn_into_letters_are_seen_through(text):
    assert may_mention(text.encode(), ["cancer", "caʼncer"])
    assert not may_mention(text.encode(), ["cancers"])


def test_text_with_escaped_tags_is_always_read():
    data = article("H&lt;sub&gt;2&lt;/sub&gt;O")
    assert mentions(data, "H2O")
    assert may_match(data, ["H2O"])


def test_a_list_of_references_in_a_comment_is_none():
    data = article("x <!-- <ref-list> --> cancer <!-- </ref-list> --> y")
    assert mentions(data, "cancer")
    assert may_match(data, ["cancer"])


PIECES = [
    "c", "a", "b", "ca", "ab", "abc", " ", "-", "<i>", "</i>", "<p>", "</p>", "<break/>", "<sup>",
    "</sup>", "<!-- a -->", "<?a b?>", "<![CDATA[", "]]>", "&#97;", "&#x62;", "&#xad;", "&amp;",
    "\u00ad", "é", "\uff42", "<xref ref-type='bibr'>", "<xref>", "</xref>", "[", "]", ",", "&shy;",
    "<ref-list>", "</ref-list>", "<x y='a>b'>", "</x>", "A", "B", "<fig>", "</fig>", "&aacute;",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), max_size=14), st.sampled_from(["abc", "ab", "a b", "ab-c"])
)
def test_the_check_never_changes_what_is_kept(pieces, keyword):
    data = article("".join(pieces))
    assert not mentions(data, keyword) or may_match(data, [keyword])


@given(st.lists(st.sampled_from(PIECES[:21]), max_size=6), st.integers(1, 2))
def test_the_check_never_changes_what_is_kept_of_a_broken_word(pieces, at):
    data = article("abc"[:at] + "".join(pieces) + "abc"[at:])
    if mentions(data, "abc"):
        assert may_match(data, ["abc"])


BULK = os.environ.get("PMC2VEC_BULK", "")


@pytest.mark.slow
@pytest.mark.skipif(not BULK, reason="PMC2VEC_BULK names no folder of archives")
@pytest.mark.parametrize("keywords", [["cancer", "melanoma", "carcinoma"], ["TNF-α"], ["fever"]])
def test_the_check_never_changes_what_is_kept_of_real_archives(keywords):
    skipped = 0
    for path in sorted(Path(BULK).glob("*.tar.gz")):
        with path.open("rb") as file:
            for document in read_documents(file, path.name, ReadOptions()):
                assert isinstance(document, Document)
                for found in find_articles(document.data, document.member):
                    if not may_mention(raw_section_text(found, SECTION_NAMES), keywords):
                        skipped += 1
                        kept = ArticleFilter(keywords, retracted=True)
                        assert kept.drop_reason(read_article(found, SECTION_NAMES)) == "no_keyword"
    assert skipped > 0
