"""docs/api.md says what the code is: its second half is made from signatures and docstrings.

python tests/test_api.py        writes it again
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors

import pmc2vec
from pmc2vec.dataset.pairs import PairOptions
from pmc2vec.vectors.keyed_vectors import Vectors
from tests.datasets import topic_articles, write_dataset

API = Path(__file__).parent.parent / "docs" / "api.md"
MARK = "<!-- From here on made from the docstrings: python tests/test_api.py -->"
FUNCTIONS = ("build", "train", "pairs", "iterate_pairs", "tokenize")


def signature(name: str, function: Callable[..., Any]) -> str:
    """Returns a signature as a person would write it."""
    whole = inspect.signature(function)
    parameters = [p for p in whole.parameters.values() if p.name not in {"self", "cls"}]
    text = str(whole.replace(parameters=parameters))
    # The annotations are strings, which Python prints in quotes; those of a default value stay.
    text = re.sub("(: |-> )'([^']*)'", r"\1\2", text).replace("'", '"')
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
    parts += ["## Options of pairs", "", *body(PairOptions), ""]
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
    second_half = text[text.index(MARK) :]
    assert second_half == generated(), "run python tests/test_api.py"


def test_every_method_is_documented():
    undocumented = [name for name, _, text in members(Vectors) if not text]
    assert set(undocumented) <= {"__len__", "__contains__"}


GENSIM = """add_vectors closer_than distances fill_norms get_mean_vector most_similar_to_given rank
    relative_cosine_similarity vectors_for_all most_similar most_similar_cosmul similar_by_word
    similar_by_vector similarity distance n_similarity doesnt_match rank_by_centrality
    get_index get_vector evaluate_word_pairs evaluate_word_analogies load save __getitem__
    __contains__ __len__""".split()


@pytest.mark.parametrize("name", GENSIM)
def test_what_has_gensims_name_is_there_in_gensim(name):
    assert callable(getattr(KeyedVectors, name))
    assert callable(getattr(Vectors, name))


@pytest.mark.parametrize("name", ["index_to_key", "key_to_index", "vectors", "vector_size"])
def test_gensims_fields_are_there(name):
    assert hasattr(KeyedVectors(1), name)
    assert hasattr(Vectors, name)


VECTOR = np.array([0.5, 1, -0.25], np.float32)


@pytest.fixture(scope="module")
def both() -> tuple[KeyedVectors, Vectors]:
    """The same ten words in gensim and here."""
    words = [f"w{number}" for number in range(10)]
    matrix = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    keyed = KeyedVectors(3)
    keyed.add_vectors(words, matrix)
    return keyed, Vectors(words, matrix)


HABITS: dict[str, Callable[[Any], Any]] = {
    "`distances(w)`": lambda v: v.distances("w1"),
    "`distances(w, [a, b])`": lambda v: v.distances("w1", ["w2", "w3"]),
    "`distances(vector)`": lambda v: v.distances(VECTOR),
    "`rank(a, b)`": lambda v: [v.rank("w1", f"w{n}") for n in range(2, 10)],
    "`closer_than(a, b)`": lambda v: v.closer_than("w1", "w5"),
    "`most_similar_to_given(w, [a, b])`": lambda v: v.most_similar_to_given("w1", ["w2", "w3"]),
    "`get_mean_vector([a, b])`": lambda v: v.get_mean_vector(["w1", "w2", "unknown"]),
    "`get_mean_vector([a, vector], weights=)`": lambda v: v.get_mean_vector(
        ["w1", VECTOR], weights=[2, -1], pre_normalize=False, post_normalize=True
    ),
    "`relative_cosine_similarity(a, b)`": lambda v: v.relative_cosine_similarity("w1", "w2", 5),
    "`get_index(w, default=)`": lambda v: (v.get_index("w1"), v.get_index("unknown", default=-1)),
    "`most_similar([(a, 1.7), b])`": lambda v: v.most_similar([("w1", 1.7), "w2"], [("w3", -0.5)]),
    "`most_similar([a, vector])`": lambda v: v.most_similar(["w1", VECTOR], ["w3"]),
    "`most_similar(vector)`": lambda v: v.most_similar(VECTOR),
    "`most_similar(w, topn=None)`": lambda v: v.most_similar("w1", topn=None),
    "`most_similar_cosmul([a, b], [c])`": lambda v: v.most_similar_cosmul(["w1", "w2"], ["w3"]),
    "an id for a word: `v[3]`, `similarity(3, w)`": lambda v: (v[3], v.similarity(3, "w1")),
    "an id for a word: `most_similar(3)`": lambda v: v.most_similar([3, "w1"], topn=4),
    "`vectors_for_all(words)`": lambda v: v.vectors_for_all(["w4", "none", "w1", "w4"]).vectors,
    "`fill_norms()`, `norms`": lambda v: (v.fill_norms(), v.norms)[1],
}


def plain(value: Any) -> Any:
    """Returns an answer of either with numbers that pytest.approx takes."""
    if isinstance(value, np.ndarray | float | np.floating):
        return pytest.approx(np.asarray(value, np.float64), abs=2e-6)
    if isinstance(value, list | tuple):
        return type(value)(plain(entry) for entry in value)
    return value


@pytest.mark.parametrize("habit", sorted(HABITS))
def test_gensims_habits_have_gensims_answers(
    both: tuple[KeyedVectors, Vectors], habit: str
) -> None:
    gensims, ours = (HABITS[habit](vectors) for vectors in both)
    assert ours == plain(gensims)
    assert f"| {habit} |" in API.read_text(encoding="utf-8")


@pytest.mark.parametrize("replace", [False, True])
def test_vectors_are_added_as_in_gensim(replace: bool) -> None:
    matrix = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)
    keyed, vectors = KeyedVectors(3), Vectors(["a", "b"], matrix[:2], np.array([7, 6]))
    keyed.add_vectors(["a", "b"], matrix[:2])
    assert vectors.norms.shape == (2,)
    for one in (keyed, vectors):
        one.add_vectors(["b", "c", "d"], matrix[2:], replace=replace)
    assert vectors.words == keyed.index_to_key == ["a", "b", "c", "d"]
    assert vectors.vectors.tolist() == keyed.vectors.tolist()
    assert vectors.norms.shape == (4,)
    assert vectors.counts is not None
    assert vectors.counts.tolist() == [7, 6, 0, 0]
    with pytest.raises(ValueError, match=r"1 words need \[1, 3\] vectors"):
        vectors.add_vectors(["e"], matrix)


def test_arrays_are_read_only(tmp_path: Path) -> None:
    matrix = np.eye(2, dtype=np.float32)
    Vectors(["a", "b"], matrix, np.array([2, 1])).save(tmp_path)
    for vectors in (Vectors(["a", "b"], matrix), Vectors.load(tmp_path)):
        for array in (vectors.vectors, vectors.norms):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 9
    matrix[0] = 2  # The caller's own array stays as it was.


def test_an_unknown_id_is_named() -> None:
    with pytest.raises(KeyError, match="2 is not in the vocabulary"):
        Vectors(["a", "b"], np.eye(2, dtype=np.float32)).most_similar(2)


def test_the_model_of_ones_own_trains(tmp_path, monkeypatch):
    _, example, _ = re.findall(r"```python\n(.*?)```", API.read_text(encoding="utf-8"), re.DOTALL)
    write_dataset(tmp_path / "dataset", topic_articles(6))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example, names)
    losses = names["model"].history.history["loss"]
    assert losses[-1] < losses[0] < 0.7


def test_the_example_at_the_top_runs(tmp_path, monkeypatch):
    text = API.read_text(encoding="utf-8")
    example, *_ = re.findall(r"```python\n(.*?)```", text[: text.index(MARK)], re.DOTALL)
    rows = "king 3 3\nqueen 3 -3\nman 1 4\nwoman 1 -4\nsea -5 1\n"
    (tmp_path / "glove.txt").write_text(rows)
    (tmp_path / "pairs.tsv").write_text("king\tqueen\t9\nman\tsea\t1\nwoman\tsea\t0\n")
    monkeypatch.chdir(tmp_path)
    printed: list[object] = []
    exec(example, {"print": lambda *values: printed.append(values[0])})
    assert printed[0] == [("queen", pytest.approx(0.9652, abs=1e-4))]
    assert len(printed) == 3


if __name__ == "__main__":
    written = API.read_text(encoding="utf-8")
    API.write_text(written[: written.index(MARK)] + generated(), encoding="utf-8")
