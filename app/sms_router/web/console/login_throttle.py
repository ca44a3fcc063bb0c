"""A limit on wrong passwords, per address and in total."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

PERIOD = 60.0
"""Seconds in which wrong passwords are counted."""

MAX_PER_ADDRESS = 5

MAX_IN_TOTAL = 60
"""From all addresses together: many machines must not guess faster."""

_MAX_ADDRESSES = 1000


class LoginThrottle:
    """Counts the wrong passwords that this worker has received.

    Args:
        clock: monotonic, in seconds.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=MAX_IN_TOTAL)

    def retry_after(self, address: str) -> float:
        """Return the seconds until this address may try again; 0 when it may now."""
        own = self._by_address.get(address, deque())
        return max(self._remaining(own, MAX_PER_ADDRESS), self._remaining(self._all, MAX_IN_TOTAL))

    def record_failure(self, address: str) -> None:
        """Count a wrong password."""
        now = self._clock()
        self._all.append(now)
        self._by_address.setdefault(address, deque(maxlen=MAX_PER_ADDRESS)).append(now)
        self._by_address.move_to_end(address)
        if len(self._by_address) > _MAX_ADDRESSES:
            self._by_address.popitem(last=False)

    def _remaining(self, failures: deque[float], limit: int) -> float:
        return max(0.0, failures[0] + PERIOD - self._clock()) if len(failures) == limit else 0.0
