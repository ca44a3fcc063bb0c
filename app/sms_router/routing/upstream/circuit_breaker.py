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


class Admission(Enum):
    """The role of a call that is admitted."""

    ORDINARY = "ordinary"
    PROBE = "probe"


class CallResult(Enum):
    """What a call says about the state of the upstream."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """It was cancelled before it ended."""


class CircuitTransition(Enum):
    """A change of the state that is logged."""

    OPENED = "opened"
    CLOSED = "closed"


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

    def admit(self, now: float) -> Admission | None:
        """Admit a call, as a probe where one is due; return None while the circuit is open.

        The result of an admitted call must be passed to `record`.
        """
        if self.state is CircuitState.CLOSED:
            return Admission.ORDINARY
        if not self.allows(now):
            return None
        self.state = CircuitState.HALF_OPEN
        return Admission.PROBE

    def record(self, admission: Admission, result: CallResult, now: float) -> CircuitTransition | None:
        """Record the result of a call; ordinary calls that end after the circuit has opened do not count."""
        if admission is Admission.PROBE:
            return self._record_probe(result, now)
        if self.state is CircuitState.CLOSED and result is not CallResult.UNKNOWN:
            return self._count(now, failed=result is CallResult.FAILURE)
        return None

    def _record_probe(self, result: CallResult, now: float) -> CircuitTransition | None:
        if result is CallResult.SUCCESS:
            self._close()
            return CircuitTransition.CLOSED
        if result is CallResult.FAILURE:
            self._open_seconds = min(self._open_seconds * 2, MAX_OPEN_SECONDS)
            self._open(now)
        else:
            self.state, self._probe_at = CircuitState.OPEN, now
        return None

    def _count(self, now: float, *, failed: bool) -> CircuitTransition | None:
        self._results.append((now, failed))
        self._failures += failed
        while self._results[0][0] <= now - WINDOW or len(self._results) > _MAX_RESULTS:
            self._failures -= self._results.popleft()[1]
        calls = len(self._results)
        if not failed or calls < MIN_CALLS or self._failures < FAILURE_RATE * calls:
            return None
        self._open(now)
        return CircuitTransition.OPENED

    def _open(self, now: float) -> None:
        self.state, self._probe_at = CircuitState.OPEN, now + self._open_seconds

    def _close(self) -> None:
        self.state, self._open_seconds = CircuitState.CLOSED, OPEN_SECONDS
        self._results.clear()
        self._failures = 0
