"""List, show, add, remove and update senders: what ``senders`` and ``short-codes`` have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from sms_router.cli.output import CommandError, confirm, print_json, print_table
from sms_router.cli.twilio_access import ServiceAccess, apply_change, ask, print_line
from sms_router.membership.admin import NumberFilter, SenderResource, SenderType
from sms_router.membership.snapshot_diff import describe_changes, format_capabilities
from sms_router.senders.models import SenderKind

_SID = re.compile(r"(SC|PN|AI)[0-9a-fA-F]{32}")
_LIKE_A_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{20,}")
_URL = re.compile(r"https?://[^/\s]\S*")
_KINDS = {
    SenderKind.SHORT_CODE: "short code",
    SenderKind.ALPHANUMERIC: "alphanumeric",
    SenderKind.LONG_CODE: "long code",
    SenderKind.TOLL_FREE: "toll-free",
}
"""Short enough that the sid beside it is not folded at 80 columns."""
_LONGEST_NAME = 64
"""Characters (SMS/ShortCodes, FriendlyName)."""


def _url(value: str | None) -> str | None:
    if value and not _URL.fullmatch(value):
        raise typer.BadParameter("a URL begins with https:// or http://; an empty one removes it")
    return value


def _method(value: str | None) -> str | None:
    if value is not None and value.upper() not in ("GET", "POST"):
        raise typer.BadParameter("a method is GET or POST")
    return value.upper() if value else value


def _name(value: str | None) -> str | None:
    if value is not None and len(value) > _LONGEST_NAME:
        raise typer.BadParameter(f"a name has at most {_LONGEST_NAME} characters")
    return value


def _version(value: str | None) -> str | None:
    if value not in (None, "2010-04-01", "2008-08-01"):
        raise typer.BadParameter("an API version is 2010-04-01 or 2008-08-01")
    return value


FriendlyName = Annotated[
    str | None, typer.Option("--friendly-name", help="What people call it.", callback=_name)
]
SmsUrl = Annotated[
    str | None,
    typer.Option(
        "--sms-url", help="Where its texts go outside of a Service; empty removes it.", callback=_url
    ),
]
SmsMethod = Annotated[str | None, typer.Option("--sms-method", help="GET or POST.", callback=_method)]
SmsFallbackUrl = Annotated[
    str | None,
    typer.Option(
        "--sms-fallback-url", help="Where they go when that fails; empty removes it.", callback=_url
    ),
]
SmsFallbackMethod = Annotated[
    str | None, typer.Option("--sms-fallback-method", help="GET or POST.", callback=_method)
]
ApiVersion = Annotated[
    str | None, typer.Option("--api-version", help="2010-04-01 or 2008-08-01.", callback=_version)
]
Everything = Annotated[
    bool, typer.Option("--all", help="Also those of the account that are not in the Service.")
]
NameFilter = Annotated[str | None, typer.Option("--friendly-name", help="Only those with this name.")]


def list_senders(
    operation: ServiceAccess, types: Sequence[SenderType], chosen: NumberFilter, *, everything: bool
) -> list[SenderResource]:
    """Return the senders at Twilio now, of several types."""

    def read() -> list[SenderResource]:
        resources = operation.resources
        return [
            each for type_ in types for each in resources.list_senders(type_, chosen, everything=everything)
        ]

    return ask(operation.settings, "Asking Twilio", read)


def print_senders(operation: ServiceAccess, senders: Sequence[SenderResource], *, as_json: bool) -> None:
    """Show a list of senders: those of the Service first."""
    if as_json:
        print_json([parse_updates(each) for each in senders])
        return
    inside = [each for each in senders if each.service_sid]
    outside = [each for each in senders if not each.service_sid]
    if inside or not outside:
        print_line(f"In {operation.service_sid}:" if inside else "None; see the whole account with --all.")
        _print_senders(inside)
    if outside:
        print_line(f"On the account, and not in {operation.service_sid}:")
        _print_senders(outside)


def _print_senders(senders: Sequence[SenderResource]) -> None:
    """Show senders so that their sids can be copied, at 80 columns too."""
    rows = [
        (
            each.address,
            f"{each.country or ''} {_KINDS[each.kind]}".strip(),
            format_capabilities(each.capabilities),
            each.sid,
        )
        for each in senders
    ]
    if rows:
        print_table(("number", "kind", "sends", "sid"), rows)


def find_sender(operation: ServiceAccess, named: str, types: Sequence[SenderType]) -> SenderResource:
    """Return the sender that was named by its sid, its number, or its letters.

    Raises:
        CommandError: when Twilio has none of them.

    """
    type_ = _type_of(named, types)
    if _SID.fullmatch(named):
        return ask(operation.settings, "Asking Twilio", lambda: operation.resources.find(type_, named))
    chosen = NumberFilter() if type_ is SenderType.ALPHA_SENDER else NumberFilter(number=named)
    found = list_senders(operation, [type_], chosen, everything=True)
    exact = [each for each in found if each.address == named]
    if len(exact) == 1:
        return exact[0]
    if exact:
        raise CommandError(
            f"{named} is ambiguous; name it by its sid: {', '.join(each.sid for each in exact)}."
        )
    raise CommandError(
        f"The account has no sender {named}.", "Look at what there is: sms-router senders list --all"
    )


def print_sender(sender: SenderResource, *, as_json: bool) -> None:
    """Show everything about one sender."""
    if as_json:
        print_json(parse_updates(sender))
        return
    rows = [(name.replace("_", " "), str(value)) for name, value in parse_updates(sender).items() if value]
    print_table(("", sender.address), rows)


def add_sender(operation: ServiceAccess, named: str, types: Sequence[SenderType], *, as_json: bool) -> None:
    """Add a sender to the Service, and say what changes for it."""
    if _is_new_name(named, types):
        sid = apply_change(
            operation,
            "add",
            named,
            f"{SenderKind.ALPHANUMERIC.value} {named}",
            lambda: operation.resources.add(SenderType.ALPHA_SENDER, named),
        )
        added = find_sender(operation, sid, types)
    else:
        sender = find_sender(operation, named, types)
        type_ = SenderType(sender.sid[:2])
        detail = f"{sender.kind.value} {sender.address}"
        apply_change(operation, "add", sender.sid, detail, lambda: operation.resources.add(type_, sender.sid))
        added = find_sender(operation, sender.sid, types)
    if as_json:
        print_json(parse_updates(added))
        return
    print_line(f"{added.address} ({added.sid}) is in {operation.service_sid}; every router knows it.")
    if added.own is not None and added.own.sms_url:
        print_line(f"Its own URL {added.own.sms_url} is not called any more while it is there.")


def remove_sender(operation: ServiceAccess, named: str, types: Sequence[SenderType], *, yes: bool) -> None:
    """Take a sender out of the Service, once somebody has confirmed it."""
    sender = find_sender(operation, named, types)
    if sender.service_sid is None:
        raise CommandError(f"{sender.address} ({sender.sid}) is not in {operation.service_sid}.")
    confirm(f"Remove {sender.address} from {operation.service_sid}? {_consequence(sender)}", yes=yes)
    type_, detail = SenderType(sender.sid[:2]), f"{sender.kind.value} {sender.address}"
    apply_change(
        operation, "remove", sender.sid, detail, lambda: operation.resources.remove(type_, sender.sid)
    )
    print_line(
        f"{sender.address} ({sender.sid}) is out of {operation.service_sid}; no router answers from it."
    )


def update_sender(
    operation: ServiceAccess,
    named: str,
    types: Sequence[SenderType],
    wanted: dict[str, str | None],
    *,
    as_json: bool,
) -> None:
    """Change a number's own settings, and show them as they are then."""
    changes: dict[str, object] = {name: value for name, value in wanted.items() if value is not None}
    if not changes:
        raise CommandError("Nothing was given that could be changed; see --help for the options.", code=2)
    sender = find_sender(operation, named, types)
    if sender.own is None:
        raise CommandError(f"{sender.address} is an alphanumeric sender: it has no settings.", code=2)
    type_, before = SenderType(sender.sid[:2]), {**asdict(sender.own), "api_version": sender.api_version}
    detail = f"{sender.address}: {describe_changes(before, changes)}"
    apply_change(
        operation,
        "update",
        sender.sid,
        detail,
        lambda: operation.resources.update_number(type_, sender.sid, changes),
    )
    if not as_json:
        print_line(detail)
    print_sender(find_sender(operation, sender.sid, types), as_json=as_json)


