"""The synthetic articles: their markup, their keywords, and what wrong readers lose or let in."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from beam_pipelines.jats import article_reader
from beam_pipelines.text.tokenizers import tokenize
from pmc2vec.commands.sample import SampleConfig, archive_articles
from pmc2vec.synthetic import jats, lexicon
from pmc2vec.synthetic.ground_truth import GroundTruth, planted_ground_truth
from pmc2vec.synthetic.sentences import SentenceWriter

KEYWORD = re.compile("cancer|melanoma|carcinoma", re.IGNORECASE)
XLINK = "{http://www.w3.org/1999/xlink}"


@pytest.fixture(scope="module")
def writer() -> SentenceWriter:
    return SentenceWriter()


@pytest.fixture(scope="module")
def articles(writer) -> list[jats.SyntheticArticle]:
    config = SampleConfig(Path("unused"), articles=240, archives=1, words_per_article=600, broken=0)
    return list(archive_articles(config, 0, writer))


@pytest.fixture(scope="module")
def trees(articles) -> dict[str, etree._Element]:
    parser = etree.XMLParser(load_dtd=False, no_network=True)
    return {article.member: etree.fromstring(article.xml, parser) for article in articles}


@pytest.fixture(scope="module")
def on_subject(articles, trees) -> list[etree._Element]:
    return [trees[article.member] for article in articles if article.kind == jats.ON_SUBJECT]


@pytest.fixture(scope="module")
def running_text(articles) -> list[str]:
    """The blocks of the articles on the subject, as our own reader sees them."""
    on_subject = [article for article in articles if article.kind == jats.ON_SUBJECT]
    sections = [
        s for a in on_subject for s in article_reader.read_articles(a.xml, a.member)[0].sections
    ]
    return [block for section in sections for block in section.blocks]


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    return planted_ground_truth(
        config={}, archives=(), on_subject=0, off_subject=0, reference_only=0, broken=()
    )


def some_articles(writer, count=300, **plan):
    plan = jats.ArticlePlan(**{"words": 200, "off_subject": 0.3, **plan})
    return [jats.synthetic_article(writer, seed=5, number=n, plan=plan) for n in range(count)]


def sections_with_keyword(xml: bytes) -> set[str]:
    article = article_reader.read_articles(xml, "x.xml")[0]
    return {s.name for s in article.sections if KEYWORD.search("\n".join(s.blocks))}


def tokens_of(blocks) -> set[str]:
    return {token for block in blocks for token in tokenize(block)}


def all_words(groups) -> set[str]:
    return {word for group in groups for word in group}


def paragraphs(trees):
    return [p for tree in trees for p in tree.find("body").iter("p", "title")]


def test_articles_have_the_words_that_were_asked_for(writer):
    counts = [
        sum(
            len(tokenize(b))
            for s in article_reader.read_articles(a.xml, "x")[0].sections
            for b in s.blocks
        )
        for a in some_articles(writer, 200, words=1000, off_subject=0)
    ]
    assert 900 < sum(counts) / len(counts) < 1100
    assert min(counts) < 700 < 1300 < max(counts)


# --- markup and keywords ---------------------------------------------------------------------


def test_unbroken_articles_are_whole_and_their_references_lead_somewhere(trees):
    for member, tree in trees.items():
        assert tree.getroottree().docinfo.doctype.startswith("<!DOCTYPE article PUBLIC")
        assert [child.tag for child in tree.iterchildren("*")][:3] == ["front", "body", "back"]
        accession = tree.xpath("string(//article-id[@pub-id-type='pmc' or @pub-id-type='pmcid'])")
        assert member.endswith(f"/PMC{accession}.xml")
        assert tree.find(".//license").get(XLINK + "href").startswith("https://creativecommons.org")
        ids = tree.xpath("//@id")
        assert len(ids) == len(set(ids))
        assert set(tree.xpath("//xref/@rid")) <= set(ids)


def test_articles_have_every_markup_that_hurts(trees):
    xml = b"".join(etree.tostring(tree) for tree in trees.values()).decode()
    for needed in (
        "the <italic>CFTR</italic> gene",
        "H<sub>2</sub>O",
        "CD8<sup>+</sup>",
        "<italic>G<sub>6</sub>PD</italic>",
        "fibr&#173;osis",
        ' [<xref ref-type="bibr" rid="B1">1</xref>,<xref ref-type="bibr" rid="B2">2</xref>]',
        '<sup><xref ref-type="bibr" rid="B9">9</xref></sup>',
        '<xref ref-type="bibr" rid="B9"><sup>9</sup></xref>',
        ' (<xref ref-type="bibr" rid="B1">Okonjewska et al., 2001</xref>)',
        '<xref ref-type="fig" rid="F1">Figure 1</xref>',
        "<!-- copyeditor",
        "<?pagebreakhint softreturn?>",
        "<tex-math",
        "<inline-formula><mml:math",
        '<abstract abstract-type="graphical">',
        '<sub-article article-type="reviewer-report"',
    ):  # fmt: skip
        assert needed in xml, needed
    structured = [tree for tree in trees.values() if tree.find(".//abstract/sec/title") is not None]
    assert 0.4 < len(structured) / len(trees) < 0.6
    assert all(len(tree.findall("body/sec/sec")) == 4 for tree in trees.values())


def test_articles_on_the_subject_say_a_keyword_where_a_filter_looks(writer):
    articles = some_articles(writer)
    for article in articles:
        sections = sections_with_keyword(article.xml)
        assert sections >= set(article.mentions)
        assert bool(sections) == bool(article.mentions) == (article.kind == jats.ON_SUBJECT)
    alone = Counter(tuple(sections_with_keyword(a.xml)) for a in articles if len(a.mentions) == 1)
    assert {("title",), ("abstract",), ("body",)} <= alone.keys()
    spellings = Counter(word for a in articles for word in KEYWORD.findall(a.xml.decode()))
    assert {"cancer", "Cancer", "CANCER", "melanoma", "MELANOMA", "Carcinoma"} <= spellings.keys()


def test_a_keyword_in_a_reference_is_the_only_one_there(writer):
    articles = [
        a for a in some_articles(writer) if a.kind in {jats.OFF_SUBJECT, jats.REFERENCE_ONLY}
    ]
    for article in articles:
        before, references = article.xml.decode().split("<ref-list>")
        assert not KEYWORD.search(before)
        assert len(KEYWORD.findall(references)) == (article.kind == jats.REFERENCE_ONLY)
    assert {a.kind for a in articles} == {jats.OFF_SUBJECT, jats.REFERENCE_ONLY}


@pytest.mark.parametrize("kind", jats.BREAKAGES)
def test_a_broken_article_cannot_be_parsed(writer, kind):
    plan = jats.ArticlePlan(words=300, off_subject=1.0, broken=kind)
    article = jats.synthetic_article(writer, seed=1, number=7, plan=plan)
    assert article.kind == kind
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(article.xml)


# --- the traps -------------------------------------------------------------------------------


def test_a_right_reader_sees_every_planted_word_and_no_decoy(truth, running_text):
    tokens = tokens_of(running_text)
    planted_words = all_words([*truth.topics.values(), *truth.synonyms, *truth.analogies])
    assert planted_words | all_words(truth.dressed.values()) <= tokens
    assert not all_words(truth.decoys.values()) & tokens


def test_every_decoy_stands_somewhere_in_the_xml(truth, articles):
    xml = b" ".join(article.xml for article in articles).decode().lower()
    assert [w for w in all_words(truth.decoys.values()) if not re.search(rf"\b{w}\b", xml)] == []


def test_a_reader_that_glues_loses_italic_words(truth, on_subject):
    counts = Counter(
        token
        for paragraph in paragraphs(on_subject)
        for token in tokenize("".join(piece.strip() for piece in paragraph.itertext()))
    )
    assert max(counts[word] for word in truth.dressed["italic"]) < 5 < counts["gout"]


def test_a_reader_that_splits_loses_subscripts(truth, on_subject):
    tokens = tokens_of(" ".join(p.itertext()) for p in paragraphs(on_subject))
    assert not tokens.intersection(truth.dressed["subscript"])


def test_a_reader_that_keeps_citations_loses_cited_words(truth, on_subject):
    tokens = tokens_of("".join(p.itertext()) for p in paragraphs(on_subject))
    assert not tokens.intersection(truth.dressed["cited"])


def test_a_reader_that_joins_blocks_loses_words_at_their_edge(truth, on_subject):
    tokens = tokens_of("".join(t.find("body").itertext()) for t in on_subject)
    assert not tokens.intersection(truth.dressed["edge"])


def test_a_reader_that_drops_all_cross_references_loses_figures(truth, on_subject):
    assert truth.dressed["figure reference"] == ("figure",)
    for tree in on_subject:
        copy = etree.fromstring(etree.tostring(tree))
        etree.strip_elements(copy, "xref", "fig", "table-wrap", with_tail=False)
        assert "figure" not in tokens_of(["".join(copy.find("body").itertext())])


def test_a_filter_that_is_ignored_lets_the_words_of_other_subjects_in(truth, articles, trees):
    tokens = tokens_of(" ".join(t.find("body").itertext()) for t in trees.values())
    assert tokens.issuperset(truth.decoys["off subject"])
    homographs = {p.words[0] for p in lexicon.SYNONYMS if p.trap == lexicon.HOMOGRAPH}
    off = [trees[article.member] for article in articles if article.kind != jats.ON_SUBJECT]
    elsewhere = tokens_of(" ".join(t.find("body").itertext()) for t in off)
    planted_words = all_words([*truth.topics.values(), *truth.synonyms, *truth.analogies])
    assert homographs == {"stage", "mass", "pulse", "culture", "nucleus", "plasma"}
    assert planted_words & elsewhere == homographs


def test_no_word_has_two_places():
    groups = [*lexicon.TOPICS.values(), *lexicon.OFF_SUBJECTS.values(), *lexicon.ROLES.values()]
    groups += [
        *lexicon.DECOYS.values(),
        tuple(lexicon.UNITS),
        lexicon.VERBS,
        lexicon.background_words(),
    ]
    groups += [(*pair.words, *pair.companions) for pair in lexicon.SYNONYMS]
    groups += [(t.disease, t.drug, t.gene, *t.companions) for t in lexicon.TRIPLES]
    counts = Counter(word for group in groups for word in group)
    assert [word for word, count in counts.items() if count > 1] == []
    assert not any(KEYWORD.search(word) for word in counts if word not in lexicon.KEYWORDS)


def test_frequencies_fall_as_those_of_a_language(running_text):
    counts = Counter(token for block in running_text for token in tokenize(block)).most_common()
    assert len(counts) > 2000
    assert counts[0][1] > 5 * counts[50][1] > 50 * counts[1500][1]
