"""Twilio's limit on message loops: 15 replies between two numbers in 30 s (14107, facts 4)."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sms_router.sandbox.clock import Clock

MAX_REPLIES = 15
WINDOW = timedelta(seconds=30)
MAX_PAIRS = 100_000


@dataclass(slots=True)
class _Pair:
    replies: deque[datetime] = field(default_factory=lambda: deque(maxlen=MAX_REPLIES))
    blocked_until: datetime | None = None


class ReplyLimiter:
    """Counts the replies between pairs of numbers, on the sandbox's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pairs: OrderedDict[tuple[str, str], _Pair] = OrderedDict()

    def allow(self, sender: str, recipient: str) -> bool:
        """Count a reply and return whether it is allowed; the 16th and all for 30 s after it are not."""
        now, pair = self._clock.now(), self._pair(sender, recipient)
        if pair.blocked_until and now < pair.blocked_until:
            return False
        if len(pair.replies) == MAX_REPLIES and now - pair.replies[0] < WINDOW:
            pair.blocked_until = now + WINDOW
            return False
        pair.replies.append(now)
        return True

    def _pair(self, sender: str, recipient: str) -> _Pair:
        pair = self._pairs.setdefault((sender, recipient), _Pair())
        self._pairs.move_to_end((sender, recipient))
        if len(self._pairs) > MAX_PAIRS:
            self._pairs.popitem(last=False)
        return pair
