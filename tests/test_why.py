"""`pmc2vec why`: what binds two words, in sentences of a small corpus."""

import json
import re
import sys
from collections import Counter

import numpy as np
import pytest

from beam_pipelines.jats.article_reader import Article
from beam_pipelines.stages.corpus_files import CorpusArticle, CorpusWriter, Summary
from pmc2vec.commands.main import main
from pmc2vec.commands.shared_contexts import shared_contexts
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import write_dataset

ARTICLES = {
    "PMC1": ["the melanoma of the skin was removed", "melanoma and nevus of skin"],
    "PMC2": ["the nevus of the skin was benign", "the nevus was the only one"],
    "PMC3": ["the house of the sea was benign", "breast cancer of the skin"] * 4,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A workdir whose dataset has a corpus of three articles."""
    folder = tmp_path_factory.mktemp("why")
    tokens = {name: [line.split() for line in lines] for name, lines in ARTICLES.items()}
    dataset = write_dataset(folder / "dataset", tokens, validation_fraction=0)
    (dataset / "corpus").mkdir()
    with (dataset / "corpus" / "part-00000.parquet").open("wb") as file:
        writer = CorpusWriter(file, Summary())
        for name, lines in ARTICLES.items():
            article = Article(name, name, "", "", "", "J Skin", "2020", "CC BY 4.0", "", "", ())
            writer.write(CorpusArticle(article, "a", "m", ["body"] * len(lines), lines))
        writer.close()
    words = ["the", "melanoma", "nevus", "skin", "unseen"]
    workdir = folder / "run"
    Vectors(words, np.eye(5, dtype=np.float32) + 0.5, np.arange(9, 4, -1)).save(workdir)
    (workdir / "config.json").write_text(json.dumps({"dataset": str(dataset)}))
    return workdir


def test_contexts_that_both_words_have_more_often_than_chance_bind_them():
    vocabulary = {"skin": 10, "the": 3000, "of": 900, "sun": 3}
    near = [Counter({"skin": 4, "the": 6, "sun": 1}), Counter({"skin": 3, "the": 7, "of": 1})]
    (context,) = shared_contexts(near, vocabulary)
    assert (context.word, context.counts) == ("skin", (4, 3))
    # 10 ** .75 of a total of 10 ** .75 + 3000 ** .75 + 900 ** .75 + 3 ** .75
    chance = 5.6234 / (5.6234 + 405.3600 + 164.3168 + 2.2795)
    expected = np.log(4 / 11 / chance) * 4 / 5 * np.log(3 / 11 / chance) * 3 / 4
    assert context.weight == pytest.approx(expected, rel=1e-4)


def test_the_sentences_of_two_words_come_with_their_sources(run, capsys):
    assert main(["why", "Melanoma", "nevus", "--vectors", str(run), "--json", "--quiet"]) == 0
    reasons = json.loads(capsys.readouterr().out)
    assert (reasons["words"], reasons["counts"]) == (["melanoma", "nevus"], [2, 3])
    assert (reasons["together"], reasons["window"]) == (1, 3)
    assert reasons["contexts"][0]["word"] == "and"
    shown = [(entry["words"], entry["pmcid"], entry["sentence"]) for entry in reasons["sentences"]]
    assert shown == [
        (["melanoma", "nevus"], "PMC1", "melanoma and nevus of skin"),
        (["melanoma"], "PMC1", "the melanoma of the skin was removed"),
        (["nevus"], "PMC2", "the nevus of the skin was benign"),
    ]
    first = reasons["sentences"][0]
    assert (first["journal"], first["year"], first["licence"]) == ("J Skin", "2020", "CC BY 4.0")
    assert first["score"] > 0
    assert "and" in first["contexts"]


def test_a_person_sees_tables_in_a_pipe_and_sentences_on_a_terminal(run, capsys, monkeypatch):
    words = ["why", "melanoma", "nevus", "--vectors", str(run), "--quiet"]
    assert main(words) == 0
    contexts, sentences = capsys.readouterr().out.split("\n\n")
    assert contexts.startswith("context\tweight\tnear melanoma\tnear nevus\nand\t")
    assert sentences.splitlines()[0] == "words\tscore\tpmcid\tjournal\tyear\tlicence\tsentence"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(words) == 0
    out = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert out.startswith(
        "melanoma and nevus: cosine 0.69; seen 2 and 3 times; together within 3 words: 1\n"
    )
    assert "PMC2, J Skin, 2020, CC BY 4.0\nthe nevus of the skin was benign" in out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["melanoma", "melanoma"], "'melanoma' is given twice; name two words"),
        (["melanoma", "nevos"], "'nevos' is not in the vocabulary; did you mean nevus?"),
        (["melanoma", "unseen"], "'unseen' is not in its vocabulary; name with --dataset"),
        (["melanoma", "nevus", "--dataset", "no"], "no: no finished dataset there; name with"),
    ],
)
def test_what_cannot_be_explained_is_one_line(run, capsys, words, complaint):
    assert main(["why", *words, "--vectors", str(run)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_vectors_of_other_programs_need_a_dataset(tmp_path, capsys):
    path = tmp_path / "foreign.txt"
    path.write_text("2 1\na 1\nb 1\n")
    assert main(["why", "a", "b", "--vectors", str(path)]) == 1
    assert "name the dataset with --dataset" in capsys.readouterr().err
