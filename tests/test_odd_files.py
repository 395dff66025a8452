"""Real odd files, if the environment variable PMC2VEC_ODD names their folder.

Their folders say what they are: `nonjats` is to be rejected, `jats_odd` to be read, `broken` to be
rejected; `synthetic` is listed here.
"""

import os
import time
from pathlib import Path

import pytest

from beam_pipelines.inputs.documents import Document, ReadOptions
from beam_pipelines.inputs.sources import read_documents
from beam_pipelines.jats.article_reader import SECTION_NAMES, RejectedError, read_articles

FOLDER = os.environ.get("PMC2VEC_ODD", "")
FILES = sorted(Path(FOLDER).glob("*/*")) if FOLDER else []
if not FILES:
    pytest.skip("PMC2VEC_ODD names no folder of odd files", allow_module_level=True)

REJECTED = {
    # Articles without front matter: nothing says what they are.
    "jats_odd/biotext_floating_table.xml": "not_jats",
    "jats_odd/biotext_format_chars_table.xml": "not_jats",
    # A publisher's own format, with prefixes that are not declared.
    "jats_odd/internal_subset_2.xml": "broken_xml",
    "nonjats/lfs_pointer_1.xml": "not_xml",
    "nonjats/lfs_pointer_2.xml": "not_xml",
    "nonjats/xhtml.xml": "not_xml",
    "synthetic/bad_utf8_byte.xml": "broken_xml",
    "synthetic/billion_laughs.xml": "hostile_xml",
    "synthetic/control_char.xml": "broken_xml",
    "synthetic/deep_nesting_3000.xml": "hostile_xml",
    "synthetic/empty.xml": "empty",
    "synthetic/not_xml.xml": "not_xml",
    "synthetic/truncated.xml": "broken_xml",
    "synthetic/whitespace_only.xml": "empty",
}
BY_FOLDER = {"nonjats": "not_jats", "broken": "broken_xml"}
ARTICLES = {
    "jats_odd/articles_wrapper_10.xml": 10,
    "jats_odd/pmc_articleset_7.xml": 7,
    "synthetic/xxe_external_entity.xml": 0,  # its only text is what it may not read
}


def outcome(path: Path) -> str | int:
    """Returns why a file was rejected, or how many of its articles have text."""
    with path.open("rb") as file:
        (document,) = read_documents(file, path.name, ReadOptions())
    assert isinstance(document, Document)
    try:
        found = read_articles(document.data, document.member, SECTION_NAMES)
    except RejectedError as error:
        return error.reason
    return sum(1 for article in found if article.sections)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_odd_file_ends_as_it_should(path):
    name = f"{path.parent.name}/{path.name}"
    expected = REJECTED.get(name) or BY_FOLDER.get(path.parent.name) or ARTICLES.get(name, 1)
    started = time.process_time()
    assert outcome(path) == expected
    assert time.process_time() - started < 2
