"""MODEL_CARD.md: what vectors were trained on, how, how good they are, and how to cite them.

All of it comes from provenance.json in the workdir, which `pmc2vec train` writes last. The card
leaves out what that file does not hold. The headings are those of Mitchell et al. 2019, "Model
Cards for Model Reporting", as far as they fit word vectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.vectors.formats.vector_table import VectorTable

MODEL_CARD = "MODEL_CARD.md"

_PROVENANCE = "provenance.json"

# Options that the card leaves out: folders mean nothing on another machine, and the citation has
# the digest.
_HIDDEN_OPTIONS = ("dataset", "workdir", "checkpoint_dir", "log_dir", "manifest_sha256")

_MAX_VALUES = 8  # Values shown of an option such as --input, which may have thousands.

# The YAML that Hugging Face's Hub reads at the head of a card. It has no name for a mixture of
# licences, which have a section of their own.
_FRONT_MATTER = (
    "---",
    "language: en",
    "license: other",
    "license_name: licences-of-the-articles",
    "pipeline_tag: feature-extraction",
    "tags:",
    *(f"- {tag}" for tag in ("word2vec", "word-embeddings", "biomedical", "pubmed-central")),
    "---",
)

_ARCHITECTURES = {"cbow": "continuous bags of words"}
_OBJECTIVES = {"softmax": "softmax over noise"}
_OUTPUT_NOTES = {
    "balanced": "; its vectors as a target and, by a fifth, as a context, balanced",
    "sum": "; the sum of its vectors as a target and as a context",
    "concatenate": "; its vectors as a target and as a context side by side",
}

_LIMITS = (
    "A word has one vector, whatever its senses; a word that was not frequent enough has none.",
    "Nearness is likeness of use in these articles, with the biases of their authors.",
    "It is neither truth nor medical advice.",
)


def write_model_card(workdir: Path, folder: Path, table: VectorTable) -> Path | None:
    """Writes the card of the vectors in a workdir and returns its path.

    Args:
        workdir: folder of provenance.json. Without that file there is no card: returns None.
        folder: where the card goes.
        table: the vectors.

    Raises:
        UserError: provenance.json is not a JSON object.
    """
    source = workdir / _PROVENANCE
    if not source.is_file():
        return None
    try:
        provenance = json.loads(source.read_bytes())
    except ValueError as error:
        raise UserError(f"{source}: not JSON ({error}); train again in a new workdir") from error
    if not isinstance(provenance, dict):
        raise UserError(f"{source}: not a JSON object; train again in a new workdir")
    card = model_card(provenance, words=table.words, vector_size=table.matrix.shape[1])
    with atomic_local_file(folder / MODEL_CARD) as file:
        file.write(card.encode())
    return folder / MODEL_CARD


def model_card(provenance: Mapping[str, Any], *, words: Sequence[str], vector_size: int) -> str:
    """Returns the card as Markdown.

    Args:
        provenance: content of provenance.json.
        words: the vocabulary.
        vector_size: dimensions of a vector.
    """
    dataset = _object(provenance, "dataset")
    training = {**_object(provenance, "config"), **_object(provenance, "trained")}
    sections = {
        "Training data": _funnel_rows(_object(dataset, "funnel")),
        "Licences of the articles": _rows(_object(dataset, "licences")),
        "How the dataset was built": _rows(_object(dataset, "config")),
        "How the vectors were trained": _rows(
            {name: value for name, value in training.items() if name not in _HIDDEN_OPTIONS}
        ),
        "Scores": _rows(_scores(_object(provenance, "scores"))),
    }
    title = "# Word vectors from PubMed Central"
    lines = [*_FRONT_MATTER, "", title, "", _summary(provenance, words, vector_size)]
    for title, rows in sections.items():
        if rows:
            lines += ["", f"## {title}", "", "| | |", "|---|---|", *rows]
    lines += ["", "## Limits", "", *(f"* {limit}" for limit in _LIMITS)]
    lines += ["", "## How to cite", "", _citation(provenance), ""]
    return "\n".join(lines)


def _scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the scores that there are, each under a name of its own.

    >>> _scores({"validation_loss": 2.5, "word_pairs": {"MEN": 0.7}, "accuracy": None})
    {'validation loss': 2.5, 'word pairs: MEN': 0.7}
    """
    flat: dict[str, Any] = {}
    for name, value in scores.items():
        title = name.replace("_", " ")
        flat |= (
            {f"{title}: {part}": score for part, score in value.items()}
            if isinstance(value, Mapping)
            else {title: value}
        )
    return {name: value for name, value in flat.items() if value is not None}


def _summary(provenance: Mapping[str, Any], words: Sequence[str], vector_size: int) -> str:
    version, config = provenance.get("code_version"), _object(provenance, "config")
    examples = _ARCHITECTURES.get(str(config.get("architecture")), "skip-grams")
    objective = _OBJECTIVES.get(str(config.get("objective")), "negative sampling")
    # A workdir of an earlier version says `add_context`.
    kind = config.get("output_vectors", "sum" if config.get("add_context") else "target")
    output_note = "" if config.get("tie_embeddings") else _OUTPUT_NOTES.get(str(kind), "")
    return (
        f"{len(words):,} words, each with a vector of {vector_size} numbers, trained as {examples} "
        f"with {objective} by pmc2vec{f' {version}' if version else ''}{output_note}. The most "
        f"frequent are {', '.join(map(_text, words[:5]))}."
    )


def _funnel_rows(funnel: Mapping[str, Any]) -> list[str]:
    """Returns how many articles were read, dropped by each reason, and kept."""
    titles = {"read": "articles read", "kept": "articles kept"}
    return _rows(
        {
            titles.get(name, name.replace(":", ": ").replace("_", " ")): count
            for name, count in funnel.items()
        }
    )


def _rows(values: Mapping[str, Any]) -> list[str]:
    return [f"| {_text(name)} | {_value(value)} |" for name, value in values.items()]


def _citation(provenance: Mapping[str, Any]) -> str:
    """Returns what to cite, which identifies these vectors."""
    digest = _object(provenance, "dataset").get("manifest_sha256")
    identity = f" (manifest sha256 {digest})" if digest else ""
    return (
        f"Name pmc2vec {provenance.get('code_version', '')}".rstrip() + ", the dataset"
        f"{identity}, PubMed Central and the method: T. Mikolov, I. Sutskever, K. Chen, G. Corrado "
        'and J. Dean, "Distributed Representations of Words and Phrases and their '
        'Compositionality", NIPS 2013.'
    )


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name)
    return value if isinstance(value, Mapping) else {}


def _value(value: object) -> str:
    """Returns a value as the cell of a table.

    >>> _value(["b", "c"]), _value(None), _value(1234567), _value(0.123456), _value([])
    ('b, c', 'none', '1,234,567', '0.1235', 'none')
    """
    if isinstance(value, list | tuple):
        rest = f" and {len(value) - _MAX_VALUES} more" if len(value) > _MAX_VALUES else ""
        return ", ".join(map(_value, value[:_MAX_VALUES])) + rest or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else _text(str(value))


def _text(text: str) -> str:
    """Returns text escaped for Markdown, also inside a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
