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
    ],
)
def test_two_sentences(first, second):
    assert split_sentences(f"{first} {second}") == [first, second]


def test_empty_block_has_no_sentence():
    assert split_sentences("") == []


@given(st.text(alphabet="aA1.?! (é", max_size=60))
def test_sentences_lose_nothing(block):
    block = " ".join(block.split())
    assert " ".join(split_sentences(block)) == block
