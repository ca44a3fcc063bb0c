"""Opening hours of a rule: windows of the week in the time zone of its Service."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

DAY = 24 * 60
WEEK = 7 * DAY
"""Minutes. A minute of the week is counted from Monday, 00:00."""

_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {name: day for day, full_name in enumerate(_DAY_NAMES) for name in (full_name, full_name[:3])}
_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")

Span = tuple[int, int]
"""The first minute of the week that belongs to the span, and the first one after it."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Spans of the week; no spans mean always."""

    spans: tuple[Span, ...] = ()
    """In order, with a gap between each two."""
    description: str = field(default="", compare=False)
    """The windows in words: "mon-fri 09:00-17:00"."""

    @classmethod
    def of(cls, windows: Sequence[Schedule]) -> Schedule:
        """Return the union of several windows."""
        spans = sorted(span for window in windows for span in window.spans)
        return cls(tuple(_merge(spans)), ", ".join(window.description for window in windows))

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
        spans = [span for day in numbers for span in _in_week(day * DAY + first, length)]
        day_names = "/".join(days).lower() if days else "every day"
        return cls(tuple(_merge(sorted(spans))), f"{day_names} {start}-{end}")

    def __bool__(self) -> bool:
        """Return whether the schedule restricts anything."""
        return bool(self.spans)

    def admits(self, minute: int) -> bool:
        """Return whether a minute of the week lies in a span."""
        place = bisect_right(self.spans, (minute, WEEK)) - 1
        return place >= 0 and minute < self.spans[place][1]

    def covers(self, other: Schedule) -> bool:
        """Return whether this schedule admits every minute that the other one admits."""
        return not self.spans or all(
            any(first <= start and end <= last for first, last in self.spans)
            for start, end in other.spans or ((0, WEEK),)
        )

    def overlaps(self, other: Schedule) -> bool:
        """Return whether some minute is admitted by both."""
        if not self.spans or not other.spans:
            return True
        return any(start < last and first < end for start, end in self.spans for first, last in other.spans)

    def __str__(self) -> str:
        return self.description


ALWAYS = Schedule()


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


def _merge(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield sorted spans, with those that overlap or touch as one."""
    current: Span | None = None
    for first, last in spans:
        if current is not None and first <= current[1]:
            current = current[0], max(current[1], last)
            continue
        if current is not None:
            yield current
        current = first, last
    if current is not None:
        yield current


class Timetable:
    """The minutes of the week at which some rule starts or stops to apply.

    Between two of them nothing changes: what a lookup returns at one minute is valid at all others, so
    that lookups can be cached by the minute that `transition_before` returns.
    """

    def __init__(self, schedules: Iterable[Schedule]) -> None:
        edges = {edge for schedule in schedules for span in schedule.spans for edge in span}
        self._transitions = sorted({0} | edges) if edges else []

    def __bool__(self) -> bool:
        """Return whether any rule has hours."""
        return bool(self._transitions)

    def transition_before(self, minute: int) -> int:
        """Return the last transition at or before a minute of the week."""
        return self._transitions[bisect_right(self._transitions, minute) - 1]


class TimeZones:
    """The time zones of the Services.

    Args:
        default: IANA name of the zone of every Service that is not named.
        by_service: IANA names by Service sid.

    """

    def __init__(self, default: str = "UTC", by_service: Mapping[str, str] | None = None) -> None:
        self._default = ZoneInfo(default)
        self._by_service = {sid: ZoneInfo(name) for sid, name in (by_service or {}).items()}

    def minute_of_week(self, service_sid: str | None, timestamp: float) -> int:
        """Return the minute of the week at a Service; ``timestamp`` is in seconds since the epoch.

        It is local time: an hour that summer time skips has no minutes, one that it repeats has them
        twice.
        """
        local = self.local_time(service_sid, timestamp)
        return local.weekday() * DAY + local.hour * 60 + local.minute

    def local_time(self, service_sid: str | None, timestamp: float) -> datetime:
        """Return the time at a Service; ``timestamp`` is in seconds since the epoch."""
        return datetime.fromtimestamp(timestamp, self.zone_of(service_sid))

    def zone_of(self, service_sid: str | None) -> ZoneInfo:
        return self._by_service.get(service_sid or "", self._default)
