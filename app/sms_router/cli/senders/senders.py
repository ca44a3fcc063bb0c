"""``sms-router senders``: the numbers that may answer, of every kind."""

from __future__ import annotations

from typing import Annotated

import typer

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import AsJson, address, print_json, print_table, stdout
from sms_router.cli.senders import common as shared
from sms_router.cli.senders.conditions import StoredConditions, load_conditions
from sms_router.cli.senders.cordons import cordon_sender, print_cordon, reason_of, release_sender
from sms_router.cli.senders.pools import known_snapshots
from sms_router.cli.times import iso
from sms_router.cli.twilio_access import OfService, Yes, operation, print_line
from sms_router.config.models import SenderKindName
from sms_router.membership.admin import NumberFilter, SenderType
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_diff import format_capabilities
from sms_router.senders.candidates import ORDER
from sms_router.senders.cordons import Cordon

EVERY_TYPE = tuple(SenderType)

Named = Annotated[str, typer.Argument(metavar="SID", help="PN..., SC..., AI..., or the number itself.")]


_LISTS = {
    SenderKindName.SHORT_CODE: SenderType.SHORT_CODE,
    SenderKindName.ALPHANUMERIC: SenderType.ALPHA_SENDER,
    SenderKindName.LONG_CODE: SenderType.PHONE_NUMBER,
    SenderKindName.TOLL_FREE: SenderType.PHONE_NUMBER,
}

senders = typer.Typer(help="List the numbers that may answer.")


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(senders, name="senders")


@senders.callback(invoke_without_command=True)
def known(context: typer.Context, as_json: AsJson = False) -> None:
    """List the numbers that may answer, as the router knows them.

    With what speaks against them, such as a cordon. Most commands below look at Twilio itself, and
    change what is there; ``cordon`` and ``release`` change only what the routers do.
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_for_command()
    snapshots = known_snapshots(settings)
    now = load_conditions(settings, snapshots)
    if as_json:
        print_json([sender for snapshot in snapshots for sender in _as_json(snapshot, now)])
        return
    for snapshot in snapshots:
        told = _in_words(snapshot, now)
        extra = [name for name in ("sent today", "state") if any(each[name] for each in told)]
        columns = ("number", "kind", "country", "sends", *extra)
        stdout.print(f"Senders of {snapshot.service_sid} {snapshot.settings.friendly_name}", markup=False)
        if told:
            print_table(columns, [[each[name] for name in columns] for each in told])
        else:
            print_line(
                "None. See the account's: sms-router senders list --all; then: sms-router senders add SID"
            )


def _in_words(snapshot: Snapshot, now: StoredConditions) -> list[dict[str, str]]:
    return [
        {
            "service": snapshot.service_sid,
            "number": sender.address,
            "kind": sender.kind.value,
            "country": sender.country or "",
            "sends": format_capabilities(sender.capabilities),
            "sid": sender.sid,
            "sent today": str(now.rates.sent_today(sender.sid) or "") if now.rates else "",
            "state": now.conditions.objection(sender.sid) or "",
        }
        for sender in sorted(snapshot.senders, key=lambda each: ORDER.index(each.kind))
    ]


def _as_json(snapshot: Snapshot, now: StoredConditions) -> list[dict[str, object]]:
    told: list[dict[str, object]] = []
    for words in _in_words(snapshot, now):
        cordon, sent = now.cordon(words["sid"]), words.pop("sent today")
        told.append(
            {
                **{name: value or None for name, value in words.items()},
                "cordoned": _cordon_as_json(cordon) if cordon is not None else None,
                "sent_today": int(sent or 0) if now.rates is not None else None,
            }
        )
    return told


def _cordon_as_json(cordon: Cordon) -> dict[str, str | None]:
    return {
        "reason": cordon.reason,
        "since": iso(cordon.since),
        "until": iso(cordon.until) if cordon.until is not None else None,
        "who": cordon.who,
    }


@senders.command("list")
def list_senders(
    kind: Annotated[SenderKindName | None, typer.Option("--kind", help="Only those of this kind.")] = None,
    friendly_name: shared.NameFilter = None,
    number: Annotated[
        str | None, typer.Option("--number", help="Only those with these digits; * is any one.")
    ] = None,
    everything: shared.Everything = False,
    service: OfService = None,
    as_json: AsJson = False,
) -> None:
    """List the Service's senders as they are at Twilio now."""
    types = EVERY_TYPE if kind is None else (_LISTS[kind],)
    chosen = NumberFilter(friendly_name, number)
    at = operation(service)
    found = shared.list_senders(at, types, chosen, everything=everything)
    wanted = None if kind is None else kind.kind
    shared.print_senders(at, [each for each in found if wanted in (None, each.kind)], as_json=as_json)


