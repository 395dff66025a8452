"""An increment: a dataset of what is new since an earlier one (docs/decisions/0007).

    since = open_since("december")
    since.new_files(inputs)

An input file is known if a file of the same name and size was read and had the same digest, which
covers what stands beside it: archives of other content often have one name and one size, and a
retraction comes as another JSON beside the same article. The name is the base name where that tells
a file from all others (archives, and files named after an article), so that a folder may be moved
or mounted elsewhere; else it is the whole path (`PMC7112410/main.nxml`, `novel.txt`). The size of
an article version (`PMC123.2.xml`) does not count, since inventories do not say it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from beam_pipelines.inputs.sources import article_version, is_archive
from beam_pipelines.stages import history, phrases
from beam_pipelines.stages.output_folder import OutputFolder
from pmc2vec.dataset.manifest import MANIFEST_NAME, parse_manifest
from pmc2vec.errors import UserError
from pmc2vec.storage.files import join, read_text, write_text


class NothingNewError(UserError):
    """There is nothing to make an increment of: no fault, but no dataset either."""


@dataclass(frozen=True)
class Since:
    """An earlier dataset, for an increment to it.

    Attributes:
        folder: of the dataset.
        options: that it was built with.
        inputs: the input files that it knows.
        digests: (path, size, digest) of those whose digest it knows.
    """

    folder: str
    options: Mapping[str, Any]
    inputs: history.InputFiles
    digests: tuple[tuple[str, int, str], ...] = ()

    def new_files(self, inputs: history.InputFiles) -> history.InputFiles:
        """Returns the input files that the dataset does not know.

        Raises:
            NothingNewError: it knows all of them.
        """
        digests: dict[tuple[str, int], set[str]] = {}
        for path, size, digest in self.digests:
            digests.setdefault(_identity(path, size), set()).add(digest)
        # A file whose digest is not recorded is known by its identity alone.
        digests_of_inputs = {
            identity: digests.get(identity, {""})
            for identity in (_identity(*file) for file in self.inputs)
        }
        new = tuple(file for file in inputs if not _is_known(file, digests_of_inputs))
        if not new:
            files = "the input file is" if len(inputs) == 1 else f"all {len(inputs):,} files are"
            raise NothingNewError(f"nothing new since {self.folder}: {files} known there")
        return new


def _is_known(file: tuple[str, int], digests: Mapping[tuple[str, int], Collection[str]]) -> bool:
    """Tells whether one of the digests of this file's identity is its own, or not recorded."""
    file_digests = digests.get(_identity(*file), ())
    return "" in file_digests or (
        bool(file_digests) and history.input_digest(file[0]) in file_digests
    )


def open_since(folder: str) -> Since:
    """Returns the finished dataset in `folder`.

    Raises:
        UserError: it is not finished, or does not know its input files.
    """
    where = join(folder, MANIFEST_NAME)
    text = read_text(where)
    if text is None:
        raise UserError(f"--since {folder}: no {MANIFEST_NAME}, so there is no finished dataset")
    options = parse_manifest(text, where).config
    if read_text(join(folder, history.KNOWN_FOLDER, history.INPUTS_NAME)) is None:
        raise UserError(
            f"--since {folder}: has no {history.KNOWN_FOLDER}/{history.INPUTS_NAME} to go on from "
            "(made with --corpus, or by an earlier version); build it again with --input"
        )
    return Since(folder, options, history.read_inputs(folder), history.read_digests(folder))


def copy_phrases(since: str, passes: int, output: OutputFolder) -> None:
    """Copies the earlier dataset's phrases: old and new text is joined alike, and words stay words.

    Raises:
        UserError: they are missing.
    """
    for name in map(phrases.phrases_name, range(1, passes + 1)):
        text = read_text(join(since, name))
        if text is None:
            raise UserError(f"{join(since, name)}: missing; build that dataset again")
        write_text(output.path(name), text)


def _identity(path: str, size: int) -> tuple[str, int]:
    name = path.rsplit("/", 1)[-1]
    if is_archive(name):
        return name, size
    if (article := article_version(name)) is None:
        return path, size
    return name, 0 if article[1] else size
