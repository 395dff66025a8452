"""Releases of word vectors in one folder, and the link that says which of them is read.

    service/releases/0003/   a workdir as `train` leaves it, with its dataset in dataset/
    service/current          a link to the last release: its readers see a whole one, always

The link is the only state: the release after it is begun or not, and nobody reads it yet. Swapping
the link is one rename, so that there is no moment without it.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from pmc2vec.errors import UserError

CURRENT = "current"
FOLDER = "releases"
LOCK = ".lock"
_REMOVED = ".removed-"


class Releases:
    """The releases in a folder.

    Attributes:
        root: the folder, absolute: `train` and `build` record paths in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def folder(self, number: int) -> Path:
        """Returns where a release is, or will be."""
        return self.root / FOLDER / f"{number:04d}"

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Makes the folder and holds it against a second update while the work inside runs.

        Raises:
            UserError: another process is at it, or it holds something else.
        """
        if self.root.is_dir() and not (self.root / FOLDER).is_dir() and any(self.root.iterdir()):
            raise UserError(f"{self.root}: not empty and no root of releases; give another --root")
        (self.root / FOLDER).mkdir(parents=True, exist_ok=True)
        with (self.root / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"{self.root}: another update is running here; wait for it, or stop it"
                ) from error
            yield

    def current(self) -> int:
        """Returns the number of the release that is read; 0 before the first.

        Raises:
            UserError: the link leads nowhere.
        """
        link = self.root / CURRENT
        if not link.is_symlink():
            return 0
        name = link.readlink().name
        if not name.isdigit() or not self.folder(int(name)).is_dir():
            raise UserError(f"{link}: leads to {link.readlink()}, which is no release; mend it")
        return int(name)

    def publish(self, number: int) -> None:
        """Makes a finished release the one that is read."""
        link = self.root / f".{CURRENT}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.folder(number).relative_to(self.root))
        link.replace(self.root / CURRENT)

    def remove_before(self, number: int) -> None:
        """Removes the releases before one; what an earlier removal left, too."""
        for folder in sorted((self.root / FOLDER).iterdir()):
            if folder.name.isdigit() and int(folder.name) < number:
                # Renamed first: what has a number is a whole release.
                folder.rename(folder.with_name(f"{_REMOVED}{folder.name}"))
        for folder in (self.root / FOLDER).glob(f"{_REMOVED}*"):
            shutil.rmtree(folder)