@senders.command("show")
def show(sid: Named, service: OfService = None, as_json: AsJson = False) -> None:
    """Show one sender: its kind, what it sends, and its own URLs."""
    shared.print_sender(shared.find_sender(operation(service), sid, EVERY_TYPE), as_json=as_json)


@senders.command("add")
def add(
    sid: Annotated[
        str, typer.Argument(metavar="SID", help="PN..., SC..., a number, or a new alphanumeric sender.")
    ],
    service: OfService = None,
    as_json: AsJson = False,
) -> None:
    """Add a number of the account, or an alphanumeric sender, to the Service."""
    shared.add_sender(operation(service), sid, EVERY_TYPE, as_json=as_json)


@senders.command("remove")
def remove(sid: Named, yes: Yes = False, service: OfService = None) -> None:
    """Take a sender out of the Service; a number stays on the account."""
    shared.remove_sender(operation(service), sid, EVERY_TYPE, yes=yes)


@senders.command("update")
def update(
    sid: Named,
    friendly_name: shared.FriendlyName = None,
    sms_url: shared.SmsUrl = None,
    sms_method: shared.SmsMethod = None,
    sms_fallback_url: shared.SmsFallbackUrl = None,
    sms_fallback_method: shared.SmsFallbackMethod = None,
    api_version: shared.ApiVersion = None,
    service: OfService = None,
    as_json: AsJson = False,
) -> None:
    """Change a number's own name and URLs."""
    wanted = {
        "friendly_name": friendly_name,
        "sms_url": sms_url,
        "sms_method": sms_method,
        "sms_fallback_url": sms_fallback_url,
        "sms_fallback_method": sms_fallback_method,
        "api_version": api_version,
    }
    shared.update_sender(operation(service), sid, EVERY_TYPE, wanted, as_json=as_json)


@senders.command("cordon")
def cordon(
    sid: Annotated[str, typer.Argument(metavar="SID", help="SC..., PN..., AI..., or the number itself.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; every trail shows it.", callback=reason_of)],
    span: Annotated[str | None, typer.Option("--for", metavar="SPAN", help="How long: 30m, 2h, 3d.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Until when, UTC: 14:05, or ISO 8601.")
    ] = None,
    service: OfService = None,
    as_json: AsJson = False,
) -> None:
    """Take a sender out of use, at once and on every router; at Twilio nothing changes.

    Answers leave from the next sender meanwhile. It ends by itself with --for or --until, else with
    ``senders release``. A second cordon takes the first one's place.
    """
    made, words = cordon_sender(address(sid) or sid, reason, span, until, service)
    if as_json:
        print_json({"sid": made.sid, "number": made.address, "cordoned": _cordon_as_json(made)})
    else:
        print_cordon(made, words)


@senders.command("release")
def release(
    sid: Annotated[str, typer.Argument(metavar="SID", help="SC..., PN..., AI..., or the number itself.")],
) -> None:
    """Put a sender that was cordoned into use again, on every router."""
    released = release_sender(address(sid) or sid)
    print_line(f"{released.address} ({released.sid}) is in use again. Every router knows it within a second.")
