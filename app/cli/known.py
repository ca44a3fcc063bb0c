"""What is known of one person, for ``explain``: as kept by the routers, at any moment."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, tzinfo

import typer

from app.cli.situation import anything_stored, store_client
from app.routing.acquaintance import Acquaintance
from app.routing.opt_out_list import OptOutList
from app.routing.person import UNKNOWN
from app.senders.carriers import load_error_table
from app.settings import Settings

_FROM_NOW = re.compile(r"([+-])(\d{1,4})([mhd])")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}


def moment(value: str | None, zone: tzinfo = UTC) -> int:
    """Read a time as milliseconds since the epoch: ISO 8601, in ``zone`` unless it names one, or +3d, -12h.

    Raises:
        typer.BadParameter: when it is neither.

    """
    now = time.time()
    if value is None:
        return int(now * 1000)
    if found := _FROM_NOW.fullmatch(value):
        sign, count, unit = found.groups()
        return int((now + int(f"{sign}{count}") * _UNITS[unit]) * 1000)
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter("a time like 2026-03-01T12:00:00Z, or +3d, -12h, +30m") from error
    if not 1970 < read.year < 9999:
        raise typer.BadParameter("a time between 1971 and 9998")
    return int((read if read.tzinfo else read.replace(tzinfo=zone)).timestamp() * 1000)


def get_acquainted(settings: Settings, scope: str, number: str, at: int) -> Acquaintance:
    """Look up what the routers know of a person; nothing before the first start."""
    table = load_error_table(settings.folder)
    person = UNKNOWN
    if anything_stored(settings):
        with store_client(settings) as client:
            person = OptOutList(client, table.longest).person(scope, number)
    return Acquaintance(person, table, at)


def as_json(known: Acquaintance) -> dict[str, object]:
    """Return what is known, for programs; times are ISO 8601."""
    person = known.person
    listed = person.opted_out if known.facts.opted_out else None
    return {
        "as_of": _iso(known.moment),
        "opted_out": {"since": _iso(listed.since), "source": listed.source} if listed else None,
        "unreachable": [
            {
                "sender": each.address,
                "code": each.code,
                "times": each.times,
                "since": _iso(each.since),
                "until": _iso(each.until),
            }
            for each in known.beliefs
        ],
        "last_sender": person.last_sender,
    }


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
