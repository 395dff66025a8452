"""`pmc2vec update`: what is new becomes the next release of word vectors.

    pmc2vec update --input 'bulk/*.tar.gz' --root service --build --keywords melanoma --train --epochs 3

The first release is built from all input and trained from the start. Each later one is built from
the input files that no release has read (`build --since`), and its training starts from the
vectors of the one before (`train --init_from`).

    service/releases/0003/   a workdir as `train` leaves it, with its dataset in dataset/
    service/current          a link to the last release that is complete

The link is replaced in one rename when the new release is complete, so that readers always see a
whole one. Killed at any moment, the same command continues: a release that was begun goes on with
the input that it was begun with, and what came in since is for the next one. The root may be moved.
"""  # noqa: E501  # A command is there to be copied.

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmc2vec.cli import exit_codes, options
from pmc2vec.cli.console import FLAGS, verbosity
from pmc2vec.cli.logging_setup import LogFormat
from pmc2vec.cli.metrics import serve_metrics
from pmc2vec.cli.options import option
from pmc2vec.cli.signals import stop_request
from pmc2vec.errors import UserError
from pmc2vec.storage.files import file_metadata, is_remote, same_place

if TYPE_CHECKING:
    from beam_pipelines.config import BuildConfig
    from pmc2vec.dataset.manifest import Manifest
    from trainer.config import TrainConfig
    from trainer.task import TrainSummary

logger = logging.getLogger(__name__)

DATASET = "dataset"
CURRENT = "current"
FOLDER = "releases"
LOCK = ".lock"
_REMOVED = ".removed-"
SECTIONS = ("--build", "--train", "--")
"""Words that begin the options of another program."""


@dataclass(frozen=True)
class UpdateConfig:
    """Options of `pmc2vec update` itself."""

    input: tuple[str, ...]
    """Archives, files, folders and globs. Only files that no release has read are read."""
    root: Path
    """Local folder of the releases; ROOT/current is a link to the newest."""
    keep: int = option(3, minimum=1)
    """Newest releases to keep."""
    metrics_port: int | None = option(None, rare=True, minimum=0, maximum=65535)
    """Port for Prometheus: http://HOST:PORT/metrics; /healthz tells whether there is progress."""
    log_format: LogFormat = option("text", rare=True)
    """Format of the lines on stderr."""

    def __post_init__(self) -> None:
        """Raises ValueError for options that cannot mean anything."""
        options.check_options(self)
        if not self.input:
            raise ValueError("--input is empty")
        if ":/" in str(self.root):
            raise ValueError(f"--root {self.root}: must be a folder of this machine")
        if any(same_place(place, str(self.root)) for place in self.input):
            raise ValueError("--root must not be a folder that --input names")


@dataclass(frozen=True)
class Release:
    """A release: its folder, dataset and training.

    Attributes:
        folder: where it is.
        manifest: of its dataset.
        training: what came out of its training.
    """

    folder: Path
    manifest: Manifest
    training: TrainSummary


def update(
    config: UpdateConfig,
    build: BuildConfig,
    train: TrainConfig,
    beam_flags: Sequence[str] = (),
    *,
    quiet: bool = True,
) -> Release | None:
    """Makes and publishes a release of what is new, and returns it; None where nothing is.

    Args:
        config: the options.
        build: how datasets are built; input and folders are replaced.
        train: how vectors are trained; folders are replaced. `init_from` is for the first release.
        beam_flags: Beam's own options.
        quiet: show no progress of the build.

    Raises:
        UserError: as `build` and `train`; the root is not usable.
    """
    from beam_pipelines.stages.increments import NothingNewError

    releases = Releases(config.root)
    with serve_metrics(config.metrics_port), releases.lock():
        last = releases.current() or releases.republish()
        releases.remove_before(last - config.keep + 1)  # Where an update was killed before it.
        build = replace(build, input=config.input, log_format=config.log_format)
        train = replace(train, log_format=config.log_format)
        try:
            release = _make_release(releases, last + 1, build, train, beam_flags, quiet=quiet)
        except NothingNewError as error:
            logger.info("%s", error, extra={"stage": "update"})
            return None
        releases.publish(last + 1)
        releases.remove_before(last + 2 - config.keep)
        return release


