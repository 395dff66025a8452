"""Speed from archives of articles to a corpus, beside the tools that people use for parts of it.

    python -m benchmarks.corpus bulk/*.tar.gz [--keywords cancer melanoma] [--workers 2]

A row is a process that does one thing to all archives, with so many workers:

    gunzip            inflates the archives
    lxml parse        inflates them and parses every article
    pubmed_parser     parse_pubmed_xml and parse_pubmed_paragraph on every article
    keyword filter    finds the articles that mention a keyword, without Beam
    filtered corpus   `pmc2vec build --keywords ... --stop_after corpus`, with Beam's start
    corpus            the same without keywords

Figures are medians of the repeats, in each of which all rows take turns; MB are of XML.
pubmed_parser installs a package named `tests`, so it needs an environment of its own:
`--pubmed_parser PYTHON` names that one's Python. Without it the row is left out.
"""

from __future__ import annotations

import argparse
import gzip
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


def archive_members(paths: Paths) -> Iterator[bytes]:
    """Yields every file in every archive."""
    for path in paths:
        with tarfile.open(path, "r|gz", bufsize=1 << 18) as tar:
            for member in tar:
                tar.members = []  # Or tarfile keeps all of them.
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

    for data in archive_members([path]):
        try:
            etree.fromstring(data)
        except etree.XMLSyntaxError:
            continue


def keyword_filter(path: str, keywords: list[str]) -> None:
    """Decides for every article whether the keywords select it."""
    from beam_pipelines.inputs.documents import Document, ReadOptions
    from beam_pipelines.inputs.sources import read_documents
    from beam_pipelines.jats import article_reader
    from beam_pipelines.text.filters import ArticleFilter, may_mention

    keep, sections = ArticleFilter(tuple(keywords)), article_reader.DEFAULT_SECTIONS
    with Path(path).open("rb") as file:
        for document in read_documents(file, path, ReadOptions()):
            if not isinstance(document, Document):
                continue
            try:
                elements = article_reader.find_articles(document.data, document.member)
            except article_reader.RejectedError:
                continue
            for element in elements:
                if may_mention(article_reader.raw_section_text(element, sections), keywords):
                    keep.drop_reason(article_reader.read_article(element, sections))


def write_corpus(paths: Paths, keywords: tuple[str, ...], workers: int) -> None:
    """Builds the corpus of the articles that mention a keyword, or of all without keywords."""
    from beam_pipelines.build import build_corpus
    from beam_pipelines.config import BuildConfig

    with tempfile.TemporaryDirectory() as folder:
        config = BuildConfig(input=tuple(paths), output=f"{folder}/data", keywords=keywords)
        build_corpus(config, (f"--direct_num_workers={workers}",))


def pubmed_parser(path: str, _keywords: list[str]) -> None:
    """Reads every member as its documentation shows: metadata and then paragraphs."""
    import pubmed_parser as parser

    with tempfile.TemporaryDirectory() as folder:
        article = Path(folder, "article.nxml")  # It reads files only.
        for data in archive_members([path]):
            article.write_bytes(data)
            try:
                parser.parse_pubmed_xml(str(article))
                parser.parse_pubmed_paragraph(str(article), all_paragraph=True)
            except Exception:  # noqa: BLE001  # It has no error class.
                continue


ARCHIVE_TASKS: dict[str, Callable[[str, list[str]], None]] = {
    "gunzip": gunzip,
    "lxml parse": lxml_parse,
    "pubmed_parser": pubmed_parser,
    "keyword filter": keyword_filter,
}
TASKS = (*ARCHIVE_TASKS, "filtered corpus", "corpus")


def run_task(task: str, paths: Paths, keywords: list[str], workers: int) -> None:
    """Does a task to all archives, with so many worker processes."""
    if task not in ARCHIVE_TASKS:
        write_corpus(paths, tuple(keywords) if task == "filtered corpus" else (), workers)
        return
    largest_first = sorted(paths, key=lambda path: -Path(path).stat().st_size)
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(ARCHIVE_TASKS[task], largest_first, [keywords] * len(paths)):
            pass


def measure(task: str, python: str, options: argparse.Namespace) -> tuple[float, float]:
    """Runs a task as a process; returns its seconds, and the MB of the largest process."""
    command = [python, __file__, *options.archives, "--keywords", *options.keywords,
               "--workers", str(options.workers), "--task", task]  # fmt: skip
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak = process.stdout.split()[-2:]
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
        run_task(options.task, options.archives, options.keywords, options.workers)
        seconds = time.perf_counter() - began
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(seconds, max(usage.ru_maxrss for usage in usages) / 1024)
        return
    sizes = [len(data) for data in archive_members(options.archives)]
    count, megabytes = len(sizes), sum(sizes) / 1e6
    tasks = [task for task in TASKS if task != "pubmed_parser" or options.pubmed_parser]
    runs: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
    for _ in range(options.repeats):
        for task in tasks:
            python = options.pubmed_parser if task == "pubmed_parser" else sys.executable
            runs[task].append(measure(task, python, options))
    from rich.console import Console
    from rich.table import Table

    from benchmarks.machine import describe_machine

    table = Table("", "MB/s", "articles/s", "times gunzip", "peak MB", box=None)
    base = statistics.median(seconds for seconds, _ in runs["gunzip"])
    for task, measured in runs.items():
        seconds = statistics.median(s for s, _ in measured)
        table.add_row(task, f"{megabytes / seconds:,.1f}", f"{count / seconds:,.0f}",
                      f"{seconds / base:,.1f}", f"{max(p for _, p in measured):,.0f}")  # fmt: skip
    console = Console(width=110)
    console.print(describe_machine(), highlight=False, soft_wrap=True)
    console.print(
        f"{count:,} articles, {megabytes:,.0f} MB of XML in {len(options.archives)} archives; "
        f"{options.workers} workers; medians of {options.repeats}"
    )
    console.print(table)


if __name__ == "__main__":
    main()
