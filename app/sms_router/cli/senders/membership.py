"""``sms-router membership``: the Sender Pools as read from Twilio, and the audit log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer
from typer import Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import CommandError, JsonOption, Noun, print_json, print_line, print_table, stderr
from sms_router.cli.senders.pools import known_snapshots
from sms_router.cli.store import read_store, store_url
from sms_router.cli.times import format_time, iso
from sms_router.cli.twilio_access import (
    ServiceAccess,
    ServiceOption,
    api_error,
    call_twilio,
    open_configured_service,
    open_service,
    refresh_everywhere,
)
from sms_router.membership import audit_log
from sms_router.membership.audit_log import AuditEntry
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_diff import SnapshotChange, diff_snapshots
from sms_router.membership.snapshot_store import SharedStateError, stored_snapshot
from sms_router.membership.source import PoolReadError

membership = typer.Typer(cls=Noun, help="Show and refresh the Sender Pools; show what changed.")


_CHANGE_COLUMNS = ("of", "what", "was", "is")


@membership.command("list")
@membership.command("show")
def show(as_json: JsonOption = False) -> None:
    """Show each Messaging Service as last read from Twilio, and its age."""
    snapshots = known_snapshots(settings_for_command())
    if as_json:
        print_json([_service_as_json(snapshot) for snapshot in snapshots])
        return
    for snapshot in snapshots:
        print_table(("Messaging Service", snapshot.service_sid), _rows(snapshot))


@membership.command("refresh")
def refresh(service: ServiceOption = None, as_json: JsonOption = False) -> None:
    """Read the Services from Twilio now, for every router."""
    settings = settings_for_command()
    if service is not None or not settings.services:
        services = [open_service(service)]
    else:
        services = [open_configured_service(settings, configured.sid) for configured in settings.services]
    documents = []
    for access in services:
        before, after = _refresh(access)
        changes = diff_snapshots(before, after) if before else ()
        documents.append(
            {
                "service": after.service_sid,
                "version": after.version,
                "senders": len(after.senders),
                "changes": _changes_as_json(changes),
            }
        )
        if as_json:
            continue
        result = "read for the first time" if before is None else "changed" if changes else "unchanged"
        print_line(f"{after.service_sid}: {len(after.senders)} senders, version {after.version}: {result}.")
        if changes:
            print_table(_CHANGE_COLUMNS, _change_rows(changes))
    if as_json:
        print_json(documents)


@membership.command("diff")
def diff(service: ServiceOption = None, as_json: JsonOption = False) -> None:
    """Show what changed at Twilio since the routers last read it.

    Exits with 1 when something changed.
    """
    access = open_service(service)
    before = _stored(access)
    if before is None:
        raise CommandError(f"Nothing is stored about {access.service_sid}.", "sms-router membership refresh")
    after = call_twilio(
        access.settings, f"Reading {access.service_sid} from Twilio", partial(access.source.read, time.time())
    )
    changes = diff_snapshots(before, after)
    if as_json:
        print_json(_changes_as_json(changes))
    elif changes:
        print_table(_CHANGE_COLUMNS, _change_rows(changes))
    else:
        print_line(f"{access.service_sid}: nothing changed at Twilio since the routers read it.")
    if changes:
        raise typer.Exit(1)


@membership.command("history")
def history(
    limit: Annotated[int, Option(min=1, max=1000, help="Maximum number of changes.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what with these commands and the console, newest first."""
    entries = read_store(settings_for_command(), lambda client: audit_log.recent(client, limit), ())
    if as_json:
        print_json([_entry_as_json(entry) for entry in entries])
        return
    if not entries:
        print_line("Nothing was changed with these commands yet.")
        return
    rows = [
        (format_time(entry.at * 1000), entry.who, f"{entry.action} {entry.detail}", entry.outcome.value)
        for entry in entries
    ]
    print_table(("when", "who", "what", "outcome"), rows)


def _refresh(service: ServiceAccess) -> tuple[Snapshot | None, Snapshot]:
    try:
        with (
            store_url(service.settings) as url,
            stderr.status(f"Reading {service.service_sid} from Twilio ..."),
        ):
            return _stored(service), refresh_everywhere(service, url)
    except PoolReadError as error:
        raise api_error(service.settings, error) from error
    except SharedStateError as error:
        raise CommandError(f"{error}.", "Set REDIS_URL, or start Redis.") from error


def _stored(service: ServiceAccess) -> Snapshot | None:
    return read_store(service.settings, lambda client: stored_snapshot(client, service.service_sid), None)


def _change_rows(changes: Sequence[SnapshotChange]) -> list[tuple[str, ...]]:
    return [(change.subject, change.what, change.before, change.after) for change in changes]


def _changes_as_json(changes: Sequence[SnapshotChange]) -> list[dict[str, str]]:
    return [dict(zip(_CHANGE_COLUMNS, row, strict=True)) for row in _change_rows(changes)]


def _entry_as_json(entry: AuditEntry) -> dict[str, str]:
    return {
        "when": iso(entry.at),
        "who": entry.who,
        "service": entry.service_sid,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "outcome": entry.outcome.value,
    }


def _service_as_json(snapshot: Snapshot) -> dict[str, object]:
    """Return a Service for programs; ``age`` is in seconds."""
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


def _rows(snapshot: Snapshot) -> list[tuple[str, str]]:
    settings = snapshot.settings
    return [
        ("name", settings.friendly_name),
        ("senders", str(len(snapshot.senders))),
        ("version", str(snapshot.version)),
        ("read", format_time(snapshot.read_at * 1000)),
        ("age", f"{_age(snapshot)} s"),
        ("inbound URL", settings.inbound_request_url or "none"),
        ("fallback URL", settings.fallback_url or "none"),
        ("status callback", settings.status_callback or "none"),
        ("webhook of", "each number" if settings.use_inbound_webhook_on_number else "the Service"),
    ]


def _age(snapshot: Snapshot) -> int:
    return round(max(0.0, time.time() - snapshot.read_at))
