"""docs/text.md is what the program does.

python -m tests.test_text_page        writes the right column of its tables again
"""

import re
from pathlib import Path

import pytest

from beam_pipelines.jats.article_reader import read_articles
from beam_pipelines.stages.corpus_parts import Reading, tokenize_article

PAGE = Path(__file__).parent.parent / "docs" / "text.md"
ROW = re.compile(r"^\| `(.+)` \| ?(?:`(.*)` )?\|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text(encoding="utf-8"))
EXAMPLE = "IL-2 fell by 0.5 (10%) at https://a.org"


def tokens(left: str) -> str:
    """Returns the tokens of a row: of an article with this paragraph, or of options."""
    options = {}
    if match := re.fullmatch(r"--(\w+) (\w+)", left):
        options, left = {match[1]: match[2]}, EXAMPLE
    references = '<back><ref-list><ref id="b1"/><ref id="b2"/></ref-list></back>'
    front = "<front><article-meta/></front>"
    xml = f"<article>{front}<body><p>{left}</p></body>{references}</article>"
    (article,) = read_articles(xml.encode(), "a.xml")
    return " / ".join(tokenize_article(article, "", "", Reading(**options)).sentences)


@pytest.mark.parametrize(("left", "right"), ROWS)
def test_row(left, right):
    assert tokens(left) == right


def test_there_are_twenty_examples_and_each_option():
    assert len(ROWS) >= 20 + 7
    assert EXAMPLE in PAGE.read_text(encoding="utf-8")


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(ROW.sub(lambda row: f"| `{row[1]}` | `{tokens(row[1])}` |", text))
