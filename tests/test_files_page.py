"""The lines of docs/files.md and docs/formats.md, run in the programs that they are for.

What a block sets is compared: `words` with those of the vectors, `sentences` with the corpus,
`tokens` with the first record, `matrix` with the vectors, `near` with the neighbours of a word.
"""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from beam_pipelines.jats.article_reader import Article
from beam_pipelines.stages.corpus_files import CorpusArticle, CorpusWriter, Summary
from pmc2vec.commands.export import main
from pmc2vec.dataset.records import RECORD_FEATURES, read_shard
from pmc2vec.vectors.formats.workdir_files import write_vectors
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import write_dataset
from tests.test_workdir_files import ODD_WORDS

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {
    "files.md": (DOCS / "files.md").read_text(encoding="utf-8"),
    "formats.md": (DOCS / "formats.md")
    .read_text(encoding="utf-8")
    .partition("## Other readers")[2],
}
BLOCKS = [
    pytest.param(
        language, text, id=re.findall(r"import (\w+)|$", text)[0] or f"{language}-{number}"
    )
    for page in PAGES.values()
    for number, (language, text) in enumerate(
        re.findall(r"```(python|r)\n(.*?)```", page, re.DOTALL)
    )
]

SENTENCES = [["fever", "β-catenin", "rash"], ["rash", "fever"], ["cough", "fever"] * 10]
# Words that readers take for missing values, numbers or quotes.
WORDS = [
    *(word for word in ODD_WORDS if " " not in word),
    "#N/A", "None", "TRUE", "0x10", "'apos", 'a"b',
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset with its corpus, and a workdir with exports."""
    folder = tmp_path_factory.mktemp("page")
    dataset = write_dataset(folder / "dataset", {"PMC1": SENTENCES}, validation_fraction=0)
    (dataset / "corpus").mkdir()
    lines = [" ".join(sentence) for sentence in SENTENCES]
    with (dataset / "corpus" / "part-00000.parquet").open("wb") as file:
        writer = CorpusWriter(file, Summary())
        article = Article("PMC1", *[""] * 9, sections=())
        writer.write(CorpusArticle(article, "a", "m", ["body"] * len(lines), lines))
        writer.close()
    matrix = np.random.default_rng(3).standard_normal((len(WORDS), 8)).astype(np.float32)
    write_vectors(folder / "run", WORDS, np.arange(len(WORDS), 0, -1), matrix)
    formats = ["word2vec", "parquet", "numpy", "safetensors"]
    assert main(["--workdir", str(folder / "run"), "--format", *formats]) == 0
    return folder


def run_python(text: str) -> dict:
    for node in ast.walk(ast.parse(text)):
        names = (
            [alias.name for alias in getattr(node, "names", [])]
            if isinstance(node, ast.Import)
            else []
        )
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if importlib.util.find_spec(name.partition(".")[0]) is None:
                pytest.skip(f"{name} is not installed")
    if "tfrecord.reader" in text and "tensorflow" in sys.modules:
        pytest.skip("tfrecord and TensorFlow cannot be in one process")
    values = {"Path": Path, "Vectors": Vectors}
    exec(compile(text, "page", "exec"), values)
    return values


def run_r(text: str) -> dict:
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    # As bytes, so that no locale of R's changes them.
    script = f"{text}\nwriteLines(words, file('words.out', 'wb'), useBytes = TRUE)\n"
    subprocess.run(["Rscript", "--vanilla", "-e", script], check=True, capture_output=True)
    return {"words": Path("words.out").read_bytes().decode().split("\n")[:-1]}


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_a_block_of_the_page_reads_what_was_written(folder, monkeypatch, language, text):
    monkeypatch.chdir(folder)
    values = run_python(text) if language == "python" else run_r(text)
    shard = next(Path("dataset").glob("train-*.tfrecord"))
    with shard.open("rb") as file:
        record = next(read_shard(file, str(shard)))
    if "tokens" in values:
        assert values["tokens"].tolist() == record.tokens.tolist()
    elif "words" in values:
        assert values["words"] == WORDS
    if "sentences" in values:
        assert values["sentences"] == [" ".join(sentence) for sentence in SENTENCES]
    vectors = Vectors.load("run")
    if "matrix" in values:
        np.testing.assert_array_equal(values["matrix"], vectors.matrix)
    if "near" in values:
        exact = [word for word, _ in vectors.most_similar(WORDS[0], topn=3)]
        assert values["near"] == exact
    assert values.keys() & {"tokens", "words", "sentences", "matrix", "near"}


def test_the_words_of_the_first_record_are_those_of_the_corpus(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (block,) = (text for _, text in (block.values for block in BLOCKS) if "read_varint" in text)
    assert run_python(block)["words"] == [word for sentence in SENTENCES for word in sentence]


def test_the_page_has_every_feature_of_a_record():
    rows = re.findall(r"^\| `(\w+)` \| .* of `([<\w]+)` \|", PAGES["files.md"], re.MULTILINE)
    dtypes = {"tokens": "<i4", "windows": "u1", "negatives": "<i4"}
    assert rows == list(dtypes.items())
    assert [(f.name, f.dtype) for f in RECORD_FEATURES] == [
        (name, np.dtype(dtype)) for name, dtype in rows
    ]
