"""The endpoints of upstreams: a concurrency limit (bulkhead) and a circuit breaker for each origin."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sms_router.routing.upstream.circuit_breaker import CircuitBreaker, CircuitState
from sms_router.routing.upstream.models import UpstreamFailure
from sms_router.twilio.webhook_url import WebhookUrl

log = logging.getLogger("sms_router.upstream")

MAX_ENDPOINTS = 1000
"""Origins whose state is kept; beyond it, the one that was unused longest is dropped."""

MAX_WAITING_CALLS = 1000
"""Calls that may wait for the concurrency limit of one endpoint; a further one fails at once."""

_Response = TypeVar("_Response")


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """The state of one endpoint, for probes and metrics. The counts only grow."""

    name: str
    state: CircuitState
    calls: int
    failures: int
    short_circuited: int
    """Calls that were not made because the circuit was open."""
    last_failure: str | None
    """Why the circuit is open; None while it is closed."""


class Endpoint:
    """Limits the calls to one origin in one role; an origin that is its own fallback has two endpoints.

    ``name`` is the origin and the role, for people. ``clock`` is monotonic, in seconds.
    """

    def __init__(self, name: str, max_concurrent: int, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._slots = asyncio.Semaphore(max_concurrent)
        self._breaker = CircuitBreaker()
        self._waiting = 0
        self._calls = self._failures = self._short_circuited = 0
        self._last_failure: UpstreamFailure | None = None

    @property
    def is_idle(self) -> bool:
        """True when no call waits and the circuit is closed, so that the endpoint may be dropped."""
        return not self._waiting and self._breaker.state is CircuitState.CLOSED

    async def call(
        self, url: WebhookUrl, deadline: float, fetch: Callable[[], Awaitable[_Response | UpstreamFailure]]
    ) -> _Response | UpstreamFailure:
        """Make a call, unless the circuit is open or too many calls wait.

        Until the ``deadline`` of the clock it may wait for the concurrency limit; ``fetch`` ends before it.
        """
        if not self._breaker.allows(self._clock()):
            return self._short_circuit(url)
        if self._waiting >= MAX_WAITING_CALLS or not await self._acquire_slot(deadline):
            return UpstreamFailure(11200, "too many calls to it are in progress", url, is_called=False)
        try:
            return await self._call_once(url, fetch)
        finally:
            self._slots.release()

    def status(self) -> EndpointStatus:
        is_closed = self._breaker.state is CircuitState.CLOSED
        last_failure = None if is_closed or self._last_failure is None else str(self._last_failure)
        return EndpointStatus(
            self.name, self._breaker.state, self._calls, self._failures, self._short_circuited, last_failure
        )

    async def _acquire_slot(self, deadline: float) -> bool:
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline - self._clock()):
                await self._slots.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    async def _call_once(
        self, url: WebhookUrl, fetch: Callable[[], Awaitable[_Response | UpstreamFailure]]
    ) -> _Response | UpstreamFailure:
        if (admission := self._breaker.admit(self._clock())) is None:
            return self._short_circuit(url)
        failed: bool | None = None
        try:
            response = await fetch()
            failed = False
            if isinstance(response, UpstreamFailure):
                self._failures += 1
                if response.counts_against_circuit:
                    failed, self._last_failure = True, response
            return response
        finally:
            self._calls += 1
            self._log_change(self._breaker.record(admission, failed, self._clock()))

    def _short_circuit(self, url: WebhookUrl) -> UpstreamFailure:
        """Fail with the code of the last failure, without a call."""
        self._short_circuited += 1
        code = self._last_failure.code if self._last_failure is not None else 11200
        return UpstreamFailure(code, "not called, because it keeps failing", url, is_called=False)

    def _log_change(self, state: CircuitState | None) -> None:
        if state is CircuitState.OPEN:
            log.error(
                "%s keeps failing and is not called for now; the fallback URL is called, or the contact gets"
                " the error reply (%s)",
                self.name, self._last_failure,
            )  # fmt: skip
        elif state is CircuitState.CLOSED:
            log.warning("%s responds again", self.name)


class EndpointPool:
    """The endpoints of one worker, by origin and role; ``clock`` is monotonic, in seconds."""

    def __init__(self, max_concurrent: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_concurrent = max_concurrent
        self._clock = clock
        self._endpoints: OrderedDict[str, Endpoint] = OrderedDict()

    def get(self, origin: str, *, fallback: bool) -> Endpoint:
        """Return the endpoint of an origin; it is created when it is used first."""
        name = f"{origin} (as fallback)" if fallback else origin
        if name not in self._endpoints:
            if len(self._endpoints) >= MAX_ENDPOINTS:
                idle = (name for name, endpoint in self._endpoints.items() if endpoint.is_idle)
                del self._endpoints[next(idle, next(iter(self._endpoints)))]
            self._endpoints[name] = Endpoint(name, self._max_concurrent, self._clock)
        self._endpoints.move_to_end(name)
        return self._endpoints[name]

    def statuses(self) -> tuple[EndpointStatus, ...]:
        return tuple(endpoint.status() for endpoint in self._endpoints.values())
