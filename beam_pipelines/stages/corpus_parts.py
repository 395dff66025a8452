"""One work item (an archive, or a handful of loose files) -> its part of the corpus.

`read_part` reads and parses everything, keeps what the filter keeps, and lists every copy of an
article that it saw. When all parts are read and `duplicates` has compared them, `finish_part`
takes the copies out again that do not count; most parts of a corpus have none.

Both are pure functions of the input files and the options: a retry, another worker or another
engine writes the same bytes under the same names, and a finished part is not made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines.inputs.article_versions import (
    SELECTION_NAME,
    ArticleVersion,
    read_selection,
    selected_versions,
)
from beam_pipelines.inputs.documents import (
    MAX_DOCUMENT_BYTES,
    Citation,
    Content,
    Damage,
    Deletions,
    Document,
    ReadOptions,
    TextUnit,
)
from beam_pipelines.inputs.pubmed_files import ChecksumReader, with_checksum
from beam_pipelines.inputs.sources import is_archive, open_source
from beam_pipelines.inputs.work_items import RUN_DOCUMENTS, WorkItem
from beam_pipelines.jats import article_reader, pubmed_reader
from beam_pipelines.jats.article_reader import Article
from beam_pipelines.jats.licences import is_vague
from beam_pipelines.stages import companion_files, duplicates, history
from beam_pipelines.stages.companion_files import (
    HISTORICAL_OCR,
    MANUSCRIPT,
    NO_FACTS,
    ArticleFacts,
)
from beam_pipelines.stages.corpus_files import (
    CORPUS_SCHEMA,
    CorpusArticle,
    CorpusWriter,
    Part,
    Summary,
    read_summary,
    remaining_groups,
    summary_path,
)
from beam_pipelines.stages.output_folder import (
    REJECTED_NAME,
    SUMMARIES_FOLDER,
    Heartbeat,
    OutputFolder,
)
from beam_pipelines.stages.version_reader import (
    ReadVersion,
    read_article_versions,
    unwanted_by_metadata,
)
from beam_pipelines.stages.word_counts import CountsWriter
from beam_pipelines.text.filters import MESH, NO_KEYWORD, ArticleFilter, may_mention
from beam_pipelines.text.sentences import split_sentences
from beam_pipelines.text.tokenizers import (
    LinkHandling,
    NumberHandling,
    Tokenizer,
    TokenizerKind,
    make_tokenizer,
)
from pmc2vec import __version__
from pmc2vec.storage.files import atomic_file, open_binary, write_text

NOT_DOWNLOADED = "not_downloaded"
"""In the funnel: article versions of a bucket that were left out by what is known without them."""

Outcome = CorpusArticle | dict[str, str]
"""A kept article, or a line of rejected.jsonl."""


@dataclass(frozen=True)
class Reading:
    """How articles are read.

    Attributes:
        filter: which articles are kept.
        sections: kinds of text to take, see `article_reader.SECTION_NAMES`.
        tokenizer, lowercase, numbers, links: see `tokenizers.make_tokenizer`.
        max_document_bytes: larger documents are rejected.
        text_unit: what a block of a plain text file is.
        welcome: marks of articles (see `companion_files.MARKS`) that are no reason to drop them.
        precheck: whether to pass over articles whose raw text holds no keyword.
        other_abstracts: whether to take the other abstracts of PubMed's citations.
        requests_in_flight: article versions of a bucket that a worker reads at once.
        requests_per_second: that a worker starts, at most. (Neither of the two is in the repr,
            which tells what a part depends on.)
    """

    filter: ArticleFilter = field(default_factory=ArticleFilter)
    sections: tuple[article_reader.SectionName, ...] = article_reader.DEFAULT_SECTIONS
    tokenizer: TokenizerKind = "biomedical"
    lowercase: bool = True
    numbers: NumberHandling = "keep"
    links: LinkHandling = "drop"
    max_document_bytes: int = MAX_DOCUMENT_BYTES
    text_unit: TextUnit = "sentence"
    welcome: tuple[str, ...] = (MANUSCRIPT, HISTORICAL_OCR)
    precheck: bool = True
    other_abstracts: bool = False
    requests_in_flight: int = field(default=64, repr=False)
    requests_per_second: float | None = field(default=None, repr=False)

    @property
    def needed(self) -> tuple[article_reader.SectionName, ...]:
        """Returns the sections to extract: those to keep, and those that keywords count in."""
        return tuple(dict.fromkeys((*self.sections, *self.filter.keyword_sections)))

    @property
    def options(self) -> ReadOptions:
        """Returns what sources need to know."""
        return ReadOptions(self.max_document_bytes, self.text_unit)

    @cached_property
    def tokenize(self) -> Tokenizer:
        """From sentences to their tokens."""
        return make_tokenizer(
            self.tokenizer, lowercase=self.lowercase, numbers=self.numbers, links=self.links
        )

    def unwanted(self, facts: ArticleFacts) -> str | None:
        """Returns why an article is not wanted, from what stands outside its XML."""
        return unwanted_by_metadata(facts, self.welcome, tuple(self.filter.licences))

    def cannot_match(self, element: article_reader.ArticleElement) -> bool:
        """Tells whether the raw text of an article shows that no keyword is in it."""
        keywords = self.filter.keywords
        if not (self.precheck and keywords):
            return False
        text = article_reader.raw_section_text(element, self.needed)
        return not may_mention(text, keywords, self.filter.require)


def read_part(item: WorkItem, *, output: OutputFolder, reading: Reading) -> str:
    """Reads one work item, writes its part and its copies, and returns the part's name.

    A part that is there is left alone.
    """
    finished = _finished_before(item, output=output, reading=reading)
    if finished is None:
        _read_and_write(item, output=output, reading=reading)
    else:
        numbers = {name: finished.funnel[name] for name in ("read", "kept")}
        numbers["versions" if item.versions else "bytes"] = item.size
        _heartbeat(item, output).beat(numbers, last=True)
    return item.name


def _finished_before(item: WorkItem, *, output: OutputFolder, reading: Reading) -> Summary | None:
    """Returns the summary of a part that is there and need not be read again, or None."""
    summary = read_summary(output, item.name)
    return summary if summary and summary.origin == _origin(item, output, reading) else None


def _heartbeat(item: WorkItem, output: OutputFolder) -> Heartbeat:
    return output.heartbeat(f"corpus-{item.index:05d}")


def _origin(item: WorkItem, output: OutputFolder, reading: Reading) -> str:
    """Returns a digest of all that a part depends on; a new version reads parts again."""
    files: tuple[Any, ...] = item.files or _versions(item, output)
    causes = (__version__, files, item.names, item.byte_range, reading)
    return hashlib.sha256(repr(causes).encode()).hexdigest()


def _versions(item: WorkItem, output: OutputFolder) -> tuple[ArticleVersion, ...]:
    """Returns the article versions of a work item; none where it has files."""
    return selected_versions(output.path(SELECTION_NAME), item.index) if item.versions else ()


def _read_and_write(item: WorkItem, *, output: OutputFolder, reading: Reading) -> Summary:
    reader = PartReader(reading, duplicates.read_known(_listed_ids(item, output), output))
    reader.summary.origin = _origin(item, output, reading)
    if item.byte_range.index == 0:
        reader.summary.digests = {path: history.input_digest(path) for path, _ in item.files}
    with ExitStack() as stack:
        files = (
            stack.enter_context(atomic_file(output.path(folder, f"{item.name}.{suffix}")))
            for folder, suffix in (
                ("corpus", "parquet"), ("counts", "parquet"), (SUMMARIES_FOLDER, REJECTED_NAME),
            )
        )  # fmt: skip
        writer = stack.enter_context(closing(CorpusWriter(next(files), reader.summary)))
        counter = stack.enter_context(closing(CountsWriter(next(files))))
        rejected = next(files)
        heartbeat = _heartbeat(item, output)
        if item.versions:
            root = read_selection(output.path(SELECTION_NAME)).root
            outcomes = reader.read_versions(root, _versions(item, output), heartbeat)
        else:
            outcomes = reader.read(item, heartbeat)
        for outcome in outcomes:
            if outcome is None:
                writer.end_group()
            elif isinstance(outcome, CorpusArticle):
                writer.write(outcome)
                counter.count_sentences(outcome.sentences)
            else:
                rejected.write(json.dumps(outcome, ensure_ascii=False).encode() + b"\n")
    duplicates.write_copies(item.name, reader.copies, output=output)
    write_text(summary_path(output, item.name), reader.summary.to_json())
    return reader.summary


def _listed_ids(item: WorkItem, output: OutputFolder) -> pa.Array | pa.ChunkedArray:
    """Returns the ids that are known before anything is read: of filelists and file names."""
    if item.versions:
        return pa.array([version.pmcid for version in _versions(item, output)], pa.string())
    path = item.files[0][0]
    if is_archive(path):
        return companion_files.read_filelist(path).ids()
    return pa.array([duplicates.named_article(path) for path, _ in item.files], pa.string())


def finish_part(item: WorkItem, *, output: OutputFolder, reading: Reading, groups: int = 0) -> Part:
    """Takes the copies that do not count out of a part that was read, and returns the part.

    Args:
        item: of the part.
        output: the dataset; all its parts are read, and the duplicates resolved.
        reading: how articles are read.
        groups: into how many groups of parts the duplicates are gathered; 0 if they are not.
    """
    rows, headings = duplicates.read_left_out(item.name, output=output, groups=groups)
    left_out = [row for row in rows if row["reason"] not in reading.welcome]
    by_heading = bool(headings or reading.filter.mesh)
    decided_by = (left_out, headings) if by_heading else left_out
    digest = hashlib.sha256(repr(decided_by).encode()).hexdigest() if left_out or by_heading else ""
    # A worker that died while it wrote the part again has left an empty summary: read it once more.
    summary = _finished_before(item, output=output, reading=reading)
    if summary is None:
        summary = _read_and_write(item, output=output, reading=reading)
    if summary.left_out != digest:
        if summary.left_out:  # Other copies were taken out: they may count now.
            summary = _read_and_write(item, output=output, reading=reading)
        if reading.filter.mesh:
            left_out += _without_heading(item.name, left_out, headings, output=output)
        _take_out(item.name, left_out, headings, summary, output=output)
        summary.left_out = digest
        write_text(summary_path(output, item.name), summary.to_json())
    return Part(item.name, tuple(summary.groups))


def _without_heading(
    part: str,
    left_out: Sequence[dict[str, Any]],
    headings: Mapping[int, str],
    *,
    output: OutputFolder,
) -> list[dict[str, Any]]:
    """Returns the full texts of a part that no citation's headings want, as rows of `left_out`."""
    with open_binary(output.path("corpus", f"{part}.parquet")) as file:
        sources = pq.read_table(file, columns=["source"])["source"].to_pylist()
    settled = {row["row"] for row in left_out if row["reason"] != duplicates.OLDER_VERSION}
    return [
        {"row": row, "reason": MESH}
        for row, source in enumerate(sources)
        if source != pubmed_reader.SOURCE and row not in headings and row not in settled
    ]


