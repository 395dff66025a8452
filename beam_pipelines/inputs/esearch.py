"""A query of PMC's search -> the ids that it finds, through NCBI's E-utilities.

    search_articles("melanoma[title] AND 2024[pdat]")

The query is what PMC's search page takes. Only articles that are in the bucket are asked for: the
Open Access Subset and author manuscripts. The rules of the service are kept: three requests a
second, ten with a key in the variable NCBI_API_KEY, and at most 10,000 ids in an answer
(https://www.ncbi.nlm.nih.gov/books/NBK25497/).
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import numpy as np

from beam_pipelines.inputs.article_versions import read_pmcids
from pmc2vec import __version__
from pmc2vec.errors import UserError

ESEARCH_URL = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/esearch.fcgi"
IN_BUCKET = "(open_access[Filter] OR author_manuscript[Filter])"
PAGE_IDS = 10_000

_logger = logging.getLogger(__name__)

_ATTEMPTS = 6
_SECONDS = 60


def wanted_articles(pmcids: str | None, query: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the ids and versions that a list or a query names; None where neither is given.

    A version of 0 stands for the newest.
    """
    if pmcids:
        return read_pmcids(pmcids)
    if not query:
        return None
    ids = search_articles(query)
    _logger.info("--query %s: finds %s articles", query, f"{len(ids):,}", extra={"stage": "query"})
    return ids, np.zeros_like(ids)


def search_articles(query: str, *, pause: Callable[[float], None] = time.sleep) -> np.ndarray:
    """Returns the ids of the articles in the bucket that a query finds, in PMC's order.

    Args:
        query: as on PMC's search page.
        pause: waits for so many seconds.

    Raises:
        UserError: the service cannot be reached, refuses the query, or finds nothing.
    """
    key = os.environ.get("NCBI_API_KEY", "")
    seconds = 1 / 10 if key else 1 / 3
    parameters = {
        "db": "pmc", "term": f"({query}) AND {IN_BUCKET}", "retmode": "json", "tool": "pmc2vec",
        "retmax": str(PAGE_IDS), **({"api_key": key} if key else {}),
    }  # fmt: skip
    ids: list[int] = []
    total = 1
    while len(ids) < total:
        if ids:
            pause(seconds)
        result = _ask({**parameters, "retstart": str(len(ids))}, query, pause)
        total = int(result["count"])
        page = [int(text) for text in result["idlist"]]
        if not page:
            break
        ids += page
    if not total:
        raise UserError(f"--query {query}: finds no article of the bucket{_hint(result)}")
    if len(ids) < total:
        raise UserError(f"--query {query}: {len(ids):,} of {total:,} ids came; try again")
    return np.array(ids, np.int64)


def _ask(
    parameters: Mapping[str, str], query: str, pause: Callable[[float], None]
) -> Mapping[str, Any]:
    """Returns the `esearchresult` of one page, after a few attempts where the service is busy."""
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause(2.0 ** (attempt - 1))
        try:
            # A POST, since queries may be long.
            request = Request(  # The address is ours.
                ESEARCH_URL, urlencode(parameters).encode(),
                {"User-Agent": f"pmc2vec/{__version__}"},
            )  # fmt: skip
            with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                text = answer.read().decode("utf-8", "replace")
        except HTTPError as error:
            reason = _error_in(error.read().decode("utf-8", "replace")) or str(error)
            if error.code != 429 and error.code < 500:
                break
            continue
        except (URLError, OSError) as error:
            reason = str(error)
            continue
        result, reason = _parse(text)
        if result is not None:
            return result
        if "rate limit" not in reason.lower():
            break
    raise UserError(f"--query {query}: {ESEARCH_URL} says: {reason}")


def _parse(text: str) -> tuple[Mapping[str, Any] | None, str]:
    """Returns the result in an answer, or None and the error that is in it."""
    if error := _error_in(text):
        return None, error
    try:
        result = json.loads(text)["esearchresult"]
        if not result["count"].isdigit() or not all(map(str.isdigit, result["idlist"])):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, f"no answer of esearch ({' '.join(text.split())[:80]})"
    return result, ""


def _error_in(text: str) -> str:
    """Returns the error in an answer, which is JSON or XML whatever was asked for, or nothing."""
    if match := re.search(r"<ERROR>(.*?)</ERROR>", text, re.DOTALL | re.IGNORECASE):
        return " ".join(match[1].split())
    try:
        answer = json.loads(text)
        error = answer.get("error") or answer.get("esearchresult", {}).get("ERROR")
    except (ValueError, AttributeError):
        return ""
    return str(error or "")


def _hint(result: Mapping[str, Any]) -> str:
    """Returns which words of a query the service does not know."""
    errors = result.get("errorlist") or {}
    unknown = [*errors.get("phrasesnotfound", []), *errors.get("fieldsnotfound", [])]
    return f" (unknown: {', '.join(map(str, unknown))})" if unknown else ""
