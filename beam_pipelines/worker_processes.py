"""The worker processes of the local engine: they end together, and with the program that waits.

Left to itself Beam waits for ever for a worker that was killed (by the system, when memory is
short), and after Ctrl-C for workers that it has not told to end. The other half is in `worker`: a
worker dies with its program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from pmc2vec.errors import UserError

_WAITS = "run_worker"  # Beam's name of the thread that waits for a worker's process,
_READ = ("beam_control_read", "read_grpc_client_inputs")  # and those that read what it sends.
_ENDING = (signal.SIGINT, signal.SIGTERM)
_DIED = signal.SIGUSR1


@contextlib.contextmanager
def watched(module: str) -> Iterator[None]:
    """Ends the work inside when a worker dies, and the workers when a signal ends the work.

    Outside of the main thread, where Python hears no signals, nothing is watched.

    Args:
        module: that the workers run.

    Raises:
        UserError: a worker died.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended: list[BaseException | None] = []

    def fell(args: Any) -> None:
        """Tells the main thread that the one which waits for the workers has ended."""
        name = args.thread.name if args.thread else ""
        if name not in (_WAITS, *_READ):
            excepthook(args)
        elif name == _WAITS and not ended:
            ended.append(args.exc_value)
            signal.pthread_kill(threading.main_thread().ident or 0, _DIED)

    def interrupt(number: int, frame: FrameType | None) -> None:
        """Ends the workers, and then does what the signal did before."""
        ended.append(None)
        end(module)
        before = handlers[number]
        if not callable(before):
            raise KeyboardInterrupt
        before(number, frame)

    excepthook = threading.excepthook
    handlers: dict[int, Any] = {
        number: found
        for number in (*_ENDING, _DIED)
        if callable(found := signal.getsignal(number)) or number == _DIED
    }
    with contextlib.ExitStack() as restored:
        restored.callback(setattr, threading, "excepthook", excepthook)
        threading.excepthook = fell
        for number, handler in handlers.items():
            restored.callback(signal.signal, number, handler)
            signal.signal(number, interrupt)
        try:
            yield
        except BaseException as error:
            if ended and ended[0] is not None:
                raise _death(ended[0]) from error
            raise


def end(module: str) -> None:
    """Kills this process's children that run `module`."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if parent == os.getpid() and module.encode() in words:
                os.kill(int(folder.name), signal.SIGKILL)


def _death(error: BaseException) -> UserError:
    reason = str(error).rpartition(" ")[2]
    return UserError(
        f"a worker process ended with status {reason}, killed perhaps because memory is short; "
        "the same command goes on, with fewer workers after -- --direct_num_workers=1"
    )
