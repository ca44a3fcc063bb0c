"""Rate limits and daily caps: what each sender has sent, and whether it may send more now.

A sender is over its rate when it needs more than one second to send what it has accepted; Twilio would
queue further messages. Each worker counts its own messages at once and the other workers' a few times a
second (`sms_router.membership.sync.rate_sync`), so that several workers together may exceed a rate by one
second's worth each, and then wait; over a few seconds the rate holds. A daily cap begins at midnight
Pacific, as the carriers' caps do, and may be exceeded by what is sent between two exchanges.

The time of the last use of each sender is shared in the same way, so that the least recently used of equal
senders can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from heapq import heappop, heappush
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sms_router.senders.models import Decision, Sender, SenderKind

SECONDS_PER_DAY = 86_400.0

_PACIFIC = ZoneInfo("America/Los_Angeles")
_QUARTER_HOUR = 900
"""Seconds; no time zone changes its offset within a quarter of an hour."""

MAX_UNREPORTED = 50_000
"""Senders with unreported usage; no account has so many numbers."""


@dataclass(frozen=True, slots=True)
class SenderLimit:
    """The limits of one sender, in message segments: Twilio's MPS, and carriers' daily caps."""

    per_second: float | None = None
    per_day: int | None = None

    @property
    def burst(self) -> float:
        """Seconds of unsent work with which a sender may accept one more segment."""
        return max(0.0, 1.0 - 1.0 / self.per_second) if self.per_second else 0.0


@dataclass(frozen=True, slots=True)
class RateLimits:
    """All configured limits. A number's own rate and cap replace those of its kind, each separately."""

    by_kind: Mapping[SenderKind, SenderLimit] = field(default_factory=dict)
    by_number: Mapping[str, SenderLimit] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_kind or self.by_number)

    def limit_for(self, sender: Sender) -> SenderLimit | None:
        own, kind = self.by_number.get(sender.address), self.by_kind.get(sender.kind)
        if own is None or kind is None:
            return own or kind
        return SenderLimit(own.per_second or kind.per_second, own.per_day or kind.per_day)


class UsageDelta(NamedTuple):
    """What this worker has sent from one sender since it last reported."""

    busy_seconds: float = 0.0
    """Seconds that the sender needs for it at its rate."""
    segments: int = 0


class SharedUsage(NamedTuple):
    """What all workers have sent from one sender. Times are by this worker's clock."""

    sender: str
    last_used: float
    busy_until: float
    day: int
    segments: int
    """Of that day."""


@dataclass(slots=True)
class _Usage:
    limit: SenderLimit
    busy_until: float = 0.0
    day: int = 0
    segments: int = 0


