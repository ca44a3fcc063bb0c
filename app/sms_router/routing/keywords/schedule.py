"""When a rule applies: windows of the week, and dates, in the time zone of its Service."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

DAY = 24 * 60
WEEK = 7 * DAY
"""Minutes. A minute is counted from a Monday, 00:00, long ago: its rest by `WEEK` is that of the week."""

_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {name: day for day, full_name in enumerate(_DAY_NAMES) for name in (full_name, full_name[:3])}
_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")

Span = tuple[int, int]
"""The first minute of the week that belongs to the span, and the first one after it."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of the week, between two dates; no spans mean always."""

    spans: tuple[Span, ...] = ()
    """In order, with a gap between each two."""
    description: str = field(default="", compare=False)
    """The windows in words: "mon-fri 09:00-17:00"."""
    opens: int | None = None
    """The first minute; None for no beginning."""
    closes: int | None = None
    """The first minute after the end; None for no end."""

    @classmethod
    def of(cls, windows: Sequence[Schedule]) -> Schedule:
        is_always = any(not window.spans for window in windows)
        spans = () if is_always else _merge(span for window in windows for span in window.spans)
        return cls(spans, ", ".join(window.description for window in windows))

    @classmethod
    def window(cls, days: Sequence[str], start: str, end: str) -> Schedule:
        """Parse one window of ``keywords.toml``.

        A window whose end is before its start continues after midnight and belongs to the day on
        which it starts.

        Args:
            days: like "mon" or "mon-fri"; none means every day.
            start: a time from "00:00" to "23:59".
            end: a time from "00:00" to "24:00".

        Raises:
            ValueError: if a value is invalid; the text names the key and the format.

        """
        first, last = _minutes("from", start), _minutes("to", end)
        if first in (DAY, last):
            raise ValueError(f'from "{start}" to "{end}" is an empty window; omit both for whole days')
        numbers = sorted({day for text in days for day in _parse_days(text)}) if days else range(7)
        length = (last - first) % DAY or DAY
        spans = _merge(span for day in numbers for span in _in_week(day * DAY + first, length))
        day_names = "/".join(days).lower() if days else "every day"
        return cls(spans, f"{day_names} {start}-{end}")

    def between(self, opens: DateLike | None, closes: DateLike | None) -> Schedule:
        """Return the schedule restricted to the time between two dates; a date ends with its last minute.

        Raises:
            ValueError: if a date is invalid, or the end is not after the beginning; the text names the key.

        """
        if opens is None and closes is None:
            return self
        first = None if opens is None else _date_minute("opens", opens, is_end=False)
        last = None if closes is None else _date_minute("closes", closes, is_end=True)
        if first is not None and last is not None and last <= first:
            raise ValueError(f"closes: {closes} is not after opens: {opens}")
        dates = [f"from {opens}"] * (opens is not None) + [f"to {closes}"] * (closes is not None)
        return Schedule(self.spans, ", ".join(filter(None, (self.description, " ".join(dates)))), first, last)

    def __bool__(self) -> bool:
        return bool(self.spans) or self.opens is not None or self.closes is not None

    @property
    def example(self) -> int | None:
        """A minute at which it begins; None where it does not restrict anything."""
        if self.opens is not None:
            return self.opens
        return self.spans[0][0] if self.spans else None

    def admits(self, minute: int) -> bool:
        """Return whether a minute lies between the dates, and in a span."""
        if not (self.opens or 0) <= minute or (self.closes is not None and minute >= self.closes):
            return False
        minute %= WEEK
        place = bisect_right(self.spans, (minute, WEEK)) - 1
        return not self.spans or (place >= 0 and minute < self.spans[place][1])

    def covers(self, other: Schedule) -> bool:
        """Return whether this schedule admits every minute that the other one admits."""
        if self.opens is not None and (other.opens is None or other.opens < self.opens):
            return False
        if self.closes is not None and (other.closes is None or other.closes > self.closes):
            return False
        return not self.spans or all(
            any(first <= start and end <= last for first, last in self.spans)
            for start, end in other.spans or ((0, WEEK),)
        )

    def overlaps(self, other: Schedule) -> bool:
        for one, two in ((self, other), (other, self)):
            if one.closes is not None and two.opens is not None and one.closes <= two.opens:
                return False
        if not self.spans or not other.spans:
            return True
        return any(start < last and first < end for start, end in self.spans for first, last in other.spans)

    def __str__(self) -> str:
        return self.description


