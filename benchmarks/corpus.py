"""How fast archives become a corpus, against the tools people use, in one run.

    python benchmarks/corpus.py bulk/*.tar.gz [--keywords cancer melanoma] [--repeats 3]

Every row is one process that does one thing to all archives, one after the other, on one core:

    gunzip            inflate the archives, no more
    lxml parse        and parse every member
    keyword filter    and keep what mentions a keyword, as `pmc2vec build --keywords` does
    corpus            and write the corpus and its word counts, no filter
    pubmed_parser     parse_pubmed_xml and parse_pubmed_paragraph on every member

Figures are medians over the repeats, taken in turn; MB are of XML. pubmed_parser brings a package
named `tests`, so it lives in an environment of its own: `--pubmed_parser PYTHON` names its Python,
and without it the row is left out.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Paths = list[str]


def members(paths: Paths) -> Iterator[bytes]:
    """Yields every file in every archive."""
    for path in paths:
        with tarfile.open(path, "r|gz", bufsize=1 << 18) as tar:
            for member in tar:
                tar.members = []
                if content := tar.extractfile(member):
                    yield content.read()


def gunzip(paths: Paths, _keywords: list[str]) -> None:
    """Inflates the archives."""
    for path in paths:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass


def lxml_parse(paths: Paths, _keywords: list[str]) -> None:
    """Parses every member."""
    from lxml import etree

    for data in members(paths):
        try:
            etree.fromstring(data)
        except etree.XMLSyntaxError:
            continue


def keyword_filter(paths: Paths, keywords: list[str]) -> None:
    """Writes the part of the corpus that mentions a keyword."""
    _write(paths, tuple(keywords))


def corpus(paths: Paths, _keywords: list[str]) -> None:
    """Writes the corpus of every article."""
    _write(paths, ())


def _write(paths: Paths, keywords: tuple[str, ...]) -> None:
    from beam_pipelines.build import build_corpus
    from beam_pipelines.config import BuildConfig

    with tempfile.TemporaryDirectory() as folder:
        config = BuildConfig(input=tuple(paths), output=f"{folder}/data", keywords=keywords)
        build_corpus(config, ("--direct_num_workers=1",))


def pubmed_parser(paths: Paths, _keywords: list[str]) -> None:
    """Reads every member as its documentation shows: metadata and then paragraphs."""
    import pubmed_parser as parser

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "article.nxml")  # it reads files
        for data in members(paths):
            path.write_bytes(data)
            try:
                parser.parse_pubmed_xml(str(path))
                parser.parse_pubmed_paragraph(str(path), all_paragraph=True)
            except Exception:  # noqa: BLE001  # it has no error of its own
                continue


TASKS: dict[str, Callable[[Paths, list[str]], None]] = {
    "gunzip": gunzip,
    "lxml parse": lxml_parse,
    "keyword filter": keyword_filter,
    "corpus": corpus,
    "pubmed_parser": pubmed_parser,
}


def measure(task: str, python: str, paths: Paths, keywords: list[str]) -> tuple[float, float]:
    """Returns (seconds, peak MB) of one task in a process of its own."""
    command = [python, __file__, *paths, "--keywords", *keywords, "--task", task]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()[-2:]
    return float(seconds), float(peak)


def main() -> None:
    """Measures every task in turn and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("archives", nargs="+")
    parser.add_argument("--keywords", nargs="+", default=["cancer", "melanoma", "carcinoma"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pubmed_parser", metavar="PYTHON")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        began = time.perf_counter()
        TASKS[options.task](options.archives, options.keywords)
        seconds = time.perf_counter() - began
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    sizes = [len(data) for data in members(options.archives)]
    count, megabytes = len(sizes), sum(sizes) / 1e6
    tasks = [task for task in TASKS if task != "pubmed_parser" or options.pubmed_parser]
    runs: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
    for _ in range(options.repeats):
        for task in tasks:
            python = options.pubmed_parser if task == "pubmed_parser" else sys.executable
            runs[task].append(measure(task, python, options.archives, options.keywords))
    from rich.console import Console
    from rich.table import Table

    table = Table("", "MB/s", "articles/s", "times gunzip", "peak MB", box=None)
    base = statistics.median(seconds for seconds, _ in runs["gunzip"])
    for task, measured in runs.items():
        seconds = statistics.median(s for s, _ in measured)
        table.add_row(task, f"{megabytes / seconds:,.1f}", f"{count / seconds:,.0f}",
                      f"{seconds / base:,.1f}", f"{max(p for _, p in measured):,.0f}")  # fmt: skip
    console = Console(width=100)
    console.print(
        f"{count:,} articles, {megabytes:,.0f} MB of XML in {len(options.archives)} archives; "
        f"one of {os.cpu_count()} cores; medians of {options.repeats}"
    )
    console.print(table)


if __name__ == "__main__":
    main()
