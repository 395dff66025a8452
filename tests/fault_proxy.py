"""A proxy in front of an HTTP server that is slow, or answers as a server in trouble does."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

FAULTS = ("503", "500", "429", "reset", "reset in body", "stall", "short body")
"""What passes: a request that is repeated may get its answer."""

_BODIES = {
    "503": (b"503 Slow Down", b"<Error><Code>SlowDown</Code></Error>"),
    "500": (b"500 Internal Server Error", b"<Error><Code>InternalError</Code></Error>"),
    "429": (b"429 Too Many Requests", b""),
    "403": (b"403 Forbidden", b"<Error><Code>AccessDenied</Code></Error>"),
    "404": (b"404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>"),
}


@dataclass
class FaultProxy:
    """A running proxy.

    Attributes:
        endpoint: its URL.
        fault_of: returns the fault for a path and the number of its request, from 1; or None.
        latency: seconds before each answer.
        requests: how many there were for each path.
    """

    endpoint: str = ""
    fault_of: Callable[[str, int], str | None] = lambda path, number: None
    latency: float = 0.0
    requests: Counter[str] = field(default_factory=Counter)


@contextlib.contextmanager
def fault_proxy(target: str, **fields) -> Iterator[FaultProxy]:
    """Runs a proxy in front of `target`, a URL."""
    proxy = FaultProxy(**fields)
    url = urlsplit(target)
    loop = asyncio.new_event_loop()
    free: list = []  # Connections to the target that wait for a request.

    async def answer(head: bytes, body: bytes) -> tuple[bytes, bytes]:
        """Returns head and body of the target's answer."""
        reader, writer = (
            free.pop() if free else await asyncio.open_connection(url.hostname, url.port)
        )
        writer.write(head + body)
        reply = await reader.readuntil(b"\r\n\r\n")
        size = 0 if head.startswith(b"HEAD") else _content_length(reply)
        content = await reader.readexactly(size)
        if reply.startswith(b"HTTP/1.1") and b"connection: close" not in reply.lower():
            free.append((reader, writer))
        else:
            writer.close()
        return reply, content

    async def serve(reader, writer) -> None:
        ends = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.suppress(*ends):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_content_length(head))
                path = head.split(b" ", 2)[1].decode().partition("?")[0]
                proxy.requests[path] += 1
                await asyncio.sleep(proxy.latency)
                fault = proxy.fault_of(path, proxy.requests[path])
                if fault in _BODIES:
                    status, text = _BODIES[fault]
                    writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s"
                                 % (status, len(text), text))  # fmt: skip
                    continue
                if fault == "reset":
                    writer.transport.abort()
                    return
                reply, content = await answer(head, body)
                if fault == "wrong bytes":
                    content = content[:-1] + b"?"
                if fault in ("reset in body", "stall", "short body"):
                    writer.write(reply + content[: len(content) // 2])
                    await writer.drain()
                    if fault == "stall":
                        await asyncio.sleep(60)
                    elif fault == "short body":
                        writer.close()
                    else:
                        writer.transport.abort()
                    return
                writer.write(reply + content)

    async def start() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        proxy.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
