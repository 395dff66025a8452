"""NLM's server of PubMed -> the files of the baseline and the updates: `--input pubmed`.

    server_files("https://ftp.ncbi.nlm.nih.gov/pubmed/")

Each of its two folders has an index page with a link to every file. Files are read over https when
their turn comes, and none is kept; `pmc2vec fetch` keeps them.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

from beam_pipelines.inputs.documents import InputFile
from beam_pipelines.inputs.pubmed_files import is_numbered
from pmc2vec.errors import UserError
from pmc2vec.storage.files import file_metadata, join, read_bytes

SERVER_NAME = "pubmed"
"""`--input pubmed` means the server, unless a file or folder has this name."""
SERVER_URL = "https://ftp.ncbi.nlm.nih.gov/pubmed/"
SERVER_FOLDERS = ("baseline", "updatefiles")
CONNECTIONS = 8
"""Requests at once: NLM asks for few, and one after another would take minutes."""

_LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)


def server_files(url: str = SERVER_URL) -> list[InputFile]:
    """Returns the files of `server_paths` with their sizes; errors as there, or one is missing."""
    with ThreadPoolExecutor(CONNECTIONS) as requests:
        return list(requests.map(_input_file, server_paths(url)))


def server_paths(url: str = SERVER_URL) -> list[str]:
    """Returns the files of the baseline and of the updates, in the order in which they count.

    Args:
        url: of the folder above `baseline/` and `updatefiles/`, such as a mirror's.

    Raises:
        UserError: a page cannot be read, or links to no file of PubMed.
    """
    paths: list[str] = []
    for folder in SERVER_FOLDERS:
        place = join(url, folder)
        page = read_bytes(f"{place}/")
        names = linked_names("" if page is None else page.decode(errors="replace"))
        if not names and folder == SERVER_FOLDERS[0]:
            raise UserError(f"{place}/: no index page with links to pubmedNNnNNNN.xml.gz")
        paths += (join(place, name) for name in names)
    return paths


def linked_names(page: str) -> list[str]:
    """Returns the names of PubMed's files that an index page links to, in order, each once.

    >>> linked_names('<a href="pubmed26n0001.xml.gz">1</a> <a href="pubmed26n0001.xml.gz.md5">')
    ['pubmed26n0001.xml.gz']
    """
    names = {unquote(link).rpartition("/")[2] for link in _LINK.findall(page)}
    return sorted(filter(is_numbered, names))


def _input_file(path: str) -> InputFile:
    metadata = file_metadata(path)
    if metadata is None:
        raise UserError(f"{path}: not there, though its index page links to it")
    return InputFile(path, metadata.size, digest=metadata.etag or "")
