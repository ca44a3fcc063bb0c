"""A keep-alive HTTP/1.1 connection that uses little CPU, so that the server is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import cast

from loadtests.bench.answers import Answer, UnreadableAnswerError, find_fault, read_answer
from loadtests.bench.traffic import Webhook

Done = Callable[["Connection", float, str | None], None]
"""Called after each exchange with its seconds and its fault, if any."""


class Connection(asyncio.Protocol):
    """One connection with at most one request at a time."""

    def __init__(self) -> None:
        self.alive = False
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._expected = b""
        self._started = 0.0
        self._done: Done | None = None

    def exchange(self, webhook: Webhook, started: float, done: Done) -> None:
        """Send a request; ``done`` is called with the time since ``started``."""
        self._expected, self._started, self._done = webhook.expected, started, done
        if self._transport is None or not self.alive:
            self._finish("the connection was closed before the request")
            return
        self._transport.write(webhook.wire)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport (asyncio calls this)."""
        self._transport, self.alive = cast(asyncio.Transport, transport), True

    def data_received(self, data: bytes) -> None:
        """Check the answer when it is complete (asyncio calls this)."""
        self._received = self._received + data if self._received else data
        try:
            answer = read_answer(self._received)
        except UnreadableAnswerError as error:
            self._finish(str(error))
            return
        if answer is not None:
            self._received = b""
            self._finish(self._find_fault(answer))

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a request without an answer (asyncio calls this)."""
        self.alive = False
        self._finish(f"the connection was lost ({exc or 'closed by the server'})")

    def _find_fault(self, answer: Answer) -> str | None:
        return find_fault(answer, self._expected)

    def _finish(self, fault: str | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(self, perf_counter() - self._started, fault)


async def connect(port: int, count: int) -> list[Connection]:
    """Open ``count`` connections to a port of this machine."""
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(Connection, "127.0.0.1", port) for _ in range(count)]
    return [connection for _, connection in opened]
