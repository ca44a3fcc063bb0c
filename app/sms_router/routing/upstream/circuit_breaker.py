"""The circuit breaker of one upstream: a server that is down costs nobody their time."""

from __future__ import annotations

from collections import deque
from enum import Enum

WINDOW = 30.0
"""Seconds that a call is remembered."""

FEWEST_CALLS = 5
"""Calls below which no rate is judged."""

FAILING = 0.5
"""The share of failed calls, within the window, that opens the circuit."""

OPEN_SECONDS = 5.0
"""Seconds until an open circuit lets one call through to see."""

LONGEST_PAUSE = 60.0
"""Each probe that fails doubles the pause, up to this."""

_MOST_KEPT = 200


class State(Enum):
    """Whether the upstream is called."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    """One call is on its way to see whether the upstream is well again."""


class Admission(Enum):
    """What a call is, once it is let through."""

    ORDINARY = "ordinary"
    PROBE = "probe"


class CallResult(Enum):
    """What a call says of the upstream."""

    WELL = "well"
    FAILING = "failing"
    UNKNOWN = "unknown"
    """It was given up before anybody could tell."""


class Transition(Enum):
    """A change that an operator wants to hear of."""

    OPENED = "opened"
    CLOSED = "closed"


class CircuitBreaker:
    """Counts calls. Times are in seconds, by one clock that only goes forward."""

    __slots__ = ("_calls", "_failures", "_pause", "_retry_at", "state")

    def __init__(self) -> None:
        """Begin closed."""
        self.state = State.CLOSED
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._pause = OPEN_SECONDS
        self._retry_at = 0.0

    def allows(self, now: float) -> bool:
        """Tell whether a call would be let through."""
        return self.state is State.CLOSED or (self.state is State.OPEN and now >= self._retry_at)

    def allow(self, now: float) -> Admission | None:
        """Let a call through, or not; of an open circuit's callers one in a while becomes the probe.

        A caller that is admitted must `settle`.
        """
        if self.state is State.CLOSED:
            return Admission.ORDINARY
        if not self.allows(now):
            return None
        self.state = State.HALF_OPEN
        return Admission.PROBE

    def record(self, admission: Admission, verdict: CallResult, now: float) -> Transition | None:
        """Count what came of a call; ordinary ones that outlast the circuit's opening no longer matter."""
        if admission is Admission.PROBE:
            return self._settle_probe(verdict, now)
        if self.state is State.CLOSED and verdict is not CallResult.UNKNOWN:
            return self._count(now, failed=verdict is CallResult.FAILING)
        return None

    def _settle_probe(self, verdict: CallResult, now: float) -> Transition | None:
        if verdict is CallResult.WELL:
            self._close()
            return Transition.CLOSED
        if verdict is CallResult.FAILING:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._open(now)
        else:
            self.state, self._retry_at = State.OPEN, now
        return None

    def _count(self, now: float, *, failed: bool) -> Transition | None:
        self._calls.append((now, failed))
        self._failures += failed
        while self._calls[0][0] <= now - WINDOW or len(self._calls) > _MOST_KEPT:
            self._failures -= self._calls.popleft()[1]
        if not failed or len(self._calls) < FEWEST_CALLS or self._failures < FAILING * len(self._calls):
            return None
        self._open(now)
        return Transition.OPENED

    def _open(self, now: float) -> None:
        self.state, self._retry_at = State.OPEN, now + self._pause

    def _close(self) -> None:
        self.state, self._pause = State.CLOSED, OPEN_SECONDS
        self._calls.clear()
        self._failures = 0
