"""``sms-router membership``: what is known of the Messaging Services, and who has changed them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from sms_router.cli.context import has_store, settings_for_command, store_client, store_url
from sms_router.cli.output import AsJson, CommandError, print_json, print_table, stderr
from sms_router.cli.senders.pools import known_snapshots
from sms_router.cli.times import iso
from sms_router.cli.twilio_access import (
    OfService,
    ServiceAccess,
    api_error,
    operation,
    operation_on,
    print_line,
    read_everywhere,
)
from sms_router.config.settings import Settings
from sms_router.membership import audit_log as journal
from sms_router.membership.audit_log import AuditEntry
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_diff import SnapshotChange, diff_snapshots
from sms_router.membership.snapshot_store import SharedStateError, stored_snapshot
from sms_router.membership.source import PoolReadError

membership = typer.Typer(help="What is known of the Messaging Services.", no_args_is_help=True)


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(membership, name="membership")


@membership.command("show")
def show(as_json: AsJson = False) -> None:
    """Show each Messaging Service as it was last read from Twilio, and when."""
    snapshots = known_snapshots(settings_for_command())
    if as_json:
        print_json([_service(snapshot) for snapshot in snapshots])
        return
    for snapshot in snapshots:
        print_table(("Messaging Service", snapshot.service_sid), _in_words(snapshot))


@membership.command("refresh")
def refresh(service: OfService = None, as_json: AsJson = False) -> None:
    """Read the Services from Twilio now, and hand the result to every router."""
    settings = settings_for_command()
    read = [_read_again(each) for each in _operations(settings, service)]
    if as_json:
        print_json([_refreshed(before, after) for before, after in read])
        return
    for before, after in read:
        _tell_refresh(before, after)


@membership.command("diff")
def diff(service: OfService = None, as_json: AsJson = False) -> None:
    """Show what has changed at Twilio since the routers last read it.

    Exits with 1 when something has.
    """
    at = operation(service)
    before = _stored(at)
    if before is None:
        raise CommandError(f"Nothing is stored about {at.service_sid}.", "sms-router membership refresh")
    found = diff_snapshots(before, _at_twilio(at))
    if as_json:
        print_json([_as_json(each) for each in found])
    elif found:
        _print_differences(found)
    else:
        print_line(f"{at.service_sid}: Twilio has what the routers know.")
    if found:
        raise typer.Exit(1)


@membership.command("history")
def history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at the most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show who has changed what with these commands, at Twilio and here, the newest first."""
    settings = settings_for_command()
    changes: list[AuditEntry] = []
    if has_store(settings):
        with store_client(settings) as client:
            changes = journal.recent(client, limit)
    if as_json:
        print_json([{"when": iso(each.at), **_change(each)} for each in changes])
        return
    if not changes:
        print_line("Nobody has changed anything with these commands yet.")
        return
    rows = [
        (
            iso(each.at)[:19].replace("T", " "),
            each.who,
            f"{each.action} {each.detail}",
            each.outcome.value,
        )
        for each in changes
    ]
    print_table(("when (UTC)", "who", "what", "outcome"), rows)


def _operations(settings: Settings, service: str | None) -> list[ServiceAccess]:
    if service is not None or not settings.services:
        return [operation(service)]
    return [operation_on(settings, each.sid) for each in settings.services]


def _read_again(at: ServiceAccess) -> tuple[Snapshot | None, Snapshot]:
    try:
        with store_url(at.settings) as url, stderr.status(f"Reading {at.service_sid} from Twilio ..."):
            return _stored(at), read_everywhere(at, url)
    except PoolReadError as error:
        raise api_error(at.settings, error) from error
    except SharedStateError as error:
        raise CommandError(f"{error}.", "Set REDIS_URL, or start yours.") from error


def _at_twilio(at: ServiceAccess) -> Snapshot:
    try:
        with stderr.status(f"Reading {at.service_sid} from Twilio ..."):
            return at.source.read(time.time())
    except PoolReadError as error:
        raise api_error(at.settings, error) from error


def _stored(at: ServiceAccess) -> Snapshot | None:
    if not has_store(at.settings):
        return None
    with store_client(at.settings) as client:
        return stored_snapshot(client, at.service_sid)


def _refreshed(before: Snapshot | None, after: Snapshot) -> dict[str, object]:
    found = diff_snapshots(before, after) if before else ()
    return {
        "service": after.service_sid,
        "version": after.version,
        "senders": len(after.senders),
        "changes": [_as_json(each) for each in found],
    }


def _tell_refresh(before: Snapshot | None, after: Snapshot) -> None:
    found = diff_snapshots(before, after) if before else ()
    news = "for the first time" if before is None else "something has changed" if found else "nothing is new"
    print_line(f"{after.service_sid}: {len(after.senders)} senders, version {after.version}: {news}.")
    if found:
        _print_differences(found)


def _print_differences(found: tuple[SnapshotChange, ...]) -> None:
    rows = [(each.subject, each.what, each.before, each.after) for each in found]
    print_table(("of", "what", "was", "is"), rows)


def _as_json(found: SnapshotChange) -> dict[str, str]:
    return {"of": found.subject, "what": found.what, "was": found.before, "is": found.after}


def _change(each: AuditEntry) -> dict[str, str]:
    return {
        "who": each.who,
        "service": each.service_sid,
        "action": each.action,
        "subject": each.subject,
        "detail": each.detail,
        "outcome": each.outcome.value,
    }


def _service(snapshot: Snapshot) -> dict[str, object]:
    """Return a Service as programs read it; ``age`` is in seconds."""
    settings = snapshot.settings
    return {
        "service": snapshot.service_sid,
        "name": settings.friendly_name,
        "senders": len(snapshot.senders),
        "version": snapshot.version,
        "read": iso(snapshot.read_at),
        "age": _age(snapshot),
        "inbound_request_url": settings.inbound_request_url or None,
        "fallback_url": settings.fallback_url or None,
        "status_callback": settings.status_callback or None,
        "use_inbound_webhook_on_number": settings.use_inbound_webhook_on_number,
    }


def _in_words(snapshot: Snapshot) -> list[tuple[str, str]]:
    settings = snapshot.settings
    return [
        ("name", settings.friendly_name),
        ("senders", str(len(snapshot.senders))),
        ("version", str(snapshot.version)),
        ("read", iso(snapshot.read_at)),
        ("age", f"{_age(snapshot)} s"),
        ("inbound URL", settings.inbound_request_url or "none"),
        ("fallback URL", settings.fallback_url or "none"),
        ("status callback", settings.status_callback or "none"),
        ("webhook of", "each number" if settings.use_inbound_webhook_on_number else "the Service"),
    ]


def _age(snapshot: Snapshot) -> int:
    return round(max(0.0, time.time() - snapshot.read_at))
