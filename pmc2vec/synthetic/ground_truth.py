"""What was planted in the synthetic articles, and how much of it word vectors have recovered.

`truth.json` is written beside the archives, last, so that a folder without it is not finished. It
holds what a program needs to check itself: how many articles are on the subject, which members are
broken, and the topics, synonyms, analogies and decoys.

`measure_recovery` compares vectors with it. A right pipeline passes every threshold on the default
sample. An error in reading costs at least one of them: tokens that were joined or split leave
planted words out of the vocabulary; references, tables or captions that were kept let decoys in,
and so do articles that the keyword filter should have dropped. Analogies are solved by 3CosAdd
(Mikolov, Yih and Zweig 2013): the word nearest to b - a + c.

    >>> make_analogies(("gout", "allopurinol"), ("malaria", "artesunate"))[0]
    ('gout', 'allopurinol', 'malaria', 'artesunate')
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pmc2vec.errors import UserError
from pmc2vec.storage.local_files import atomic_local_file
from pmc2vec.synthetic import lexicon
from pmc2vec.vectors.keyed_vectors import Vectors

TRUTH_NAME: Final = "truth.json"
TRUTH_FORMAT: Final = "pmc2vec.truth"
TRUTH_VERSION: Final = 1

PlantedAnalogy = tuple[str, str, str, str]
"""a, b, c, d: a is to b as c is to d."""


@dataclass(frozen=True)
class BrokenArticle:
    """A member that no parser can read: its archive, its name in there, and what is wrong."""

    archive: str
    member: str
    kind: str


@dataclass(frozen=True)
class GroundTruth:
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
    analogies: tuple[PlantedAnalogy, ...]
    dressed: Mapping[str, tuple[str, ...]]
    decoys: Mapping[str, tuple[str, ...]]
    probes: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Writes the truth as JSON, one field a line, at once or not at all."""
        values = {"format": TRUTH_FORMAT, "version": TRUTH_VERSION, **dataclasses.asdict(self)}
        lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())
        with atomic_local_file(path) as file:
            file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Returns what `write` wrote.

        Raises:
            ValueError: not JSON, of another format or version, or a field is missing or unknown.
        """
        values = json.loads(text)
        mark = (values.pop("format"), values.pop("version")) if _has_format(values) else None
        if mark != (TRUTH_FORMAT, TRUTH_VERSION):
            raise ValueError(f"expected {TRUTH_FORMAT} version {TRUTH_VERSION}, found {mark}")
        try:
            values["broken"] = [BrokenArticle(**each) for each in values["broken"]]
            return cls(**{name: _as_tuples(value) for name, value in values.items()})
        except (KeyError, TypeError) as error:
            raise ValueError(f"its fields do not fit: {error}") from error


def read_ground_truth(path: Path | str) -> GroundTruth:
    """Returns the truth at `path`, a `truth.json` or the folder that holds one.

    Raises:
        UserError: there is none, or it is not one that this version reads.
    """
    path = Path(path)
    path = path / TRUTH_NAME if path.is_dir() else path
    try:
        return GroundTruth.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `pmc2vec sample` writes one, last") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}; make the sample again") from error


def planted_ground_truth(
    *,
    config: Mapping[str, Any],
    archives: tuple[str, ...],
    on_subject: int,
    off_subject: int,
    reference_only: int,
    broken: tuple[BrokenArticle, ...],
) -> GroundTruth:
    """Returns the truth of a sample with these articles in its archives."""
    pairs = lexicon.SYNONYMS
    return GroundTruth(
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
            *make_analogies(*((each.disease, each.drug) for each in lexicon.TRIPLES)),
            *make_analogies(*((each.disease, each.gene) for each in lexicon.TRIPLES)),
        ),
        dressed=_dressed_words(),
        decoys={**lexicon.DECOYS, "off subject": sum(lexicon.OFF_SUBJECTS.values(), ())},
        probes=("melanoma", "insulin", "fever", "tumour", "imatinib", "cftr", "renal", "stroke"),
    )


def make_analogies(*pairs: tuple[str, str]) -> tuple[PlantedAnalogy, ...]:
    """Returns a : b = c : d for every two of the pairs, in both orders."""
    return tuple((*first, *second) for first, second in itertools.permutations(pairs, 2))


def _dressed_words() -> dict[str, tuple[str, ...]]:
    """Returns trap -> words that occur in the XML only with that markup."""
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


def _has_format(values: object) -> bool:
    return isinstance(values, dict) and {"format", "version"} <= values.keys()


def _as_tuples(value: Any) -> Any:
    """Returns JSON's lists as tuples, at any depth."""
    if isinstance(value, list):
        return tuple(_as_tuples(each) for each in value)
    if isinstance(value, dict):
        return {name: _as_tuples(each) for name, each in value.items()}
    return value


# --- recovery ------------------------------------------------------------------------------------

# How many nearest neighbours are looked at.
_SYNONYM_NEIGHBOURS: Final = 5
_ANALOGY_NEIGHBOURS: Final = 5
_TOPIC_NEIGHBOURS: Final = 10

