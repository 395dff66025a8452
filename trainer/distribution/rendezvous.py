"""The workers of a cluster meet before TensorFlow starts, and compare what they were started with.

TensorFlow waits for missing workers in C++: signals and /healthz then get no answer, and nothing is
logged. It does not notice workers that train with other options or on another dataset either. So
the workers meet here first, at the address of worker 0, whose port TensorFlow takes over later:

    worker 1 to 0:  {"worker": 1, "facts": {"alpha": 0.01, "version": "0.2.0", ...}}
    worker 0 to 1:  {"missing": [2]}        while it waits for others
    worker 0 to 1:  {"difference": ""}      all are here, and equal; otherwise what differs

The connections stay open until TensorFlow has connected the workers too; see `connection_watch`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import select
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pmc2vec.cli.metrics import progress_metrics
from pmc2vec.errors import UsageError, UserError
from trainer.devices import Worker

logger = logging.getLogger(__name__)

_LINE_SECONDS = 30.0  # Between two lines about missing workers.
_POLL_SECONDS = 1.0  # Of a socket; in between Python runs the handlers of signals.
_MESSAGE_BYTES = 1 << 16  # More is no message of a worker.

# What is raised where nobody answers, or somebody who is no worker of this cluster.
_NO_WORKER = (OSError, ValueError, LookupError, TypeError)


@contextlib.contextmanager
def meet_workers(
    worker: Worker, addresses: Sequence[str], facts: Mapping[str, Any], *, seconds: float
) -> Iterator[None]:
    """Runs a block, in which TensorFlow connects, when all workers are here with the same facts.

    The process ends if another worker ends before it has left its block.

    Args:
        worker: this process.
        addresses: host:port of each worker, worker 0 first.
        facts: by name, what must be the same on all workers; JSON values.
        seconds: to wait for the others.

    Raises:
        UsageError: their facts differ; every worker raises it.
        UserError: a worker did not come in time, or the port cannot be listened on.
    """
    # Loads Numba, which a training of one process may not need.
    from trainer.distribution.connection_watch import watch_connections

    wait = _Wait(addresses, seconds)
    # As the others get them: JSON has lists where Python has tuples.
    facts = json.loads(json.dumps(facts))
    with contextlib.ExitStack() as stack:
        if worker.chief:
            difference, connections = _meet_as_chief(addresses, facts, wait)
        else:
            difference, connections = _meet_chief(worker, addresses[0], facts, wait)
        for connection in connections.values():
            stack.enter_context(connection)
        if difference:
            raise UsageError(difference)
        with watch_connections(
            {f"worker {at} ({addresses[at]})": one for at, one in connections.items()}
        ):
            yield


def fact_difference(addresses: Sequence[str], facts: Mapping[int, Mapping[str, Any]]) -> str:
    """Returns a line that says which worker differs from worker 0, and in what; "" if none does.

    >>> fact_difference(["a:1", "b:1"], {0: {"alpha": 0.5, "seed": 1}, 1: {"alpha": 0.1}})
    'worker 1 (b:1) has alpha 0.1 and seed nothing, worker 0 has 0.5 and 1; start all \
workers with the same command, dataset and version'

    Args:
        addresses: of the workers.
        facts: of each worker, by its index.
    """
    differences = []
    for index in sorted(facts):
        values = {
            name: [facts[at].get(name, "nothing") for at in (index, 0)]
            for name in sorted(facts[0].keys() | facts[index].keys())
            if facts[index].get(name) != facts[0].get(name)
        }
        if values:
            here = " and ".join(f"{name} {value}" for name, (value, _) in values.items())
            there = " and ".join(str(value) for _, value in values.values())
            differences.append(
                f"worker {index} ({addresses[index]}) has {here}, worker 0 has {there}"
            )
    if not differences:
        return ""
    advice = "start all workers with the same command, dataset and version"
    return "; ".join([*differences, advice])


class _Wait:
    """Logs at once and every 30 seconds who is missing, and ends the wait when it is too long."""

    def __init__(self, addresses: Sequence[str], seconds: float) -> None:
        self._addresses, self._seconds = addresses, seconds
        self._started_at = time.monotonic()
        self._next_line_at = self._started_at

    def check(self, missing: Sequence[int]) -> None:
        """Logs which workers are missing, if a line is due.

        Raises:
            UserError: the time is over.
        """
        count, now = len(self._addresses), time.monotonic()
        progress_metrics.set_stage("wait for workers", "workers", count - len(missing), count)
        names = ", ".join(f"worker {index} ({self._addresses[index]})" for index in missing)
        if now - self._started_at >= self._seconds:
            raise UserError(
                f"TF_CONFIG: {names} did not come within {self._seconds:,.0f} seconds; see why "
                "there, and start all workers again, or raise --wait_for_workers"
            )
        if now >= self._next_line_at:
            self._next_line_at = now + _LINE_SECONDS
            logger.info("waits for %s", names, extra={"stage": "train"})


def _meet_as_chief(
    addresses: Sequence[str], facts: Mapping[str, Any], wait: _Wait
) -> tuple[str, dict[int, socket.socket]]:
    """Returns what differs, after every worker has been told, and the connection to each."""
    with _listen(addresses[0]) as server, contextlib.ExitStack() as stack:
        connections: dict[int, socket.socket] = {}
        facts_of = {0: facts}
        reported: list[int] = []
        while missing := [at for at in range(1, len(addresses)) if at not in connections]:
            wait.check(missing)
            if missing != reported:
                for connection in connections.values():
                    _send(connection, {"missing": missing})
                reported = missing
            with contextlib.suppress(*_NO_WORKER):
                connection = stack.enter_context(server.accept()[0])
                connection.settimeout(_POLL_SECONDS)
                message = _receive(connection, bytearray())
                if (index := int(message["worker"])) in range(1, len(addresses)):
                    facts_of[index], connections[index] = dict(message["facts"]), connection
            # A worker that has ended comes back as another connection, or stays missing.
            for index in [at for at, connection in connections.items() if _is_closed(connection)]:
                connections.pop(index).close()
        difference = fact_difference(addresses, facts_of)
        for connection in connections.values():
            _send(connection, {"difference": difference})
        stack.pop_all()
    return difference, connections


def _meet_chief(
    worker: Worker, address: str, facts: Mapping[str, Any], wait: _Wait
) -> tuple[str, dict[int, socket.socket]]:
    """Returns what worker 0 says that differs, and the connection to it."""
    host, _, port = address.rpartition(":")
    while True:
        wait.check([0])
        # Worker 0 is not there yet, or TensorFlow of an earlier start still has its port.
        with contextlib.suppress(*_NO_WORKER), contextlib.ExitStack() as stack:
            chief = socket.create_connection((host.strip("[]"), int(port)), _POLL_SECONDS)
            stack.enter_context(chief)
            _send(chief, {"worker": worker.index, "facts": facts})
            missing, received = [0], bytearray()
            while True:
                with contextlib.suppress(TimeoutError):
                    message = _receive(chief, received)
                    if "difference" in message:
                        stack.pop_all()
                        return str(message["difference"]), {0: chief}
                    missing = [int(index) for index in message["missing"]]
                wait.check(missing)
        time.sleep(_POLL_SECONDS)


def _listen(address: str) -> socket.socket:
    """Returns a socket that listens at the port of an address, on every interface."""
    port = int(address.rpartition(":")[2])
    family, dual = (
        (socket.AF_INET6, True) if socket.has_dualstack_ipv6() else (socket.AF_INET, False)
    )
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        raise UserError(
            f"TF_CONFIG: port {port} of worker 0 cannot be listened on ({error.strerror}); "
            "end what uses it, or give another"
        ) from error
    server.settimeout(_POLL_SECONDS)
    return server


def _send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # The other one has ended, which its peer sees elsewhere.
        connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket, received: bytearray) -> dict[str, Any]:
    """Returns the next message.

    Args:
        connection: with a time limit.
        received: bytes of the message that came before the last TimeoutError.

    Raises:
        ValueError: what comes is no message.
        OSError: the connection is closed, or (TimeoutError) there is no whole message yet.
    """
    # One by one: what comes after the last message belongs to `connection_watch`.
    while not received.endswith(b"\n"):
        data = connection.recv(1)
        if not data:
            raise ConnectionError("closed")
        received += data
        if len(received) > _MESSAGE_BYTES:
            raise ValueError("not a message of a worker")
    message = json.loads(bytes(received))
    received.clear()
    if not isinstance(message, dict):
        raise ValueError("not a message of a worker")
    return message


def _is_closed(connection: socket.socket) -> bool:
    """Returns whether the other one, which has nothing more to say, has ended."""
    return bool(select.select([connection], [], [], 0)[0])
