"""Decides which articles are kept; each dropped article has one reason, a word for the funnel.

`ArticleFilter` decides on an article that was read. Most articles of a build with keywords mention
none of them, and `may_mention` sees that in their raw text (`article_reader.raw_section_text`) in
a fraction of the time that reading takes.

Keywords are looked for in the text as the tokens show it: in NFKC, without soft hyphens, with one
kind of dash and space, so that `&#x02010;` or a ligature hides nothing.

    >>> from beam_pipelines.jats.article_reader import read_articles
    >>> front = b"<front><article-meta/></front>"
    >>> data = b"<article>" + front + b"<body><p>A melanoma.</p></body></article>"
    >>> (article,) = read_articles(data, "a.xml")
    >>> [ArticleFilter([word]).drop_reason(article) for word in ("Melanoma", "maize")]
    [None, 'no_keyword']
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from beam_pipelines.jats import pubmed_reader
from beam_pipelines.jats.article_reader import LIST_SEPARATOR, Article, SectionName
from beam_pipelines.text.tokenizers import normalize_text

Require = Literal["any", "all"]

NO_KEYWORD = "no_keyword"
NO_TEXT = "no_text"
RETRACTED = "retracted"
ARTICLE_TYPE = "article_type"
LANGUAGE = "language"
LICENCE = "licence"
YEAR = "year"
JOURNAL = "journal"
MESH = "mesh"


_JOURNAL_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ArticleFilter:
    """What an article must have to be kept; an empty field asks for nothing.

    Attributes:
        keywords: words or phrases to look for.
        require: whether any or all of the keywords must occur.
        whole_words: a keyword must not be part of a longer word; else `carcinoma` is found in
            `adenocarcinoma`.
        case_sensitive: `AIDS` is not `aids`.
        keyword_sections: kinds of text in which keywords count, of those the article has.
        licences: `CC BY` stands for every version of it, `CC BY 4.0` for one.
        article_types: values of JATS' `article-type` or PubMed's publication types, in any case.
        languages: two letters; an article that names none is in English, as JATS says. Of a
            citation they are those of the article that it cites.
        min_year: of publication; an article without a year is dropped.
        max_year: likewise.
        journals: titles or abbreviations, as `journal_key` compares them.
        mesh: MeSH headings, by id or by name in lower case. An article with an id of PubMed
            Central or PubMed is kept, whatever this says: its citation has the headings, and
            `duplicates` compares the two later.
        retracted: keep retracted articles and notices of retraction too.
    """

    keywords: Collection[str] = ()
    require: Require = "any"
    whole_words: bool = False
    case_sensitive: bool = False
    keyword_sections: Collection[SectionName] = ()
    licences: Collection[str] = ()
    article_types: Collection[str] = ()
    languages: Collection[str] = ()
    min_year: int | None = None
    max_year: int | None = None
    journals: Collection[str] = ()
    mesh: Collection[str] = ()
    retracted: bool = False

    def drop_reason(self, article: Article) -> str | None:
        """Returns why the article is dropped, or None where it is kept."""
        return next(self._drop_reasons(article), None)

    def _drop_reasons(self, article: Article) -> Iterator[str]:
        # Keywords first: `may_mention` drops by them before anything else of an article is read,
        # and the funnel must not depend on which of the two dropped it.
        if self.keywords and not self._mentions_keywords(article):
            yield NO_KEYWORD
        if not article.sections:
            yield NO_TEXT
        if article.retracted and not self.retracted:
            yield RETRACTED
        if self.article_types and not self._accepts_type(article.article_type):
            yield ARTICLE_TYPE
        languages = {name[:2].lower() for name in (article.language or "en").split()}
        if self.languages and languages.isdisjoint(name[:2].lower() for name in self.languages):
            yield LANGUAGE
        if self.licences and not any(_covers(name, article.licence) for name in self.licences):
            yield LICENCE
        if not self._accepts_year(article.year):
            yield YEAR
        if self.journals and self._journal_keys.isdisjoint(
            map(journal_key, (article.journal, *article.journal_abbreviations))
        ):
            yield JOURNAL
        if not (self.awaits_citation(article) or self.has_heading(article.mesh)):
            yield MESH

    def awaits_citation(self, article: Article) -> bool:
        """Tells whether the citation of an article decides by its headings whether it is kept."""
        is_citation = article.source == pubmed_reader.SOURCE
        return bool(self.mesh and not is_citation and (article.pmcid or article.pmid))

    def has_heading(self, headings: str) -> bool:
        """Tells whether one of the headings (as in `Article.mesh`) is wanted."""
        if not self._mesh:
            return True
        pairs = (heading.partition(" ") for heading in headings.split(LIST_SEPARATOR))
        return any(ui in self._mesh or name.casefold() in self._mesh for ui, _, name in pairs)

    @cached_property
    def _journal_keys(self) -> frozenset[str]:
        return frozenset(map(journal_key, self.journals))

    @cached_property
    def _mesh(self) -> frozenset[str]:
        return frozenset(self.mesh)

    def _accepts_type(self, types: str) -> bool:
        wanted_types = {name.casefold() for name in self.article_types}
        # A citation has several, as in `Journal Article; Review`.
        return not wanted_types.isdisjoint(types.casefold().split(LIST_SEPARATOR))

    def _accepts_year(self, year: str) -> bool:
        if self.min_year is None and self.max_year is None:
            return True
        return year.isdecimal() and (
            (self.min_year or 0) <= int(year) <= (9999 if self.max_year is None else self.max_year)
        )

    def _mentions_keywords(self, article: Article) -> bool:
        patterns = _keyword_patterns(tuple(self.keywords), self.whole_words, self.case_sensitive)
        texts = [
            block if self.case_sensitive else block.lower()
            for section in article.sections
            if not self.keyword_sections or section.name in self.keyword_sections
            for block in map(normalize_text, section.blocks)
        ]
        mentions = (any(map(pattern.search, texts)) for pattern in patterns)
        return all(mentions) if self.require == "all" else any(mentions)


def journal_key(name: str) -> str:
    """Returns what two writings of a journal's title or abbreviation have in common.

    >>> [journal_key(name) for name in ("The New England J. of Medicine", "PLoS ONE", "Cell & Co")]
    ['new england j of medicine', 'plos one', 'cell and co']
    """
    words = _JOURNAL_WORD.findall(name.casefold().replace("&", " and "))
    return " ".join(words[1:] if words[:1] == ["the"] and words[1:] else words)


def _covers(name: str, licence: str) -> bool:
    name, licence = name.upper(), licence.upper()
    return licence == name or re.fullmatch(rf"{re.escape(name)} [\d.]+", licence) is not None


@lru_cache(maxsize=16)
def _keyword_patterns(
    keywords: Sequence[str], whole_words: bool, case_sensitive: bool
) -> list[re.Pattern[str]]:
    """Returns what to look for in lower-cased text, or in text as it is if case counts."""
    words = map(normalize_text, keywords)
    texts = [" ".join((word if case_sensitive else word.lower()).split()) for word in words]
    edges = r"(?<!\w){}(?!\w)" if whole_words else "{}"
    return [re.compile(edges.format(re.escape(text))) for text in texts]


def is_blank_keyword(keyword: str) -> bool:
    """Tells whether nothing of a keyword is left to look for, as of a space or a soft hyphen."""
    return not normalize_text(keyword).strip()


# --- before an article is read -------------------------------------------------------------------

_ASCII_RUN = re.compile(r"[a-z0-9]+")
_ASCII = bytes(range(128))


def may_mention(raw_text: bytes, keywords: Collection[str], require: Require = "any") -> bool:
    """Tells whether an article may mention the keywords; False is certain.

    The rules of `markup` leave text out and put spaces in, but never bring two letters together
    (except where they leave out tags that are text): what is not in the raw text is not in the
    article. Characters that `normalize_text` removes, or turns into letters, are replaced first.

        >>> texts = "maize", "Cancers", "can\u00adcer", "c ancer"
        >>> [may_mention(text.encode(), ["cancer"]) for text in texts]
        [False, True, True, False]

    Args:
        raw_text: all that is in the article's elements, in UTF-8.
        keywords: as in `ArticleFilter`, in any case, as parts of words or more.
        require: whether any or all of them must occur.
    """
    runs_of_keywords = _ascii_runs(tuple(keywords))
    if not runs_of_keywords or b"</" in raw_text:
        return True
    enough = all if require == "all" else any
    lowered = raw_text.lower()
    missing = {run for run in frozenset().union(*runs_of_keywords) if run not in lowered}
    if enough(missing.isdisjoint(runs) for runs in runs_of_keywords):
        return True
    if raw_text.isascii():
        return False
    for character, letters in _normalized_characters(raw_text, b"".join(missing)):
        lowered = lowered.replace(character, letters)
    missing = {run for run in missing if run not in lowered}
    return enough(missing.isdisjoint(runs) for runs in runs_of_keywords)


@lru_cache(maxsize=16)
def _ascii_runs(keywords: tuple[str, ...]) -> list[frozenset[bytes]]:
    """Returns the runs of ASCII letters and digits that each keyword's text must hold."""
    texts = (normalize_text(keyword).lower() for keyword in keywords)
    return [frozenset(run.encode() for run in _ASCII_RUN.findall(text)) for text in texts]


def _normalized_characters(
    raw_text: bytes, letters_of_runs: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Yields (character, its normal form) where that is empty or has a letter of the runs."""
    for character in set(raw_text.translate(None, _ASCII).decode()):
        letters = _normalized(character)
        if not letters or any(letter in letters_of_runs for letter in letters):
            yield character.encode(), letters


@lru_cache(maxsize=4096)
def _normalized(character: str) -> bytes:
    return normalize_text(character).lower().encode()
