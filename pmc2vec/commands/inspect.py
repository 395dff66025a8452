"""`pmc2vec inspect`: what a dataset or a workdir holds, checked, for a person or as JSON.

The facts come from `inspection`; here they become tables. What is unfinished or damaged ends with
one line on stderr and exit code 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text
from tyro.conf import Positional

from pmc2vec.cli.console import ResultConsole, print_json, verbosity
from pmc2vec.cli.options import parse
from pmc2vec.commands.inspection import corpus_facts, dataset_facts, unfinished, workdir_facts
from pmc2vec.dataset import manifest, vocabulary
from pmc2vec.dataset.records import SPLITS
from pmc2vec.errors import UserError
from pmc2vec.vectors.formats.workdir_files import VECTORS_TSV
from trainer.config import TrainConfig
from trainer.workdir import CHECKPOINTS_NAME, CONFIG_NAME, PROVENANCE_NAME

_DATASET = (
    manifest.MANIFEST_NAME,
    vocabulary.VOCABULARY_NAME,
    "corpus",
    *(f"{split}-*" for split in SPLITS),
)
_WORKDIR = (CONFIG_NAME, CHECKPOINTS_NAME, VECTORS_TSV, PROVENANCE_NAME)

# Options that say where and not how.
_PLACES = {"dataset", "workdir", "checkpoint_dir", "log_dir", "cache_dir"}

_NEGATIVES = 5  # of a pair's, shown

_FUNNEL_TITLES = {
    "read": "articles read",
    "kept": "articles kept",
    "sentences": "sentences",
    "tokens": "tokens",
}
"""Of a funnel, in this order: the reasons stand after the first, anything else after the last."""


@dataclass(frozen=True)
class InspectConfig:
    """Options of `pmc2vec inspect`."""

    folder: Positional[Path]
    """A dataset of `pmc2vec build`, or a workdir of `pmc2vec train`."""

    deep: bool = False
    """Read every record and vector too: check CRCs, ids, windows, digests and counts."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec inspect` and returns its exit code."""
    config = parse(
        InspectConfig,
        argv,
        prog="pmc2vec inspect",
        description="Check a dataset or a workdir, and say what it holds.",
        examples=["pmc2vec inspect dataset --deep", "pmc2vec inspect run --json"],
        json_result=True,
    )
    facts = inspect(config.folder, deep=config.deep)
    if verbosity.json:
        print_json(facts)
    else:
        show(facts)
    if not facts.get("finished", True):
        raise UserError(unfinished(config.folder))
    return 0


