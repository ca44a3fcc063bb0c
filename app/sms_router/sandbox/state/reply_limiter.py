"""Twilio's limit on message loops: 15 replies between two numbers until a quiet gap (14107, facts 11)."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from sms_router.sandbox.clock import Clock

MAX_REPLIES = 15
QUIET_GAP = timedelta(seconds=30)
MAX_PAIRS = 100_000


class ReplyLimiter:
    """Counts the replies between pairs of numbers, on the sandbox's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pairs: OrderedDict[tuple[str, str], tuple[int, datetime]] = OrderedDict()
        """How many replies there were without a quiet gap, and when the last one was tried."""

    def allow(self, sender: str, recipient: str) -> bool:
        """Count a reply and return whether it is allowed; the 16th and all until a quiet gap are not."""
        now = self._clock.now()
        count, last = self._pairs.pop((sender, recipient), (0, now))
        count = min(count if now - last < QUIET_GAP else 0, MAX_REPLIES) + 1
        is_allowed = count <= MAX_REPLIES
        self._pairs[sender, recipient] = count, now
        if len(self._pairs) > MAX_PAIRS:
            self._pairs.popitem(last=False)
        return is_allowed
