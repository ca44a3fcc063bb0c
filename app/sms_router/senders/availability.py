"""Which senders may be used now: asked before each choice, and told what was chosen."""

from __future__ import annotations

import time
from functools import lru_cache

from sms_router.senders.conditions import NO_CONDITIONS, SenderConditions
from sms_router.senders.cordons import Cordons
from sms_router.senders.decision import Decision
from sms_router.senders.limits import Limits
from sms_router.senders.pending import PendingNumbers
from sms_router.senders.rate_limits import RateLimiter
from sms_router.twilio.segments import count_segments

_LONGEST_KEPT = 500
"""Characters of a reply whose segments are remembered; longer ones are counted anew each time."""


class Availability:
    """One worker's view of its senders."""

    def __init__(self, cordons: Cordons, rates: RateLimiter, pending: PendingNumbers | None = None) -> None:
        """Take what is asked; without ``pending`` no number is on its way."""
        self._cordons = cordons
        self._rates = rates
        self._pending = pending or PendingNumbers(dict, time.time)

    def conditions(self, texted: str = "") -> SenderConditions:
        """Return what holds at this moment; `NOTHING_AGAINST` itself when nothing does.

        For one choice, at once: the next answer may change it. ``texted`` is the number that the person
        texted: one that is on its way is live then, and its operator is told.
        """
        cordoned, rates = self._cordons.words(), self._rates
        pending = self._pending.words(texted)
        if not (pending or cordoned or rates.used or rates.limited):
            return NO_CONDITIONS
        return SenderConditions(cordoned, rates.capped(), rates.over_rate(), rates.used, pending)

    def limits(self, decision: Decision) -> bool:
        """Tell whether what leaves from the sender that was chosen counts against its rate or its day."""
        return self._rates.limits_sending(decision)

    def record_sent(self, decision: Decision, texts: tuple[str, ...], pictures: bool = False) -> None:
        """Count a reply that leaves; with ``pictures`` its first text is one MMS."""
        if self._rates.limits_sending(decision):
            self._rates.sent(decision, segments_of(texts, pictures))
        elif decision.per_recipient:
            self._rates.sent(decision)


def segments_of(texts: tuple[str, ...], pictures: bool) -> int:
    """Return how many segments a reply counts as; an MMS counts as one, whatever it says."""
    if pictures:
        return 1 + segments_of(texts[1:], pictures=False)
    if sum(map(len, texts)) > _LONGEST_KEPT:
        return _segments(texts)
    return _kept(texts)


def _segments(texts: tuple[str, ...]) -> int:
    return sum(count_segments(text).count for text in texts)


_kept = lru_cache(maxsize=2048)(_segments)

EVERYTHING_AVAILABLE = Availability(Cordons(time.time), RateLimiter(Limits(), time.time))
"""For commands and tests that ask about no particular moment."""
