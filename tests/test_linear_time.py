"""Hostile text and XML take time that is linear in their size, whatever a pattern could try.

Each input is so large that quadratic work would take minutes; the limit on processor time is
generous, and a run that reaches it is stopped.
"""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from beam_pipelines.jats import xml_parser
from beam_pipelines.jats.article_reader import RejectedError, read_articles
from beam_pipelines.jats.citations import REFERENCE_MARK, remove_references
from beam_pipelines.jats.licences import licence_name
from beam_pipelines.jats.markup import text_blocks
from beam_pipelines.text.sentences import split_sentences
from beam_pipelines.text.tokenizers import make_tokenizer, normalize_text, tokenize

N = 100_000
CPU_SECONDS = 10


@pytest.fixture(autouse=True)
def cpu_limit() -> Iterator[None]:
    """Stops a test that takes more processor time than it may; patterns look for signals."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {CPU_SECONDS} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


def document(head: str = "", body: str = "<p>text</p>", title: str = "") -> bytes:
    titles = f"<title-group><article-title>{title}</article-title></title-group>"
    front = f"<front><article-meta>{titles}</article-meta></front>"
    return f"{head}<article>{front}<body>{body}</body></article>".encode()


@pytest.mark.parametrize(
    "block",
    [
        "." * N, "?!" * N, ".'" * N, ".\u201d" * N, ". " * N, ".(" * N, "A." * N, "A. " * N,
        "." + " " * N, "." + "'" * N, ". " + "(" * N, ". " + "'" * N + "a", "e.g. " * N,
        "A.-" * N + "A. B", "1.2." * N + " A", "i.e. The " * N,
        "。" * N, "a。」" * N, ".[1" * N, ". [1,2] " * N, ".[" + "1," * N + "] A", "Jan. 1 " * N,
    ],
)  # fmt: skip
def test_sentences(block):
    assert "".join(split_sentences(block)).replace(" ", "") == block.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    [
        "+" * N, "a+" * N, "a-" * N, "a'" * N, "1." * N, "1," * N, "1.1" * N, "-" * N, "α-" * N,
        "\u2026" * N, "e\u0301\u0327" * N, "e" + "\u0301\u0327" * N, "\ufdfa" * (N // 20),
        "<number>" * N, "://" * N, "http://" * N, "a@" * N, "a@b." * N, "@" * N, "10.1234/ " * N,
        "doi:" * N, "www." * N, "\u00b7" * N, "1\u00b7" * N, "HER2\u2212" * N, "10\u2076" * N,
        "\uff9e\uff9f" * N, "糖" * N, "\u1161" * N,
    ],
)  # fmt: skip
@pytest.mark.parametrize("numbers", ["keep", "fold"])
def test_tokens(text, numbers):
    assert len(make_tokenizer(numbers=numbers)([text])) == 1
    assert normalize_text(text)


def test_many_marks_on_one_letter_are_cut_off():
    assert tokenize("be" + "\u0301" * 31 + "d") == tokenize("be" + "\u0301" * 30 + "d")


@pytest.mark.parametrize(
    "text",
    [
        "(" * N, "[" * N, "(" + "a" * N, "(a" * N, "([" * N, "\x01" * N, "\x01 " * N,
        "\x01,and " * N,
        "(\x01" * N, "(\x01;" * N, "(" + "\x01;" * N, "(" + "\x01a" * N + ")", "(" * N + ")" * N,
        "\x01" + " ,;and" * N, "(" + "\x01 and" * N + ")", "(\x02A" + "-b" * N + ")", "(\x01)" * N,
        "(\x02" + "ab " * N + ")",
    ],
)  # fmt: skip
def test_references(text):
    assert REFERENCE_MARK not in remove_references(text)


@pytest.mark.parametrize("text", ["</i>" * N, "</" + "<i " * N, "</p" * N, "</i " + " " * N])
def test_escaped_tags(text):
    element = etree.Element("p")
    element.text = text
    text_blocks(element)


@pytest.mark.parametrize(
    "text",
    [
        "CC " * N, "CC BY-NC" * N, "CC BY" + "-NC" * N, "creativecommons.org/licenses/" * N,
        "creativecommons.org/licenses/by" + "-nc" * N, "creativecommons.org/licenses/" + "a" * N,
        "creativecommons.org/licenses/by/" + "4." * N, "CC BY" + "NC" * N,
    ],
)  # fmt: skip
def test_licences(text):
    licence_name(text)


@pytest.mark.parametrize(
    "title", [" " * N, "[" * N, "(" * N + "retracted", "retracted " * N, "\u201c" * N]
)
def test_titles(title):
    read_articles(document(title=title), "a.xml")


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("<!-- a --> " * N, None),
        ("<!---->" * 60, None),
        ("<!-- a -->" * 90 + "<htm", "broken_xml"),
        ("<!--" * N, "broken_xml"),
        (" " * N, None),
        ("<?xml " + " " * N, "broken_xml"),
        ("<?a?>" * N, None),
        ("&a;<!--" * N, "broken_xml"),
        ("<!DOCTYPE article [" + "<!ENTITY a" * N, "broken_xml"),
        ("<!DOCTYPE article [<!ENTITY " + "a" * N, "broken_xml"),
    ],
)
def test_documents(head, reason):
    if reason is None:
        assert len(read_articles(document(head), "a.xml")) == 1
        return
    with pytest.raises(RejectedError) as error:
        read_articles(document(head), "a.xml")
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "piece", ["<![CDATA[", "<!--", "<?a ", "&a", "&a;", "&" + "a" * 50, "<ref "]
)
def test_documents_with_undeclared_entities(piece):
    with pytest.raises(RejectedError):
        read_articles(document(body="<p>&alpha;" + piece * N + "</p>"), "a.xml")
    data = document(body="<p>&alpha;" + piece * N + "</p>")
    assert xml_parser._replace_named_entities(data).startswith(b"<article>")


def test_articles_within_articles_are_read_once():
    data = b"<set>" + document(body="<article><body><p>x</p></body></article>" * 9) + b"</set>"
    assert len(read_articles(data, "a.xml")) == 1


@pytest.mark.parametrize(
    ("front", "body", "sections"),
    [
        ("", "<sec>" * 200 + "<caption/>" * N + "</sec>" * 200, {}),
        (
            "<kwd-group>" + "<kwd>" * 200 + "<b/>x" * N + "</kwd>" * 200 + "</kwd-group>", "",
            {"keywords": ("x" * N,)},
        ),
        (
            "<permissions>" + "<license_ref>" * 200 + "<b/>x" * 3 * N + "</license_ref>" * 200
            + "</permissions>", "", {},
        ),
        (
            "", "<inline-formula>" * 200 + "<math>" + "<b/> " * 3 * N + "</math>"
            + "</inline-formula>" * 200, {},
        ),
    ],
    ids=["captions", "keywords", "licences", "formulas"],
)  # fmt: skip
def test_what_is_below_an_element_is_not_read_for_each_element_around_it(front, body, sections):
    data = document(body=body).replace(b"</article-meta>", front.encode() + b"</article-meta>")
    (article,) = read_articles(data, "a.xml", ("captions", "keywords", "body"))
    assert {section.name: section.blocks for section in article.sections} == sections


def test_a_document_of_markup_alone_is_rejected_before_it_becomes_a_tree(monkeypatch):
    monkeypatch.setattr(xml_parser, "MAX_MARKUP_CHARACTERS", 1000)
    for body in ("<b/>" * 1000, "<b>" + "<i a='' b=''/>" * 400 + "</b>"):
        with pytest.raises(RejectedError, match=r"too_much_markup: 1,\d\d\d tags and attributes"):
            read_articles(document(body=body), "a.xml")
    (article,) = read_articles(document(body=f"<p>{'x' * 2000}</p>"), "a.xml")
    assert len(article.sections[0].blocks[0]) == 2000


def test_no_group_has_a_possessive_quantifier():
    """Before 3.11.5, Python loses matches of a possessive group in which something backtracks.

    An atomic group means the same: `(?>(?:ab*)+)` in place of `(?:ab*)++`. See gh-106052.
    """
    possessive = re.compile(r"\)(?:[*+?]|\{[\d,]+\})\+")
    for path in Path(xml_parser.__file__).parents[1].rglob("*.py"):
        assert not possessive.findall(path.read_text()), path
