"""Taking a sender out of use for a while, and putting it back: what ``senders cordon / release`` do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import typer

from sms_router.cli.context import settings_for_command, store_client
from sms_router.cli.output import CommandError
from sms_router.cli.senders.pools import known_snapshots
from sms_router.cli.times import parse_duration
from sms_router.cli.twilio_access import print_line
from sms_router.membership import audit_log as journal
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.sync.cordon_sync import release_cordon, store_cordon, stored_cordons
from sms_router.senders.cordons import Cordon, parse_reason
from sms_router.senders.models import Sender
from sms_router.store.server_clock import server_time

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LONGEST = timedelta(days=3660)


def parse_end(span: str | None, until: str | None, now: float) -> float | None:
    """Return when a cordon ends, in seconds since the epoch: after a span, or at a time (UTC).

    Raises:
        typer.BadParameter: when both are given, neither is understood, or it has passed.

    """
    if span is not None and until is not None:
        raise typer.BadParameter("give --for or --until, not both")
    if span is not None:
        return now + parse_duration(span, "--for") / 1000
    if until is None:
        return None
    end = _time_of(until.strip(), datetime.fromtimestamp(now, UTC))
    if end <= datetime.fromtimestamp(now, UTC):
        raise typer.BadParameter(f"--until {until} has passed")
    if end - datetime.fromtimestamp(now, UTC) > _LONGEST:
        raise typer.BadParameter("--until is more than ten years away; without it, it holds until released")
    return end.timestamp()


def _time_of(text: str, now: datetime) -> datetime:
    if found := _CLOCK.fullmatch(text):
        end = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        return end if end > now else end + timedelta(days=1)
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            "--until is a time like 14:05 or 2026-03-01T12:00:00Z; UTC without a zone"
        ) from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def reason_of(text: str) -> str:
    """Return a reason as one line.

    Raises:
        typer.BadParameter: when it is empty or too long.

    """
    try:
        return parse_reason(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def cordon_sender(
    named: str, reason: str, span: str | None, until: str | None, service: str | None
) -> tuple[Cordon, str]:
    """Take a sender out of use everywhere, and return the cordon with its words."""
    settings = settings_for_command()
    parse_end(span, until, datetime.now(UTC).timestamp())
    sender, service_sid = _find(known_snapshots(settings), named, service)
    with store_client(settings) as client:
        now = server_time(client)
        end = parse_end(span, until, now)
        cordon = Cordon(sender.sid, sender.address, service_sid, reason, now, end, journal.current_operator())
        store_cordon(client, cordon)
        words = cordon.describe(now)
        journal.record(client, service_sid, "cordon", sender.sid, f"{sender.address}: {words}")
    return cordon, words


def release_sender(named: str) -> Cordon:
    """Put a sender into use again everywhere.

    Raises:
        CommandError: when it is not cordoned.

    """
    settings = settings_for_command()
    with store_client(settings) as client:
        now = server_time(client)
        found = [each for each in stored_cordons(client, now) if named in (each.sid, each.address)]
        if not found:
            raise CommandError(f"{named} is not cordoned.", "Look at what is: sms-router senders")
        if len(found) > 1:
            raise _ambiguous(named, (each.sid for each in found))
        (cordon,) = found
        release_cordon(client, cordon, now)
        journal.record(client, cordon.service_sid, "release", cordon.sid, cordon.address)
    return cordon


def print_cordon(cordon: Cordon, words: str) -> None:
    """Say what was done, and how to undo it."""
    print_line(f"{cordon.address} ({cordon.sid}) is {words}. Every router knows it within a second.")
    if cordon.until is None:
        print_line(f"Put it back: sms-router senders release {cordon.sid}")


def _find(snapshots: Iterable[Snapshot], named: str, service: str | None) -> tuple[Sender, str]:
    found = [
        (sender, snapshot.service_sid)
        for snapshot in snapshots
        if service in (None, snapshot.service_sid)
        for sender in snapshot.senders
        if named in (sender.sid, sender.address)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(named, (sender.sid for sender, _ in found))
    raise CommandError(
        f"No Messaging Service of the router's has a sender {named}.",
        "Look at what there is: sms-router senders",
    )


def _ambiguous(named: str, sids: Iterable[str]) -> CommandError:
    return CommandError(f"{named} is ambiguous; name it by its sid: {', '.join(sids)}.", code=2)
