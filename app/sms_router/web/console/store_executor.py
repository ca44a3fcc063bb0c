"""A few threads for the pages' blocking work: reads of Redis, and rendering of long pages."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client

MAX_THREADS = 2
"""Pages that are read at once: each takes processor time from the messages."""

MAX_WAITING = 16
"""Pages that wait for a thread; further ones are refused."""

PAGE_TIMEOUT = 5.0
"""Seconds until a page gives up."""

_REDIS_TIMEOUT = 3.0
"""Seconds for one command."""

_PROBE_TIMEOUT = 1.5
"""Seconds for the PING before a page is read: a page tells within two seconds that Redis is frozen."""

_Result = TypeVar("_Result")


class StoreExecutor:
    """Runs work in threads, for ``timeout`` seconds each, with a Redis client that connects when needed."""

    def __init__(self, url: str, timeout: float = PAGE_TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="console")
        self._connect_lock = threading.Lock()
        self._client: redis.Redis | None = None
        self._pending = 0

    async def run_with_client(self, work: Callable[[redis.Redis], _Result]) -> _Result:
        """Call ``work`` with the Redis client, in a thread.

        Raises:
            StoreUnavailableError: when Redis fails, the timeout expires or too much work is waiting.

        """
        return await self.run(lambda: self._call(work))

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Call ``work`` in a thread, where it does not block the event loop.

        Raises:
            StoreUnavailableError: when the timeout expires or too much work is waiting.

        """
        if self._pending >= MAX_THREADS + MAX_WAITING:
            raise StoreUnavailableError("too many pages are read at once")
        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(self._finish)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise StoreUnavailableError("the page could not be read in time") from error

    def close(self) -> None:
        """Drop what waits, and the connections; a thread in a Redis command ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _call(self, work: Callable[[redis.Redis], _Result]) -> _Result:
        try:
            probe = sync_client(self._url, _PROBE_TIMEOUT, attempts=1)
            # A Redis with a full disk refuses PING alone.
            with probe, contextlib.suppress(redis.ResponseError):
                probe.ping()
            return work(self._connected_client())
        except redis.TimeoutError as error:
            raise StoreUnavailableError(
                "Redis does not respond in time: it is frozen or busy, or the network drops what is sent to"
                " it. Look at its process and its host, and at firewalls in between."
            ) from error
        except (*CLIENT_ERRORS, OSError) as error:
            raise StoreUnavailableError(f"Redis is not available ({type(error).__name__})") from error

    def _connected_client(self) -> redis.Redis:
        with self._connect_lock:
            if self._client is None:
                self._client = sync_client(self._url, _REDIS_TIMEOUT, attempts=2)
            return self._client

    def _finish(self, future: asyncio.Future[_Result]) -> None:
        self._pending -= 1
        if not future.cancelled():
            future.exception()  # retrieved here: the caller may have timed out
