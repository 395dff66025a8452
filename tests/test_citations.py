"""Words that make brackets a citation, or no citation, beside a marked reference."""

import pytest

from beam_pipelines.jats.citations import REFERENCE_MARK, YEAR_MARK, remove_references

FLOAT_WORDS = "appendix box eq eqs equation fig figs figure figures table tables"
LEAD_WORDS = """a also al an and as but by cf chapter e.g eg et example for from further g her his
    i.e ie e i in instance my of or our p page pages personal pp recent recently ref reference
    references refs review reviewed reviews see supra the their to"""
NAME_PARTICLES = "al ben bin da de del della den der di do dos du el la le ten ter van von zu"


@pytest.mark.parametrize("word", FLOAT_WORDS.split())
def test_brackets_with_a_word_of_a_float_are_no_citation(word):
    for written in (word, word.title()):
        text = f"as ({written} {YEAR_MARK}) shows"
        assert remove_references(text) == f"as ({written}) shows"


@pytest.mark.parametrize("word", LEAD_WORDS.split())
def test_brackets_with_a_word_that_leads_to_references_are_a_citation(word):
    assert remove_references(f"as ({word} {REFERENCE_MARK}) shows") == "as shows"


@pytest.mark.parametrize("word", NAME_PARTICLES.split())
def test_a_particle_is_part_of_a_name_before_a_year(word):
    assert remove_references(f"as (Anna {word} Berg {YEAR_MARK}) shows") == "as shows"


@pytest.mark.parametrize("word", ["beyond", "mean", "n", "TP53"])
def test_brackets_with_another_word_are_no_citation(word):
    assert remove_references(f"as ({word} {YEAR_MARK}) shows") == f"as ({word}) shows"
