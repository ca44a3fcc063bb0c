"""When a rule holds: windows of the week, by the clock on the wall where its Service is."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

DAY = 24 * 60
WEEK = 7 * DAY
"""Minutes. A moment of the week is counted from Monday, 00:00."""

_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = {name: day for day, long in enumerate(_NAMES) for name in (long, long[:3])}
_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")

Span = tuple[int, int]
"""From one minute of the week up to, but without, another."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Some spans of the week; none at all means always."""

    spans: tuple[Span, ...] = ()
    """In order, with a gap between each two."""
    told: str = field(default="", compare=False)
    """The windows in words for people."""

    @classmethod
    def of(cls, windows: Sequence[Schedule]) -> Schedule:
        """Put several windows together."""
        spans = sorted(span for window in windows for span in window.spans)
        return cls(tuple(_joined(spans)), ", ".join(window.told for window in windows))

    @classmethod
    def window(cls, days: Sequence[str], begins: str, ends: str) -> Schedule:
        """Read one window as ``keywords.toml`` writes it.

        ``days`` are like "mon" or "mon-fri", none means every day. A window that ends before it
        begins goes on over midnight, and belongs to the day on which it begins.

        Raises:
            ValueError: naming the key and what would be right.

        """
        first, last = _minutes("from", begins), _minutes("to", ends)
        if first in (DAY, last):
            raise ValueError(f'from "{begins}" to "{ends}" is no time at all; leave both out for whole days')
        chosen = sorted({day for written in days for day in _days(written)}) if days else range(7)
        length = (last - first) % DAY or DAY
        spans = [span for day in chosen for span in _in_week(day * DAY + first, length)]
        which = "/".join(days).lower() if days else "every day"
        return cls(tuple(_joined(sorted(spans))), f"{which} {begins}-{ends}")

    def __bool__(self) -> bool:
        """Say whether anything is restricted."""
        return bool(self.spans)

    def admit(self, minute: int) -> bool:
        """Say whether a minute of the week lies in a span."""
        place = bisect_right(self.spans, (minute, WEEK)) - 1
        return place >= 0 and minute < self.spans[place][1]

    def cover(self, other: Schedule) -> bool:
        """Say whether every minute of the other lies in these."""
        return not self.spans or all(
            any(first <= begins and ends <= last for first, last in self.spans)
            for begins, ends in other.spans or ((0, WEEK),)
        )

    def overlap(self, other: Schedule) -> bool:
        """Say whether some minute lies in both."""
        if not self.spans or not other.spans:
            return True
        return any(
            begins < last and first < ends for begins, ends in self.spans for first, last in other.spans
        )

    def __str__(self) -> str:
        """Name the windows."""
        return self.told


ALWAYS = Schedule()


def _minutes(key: str, written: str) -> int:
    found = _TIME.fullmatch(written)
    minutes = int(found[1]) * 60 + int(found[2]) if found else WEEK
    if minutes > DAY:
        raise ValueError(f'{key}: "{written}" should be a time from "00:00" to "24:00"')
    return minutes


def _days(written: str) -> Iterator[int]:
    first, dash, last = written.strip().lower().partition("-")
    if first not in _DAYS or (dash and last not in _DAYS):
        raise ValueError(f'days: "{written}" should be a day like "mon", or some like "mon-fri"')
    day, end = _DAYS[first], _DAYS[last or first]
    yield day
    while day != end:
        day = (day + 1) % 7
        yield day


def _in_week(begins: int, length: int) -> Iterator[Span]:
    """Yield a span, cut where the week ends."""
    ends = begins + length
    yield begins, min(ends, WEEK)
    if ends > WEEK:
        yield 0, ends - WEEK


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield ordered spans without overlaps."""
    begun: Span | None = None
    for first, last in spans:
        if begun is not None and first <= begun[1]:
            begun = begun[0], max(begun[1], last)
            continue
        if begun is not None:
            yield begun
        begun = first, last
    if begun is not None:
        yield begun


class Timetable:
    """The minutes of the week at which some rule begins or ceases to hold.

    Between two of them nothing changes, so that one minute stands for all, and what was found at
    one is right at the others.
    """

    def __init__(self, hours: Iterable[Schedule]) -> None:
        """Take the hours of every rule."""
        edges = {edge for each in hours for span in each.spans for edge in span}
        self._turns = sorted({0} | edges) if edges else []

    def __bool__(self) -> bool:
        """Say whether time matters at all."""
        return bool(self._turns)

    def transition_before(self, minute: int) -> int:
        """Return the minute that stands for this one."""
        return self._turns[bisect_right(self._turns, minute) - 1]


class TimeZones:
    """The time zones of the Services."""

    def __init__(self, everywhere: str = "UTC", of_services: Mapping[str, str] | None = None) -> None:
        """Take names of the IANA database: of every other Service, and by Service sid."""
        self._everywhere = ZoneInfo(everywhere)
        self._of_services = {sid: ZoneInfo(name) for sid, name in (of_services or {}).items()}

    def minute(self, service_sid: str | None, moment: float) -> int:
        """Return the minute of the week at a Service; ``moment`` is in seconds since the epoch.

        It is the clock on the wall: an hour that summer time skips has no minutes, and one that it
        repeats has them twice.
        """
        local = self.local(service_sid, moment)
        return local.weekday() * DAY + local.hour * 60 + local.minute

    def local(self, service_sid: str | None, moment: float) -> datetime:
        """Return the time at a Service."""
        return datetime.fromtimestamp(moment, self.of(service_sid))

    def of(self, service_sid: str | None) -> ZoneInfo:
        """Return the zone of a Service."""
        return self._of_services.get(service_sid or "", self._everywhere)
