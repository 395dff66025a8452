"""docs/api.md says what the code is: its second half is made from signatures and docstrings.

python tests/test_api.py        writes it again
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gensim.models import KeyedVectors

import pmc2vec
from pmc2vec.vectors.keyed_vectors import Vectors

API = Path(__file__).parent.parent / "docs" / "api.md"
MARK = "<!-- From here on made from the docstrings: python tests/test_api.py -->"
FUNCTIONS = ("build", "train")


def signature(name: str, function: Callable[..., Any]) -> str:
    """Returns a signature as a person would write it."""
    found = inspect.signature(function)
    parameters = [p for p in found.parameters.values() if p.name not in {"self", "cls"}]
    text = str(found.replace(parameters=parameters)).replace("'", "")
    return f"{name}{text}".replace("collections.abc.", "").replace("pathlib._local.", "").replace(
        "pathlib.", ""
    )  # fmt: skip


def members(owner: type) -> Iterator[tuple[str, str, str]]:
    """Yields the name, signature and docstring of each public member, in their order."""
    for name, member in vars(owner).items():
        if name.startswith("_") and name not in {"__getitem__", "__contains__", "__len__"}:
            continue
        plain = member.__func__ if isinstance(member, classmethod) else member
        text = inspect.getdoc(plain) or ""
        if inspect.isfunction(plain):
            yield name, signature(f"{owner.__name__}.{name}", plain), text
        else:
            yield name, f"{owner.__name__}.{name}", text


def generated() -> str:
    """Returns the part of docs/api.md that is made from the code."""
    parts = [MARK, "", "## Functions", ""]
    for name in FUNCTIONS:
        function = getattr(pmc2vec, name)
        parts += [f"### `{signature(f'pmc2vec.{name}', function)}`", "", *body(function), ""]
    parts += ["## pmc2vec.Vectors", "", *body(Vectors), ""]
    for _, heading, text in members(Vectors):
        if text:
            parts += [f"### `{heading}`", "", *markdown(text), ""]
    return "\n".join(parts).rstrip() + "\n"


def body(thing: object) -> list[str]:
    return markdown(inspect.getdoc(thing) or "")


def markdown(text: str) -> list[str]:
    """Returns the lines of a Google docstring as Markdown: sections become lists.

    A line that is deeper than its list's entries goes on with the entry above it.
    """
    lines = []
    for line in text.splitlines():
        if re.fullmatch(r"(Args|Attributes|Returns|Raises):", line):
            lines += [f"*{line[:-1]}*", ""]
        elif re.match(r"    \w+: ", line):
            name, _, rest = line.strip().partition(": ")
            lines.append(f"* `{name}`: {rest}")
        else:
            lines.append(re.sub("^ {4}(?! )", "", line) if line.startswith("    ") else line)
    return [re.sub("^ {4,}", "  ", line) for line in lines]


def test_the_document_is_that_of_the_code():
    text = API.read_text(encoding="utf-8")
    made = text[text.index(MARK) :]
    assert made == generated(), "run python tests/test_api.py"


def test_every_method_is_documented():
    undocumented = [name for name, _, text in members(Vectors) if not text]
    assert set(undocumented) <= {"__len__", "__contains__"}


GENSIM = """most_similar most_similar_cosmul similar_by_word similar_by_vector similarity distance
    n_similarity doesnt_match rank_by_centrality get_index get_vector evaluate_word_pairs
    evaluate_word_analogies load save __getitem__ __contains__ __len__""".split()


@pytest.mark.parametrize("name", GENSIM)
def test_what_has_gensims_name_is_there_in_gensim(name):
    assert callable(getattr(KeyedVectors, name))
    assert callable(getattr(Vectors, name))


@pytest.mark.parametrize("name", ["index_to_key", "key_to_index", "vectors", "vector_size"])
def test_gensims_fields_are_there(name):
    assert hasattr(KeyedVectors(1), name)
    assert hasattr(Vectors, name)


def test_the_example_at_the_top_runs(tmp_path, monkeypatch):
    text = API.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text[: text.index(MARK)], re.DOTALL)
    rows = "king 3 3\nqueen 3 -3\nman 1 4\nwoman 1 -4\nsea -5 1\n"
    (tmp_path / "glove.txt").write_text(rows)
    (tmp_path / "pairs.tsv").write_text("king\tqueen\t9\nman\tsea\t1\nwoman\tsea\t0\n")
    monkeypatch.chdir(tmp_path)
    told: list[object] = []
    exec(example, {"print": lambda *values: told.append(values[0])})
    assert told[0] == [("queen", pytest.approx(0.9652, abs=1e-4))]
    assert len(told) == 3


if __name__ == "__main__":
    written = API.read_text(encoding="utf-8")
    API.write_text(written[: written.index(MARK)] + generated(), encoding="utf-8")