def parse_updates(sender: SenderResource) -> dict[str, object]:
    """Return a sender as programs read it."""
    own = asdict(sender.own) if sender.own else {}
    return {
        "sid": sender.sid,
        "number": sender.address,
        "kind": sender.kind.value,
        "country": sender.country,
        "sends": format_capabilities(sender.capabilities) if sender.capabilities is not None else None,
        "service": sender.service_sid,
        **own,
        "api_version": sender.api_version,
        "date_created": sender.created.isoformat() if sender.created else None,
        "date_updated": sender.updated.isoformat() if sender.updated else None,
    }


def _consequence(sender: SenderResource) -> str:
    if sender.own is None:
        return "It is gone then, and can be added again."
    if sender.own.sms_url:
        return f"Its texts then go to {sender.own.sms_url}."
    return "It stays on the account, but its texts are then answered by nobody."


def _is_new_name(named: str, types: Sequence[SenderType]) -> bool:
    number = named.startswith("+") or named.isdigit()
    return SenderType.ALPHA_SENDER in types and not number and not _LIKE_A_SID.fullmatch(named)


def _type_of(named: str, types: Sequence[SenderType]) -> SenderType:
    """Tell Twilio's list of senders by how somebody is named."""
    if _SID.fullmatch(named):
        type_ = SenderType(named[:2])
    elif _LIKE_A_SID.fullmatch(named):
        raise CommandError(f"{named} is not a sid: a sid is two letters and 32 hex digits.", code=2)
    elif named.startswith("+"):
        type_ = SenderType.PHONE_NUMBER
    else:
        type_ = SenderType.SHORT_CODE if named.isdigit() else SenderType.ALPHA_SENDER
    if type_ not in types:
        raise CommandError(
            f"{named} is not a short code: give its sid (SC...) or its digits.",
            f"Other senders: sms-router senders show {named}",
            code=2,
        )
    return type_
