"""Connections that send no complete request, and messages that must be answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from time import perf_counter
from typing import cast

from loadtests.bench.traffic import Webhook

INCOMPLETE_REQUESTS = (
    b"",
    b"POST /sms HTTP/1.1\r\nHost: x\r\n",
    b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 5000\r\n\r\nBody=",
)
"""What the connections send: nothing, a part of the headers, a part of a body."""

MAX_CONNECTING = 200
ANSWER_TIMEOUT = 15.0


class IdleConnections:
    """Opens connections that send an incomplete request."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._open: set[asyncio.Transport] = set()
        self.max_open = 0
        """The highest number of open connections."""

    async def open(self) -> None:
        """Open all connections; the router closes those that exceed its limits."""
        loop = asyncio.get_running_loop()
        slots = asyncio.Semaphore(MAX_CONNECTING)

        async def connect(number: int) -> None:
            sent = INCOMPLETE_REQUESTS[number % len(INCOMPLETE_REQUESTS)]
            async with slots:
                with suppress(OSError):
                    await loop.create_connection(
                        lambda: _IdleConnection(self._open, sent), "127.0.0.1", self._port
                    )
                self.max_open = max(self.max_open, len(self._open))

        for start in range(0, self._count, 1000):
            await asyncio.gather(*map(connect, range(start, min(start + 1000, self._count))))

    def close(self) -> None:
        """Close all connections."""
        for transport in tuple(self._open):
            transport.abort()


class _IdleConnection(asyncio.Protocol):
    def __init__(self, connected: set[asyncio.Transport], sent: bytes) -> None:
        self._connected = connected
        self._sent = sent
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the incomplete request (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)
        self._connected.add(self._transport)
        self._transport.write(self._sent)

    def connection_lost(self, _: Exception | None) -> None:
        """Remove the connection (asyncio calls this)."""
        if self._transport is not None:
            self._connected.discard(self._transport)


async def send_while_opening(
    port: int, webhooks: Iterator[Webhook], connections: IdleConnections
) -> tuple[list[float], int]:
    """Send messages while the connections are opened, each over a new connection.

    Returns the seconds of each answered message, and the number of the others.
    """
    opening = asyncio.create_task(connections.open())
    seconds: list[float] = []
    unanswered = 0
    while not opening.done():
        began = perf_counter()
        if await _is_answered(port, next(webhooks)):
            seconds.append(perf_counter() - began)
        else:
            unanswered += 1
        await asyncio.sleep(0.02)
    await opening
    return seconds, unanswered


async def _is_answered(port: int, webhook: Webhook) -> bool:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(webhook.wire)
                head = await reader.readuntil(b"\r\n\r\n")
                return head.startswith(b"HTTP/1.1 200") and webhook.expected in await reader.read(65_536)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
