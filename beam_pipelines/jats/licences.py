"""Names the licence of an article for the funnel and the filter: `CC BY 4.0`, `CC0`, ...

>>> licence_name("http://creativecommons.org/licenses/by-nc/4.0/")
'CC BY-NC 4.0'
"""

from __future__ import annotations

import re
from typing import Any

from beam_pipelines.jats.xml_parser import outermost

_REFERENCE = "{*}license_ref"
_LINK = re.compile(
    r"creativecommons\.org/(?:licen[cs]es/(?:cc(?:[ _-]|%20)?)?"
    r"(?P<kind>[a-z-]++(?>(?:(?:[ _]|%20)(?:nc|nd|sa)\b)*))(?:/(?P<version>[\d.]*\d))?"
    r"|(?P<zero>publicdomain/zero)|(?P<mark>publicdomain))",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\bCC[ _-]?(?:(?P<zero>0|zero)"
    r"|(?P<kind>BY(?>(?:[ _-]?(?:NC|ND|SA)(?=NC|ND|SA|\b|_))*))(?:[ _-](?P<version>\d\.\d))?)",
    re.IGNORECASE,
)
_TERM = re.compile("BY|NC|ND|SA")
# `license-type`s that say nothing of the terms.
_VAGUE = frozenset(
    "creativecommons free freeaccess fullaccess license licence open openaccess".split()
)


def read_licence(permissions: Any) -> str:
    """Returns the licence that a JATS `<permissions>` element, or None, states.

    The first of: a Creative Commons link, a Creative Commons name in the text, the `license-type`.
    """
    if permissions is None:
        return ""
    nodes = permissions.findall("{*}license")
    links = [v for n in nodes for e in n.iter() for k, v in e.attrib.items() if k.endswith("href")]
    references = outermost(permissions.iter(_REFERENCE), _REFERENCE)
    texts = ("".join(node.itertext()) for node in (*references, *nodes))
    types = [node.get("license-type", "") for node in nodes]
    for text in (*links, *texts, *types):
        if name := licence_name(text):
            return name
    return next(iter(types), "")


def is_vague(licence: str) -> bool:
    """Tells whether a licence is empty or says nothing of its terms, as `open-access`."""
    letters = "".join(filter(str.isalpha, licence.lower()))
    return not letters or letters in _VAGUE


def licence_name(text: str) -> str:
    """Returns the Creative Commons licence that a link or a sentence names, or an empty string."""
    match = _LINK.search(text) or _CODE.search(text)
    if match is None:
        return ""
    if match["kind"]:
        version = match["version"] or ""
        full = f"{version}.0" if version.isdigit() else version
        return f"CC {_terms(match['kind'])} {full}".strip()
    return "CC0" if match["zero"] else "public domain"


def _terms(kind: str) -> str:
    """Returns `BY-NC-ND` for `by-nc-nd` and for what people write: `by-ncnd`, `by_nc_nd`."""
    letters = "".join(filter(str.isalpha, kind.upper().replace("%20", ""))).removeprefix("CC")
    terms = _TERM.findall(letters)
    return "-".join(sorted(terms)) if "".join(terms) == letters else kind.upper()
