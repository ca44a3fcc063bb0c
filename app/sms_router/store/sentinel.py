"""Locates the current master through its Sentinels, and follows it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import hiredis

from sms_router.store.connection import PipelinedConnection, connect
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.url import Address, RedisUrl

SENTINEL_TIMEOUT = 0.5
"""Seconds for the Sentinels to answer."""

WATCH_INTERVAL = 1.0
"""Seconds between two questions, and until a lost subscription is renewed."""

_FAILURES = (OSError, TimeoutError, StoreUnavailableError)


class _Master(NamedTuple):
    epoch: int
    """Of the failover that made it the master: the highest is the latest."""
    address: Address


class SentinelLocator:
    """Returns the master's address, by the Sentinel that has seen the latest failover.

    A Sentinel that is cut off from the others returns the master of before. With the answers of a majority
    the others are not waited for.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._connections: dict[Address, PipelinedConnection] = {}
        self._locating = asyncio.Lock()
        self._switched = asyncio.Event()

    async def locate(self) -> Address:
        """Return the master's address.

        The caller checks whether the server accepts writes: after a failover a Sentinel may be late.

        Raises:
            StoreUnavailableError: when no Sentinel responds, or none has the master.

        """
        masters, reasons = [], []
        async with self._locating:
            queries = [asyncio.create_task(self._query(sentinel)) for sentinel in self._url.seeds]
            try:
                for answer in asyncio.as_completed(queries):
                    try:
                        masters.append(await answer)
                    except StoreUnavailableError as error:
                        reasons.append(str(error))
                    if len(masters) > len(queries) // 2:
                        break
            finally:
                for task in queries:
                    task.cancel()
                await asyncio.gather(*queries, return_exceptions=True)
        if not masters:
            raise StoreUnavailableError("; ".join(reasons))
        return max(masters, key=lambda master: master.epoch).address

    async def aclose(self) -> None:
        for connection in self._connections.values():
            await _close(connection)

    async def watch(self, report: Callable[[Address], None]) -> None:
        """Report the master's address regularly, and at once when a Sentinel announces a failover."""
        try:
            async with asyncio.TaskGroup() as subscriptions:
                for sentinel in self._url.seeds:
                    subscriptions.create_task(self._subscribe(sentinel))
                while True:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(WATCH_INTERVAL):
                            await self._switched.wait()
                    self._switched.clear()
                    with contextlib.suppress(StoreUnavailableError):
                        report(await self.locate())
        finally:
            await self.aclose()

    async def _query(self, sentinel: Address) -> _Master:
        try:
            async with asyncio.timeout(SENTINEL_TIMEOUT):
                connection = self._connections.get(sentinel)
                if connection is None or connection.is_closed:
                    connection = self._connections[sentinel] = await connect(sentinel, lambda _: None)
                address, state = await asyncio.gather(
                    connection.send(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.master)),
                    connection.send(("SENTINEL", "MASTER", self._url.master)),
                )
        except _FAILURES as error:
            if (lost := self._connections.pop(sentinel, None)) is not None:
                lost.close()
            reason = str(error) or "no response in time"
            raise StoreUnavailableError(f"the Sentinel {sentinel}: {reason}") from error
        if not isinstance(address, list):
            is_error = isinstance(address, hiredis.ReplyError)
            reason = str(address) if is_error else f"has no master {self._url.master!r}"
            raise StoreUnavailableError(f"the Sentinel {sentinel}: {reason}")
        host, port = address
        fields = dict(zip(state[::2], state[1::2], strict=False)) if isinstance(state, list) else {}
        epoch = int(fields.get(b"config-epoch", 0))
        return _Master(epoch, replace(self._url.login, host=host.decode(), port=int(port)))

    async def _subscribe(self, sentinel: Address) -> None:
        """Wait for the announcement of a failover, again and again.

        An announcement answers no command, so that the connection closes itself; then it is renewed.
        """
        while True:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(SENTINEL_TIMEOUT):
                    connection = await connect(sentinel, lambda _: None)
                try:
                    connection.send(("SUBSCRIBE", "+switch-master"))
                    await connection.wait_closed()
                finally:
                    await _close(connection)
                self._switched.set()
            await asyncio.sleep(WATCH_INTERVAL)


async def _close(connection: PipelinedConnection) -> None:
    connection.close()
    await connection.wait_closed()
