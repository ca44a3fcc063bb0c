"""The lines to the upstreams: each with its breaker, and with room for so many calls at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sms_router.routing.upstream.circuit_breaker import CallResult, CircuitBreaker, State, Transition
from sms_router.routing.upstream.failure import UpstreamFailure
from sms_router.twilio.webhook_url import WebhookUrl

log = logging.getLogger("sms_router.upstream")

MOST_LINES = 1000
"""Origins that are told apart; beyond it those that were idle longest start anew."""

MOST_WAITING = 1000
"""Texts that may wait for room on one line; one more is not forwarded there."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """What probes and metrics tell of one line. The counts only grow."""

    name: str
    state: State
    calls: int
    failures: int
    short_circuited: int
    """Calls that were not made because the circuit was open."""
    trouble: str | None
    """The failure that the open circuit last saw."""


class Endpoint:
    """Calls to one origin, in one role: an upstream that also serves as its own fallback has two."""

    def __init__(self, name: str, room: int, clock: Callable[[], float]) -> None:
        """``room`` is how many calls may be on their way at once; ``clock`` is in seconds."""
        self.name = name
        self._clock = clock
        self._room = asyncio.Semaphore(room)
        self._breaker = CircuitBreaker()
        self._waiting = 0
        self._calls = self._failures = self._held_back = 0
        self._last: UpstreamFailure | None = None

    @property
    def idle(self) -> bool:
        """True when nothing would be lost by forgetting the line."""
        return not self._waiting and self._breaker.state is State.CLOSED

    async def call(
        self, url: WebhookUrl, until: float, fetch: Callable[[], Awaitable[Answer | UpstreamFailure]]
    ) -> Answer | UpstreamFailure:
        """Make a call, if there is room and the circuit is not open; it ends by itself before ``until``."""
        if not self._breaker.allows(self._clock()):
            return self._refused(url)
        if self._waiting >= MOST_WAITING or not await self._got_room(until):
            return UpstreamFailure(11200, "too many texts are on their way there", url, called=False)
        try:
            return await self._admitted(url, fetch)
        finally:
            self._room.release()

    def status(self) -> EndpointStatus:
        """Return what is to be told."""
        trouble = (
            str(self._last) if self._last is not None and self._breaker.state is not State.CLOSED else None
        )
        return EndpointStatus(
            self.name, self._breaker.state, self._calls, self._failures, self._held_back, trouble
        )

    async def _got_room(self, until: float) -> bool:
        self._waiting += 1
        try:
            async with asyncio.timeout(until - self._clock()):
                await self._room.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    async def _admitted(
        self, url: WebhookUrl, fetch: Callable[[], Awaitable[Answer | UpstreamFailure]]
    ) -> Answer | UpstreamFailure:
        admission = self._breaker.allow(self._clock())
        if admission is None:
            return self._refused(url)
        verdict = CallResult.UNKNOWN
        try:
            answer = await fetch()
            verdict = CallResult.WELL
            if isinstance(answer, UpstreamFailure):
                self._failures += 1
                if answer.counts_against_circuit:
                    verdict, self._last = CallResult.FAILING, answer
            return answer
        finally:
            self._calls += 1
            self._tell(self._breaker.record(admission, verdict, self._clock()))

    def _refused(self, url: WebhookUrl) -> UpstreamFailure:
        """Fail as the server last did, without asking it."""
        self._held_back += 1
        code = self._last.code if self._last is not None else 11200
        return UpstreamFailure(code, "not called, since it keeps failing", url, called=False)

    def _tell(self, turn: Transition | None) -> None:
        if turn is Transition.OPENED:
            log.error(
                "%s keeps failing and is not called for now; texts go to the fallback URL, or people get the"
                " error reply (%s)",
                self.name, self._last,
            )  # fmt: skip
        elif turn is Transition.CLOSED:
            log.warning("%s answers again", self.name)


class EndpointPool:
    """The lines of one worker, by origin and role."""

    def __init__(self, room: int, clock: Callable[[], float] = time.monotonic) -> None:
        """``room`` is how many calls may be on their way to one origin at once."""
        self._room = room
        self._clock = clock
        self._lines: OrderedDict[str, Endpoint] = OrderedDict()

    def line(self, origin: str, *, fallback: bool) -> Endpoint:
        """Return the line to an origin."""
        name = f"{origin} (as fallback)" if fallback else origin
        line = self._lines.get(name)
        if line is None:
            self._make_room()
            line = self._lines[name] = Endpoint(name, self._room, self._clock)
        self._lines.move_to_end(name)
        return line

    def statuses(self) -> tuple[EndpointStatus, ...]:
        """Return what is to be told of each line."""
        return tuple(line.status() for line in self._lines.values())

    def _make_room(self) -> None:
        if len(self._lines) < MOST_LINES:
            return
        forgotten = next((name for name, line in self._lines.items() if line.idle), next(iter(self._lines)))
        del self._lines[forgotten]
