"""Two kinds of load: closed loop (as fast as the server answers) and open loop (at a fixed rate)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter

from loadtests.bench.client import Connection
from loadtests.bench.traffic import Webhook

TICK = 0.001
"""Seconds between two batches; the timers of the event loop are not more precise."""

ANSWER_TIMEOUT = 15.0
"""Seconds that Twilio waits for an answer (facts 1.4)."""

MAX_FAULTS = 3


@dataclass(slots=True)
class Tally:
    """The results of one load."""

    latencies: list[float] = field(default_factory=list)
    """Seconds of each right answer."""
    wrong: int = 0
    faults: list[str] = field(default_factory=list)
    """The first faults."""
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        """The number of right answers."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def record(self, latency: float, fault: str | None) -> None:
        """Count one exchange."""
        if fault is None:
            self.latencies.append(latency)
            return
        self.record_fault(fault)

    def record_fault(self, fault: str, count: int = 1) -> None:
        """Count messages with a wrong answer or none."""
        self.wrong += count
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


class ClosedLoop:
    """Each connection sends its next message when the last one is answered."""

    def __init__(
        self, connections: Sequence[Connection], webhooks: Iterator[Webhook], seconds: float
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._seconds = seconds
        self._deadline = 0.0
        self._tally = Tally()
        self._busy = 0
        self._idle = asyncio.Event()

    async def run(self) -> Tally:
        """Send until the messages or the seconds are used up, then wait for the last answers."""
        started = perf_counter()
        self._deadline = started + self._seconds
        for connection in self._connections:
            self._busy += 1
            self._next(connection)
        await _wait_for(self._idle, self._seconds + ANSWER_TIMEOUT)
        self._tally.seconds = perf_counter() - started
        if self._busy:
            self._tally.record_fault("no response in time", self._busy)
        return self._tally

    def _next(self, connection: Connection) -> None:
        now = perf_counter()
        webhook = next(self._webhooks, None) if connection.alive and now < self._deadline else None
        if webhook is not None:
            connection.exchange(webhook, now, self._answered)
            return
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    def _answered(self, connection: Connection, latency: float, fault: str | None) -> None:
        self._tally.record(latency, fault)
        self._next(connection)


class OpenLoop:
    """Sends messages at a fixed rate, however fast the server is.

    If no connection is free, a message waits for one; the wait is part of its latency. The messages of one
    tick are sent together.
    """

    def __init__(self, connections: Sequence[Connection], webhooks: Iterator[Webhook], rate: float) -> None:
        self._free = deque(connections)
        self._webhooks = webhooks
        self._rate = rate
        self._waiting: deque[tuple[Webhook, float]] = deque()
        self._tally = Tally()
        self._busy = 0
        self._idle = asyncio.Event()

    async def run(self, seconds: float) -> Tally:
        """Send for ``seconds`` or until the messages are used up, then wait for the last answers."""
        started = perf_counter()
        await self._offer(started, seconds)
        if self._busy:
            self._idle.clear()
            await _wait_for(self._idle, ANSWER_TIMEOUT)
        self._tally.seconds = perf_counter() - started
        if missing := self._busy + len(self._waiting):
            self._tally.record_fault("no response in time", missing)
        return self._tally

    async def _offer(self, started: float, seconds: float) -> None:
        sent = 0
        while (elapsed := perf_counter() - started) < seconds:
            wanted = int(elapsed * self._rate) + 1 - sent
            due = list(islice(self._webhooks, wanted))
            sent += len(due)
            now = perf_counter()
            self._waiting.extend((webhook, now) for webhook in due)
            self._send_waiting()
            if len(due) < wanted:
                return
            await asyncio.sleep(TICK)

    def _send_waiting(self) -> None:
        while self._waiting and self._free:
            webhook, due = self._waiting.popleft()
            self._busy += 1
            self._free.popleft().exchange(webhook, due, self._answered)

    def _answered(self, connection: Connection, latency: float, fault: str | None) -> None:
        self._tally.record(latency, fault)
        self._busy -= 1
        if connection.alive:
            self._free.append(connection)
        self._send_waiting()
        if not self._busy:
            self._idle.set()


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