def _make_release(
    releases: Releases,
    number: int,
    build: BuildConfig,
    train: TrainConfig,
    beam_flags: Sequence[str],
    *,
    quiet: bool,
) -> Release:
    """Builds and trains a release, or goes on with it; the one before it is published."""
    from trainer import task

    folder = releases.folder(number)
    build = replace(build, output=str(folder / DATASET))
    train = replace(train, dataset=build.output, workdir=folder)
    if number > 1:
        before = releases.folder(number - 1)
        build = replace(build, since=str(before / DATASET))
        train = replace(train, init_from=before)
        _record_moved_root(folder, before)
    manifest = _build_dataset(build, beam_flags, quiet=quiet)
    return Release(folder, manifest, task.train(train, stop=stop_request()))


def _build_dataset(config: BuildConfig, beam_flags: Sequence[str], *, quiet: bool) -> Manifest:
    """Builds the dataset, or goes on with the input that it was begun with."""
    from beam_pipelines.build import OtherBuildError, build, read_begun_build
    from beam_pipelines.stages.increments import NothingNewError

    earlier_build = read_begun_build(config.output)
    try:
        if earlier_build and not (missing := _missing_file(earlier_build.inputs.files)):
            with contextlib.suppress(NothingNewError):  # With what has come since there may be.
                return build(config, beam_flags, quiet=quiet, same_input=True)
        elif earlier_build:
            logger.warning(
                "%s: was begun with %s, which is gone; begins again with what is there",
                config.output,
                missing,
                extra={"stage": "update"},
            )
        return build(config, beam_flags, quiet=quiet)
    except OtherBuildError as error:
        # The input is that of now, and the release before it is where the root is now.
        expected = ("--input ", "--since ")
        differences = [one for one in error.differences if not one.startswith(expected)]
        if differences:
            raise UserError(
                f"{config.output}: was begun with {'; '.join(differences)}; give the same, "
                f"or remove {Path(config.output).parent} to begin this release again"
            ) from error
        return build(replace(config, overwrite=True), beam_flags, quiet=quiet)


def _missing_file(inputs: Sequence[tuple[str, int]]) -> str:
    """Returns an input file of this machine that is gone or has another size; "" without one."""
    return next(
        (
            path
            for path, size in inputs
            if not is_remote(path)
            and ((metadata := file_metadata(path)) is None or metadata.size != size)
        ),
        "",
    )


def _record_moved_root(folder: Path, before: Path) -> None:
    """Makes a training that was begun before the root was moved name the release before it."""
    from trainer.workdir import CONFIG_NAME, read_options, write_json

    recorded = read_options(folder)
    begun_from = Path(recorded.get("init_from") or before)
    if begun_from != before and begun_from.parts[-2:] == before.parts[-2:]:
        write_json(folder / CONFIG_NAME, {**recorded, "init_from": str(before)})


# --- releases ----------------------------------------------------------------------------------


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
    def lock(self) -> Iterator[None]:
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

    def republish(self) -> int:
        """Publishes the newest whole release, where the link was lost; returns its number, or 0."""
        from trainer.workdir import PROVENANCE_NAME

        whole = [
            int(folder.name)
            for folder in (self.root / FOLDER).iterdir()
            if folder.name.isdigit() and (folder / PROVENANCE_NAME).is_file()
        ]
        # Before the first release is published there is no link to lose.
        number = max(whole, default=0)
        if number > 1 or (number and self.folder(2).is_dir()):
            logger.warning(
                "%s: was lost; the newest whole release, %s, is published again",
                self.root / CURRENT,
                self.folder(number).name,
                extra={"stage": "update"},
            )
            self.publish(number)
            return number
        return 0

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


# --- the command -------------------------------------------------------------------------------


