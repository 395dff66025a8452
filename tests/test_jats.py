"""Hand-written articles, each named after its quirk, against what their text must be."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from beam_pipelines.jats.article_reader import (
    SECTION_NAMES,
    Article,
    RejectedError,
    Section,
    read_articles,
)
from beam_pipelines.jats.licences import is_vague
from beam_pipelines.jats.markup import REFERENCE_TYPES, RULES, Rule, text_blocks

ARTICLES = Path(__file__).parent / "articles"

BODIES = {
    "author_year_references_go_from_brackets": ["seen, by Li et al., in."],
    "back_matter_without_references": ["main"],
    "blocks_end_sentences": [
        "Methods", "We did", "Steps", "mix", "stir", "INT", "Why?", "Roses", "violets",
        "IL", "interleukin",
    ],
    "brackets_keep_what_is_no_reference": [
        "rose (p = 0.01; Figure 2) fell (Fig. 3) and (BDI-II) ran (95% CI)."
    ],
    "character_data_is_text": ["cancer < 5 &amp; cell"],
    "code_is_no_text": ["call or", "so"],
    "comments_and_instructions_are_no_text": ["cancer and melanoma"],
    "default_namespace": ["Here", "H2O"],
    "entities_of_an_unread_dtd": ["TNF-α 5 mg café &alpha;"],
    "entities_of_the_document": ["aspirin at aspirin-aspirin"],
    "entities_without_a_dtd": ["TGF-β ≥ 2"],
    "external_dtd_is_not_read": ["text"],
    "external_entity_is_not_read": ["before after"],
    "formulas_are_no_text": ["where is 2 5 and holds"],
    "ids_and_alternative_texts_are_no_text": ["kept words"],
    "inline_markup_keeps_adjacency": [
        "The BRCA1 gene of transgenic mice (line A; IL-2) is at example.org."
    ],
    "line_break_is_a_space": ["first second"],
    "names_in_a_treatment_of_species": ["Aus bus", "Diagnosis", "Red."],
    "nested_paragraph_counts_once": ["Before", "quoted", "deeply", "after."],
    "numbered_references_go_with_their_brackets": ["cancer. growth slows then stops."],
    "other_abstracts_and_translations_are_left_out": ["main"],
    "parts_of_a_name_stand_apart": ["by Curie Marie in Paris France"],
    "peer_review_is_left_out": ["main"],
    "prefixed_namespace": ["one", "two"],
    "raised_references_go": ["growth was seen. Cells died."],
    "reference_as_a_word_leaves_no_gap_in_punctuation": ["as show, by. The end"],
    "reference_to_a_figure_keeps_its_words": [
        "in Figure 1, Table 2, section 3 and Eq. (4)"
    ],
    "reference_to_a_note_goes": ["Corresponding author of the paper ."],
    "reference_without_a_type_goes_by_its_target": ["known from equation 2 and note."],
    "ruby_keeps_the_base": ["kanji stays"],
    "several_articles": ["first"],
    "sub_and_sup_keep_adjacency": ["H2O, CD8+ cells, Ca2+ at 10^-3 mol m2."],
    "tables_and_figures_are_no_text": ["before between after"],
    "text_box_is_running_text": ["main", "Key points", "boxed", "Floating", "box"],
    "unknown_element_is_inline": ["microscopes"],
    "words_around_a_reference_stay_apart": ["cells were grown. Then washed, dried"],
}  # fmt: skip


def read(quirk: str) -> list[Article]:
    data = (ARTICLES / f"{quirk}.xml").read_bytes()
    return read_articles(data, f"{quirk}.xml", SECTION_NAMES)


def sections(quirk: str) -> dict[str, list[str]]:
    return {section.name: list(section.blocks) for section in read(quirk)[0].sections}


def article(
    body: str = "<p>text</p>", *, meta: str = "", attributes: str = "", back: str = ""
) -> bytes:
    front = f"<front><article-meta>{meta}</article-meta></front>"
    return f"<article {attributes}>{front}<body>{body}</body>{back}</article>".encode()


def only(data: bytes) -> Article:
    (found,) = read_articles(data, "folder/a.xml", SECTION_NAMES)
    return found


@pytest.mark.parametrize("quirk", sorted(path.stem for path in ARTICLES.glob("*.xml")))
def test_body_of(quirk):
    assert sections(quirk)["body"] == BODIES[quirk]


def test_captions_are_a_section_of_their_own():
    assert sections("tables_and_figures_are_no_text")["captions"] == [
        "Survival", "of mice", "Doses", "A film",
    ]  # fmt: skip
    assert sections("text_box_is_running_text")["captions"] == ["in the box", "floating figure"]
    assert "captions" not in sections("peer_review_is_left_out")


def test_front_matter_is_taken_in_the_articles_language():
    found = sections("other_abstracts_and_translations_are_left_out")
    assert found["title"] == ["Main title", "and more"]
    assert found["abstract"] == ["Aim", "real"]
    assert found["keywords"] == ["skin", "UV"]


def test_back_matter_is_acknowledgements_notes_and_glossary():
    assert sections("back_matter_without_references")["back"] == [
        "Thanks", "To all.", "UV", "ultraviolet",
    ]  # fmt: skip


def test_sections_are_only_those_asked_for():
    data = (ARTICLES / "tables_and_figures_are_no_text.xml").read_bytes()
    (found,) = read_articles(data, "a.xml", ["captions"])
    assert [section.name for section in found.sections] == ["captions"]


def test_a_file_with_many_articles_gives_all():
    first, second = read("several_articles")
    assert (first.article_id, second.article_id) == ("PMC11", "several_articles.xml#1")
    assert second.sections == (Section("body", ("second",)),)


# --- rules -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_rule_of(name):
    said = {
        Rule.INLINE: ["axb"],
        Rule.APART: ["a x b"],
        Rule.BLOCK: ["a", "x", "b"],
        Rule.OUT: ["a b"],
        Rule.RAISED: ["axb"],
        Rule.REFERENCE: ["axb"],
        Rule.FORMULA: ["axb"],
        Rule.TAXON: ["axb"],
    }
    assert text_blocks(etree.fromstring(f"<p>a<{name}>x</{name}>b</p>")) == said[RULES[name]]
    namespaced = f"<p xmlns:n='urn:n'>a<n:{name}>x</n:{name}>b</p>"
    assert text_blocks(etree.fromstring(namespaced)) == said[RULES[name]]


@pytest.mark.parametrize("kind", sorted(REFERENCE_TYPES))
def test_reference_goes_by_type(kind):
    assert text_blocks(etree.fromstring(f"<p>a [<xref ref-type='{kind}'>1</xref>].</p>")) == ["a."]


@pytest.mark.parametrize(
    ("xref", "goes"),
    [
        ("rid='b1'", True), ("rid='b1 n1'", True), ("rid='b1 f1'", False), ("", False),
        ("ref-type='other' rid='b1'", True), ("ref-type='other' rid='f1'", False),
        ("ref-type='BIBR' rid='b1'", True), ("ref-type='fig' rid='b1'", False),
    ],
)  # fmt: skip
def test_reference_goes_by_what_it_points_to(xref, goes):
    found = text_blocks(etree.fromstring(f"<p>as here [<xref {xref}>1</xref>].</p>"), {"b1", "n1"})
    assert found == (["as here."] if goes else ["as here [1]."])


@pytest.mark.parametrize(
    ("inline", "text"),
    [
        ("1 × 10<sup>6</sup> or 10<sup>−3</sup>", "1 × 10^6 or 10^−3"),
        ("37<sup>o</sup>C or 10<sup>0</sup>C", "37°C or 10°C"),
        ("2<sup>o</sup> or CO<sup>o</sup>C", "2o or COoC"),
        ("210<sup>6</sup> m<sup>2</sup>", "2106 m2"),
        ("HER2<sup>-</sup> and Cl<sup>–</sup>", "HER2− and Cl−"),
        ("growth<sup>a,<xref ref-type='bibr'>1</xref></sup> was", "growth was"),
        ("growth<sup>th<xref ref-type='bibr'>1</xref></sup> was", "growthth was"),
        (("<tp:x><tp:taxon-name-part>Sindora</tp:taxon-name-part>"
         "<tp:taxon-name-part>stipitata</tp:taxon-name-part></tp:x>"), "Sindora stipitata"),
        (("<named-content content-type='genus'>Aus</named-content>"
         "<named-content content-type='species'>bus</named-content>"), "Aus bus"),
        ("GA<named-content content-type='residue'>T</named-content>C", "GATC"),
        ("TGF-<inline-formula><m:math><m:mi>β</m:mi></m:math></inline-formula>1", "TGF-β1"),
        ("<inline-formula><m:math><m:mi>𝛼</m:mi></m:math></inline-formula>-synuclein",
         "α-synuclein"),
        ("<inline-formula><m:math><m:mi>p</m:mi></m:math></inline-formula>-value", "p-value"),
        ("of <inline-formula><m:math><m:mi>β</m:mi></m:math></inline-formula> cells", "of cells"),
        ("x<inline-formula><m:math><m:mi>y</m:mi></m:math></inline-formula>z", "x z"),
        ("-<inline-formula><m:math><m:mi>ab</m:mi></m:math></inline-formula>-", "- -"),
        ("the &lt;i&gt;Aedes&lt;/i&gt; H&lt;sub&gt;2&lt;/sub&gt;O p&lt;0.05",
         "the Aedes H2O p<0.05"),
        ("a&lt;br /&gt;b &lt;span class='x'&gt;c&lt;/span&gt;", "a b c"),
        ("b &lt;i and c&gt; d", "b <i and c> d"),
    ],
)  # fmt: skip
def test_inline(inline, text):
    assert text_blocks(etree.fromstring(f"<p xmlns:tp='urn:t' xmlns:m='urn:m'>{inline}</p>")) == [
        text
    ]


def test_graphical_abstracts_and_highlights_are_left_out_in_any_case():
    abstracts = "".join(
        f"<abstract {kind}><p>text {number}</p></abstract>"
        for number, kind in enumerate(
            ("", "abstract-type='Graphical'", "abstract-type='author-highlights'")
        )
    )
    (found,) = [s for s in only(article(meta=abstracts)).sections if s.name == "abstract"]
    assert found.blocks == ("text 0",)


ELEMENTS = [*sorted(RULES), "caption", "fig", "boxed-text", "nobody-knows", "xref"]


@st.composite
def trees(draw, depth=4):
    """An element with unique words as text and tails, and a type where it is an xref."""
    name = draw(st.sampled_from(ELEMENTS)) if depth < 4 else "sec"
    node = etree.Element(name)
    if name == "xref" and draw(st.booleans()):
        node.set("ref-type", draw(st.sampled_from(["bibr", "fig"])))
    if depth:
        node.extend(draw(st.lists(trees(depth=depth - 1), max_size=4)))
    return node


def owner(node) -> str | None:
    """Says which section text right inside `node` belongs to, by ancestors alone."""
    section = "body"
    for place in node.iterancestors("body"):
        path = [node, *node.iterancestors()]
        path = path[: path.index(place)]
        for position, element in enumerate(path):
            if element.tag == "xref" and element.get("ref-type") == "bibr":
                return None
            if element.tag == "caption":
                outside = (RULES.get(e.tag) for e in path[position + 1 :])
                above = [e.tag for e in path[position + 1 :]]
                first_out = next((i for i, rule in enumerate(outside) if rule is Rule.OUT), None)
                if first_out is not None and "caption" not in above[:first_out]:
                    return "captions"
            elif RULES.get(element.tag) is Rule.OUT:
                return None
    return section


@given(st.lists(trees(), min_size=1, max_size=3))
def test_every_text_is_owned_by_one_rule(found):
    body = etree.Element("body")
    body.extend(found)
    expected: dict[str | None, Counter[str]] = {"body": Counter(), "captions": Counter()}
    for number, node in enumerate(body.iter()):
        node.text = f" in{number}x "
        expected.setdefault(owner(node), Counter())[f"in{number}x"] += 1
        if node is not body:
            node.tail = f" after{number}x "
            expected.setdefault(owner(node.getparent()), Counter())[f"after{number}x"] += 1
    expected["body"]["in0x"] = 1
    expected.pop(None, None)
    data = article("@").replace(b"<body>@</body>", etree.tostring(body))
    got = {
        name: Counter(re.findall(r"[a-z]+\d+x", " ".join(text)))
        for name, text in ((s.name, s.blocks) for s in only(data).sections)
    }
    assert {"body": got.get("body", Counter()), "captions": got.get("captions", Counter())} == (
        expected
    )


# --- metadata ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "article_id"),
    [
        ({"pmid": "7", "pmc": "123", "doi": "10.1/x"}, "PMC123"),
        ({"pmcid": "PMC123", "pmcaid": "9"}, "PMC123"),
        ({"pmid": "7", "doi": "10.1/x"}, "doi:10.1/x"),
        ({"pmid": "7"}, "pmid:7"),
        ({}, "a.xml"),
    ],
)
def test_article_id(ids, article_id):
    meta = "".join(f'<article-id pub-id-type="{kind}">{i}</article-id>' for kind, i in ids.items())
    assert only(article(meta=meta)).article_id == article_id


def test_an_article_without_front_matter_is_read_if_its_body_is_jats():
    found = only(b"<article><body><sec><p>text</p></sec></body></article>")
    assert (found.article_id, found.sections[0].blocks) == ("a.xml", ("text",))


def test_version_is_that_of_the_identifier():
    meta = '<article-id pub-id-type="pmcid-ver">PMC123.2</article-id>'
    assert only(article(meta=meta)).version == "2"
    assert only(article()).version == ""


def test_year_is_the_earliest_that_is_a_year():
    dates = "".join(f"<pub-date><year>{y}</year></pub-date>" for y in ("2012", "n.d.", "2010", ""))
    assert only(article(meta=dates)).year == "2010"


@pytest.mark.parametrize(
    ("permissions", "licence"),
    [
        ('<license><a x:href="http://creativecommons.org/licenses/by-nc/3.0/"/></license>',
         "CC BY-NC 3.0"),
        ('<license x:href="https://creativecommons.org/licenses/by/4.0/"/>', "CC BY 4.0"),
        ('<license x:href="http://creativecommons.org/licenses/cc-by/3/"/>', "CC BY 3.0"),
        ("<license>under the CC BY-NC-ND 4.0 licence</license>", "CC BY-NC-ND 4.0"),
        ("<license>creativecommons.org/publicdomain/zero/1.0/</license>", "CC0"),
        ("<license>see creativecommons.org/publicdomain/mark/1.0</license>", "public domain"),
        ('<license license-type="open-access">free</license>', "open-access"),
        ('<license license-type="cc-by">free</license>', "CC BY"),
        ('<license x:href="http://creativecommons.org/licenses/CC BY-NC/4.0"/>', "CC BY-NC 4.0"),
        ('<license x:href="http://creativecommons.org/licenses/CC%20BY/4.0"/>', "CC BY 4.0"),
        ('<license x:href="http://creativecommons.org/licenses/by-ncnd/4.0"/>', "CC BY-NC-ND 4.0"),
        ('<license x:href="http://creativecommons.org/licenses/by-nd-nc/1.0"/>', "CC BY-NC-ND 1.0"),
        ('<license x:href="http://creativecommons.org/licenses/sampling/1.0"/>', "CC SAMPLING 1.0"),
        ("<license>by CC BY-NCSA, and</license>", "CC BY-NC-SA"),
        ("<license>by CC BY sale</license>", "CC BY"),
        ("<copyright-year>2000</copyright-year>", ""),
    ],
)  # fmt: skip
def test_licence(permissions, licence):
    meta = f"<permissions xmlns:x='http://www.w3.org/1999/xlink'>{permissions}</permissions>"
    assert only(article(meta=meta)).licence == licence


@pytest.mark.parametrize(
    ("licence", "vague"),
    [
        ("", True), ("open-access", True), ("OpenAccess", True), ("Creative Commons", True),
        ("CC BY", False), ("publisher-specific", False), ("public domain", False),
    ],
)  # fmt: skip
def test_a_licence_without_terms_is_vague(licence, vague):
    assert is_vague(licence) == vague


@pytest.mark.parametrize(
    ("attributes", "meta"),
    [
        ('article-type="retraction"', ""),
        ("", '<related-article related-article-type="retracted-article"/>'),
        ("", '<related-article related-article-type="retraction-forward"/>'),
        ("", "<title-group><article-title>RETRACTED: A cure</article-title></title-group>"),
    ],
)
def test_retracted(attributes, meta):
    assert only(article(attributes=attributes, meta=meta)).retracted


def titled(title: str) -> Article:
    group = f"<title-group><article-title>{title}</article-title></title-group>"
    return only(article(meta=group))


@pytest.mark.parametrize(
    "title",
    [
        "RETRACTED: A cure", "RETRACTED A cure", "[Retracted] A cure", "(Retracted) A cure",
        "Retracted Article: A cure", "RETRACTED ARTICLE: A cure", "[RETRACTED ARTICLE] A cure",
        "Retracted \u2013 A cure", "WITHDRAWN: A cure", "Withdrawn: A cure", "Retraction: A cure",
        "Retraction Note: A cure", "Retraction Note to: A cure", "Retraction notice to: A cure",
        "Retraction notice to \u201cA cure\u201d", "Retraction statement: A cure",
        "Partial retraction: A cure", "Withdrawal notice: A cure",
    ],
)  # fmt: skip
def test_retracted_by_its_title(title):
    assert titled(title).retracted


@pytest.mark.parametrize(
    "title",
    [
        "Retraction of the muscle", "RETRACTED papers: a bibliometric analysis",
        "RETRACTED PAPERS: A BIBLIOMETRIC ANALYSIS", "Retracted articles and their citations",
        "Withdrawal: symptoms and treatment", "Withdrawn patients in trials",
        "Retraction notices: an analysis", "How papers are retracted: a review",
    ],
)  # fmt: skip
def test_an_article_about_retraction_is_not_retracted(title):
    assert not titled(title).retracted


def test_a_correction_is_not_retracted():
    related = '<related-article related-article-type="corrected-article"/>'
    assert not only(article(meta=related, attributes='article-type="correction"')).retracted


# --- rejected ----------------------------------------------------------------------------------

NESTED = b"<sec>" * 3000 + b"</sec>" * 3000
BOMB = (
    b'<!DOCTYPE a [<!ENTITY a "'
    + b"lol" * 99
    + b'">'
    + b"".join(b'<!ENTITY %c "%s">' % (n + 1, b"&%c;" % n * 99) for n in range(97, 101))
    + b"]><article><front><article-meta/></front><body><p>&e;</p></body></article>"
)


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "empty", "0 bytes"),
        (b" \n\0", "empty", "3 bytes"),
        (b"version https://git-lfs.github.com/spec/v1", "not_xml", "Start tag"),
        (b"<!DOCTYPE HTML><html><body>404</body></html>", "not_xml", "HTML"),
        (b"\xef\xbb\xbf <!-- x --><HTML><body>404</body></html>", "not_xml", "HTML"),
        (article()[:-9], "broken_xml", "line 1"),
        (article("<p>\xff</p>").replace("\xff".encode(), b"\xff"), "broken_xml", "0xff"),
        (article("<p>a\x0cb</p>"), "broken_xml", "Char value 12, line 1"),
        (article("<p>&unheard;</p>"), "broken_xml", "unheard"),
        (article('<p x:y="z"/>'), "broken_xml", "prefix x"),
        (article(NESTED.decode()), "hostile_xml", "depth"),
        (BOMB, "hostile_xml", "amplification"),
        (article(f"<p>{'x' * 10_100_000}</p>"), "hostile_xml", "too long"),
        (b"<PubmedArticleSet/>", "not_jats", "PubmedArticleSet"),
        (b'<article xmlns="http://docbook.org/ns/docbook"/>', "not_jats", "docbook"),
        (b"<article><bdy><p>a publisher's own</p></bdy></article>", "not_jats", "front matter"),
    ],
    ids=lambda value: value[:30].decode("ascii", "replace") if isinstance(value, bytes) else None,
)
def test_rejected(data, reason, detail):
    with pytest.raises(RejectedError) as error:
        read_articles(data, "a.xml")
    assert error.value.reason == reason
    assert detail in error.value.detail


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "iso-8859-1", "utf-8"])
def test_encodings(encoding):
    text = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig").removesuffix("-le")}"?>'
    data = (text + article("<p>naïve &eacute;</p>").decode()).encode(encoding)
    if encoding == "utf-16-le":
        data = b"\xff\xfe" + data
    assert only(data).sections == (Section("body", ("naïve é",)),)


REFERENCES = (
    '<back><ref-list><title>References</title><ref id="b1"><x>On fever</x></ref></ref-list>'
)


def test_a_list_of_references_is_no_text_and_its_ids_are_known():
    data = article(
        "<p>as shown<xref rid='b1'>1</xref> here <xref rid='x1'>ever</xref></p>",
        back=REFERENCES + "<ack><p>Thanks</p></ack></back>",
    )
    assert [section.blocks for section in only(data).sections] == [
        ("as shown here ever",), ("Thanks",),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "back",
    [
        "<back><!-- <ref-list> --><p>text</p><!-- </ref-list> --></back>",
        "<back><p><![CDATA[<ref-list>]]>text<![CDATA[</ref-list>]]></p></back>",
        "<back><?a <ref-list>?><p>text</p><?a </ref-list>?></back>",
        "<back><ref-list/><p>text</p></back>",
        "<back><ref-list></ref-list><p>text</p><ref-list></ref-list></back>",
        "<back><ref-list><ref-list><ref/></ref-list><ref/></ref-list><p>text</p></back>",
        "<back><ref-list-x/><p>text</p><z a='</ref-list>'/></back>".replace("</ref", "&lt;/ref"),
        f"{REFERENCES}<p>text</p></back>",
    ],
)
def test_what_only_looks_like_a_list_of_references_takes_no_text_away(back):
    text = " ".join(" ".join(s.blocks) for s in only(article("", back=back)).sections)
    assert text.replace("<ref-list>", "").replace("</ref-list>", "") == "text"


def test_what_is_wrong_in_a_list_of_references_is_wrong_in_the_document():
    broken = "<back><ref-list><ref>&nonsense;</ref></x></ref-list></back>"
    with pytest.raises(RejectedError, match="broken_xml"):
        only(article(back=broken))


def test_no_file_and_no_address_is_opened(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text('<!ENTITY word "opened">')
    for place in (secret, secret.as_uri(), "http://127.0.0.1:9/a.dtd"):
        dtd = f'<!DOCTYPE article SYSTEM "{place}">'.encode()
        assert only(dtd + article()).sections[0].blocks == ("text",)
        with pytest.raises(RejectedError):
            read_articles(dtd + article("<p>&word;</p>"), "a.xml")
        entity = f'<!DOCTYPE article [<!ENTITY word SYSTEM "{place}">]>'.encode()
        assert only(entity + article("<p>a&word;b</p>")).sections[0].blocks == ("a b",)


QUIRKS = sorted(ARTICLES.glob("*.xml"))
PIECES = [b"<", b">", b"&", b"]]>", b"<p>", b"</p>", b"<!--", b"\xff", b"\0", b"&#0;", b"<?", b'"']


@given(st.sampled_from(QUIRKS), st.data())
def test_only_rejections_come_out_of_damaged_articles(path, data):
    damaged = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged)))
        until = at + data.draw(st.integers(0, 40))
        piece = data.draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        damaged = damaged[:at] + piece + damaged[until:]
    try:
        found = read_articles(damaged, path.name, SECTION_NAMES)
    except RejectedError as error:
        assert error.reason in {"empty", "not_xml", "broken_xml", "hostile_xml", "not_jats"}  # noqa: PT017
    else:
        assert all(block.strip() for a in found for s in a.sections for block in s.blocks)


def test_abbreviations_of_a_journal_are_known_wherever_they_stand():
    meta = b"""<front><journal-meta><journal-id journal-id-type="nlm-ta">Br J Dermatol</journal-id>
<journal-id journal-id-type="publisher-id">BJD</journal-id><journal-title-group>
<journal-title>The British Journal of Dermatology</journal-title>
<abbrev-journal-title abbrev-type="publisher">Br. J. Derm.</abbrev-journal-title>
</journal-title-group></journal-meta><article-meta/></front>"""
    (found,) = read_articles(b"<article>" + meta + b"<body><p>x</p></body></article>", "a.xml")
    assert found.journal == "The British Journal of Dermatology"
    assert found.journal_abbreviations == ("Br J Dermatol", "BJD", "Br. J. Derm.")
