"""How fast archives become a corpus, against the tools people use, in one run.

    python benchmarks/corpus.py bulk/*.tar.gz [--keywords cancer melanoma] [--workers 2]

Every row is a run of its own that does one thing to all archives, with so many workers:

    gunzip            inflate the archives, no more
    lxml parse        and parse every member
    pubmed_parser     and parse_pubmed_xml and parse_pubmed_paragraph on every member
    keyword filter    find out which articles mention a keyword, without Beam
    filtered corpus   `pmc2vec build --keywords ... --stop_after corpus`, with Beam's start
    corpus            the same without a filter

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
from concurrent.futures import ProcessPoolExecutor
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


def gunzip(path: str, _keywords: list[str]) -> None:
    """Inflates an archive."""
    with gzip.open(path) as file:
        while file.read(1 << 20):
            pass


def lxml_parse(path: str, _keywords: list[str]) -> None:
    """Parses every member."""
    from lxml import etree

    for data in members([path]):
        try:
            etree.fromstring(data)
        except etree.XMLSyntaxError:
            continue


def keyword_filter(path: str, keywords: list[str]) -> None:
    """Finds out of every article whether it is kept."""
    from beam_pipelines.inputs import archives
    from beam_pipelines.jats import article_reader
    from beam_pipelines.text.filters import ArticleFilter, may_mention

    keep, sections = ArticleFilter(tuple(keywords)), article_reader.DEFAULT_SECTIONS
    with Path(path).open("rb") as file:
        for document in archives.documents(file, path):
            if isinstance(document, archives.Damage):
                continue
            try:
                elements = article_reader.find_articles(document.data, document.member)
            except article_reader.RejectedError:
                continue
            for element in elements:
                if may_mention(article_reader.raw_section_text(element, sections), keywords):
                    keep.drop_reason(article_reader.read_article(element, sections))


def write_corpus(paths: Paths, keywords: tuple[str, ...], workers: int) -> None:
    """Builds the corpus of the articles that mention a keyword, or of all."""
    from beam_pipelines.build import build_corpus
    from beam_pipelines.config import BuildConfig

    with tempfile.TemporaryDirectory() as folder:
        config = BuildConfig(input=tuple(paths), output=f"{folder}/data", keywords=keywords)
        build_corpus(config, (f"--direct_num_workers={workers}",))


def pubmed_parser(path: str, _keywords: list[str]) -> None:
    """Reads every member as its documentation shows: metadata and then paragraphs."""
    import pubmed_parser as parser

    with tempfile.TemporaryDirectory() as folder:
        article = Path(folder, "article.nxml")  # it reads files
        for data in members([path]):
            article.write_bytes(data)
            try:
                parser.parse_pubmed_xml(str(article))
                parser.parse_pubmed_paragraph(str(article), all_paragraph=True)
            except Exception:  # noqa: BLE001  # it has no error of its own
                continue


OF_ARCHIVES: dict[str, Callable[[str, list[str]], None]] = {
    "gunzip": gunzip,
    "lxml parse": lxml_parse,
    "pubmed_parser": pubmed_parser,
    "keyword filter": keyword_filter,
}
TASKS = (*OF_ARCHIVES, "filtered corpus", "corpus")


def do(task: str, paths: Paths, keywords: list[str], workers: int) -> None:
    """Does one task to all archives."""
    if task not in OF_ARCHIVES:
        write_corpus(paths, tuple(keywords) if task == "filtered corpus" else (), workers)
        return
    largest_first = sorted(paths, key=lambda path: -Path(path).stat().st_size)
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(OF_ARCHIVES[task], largest_first, [keywords] * len(paths)):
            pass


def measure(task: str, python: str, options: argparse.Namespace) -> tuple[float, float]:
    """Returns (seconds, MB of the largest process) of one task in a process of its own."""
    command = [python, __file__, *options.archives, "--keywords", *options.keywords,
               "--workers", str(options.workers), "--task", task]  # fmt: skip
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
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pubmed_parser", metavar="PYTHON")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        began = time.perf_counter()
        do(options.task, options.archives, options.keywords, options.workers)
        seconds = time.perf_counter() - began
        used = (resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(seconds, max(each.ru_maxrss for each in used) / 1024)
        return
    sizes = [len(data) for data in members(options.archives)]
    count, megabytes = len(sizes), sum(sizes) / 1e6
    tasks = [task for task in TASKS if task != "pubmed_parser" or options.pubmed_parser]
    runs: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
    for _ in range(options.repeats):
        for task in tasks:
            python = options.pubmed_parser if task == "pubmed_parser" else sys.executable
            runs[task].append(measure(task, python, options))
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
        f"{options.workers} workers on {os.cpu_count()} cores; medians of {options.repeats}"
    )
    console.print(table)


if __name__ == "__main__":
    main()
