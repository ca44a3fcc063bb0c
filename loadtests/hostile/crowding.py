"""Connections that owe something, and texts that have to get through between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from time import perf_counter
from typing import cast

from loadtests.bench.traffic import Webhook

OWING = (
    b"",
    b"POST /sms HTTP/1.1\r\nHost: x\r\n",
    b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 5000\r\n\r\nBody=",
)
"""What such connections have sent: nothing, a part of a head, a part of a body."""

MOST_OPENING = 200
PATIENCE = 15.0


class Crowd:
    """Strangers who connect and send no request, one after the other."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._open: set[asyncio.Transport] = set()
        self.most = 0
        """How many were connected at once."""

    async def come(self) -> None:
        """Open all connections; the router hangs up on those it has no room for."""
        loop = asyncio.get_running_loop()
        hands = asyncio.Semaphore(MOST_OPENING)

        async def one(number: int) -> None:
            async with hands:
                with suppress(OSError):
                    await loop.create_connection(
                        lambda: _Stranger(self._open, OWING[number % len(OWING)]), "127.0.0.1", self._port
                    )
                self.most = max(self.most, len(self._open))

        for start in range(0, self._count, 1000):
            await asyncio.gather(*map(one, range(start, min(start + 1000, self._count))))

    def leave(self) -> None:
        """Hang up."""
        for transport in tuple(self._open):
            transport.abort()


class _Stranger(asyncio.Protocol):
    def __init__(self, connected: set[asyncio.Transport], sent: bytes) -> None:
        self._connected = connected
        self._sent = sent
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say what a stranger says (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)
        self._connected.add(self._transport)
        self._transport.write(self._sent)

    def connection_lost(self, _: Exception | None) -> None:
        """Go (asyncio calls this)."""
        if self._transport is not None:
            self._connected.discard(self._transport)


async def texts_between(port: int, webhooks: Iterator[Webhook], crowd: Crowd) -> tuple[list[float], int]:
    """Send texts while the crowd comes, each over a connection of its own.

    Returns the seconds of each that was answered, and how many were not.
    """
    coming = asyncio.create_task(crowd.come())
    seconds: list[float] = []
    wrong = 0
    while not coming.done():
        began = perf_counter()
        if await _answered(port, next(webhooks)):
            seconds.append(perf_counter() - began)
        else:
            wrong += 1
        await asyncio.sleep(0.02)
    await coming
    return seconds, wrong


async def _answered(port: int, webhook: Webhook) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(webhook.wire)
                head = await reader.readuntil(b"\r\n\r\n")
                return head.startswith(b"HTTP/1.1 200") and webhook.expected in await reader.read(65_536)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
