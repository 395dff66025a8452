"""How a program ends: one line on stderr and an exit status, whatever went wrong.

    0  done                      1    failed: a UserError, told in one line
    2  usage error               3    `build --since` found nothing new
    130  interrupted (SIGINT)    141  nobody reads its output
    143  told to end (SIGTERM), as on preemption

What the system refuses (a full disk, a folder that is gone) is told in one line too. A fault of
ours is no UserError and keeps its traceback. Every program runs inside `run`, both as
`pmc2vec build` and as `python -m beam_pipelines.build`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

from pmc2vec import machine
from pmc2vec.cli import logging_setup, verbosity
from pmc2vec.errors import UserError

FAILED = 1
NOTHING_NEW = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

_OF_THE_SYSTEM = {
    errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENOENT, errno.ENOSPC,
    errno.ENOTDIR, errno.EPERM, errno.EROFS, errno.ESTALE,
}  # fmt: skip
"""Errors of the machine and its files, which no change of ours would mend."""


_ENDINGS = {
    signal.SIGINT: (INTERRUPTED, "interrupted"),
    signal.SIGTERM: (TERMINATED, "stopped by SIGTERM; the same command goes on, or begins again"),
}
_BEFORE = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

_came: list[signal.Signals] = []
"""The signal that ends this process; of the process, for programs run inside one another."""


def run(program: Callable[[], int]) -> int:
    """Returns the exit status of `program`, after the one line that its failure deserves.

    Args:
        program: returns its exit status, and has its arguments already.
    """
    machine.skip_garbage_collection_at_exit()
    try:
        with _heard():
            status = program()
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _ended()
    except UserError as error:
        return _ended() if _came else _failed(str(error))
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return BROKEN_PIPE
    except Exception as error:
        if _came:  # Beam makes a RuntimeError of what is raised inside it.
            return _ended()
        if not isinstance(error, OSError) or error.errno not in _OF_THE_SYSTEM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror}; mend that and give the same command again")
    return status


def _failed(line: str) -> int:
    trace = traceback.format_exc() if verbosity.asked.verbose else ""
    logging_setup.tell("pmc2vec", line, level="error", trace=trace)
    return FAILED


def _ended() -> int:
    status, line = _ENDINGS[_came.pop() if _came else signal.SIGINT]
    logging_setup.tell("pmc2vec", line)
    return status


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """Makes the first SIGTERM what Ctrl-C is, and keeps it in `_came`; a second one kills.

    Programs that stop at a place of their own, as `train` does, listen themselves meanwhile.
    """

    def restore() -> None:
        """Gives the signals back to whom they had before."""
        for number, handler in before.items():
            signal.signal(number, handler)

    def end(number: int, _frame: FrameType | None) -> None:
        """Keeps the signal, and ends what runs as Ctrl-C does."""
        _came.append(signal.Signals(number))
        restore()
        raise KeyboardInterrupt

    caught = threading.current_thread() is threading.main_thread()
    before = {
        number: handler
        for number, handler in _BEFORE.items()
        if caught and signal.getsignal(number) is handler
    }
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        restore()


def _reader_is_gone() -> bool:
    """Returns whether nobody reads stdout, and if so silences it for good.

    Beam's and TensorFlow's own connections break too, and that is news.
    """
    stdout = sys.stdout.fileno()
    poll = select.poll()
    poll.register(stdout, 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return gone
