"""The registry of vector formats: docs/formats.md and the options are made from it.

python tests/test_registry.py        writes the table in docs/formats.md again
"""

import re
from pathlib import Path

import numpy as np
import pytest

from pmc2vec.commands.export import FormatName
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats import registry
from pmc2vec.vectors.formats.registry import FORMATS, export_vectors, read_vectors
from pmc2vec.vectors.formats.vector_table import VectorTable

DOCUMENT = Path(__file__).parent.parent / "docs" / "formats.md"
TABLE = re.compile(r"\| `--format` \|.*\n(\|.*\n)+")


def test_the_document_has_the_table_of_the_registry():
    found = TABLE.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found.group() == registry.markdown_table(), "run python tests/test_registry.py"


def test_formats_have_these_names_in_the_options_too():
    names = (
        "tsv", "word2vec", "word2vec_binary", "glove", "gensim", "numpy", "parquet", "keras",
        "saved_model",
    )  # fmt: skip
    assert tuple(FORMATS) == names
    assert FormatName.__args__ == names


@pytest.mark.parametrize("name", [name for name, entry in FORMATS.items() if entry.read])
def test_what_a_format_writes_it_reads(tmp_path, name):
    words, matrix = ["the", "β"], np.array([[0.1, -2], [3, 1e-7]], np.float32)
    ((paths, note),) = export_vectors(tmp_path, VectorTable(words, matrix), [name])
    assert note == ""
    assert paths[0] == tmp_path / FORMATS[name].file_name
    assert all(path.is_file() for path in paths)
    table = read_vectors(paths[0])
    assert table.words == words
    np.testing.assert_array_equal(table.matrix, matrix)


def test_no_two_formats_claim_a_suffix():
    suffixes = [suffix for entry in FORMATS.values() for suffix in entry.suffixes]
    assert sorted(set(suffixes)) == sorted(suffixes)


def test_a_file_that_is_not_there_says_what_to_give(tmp_path):
    with pytest.raises(UserError, match=r"none.bin: no such file; give a workdir that"):
        read_vectors(tmp_path / "none.bin")


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(TABLE.sub(lambda _: registry.markdown_table(), text), encoding="utf-8")