def _take_out(
    part: str,
    left_out: Sequence[dict[str, Any]],
    headings: Mapping[int, str],
    summary: Summary,
    *,
    output: OutputFolder,
) -> None:
    """Writes a part without some of its copies, and with headings for some of its full texts."""
    removed = {row["row"] for row in left_out if row["reason"] != duplicates.OLDER_VERSION} - {-1}
    for row in left_out:
        if row["reason"] == duplicates.OLDER_VERSION:
            summary.funnel[duplicates.OLDER_VERSION] += row["row"] >= 0
            continue
        summary.funnel[f"dropped:{row['reason']}"] += 1
        if row["row"] < 0:
            summary.funnel[row["outcome"]] -= 1
    mesh = {row: text for row, text in headings.items() if text and row not in removed}
    if removed or mesh:
        # The files are replaced one after another: until all are, the part counts as not there,
        # and a build that is killed here reads it again.
        write_text(summary_path(output, part), Summary().to_json())
        _rewrite(part, removed, mesh, summary, output=output)
    summary.funnel = +summary.funnel


def _rewrite(
    part: str,
    removed: set[int],
    mesh: Mapping[int, str],
    summary: Summary,
    *,
    output: OutputFolder,
) -> None:
    path = output.path("corpus", f"{part}.parquet")
    with ExitStack() as stack:
        reader = pq.ParquetFile(stack.enter_context(open_binary(path)))
        file = stack.enter_context(atomic_file(path))
        writer = stack.enter_context(pq.ParquetWriter(file, CORPUS_SCHEMA, compression="zstd"))
        counter = None
        if removed:  # With headings alone the counts stay as they are.
            counts = atomic_file(output.path("counts", f"{part}.parquet"))
            counter = stack.enter_context(closing(CountsWriter(stack.enter_context(counts))))
        for table in remaining_groups(reader, removed, mesh, summary):
            writer.write_table(table)
            if counter is not None:
                sentences = table["sentences"].combine_chunks().flatten()
                counter.count_sentences(sentences.to_pylist())


