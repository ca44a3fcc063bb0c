"""How often somebody may try a password."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

PERIOD = 60.0
"""Seconds in which attempts are counted."""

MAX_PER_ADDRESS = 5
"""Wrong passwords from one address in this time."""

MOST_OF_ALL = 60
"""Wrong passwords from everywhere in this time: many machines guess no faster."""

_MOST_KNOWN = 1000


class LoginThrottle:
    """Counts the wrong passwords that one worker has seen, in bounded memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds and is never set back."""
        self._clock = clock
        self._by_peer: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=MOST_OF_ALL)

    def retry_after(self, peer: str) -> float:
        """Return the seconds until this address may try; 0 when it may now."""
        own = self._by_peer.get(peer, deque())
        return max(self._left(own, MAX_PER_ADDRESS), self._left(self._all, MOST_OF_ALL))

    def failed(self, peer: str) -> None:
        """Count a wrong password."""
        now = self._clock()
        self._all.append(now)
        self._by_peer.setdefault(peer, deque(maxlen=MAX_PER_ADDRESS)).append(now)
        self._by_peer.move_to_end(peer)
        if len(self._by_peer) > _MOST_KNOWN:
            self._by_peer.popitem(last=False)

    def _left(self, times: deque[float], most: int) -> float:
        return max(0.0, times[0] + PERIOD - self._clock()) if len(times) == most else 0.0
