"""`pmc2vec sample`: bulk archives of synthetic articles, laid out as PubMed Central's.

    sample(SampleConfig(output=Path("sample"), articles=1500))

    oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.tar.gz         PMC000xxxxxx/PMC100001.xml, ...
    oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.filelist.csv   one row for each of them
    oa_comm_xml.PMC001xxxxxx.baseline.2025-06-26.tar.gz         the next; and so on
    truth.json                                                  what was planted; written last

The same options give the same bytes. Articles are made one at a time, whatever their number.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from pmc2vec.cli import exit_codes, options
from pmc2vec.cli.console import ResultConsole, progress
from pmc2vec.errors import UserError
from pmc2vec.synthetic.ground_truth import (
    TRUTH_FORMAT,
    TRUTH_NAME,
    TRUTH_VERSION,
    BrokenArticle,
    GroundTruth,
    planted_ground_truth,
)
from pmc2vec.synthetic.jats import (
    BREAKAGES,
    OFF_SUBJECT,
    ON_SUBJECT,
    REFERENCE_ONLY,
    ArticlePlan,
    SyntheticArticle,
    synthetic_article,
)
from pmc2vec.synthetic.sentences import SentenceWriter

ARCHIVE: Final = ".tar.gz"
FILELIST: Final = ".filelist.csv"
UNFINISHED: Final = "unfinished.json"
"""Marks a folder as ours, until `truth.json` does."""

FILELIST_HEADER: Final = (
    "Article File",
    "Article Citation",
    "AccessionID",
    "LastUpdated (YYYY-MM-DD HH:MM:SS)",
    "PMID",
    "License",
    "Retracted",
)

_DATE: Final = "2025-06-26"
_MTIME: Final = 1_750_896_000  # that date, 00:00 UTC
_UPDATED: Final = "2025-06-20 04:00:00"
_TEMPORARY: Final = ".tmp"
_FIRST: Final = 100_001
_STEP: Final = 3
_MILLION: Final = 1_000_000
_PER_ARCHIVE: Final = (_MILLION - _FIRST) // _STEP
_COMPRESSION: Final = 1  # Level 6 takes five times as long for a quarter less.


@dataclass(frozen=True)
class SampleConfig:
    """What to make, and where."""

    output: Path
    """Folder for the archives: new, empty, or of an earlier run, which is replaced."""
    articles: int = 1500
    """Articles in total."""
    archives: int = 4
    """Archives to divide the articles among."""
    words_per_article: int = options.option(1200, rare=True)
    """Average number of words in the text of an article."""
    off_subject: float = options.option(0.3, rare=True)
    """Share of articles on other subjects, which do not contain the keywords."""
    broken: float = options.option(0.01, rare=True)
    """Share of archive members that are not well-formed."""
    seed: int = 1
    """Random seed of the articles; the ground truth does not depend on it."""

    def __post_init__(self) -> None:
        """Raises ValueError for options out of range."""
        if self.articles < 1 or self.words_per_article < 1:
            raise ValueError("--articles and --words_per_article must be at least 1")
        if not 1 <= self.archives <= _MILLION // 1000:
            raise ValueError(f"--archives must be between 1 and 1000, not {self.archives}")
        if self.articles > self.archives * _PER_ARCHIVE:
            least = -(-self.articles // _PER_ARCHIVE)
            raise ValueError(f"{self.articles:,} articles need --archives {least} or more")
        for name, share in (("off_subject", self.off_subject), ("broken", self.broken)):
            if not 0 <= share <= 1:
                raise ValueError(f"--{name} must be between 0 and 1, not {share}")


def sample(config: SampleConfig, *, on_article: Callable[[int], None] | None = None) -> GroundTruth:
    """Makes the archives and returns the truth that it wrote beside them.

    Args:
        config: what to make.
        on_article: called with the number of articles written so far.

    Raises:
        UserError: the folder holds what no earlier run made, or cannot be written.
    """
    stems = [archive_stem(index) for index in range(config.archives)]
    archives = tuple(stem + ARCHIVE for stem in stems)
    kinds: Counter[str] = Counter()
    broken: list[BrokenArticle] = []
    try:
        _claim(config.output, archives)
        writer = SentenceWriter()
        for index, stem in enumerate(stems):
            for article in _write_archive(
                archive_articles(config, index, writer), config.output / stem
            ):
                kinds[article.kind] += 1
                if article.kind in BREAKAGES:
                    broken.append(BrokenArticle(archives[index], article.member, article.kind))
                if on_article:
                    on_article(kinds.total())
        truth = planted_ground_truth(
            config={k: v for k, v in dataclasses.asdict(config).items() if k != "output"},
            archives=archives,
            on_subject=kinds[ON_SUBJECT],
            off_subject=kinds[OFF_SUBJECT] + kinds[REFERENCE_ONLY],
            reference_only=kinds[REFERENCE_ONLY],
            broken=tuple(broken),
        )
        truth.write(config.output / TRUTH_NAME)
        (config.output / UNFINISHED).unlink()
    except OSError as error:
        raise UserError(f"{config.output}: cannot be written ({error})") from error
    return truth


def archive_stem(index: int) -> str:
    """Returns the name of an archive without what comes after its date."""
    return f"oa_comm_xml.PMC{index:03d}xxxxxx.baseline.{_DATE}"


def archive_articles(
    config: SampleConfig, index: int, writer: SentenceWriter
) -> Iterator[SyntheticArticle]:
    """Yields the articles of one archive, each made when it is asked for."""
    start, stop = (config.articles * edge // config.archives for edge in (index, index + 1))
    for place in range(stop - start):
        plan = ArticlePlan(
            words=config.words_per_article,
            off_subject=config.off_subject,
            broken=_breakage(config.broken, index, place),
        )
        number = index * _MILLION + _FIRST + place * _STEP
        yield synthetic_article(writer, seed=config.seed, number=number, plan=plan)


def _breakage(share: float, index: int, place: int) -> str | None:
    """Returns how the article at this place of archive `index` is broken: evenly, all kinds."""
    before, after = (int((place + more) * share + 0.5) for more in (0, 1))
    return BREAKAGES[(after + index) % len(BREAKAGES)] if after > before else None


def _write_archive(articles: Iterator[SyntheticArticle], stem: Path) -> Iterator[SyntheticArticle]:
    """Yields the articles while it writes them into an archive and its filelist."""
    archive, filelist = (stem.with_name(stem.name + end) for end in (ARCHIVE, FILELIST))
    with ExitStack() as stack:
        raw = stack.enter_context(_temporary(archive).open("wb"))
        zipped = stack.enter_context(gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0))
        text = stack.enter_context(_temporary(filelist).open("w", encoding="utf-8", newline=""))
        rows = csv.writer(text)
        rows.writerow(FILELIST_HEADER)
        for article in articles:
            zipped.write(_tar_member(article))
            rows.writerow(_filelist_row(article))
            yield article
        zipped.write(bytes(2 * tarfile.BLOCKSIZE))
    for path in (filelist, archive):
        _temporary(path).replace(path)


def _tar_member(article: SyntheticArticle) -> bytes:
    """Returns a member as it stands in a tar: header, content, zeros up to a whole block.

    A `tarfile.TarFile` would remember every member that it wrote.
    """
    info = tarfile.TarInfo(article.member)
    info.size, info.mtime = len(article.xml), _MTIME
    return info.tobuf(tarfile.USTAR_FORMAT) + article.xml + bytes(-info.size % tarfile.BLOCKSIZE)


def _filelist_row(article: SyntheticArticle) -> tuple[str | int, ...]:
    front = article.front
    citation = f"{front.journal}. {front.year}"
    accession = f"PMC{article.number}"
    return article.member, citation, accession, _UPDATED, front.pmid, front.license, "no"


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + _TEMPORARY)


# --- the folder ----------------------------------------------------------------------------------


def _claim(folder: Path, archives: Sequence[str]) -> None:
    """Makes the folder, or empties one that an earlier run made, and marks it as unfinished.

    Raises:
        UserError: it holds a file that no run of ours wrote.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file, not a folder; choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    present = {path.name for path in folder.iterdir()}
    earlier = _earlier_archives(folder)
    if foreign := sorted(present - _own_names(earlier)):
        raise UserError(
            f"{folder}: holds {foreign[0]}, which pmc2vec sample did not write there;"
            " choose an empty --output"
        )
    mark = {"format": TRUTH_FORMAT, "version": TRUTH_VERSION, "archives": [*earlier, *archives]}
    temporary = _temporary(folder / UNFINISHED)
    temporary.write_text(json.dumps(mark), encoding="utf-8")
    temporary.replace(folder / UNFINISHED)
    for name in (TRUTH_NAME, *sorted(present - {TRUTH_NAME, UNFINISHED})):
        (folder / name).unlink(missing_ok=True)