# --- documents -----------------------------------------------------------------------------------


class PartReader:
    """Reads documents, counts what becomes of them, and lists the articles among them.

    Attributes:
        summary: the funnel, such that `read` is `kept` plus every reason. A damaged archive, which
            is no article, is counted apart.
        copies: every article with an id of PubMed Central and every citation of PubMed, in order.
    """

    def __init__(
        self, reading: Reading, known: duplicates.KnownCopies = duplicates.NOTHING_KNOWN
    ) -> None:
        self.summary = Summary()
        self.copies: list[duplicates.Copy] = []
        self._reading, self._known = reading, known
        self._rows = 0

    def read(self, item: WorkItem, heartbeat: Heartbeat) -> Iterator[Outcome | None]:
        """Yields what a work item holds, and None where a row group must begin."""
        bytes_before = 0
        names = item.names or tuple(path.rsplit("/", 1)[-1] for path, _ in item.files)
        for (path, size), name in zip(item.files, names, strict=True):
            with open_binary(path) as opened:
                file = with_checksum(opened, path)
                source, stream = open_source(file, path)
                contents: Iterator[Content | Article | None] = source.documents(
                    stream, name, self._reading.options
                )
                if source.is_archive:
                    contents = item.byte_range.select(contents, file.tell, size)
                for content in contents:
                    if content is None:
                        yield None
                        continue
                    yield from self._read_content(content, name, path)
                    in_range = item.byte_range.bytes_read(file.tell(), size)
                    heartbeat.beat(self._numbers(bytes_before + in_range))
                if isinstance(file, ChecksumReader) and (problem := file.problem()):
                    yield self._damage(Damage("", "damaged_archive", problem), name)
            bytes_before += size
        heartbeat.beat(self._numbers(item.size), last=True)

    def read_versions(
        self, root: str, versions: Sequence[ArticleVersion], heartbeat: Heartbeat
    ) -> Iterator[Outcome | None]:
        """Yields what a row group of a selection holds, and None where a row group must begin.

        Versions are counted in runs, as the documents of an archive are: so archives that hold the
        same versions in the same order make the same row groups.
        """
        reading = self._reading
        contents = read_article_versions(
            root,
            versions,
            unwanted=reading.unwanted,
            max_bytes=reading.max_document_bytes,
            in_flight=reading.requests_in_flight,
            per_second=reading.requests_per_second,
        )
        for number, version in enumerate(contents):
            if number and number % RUN_DOCUMENTS == 0:
                yield None
            yield from self._read_version(root, version)
            heartbeat.beat(self._numbers(number + 1, "versions"))
        heartbeat.beat(self._numbers(len(versions), "versions"), last=True)

    def _read_version(self, root: str, read: ReadVersion) -> Iterator[Outcome]:
        pmcid, path = read.version.pmcid, read.version.xml_path(root)
        name = path.rpartition("/")[2]
        if read.content is not None:
            yield from self.read_document(read.content, name, path, (read.facts, read.problem))
            return
        self.summary.funnel[outcome := f"{NOT_DOWNLOADED}:{read.reason}"] += 1
        rank = duplicates.rank(pmcid, path, xml_version="", date="", archive=name)
        self._list(pmcid, rank, read.facts.marks, "", outcome)

    def _numbers(self, size: int, unit: str = "bytes") -> dict[str, int]:
        funnel = self.summary.funnel
        return {unit: size} | {name: funnel[name] for name in ("read", "kept", "xml_bytes")}

    def _read_content(self, content: Content | Article, name: str, path: str) -> Iterator[Outcome]:
        if isinstance(content, Article):  # Of plain text, which has no copies.
            yield from self._read_text(content, name)
        elif isinstance(content, Citation):
            yield from self._read_citation(content, name)
        elif isinstance(content, Deletions):
            for pmid, version in content.citations:
                rank = duplicates.citation_rank(version, content.file_name, name)
                self._list(duplicates.citation_id(pmid), rank, duplicates.DELETED, "", "")
        else:
            yield from self.read_document(content, name, path)

    def _read_text(self, article: Article, name: str) -> Iterator[CorpusArticle]:
        reason = self._reading.filter.drop_reason(article)
        if not reason:
            yield self._keep(article, name, name)
        self._count(f"dropped:{reason}" if reason else None)

    def read_document(
        self,
        document: Document | Damage,
        archive: str,
        path: str = "",
        companion: tuple[ArticleFacts, str] | None = None,
    ) -> Iterator[Outcome]:
        """Yields the kept articles of one document, or why it was rejected.

        Args:
            document: from an archive or a loose file.
            archive: name of the input file.
            path: of the input file, for what stands beside it.
            companion: what stands beside it, and why that cannot be read, if it was read.
        """
        facts, problem = companion or _facts_beside(path, document.member)
        place = {"archive": archive, "member": document.member}
        if problem:
            yield place | {"reason": "unreadable_metadata", "detail": problem}
        provenance = _provenance(document, archive, path, facts)
        if isinstance(document, Damage):
            yield self._damage(document, archive)
            self._list_unreadable(provenance)
            return
        self.summary.funnel["xml_bytes"] += len(document.data)
        rank = provenance.rank(provenance.pmcid)
        if provenance.pmcid and self._known.supersede(provenance.pmcid, rank, facts, document.data):
            self._count(f"dropped:{duplicates.SUPERSEDED}")
            return
        try:
            elements = article_reader.find_articles(document.data, document.member)
        except article_reader.RejectedError as error:
            self._count(f"rejected:{error.reason}")
            yield place | {"reason": error.reason, "detail": error.detail}
            self._list_unreadable(provenance)
            return
        if len(elements) == 1 and not document.in_set:
            fingerprint = duplicates.fingerprint(document.data)
        else:  # Neither the name of the file nor its bytes are those of one article.
            fingerprint, provenance = "", replace(provenance, pmcid="")
        for element in elements:
            yield from self._read_article(element, document.member, provenance, fingerprint)

    def _read_article(
        self,
        element: article_reader.ArticleElement,
        member: str,
        provenance: _Provenance,
        fingerprint: str,
    ) -> Iterator[Outcome]:
        """Yields an article if it is kept, and that its XML has another id than its file says."""
        article, reason = None, self._reason_unread(element, provenance.facts)
        if reason is None:
            article = article_reader.read_article(element, self._reading.needed)
            article = with_licence_beside(article, provenance.facts.licence)
            reason = self._reading.filter.drop_reason(article)
        outcome = f"dropped:{reason}" if reason else None
        ids = article or article_reader.read_ids(element)
        if provenance.pmcid and ids.pmcid and ids.pmcid != provenance.pmcid:
            detail = f"its name or filelist says {provenance.pmcid}, its XML {ids.pmcid}"
            yield {"archive": provenance.archive, "member": member,
                   "reason": "other_id", "detail": detail}  # fmt: skip
        has_heading = not self._reading.filter.mesh  # Its citation will say.
        if pmcid := ids.pmcid or provenance.pmcid:
            rank = provenance.rank(pmcid, ids.version)
            self._list(
                pmcid, rank, provenance.facts.marks, fingerprint, outcome, has_heading=has_heading
            )
        if article is not None and outcome is None:
            if ids.pmid:  # Its citation would be the same text once more.
                pmid = duplicates.citation_id(ids.pmid)
                self._list(pmid, "", duplicates.FULL_TEXT, "", None, has_heading=has_heading)
            yield self._keep(article, provenance.archive, member)
        self._count(outcome)

    def _reason_unread(
        self, element: article_reader.ArticleElement, facts: ArticleFacts
    ) -> str | None:
        """Returns why an article is dropped without reading its text; None if it may be kept."""
        if reason := self._reading.unwanted(facts):
            return reason
        return NO_KEYWORD if self._reading.cannot_match(element) else None

    def _read_citation(self, citation: Citation, archive: str) -> Iterator[Outcome]:
        """Yields a citation that is kept, or why it was rejected."""
        reading = self._reading
        self.summary.funnel["xml_bytes"] += len(citation.data)
        try:
            article = pubmed_reader.read_citation(
                citation.data, reading.needed, other_abstracts=reading.other_abstracts
            )
        except article_reader.RejectedError as error:
            self._count(f"rejected:{error.reason}")
            yield {"archive": archive, "member": citation.member,
                   "reason": error.reason, "detail": error.detail}  # fmt: skip
            return
        reason = reading.filter.drop_reason(article)
        outcome = f"dropped:{reason}" if reason else None
        version = int(article.version) if article.version.isdecimal() else 1
        rank = duplicates.citation_rank(version, citation.file_name, archive)
        fingerprint = duplicates.fingerprint(citation.data)
        has_heading = reading.filter.has_heading(article.mesh)
        self._list(article.article_id, rank, "", fingerprint, outcome, has_heading=has_heading)
        if article.pmcid:
            self._list(
                article.pmcid, rank, duplicates.CITATION, "", outcome, has_heading=has_heading,
                mesh=article.mesh,
            )  # fmt: skip
        if outcome is None:
            yield self._keep(article, archive, citation.member)
        self._count(outcome)

    def _damage(self, damage: Damage, archive: str) -> dict[str, str]:
        if damage.member:
            self._count(f"rejected:{damage.reason}")
        else:
            self.summary.funnel[damage.reason] += 1
        place = {"archive": archive, "member": damage.member}
        return place | {"reason": damage.reason, "detail": damage.detail}

    def _list_unreadable(self, provenance: _Provenance) -> None:
        if pmcid := provenance.pmcid:
            self._list(
                pmcid, provenance.rank(pmcid), provenance.facts.marks, "", "", readable=False
            )

    def _list(
        self,
        pmcid: str,
        rank: str,
        marks: str,
        fingerprint: str,
        outcome: str | None,
        *,
        readable: bool = True,
        has_heading: bool = True,
        mesh: str = "",
    ) -> None:
        row = self._rows if outcome is None else -1
        self.copies.append(
            duplicates.Copy(
                pmcid, rank, marks, fingerprint, len(self.copies), readable, row, outcome or "",
                has_heading, mesh,
            )
        )  # fmt: skip

    def _keep(self, article: Article, archive: str, member: str) -> CorpusArticle:
        self._rows += 1
        return tokenize_article(article, archive, member, self._reading)

    def _count(self, outcome: str | None) -> None:
        """Counts an article; the writer counts the kept ones."""
        self.summary.funnel["read"] += 1
        if outcome is not None:
            self.summary.funnel[outcome] += 1


