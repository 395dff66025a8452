"""Tokens are what they say, and Keras agrees where it must."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.text.tokenizers import make_tokenizer, normalize_text, tokenize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IL-2, TNF-α and 5-fluorouracil", ["il-2", "tnf-α", "and", "5-fluorouracil"]),
        ("BRCA1; CD8+ (p53) at pH 7.4", ["brca1", "cd8+", "p53", "at", "ph", "7.4"]),
        ("Ca2+ and Na+/K+", ["ca2+", "and", "na+", "k+"]),
        ("1,000 of 5%; 3.", ["1,000", "of", "5", "3"]),
        ("Crohn's, Crohn\u2019s", ["crohn's", "crohn's"]),
        ("non\u2010small\u2011cell \u2212 5\u20136", ["non-small-cell", "5-6"]),
        ("can\u00adcer of\ufb01ce Bricanyl\u00ae-like Matrigel\u2122",
         ["cancer", "office", "bricanyl-like", "matrigel"]),
        ("\u00b5m \u03bcm", ["μm", "μm"]),
        ("m\u00b2 ﬀ", ["m2", "ff"]),
        ("snake_case a.b -x- +y", ["snake", "case", "a", "b", "x", "y"]),
        ("", []),
    ],
)  # fmt: skip
def test_tokens(text, expected):
    assert tokenize(text) == expected


def test_case_is_kept_on_request():
    assert tokenize("BRCA1 in Mice", lowercase=False) == ["BRCA1", "in", "Mice"]
    assert make_tokenizer("tutorial", lowercase=False)(["BRCA1, in"]) == ["BRCA1 in"]
    assert make_tokenizer("whitespace", lowercase=False)(["BRCA1, in"]) == ["BRCA1, in"]
    assert make_tokenizer(lowercase=False)(["BRCA1, in"]) == ["BRCA1 in"]


@given(st.text())
def test_a_token_holds_no_space_and_is_never_empty(text):
    for kind in ("biomedical", "whitespace"):
        (joined,) = make_tokenizer(kind)([" ".join(text.split())])
        assert not joined or all(token and not token.isspace() for token in joined.split(" "))


BIOMEDICAL_TOKEN = re.compile(
    r"[^\W_]+(?:(?:[-']|(?<=[0-9])[.,](?=[0-9]))[^\W_]+)*(?:\++(?![^\W_]))?"
)


@given(st.lists(st.text(st.sampled_from("aé9Ⅷ .,-'+)(\u00adα")).map(lambda s: " ".join(s.split()))))
def test_biomedical_tokens_are_those_of_a_regular_expression(texts):
    assert make_tokenizer()(texts) == [
        " ".join(BIOMEDICAL_TOKEN.findall(normalize_text(text).lower())) for text in texts or [""]
    ]


@given(st.text().map(lambda s: " ".join(s.split())))
def test_biomedical_tokens_of_any_text_are_those_of_a_regular_expression(text):
    assert tokenize(text) == BIOMEDICAL_TOKEN.findall(normalize_text(text).lower())


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_text_has_the_tokens_of_any_text(text):
    assert tokenize(text) == tokenize(text + " é")[:-1]


@given(st.text())
def test_normalizing_twice_changes_nothing_more(text):
    assert normalize_text(normalize_text(text)) == normalize_text(text)


def test_numbers_are_kept_dropped_or_folded():
    text = "12 p53 0.05 1,000 2010-2012 il-2"
    assert make_tokenizer()([text]) == [text]
    assert make_tokenizer(numbers="drop")([text, "12"]) == ["p53 il-2", ""]
    assert make_tokenizer(numbers="fold")([text]) == [
        "<number> p53 <number> <number> <number> il-2"
    ]


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="no tokenizer 'spacy'"):
        make_tokenizer("spacy")
    with pytest.raises(ValueError, match="not 'round'"):
        make_tokenizer(numbers="round")


KERAS = r"""
import json, re, string, sys
import tensorflow as tf
sentences = json.load(sys.stdin)
def standardize(text):
    return tf.strings.regex_replace(
        tf.strings.lower(text), "[%s]" % re.escape(string.punctuation), "")
layer = tf.keras.layers.TextVectorization(standardize=standardize, max_tokens=4096)
layer.adapt(sentences)
words = layer.get_vocabulary()
print(json.dumps([[words[i] for i in ids if i] for ids in layer(sentences).numpy().tolist()]))
"""


@pytest.mark.slow
def test_tutorial_tokens_are_those_of_keras():
    texts = [
        "First Citizen: Before we proceed any further, hear me speak.",
        "IL-2 & TNF-α (p < 0.05); CD8+ cells' H_2O!",
        "Ärzte und ÉTÉ: naïve\u00a0space\u2009thin “quotes” – dash…",
        "tab\tline\x0bfeed  ... @#$%^ ~`|\\",
        "",
    ]
    run = subprocess.run(
        [sys.executable, "-c", KERAS],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == [
        sentence.split(" ") if sentence else [] for sentence in make_tokenizer("tutorial")(texts)
    ]