def inspect(folder: Path, *, deep: bool = False) -> dict[str, Any]:
    """Returns the facts of a dataset or a workdir, whichever the folder holds.

    Raises:
        UserError: it holds neither, or what it holds is damaged; an unfinished dataset too.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a dataset or a workdir")
    if (folder / manifest.CORPUS_NAME).exists() and not (folder / manifest.MANIFEST_NAME).exists():
        return corpus_facts(folder)
    if any(any(folder.glob(name)) for name in _DATASET):
        return dataset_facts(folder, deep=deep)
    if any((folder / name).exists() for name in _WORKDIR):
        return workdir_facts(folder, deep=deep)
    raise UserError(
        f"{folder}: neither a dataset (no {manifest.MANIFEST_NAME}) nor a workdir "
        f"(no {CONFIG_NAME}); give a folder that `pmc2vec build` or `pmc2vec train` wrote"
    )


def show(facts: Mapping[str, Any]) -> None:
    """Prints facts for a person."""
    # Where nobody sees a terminal's edge, nothing is folded at it.
    out = ResultConsole(highlight=False, width=None if sys.stdout.isatty() else 500)
    sections = {"dataset": _dataset, "corpus": _corpus, "workdir": _workdir}[facts["kind"]](facts)
    for number, section in enumerate(sections):
        if number:
            out.print()
        out.print(section)


def _corpus(facts: Mapping[str, Any]) -> Iterable[Table | Text]:
    parts = len(facts["parts"])
    yield Text(f"{facts['folder']}: a finished corpus of {parts:,} parts, no dataset yet")
    yield _rows("funnel", funnel_rows(facts["funnel"]))
    yield _rows("licences", [(name, f"{n:,}") for name, n in facts["licences"].items()])


# --- a dataset ---------------------------------------------------------------------------------


def _dataset(facts: Mapping[str, Any]) -> Iterable[Table | Text]:
    shape, vocabulary = facts["shape"], facts["vocabulary"]
    shards = sum(split["shards"] for split in facts["splits"])
    checked = (
        "every record read" if facts["checked"] == "every record" else "sizes compared (see --deep)"
    )
    yield Text(
        f"{facts['folder']}: a finished dataset, by pmc2vec {facts['code_version']}; "
        f"vocabulary and {shards:,} shards as its manifest says, {checked}"
    )
    yield _rows("funnel", funnel_rows(facts["funnel"]))
    yield _rows("licences", [(name, f"{n:,}") for name, n in facts["licences"].items()])
    yield _rows(
        "vocabulary",
        [
            ("words", f"{vocabulary['size']:,}"),
            ("their tokens", f"{vocabulary['tokens']:,}"),
            ("other words", f"{vocabulary['dropped_words']:,}"),
            ("their tokens", f"{vocabulary['dropped_tokens']:,}"),
        ],
    )
    ends = {
        name: ", ".join(f"{word} {count:,}" for word, count in vocabulary[name].items())
        for name in ("most_frequent", "least_frequent")
    }
    yield Text("\n".join(f"{n.replace('_', ' ')}: {words}" for n, words in ends.items() if words))
    yield _splits(facts["splits"])
    yield Text(
        f"records of {shape['length']} tokens, in blocks of {shape['block']} that share "
        f"{shape['block_negatives']} negatives; window {shape['window']}, "
        f"negative {shape['negative']}"
    )
    if facts["example"]:
        yield from _example(facts["example"])


def funnel_rows(funnel: Mapping[str, int]) -> list[tuple[str, str]]:
    """Returns the funnel in the order in which articles fall through it.

    >>> for row in funnel_rows(
    ...     {"dropped:keyword": 3, "kept": 6, "read": 10, "rejected:broken": 1, "xml_bytes": 9000}
    ... ):
    ...     print(row)
    ('articles read', '10')
    ('  dropped: keyword', '-3')
    ('  rejected: broken', '-1')
    ('articles kept', '6')
    ('sentences', '0')
    ('tokens', '0')
    ('xml bytes', '9,000')
    """
    reasons = [
        (f"  {name.replace(':', ': ').replace('_', ' ')}", f"-{count:,}")
        for name, count in funnel.items()
        if ":" in name
    ]
    more = {n: n.replace("_", " ") for n in funnel if ":" not in n and n not in _FUNNEL_TITLES}
    first, *after = [
        (title, f"{funnel.get(name, 0):,}") for name, title in (_FUNNEL_TITLES | more).items()
    ]
    return [first, *reasons, *after]


def _splits(splits: Sequence[Mapping[str, Any]]) -> Table:
    columns = ("split", "draw", "shards", "records", "targets", "pairs", "words", "bytes")
    table = _table(*columns, "bytes per pair")
    for split in splits:
        numbers = (f"{split[name]:,}" for name in columns[1:])
        pair = split["bytes_per_pair"]
        table.add_row(Text(split["split"]), *numbers, "" if pair is None else f"{pair:.2f}")
    return table


def _example(example: Mapping[str, Any]) -> Iterable[Table | Text]:
    lines = "".join(
        ("\n  " if token["starts"] or not at else " ") + f"{token['word']}:{token['window']}"
        for at, token in enumerate(example["tokens"])
    )
    yield Text(
        f"the first record of {example['shard']} begins, a sentence on a line and each token with "
        f"its window:{lines}\n\nand its first pairs are:"
    )
    table = _table("target", "context", "negatives of its block")
    for pair in example["pairs"]:
        few, more = pair["negatives"][:_NEGATIVES], pair["negatives"][_NEGATIVES:]
        row = (pair["target"], pair["context"], " ".join([*few, *["..."] * bool(more)]))
        table.add_row(*map(Text, row))
    table.columns[1].justify = table.columns[2].justify = "left"
    yield table


# --- a workdir ---------------------------------------------------------------------------------


def _workdir(facts: Mapping[str, Any]) -> Iterable[Table | Text]:
    state = "finished" if facts["finished"] else "not finished"
    yield Text(f"{facts['folder']}: a workdir, {state}; --json has every option and figure")
    rows = workdir_rows(facts)
    table = _rows("", [(name, value) for name, value in rows.items() if value])
    table.show_header = False
    yield table


def workdir_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a person asks of a workdir, a line or two each.

    Args:
        facts: of `inspection.workdir_facts`.
    """
    vectors, provenance = facts["vectors"] or {}, facts["provenance"] or {}
    dataset, config = provenance.get("dataset", {}), facts["config"] or {}
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    options = {
        name: value
        for name, value in config.items()
        if name in defaults.keys() - _PLACES and value not in (defaults[name], "default", [])
    }
    data = {
        "read from": config.get("dataset"),
        "manifest sha256": dataset.get("manifest_sha256", "")[:12],
        "articles": dataset.get("funnel", {}).get("kept"),
        "tokens": dataset.get("funnel", {}).get("tokens"),
    }
    return {
        "vectors": _plain({name: n for name, n in vectors.items() if name != "most_frequent"}),
        "most frequent": _plain(vectors.get("most_frequent", [])),
        "trained": _plain(provenance.get("trained", {})),
        "scores": _plain({n: score for n, score in provenance.get("scores", {}).items() if score}),
        "options that are not default": _plain(options),
        "dataset": _plain({name: value for name, value in data.items() if value}),
        "licences": _plain(dataset.get("licences", {})),
        "checkpoints": _plain(facts["checkpoints"]),
    }


def _plain(value: object) -> str:
    """Returns a value of JSON as a person reads it.

    >>> _plain(["a", "b"]), _plain({"loss": 2.5}), _plain(None), _plain(40000)
    ('a b', 'loss 2.5', 'none', '40,000')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_plain, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "none" if value is None else str(value)


# --- tables ------------------------------------------------------------------------------------


def _table(first: str, *more: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first)
    for title in more:
        table.add_column(title, justify="right")
    return table


def _rows(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    """Returns a table of names and values under a title; numbers stand to the right."""
    table = _table(title, "")
    rows = list(rows)
    if not all(value.lstrip("-").replace(",", "").isdigit() for _, value in rows):
        table.columns[1].justify = "left"
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    return table
