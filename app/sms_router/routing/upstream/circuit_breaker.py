"""The circuit breaker of one upstream: a server that keeps failing is not called for a while.

All times are in seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

WINDOW = 30.0
"""Seconds for which the result of a call counts."""

MIN_CALLS = 5
"""Calls in the window below which the circuit stays closed."""

FAILURE_RATE = 0.5
"""The share of failed calls in the window that opens the circuit."""

OPEN_SECONDS = 5.0
"""Seconds until an open circuit admits one call as a probe."""

MAX_OPEN_SECONDS = 60.0
"""Each probe that fails doubles the time until the next one, up to this."""

_MAX_RESULTS = 200


class CircuitState(Enum):
    """Whether the upstream is called."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    """A probe is in progress."""


class CircuitBreaker:
    """Decides whether calls are made, by the failure rate in a rolling window."""

    __slots__ = ("_failures", "_open_seconds", "_probe_at", "_results", "state")

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self._results: deque[tuple[float, bool]] = deque()
        """When each call ended, and whether it failed."""
        self._failures = 0
        self._open_seconds = OPEN_SECONDS
        self._probe_at = 0.0

    def allows(self, now: float) -> bool:
        """Return whether `admit` would admit a call; the state does not change."""
        is_probe_due = self.state is CircuitState.OPEN and now >= self._probe_at
        return self.state is CircuitState.CLOSED or is_probe_due

    def admit(self, now: float) -> CircuitState | None:
        """Admit a call, and return the state: half-open for a probe; None while the circuit is open.

        The result of an admitted call must be passed to `record`.
        """
        if not self.allows(now):
            return None
        if self.state is CircuitState.OPEN:
            self.state = CircuitState.HALF_OPEN
        return self.state

    def record(self, admission: CircuitState, failed: bool | None, now: float) -> CircuitState | None:
        """Record the result of a call; ordinary calls that end after the circuit has opened do not count.

        Args:
            admission: what `admit` has returned.
            failed: whether the upstream is at fault; None where the call was cancelled before it ended.
            now: when the call ended.

        Returns:
            The state, where the circuit has opened or closed; a probe that fails is no change.

        """
        if admission is CircuitState.HALF_OPEN:
            return self._record_probe(failed, now)
        if self.state is not CircuitState.CLOSED or failed is None:
            return None
        self._results.append((now, failed))
        self._failures += failed
        while self._results[0][0] <= now - WINDOW or len(self._results) > _MAX_RESULTS:
            self._failures -= self._results.popleft()[1]
        calls = len(self._results)
        if not failed or calls < MIN_CALLS or self._failures < FAILURE_RATE * calls:
            return None
        self.state, self._probe_at = CircuitState.OPEN, now + self._open_seconds
        return self.state

    def _record_probe(self, failed: bool | None, now: float) -> CircuitState | None:
        if failed is False:
            self.state, self._open_seconds = CircuitState.CLOSED, OPEN_SECONDS
            self._results.clear()
            self._failures = 0
            return self.state
        if failed:
            self._open_seconds = min(self._open_seconds * 2, MAX_OPEN_SECONDS)
        self.state, self._probe_at = CircuitState.OPEN, now + (self._open_seconds if failed else 0.0)
        return None
