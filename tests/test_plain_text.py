import gzip
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.inputs import plain_text
from beam_pipelines.inputs.decompression import InputStream
from beam_pipelines.inputs.documents import Damage, ReadOptions
from beam_pipelines.inputs.plain_text import PlainText, articles

TEXT = "It was\nthe best.\n\n  It was  \nthe worst.\n"


def blocks(text, unit, name="n.txt"):
    data = text if isinstance(text, bytes) else text.encode()
    found = articles(InputStream(io.BytesIO(data)), name, unit)
    return {article.article_id: list(article.sections[0].blocks) for article in found}


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("line", ["It was", "the best.", "It was", "the worst."]),
        ("sentence", ["It was", "the best.", "It was", "the worst."]),
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
    monkeypatch.setattr(plain_text, "LINE_CHARACTERS", 4)
    assert blocks("aaaa" * 2 + "b", "line") == {"n.txt#0000": ["aaaa", "aaaa", "b"]}


# --- encodings ---------------------------------------------------------------------------------

FRENCH = "Les élèves étudient les mathématiques dans une école de la ville, où il fait froid."
RUSSIAN = "Это пример русского текста для проверки."
POLISH = "Był to bardzo długi dzień. Ania była zmęczona i chciała wrócić do domu, ale nie mogła."


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides(encoding, caplog):
    assert blocks(RUSSIAN.encode(encoding), "line") == {"n.txt#0000": [RUSSIAN]}
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("café", "latin-1", "cp1252"),
        (FRENCH, "latin-1", "cp1252"),
        ("He said “hello” — and ‘left’.", "cp1252", "cp1252"),
        ("kept at 37 °C in 5 µl of buffer", "latin-1", "cp1252"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8_r", "koi8_r"),
        (POLISH, "cp1250", "cp1250"),
        ("日本語のテキストです。これは例文です。", "cp932", "cp932"),
        ("这是一个中文文本的例子，用来测试。", "gb18030", "gb18030"),
    ],
)
def test_text_that_is_not_utf8_is_decoded_and_the_encoding_is_told(text, encoding, name, caplog):
    assert blocks(text.encode(encoding), "line") == {"n.txt#0000": [text]}
    assert caplog.messages == [f"n.txt: not UTF-8; read as {name}"]


def test_the_first_byte_that_is_not_utf8_may_be_far_in_the_file(monkeypatch):
    monkeypatch.setattr(plain_text, "CHUNK_BYTES", 64)
    text = "It was the best of times.\n" * 50 + "At the café."
    (found,) = blocks(text.encode("latin-1"), "line").values()
    assert found == text.split("\n")


def test_utf8_with_a_wrong_byte_stays_utf8(monkeypatch, caplog):
    monkeypatch.setattr(plain_text, "CHUNK_BYTES", 7)
    found = blocks("Où est le café ?\n".encode() * 3 + b"caf\xe9 \xc3", "line")
    assert found == {"n.txt#0000": [*["Où est le café ?"] * 3, "caf\ufffd \ufffd"]}
    assert caplog.messages == ["n.txt: UTF-8 with wrong bytes"]


# --- lines without end -------------------------------------------------------------------------


def test_a_long_line_is_cut_between_two_words(monkeypatch):
    monkeypatch.setattr(plain_text, "LINE_CHARACTERS", 10)
    assert blocks("alpha beta gamma delta epsilon", "line") == {
        "n.txt#0000": ["alpha beta", "gamma", "delta", "epsilon"]
    }


@given(st.text(alphabet="ab \n\t", max_size=200), st.integers(1, 12), st.integers(1, 9))
def test_cut_lines_hold_every_word_unless_it_is_too_long(text, limit, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_text, "LINE_CHARACTERS", limit)
        patch.setattr(plain_text, "CHUNK_BYTES", chunk)
        found = [b for a in blocks(text, "line").values() for b in a]
    assert "".join("".join(found).split()) == "".join(text.split())
    if all(len(word) < limit for word in text.split()):
        assert [word for block in found for word in block.split()] == text.split()


def test_text_without_line_ends_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(plain_text, "LINE_CHARACTERS", 1 << 14)
    monkeypatch.setattr(plain_text, "ARTICLE_CHARACTERS", 1 << 16)
    packed = gzip.compress(b"anarchism originated as a term " * (1 << 20))
    tracemalloc.start()
    number = sum(1 for _ in articles(InputStream(io.BytesIO(packed)), "text8", "line"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert number == 397
    assert peak < 8 << 20


def test_a_damaged_text_file_says_so_after_its_articles():
    packed = gzip.compress(b"one\ntwo\n")[:-4]
    *_, last = PlainText().documents(InputStream(io.BytesIO(packed)), "n.txt", ReadOptions())
    assert last == Damage("n.txt", "damaged_member", "the gzip stream ends too early")
