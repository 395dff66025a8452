"""Which articles are kept, and why not: each drop has one reason, a word for the funnel.

Keywords are looked for in the text as the tokens show it: in NFKC, without soft hyphens, with one
kind of dash and space, so that `&#x02010;` or a ligature hides nothing.

    >>> from beam_pipelines.jats.article_reader import articles
    >>> front = b"<front><article-meta/></front>"
    >>> data = b"<article>" + front + b"<body><p>A melanoma.</p></body></article>"
    >>> [Filter([word]).reason(*articles(data, "a.xml")) for word in ("Melanoma", "maize")]
    [None, 'no_keyword']
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from beam_pipelines.jats.article_reader import Article, SectionName
from beam_pipelines.text.sentences import normalize

Require = Literal["any", "all"]

NO_KEYWORD = "no_keyword"
NO_TEXT = "no_text"
RETRACTED = "retracted"
ARTICLE_TYPE = "article_type"
LANGUAGE = "language"
LICENCE = "licence"
YEAR = "year"
JOURNAL = "journal"


@dataclass(frozen=True)
class Filter:
    """What an article must have to be kept; an empty field asks for nothing.

    Attributes:
        keywords: words or phrases to look for.
        require: whether any or all of the keywords must occur.
        whole_words: a keyword must not be part of a longer word; else `carcinoma` is found in
            `adenocarcinoma`.
        case_sensitive: `AIDS` is not `aids`.
        keyword_sections: kinds of text in which keywords count, of those the article has.
        licences: `CC BY` stands for every version of it, `CC BY 4.0` for one.
        article_types: values of JATS' `article-type`.
        languages: two letters; an article that names none is in English, as JATS says.
        min_year: of publication; an article without a year is dropped.
        max_year: likewise.
        journals: titles, in any case.
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
    retracted: bool = False

    def reason(self, article: Article) -> str | None:
        """Returns why the article is dropped, or None where it is kept."""
        return next(self._reasons(article), None)

    def _reasons(self, article: Article) -> Iterator[str]:
        # Keywords first: `precheck.may_mention` drops by them before anything else is known.
        if self.keywords and not self._mentions(article):
            yield NO_KEYWORD
        if not article.sections:
            yield NO_TEXT
        if article.retracted and not self.retracted:
            yield RETRACTED
        if self.article_types and article.article_type not in self.article_types:
            yield ARTICLE_TYPE
        language = (article.language or "en")[:2].lower()
        if self.languages and language not in {name[:2].lower() for name in self.languages}:
            yield LANGUAGE
        if self.licences and not any(_covers(name, article.licence) for name in self.licences):
            yield LICENCE
        if not self._has_year(article.year):
            yield YEAR
        journals = {name.casefold() for name in self.journals}
        if journals and article.journal.casefold() not in journals:
            yield JOURNAL

    def _has_year(self, year: str) -> bool:
        if self.min_year is None and self.max_year is None:
            return True
        return year.isdecimal() and (
            (self.min_year or 0) <= int(year) <= (9999 if self.max_year is None else self.max_year)
        )

    def _mentions(self, article: Article) -> bool:
        patterns = _patterns(tuple(self.keywords), self.whole_words, self.case_sensitive)
        texts = [
            block if self.case_sensitive else block.lower()
            for section in article.sections
            if not self.keyword_sections or section.name in self.keyword_sections
            for block in map(normalize, section.blocks)
        ]
        found = (any(map(pattern.search, texts)) for pattern in patterns)
        return all(found) if self.require == "all" else any(found)


def _covers(name: str, licence: str) -> bool:
    name, licence = name.upper(), licence.upper()
    return licence == name or re.fullmatch(rf"{re.escape(name)} [\d.]+", licence) is not None


@lru_cache(maxsize=16)
def _patterns(
    keywords: Sequence[str], whole_words: bool, case_sensitive: bool
) -> list[re.Pattern[str]]:
    """Returns what to look for in lower-cased text (or as it is, if case counts)."""
    words = [normalize(word) if case_sensitive else normalize(word).lower() for word in keywords]
    edge = r"(?<!\w){}(?!\w)" if whole_words else "{}"
    return [re.compile(edge.format(re.escape(" ".join(word.split())))) for word in words]
