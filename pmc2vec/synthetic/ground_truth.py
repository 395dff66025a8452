"""The truth of a synthetic sample: what stands in its archives, and what vectors must know.

`truth.json` stands beside the archives and is written last, so a folder without it is not
finished. It holds everything that a program needs to check itself against: how many articles are
on the subject, which members are broken, and the topics, synonyms, analogies and decoys.

    >>> analogies(("gout", "allopurinol"), ("malaria", "artesunate"))[0]
    ('gout', 'allopurinol', 'malaria', 'artesunate')
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pmc2vec.errors import UserError
from pmc2vec.synthetic import lexicon

TRUTH: Final = "truth.json"
FORMAT: Final = "pmc2vec.truth"
VERSION: Final = 1

Analogy = tuple[str, str, str, str]
"""a, b, c, d: a is to b as c is to d."""


@dataclass(frozen=True)
class BrokenArticle:
    """A member that no parser can read: its archive, its name in there, and what is wrong."""

    archive: str
    member: str
    kind: str


@dataclass(frozen=True)
class Truth:
    """What was planted; see `pmc2vec.synthetic.lexicon` for how.

    Attributes:
        config: the options that made the sample, without its place.
        archives: file names, in order.
        articles: members in all archives: on_subject + off_subject + broken.
        on_subject: articles with a keyword in title, abstract or body.
        off_subject: articles without.
        reference_only: those of `off_subject` that have a keyword in a reference.
        broken: members that cannot be parsed, in order.
        keywords: the words that a filter for the subject looks for, in any case.
        topics: topic -> words that are nearer each other than those of another topic.
        synonyms: pairs of words with one meaning.
        analogies: a, b, c, d with a : b = c : d.
        dressed: kind of markup -> words that are lost where it is read wrongly.
        decoys: kind of place -> words that must not be in the vocabulary.
        probes: a few words whose neighbours are worth a look.
    """

    config: Mapping[str, Any]
    archives: tuple[str, ...]
    articles: int
    on_subject: int
    off_subject: int
    reference_only: int
    broken: tuple[BrokenArticle, ...]
    keywords: tuple[str, ...]
    topics: Mapping[str, tuple[str, ...]]
    synonyms: tuple[tuple[str, ...], ...]
    analogies: tuple[Analogy, ...]
    dressed: Mapping[str, tuple[str, ...]]
    decoys: Mapping[str, tuple[str, ...]]
    probes: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Writes the truth as JSON, one field a line, at once or not at all."""
        values = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns what `save` wrote.

        Raises:
            ValueError: not JSON, of another format or version, or a field is missing or unknown.
        """
        values = json.loads(text)
        found = (values.pop("format"), values.pop("version")) if _marked(values) else None
        if found != (FORMAT, VERSION):
            raise ValueError(f"expected {FORMAT} version {VERSION}, found {found}")
        try:
            values["broken"] = [BrokenArticle(**each) for each in values["broken"]]
            return cls(**{name: _frozen(value) for name, value in values.items()})
        except (KeyError, TypeError) as error:
            raise ValueError(f"its fields do not fit: {error}") from error


def load_truth(path: Path | str) -> Truth:
    """Returns the truth at `path`, a `truth.json` or the folder that holds one.

    Raises:
        UserError: there is none, or it is not one that this version reads.
    """
    path = Path(path)
    path = path / TRUTH if path.is_dir() else path
    try:
        return Truth.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `pmc2vec sample` writes one, last") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}; make the sample again") from error


def planted_truth(
    *,
    config: Mapping[str, Any],
    archives: tuple[str, ...],
    on_subject: int,
    off_subject: int,
    reference_only: int,
    broken: tuple[BrokenArticle, ...],
) -> Truth:
    """Returns the truth of a sample, given what its archives hold."""
    pairs = lexicon.SYNONYMS
    return Truth(
        config=config,
        archives=archives,
        articles=on_subject + off_subject + len(broken),
        on_subject=on_subject,
        off_subject=off_subject,
        reference_only=reference_only,
        broken=broken,
        keywords=lexicon.KEYWORDS,
        topics={
            topic: words
            + tuple(
                word
                for pair in pairs
                if pair.topic == topic
                for word in (*pair.words, *pair.companions)
            )
            for topic, words in lexicon.TOPICS.items()
        },
        synonyms=tuple(pair.words for pair in pairs),
        analogies=(
            *analogies(*((each.disease, each.drug) for each in lexicon.TRIPLES)),
            *analogies(*((each.disease, each.gene) for each in lexicon.TRIPLES)),
        ),
        dressed=_dressed(),
        decoys={**lexicon.DECOYS, "off subject": tuple(sum(lexicon.OFF_SUBJECTS.values(), ()))},
        probes=("melanoma", "insulin", "fever", "tumour", "imatinib", "cftr", "renal", "stroke"),
    )


def analogies(*pairs: tuple[str, str]) -> tuple[Analogy, ...]:
    """Returns a : b = c : d for every two of the pairs, in both orders."""
    return tuple((*first, *second) for first, second in itertools.permutations(pairs, 2))


def _dressed() -> dict[str, tuple[str, ...]]:
    """Returns trap -> words that stand in the XML in that dress only."""
    words: dict[str, list[str]] = {}
    for pair in lexicon.SYNONYMS:
        if pair.trap not in {lexicon.PLAIN, lexicon.HOMOGRAPH}:
            lost = pair.words if pair.trap == lexicon.EDGE else pair.words[1:]
            words.setdefault(pair.trap, []).extend(lost)
    for triple in lexicon.TRIPLES:
        lowered = lexicon.SUBSCRIPT if "<sub>" in triple.gene_form else lexicon.ITALIC
        words[lowered].append(triple.gene)
    words[lexicon.SUBSCRIPT] += lexicon.UNITS
    words[lexicon.FIGURE] = ["figure"]
    return {trap: tuple(lost) for trap, lost in words.items()}


def _marked(values: object) -> bool:
    return isinstance(values, dict) and {"format", "version"} <= values.keys()


def _frozen(value: Any) -> Any:
    """Returns JSON's lists as tuples, at any depth."""
    if isinstance(value, list):
        return tuple(_frozen(each) for each in value)
    if isinstance(value, dict):
        return {name: _frozen(each) for name, each in value.items()}
    return value
