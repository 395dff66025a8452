"""MODEL_CARD.md: what it says, and what it leaves out."""

import json

import numpy as np
import pytest
import yaml

from pmc2vec.commands.export import main
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.workdir_files import write_vectors
from pmc2vec.vectors.model_card import model_card

PROVENANCE = {
    "code_version": "0.1.0",
    "config": {"vector_size": 2, "epochs": 3, "workdir": "/home/me/run", "probe_words": []},
    "trained": {"steps": 1200, "trained_words": 4500000, "seconds": 61.5},
    "scores": {"loss": 2.512345, "validation_loss": None, "accuracy": 0.75},
    "dataset": {
        "manifest_sha256": "abc123",
        "config": {"keywords": ["melanoma", "a|b"], "min_count": 5, "max_final_vocab": None},
        "funnel": {"read": 1200, "dropped:keyword": 200, "kept": 1000, "tokens": 4500000},
        "licences": {"CC BY": 900, "CC0": 100},
    },
}

CARD = """\
---
language: en
license: other
license_name: licences-of-the-articles
pipeline_tag: feature-extraction
tags:
- word2vec
- word-embeddings
- biomedical
- pubmed-central
---

# Word vectors from PubMed Central

2 words, each with a vector of 2 numbers, trained as skip-grams with negative sampling by pmc2vec \
0.1.0. The most frequent are fever, cough.

## Training data

| | |
|---|---|
| articles read | 1,200 |
| dropped: keyword | 200 |
| articles kept | 1,000 |
| tokens | 4,500,000 |

## Licences of the articles

| | |
|---|---|
| CC BY | 900 |
| CC0 | 100 |

## How the dataset was built

| | |
|---|---|
| keywords | melanoma, a\\|b |
| min_count | 5 |
| max_final_vocab | none |

## How the vectors were trained

| | |
|---|---|
| vector_size | 2 |
| epochs | 3 |
| probe_words | none |
| steps | 1,200 |
| trained_words | 4,500,000 |
| seconds | 61.5 |

## Scores

| | |
|---|---|
| loss | 2.512 |
| accuracy | 0.75 |

## Limits

* A word has one vector, whatever its senses; a word that was not frequent enough has none.
* Nearness is likeness of use in these articles, with the biases of their authors.
* It is neither truth nor medical advice.

## How to cite

Name pmc2vec 0.1.0, the dataset (manifest sha256 abc123), PubMed Central and the method: \
T. Mikolov, I. Sutskever, K. Chen, G. Corrado and J. Dean, "Distributed Representations of Words \
and Phrases and their Compositionality", NIPS 2013.
"""


def test_a_card_says_where_vectors_come_from_and_how_good_they_are():
    assert model_card(PROVENANCE, words=["fever", "cough"], vector_size=2) == CARD


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"add_context": True},
            "as skip-grams with negative sampling by pmc2vec 0.1.0; the sum of",
        ),
        ({"output_vectors": "sum", "tie_embeddings": True}, "sampling by pmc2vec 0.1.0. The most"),
        ({"architecture": "cbow", "objective": "softmax"}, "as continuous bags of words with soft"),
    ],
)
def test_a_card_says_how_the_vectors_were_trained(options, says):
    provenance = {**PROVENANCE, "config": {"architecture": "skipgram", **options}}
    assert says in model_card(provenance, words=["fever"], vector_size=2)


def test_what_is_not_known_is_left_out():
    card = model_card({"scores": "none yet"}, words=["fever"], vector_size=2)
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        "# Word vectors from PubMed Central", "## Limits", "## How to cite",
    ]  # fmt: skip
    assert "by pmc2vec. The most" in card
    assert "Name pmc2vec, the dataset, PubMed Central" in card


@pytest.fixture
def run(tmp_path):
    write_vectors(tmp_path, ["fever", "cough"], np.array([3, 2]), np.eye(2, dtype=np.float32))
    return tmp_path


def test_export_writes_the_card_beside_the_vectors(run, capsys):
    (run / "provenance.json").write_text(json.dumps(PROVENANCE))
    assert main(["--workdir", str(run), "--format", "glove", "--output", str(run / "out")]) == 0
    assert (run / "out" / "MODEL_CARD.md").read_text() == CARD
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"{run / 'out' / 'MODEL_CARD.md'}  {len(CARD.encode()):,} bytes"
    )


def test_without_provenance_there_is_no_card(run):
    assert main(["--workdir", str(run), "--format", "glove"]) == 0
    assert not (run / "MODEL_CARD.md").exists()


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_provenance_is_told(run, content):
    (run / "provenance.json").write_text(content)
    with pytest.raises(UserError, match=r"provenance.json: not (JSON|a JSON object)"):
        main(["--workdir", str(run)])


def test_the_front_matter_is_yaml():
    _, front_matter, _ = model_card({}, words=["a"], vector_size=1).split("---\n", 2)
    assert yaml.safe_load(front_matter)["license_name"] == "licences-of-the-articles"


def test_scores_of_word_pairs_have_rows_of_their_own():
    scores = {"loss": 2.5, "word_pairs": {"MEN-3000.txt": 0.71}}
    card = model_card({"scores": scores}, words=["a"], vector_size=1)
    assert "| loss | 2.5 |\n| word pairs: MEN-3000.txt | 0.71 |\n" in card
    assert "word pairs" not in model_card({"scores": {"word_pairs": {}}}, words=[], vector_size=1)
