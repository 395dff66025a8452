"""Many small objects at once: so many requests in flight, results in the order of the items.

    def read(url, requests):                       # a coroutine function, called for each item
        return await requests.read(url)

    for data in read_in_order(read, urls, in_flight=64):

Most of the time of a small object is latency: one after the other, a worker waits nearly always.
The requests run in a thread of their own, and what they bring waits there until it is taken, up to
a number of results and of bytes. The order of the results is that of the items, whatever comes
first.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime
from typing import Any, TypeVar

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from pmc2vec.errors import UserError
from pmc2vec.storage.files import file_metadata, is_remote, read_bytes
from pmc2vec.storage.object_stores import (
    RetryBudget,
    error_reason,
    locate,
    retry_budget,
    store_without_retries,
)

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_WAITING_BYTES = 128 << 20
"""Bytes of results that wait to be taken: more of them are requested only when some are."""


class RefusedError(Exception):
    """The store says that this object may not be read."""


class TooLargeError(Exception):
    """The object is larger than the caller takes."""


class Requests:
    """Reads objects, with retries, at a limited rate; one for each event loop.

    Attributes:
        count: requests made, with all retries.
    """

    def __init__(self, per_second: float | None = None) -> None:
        self.count = 0
        self._seconds = 1 / per_second if per_second else 0.0
        self._next_start = 0.0
        self._budget = retry_budget()

    async def read(self, path: str, max_bytes: int | None = None) -> tuple[bytes, datetime | None]:
        """Returns an object's bytes, and when it was written.

        A file of the local disk is read without any of this.

        Raises:
            FileNotFoundError: there is none.
            RefusedError: it may not be read.
            TooLargeError: it has more than `max_bytes`.
            UserError: it cannot be read, after all retries.
        """
        if not is_remote(path):
            data = read_bytes(path)
            if data is None:
                raise FileNotFoundError(path)
            if max_bytes is not None and len(data) > max_bytes:
                raise TooLargeError(f"{len(data):,} bytes")
            metadata = file_metadata(path)
            return data, metadata.modified if metadata else None
        started = time.monotonic()
        attempt = 0
        while True:
            await self._wait_for_turn()
            try:
                return await self._read_once(path, max_bytes)
            except (FileNotFoundError, NotFoundError) as error:
                raise FileNotFoundError(path) from error
            except (PermissionDeniedError, UnauthenticatedError) as error:
                raise RefusedError(error_reason(error)) from error
            except (BaseError, OSError, ValueError) as error:
                # What is left may pass: 429, 5xx, time-outs, broken and shortened bodies.
                attempt += 1
                if not self._budget.allows(attempt, time.monotonic() - started):
                    raise UserError(
                        f"{path}: cannot be read, {attempt} times ({error_reason(error)})"
                    ) from error
            await asyncio.sleep(_jittered_pause(self._budget, attempt))

    async def _read_once(self, path: str, max_bytes: int | None) -> tuple[bytes, datetime | None]:
        location = locate(path)
        self.count += 1
        result = await obstore.get_async(store_without_retries(location), location.key)
        size = int(result.meta["size"])
        if max_bytes is not None and size > max_bytes:
            raise TooLargeError(f"{size:,} bytes")
        data = bytes(await result.bytes_async())
        if len(data) != size:
            raise ValueError(f"{len(data):,} bytes of {size:,}")
        return data, result.meta["last_modified"]

    async def _wait_for_turn(self) -> None:
        """Waits until the next request may start."""
        if self._seconds:
            now = time.monotonic()
            start = max(self._next_start, now)
            self._next_start = start + self._seconds
            await asyncio.sleep(start - now)


def _jittered_pause(budget: RetryBudget, attempt: int) -> float:
    """Returns seconds, drawn between 0 and a limit that doubles: clients do not come back at once.

    The rule is "full jitter" of the AWS Architecture Blog, "Exponential Backoff And Jitter".
    """
    return random.uniform(0, min(budget.max_pause, budget.first_pause * 2**attempt))


class _Window:
    """Which results may be brought: a bounded number of bytes, but always the oldest.

    All methods run in the event loop.
    """

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._oldest = 0
        self._sizes: dict[int, int] = {}

    async def wait(self, index: int) -> None:
        """Waits until a result may be brought."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: index <= self._oldest or sum(self._sizes.values()) < MAX_WAITING_BYTES
            )

    def add(self, index: int, size: int) -> None:
        """Counts the bytes of a result that waits to be taken."""
        self._sizes[index] = size

    async def take(self) -> None:
        """Forgets the oldest result, which was taken."""
        async with self._changed:
            self._sizes.pop(self._oldest, None)
            self._oldest += 1
            self._changed.notify_all()


def read_in_order(
    read: Callable[[Item, Requests], Awaitable[Result]],
    items: Iterable[Item],
    *,
    in_flight: int,
    per_second: float | None = None,
    size_of: Callable[[Result], int] = lambda _: 0,
) -> Iterator[Result]:
    """Yields what `read` returns for each item, in the order of the items.

    Args:
        read: coroutine function of an item; an error of it is raised when its turn comes.
        items: taken as they are needed.
        in_flight: calls of `read` that run at once, at most.
        per_second: requests that start in a second, at most.
        size_of: returns the bytes of a result, for the bound of what waits.
    """
    requests, free_slots, window = Requests(per_second), asyncio.Semaphore(in_flight), _Window()
    pending: deque[Future[Result]] = deque()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="concurrent reads", daemon=True)
    thread.start()

    async def run(index: int, item: Item) -> Result:
        """Reads one item when it may."""
        async with free_slots:
            await window.wait(index)
            result = await read(item, requests)
            window.add(index, size_of(result))
            return result

    def oldest() -> Iterator[Result]:
        """Yields the oldest result and makes room for others when the caller is done with it."""
        yield pending.popleft().result()
        asyncio.run_coroutine_threadsafe(window.take(), loop)

    try:
        for index, item in enumerate(items):
            pending.append(asyncio.run_coroutine_threadsafe(run(index, item), loop))
            # Twice as many: one that is slow does not hold up those behind it at once.
            if len(pending) >= 2 * in_flight:
                yield from oldest()
        while pending:
            yield from oldest()
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_all() -> None:
    """Ends all other tasks of this loop."""
    tasks: list[Any] = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
