"""Names the licence of an article for the funnel and the filter: `CC BY 4.0`, `CC0`, ...

>>> licence_name("http://creativecommons.org/licenses/by-nc/4.0/")
'CC BY-NC 4.0'
"""

from __future__ import annotations

import re
from typing import Any

_LINK = re.compile(
    r"creativecommons\.org/(?:licen[cs]es/(?:cc-)?(?P<kind>[a-z-]+)(?:/(?P<version>[\d.]*\d))?"
    r"|(?P<zero>publicdomain/zero)|(?P<mark>publicdomain))",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"\bCC[ -]?(?:(?P<zero>0|zero)|(?P<kind>BY(?:-(?:NC|ND|SA)){0,2})(?:[ -](?P<version>\d\.\d))?)",
    re.IGNORECASE,
)


def read_licence(permissions: Any) -> str:
    """Returns the licence that a JATS `<permissions>` element, or None, states.

    The first of: a Creative Commons link, a Creative Commons name in the text, the `license-type`.
    """
    if permissions is None:
        return ""
    nodes = permissions.findall("{*}license")
    links = [v for n in nodes for e in n.iter() for k, v in e.attrib.items() if k.endswith("href")]
    references = permissions.iter("{*}license_ref")
    texts = ("".join(node.itertext()) for node in (*references, *nodes))
    for text in (*links, *texts):
        if name := licence_name(text):
            return name
    return next((node.get("license-type", "") for node in nodes), "")


def licence_name(text: str) -> str:
    """Returns the Creative Commons licence that a link or a sentence names, or an empty string."""
    match = _LINK.search(text) or _CODE.search(text)
    if match is None:
        return ""
    if match["kind"]:
        version = match["version"] or ""
        full = f"{version}.0" if version.isdigit() else version
        return f"CC {match['kind'].upper()} {full}".strip()
    return "CC0" if match["zero"] else "public domain"
