"""Sentences end where they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.text.sentences import split_sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "As Smith et al. 2010 and Wu et al. (2012) say.",
        "See Fig. 2 and Figs. 3A, Eq. 4 and Ref. 5.",
        "Some, i.e. Those with fever, e.g. Patients, rose.",
        "We grew E. coli and S. Aureus in broth.",
        "Group A vs. Placebo was small.",
        "J. A. Smith and Dr. Jones in St. Louis, U.S. Army.",
        "It rose by 0.5 to 1.25 at approx. 5 mg.",
        "Primula sp. A and Rosa var. B grow.",
        "1. Patients came.",
        "(a). Patients came.",
        "2.3. Patients came.",
        "What happened then (and why?) is known.",
        "A dog... and a cat.",
        "It came in Jan. 2010, Sept. 2011 and on 3 Dec. 2012.",
        "We used SPSS v. 20.0 and R ver. 4.",
        "As in Sect. 2.3 and group A, B. Smith says so.",
        "For approx. 10 min. 5 ml were added.",
        "The surgeon J. Patients and B. Cells agree.",
    ],
)
def test_one_sentence(sentence):
    assert split_sentences(sentence) == [sentence]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It was small, p < 0.05.", "We stopped."),
        ("The pH was 7.4.", "Cells grew."),
        ("Is it so?", "Yes!"),
        ("It was so (see above).", "(It was not.)"),
        ("He said “no.”", "They left."),
        ("They had hepatitis B.", "The others had not."),
        ("So say Li et al.", "However, we differ."),
        ("As in Li et al..", "Others differ."),
        ("We measured RNA.", "mRNA rose."),
        ("We knocked it out.", "p53 fell."),
        ("And so on...", "Then it ended."),
        ("It was 2010.", "12 patients came."),
        ("They had hepatitis B.", "Patients had not."),
        ("Many lack vitamin D.", "Patients were young."),
        ("Cells fell.[1,2]", "Then they rose."),
        ("Cells fell. [3\u20135]", "Others rose."),
        ("We loaded it.", "β-actin was used."),
        ("It took 10 min.", "Cells were washed."),
        ("See Sect. 2.3.", "Cells were washed."),
        ("It was in Dec.", "Patients came."),
    ],
)
def test_two_sentences(first, second):
    assert split_sentences(f"{first} {second}") == [first, second]


def test_a_reference_that_begins_a_sentence_stays_with_it():
    assert split_sentences("It fell. [5] showed this.") == ["It fell.", "[5] showed this."]


def test_full_width_marks_end_sentences_without_a_space():
    assert split_sentences("血糖升高。代谢异常！（方法？）分析。Patients. Came") == [
        "血糖升高。", "代谢异常！", "（方法？）", "分析。", "Patients.", "Came",
    ]  # fmt: skip


def test_empty_block_has_no_sentence():
    assert split_sentences("") == []


@given(st.text(alphabet="aA1.?! (é", max_size=60))
def test_sentences_lose_nothing(block):
    block = " ".join(block.split())
    assert " ".join(split_sentences(block)) == block
