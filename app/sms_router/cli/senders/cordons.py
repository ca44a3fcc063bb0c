"""Cordons: take a sender out of use on every router for a while, and put it back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import CommandError, JsonOption, print_json, print_line
from sms_router.cli.senders.pools import known_snapshots
from sms_router.cli.store import store_client
from sms_router.cli.times import in_zone, iso, parse_duration
from sms_router.cli.twilio_access import ServiceOption
from sms_router.membership.audit_log import current_operator
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.sync.cordon_sync import release_cordon, store_cordon, stored_cordons
from sms_router.senders.cordons import Cordon, parse_reason
from sms_router.senders.models import Sender
from sms_router.store.server_clock import server_time
from sms_router.twilio.phone_numbers import InvalidNumberError, parse_address

SenderArgument = Annotated[str, Argument(metavar="SID", help="PN..., SC..., AI..., or the number.")]

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_MAX_DURATION = timedelta(days=3660)


def parse_end(duration: str | None, until: str | None, now: float) -> float | None:
    """Return the end of a cordon, in seconds since the epoch; None: until it is released."""
    if duration is not None and until is not None:
        raise typer.BadParameter("give either --for or --until")
    if duration is not None:
        return now + parse_duration(duration, "--for") / 1000
    if until is None:
        return None
    current = in_zone(datetime.fromtimestamp(now, UTC))
    end = _parse_until(until.strip(), current)
    if end <= current:
        raise typer.BadParameter(f"--until {until} has passed")
    if end - current > _MAX_DURATION:
        raise typer.BadParameter("--until is more than ten years away; leave it out to cordon without an end")
    return end.timestamp()


def _parse_until(text: str, now: datetime) -> datetime:
    if match := _TIME_OF_DAY.fullmatch(text):
        end = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        return end if end > now else end + timedelta(days=1)
    try:
        return in_zone(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("--until must be a time like 14:05 or 2026-03-01T12:00") from error


def reason_option(text: str) -> str:
    try:
        return parse_reason(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def cordon(
    sid: SenderArgument,
    reason: Annotated[
        str, Option("--reason", help="Shown in every selection trail.", callback=reason_option)
    ],
    duration: Annotated[str | None, Option("--for", metavar="SPAN", help="Duration: 30m, 2h, 3d.")] = None,
    until: Annotated[str | None, Option("--until", metavar="TIME", help="End: 14:05, or ISO 8601.")] = None,
    service: ServiceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a sender out of use on every router; nothing changes at Twilio.

    Replies leave from the next sender meanwhile. The cordon ends with --for or --until, else with
    senders release. A second cordon replaces the first.
    """
    settings = settings_for_command()
    parse_end(duration, until, datetime.now(UTC).timestamp())
    sender, service_sid = _find(known_snapshots(settings), _address_or_sid(sid), service)
    with store_client(settings) as client:
        now, operator = server_time(client), current_operator()
        end = parse_end(duration, until, now)
        stored = Cordon(sender.sid, sender.address, service_sid, reason, now, end, operator)
        store_cordon(client, stored)
    if as_json:
        print_json({"sid": stored.sid, "number": stored.address, "cordoned": cordon_as_json(stored)})
        return
    print_line(f"{stored.address} ({stored.sid}) is {stored.describe(now)}, on every router within a second.")
    if end is None:
        print_line(f"Put it back into use: sms-router senders release {stored.sid}")


def release(sid: SenderArgument) -> None:
    """Put a cordoned sender back into use on every router."""
    settings, name = settings_for_command(), _address_or_sid(sid)
    with store_client(settings) as client:
        now = server_time(client)
        matches = [cordon for cordon in stored_cordons(client, now) if name in (cordon.sid, cordon.address)]
        if not matches:
            raise CommandError(f"{name} is not cordoned.", "List the senders: sms-router senders")
        if len(matches) > 1:
            raise _ambiguous(name, (cordon.sid for cordon in matches))
        (released,) = matches
        release_cordon(client, released, now, current_operator())
    print_line(f"{released.address} ({released.sid}) is in use again, on every router within a second.")


def cordon_as_json(cordon: Cordon | None) -> dict[str, str | None] | None:
    if cordon is None:
        return None
    return {
        "reason": cordon.reason,
        "since": iso(cordon.since),
        "until": iso(cordon.until) if cordon.until is not None else None,
        "who": cordon.who,
    }


def _find(snapshots: Iterable[Snapshot], name: str, service: str | None) -> tuple[Sender, str]:
    matches = [
        (sender, snapshot.service_sid)
        for snapshot in snapshots
        if service in (None, snapshot.service_sid)
        for sender in snapshot.senders
        if name in (sender.sid, sender.address)
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise _ambiguous(name, (sender.sid for sender, _ in matches))
    raise CommandError(
        f"No configured Messaging Service has a sender {name}.", "List the senders: sms-router senders"
    )


def _address_or_sid(name: str) -> str:
    """Return a number in Twilio's form; the sid or the name of a sender as it is."""
    try:
        return parse_address(name)
    except InvalidNumberError:
        return name


def _ambiguous(name: str, sids: Iterable[str]) -> CommandError:
    return CommandError(f"{name} is ambiguous; use its sid: {', '.join(sids)}.", code=2)
