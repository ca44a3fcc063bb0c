"""What looks into the store, in a few threads of its own: never on the loop, and never for long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client

THREADS = 2
"""At most so many pages are read at once: each costs the answers to people a little of the processor."""

MOST_WAITING = 16
"""Pages that wait for a thread; beyond it they are refused."""

PATIENCE = 5.0
"""Seconds that a page may take to be read."""

_ANSWER_WITHIN = 3.0
"""Seconds for one answer of Redis."""

_Result = TypeVar("_Result")


class StoreExecutor:
    """Runs work against the store with a client of its own."""

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        """Nothing is connected before the first page asks."""
        self._url = url
        self._patience = patience
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="console")
        self._connecting = threading.Lock()
        self._client: redis.Redis | None = None
        self._asked = 0

    async def ask(self, work: Callable[[redis.Redis], _Result]) -> _Result:
        """Do some work with a client, in a thread.

        Raises:
            StoreUnavailableError: when Redis does not serve, or too many pages are being read.

        """
        return await self.apart(lambda: self._run(work))

    async def apart(self, work: Callable[[], _Result]) -> _Result:
        """Do what would keep the loop from texts, in a thread.

        Raises:
            StoreUnavailableError: when it takes too long, or too many pages are being read.

        """
        if self._asked >= THREADS + MOST_WAITING:
            raise StoreUnavailableError("too many pages are being read at once")
        self._asked += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(lambda ended: self._done(ended.cancelled() or ended.exception()))
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(running)
        except TimeoutError as error:
            raise StoreUnavailableError("the page could not be read in time") from error

    def close(self) -> None:
        """Let go of the threads and of the connections; a thread that waits for Redis ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _run(self, work: Callable[[redis.Redis], _Result]) -> _Result:
        try:
            return work(self._connected())
        except (*CLIENT_ERRORS, OSError) as error:
            raise StoreUnavailableError(f"Redis did not serve ({type(error).__name__})") from error

    def _connected(self) -> redis.Redis:
        with self._connecting:
            if self._client is None:
                self._client = sync_client(self._url, _ANSWER_WITHIN, patient=False)
            return self._client

    def _done(self, _: BaseException | bool | None) -> None:
        """Make room; how it ended was looked at, since the caller may have gone."""
        self._asked -= 1