@dataclass(eq=False)
class RateLimiter:
    """One worker's counts. Senders are identified by sid, or by address when they are in no Sender Pool.

    A question and a count cost the same for 10 senders and 10,000.
    """

    limits: RateLimits
    clock: Callable[[], float]
    """Returns the seconds of a monotonic clock."""
    calendar: Callable[[], float] | None = None
    """Returns the seconds since the epoch, for the days of the caps; ``clock`` when it is not given."""
    used: dict[str, float] = field(default_factory=dict, init=False)
    """When each sender was last used, of those that were chosen among equals."""
    _usages: dict[str, _Usage] = field(default_factory=dict, init=False)
    _over_rate: dict[str, str] = field(default_factory=dict, init=False)
    _recheck: list[tuple[float, str]] = field(default_factory=list, init=False)
    """When to check again, a heap with one entry for each sender that is over its rate."""
    _capped: dict[str, str] = field(default_factory=dict, init=False)
    _today: int = field(default=0, init=False)
    _unreported: dict[str, UsageDelta] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.has_limits = bool(self.limits)
        self._calendar = self.calendar or self.clock
        self._limit_of = dict(self.limits.by_number)

    def set_senders(self, senders: Iterable[Sender]) -> None:
        """Set which senders exist, so that `merge` finds their limits."""
        limits = ((sender.sid, self.limits.limit_for(sender)) for sender in senders)
        self._limit_of = {
            **self.limits.by_number,
            **{sid: limit for sid, limit in limits if limit is not None},
        }

    def is_limited(self, decision: Decision) -> bool:
        """Return whether the chosen sender has a limit, so that its segments have to be counted."""
        if not self.has_limits or decision.address is None:
            return False
        if decision.sender is None:
            return decision.address in self._limit_of
        return decision.sender.sid in self._limit_of or self.limits.limit_for(decision.sender) is not None

    def record_sent(self, decision: Decision, segments: int = 0) -> None:
        sender = decision.sender
        key = sender.sid if sender is not None else decision.address
        if key is None or (not segments and not decision.per_recipient):
            return
        now = self.clock()
        if decision.per_recipient:
            self.used[key] = now
        busy_seconds = 0.0
        limit = self._find_limit(key, sender) if segments else None
        if limit is not None:
            usage = self._usage(key, limit)
            busy_seconds = segments / limit.per_second if limit.per_second else 0.0
            usage.busy_until = max(now, usage.busy_until) + busy_seconds
            usage.segments += segments
            self._update_state(key, usage, now)
        delta = self._unreported.get(key, UsageDelta())
        if len(self._unreported) < MAX_UNREPORTED or delta.segments:
            self._unreported[key] = UsageDelta(delta.busy_seconds + busy_seconds, delta.segments + segments)

    def over_rate(self) -> Mapping[str, str]:
        """Return the senders that are over their rate now, with the reason for the trail."""
        if self._recheck:
            now = self.clock()
            while self._recheck and self._recheck[0][0] <= now:
                _, key = heappop(self._recheck)
                del self._over_rate[key]
                self._update_over_rate(key, self._usages[key], now)
        return self._over_rate

    def capped(self) -> Mapping[str, str]:
        """Return the senders that are at their daily cap now, with the reason for the trail."""
        if self._capped and self._day() != self._today:
            self._capped.clear()
        return self._capped

    def sent_today(self, key: str) -> int:
        """Return how many segments a sender has sent today; zero for one without a limit."""
        usage = self._usages.get(key)
        return usage.segments if usage is not None and usage.day == self._day() else 0

    @property
    def has_unreported(self) -> bool:
        return bool(self._unreported)

    def drain(self, maximum: int) -> dict[str, UsageDelta]:
        """Remove and return the unreported usage of at most ``maximum`` senders."""
        if len(self._unreported) <= maximum:
            drained, self._unreported = self._unreported, {}
            return drained
        return {key: self._unreported.pop(key) for key in list(self._unreported)[:maximum]}

    def restore(self, drained: Mapping[str, UsageDelta]) -> None:
        """Put drained usage back, after it could not be reported."""
        for key, delta in drained.items():
            newer = self._unreported.get(key, UsageDelta())
            self._unreported[key] = UsageDelta(
                delta.busy_seconds + newer.busy_seconds, delta.segments + newer.segments
            )

    def merge(self, usages: Iterable[SharedUsage]) -> None:
        """Apply what all workers have sent, and add what this worker has not reported yet.

        Counts never decrease within a day: Redis may have lost its data.
        """
        now = self.clock()
        for shared in usages:
            if shared.last_used > self.used.get(shared.sender, 0.0):
                self.used[shared.sender] = shared.last_used
            limit = self._limit_of.get(shared.sender)
            if limit is None:
                continue
            usage = self._usage(shared.sender, limit)
            delta = self._unreported.get(shared.sender, UsageDelta())
            usage.busy_until = max(usage.busy_until, shared.busy_until + delta.busy_seconds)
            if shared.day == usage.day:
                usage.segments = max(usage.segments, shared.segments + delta.segments)
            self._update_state(shared.sender, usage, now)

    @property
    def day_offset(self) -> int:
        """Seconds after midnight UTC at which a day of the caps begins now."""
        return -_pacific_offset(int(self._calendar() // _QUARTER_HOUR))

    def _day(self) -> int:
        return int((self._calendar() - self.day_offset) // SECONDS_PER_DAY)

    def _find_limit(self, key: str, sender: Sender | None) -> SenderLimit | None:
        limit = self._limit_of.get(key)
        if limit is None and sender is not None:
            limit = self.limits.limit_for(sender)
            if limit is not None:
                self._limit_of[key] = limit
        return limit

    def _usage(self, key: str, limit: SenderLimit) -> _Usage:
        """Return the usage of a sender, with the segments of today."""
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

    def _update_state(self, key: str, usage: _Usage, now: float) -> None:
        self._update_over_rate(key, usage, now)
        limit = usage.limit
        if limit.per_day is not None and usage.segments >= limit.per_day:
            self._capped[key] = f"at its daily cap: {limit.per_day} segments"

    def _update_over_rate(self, key: str, usage: _Usage, now: float) -> None:
        rate, within_rate_at = usage.limit.per_second, usage.busy_until - usage.limit.burst
        if rate and within_rate_at > now and key not in self._over_rate:
            self._over_rate[key] = f"over its rate: {rate:g} MPS"
            heappush(self._recheck, (within_rate_at, key))


@lru_cache(maxsize=2)
def _pacific_offset(quarter_hour: int) -> int:
    """Return Pacific time minus UTC in seconds, at a quarter of an hour since the epoch."""
    offset = datetime.fromtimestamp(quarter_hour * _QUARTER_HOUR, _PACIFIC).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
