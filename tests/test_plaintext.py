import gzip
import io

import pytest

from beam_pipelines.inputs import plain_text
from beam_pipelines.inputs.plain_text import articles

TEXT = "It was\nthe best.\n\n  It was  \nthe worst.\n"


def blocks(text, unit, name="n.txt"):
    data = text if isinstance(text, bytes) else text.encode()
    found = articles(io.BytesIO(data), name, unit)
    return {article.article_id: list(article.sections[0].blocks) for article in found}


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("line", ["It was", "the best.", "It was", "the worst."]),
        ("paragraph", ["It was the best.", "It was the worst."]),
        ("file", ["It was the best. It was the worst."]),
    ],
)
def test_units(unit, expected):
    assert blocks(TEXT, unit) == {"n.txt#0000": expected}


def test_a_long_file_becomes_several_articles(monkeypatch):
    monkeypatch.setattr(plain_text, "ARTICLE_LINES", 2)
    assert blocks("a\nb\nc\n", "line") == {"n.txt#0000": ["a", "b"], "n.txt#0001": ["c"]}
    assert blocks("a\nb\nc\n\nd", "paragraph") == {"n.txt#0000": ["a b c"], "n.txt#0001": ["d"]}


def test_gzip_byte_order_mark_and_wrong_bytes():
    assert blocks(gzip.compress(b"\xef\xbb\xbfTNF-\xce\xb1\xff."), "line") == {
        "n.txt#0000": ["TNF-α\ufffd."]
    }


def test_nothing_is_no_article():
    assert blocks("", "line") == {}
    assert blocks("\n\n \n", "paragraph") == {}


def test_a_file_without_line_ends_is_cut(monkeypatch):
    monkeypatch.setattr(plain_text, "LINE_BYTES", 4)
    assert blocks("aaaa" * 2 + "b", "line") == {"n.txt#0000": ["aaaa", "aaaa", "b"]}
