"""What is known of one person, for ``explain``: as kept by the routers, at any moment."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

import typer

from app.cli.situation import anything_stored, store_client
from app.routing.opt_out_list import OptOutList
from app.routing.person import UNKNOWN, Person
from app.senders.carriers import ErrorTable, load_error_table
from app.senders.conditions import Conditions
from app.senders.decision import Decision
from app.senders.pool import Pool
from app.senders.reachability import Belief
from app.senders.request import Facts, Request
from app.senders.selection import select
from app.senders.sender import SenderKind
from app.settings import Settings

_FROM_NOW = re.compile(r"([+-])(\d{1,4})([mhd])")
_UNITS = {"m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """A person at a moment."""

    person: Person
    table: ErrorTable
    moment: int
    """Milliseconds since the epoch."""

    @property
    def facts(self) -> Facts:
        """What the selection is told."""
        return self.person.facts(self.table, self.moment)

    @property
    def beliefs(self) -> tuple[Belief, ...]:
        """Which senders are taken not to reach this person."""
        return self.person.beliefs(self.table, self.moment)


@dataclass(frozen=True, slots=True)
class Failing:
    """What would come of it if the short code that answers did not reach the person."""

    address: str
    instead: Decision

    def __str__(self) -> str:
        """Say it in one line."""
        taken = next((line.reason for line in self.instead.trail if line.taken), "no number is left")
        return f"{self.instead.address or 'nothing'}: {taken}"


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


def if_it_failed(
    pool: Pool | None, request: Request, facts: Facts, conditions: Conditions, decision: Decision
) -> Failing | None:
    """Choose once more without the short code that was chosen; None when none was."""
    if decision.sender is None or decision.sender.kind is not SenderKind.SHORT_CODE:
        return None
    without = replace(facts, unreachable=facts.unreachable | {decision.sender.address})
    return Failing(decision.sender.address, select(pool, request, without, conditions))


def lines_about(known: Acquaintance) -> Iterator[str]:
    """Say in words what is known."""
    person = known.person
    if person.opted_out is not None and known.facts.opted_out:
        yield f"on the opt-out list since {_when(person.opted_out.since)} ({person.opted_out.source})"
    for each in known.beliefs:
        yield (
            f"{each.address} is believed not to reach them since {_when(each.since)}, until "
            f"{_when(each.until)} (error {each.code}, failures: {each.times}); then it is tried again"
        )
    believed = {each.address for each in known.beliefs}
    for address, failures in person.failures.items():
        if address not in believed and failures:
            yield f"{address} failed at {_when(failures[0].at)} (error {failures[0].code}); it is tried again"
    if person.last_sender is not None:
        yield f"last heard from {person.last_sender}"


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


def _when(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
