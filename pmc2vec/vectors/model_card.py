"""MODEL_CARD.md: what vectors were trained on, how, how good they are, and how to cite them.

All of it comes from the workdir's provenance.json, which `pmc2vec train` writes last. What that
file does not say, the card leaves out. The headings are those of Mitchell et al. 2019, "Model Cards
for Model Reporting", as far as word vectors have them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmc2vec.errors import UserError
from pmc2vec.vectors.vector_files import replacing

if TYPE_CHECKING:
    from pmc2vec.vectors.word_vectors import Vectors

NAME = "MODEL_CARD.md"
PROVENANCE = "provenance.json"

_OURS = ("dataset", "workdir", "checkpoint_dir", "log_dir", "manifest_sha256")
"""Of the configuration: folders, which mean nothing elsewhere, and what the citation says."""

_SHOWN = 8  # values of an option such as --input

_ARCHITECTURES = {"cbow": "continuous bags of words"}
_OBJECTIVES = {"softmax": "softmax over noise"}

_LIMITS = (
    "A word has one vector, whatever its senses; a word that was not frequent enough has none.",
    "Nearness is likeness of use in these articles, with the biases of their authors.",
    "It is neither truth nor medical advice.",
)


def write(workdir: Path, folder: Path, vectors: Vectors) -> Path | None:
    """Writes the card of a workdir's vectors and returns its path.

    Args:
        workdir: where provenance.json is; a file or a folder without it has no card.
        folder: where the card goes.
        vectors: the workdir's.

    Raises:
        UserError: provenance.json is no JSON object.
    """
    source = workdir / PROVENANCE
    if not source.is_file():
        return None
    try:
        provenance = json.loads(source.read_bytes())
    except ValueError as error:
        raise UserError(f"{source}: not JSON ({error}); train again in a new workdir") from error
    if not isinstance(provenance, dict):
        raise UserError(f"{source}: no JSON object; train again in a new workdir")
    with replacing(folder / NAME) as file:
        file.write(
            model_card(provenance, words=vectors.words, vector_size=vectors.vector_size).encode()
        )
    return folder / NAME


def model_card(provenance: Mapping[str, Any], *, words: Sequence[str], vector_size: int) -> str:
    """Returns the card as Markdown.

    Args:
        provenance: what provenance.json holds.
        words: the vocabulary.
        vector_size: dimensions of a vector.
    """
    dataset = _part(provenance, "dataset")
    trained = {**_part(provenance, "config"), **_part(provenance, "trained")}
    sections = {
        "Training data": _data(_part(dataset, "funnel")),
        "Licences of the articles": _table(_part(dataset, "licences")),
        "How the dataset was built": _table(_part(dataset, "config")),
        "How the vectors were trained": _table(
            {name: value for name, value in trained.items() if name not in _OURS}
        ),
        "Scores": _table(
            {
                n.replace("_", " "): v
                for n, v in _part(provenance, "scores").items()
                if v is not None
            }
        ),
    }
    lines = ["# Word vectors from PubMed Central", "", _summary(provenance, words, vector_size)]
    for title, rows in sections.items():
        if rows:
            lines += ["", f"## {title}", "", "| | |", "|---|---|", *rows]
    lines += ["", "## Limits", "", *(f"* {limit}" for limit in _LIMITS)]
    lines += ["", "## How to cite", "", _citation(provenance), ""]
    return "\n".join(lines)


def _summary(provenance: Mapping[str, Any], words: Sequence[str], vector_size: int) -> str:
    version, config = provenance.get("code_version"), _part(provenance, "config")
    examples = _ARCHITECTURES.get(str(config.get("architecture")), "skip-grams")
    objective = _OBJECTIVES.get(str(config.get("objective")), "negative sampling")
    added = ""
    if config.get("add_context") and not config.get("tie_embeddings"):
        added = "; the sum of its vectors as a word and as a context"
    return (
        f"{len(words):,} words, each with a vector of {vector_size} numbers, trained as {examples} "
        f"with {objective} by pmc2vec{f' {version}' if version else ''}{added}. The most frequent "
        f"are {', '.join(map(_text, words[:5]))}."
    )


def _data(funnel: Mapping[str, Any]) -> list[str]:
    """Returns the rows of the funnel, in its own order."""
    names = {"read": "articles read", "kept": "articles kept"}
    return _table(
        {names.get(n, n.replace(":", ": ").replace("_", " ")): v for n, v in funnel.items()}
    )


def _table(values: Mapping[str, Any]) -> list[str]:
    return [f"| {_text(name)} | {_value(value)} |" for name, value in values.items()]


def _citation(provenance: Mapping[str, Any]) -> str:
    """Returns what to name, so that others can tell these vectors from all others."""
    digest = _part(provenance, "dataset").get("manifest_sha256")
    which = f" (manifest sha256 {digest})" if digest else ""
    return (
        f"Name pmc2vec {provenance.get('code_version', '')}".rstrip() + ", the dataset"
        f"{which}, PubMed Central and the method: T. Mikolov, I. Sutskever, K. Chen, G. Corrado "
        'and J. Dean, "Distributed Representations of Words and Phrases and their '
        'Compositionality", NIPS 2013.'
    )


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def _value(value: object) -> str:
    """Returns a value as a cell of a table.

    >>> _value(["b", "c"]), _value(None), _value(1234567), _value(0.123456), _value([])
    ('b, c', 'none', '1,234,567', '0.1235', 'none')
    """
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return ", ".join(map(_value, value[:_SHOWN])) + more or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else _text(str(value))


def _text(text: str) -> str:
    """Returns text that Markdown takes as it is, in a table too."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
