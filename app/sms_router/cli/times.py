"""Durations and times as options (``30m``, ``2h``, ``3d``, ISO 8601), and times for people.

People read and write times in the zone of their machine (TZ), or in UTC with ``--utc``; JSON has UTC.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, tzinfo

import typer

_DURATION = re.compile(r"(\d{1,5})([mhd])", re.ASCII)
_FROM_NOW = re.compile(r"([+-])(\d{1,4})([mhd])", re.ASCII)
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class _ShownTimes:
    """The zone in which times are read and shown; None: that of the machine."""

    zone: tzinfo | None = None


shown_times = _ShownTimes()


def format_time(at: float | None, timespec: str = "seconds") -> str:
    """Return a time in milliseconds since the epoch for people, with its zone."""
    if at is None:
        return "unknown"
    moment = datetime.fromtimestamp(at / 1000, UTC).astimezone(shown_times.zone)
    return f"{moment.replace(tzinfo=None).isoformat(' ', timespec)} {moment:%Z}"


def in_zone(moment: datetime) -> datetime:
    """Return a time in the zone that is shown; one without a zone is in that zone."""
    if moment.tzinfo is None and shown_times.zone is not None:
        return moment.replace(tzinfo=shown_times.zone)
    return moment.astimezone(shown_times.zone)


def parse_duration(value: str, option: str) -> int:
    """Parse a duration into milliseconds."""
    match = _DURATION.fullmatch(value.strip())
    if match is None or not int(match[1]):
        raise typer.BadParameter(f"{option} must be a duration like 30m, 2h or 3d")
    return int(match[1]) * _UNITS[match[2]]


def parse_since(value: str | None, now: float) -> int:
    """Parse ``--since`` into milliseconds since the epoch; 0 for None.

    It is a duration before ``now`` (in seconds), or a time in ISO 8601.
    """
    if value is None:
        return 0
    if _DURATION.fullmatch(value.strip()):
        return int(now * 1000) - parse_duration(value, "--since")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        message = "--since must be a duration like 2h, or a time like 2026-03-01T12:00"
        raise typer.BadParameter(message) from error
    return int(in_zone(moment).timestamp() * 1000)


def parse_time(value: str | None, zone: tzinfo | None = None) -> int:
    """Parse a time into milliseconds since the epoch; now for None.

    It is ISO 8601, in ``zone`` (default: the one that is shown) unless it names one, or relative to now like
    +3d and -12h.
    """
    now = int(time.time() * 1000)
    if value is None:
        return now
    if match := _FROM_NOW.fullmatch(value):
        sign, count, unit = match.groups()
        return now + int(f"{sign}{count}") * _UNITS[unit]
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        message = "must be a time like 2026-03-01T12:00:00Z, or relative like +3d, -12h, +30m"
        raise typer.BadParameter(message) from error
    if not 1970 < moment.year < 9999:
        raise typer.BadParameter("must be a time between 1971 and 9998")
    moment = in_zone(moment) if zone is None else moment.replace(tzinfo=moment.tzinfo or zone)
    return int(moment.timestamp() * 1000)


def iso(at: float) -> str:
    """Format seconds since the epoch as ISO 8601, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
