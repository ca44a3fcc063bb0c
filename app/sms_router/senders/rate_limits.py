"""What each sender has sent, and whether it may send more now.

A sender over its rate has work for more than a second ahead of it, as its queue at Twilio has (facts
5.4). Each worker counts what it sends and knows at once; what the others send it learns a few times a
second (`sms_router.membership.sync.rate_sync`). So several workers together may send more than a rate for a
moment, at the most a second's worth each, and then wait until the work is done: over a few seconds the
rate holds. A day begins at midnight Pacific, as with the carriers' daily caps (facts 5.4), and a cap may
be passed by what the others send in between two exchanges.

When each sender was last used is counted as well, so that among equals the least recently used can
answer. Workers that have not exchanged yet may differ in this; a person still keeps their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from heapq import heappop, heappush
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sms_router.senders.decision import Decision
from sms_router.senders.limits import Limits, SenderLimit
from sms_router.senders.models import Sender

DAY = 86_400.0

_PACIFIC = ZoneInfo("America/Los_Angeles")
_QUARTER_HOUR = 900
"""Seconds; no zone changes its clocks in between."""

_MOST_COUNTED = 50_000
"""Senders that are counted; no account has so many numbers."""


class Count(NamedTuple):
    """What was sent from one sender, to be told to the others."""

    busy_seconds: float = 0.0
    """Seconds that it keeps the sender busy."""
    segments: int = 0


class Reported(NamedTuple):
    """What all workers together have sent from one sender. Times are by this worker's clock."""

    sender: str
    used: float
    busy_until: float
    day: int
    segments: int
    """Of that day."""


@dataclass(slots=True)
class _Usage:
    """What is known of one sender."""

    limit: SenderLimit | None
    busy_until: float = 0.0
    day: int = 0
    segments: int = 0

    def free_at(self) -> float:
        """When it is within its rate again."""
        return self.busy_until - (self.limit.burst if self.limit is not None else 0.0)