_MIN_WORDS: Final = 1.0
_MIN_SYNONYMS: Final = 0.80
_MIN_ANALOGIES: Final = 0.60  # Losing the words of one of the two relations costs half.
_MIN_TOPICS: Final = 0.70


@dataclass(frozen=True)
class Score:
    """A measured value and the threshold that it must reach, or not exceed in case of decoys."""

    name: str
    value: float
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Recovery:
    """How much of a ground truth vectors have recovered; shares are in 0..1, of all planted.

    Attributes:
        words: share of the planted words that are in the vocabulary.
        synonyms: share of synonyms with their partner among the 5 nearest neighbours.
        analogies: share of analogies whose answer is the nearest word.
        analogies_near: share of analogies whose answer is among the 5 nearest words.
        topics: same-topic share of the 10 nearest neighbours, mean over all topic words.
        missing: kind of planted word -> those not in the vocabulary.
        decoys: kind of decoy -> those in the vocabulary; none of them should be.
    """

    words: float
    synonyms: float
    analogies: float
    analogies_near: float
    topics: float
    missing: Mapping[str, tuple[str, ...]]
    decoys: Mapping[str, tuple[str, ...]]

    @property
    def num_decoys(self) -> int:
        """Decoys in the vocabulary."""
        return sum(map(len, self.decoys.values()))

    @property
    def scores(self) -> tuple[Score, ...]:
        """The scores that decide whether the vectors pass."""
        judged = (
            ("planted words in the vocabulary", self.words, _MIN_WORDS),
            ("synonyms among 5 neighbours", self.synonyms, _MIN_SYNONYMS),
            ("analogies solved", self.analogies, _MIN_ANALOGIES),
            ("neighbours of the same topic", self.topics, _MIN_TOPICS),
        )
        return (
            *(Score(name, value, least, value >= least) for name, value, least in judged),
            Score("decoys in the vocabulary", self.num_decoys, 0, self.num_decoys == 0),
        )

    @property
    def passed(self) -> bool:
        """Whether every score passed."""
        return all(score.passed for score in self.scores)


def measure_recovery(truth: GroundTruth, vectors: Vectors) -> Recovery:
    """Returns how much of `truth` the vectors, of words in lower case, have recovered."""
    groups = _planted_groups(truth)
    planted = set().union(*groups.values())
    words = vectors.ids.keys()
    first, near = _analogy_shares(truth, vectors)
    return Recovery(
        words=_ratio(len(planted & words), len(planted)),
        synonyms=_synonym_share(truth, vectors),
        analogies=first,
        analogies_near=near,
        topics=_topic_share(truth, vectors),
        missing=_sorted_groups({kind: group - words for kind, group in groups.items()}),
        decoys=_sorted_groups({kind: words & set(group) for kind, group in truth.decoys.items()}),
    )


def _neighbours(vectors: Vectors, word: str, topn: int) -> set[str]:
    return {neighbour for neighbour, _ in vectors.most_similar(word, topn=topn)}


def _synonym_share(truth: GroundTruth, vectors: Vectors) -> float:
    synonyms = [(word, set(group) - {word}) for group in truth.synonyms for word in group]
    hits = sum(
        not partners.isdisjoint(_neighbours(vectors, word, _SYNONYM_NEIGHBOURS))
        for word, partners in synonyms
        if word in vectors
    )
    return _ratio(hits, len(synonyms))


def _analogy_shares(truth: GroundTruth, vectors: Vectors) -> tuple[float, float]:
    """Returns the shares of analogies whose answer is the nearest word, and is near."""
    first = near = 0
    for a, b, c, answer in truth.analogies:
        if all(word in vectors for word in (a, b, c, answer)):
            words = [word for word, _ in vectors.analogy(a, b, c, _ANALOGY_NEIGHBOURS)]
            first += words[:1] == [answer]
            near += answer in words
    return _ratio(first, len(truth.analogies)), _ratio(near, len(truth.analogies))


def _topic_share(truth: GroundTruth, vectors: Vectors) -> float:
    topics = [(word, set(group)) for group in truth.topics.values() for word in group]
    same = sum(
        len(group & _neighbours(vectors, word, _TOPIC_NEIGHBOURS))
        for word, group in topics
        if word in vectors
    )
    return _ratio(same, len(topics) * _TOPIC_NEIGHBOURS)


def _planted_groups(truth: GroundTruth) -> dict[str, set[str]]:
    """Returns kind -> planted words."""
    return {
        "topics": {word for group in truth.topics.values() for word in group},
        "synonyms": {word for group in truth.synonyms for word in group},
        "analogies": {word for each in truth.analogies for word in each},
        **{kind: set(group) for kind, group in truth.dressed.items()},
    }


def _sorted_groups(groups: Mapping[str, AbstractSet[str]]) -> dict[str, tuple[str, ...]]:
    """Returns the groups that have words, each sorted."""
    return {kind: tuple(sorted(group)) for kind, group in groups.items() if group}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
