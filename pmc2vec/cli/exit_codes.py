"""How a program ends: an exit code and, after a failure, one line on stderr.

    0  success                   1    failed: a UserError, shown as one line
    2  usage error               3    `build --since` found nothing new
    130  interrupted (SIGINT)    141  nobody reads its output (a closed pipe)
    143  stopped (SIGTERM), as on preemption

An error of the operating system (a full disk, a folder that is gone, no memory) is one line too. A
bug of ours is no UserError and keeps its traceback. Every program runs inside `run_program`, both
as `pmc2vec build` and as `python -m beam_pipelines.build`.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType

from pmc2vec import machine
from pmc2vec.cli.console import verbosity
from pmc2vec.cli.logging_setup import ensure_logging
from pmc2vec.errors import UsageError, UserError

FAILED = 1
USAGE_ERROR = 2
NOTHING_NEW = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)  # How a program ends is logged under --quiet too.

# Errors of the machine and its files, which no change of the program would prevent.
_SYSTEM_ERRORS = {
    errno.EACCES, errno.EBUSY, errno.EDQUOT, errno.EEXIST, errno.EFBIG, errno.EIO, errno.EISDIR,
    errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENODEV, errno.ENOENT, errno.ENOMEM,
    errno.ENOSPC, errno.ENOTDIR, errno.ENOTEMPTY, errno.ENXIO, errno.EPERM, errno.EROFS,
    errno.ESTALE,
}  # fmt: skip

SIGNAL_EXITS: Mapping[int, tuple[int, str]] = {
    signal.SIGINT: (INTERRUPTED, "interrupted"),
    signal.SIGTERM: (TERMINATED, "stopped by SIGTERM; the same command goes on, or begins again"),
}
"""Exit code and message of each signal that ends a program."""

_DEFAULT_HANDLERS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}

_received_signals: list[signal.Signals] = []
"""The signal that ends this process. Global, because programs may run inside one another."""


def run_program(program: Callable[[], int]) -> int:
    """Returns the exit code of `program`, after it has logged why it failed.

    Args:
        program: returns its exit code, and has its arguments already.
    """
    _prepare_standard_streams()
    ensure_logging()
    machine.skip_garbage_collection_at_exit()
    try:
        with _interruptible():
            code = program()
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _log_signal()
    except UserError as error:
        code = USAGE_ERROR if isinstance(error, UsageError) else FAILED
        return _log_signal() if _received_signals else _log_failure(str(error), code)
    except BrokenPipeError:
        if not _silence_closed_stdout():
            raise
        return BROKEN_PIPE
    except Exception as error:
        if _received_signals:  # Beam turns a KeyboardInterrupt inside it into a RuntimeError.
            return _log_signal()
        message = _system_error(error)
        if message is None:
            raise
        return _log_failure(message)
    return code


def _system_error(error: Exception) -> str | None:
    """Returns the message about an error of the machine or its files; None for a bug."""
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}); give smaller options, or more memory"
    if not isinstance(error, OSError) or error.errno not in _SYSTEM_ERRORS:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; mend that and give the same command again"


def _prepare_standard_streams() -> None:
    """Opens those standard streams that are closed, and makes no character an error.

    Python has None for a stream that is closed, as by `<&-`. A file that is opened later would take
    its number, and be written to by whatever prints in C.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    # `PYTHONIOENCODING=ascii` and the like have no Greek letters: they are written as `\\u03b1`.
    for stream, errors in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=errors)


def log_outcome(message: str) -> None:
    """Logs how a program ends, where that is no failure; under --quiet too."""
    logger.info("%s", message, extra={"stage": "pmc2vec"})


def log_errors(messages: Iterable[str]) -> int:
    """Logs what failed in a program that had results too, after those; returns its exit code."""
    sys.stdout.flush()  # Results come first where both go to one file.
    code = 0
    for message in messages:
        logger.error("%s", message, extra={"stage": "pmc2vec"})
        code = FAILED
    return code


def _log_failure(message: str, code: int = FAILED) -> int:
    logger.error("%s", message, extra={"stage": "pmc2vec"}, exc_info=verbosity.verbose)
    return code


def _log_signal() -> int:
    code, message = SIGNAL_EXITS[_received_signals.pop() if _received_signals else signal.SIGINT]
    log_outcome(message)
    return code


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Makes the first SIGTERM raise KeyboardInterrupt, as Ctrl-C does; a second one kills.

    A handler that somebody else installed stays. `train`, which stops after a whole step, installs
    its own meanwhile.
    """

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def interrupt(number: int, _frame: FrameType | None) -> None:
        _received_signals.append(signal.Signals(number))
        restore()
        raise KeyboardInterrupt

    # Python allows signal handlers in the main thread only.
    in_main_thread = threading.current_thread() is threading.main_thread()
    handlers = {
        number: handler
        for number, handler in _DEFAULT_HANDLERS.items()
        if in_main_thread and signal.getsignal(number) is handler
    }
    for number in handlers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        restore()


def _silence_closed_stdout() -> bool:
    """Returns whether nobody reads stdout, and if so sends it to /dev/null from now on.

    A broken pipe may also be a connection of Beam or TensorFlow, which is an error to report.
    """
    stdout = sys.stdout.fileno()
    poll = select.poll()
    poll.register(stdout, 0)
    closed = any(event & select.POLLERR for _, event in poll.poll(0))
    if closed:
        # Python flushes stdout once more when it exits, which would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return closed
