"""``sms-router senders``: the senders as the routers use them, and as they are at Twilio."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import JsonOption, print_json, print_line, print_table
from sms_router.cli.senders import resources
from sms_router.cli.senders.cordons import SenderArgument, cordon, cordon_as_json, release
from sms_router.cli.senders.pools import StoredConditions, known_snapshots, load_conditions
from sms_router.cli.twilio_access import ServiceOption, YesOption, open_service
from sms_router.config.models import SenderKindName
from sms_router.membership.admin import Changes, NumberFilter, SenderType
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_diff import format_capabilities
from sms_router.senders.candidates import ORDER

EVERY_TYPE = tuple(SenderType)

_TWILIO_LISTS = {
    SenderKindName.SHORT_CODE: SenderType.SHORT_CODE,
    SenderKindName.ALPHANUMERIC: SenderType.ALPHA_SENDER,
    SenderKindName.LONG_CODE: SenderType.PHONE_NUMBER,
    SenderKindName.TOLL_FREE: SenderType.PHONE_NUMBER,
}

senders = typer.Typer()


@senders.callback(invoke_without_command=True)
def list_pools(context: typer.Context, as_json: JsonOption = False) -> None:
    """List and manage the senders; take one out of use.

    Without one of the commands below, it lists the Sender Pools as the routers use them, with what excludes
    a sender, such as a cordon. The commands list, show, add, remove and update read and change the senders at
    Twilio; cordon and release change only what the routers do.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_for_command()
    snapshots = known_snapshots(settings)
    stored = load_conditions(settings, snapshots)
    if as_json:
        print_json([sender for snapshot in snapshots for sender in _as_json(snapshot, stored)])
        return
    for snapshot in snapshots:
        rows = _rows(snapshot, stored)
        extra = [name for name in ("sent today", "state") if any(row[name] for row in rows)]
        columns = ("number", "kind", "country", "sends", *extra)
        print_line(f"Senders of {snapshot.service_sid} {snapshot.settings.friendly_name}")
        if rows:
            print_table(columns, [[row[name] for name in columns] for row in rows], optional=["sends"])
        else:
            print_line(
                "None. List those of the account: sms-router senders list --all; "
                "then: sms-router senders add SID"
            )


def _rows(snapshot: Snapshot, stored: StoredConditions) -> list[dict[str, str]]:
    return [
        {
            "service": snapshot.service_sid,
            "number": sender.address,
            "kind": sender.kind.value,
            "country": sender.country or "",
            "sends": format_capabilities(sender.capabilities),
            "sid": sender.sid,
            "sent today": str(stored.rates.sent_today(sender.sid) or "") if stored.rates else "",
            "state": stored.conditions.objection(sender.sid) or "",
        }
        for sender in sorted(snapshot.senders, key=lambda sender: ORDER.index(sender.kind))
    ]


def _as_json(snapshot: Snapshot, stored: StoredConditions) -> list[dict[str, object]]:
    return [
        {
            **{name: value or None for name, value in row.items() if name != "sent today"},
            "cordoned": cordon_as_json(stored.cordon(row["sid"])),
            "sent_today": int(row["sent today"] or 0) if stored.rates is not None else None,
        }
        for row in _rows(snapshot, stored)
    ]


@senders.command("list")
def list_senders(
    kind: Annotated[SenderKindName | None, Option("--kind", help="Only senders of this kind.")] = None,
    friendly_name: resources.NameFilter = None,
    number: Annotated[
        str | None, Option("--number", help="Only numbers with these digits; * is any digit.")
    ] = None,
    everything: resources.EverythingOption = False,
    service: ServiceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the Service's senders at Twilio."""
    types = EVERY_TYPE if kind is None else (_TWILIO_LISTS[kind],)
    access = open_service(service)
    found = resources.list_senders(access, types, NumberFilter(friendly_name, number), everything=everything)
    selected = [sender for sender in found if kind is None or sender.kind is kind.kind]
    resources.print_senders(access, selected, as_json=as_json)


@senders.command("show")
def show(sid: SenderArgument, service: ServiceOption = None, as_json: JsonOption = False) -> None:
    """Show one sender: its kind, its capabilities and its own URLs."""
    resources.print_sender(resources.find_sender(open_service(service), sid, EVERY_TYPE), as_json=as_json)


@senders.command("add")
def add(
    sid: Annotated[
        str, Argument(metavar="SID", help="PN..., SC..., a number, or a new alphanumeric sender.")
    ],
    service: ServiceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a number of the account, or an alphanumeric sender, to the Service."""
    resources.add_sender(open_service(service), sid, EVERY_TYPE, as_json=as_json)


@senders.command("remove")
def remove(sid: SenderArgument, yes: YesOption = False, service: ServiceOption = None) -> None:
    """Remove a sender from the Service; a number stays on the account."""
    resources.remove_sender(open_service(service), sid, EVERY_TYPE, yes=yes)


@senders.command("update")
@resources.with_setting_options(voice=True)
def update(
    sid: SenderArgument, *, settings: Changes, service: ServiceOption = None, as_json: JsonOption = False
) -> None:
    """Change a number's own name and URLs."""
    resources.update_sender(open_service(service), sid, EVERY_TYPE, settings, as_json=as_json)


senders.command("cordon")(cordon)
senders.command("release")(release)
