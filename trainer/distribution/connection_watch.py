"""Ends this process on a signal, or if another worker ends, while TensorFlow connects the workers.

TensorFlow does that in C++ and holds Python's interpreter lock meanwhile: no thread of Python runs,
no handler of a signal either, and it waits for ever for a worker that has ended. So a thread of
machine code, which needs no interpreter, watches the connections over which the workers have met
(`rendezvous`):

    a byte arrives          the other worker is connected
    the connection closes   the other worker has ended: a line on stderr, exit code 1
    SIGTERM, SIGINT         a line on stderr, exit code 143 or 130
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numba
import numpy as np
from numba import types

from pmc2vec.cli.exit_codes import SIGNAL_EXITS
from pmc2vec.cli.logging_setup import format_line

CONNECT_SECONDS = 300
"""Then the connection is given up. A second is usual; many GPUs are set up first, which is slow."""

_LOOK_MICROSECONDS = 50_000  # Between two looks of the thread.
_CONNECTED = b"1"
_SIGNAL_LINES = {number: np.zeros(4096, np.uint8) for number in SIGNAL_EXITS}
"""What a handler of a signal writes. Machine code has their addresses in it."""


@contextlib.contextmanager
def watch_connections(connections: Mapping[str, socket.socket]) -> Iterator[None]:
    """Ends this process with one line if another worker ends before it has left this block.

    Signals end it meanwhile, unless they are ignored or this is not the main thread.

    Args:
        connections: to the other workers, by their names; each of them calls this too.
    """
    advice = "start all workers again with the same command"
    lines = [
        _line(logging.ERROR, f"TF_CONFIG: {name} ended before all were connected; {advice}")
        for name in connections
    ]
    late = f"TF_CONFIG: no connection of all workers within {CONNECT_SECONDS} seconds; {advice}"
    texts = [np.frombuffer(line, np.uint8) for line in (*lines, _line(logging.ERROR, late))]
    sockets = [connection.fileno() for connection in connections.values()]
    looks = CONNECT_SECONDS * 1_000_000 // _LOOK_MICROSECONDS
    state = np.array(
        [0, len(sockets), looks, 0, 0]
        + [
            field
            for file, text in zip((*sockets, -1), texts, strict=True)
            for field in (file, text.ctypes.data, len(text))
        ],
        np.int64,
    )
    watch = _thread_function()
    with _interruptible(state):
        thread, libc = ctypes.c_ulong(), ctypes.CDLL(None)
        arguments = ctypes.byref(thread), None, ctypes.c_void_p(watch.address)
        libc.pthread_create(*arguments, ctypes.c_void_p(state.ctypes.data))
        try:
            yield
        finally:
            state[_STOP] = 1
            libc.pthread_join(thread, None)
    for connection in connections.values():
        with contextlib.suppress(OSError):  # It has ended since, which TensorFlow notices.
            connection.sendall(_CONNECTED)


@contextlib.contextmanager
def _interruptible(state: Any) -> Iterator[None]:
    """Tells the thread which signals to handle, and gives them back to Python at the end."""
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in _HANDLED}
    for number, handler in handlers.items():
        line = _line(logging.INFO, SIGNAL_EXITS[number][1])
        _SIGNAL_LINES[number][: len(line) + 1] = np.frombuffer(line + b"\0", np.uint8)
        state[_HANDLED[number]] = 0 if handler in (signal.SIG_IGN, None) else number
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _line(level: int, message: str) -> bytes:
    return format_line(message, level=level, stage="pmc2vec").encode()[:4000] + b"\n"


# --- machine code --------------------------------------------------------------------------------

# Fields of the thread's argument. After them each socket, and -1 for the text that is written when
# the time is over, has three: its number, address and length of the text.
_STOP, _COUNT, _LOOKS, _SIGINT, _SIGTERM, _FIRST = range(6)
_HANDLED = {signal.SIGINT: _SIGINT, signal.SIGTERM: _SIGTERM}
_POLLIN = 1  # Of poll(2): there is a byte, or the connection is closed.


@functools.cache
def _thread_function() -> Any:
    """Returns the compiled function of the thread, which takes the address of its fields."""
    size = ctypes.c_size_t  # Of addresses too: Numba makes no pointer of a number.
    usleep = _libc("usleep", ctypes.c_uint)
    poll = _libc("poll", size, ctypes.c_ulong, ctypes.c_int)
    recv = _libc("recv", ctypes.c_int, size, size, ctypes.c_int)
    write = _libc("write", ctypes.c_int, size, size)
    leave = _libc("_exit", ctypes.c_int)
    set_handler = _libc("signal", ctypes.c_int, size)
    interrupt, terminate = (_signal_handler(number) for number in (signal.SIGINT, signal.SIGTERM))
    on_interrupt, on_terminate = interrupt.address, terminate.address

    def watch(address: Any) -> int:
        """Looks at signals and sockets until it is stopped, or ends the process."""
        fields = numba.carray(address, 1 << 20)
        # A pollfd is an int32, what to look for and what there is, each 16 bits; and a byte read.
        look = np.zeros(3, np.int32)
        for _look in range(fields[_LOOKS]):
            # Each time, as TensorFlow installs a handler of its own, which does not end anything.
            if fields[_SIGINT]:
                set_handler(fields[_SIGINT], on_interrupt)
            if fields[_SIGTERM]:
                set_handler(fields[_SIGTERM], on_terminate)
            for at in range(fields[_COUNT]):
                first = _FIRST + 3 * at
                look[0], look[1] = fields[first], _POLLIN
                if fields[first] < 0 or poll(look.ctypes.data, 1, 0) != 1:
                    continue
                if recv(look[0], look.ctypes.data + 8, 1, 0) != 1:
                    write(2, fields[first + 1], fields[first + 2])
                    leave(1)
                fields[first] = -1
            if fields[_STOP]:
                return 0
            usleep(_LOOK_MICROSECONDS)
        first = _FIRST + 3 * fields[_COUNT]
        write(2, fields[first + 1], fields[first + 2])
        leave(1)
        return 0

    function = numba.cfunc(types.int64(types.CPointer(types.int64)))(watch)
    function.handlers = interrupt, terminate  # They live as long as what calls them.
    return function


def _signal_handler(number: signal.Signals) -> Any:
    """Returns a compiled function that ends the process with the exit code of a signal."""
    write = _libc("write", ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
    leave, strlen = _libc("_exit", ctypes.c_int), _libc("strlen", ctypes.c_size_t)
    # By its address: Numba would compile the array itself as a constant.
    address, (code, _) = _SIGNAL_LINES[number].ctypes.data, SIGNAL_EXITS[number]

    def handle(_number: int) -> None:
        """Writes the line of the signal and ends the process."""
        write(2, address, strlen(address))
        leave(code)

    return numba.cfunc(types.void(types.int32))(handle)


def _libc(name: str, *arguments: Any) -> Any:
    """Returns a function of the C library; each has its own types."""
    function = ctypes.CDLL(None)[name]
    function.argtypes, function.restype = arguments, ctypes.c_long
    return function