def _earlier_archives(folder: Path) -> list[str]:
    """Returns the archives that an earlier run wrote, or meant to write, in this folder."""
    names: list[str] = []
    for name in (TRUTH_NAME, UNFINISHED):
        try:
            values: Any = json.loads((folder / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            continue
        if isinstance(values, dict) and values.get("format") == TRUTH_FORMAT:
            names += map(str, values["archives"])
    return names


def _own_names(archives: Sequence[str]) -> set[str]:
    """Returns the names of all files that belong to these archives; none without archives."""
    stems = [name.removesuffix(ARCHIVE) for name in archives]
    names = [stem + end for stem in stems for end in (ARCHIVE, FILELIST)]
    names += [TRUTH_NAME, UNFINISHED] if stems else []
    return {name + end for name in names for end in ("", _TEMPORARY)}


# --- the program ---------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec sample` and returns its exit code."""
    config = options.parse(
        SampleConfig,
        argv,
        prog="pmc2vec sample",
        description="Make PubMed Central archives of made-up articles with planted meaning.",
        examples=(
            "pmc2vec sample --output sample",
            "pmc2vec sample --output large --articles 200000 --archives 12",
        ),
    )
    return exit_codes.run_program(lambda: _program(config))


def _program(config: SampleConfig) -> int:
    with progress("sample", "articles", total=config.articles) as work:
        truth = sample(config, on_article=work.update)
    ResultConsole(highlight=False).print(_summary(truth, config.output))
    return 0


def _summary(truth: GroundTruth, folder: Path) -> Table:
    """Returns what was written, as a table."""
    size = sum((folder / name).stat().st_size for name in truth.archives)
    table = Table(title=f"{folder}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("archives", f"{len(truth.archives):,}"),
        ("size", f"{size / 1e6:,.1f} MB"),
        ("articles", f"{truth.articles:,}"),
        ("  on the subject", f"{truth.on_subject:,}"),
        ("  on other subjects", f"{truth.off_subject:,}"),
        ("    with a keyword in a reference only", f"{truth.reference_only:,}"),
        ("  broken", f"{len(truth.broken):,}"),
        ("topics", f"{len(truth.topics):,}"),
        ("synonyms", f"{len(truth.synonyms):,}"),
        ("analogies", f"{len(truth.analogies):,}"),
        ("decoys", f"{sum(map(len, truth.decoys.values())):,}"),
    ):
        table.add_row(name, value)
    return table


if __name__ == "__main__":
    sys.exit(main())
