"""NLM's tree of MeSH headings -> a heading and all that are below it.

    wanted_headings(["Skin Neoplasms"], "desc2026.xml")    # ... ("D008545", "D012878", ...)

NLM serves the tree in two forms, of which either will do, compressed or not:

    desc2026.xml     <DescriptorRecord><DescriptorUI>D008545</DescriptorUI> ...
                     <TreeNumberList><TreeNumber>C04.557.465.625.650.510</TreeNumber> ...
    mtrees2026.bin   Melanoma;C04.557.465.625.650.510

A heading has a number for each place in the tree. It is below another where its number begins with
a number of the other: `C04.588` is below `C04`. The second form has no ids.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from lxml import etree

from beam_pipelines.inputs.decompression import DamagedStreamError, InputStream
from beam_pipelines.jats.xml_parser import element_text
from pmc2vec.errors import UserError
from pmc2vec.storage.files import open_binary

_HEADING_ID = re.compile(r"[Dd]\d{6,9}")
_PEEKED_BYTES = 1 << 14
_TREE_LINE = re.compile(rb"(?:\xef\xbb\xbf)?[^\n;<]+;[A-Z]\d\d(?:\.\d+)*\r?\n")
# A line of the second form is a hundred bytes; a file without line ends is none.
_LINE_BYTES = 1 << 16


@dataclass(frozen=True)
class MeshHeading:
    """A heading of MeSH.

    Attributes:
        ui: its id, such as `D008545`; empty where the file has none.
        name: such as `Melanoma`.
        numbers: its places in the tree.
    """

    ui: str
    name: str
    numbers: tuple[str, ...]


def wanted_headings(names: Iterable[str], tree_path: str | None = None) -> tuple[str, ...]:
    """Returns headings as `ArticleFilter.mesh` has them: ids, and names in lower case.

    >>> wanted_headings(["d008545", "Skin Neoplasms"])
    ('D008545', 'skin neoplasms')

    Args:
        names: ids or names of headings.
        tree_path: NLM's file; the headings below those come too. Without it, only they.

    Raises:
        UserError: the file cannot be read, or has no such heading.
    """
    if tree_path is None:
        return tuple(dict.fromkeys(map(_key, names)))
    tree = read_mesh_tree(tree_path)
    headings = {key: entry for entry in tree for key in (entry.ui, entry.name.casefold()) if key}
    tops: set[str] = set()
    keys: set[str] = set()
    for name in names:
        heading = headings.get(_key(name))
        if heading is None:
            raise UserError(_unknown(name, tree, tree_path))
        tops.update(heading.numbers)
        keys.add(heading.ui or heading.name.casefold())
    keys.update(h.ui or h.name.casefold() for h in tree if _is_below(h, tops))
    return tuple(sorted(keys))


def _key(name: str) -> str:
    text = " ".join(name.split())
    return text.upper() if _HEADING_ID.fullmatch(text) else text.casefold()


def _is_below(heading: MeshHeading, tops: set[str]) -> bool:
    numbers = (number.split(".") for number in heading.numbers)
    return any(".".join(n[:size]) in tops for n in numbers for size in range(1, len(n)))


def _unknown(name: str, tree: Iterable[MeshHeading], path: str) -> str:
    if _HEADING_ID.fullmatch(name.strip()) and not any(heading.ui for heading in tree):
        return f"--mesh {name}: {path} has no ids; give the name, or NLM's descNNNN.xml"
    names = {heading.name.casefold(): heading.name for heading in tree}
    near = [names[near_name] for near_name in difflib.get_close_matches(_key(name), names)]
    hint = f"; near it are {', '.join(near)}" if near else ""
    return f"--mesh {name}: {path} has no such heading{hint}"


# --- the files -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def read_mesh_tree(path: str) -> tuple[MeshHeading, ...]:
    """Returns the headings of NLM's file.

    Raises:
        UserError: it cannot be read, or is no such file.
    """
    try:
        with open_binary(path) as file:
            stream = InputStream(file)
            head = stream.peek(_PEEKED_BYTES)
            if b"<DescriptorRecord" in head:
                headings = tuple(_described(stream))
            elif _TREE_LINE.match(head):
                headings = tuple(_listed(stream))
            else:
                headings = ()
    except (EOFError, DamagedStreamError, etree.XMLSyntaxError) as error:
        raise UserError(f"--mesh_tree {path}: cannot be read ({error})") from error
    if not headings:
        raise UserError(
            f"--mesh_tree {path}: no tree of MeSH; give NLM's descNNNN.xml or mtreesNNNN.bin"
        )
    return headings


def _described(stream: InputStream) -> Iterator[MeshHeading]:
    """Yields the records of `desc2026.xml`, one of which is in memory."""
    records = etree.iterparse(
        cast(Any, stream), tag="DescriptorRecord", resolve_entities=False, no_network=True,
        load_dtd=False,
    )  # fmt: skip
    for _, record in records:
        numbers = record.iterfind("TreeNumberList/TreeNumber")
        yield MeshHeading(
            element_text(record.find("DescriptorUI")),
            element_text(record.find("DescriptorName/String")),
            tuple(map(element_text, numbers)),
        )
        record.clear()
        while record.getprevious() is not None:
            del record.getparent()[0]


def _listed(stream: InputStream) -> Iterator[MeshHeading]:
    """Yields the headings of `mtrees2026.bin`, which has a line for each place of each."""
    numbers: dict[str, list[str]] = {}
    unfinished_line = b""
    while data := stream.read(_LINE_BYTES):
        *lines, unfinished_line = (unfinished_line + data).split(b"\n")
        if len(unfinished_line) > _LINE_BYTES:
            raise DamagedStreamError(f"a line of more than {_LINE_BYTES:,} bytes")
        for line in lines:
            name, _, number = line.decode(errors="replace").strip("\ufeff\r ").rpartition(";")
            numbers.setdefault(" ".join(name.split()), []).append(number)
    return (MeshHeading("", name, tuple(places)) for name, places in numbers.items())
