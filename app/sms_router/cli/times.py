"""Spans and moments as people type them (``30m``, ``2h``, ``3d``, or a time), and as programs read them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, tzinfo

import typer

_SPAN = re.compile(r"(\d{1,5})([mhd])", re.ASCII)
_FROM_NOW = re.compile(r"([+-])(\d{1,4})([mhd])", re.ASCII)
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration(span: str, option: str) -> int:
    """Read a span as milliseconds.

    Raises:
        typer.BadParameter: when it is not one.

    """
    found = _SPAN.fullmatch(span.strip())
    if found is None or not int(found[1]):
        raise typer.BadParameter(f"{option} is a span like 30m, 2h or 3d")
    return int(found[1]) * _UNITS[found[2]]


def parse_since(value: str | None, now: float) -> int:
    """Read ``--since`` as milliseconds since the epoch; 0 for None.

    It is a span before ``now`` (in seconds), or a time in ISO 8601.

    Raises:
        typer.BadParameter: when it is neither.

    """
    if value is None:
        return 0
    if _SPAN.fullmatch(value.strip()):
        return int(now * 1000) - parse_duration(value, "--since")
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter("--since is a span like 2h, or a time like 2026-03-01T12:00") from error
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_time(value: str | None, zone: tzinfo = UTC) -> int:
    """Read a time as milliseconds since the epoch: ISO 8601, in ``zone`` unless it names one, or +3d, -12h.

    Raises:
        typer.BadParameter: when it is neither.

    """
    now = int(time.time() * 1000)
    if value is None:
        return now
    if found := _FROM_NOW.fullmatch(value):
        sign, count, unit = found.groups()
        return now + int(f"{sign}{count}") * _UNITS[unit]
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter("a time like 2026-03-01T12:00:00Z, or +3d, -12h, +30m") from error
    if not 1970 < read.year < 9999:
        raise typer.BadParameter("a time between 1971 and 9998")
    return int((read if read.tzinfo else read.replace(tzinfo=zone)).timestamp() * 1000)


def iso(at: float) -> str:
    """Return seconds since the epoch as ISO 8601, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
