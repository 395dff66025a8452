"""`pmc2vec tensorboard`: TensorBoard on a run, or on a folder of runs to compare.

It starts TensorBoard's own server, tells its address, and ends with Ctrl-C. Nothing is fetched
from anywhere else, and unless --host says so nobody else can connect.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pmc2vec.cli import exit_codes, options
from pmc2vec.errors import UserError
from pmc2vec.machine import load_tensorflow


@dataclass(frozen=True)
class TensorboardConfig:
    """Options of `pmc2vec tensorboard`."""

    workdir: Path
    """A workdir of `pmc2vec train`, or a folder of several."""

    port: int | None = options.option(
        None, default_text="6006, or the next free port", minimum=0, maximum=65535
    )
    """Port to listen on; 0 for any free port."""

    host: str = "localhost"
    """Address to listen on; 0.0.0.0 lets every machine that reaches this one connect."""


def log_folder(workdir: Path) -> str:
    """Returns the folder to show: the workdir, or where its options say that the logs are.

    Raises:
        UserError: there is nothing to show.
    """
    if not workdir.is_dir():
        raise UserError(f"{workdir}: no such folder; give --workdir what pmc2vec train wrote")
    if next(workdir.rglob("*tfevents*"), None) is not None:
        return str(workdir)
    elsewhere = _log_dir(workdir / "config.json")
    if elsewhere and ("://" in elsewhere or next(Path(elsewhere).rglob("*tfevents*"), None)):
        return elsewhere
    raise UserError(
        f"{workdir}: no TensorBoard files in it; give --workdir what pmc2vec train wrote, "
        "or a folder of such"
    )


def launch(folder: str, *, port: int | None, host: str) -> str:
    """Starts TensorBoard in the background of this process, and returns its address.

    Args:
        folder: of event files, however deep.
        port: to listen on, 0 for any; None for 6006 or the next that is free.
        host: address to listen on.

    Raises:
        UserError: it cannot listen there.
    """
    from tensorboard import program

    board = program.TensorBoard()
    words = ["--logdir", folder, "--host", host, "--reload_interval", "5"]
    words += ["--port", "default" if port is None else str(port)]
    board.configure(argv=["", *words])
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # Its warnings are to its authors.
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # An advertisement; failures are raised.
            return str(board.launch())
    except program.TensorBoardServerException as error:
        raise UserError(f"{str(error).rstrip('.')}; give another --port or --host") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `pmc2vec tensorboard`; Ctrl-C and SIGTERM end it with exit code 0."""
    config = options.parse(
        TensorboardConfig,
        argv,
        prog="pmc2vec tensorboard",
        description="Show runs in the browser: curves, neighbours, corpus, projector.",
        examples=[
            "pmc2vec tensorboard --workdir run",
            "pmc2vec tensorboard --workdir runs --port 0",
        ],
    )
    return exit_codes.run_program(lambda: _command(config))


def _command(config: TensorboardConfig) -> int:
    folder = log_folder(config.workdir)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with named_run(folder, config.workdir.resolve().name) as shown_folder:
        address = launch(shown_folder, port=config.port, host=config.host)
        print(f"{config.workdir}: {address} (Ctrl-C ends it)", flush=True)
        load_tensorflow()  # Before the projector does, which would not be silent about it.
        stop.wait()
    return 0


@contextlib.contextmanager
def named_run(folder: str, name: str) -> Iterator[str]:
    """Yields the folder to give TensorBoard, which names a run by its path below that folder.

    A workdir itself would have the name `.`; it is shown by a link of its own name.

    Args:
        folder: of event files, however deep.
        name: of the run, where the folder has event files itself.
    """
    if "://" in folder or not any(Path(folder).glob("*tfevents*")):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pmc2vec-tensorboard-") as parent:
        (Path(parent) / (name or "run")).symlink_to(Path(folder).resolve())
        yield parent


def _log_dir(path: Path) -> str | None:
    try:
        values: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return values.get("log_dir") if isinstance(values, dict) else None


if __name__ == "__main__":
    sys.exit(main())