def sections(words: Sequence[str]) -> dict[str, list[str]]:
    """Returns the words before and after each of SECTIONS; what follows `--` is Beam's.

    >>> sections(["--root", "r", "--train", "--epochs", "3", "--", "--runner=FlinkRunner"])
    {'': ['--root', 'r'], '--build': [], '--train': ['--epochs', '3'], '--': ['--runner=FlinkRunner']}
    """  # noqa: E501  # Output of a doctest.
    words_by_section: dict[str, list[str]] = {"": [], **{section: [] for section in SECTIONS}}
    at = ""
    for word in words:
        if word in SECTIONS and at != "--":
            at = word
        else:
            words_by_section[at].append(word)
    return words_by_section


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec update`; nothing new is no failure."""
    words = sections(list(sys.argv[1:] if argv is None else argv))
    config = options.parse(
        UpdateConfig, words[""], prog="pmc2vec update",
        description="Build and train on what is new, and publish it; options of each follow "
        "--build and --train.",
        examples=(
            "pmc2vec update --input 'bulk/*.tar.gz' --root service",
            "pmc2vec update --input bulk --root service --build --min_count 10 --train --epochs 3",
            "pmc2vec update --input bulk --root service -- --direct_num_workers=4",
            "pmc2vec neighbours melanoma --vectors service/current",
        ),
        json_result=True,
    )  # fmt: skip
    build, train = _plans(config, words)
    return exit_codes.run_program(lambda: _command(config, build, train, words["--"]))


def _plans(config: UpdateConfig, words: dict[str, list[str]]) -> tuple[BuildConfig, TrainConfig]:
    """Returns the options of build and train, checked before anything is done."""
    from beam_pipelines.config import BuildConfig
    from beam_pipelines.runner import check_flags
    from trainer.config import TrainConfig

    shared = [word for word in words[""] if word in FLAGS]
    shared.append(f"--log_format={config.log_format}")
    places = {
        "build": [*words["--build"], "--input", *config.input, "--output", str(config.root)],
        "train": [*words["--train"], "--dataset", str(config.root), "--workdir", str(config.root)],
    }
    build = options.parse(
        BuildConfig, [*places["build"], *shared], prog="pmc2vec build", description="",
        json_result=True,
    )  # fmt: skip
    train = options.parse(
        TrainConfig, [*places["train"], *shared], prog="pmc2vec train", description="",
        json_result=True,
    )  # fmt: skip
    for name, plan in (("build", build), ("train", train)):
        set_by_update = options.options_that(type(plan), "set_by_update")
        if refused := [option for option in set_by_update if getattr(plan, option)]:
            options.refuse(
                "pmc2vec update", f"--{refused[0]} is not for --{name} to say: update decides it"
            )
    try:
        check_flags(words["--"])
    except ValueError as error:
        options.refuse("pmc2vec update", str(error))
    return build, train


def _command(
    config: UpdateConfig, build: BuildConfig, train: TrainConfig, beam_flags: Sequence[str]
) -> int:
    from beam_pipelines.runner import configure_beam_logging

    configure_beam_logging(beam_flags)
    release = update(config, build, train, beam_flags, quiet=verbosity.quiet)
    if verbosity.json:
        print(json.dumps(_facts(release), ensure_ascii=False))
    elif release is not None:
        from beam_pipelines.build_progress import funnel_table
        from trainer.task import summary_lines

        print(funnel_table(release.manifest))
        print("\n".join(summary_lines(release.training)[:-1]))
        print(f"\n{config.root / CURRENT}: now {release.folder.name}")
    return 0


def _facts(release: Release | None) -> dict[str, Any]:
    """Returns what came out, for --json."""
    if release is None:
        return {"release": None}
    return {
        "release": str(release.folder),
        "since": release.manifest.since,
        "funnel": dict(release.manifest.funnel),
        "words": release.training.words,
        "loss": release.training.loss,
        "validation_loss": release.training.validation_loss,
    }


if __name__ == "__main__":
    sys.exit(main())