@dataclass(frozen=True)
class _Provenance:
    """Where a document comes from, and what is said of it outside its XML.

    Attributes:
        archive: name of the input file.
        path: of the loose file, or of the member of an archive: it may name the article.
        pmcid: id that the filelist or the path names; empty if neither does.
        facts: what stands beside it.
        date: of the document, as text that orders copies.
    """

    archive: str
    path: str
    pmcid: str
    facts: ArticleFacts
    date: str

    def rank(self, pmcid: str, xml_version: str = "") -> str:
        """Returns what orders this copy of an article among others."""
        return duplicates.rank(
            pmcid, self.path, xml_version=xml_version, date=self.date, archive=self.archive
        )


def _provenance(
    document: Document | Damage, archive: str, path: str, facts: ArticleFacts
) -> _Provenance:
    modified, in_set = (
        (document.modified, document.in_set) if isinstance(document, Document) else (None, False)
    )
    naming_path = document.member if is_archive(path) else path
    pmcid = facts.pmcid or ("" if in_set else duplicates.named_article(naming_path))
    date = facts.date or duplicates.member_date(modified)
    return _Provenance(archive, naming_path, pmcid, facts, date)


def _facts_beside(path: str, member: str) -> tuple[ArticleFacts, str]:
    """Returns what stands beside an input file of an article, and why that cannot be read."""
    if is_archive(path):
        return companion_files.read_filelist(path).facts(member), ""
    try:
        return (companion_files.read_article_facts(path) if path else NO_FACTS), ""
    except ValueError as error:
        return NO_FACTS, str(error)


def with_licence_beside(article: Article, licence: str) -> Article:
    """Returns the article with the licence that stands beside it, where its XML states no terms."""
    if licence and is_vague(article.licence):
        return replace(article, licence=licence)
    return article


def tokenize_article(
    article: Article, archive: str, member: str, reading: Reading
) -> CorpusArticle:
    """Returns an article's sentences as tokens; sentences without a token are left out."""
    sentences = [
        (section.name, sentence)
        for section in article.sections
        if section.name in reading.sections
        for block in section.blocks
        for sentence in ([block] if section.whole_blocks else split_sentences(block))
    ]
    tokens = reading.tokenize([sentence for _, sentence in sentences])
    rows = [(name, words) for (name, _), words in zip(sentences, tokens, strict=True) if words]
    return CorpusArticle(article, archive, member, [n for n, _ in rows], [w for _, w in rows])