ALWAYS = Schedule()

DateLike = str | date | datetime
"""``2026-12-24``, or ``2026-12-24 18:00``."""


def minute_of(local: datetime) -> int:
    """Return the minute of a local time; its zone does not matter."""
    return (local.toordinal() - 1) * DAY + local.hour * 60 + local.minute  # day 1 was a Monday


def _date_minute(key: str, value: DateLike, *, is_end: bool) -> int:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, date) or (isinstance(moment, datetime) and moment.tzinfo is not None):
        raise ValueError(f'{key}: {value} should be a local date like "2026-12-24", or "2026-12-24 18:00"')
    is_day = len(value) == len("2026-12-24") if isinstance(value, str) else not isinstance(value, datetime)
    if is_day or not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    return minute_of(moment) + (DAY if is_day and is_end else 0)


def _minutes(key: str, text: str) -> int:
    time = _TIME.fullmatch(text)
    minutes = int(time[1]) * 60 + int(time[2]) if time else WEEK
    if minutes > DAY:
        raise ValueError(f'{key}: "{text}" should be a time from "00:00" to "24:00"')
    return minutes


def _parse_days(text: str) -> Iterator[int]:
    first, dash, last = text.strip().lower().partition("-")
    if first not in _DAYS or (dash and last not in _DAYS):
        raise ValueError(f'days: "{text}" should be a day like "mon", or several like "mon-fri"')
    day, end = _DAYS[first], _DAYS[last or first]
    yield day
    while day != end:
        day = (day + 1) % 7
        yield day


def _in_week(start: int, length: int) -> Iterator[Span]:
    """Yield a span; one that goes beyond the end of the week continues at its beginning."""
    end = start + length
    yield start, min(end, WEEK)
    if end > WEEK:
        yield 0, end - WEEK


def _merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in order, with those that overlap or touch as one."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return tuple(merged)


class Timetable:
    """The minutes at which some rule starts or stops to apply: in each week, and once.

    Between two of them nothing changes: what a lookup returns at one minute is valid at all others, so
    that lookups can be cached by the minute that `transition_before` returns.
    """

    def __init__(self, schedules: Iterable[Schedule]) -> None:
        schedules = tuple(schedules)
        edges = {edge for schedule in schedules for span in schedule.spans for edge in span}
        self._transitions = sorted({0} | edges)
        dates = {edge for schedule in schedules for edge in (schedule.opens, schedule.closes)} - {None}
        self._dates = [0, *sorted(edge for edge in dates if edge is not None)]
        self._is_weekly = bool(edges)

    def __bool__(self) -> bool:
        return self._is_weekly or len(self._dates) > 1

    def transition_before(self, minute: int) -> int:
        """Return the last transition at or before a minute."""
        day = self._dates[bisect_right(self._dates, minute) - 1]
        if not self._is_weekly:
            return day
        in_week = minute % WEEK
        transition = self._transitions[bisect_right(self._transitions, in_week) - 1]
        return max(day, minute - in_week + transition)


class TimeZones:
    """The time zones of the Services, by IANA names; ``default`` is that of Services that are not named."""

    def __init__(self, default: str = "UTC", by_service: Mapping[str, str] | None = None) -> None:
        self._default = ZoneInfo(default)
        self._by_service = {sid: ZoneInfo(name) for sid, name in (by_service or {}).items()}

    def minute_at(self, service_sid: str | None, timestamp: float) -> int:
        """Return the minute at a Service; ``timestamp`` is in seconds since the epoch.

        It is local time: an hour that summer time skips has no minutes, one that it repeats has them
        twice.
        """
        return minute_of(self.local_time(service_sid, timestamp))

    def local_time(self, service_sid: str | None, timestamp: float) -> datetime:
        """Return the time at a Service; ``timestamp`` is in seconds since the epoch."""
        return datetime.fromtimestamp(timestamp, self.zone_of(service_sid))

    def zone_of(self, service_sid: str | None) -> ZoneInfo:
        return self._by_service.get(service_sid or "", self._default)
