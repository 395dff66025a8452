"""Tokens are what they say, and Keras agrees where it must."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pmc2vec
from beam_pipelines.jats.article_reader import Article, Section
from beam_pipelines.stages.corpus_parts import Reading, tokenize_article
from beam_pipelines.text.tokenizers import (
    count_clauses,
    make_tokenizer,
    normalize_text,
    tokenize,
)


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prevalent\u2014the Figure 6\u2015figure", "prevalent the figure 6 figure"),
        ("p = .001, p<.05, r=\u2212.91", "p 0.001 p 0.05 r 0.91"),
        ("end.5 of v.20", "end 5 of v 20"),
        ("5'-UTR, 5\u00b4-UTR and the 5\u2032 end", "5'-utr 5'-utr and the 5' end"),
        ("4\u2032,6-diamidino-2-phenylindole", "4',6-diamidino-2-phenylindole"),
        ("5'-GATTACA-3' of 'grade 3' tumours", "5'-gattaca-3' of grade 3 tumours"),
        ("1\u00b737 mm, a\u00b7b, 12\u00b75", "1.37 mm a b 12.5"),
        ("MgSO4\u00b77H2O", "mgso4 7h2o"),
        ("25 mg L\u2212 1 and HER2\u2212 (CD3\u2212)", "25 mg l 1 and her2- cd3-"),
        ("10\u2076, 10\u207b\u00b3, 10^-3, 10^6", "10^6 10^-3 10^-3 10^6"),
        ("m\u00b2, 210\u2076", "m2 2106"),
        ("CD4+CD25+Foxp3+ and a+b", "cd4+ cd25+ foxp3+ and a b"),
        ("p53\u2212/\u2212, p53+/\u2212, p53+/+, Apc-/-", "p53-/- p53+/- p53+/+ apc-/-"),
        ("HER2\u2212, s\u22121, 5 \u2212 6, 5\u22126, T- and B-", "her2- s-1 5 6 5-6 t and b"),
        ("3 +/- 2 and 3+/-2", "3 2 and 3+ 2"),
        ("c.35delG, c.76A>T, c.76_78del", "c.35delg c.76a>t c.76_78del"),
        ("p.Val600Glu, p.V600E, e.g. p.5", "p.val600glu p.v600e e g p 5"),
        ("HLA-DRB1*04:01, A*02:01, 12:30:45", "hla-drb1*04:01 a*02:01 12 30 45"),
        ("CYP2D6*4, CYP2C19*17, 2*3", "cyp2d6*4 cyp2c19*17 2 3"),
        ("N,N-dimethylformamide, N,N\u2032-x", "n,n-dimethylformamide n,n'-x"),
        ("1-\u03b1,25-dihydroxy, a, b", "1-\u03b1,25-dihydroxy a b"),
        ("C57BL/6J, BALB/c, and/or", "c57bl/6j balb/c and or"),
        ("\u2206F508 and \u0394F508", "\u03b4f508 and \u03b4f508"),
        ("see https://a.org/b?c=1, www.a.org and a.b@c.de", "see and"),
        ("doi:10.1186/1471-2105-1-1 and 10.5/2", "and 10.5 2"),
        ("\u092e\u0927\u0941\u092e\u0947\u0939", "\u092e\u0927\u0941\u092e\u0947\u0939"),
        ("mean x\u0304 \u0304 (\u0301) \u00a8", "mean x\u0304"),
        ("\u0130stanbul", "istanbul"),
        ("25\u00baC and 25 \u00b0C", "25 c and 25 c"),
        ("\x0e\x0f\ue000", ""),
    ],
)  # fmt: skip
def test_names_keep_their_marks(text, expected):
    assert tokenize(text) == expected.split()


def test_names_keep_their_marks_and_their_case():
    assert tokenize("C57BL/6J p.Val600Glu HTTPS://a.b", lowercase=False) == [
        "C57BL/6J", "p.Val600Glu",
    ]  # fmt: skip


BIOMEDICAL_TOKEN = re.compile(
    r"[^\W_]+(?:(?:[-']|(?<=[0-9])[.,](?=[0-9]))[^\W_]+)*(?:\++(?![^\W_]))?"
)


# Without what `_NAME_MARKS` is about: primes, bare decimals, signs of cells.
@given(
    st.lists(st.text(st.sampled_from("aé8Ⅷ ,-+)(\u00adα")).map(lambda s: " ".join(s.split()))),
    st.lists(st.text(st.sampled_from("aé .,-')(\u00adα")).map(lambda s: " ".join(s.split()))),
)
def test_biomedical_tokens_are_those_of_a_regular_expression(numbers, words):
    for texts in (numbers, words):
        assert make_tokenizer()(texts) == [
            " ".join(BIOMEDICAL_TOKEN.findall(normalize_text(text).lower()))
            for text in texts or [""]
        ]


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


def test_links_are_dropped_folded_or_split():
    text = "See https://a.org/b?c=1 (doi: 10.1186/x), www.a.org\x19 or mail a.b@c.de"
    assert make_tokenizer()([text]) == ["see or mail"]
    assert make_tokenizer(links="fold")([text, "É"]) == [
        "see <link> <link> <link> or mail <link>", "é",
    ]  # fmt: skip
    assert make_tokenizer(links="split")([text]) == [
        "see https a org b c 1 doi 10.1186 x www a org or mail a b c de"
    ]


def test_clauses_of_scripts_without_spaces_are_counted():
    assert (
        count_clauses(["糖尿病患者的胰岛素水平升高 糖尿病 患者", "il-2 ผู้ป่วยเบาหวานและความดัน"]) == 2
    )
    assert count_clauses(["糖尿病 患者 的 胰岛素", "ผู้ป่วย เบาหวาน", "insulin"]) == 0


@given(st.text(alphabet="aΣσßİ\u0307é½ﬁ™µ∆′−²°가\u1100\u1161\u11a8ﾞﾊ\u0301 ."))
def test_characters_one_by_one_are_those_of_the_text(text):
    """A mark in the text makes `normalize_text` look at it as a whole."""
    assert normalize_text(text + " x\u0304").removesuffix(" x\u0304") == normalize_text(text)
    for lowercase in (True, False):
        whole = tokenize(text + " x\u0304", lowercase=lowercase)
        assert whole[:-1] == tokenize(text, lowercase=lowercase)


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="links can be drop, fold, split, not 'keep'"):
        make_tokenizer(links="keep")
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


def test_the_public_function_gives_the_tokens_of_a_build():
    text = "Insulin, glucose. (Fever) rose 0.5 to\n39 °C; see www.example.org. P53 fell."
    article = Article("PMC1", *[""] * 9, sections=(Section("body", (text.replace("\n", " "),)),))
    built = tokenize_article(article, "a", "m", Reading())
    assert pmc2vec.tokenize(text) == " ".join(built.sentences).split()
    assert pmc2vec.tokenize(text)[:3] == ["insulin", "glucose", "fever"]
    assert pmc2vec.tokenize(text, numbers="drop", lowercase=False)[-2:] == ["P53", "fell"]
    assert pmc2vec.tokenize("IL-2, 5 mg", tokenizer="tutorial") == ["il2", "5", "mg"]
    assert pmc2vec.tokenize(" \n ") == []
