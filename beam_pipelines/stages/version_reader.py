"""Article versions of a bucket, many at once: the metadata of each, and its XML where it is wanted.

The metadata of a version are read first. Where they say that the article is not wanted (retracted,
a manuscript, another licence), its XML is not downloaded. Where they give an MD5, the XML must have
it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from beam_pipelines.inputs.article_versions import ArticleVersion
from beam_pipelines.inputs.documents import Damage, Document
from beam_pipelines.jats.licences import licence_name
from beam_pipelines.stages.companion_files import NO_FACTS, ArticleFacts, parse_metadata
from beam_pipelines.text.filters import LICENCE
from pmc2vec.errors import UserError
from pmc2vec.storage.concurrent_reads import (
    RefusedError,
    Requests,
    TooLargeError,
    read_in_order,
)

MISSING = "missing"
REFUSED = "refused"
WRONG_MD5 = "wrong_md5"

# A version that is replaced just now has metadata of one delivery and XML of another.
_MD5_ATTEMPTS = 3
# So many refusals before anything was read: the bucket refuses, and not single objects.
_REFUSALS_OF_BUCKET = 32


@dataclass(frozen=True)
class ReadVersion:
    """An article version as it was read.

    Attributes:
        version: which.
        facts: what its metadata say.
        problem: why its metadata cannot be read; empty where they can.
        content: its XML, or why it could not be read; None where it is not wanted.
        reason: why it is not wanted; empty where it is.
        modified: when its XML was written.
    """

    version: ArticleVersion
    facts: ArticleFacts
    problem: str
    content: Document | Damage | None
    reason: str = ""
    modified: datetime | None = None


def read_article_versions(
    root: str,
    versions: Iterable[ArticleVersion],
    *,
    unwanted: Callable[[ArticleFacts], str | None],
    max_bytes: int,
    in_flight: int,
    per_second: float | None,
) -> Iterator[ReadVersion]:
    """Yields each version, in the order of `versions`.

    Args:
        root: of the bucket, or of a copy of it.
        versions: to be read.
        unwanted: returns why an article is not wanted, from its metadata alone.
        max_bytes: of an XML file; a larger one is `too_large`.
        in_flight: versions that are read at once.
        per_second: requests that start in a second.

    Raises:
        UserError: the bucket may not be read, or an object could not after all retries.
    """

    async def read_one(version: ArticleVersion, requests: Requests) -> ReadVersion:
        """Returns one version, as `read_in_order` asks for it."""
        return await _read_version(root, version, requests, unwanted, max_bytes)

    refused, was_read = 0, False
    for article in read_in_order(
        read_one, versions, in_flight=in_flight, per_second=per_second, size_of=_size
    ):
        is_refused = isinstance(article.content, Damage) and article.content.reason == REFUSED
        refused += is_refused
        was_read = was_read or not is_refused
        if refused >= _REFUSALS_OF_BUCKET and not was_read:
            break
        yield article
    if refused > 1 and not was_read:
        raise UserError(f"{root}: may not be read; not one object of it could be")


def _size(article: ReadVersion) -> int:
    return len(article.content.data) if isinstance(article.content, Document) else 0


async def _read_version(
    root: str,
    version: ArticleVersion,
    requests: Requests,
    unwanted: Callable[[ArticleFacts], str | None],
    max_bytes: int,
) -> ReadVersion:
    path = version.xml_path(root)
    name = path.rpartition("/")[2]
    for attempt in range(_MD5_ATTEMPTS):
        facts, problem = await _read_facts(root, version, requests)
        if reason := unwanted(facts):
            return ReadVersion(version, facts, problem, None, reason)
        content: Document | Damage
        modified = None
        try:
            data, modified = await requests.read(path, max_bytes)
        except FileNotFoundError:
            content = Damage(name, MISSING, f"{path}: is not there")
        except RefusedError as error:
            content = Damage(name, REFUSED, f"{path}: {error}")
        except TooLargeError as error:
            content = Damage(name, "too_large", str(error))
        else:
            md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if facts.md5 and md5 != facts.md5:
                if attempt < _MD5_ATTEMPTS - 1:
                    continue
                content = Damage(name, WRONG_MD5, f"{md5}, but its metadata say {facts.md5}")
            else:
                content = Document(name, data)
                facts = replace(facts, md5=md5)
        break
    return ReadVersion(version, facts, problem, content, modified=modified)


async def _read_facts(
    root: str, version: ArticleVersion, requests: Requests
) -> tuple[ArticleFacts, str]:
    """Returns what the metadata say, and why they cannot be read."""
    for path in version.metadata_paths(root):
        try:
            text, _ = await requests.read(path)
            return parse_metadata(text, path), ""
        except FileNotFoundError:
            continue
        except RefusedError as error:
            return NO_FACTS, f"{path}: {error}"
        except ValueError as error:
            return NO_FACTS, str(error)
    return NO_FACTS, ""


def unwanted_by_metadata(
    facts: ArticleFacts, welcome: Sequence[str], licences: Sequence[str]
) -> str | None:
    """Returns why an article is not wanted, from what stands outside its XML; None if it may be.

    A licence that is named without its version may be any version of it, which the XML tells; so
    does the XML where the metadata name no licence of Creative Commons.

    Args:
        facts: about the article.
        welcome: marks that are no reason.
        licences: that are wanted; empty for all.

    >>> [unwanted_by_metadata(ArticleFacts(licence=name), (), ["CC BY 4.0", "CC0"])
    ...  for name in ("CC BY", "CC BY-NC", "CC0", "TDM", "")]
    [None, 'licence', None, None, None]
    """
    if unwelcome := [mark for mark in facts.marks.split(",") if mark and mark not in welcome]:
        return unwelcome[-1]
    family = _family(licence_name(facts.licence))
    families = {_family(licence_name(licence) or licence) for licence in licences}
    return LICENCE if families and family and family not in families else None


def _family(licence: str) -> str:
    """Returns the name of a licence without its version."""
    return re.sub(r" [\d.]+$", "", licence.strip()).upper()
