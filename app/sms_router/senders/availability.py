"""Which senders can be used now: cordons, pending numbers and rate limits as `SenderConditions`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache

from sms_router.senders.cordons import Cordons
from sms_router.senders.models import NO_CONDITIONS, Decision, SenderConditions
from sms_router.senders.pending import PendingNumbers
from sms_router.senders.rate_limits import RateLimiter, RateLimits
from sms_router.twilio.segments import count_segments

MAX_CACHED_LENGTH = 500
"""Characters of a reply whose number of segments is cached."""


@dataclass(frozen=True, slots=True)
class Availability:
    """One worker's view of its senders."""

    cordons: Cordons
    rates: RateLimiter
    pending: PendingNumbers = field(default_factory=lambda: PendingNumbers(dict, time.time))

    @classmethod
    def unrestricted(cls) -> Availability:
        return cls(Cordons(time.time), RateLimiter(RateLimits(), time.monotonic, time.time))

    def conditions(self, texted: str = "") -> SenderConditions:
        """Return the conditions at this moment; `NO_CONDITIONS` itself when there are none.

        They are views that change with the next message, so they are for one choice only. ``texted`` is
        the number that the incoming message was sent to: a pending one that receives messages is live.
        """
        rates = self.rates
        cordoned = self.cordons.reasons() if self.cordons.installed else {}
        pending = self.pending.reasons(texted) if self.pending.numbers else {}
        if not (pending or cordoned or rates.used or rates.has_limits):
            return NO_CONDITIONS
        return SenderConditions(cordoned, rates.capped(), rates.over_rate(), rates.used, pending)

    def is_limited(self, decision: Decision) -> bool:
        return self.rates.has_limits and self.rates.is_limited(decision)

    def record_sent(self, decision: Decision, texts: tuple[str, ...], is_mms: bool = False) -> None:
        """Count a reply from the chosen sender; with ``is_mms`` its first text is an MMS."""
        if self.rates.is_limited(decision):
            self.rates.record_sent(decision, count_reply_segments(texts, is_mms=is_mms))
        elif decision.per_recipient:
            self.rates.record_sent(decision)


def count_reply_segments(texts: tuple[str, ...], *, is_mms: bool) -> int:
    """Return how many segments a reply counts as; an MMS counts as one, whatever its text."""
    if is_mms:
        return 1 + count_reply_segments(texts[1:], is_mms=False)
    if sum(map(len, texts)) > MAX_CACHED_LENGTH:
        return _count(texts)
    return _count_cached(texts)


def _count(texts: tuple[str, ...]) -> int:
    return sum(count_segments(text).count for text in texts)


_count_cached = lru_cache(maxsize=2048)(_count)
