"""What Twilio stores per pair of numbers: cookies (facts 1.5), and replies to limit loops (facts 11)."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from aiohttp import CookieJar

from sms_router.sandbox.clock import Clock

COOKIE_LIFETIME = timedelta(hours=4)
"""After the last text."""

MAX_JARS = 10_000
MAX_REPLIES = 15
QUIET_GAP = timedelta(seconds=30)
MAX_PAIRS = 100_000


class CookieJars:
    """The cookie jars of all pairs of numbers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jars: OrderedDict[tuple[str, str], tuple[CookieJar, datetime]] = OrderedDict()
        """Each with the time of its last use."""

    def jar(self, number: str, person: str) -> CookieJar:
        """Return the jar of a pair; a new one when the last one has expired."""
        now = self._clock.now()
        jar, last_used = self._jars.pop((number, person), (None, now))
        if jar is None or now - last_used > COOKIE_LIFETIME:
            jar = CookieJar(unsafe=True)  # "unsafe": hosts that are IP addresses too
        self._jars[number, person] = jar, now
        if len(self._jars) > MAX_JARS:
            self._jars.popitem(last=False)
        return jar


class ReplyLimiter:
    """Twilio's limit on message loops: 15 replies between two numbers until a quiet gap (14107)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pairs: OrderedDict[tuple[str, str], tuple[int, datetime]] = OrderedDict()
        """How many replies there were without a quiet gap, and when the last one was tried."""

    def allow(self, sender: str, recipient: str) -> bool:
        """Count a reply and return whether it is allowed; the 16th and all until a quiet gap are not."""
        now = self._clock.now()
        count, last = self._pairs.pop((sender, recipient), (0, now))
        count = min(count if now - last < QUIET_GAP else 0, MAX_REPLIES) + 1
        self._pairs[sender, recipient] = count, now
        if len(self._pairs) > MAX_PAIRS:
            self._pairs.popitem(last=False)
        return count <= MAX_REPLIES