class RateLimiter:
    """The counts of one worker; asking and counting cost the same for ten senders and ten thousand."""

    def __init__(
        self, limits: Limits, clock: Callable[[], float], calendar: Callable[[], float] | None = None
    ) -> None:
        """``clock`` measures time, in seconds from any moment on, and is best one that nobody sets.

        ``calendar`` is in seconds since the epoch and tells the day; ``clock`` does unless it is given.
        """
        self.limits = limits
        self.limited = bool(limits)
        """Whether anything has a limit."""
        self.used: dict[str, float] = {}
        """When each was last used, of those that have equals."""
        self._clock = clock
        self._calendar = calendar or clock
        self._usages: dict[str, _Usage] = {}
        self._limit_of: dict[str, SenderLimit] = dict(limits.by_number)
        self._over: dict[str, str] = {}
        self._free: list[tuple[float, str]] = []
        """When to look again at each that is over its rate; one entry for each."""
        self._capped: dict[str, str] = {}
        self._today = 0
        self._untold: dict[str, Count] = {}

    def know(self, senders: Iterable[Sender]) -> None:
        """Learn which senders there are, so that what others report of them can be judged."""
        known = ((sender.sid, self.limits.of(sender)) for sender in senders)
        self._limit_of = {
            **self.limits.by_number,
            **{sid: limit for sid, limit in known if limit is not None},
        }

    def limits_sending(self, decision: Decision) -> bool:
        """Tell whether segments need to be counted for the sender that was chosen."""
        if not self.limited or decision.address is None:
            return False
        if decision.sender is None:
            return decision.address in self._limit_of
        return decision.sender.sid in self._limit_of or self.limits.of(decision.sender) is not None

    def sent(self, decision: Decision, segments: int = 0) -> None:
        """Count what leaves from the sender that was chosen."""
        key = decision.sender.sid if decision.sender is not None else decision.address
        if key is None or (not segments and not decision.per_recipient):
            return
        now = self._clock()
        if decision.per_recipient:
            self.used[key] = now
        work = 0.0
        if segments:
            work = self._count(key, self._limit(key, decision.sender), segments, now)
        before = self._untold.get(key, Count())
        if len(self._untold) < _MOST_COUNTED or before.segments:
            self._untold[key] = Count(before.busy_seconds + work, before.segments + segments)

    def over_rate(self) -> Mapping[str, str]:
        """Return which senders have sent what they may in a second, with the words for the trail."""
        if self._free:
            now = self._clock()
            while self._free and self._free[0][0] <= now:
                _, key = heappop(self._free)
                del self._over[key]
                self._judge_rate(key, self._usages[key], now)
        return self._over

    def capped(self) -> Mapping[str, str]:
        """Return which senders have sent what they may in a day, with the words for the trail."""
        if self._capped and self._day() != self._today:
            self._capped.clear()
        return self._capped

    def drain(self, most: int) -> dict[str, Count]:
        """Take what was counted and not told to the others yet, of so many senders at the most."""
        if len(self._untold) <= most:
            taken, self._untold = self._untold, {}
            return taken
        return {key: self._untold.pop(key) for key in list(self._untold)[:most]}

    def restore(self, taken: Mapping[str, Count]) -> None:
        """Keep for later what could not be told."""
        for key, count in taken.items():
            since = self._untold.get(key, Count())
            self._untold[key] = Count(
                count.busy_seconds + since.busy_seconds, count.segments + since.segments
            )

    @property
    def has_untold(self) -> bool:
        """True when something was counted that the others do not know."""
        return bool(self._untold)

    def merge(self, reports: Iterable[Reported]) -> None:
        """Take over what all workers together have sent, and add what they do not know of yet.

        Nothing is unlearned, should Redis have lost what it knew.
        """
        now = self._clock()
        for report in reports:
            if report.used > self.used.get(report.sender, 0.0):
                self.used[report.sender] = report.used
            limit = self._limit_of.get(report.sender)
            if limit is None:
                continue
            usage = self._usage(report.sender, limit)
            untold = self._untold.get(report.sender, Count())
            usage.busy_until = max(usage.busy_until, report.busy_until + untold.busy_seconds)
            if report.day == usage.day:
                usage.segments = max(usage.segments, report.segments + untold.segments)
            self._judge(report.sender, usage, now)

    def sent_today(self, key: str) -> int:
        """Return how many segments a sender has sent today, as far as it is limited."""
        usage = self._usages.get(key)
        return usage.segments if usage is not None and usage.day == self._day() else 0

    def _limit(self, key: str, sender: Sender | None) -> SenderLimit | None:
        limit = self._limit_of.get(key)
        if limit is None and sender is not None:
            limit = self.limits.of(sender)
            if limit is not None:
                self._limit_of[key] = limit
        return limit

    def _count(self, key: str, limit: SenderLimit | None, segments: int, now: float) -> float:
        if limit is None:
            return 0.0
        usage = self._usage(key, limit)
        work = segments / limit.per_second if limit.per_second else 0.0
        usage.busy_until = max(now, usage.busy_until) + work
        usage.segments += segments
        self._judge(key, usage, now)
        return work

    def _usage(self, key: str, limit: SenderLimit) -> _Usage:
        usage = self._usages.get(key)
        if usage is None:
            usage = self._usages[key] = _Usage(limit)
        usage.limit = limit
        today = self._day()
        if usage.day != today:
            usage.day, usage.segments = today, 0
        if self._today != today:
            self._today = today
            self._capped.clear()
        return usage

    def _judge(self, key: str, usage: _Usage, now: float) -> None:
        self._judge_rate(key, usage, now)
        limit = usage.limit
        if limit is not None and limit.per_day is not None and usage.segments >= limit.per_day:
            self._capped[key] = limit.cap_in_words()

    def _judge_rate(self, key: str, usage: _Usage, now: float) -> None:
        limit = usage.limit
        if key in self._over or limit is None or not limit.per_second:
            return
        free_at = usage.free_at()
        if free_at > now:
            self._over[key] = limit.rate_in_words()
            heappush(self._free, (free_at, key))

    @property
    def day_begins(self) -> int:
        """How many seconds after midnight UTC a day of the caps begins now; negative where it is before."""
        return -_pacific(int(self._calendar() // _QUARTER_HOUR))

    def _day(self) -> int:
        return int((self._calendar() - self.day_begins) // DAY)


@lru_cache(maxsize=2)
def _pacific(quarter_hour: int) -> int:
    """Return the seconds from UTC to Pacific time, below zero, at a quarter of an hour since the epoch."""
    offset = datetime.fromtimestamp(quarter_hour * _QUARTER_HOUR, _PACIFIC).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
