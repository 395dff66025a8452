"""One work item (an archive, or a handful of loose files) -> its part of the corpus.

A pure function of the input files and the options: a retry, another worker or another engine
writes the same bytes under the same names, and a part that is finished is not made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cached_property

from beam_pipelines.inputs.documents import (
    MAX_DOCUMENT_BYTES,
    Damage,
    Document,
    ReadOptions,
    TextUnit,
)
from beam_pipelines.inputs.sources import is_archive, open_source
from beam_pipelines.inputs.work_items import WorkItem
from beam_pipelines.jats import article_reader
from beam_pipelines.jats.article_reader import Article
from beam_pipelines.jats.licences import is_vague
from beam_pipelines.stages import duplicates
from beam_pipelines.stages.corpus_files import CorpusArticle, CorpusWriter, Summary
from beam_pipelines.stages.output_folder import REJECTED_NAME, Heartbeat, OutputFolder
from beam_pipelines.stages.word_counts import CountsWriter
from beam_pipelines.text.filters import NO_KEYWORD, ArticleFilter, may_mention
from beam_pipelines.text.sentences import split_sentences
from beam_pipelines.text.tokenizers import NumberHandling, Tokenizer, TokenizerKind, make_tokenizer
from pmc2vec.storage.files import atomic_file, list_files, open_binary, read_text, write_text


@dataclass(frozen=True)
class Reading:
    """How articles are read.

    Attributes:
        filter: which articles are kept.
        sections: kinds of text to take, see `article_reader.SECTION_NAMES`.
        tokenizer, lowercase, numbers: see `tokenizers.make_tokenizer`.
        max_document_bytes: larger documents are rejected.
        text_unit: what a block of a plain text file is.
        welcome: marks of editions (see `duplicates.MARKS`) that are no reason to leave them out.
        precheck: whether to pass over articles whose raw text holds no keyword.
    """

    filter: ArticleFilter = field(default_factory=ArticleFilter)
    sections: tuple[article_reader.SectionName, ...] = article_reader.DEFAULT_SECTIONS
    tokenizer: TokenizerKind = "biomedical"
    lowercase: bool = True
    numbers: NumberHandling = "keep"
    max_document_bytes: int = MAX_DOCUMENT_BYTES
    text_unit: TextUnit = "line"
    welcome: tuple[str, ...] = (duplicates.MANUSCRIPT, duplicates.HISTORICAL_OCR)
    precheck: bool = True

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
        return make_tokenizer(self.tokenizer, lowercase=self.lowercase, numbers=self.numbers)

    def cannot_match(self, found: article_reader.ArticleElement) -> bool:
        """Tells whether the raw text of an article shows that no keyword is in it."""
        keywords = self.filter.keywords
        if not (self.precheck and keywords):
            return False
        text = article_reader.raw_section_text(found, self.needed)
        return not may_mention(text, keywords, self.filter.require)


@dataclass(frozen=True)
class Part:
    """A finished part: its name and the tokens of each of its row groups."""

    name: str
    groups: tuple[int, ...]


def write_part(item: WorkItem, *, output: OutputFolder, reading: Reading) -> Part:
    """Reads one work item and writes its part of the corpus; a finished part is left alone.

    Args:
        item: what to read; its editions stand in the catalogue.
        output: the dataset.
        reading: how articles are read.
    """
    left_out = duplicates.read_left_out(item.catalogue, welcome=reading.welcome, output=output)
    summary_path = output.path("corpus", f"{item.name}.json")
    origin = hashlib.sha256(
        repr((item.files, item.byte_range, reading, sorted(left_out.items()))).encode()
    ).hexdigest()
    done = read_text(summary_path)
    if done is not None and json.loads(done)["origin"] == origin:
        return Part(item.name, tuple(Summary.from_json(done).groups))
    summary = Summary(origin=origin)
    with ExitStack() as stack:
        files = (
            stack.enter_context(atomic_file(output.path(*names)))
            for names in (
                ("corpus", f"{item.name}.parquet"),
                ("counts", f"{item.name}.parquet"),
                ("corpus", f"{item.name}.{REJECTED_NAME}"),
            )
        )
        writer = stack.enter_context(closing(CorpusWriter(next(files), summary)))
        counter = stack.enter_context(closing(CountsWriter(next(files))))
        rejected = next(files)
        heartbeat = output.heartbeat(f"corpus-{item.index:05d}")
        for found in _read(item, reading, left_out, summary, heartbeat):
            if found is None:
                writer.end_group()
            elif isinstance(found, CorpusArticle):
                writer.write(found)
                counter.count_sentences(found.sentences)
            else:
                rejected.write(json.dumps(found, ensure_ascii=False).encode() + b"\n")
    write_text(summary_path, summary.to_json())
    return Part(item.name, tuple(summary.groups))


def _read(
    item: WorkItem,
    reading: Reading,
    left_out: Mapping[str, str],
    summary: Summary,
    heartbeat: Heartbeat,
) -> Iterator[CorpusArticle | dict[str, str] | None]:
    """Yields kept articles, what was rejected, and None where a row group must begin.

    Counts everything in `summary`.
    """
    before = 0
    for path, size in item.files:
        archive = path.rsplit("/", 1)[-1]
        with open_binary(path) as file:
            source, stream = open_source(file, path)
            contents: Iterator[Document | Article | Damage | None] = source.documents(
                stream, archive, reading.options
            )
            if source.is_archive:
                contents = item.byte_range.select(contents, file.tell, size)
            for document in contents:
                if document is None:
                    yield None
                    continue
                if isinstance(document, Article):  # Of plain text, which has no versions.
                    yield from _kept(document, archive, archive, reading, summary)
                    heartbeat.beat(_beats(summary, before + file.tell()))
                    continue
                place = document.member if is_archive(path) else path
                if reason := left_out.get(place):
                    summary.funnel.update({"read": 1, f"dropped:{reason}": 1})
                else:
                    for kept in read_document(document, archive, reading, summary):
                        yield _licensed(kept, path, place)
                heartbeat.beat(
                    _beats(summary, before + item.byte_range.bytes_read(file.tell(), size))
                )
        before += size
    heartbeat.beat(_beats(summary, item.size), last=True)


def _licensed(
    found: CorpusArticle | dict[str, str], path: str, place: str
) -> CorpusArticle | dict[str, str]:
    """Returns the article with its licence in the filelist, where its XML states no terms."""
    if isinstance(found, dict) or not is_vague(found.article.licence):
        return found
    licence = duplicates.licences(path).get(place) or found.article.licence
    return replace(found, article=replace(found.article, licence=licence))


def _beats(summary: Summary, size: int) -> dict[str, int]:
    return {"bytes": size} | {name: summary.funnel[name] for name in ("read", "kept", "xml_bytes")}


def read_document(
    document: Document | Damage, archive: str, reading: Reading, summary: Summary
) -> Iterator[CorpusArticle | dict[str, str]]:
    """Yields the kept articles of one document, or why it was rejected.

    Adds to the funnel such that `read` is `kept` plus every reason; a damaged archive, which is
    no article, is counted apart.
    """
    funnel = summary.funnel
    place = {"archive": archive, "member": document.member}
    if isinstance(document, Damage):
        is_article = bool(document.member)
        funnel["read"] += is_article
        funnel[f"rejected:{document.reason}" if is_article else document.reason] += 1
        yield place | {"reason": document.reason, "detail": document.detail}
        return
    funnel["xml_bytes"] += len(document.data)
    try:
        found = article_reader.find_articles(document.data, document.member)
    except article_reader.RejectedError as error:
        funnel.update({"read": 1, f"rejected:{error.reason}": 1})
        yield place | {"reason": error.reason, "detail": error.detail}
        return
    for element in found:
        if reading.cannot_match(element):
            funnel.update({"read": 1, f"dropped:{NO_KEYWORD}": 1})
            continue
        article = article_reader.read_article(element, reading.needed)
        yield from _kept(article, archive, document.member, reading, summary)


def _kept(
    article: Article, archive: str, member: str, reading: Reading, summary: Summary
) -> Iterator[CorpusArticle]:
    summary.funnel["read"] += 1
    if reason := reading.filter.drop_reason(article):
        summary.funnel[f"dropped:{reason}"] += 1
    else:
        yield tokenized(article, archive, member, reading)


def tokenized(article: Article, archive: str, member: str, reading: Reading) -> CorpusArticle:
    """Returns an article's sentences as tokens; sentences without a token are left out."""
    found = [
        (section.name, sentence)
        for section in article.sections
        if section.name in reading.sections
        for block in section.blocks
        for sentence in split_sentences(block)
    ]
    tokens = reading.tokenize([sentence for _, sentence in found])
    kept = [(name, words) for (name, _), words in zip(found, tokens, strict=True) if words]
    return CorpusArticle(article, archive, member, [n for n, _ in kept], [w for _, w in kept])


def sorted_parts(parts: Iterable[Part]) -> list[Part]:
    """Returns parts by name: an engine gives them in any order."""
    return sorted(parts, key=lambda part: part.name)


def total(parts: Iterable[Part], output: OutputFolder) -> Summary:
    """Returns the sum of the parts' summaries."""
    whole = Summary()
    for part in sorted_parts(parts):
        summary = Summary.from_json(
            read_text(output.corpus_path("corpus", f"{part.name}.json")) or "{}"
        )
        whole.funnel.update(summary.funnel)
        whole.licences.update(summary.licences)
    return whole


def finished_parts(output: OutputFolder) -> list[Part]:
    """Returns the parts of a corpus on disk, by name."""
    parts = []
    for path, _ in list_files(output.corpus_path("corpus"), "part-*.json"):
        name = path.rsplit("/", 1)[-1].removesuffix(".json")
        parts.append(Part(name, tuple(Summary.from_json(read_text(path) or "{}").groups)))
    return sorted_parts(parts)
