"""Quiet hours: when messages that are no replies wait, in the contact's local time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from sms_router.routing.keywords.schedule import TimeZones

MAX_ZONES = 3
"""A number that may be in more zones, such as a toll-free one, does not tell where its contact is."""

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def parse_window(text: str) -> tuple[int, int] | None:
    """Return the first minute of the day that is quiet, and the first one after it; None for "".

    Raises:
        ValueError: when the text is no window.

    """
    if not text:
        return None
    match = _WINDOW.fullmatch(text)
    hour, minute, end_hour, end_minute = map(int, match.groups()) if match is not None else (0, 0, 0, 0)
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if start == end:
        raise ValueError('must be two times, like "21:00-08:00", or empty')
    return start, end


class QuietHours:
    """The quiet hours of the Services.

    Args:
        default: the window of every Service that is not named, as "21:00-08:00"; "" for none.
        by_service: windows by Service sid.
        zones: of the Services, for contacts whose number does not tell theirs.

    """

    def __init__(self, default: str, by_service: Mapping[str, str], zones: TimeZones) -> None:
        self._default = parse_window(default)
        self._by_service = {sid: parse_window(text) for sid, text in by_service.items()}
        self._zones = zones

    def end(self, service: str, contact: str, moment: float) -> float:
        """Return the first moment from this one on that is not quiet, in seconds since the epoch.

        Where a number may be in several zones, it is quiet in none of them.
        """
        if (window := self._by_service.get(service, self._default)) is None:
            return moment
        zones = _zones_of(contact.rpartition(":")[2]) or (self._zones.zone_of(service),)
        for _ in range(2 * len(zones)):
            moment = max(_end_in(zone, window, moment) for zone in zones)
        return moment


def _end_in(zone: ZoneInfo, window: tuple[int, int], moment: float) -> float:
    start, end = window
    local = datetime.fromtimestamp(moment, zone)
    minute = local.hour * 60 + local.minute
    is_quiet = start <= minute < end if start < end else minute >= start or minute < end
    if not is_quiet:
        return moment
    opens = local.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
    return (opens if end > minute else opens + timedelta(days=1)).timestamp()


@lru_cache(maxsize=4096)
def _zones_of(number: str) -> tuple[ZoneInfo, ...]:
    """Return the time zones of a number; none where it has too many, or none."""
    import phonenumbers.timezone  # noqa: PLC0415 - its data takes memory

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ()
    names = phonenumbers.timezone.time_zones_for_number(parsed)
    is_known = len(names) <= MAX_ZONES and names != (phonenumbers.timezone.UNKNOWN_TIMEZONE,)
    return tuple(ZoneInfo(name) for name in names) if is_known else ()
