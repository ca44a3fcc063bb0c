"""List, show, add, remove and update senders at Twilio, for ``senders`` and ``short-codes``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import typer
from typer import Option

from sms_router.cli.output import CommandError, confirm, print_json, print_line, print_table
from sms_router.cli.twilio_access import ServiceAccess, apply_change, call_twilio
from sms_router.membership.admin import Changes, NumberFilter, SenderResource, SenderType
from sms_router.membership.snapshot_diff import describe_changes, format_capabilities, format_value
from sms_router.senders.models import SenderKind

_SID = re.compile(r"(SC|PN|AI)[0-9a-fA-F]{32}")
_SID_LIKE = re.compile(r"[A-Z]{2}[0-9a-fA-F]{20,}")
_URL = re.compile(r"https?://[^/\s]\S*")
_KIND_NAMES = {
    SenderKind.SHORT_CODE: "short code",
    SenderKind.ALPHANUMERIC: "alphanumeric",
    SenderKind.LONG_CODE: "long code",
    SenderKind.TOLL_FREE: "toll-free",
}
"""Short, so that the sid beside it is not wrapped at 80 columns."""
_ADDRESS_PROPERTIES = {
    SenderType.SHORT_CODE: "short_code",
    SenderType.PHONE_NUMBER: "phone_number",
    SenderType.ALPHA_SENDER: "alpha_sender",
}
"""Twilio's names of what a sender is addressed with."""
_ONLY_IN_JSON = frozenset(
    {"account_sid", "service_sid", "short_code", "phone_number", "alpha_sender", "country_code"}
    | {"capabilities", "url", "uri"}
)
"""What a table does not have: the same is there under a shorter name, or an operator has no use for it."""
_MAX_NAME_LENGTH = 64
"""Characters (SMS/ShortCodes, FriendlyName)."""


def _url(value: str | None) -> str | None:
    if value and not _URL.fullmatch(value):
        raise typer.BadParameter("must begin with https:// or http://; an empty one removes the URL")
    return value


def _method(value: str | None) -> str | None:
    if value is not None and value.upper() not in ("GET", "POST"):
        raise typer.BadParameter("must be GET or POST")
    return value.upper() if value else value


def _name(value: str | None) -> str | None:
    if value is not None and len(value) > _MAX_NAME_LENGTH:
        raise typer.BadParameter(f"must have at most {_MAX_NAME_LENGTH} characters")
    return value


def _version(value: str | None) -> str | None:
    if value not in (None, "2010-04-01", "2008-08-01"):
        raise typer.BadParameter("must be 2010-04-01 or 2008-08-01")
    return value


_SETTINGS = {
    "friendly_name": ("Name of the number.", _name),
    "sms_url": ("URL for its texts outside of a Service; empty removes it.", _url),
    "sms_method": ("GET or POST.", _method),
    "sms_fallback_url": ("URL when that fails; empty removes it.", _url),
    "sms_fallback_method": ("GET or POST.", _method),
    "voice_url": ("URL for its calls; empty removes it.", _url),
    "voice_method": ("GET or POST.", _method),
    "voice_fallback_url": ("URL for calls when that fails; empty removes it.", _url),
    "voice_fallback_method": ("GET or POST.", _method),
    "api_version": ("2010-04-01 or 2008-08-01.", _version),
}
"""The settings of a number that can be changed: the help and the check of the option for each."""

EverythingOption = Annotated[
    bool, Option("--all", help="Senders of the account that are not in the Service, too.")
]
NameFilter = Annotated[str | None, Option("--friendly-name", help="Only senders with this name.")]


def with_setting_options(*, voice: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each setting; its parameter ``settings`` is what was given of them."""
    options = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None, Option(f"--{name.replace('_', '-')}", help=text, callback=check)
            ],
        )
        for name, (text, check) in _SETTINGS.items()
        if voice or not name.startswith("voice_")
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def update(**arguments: Any) -> None:
            values = {option.name: arguments.pop(option.name) for option in options}
            command(
                **arguments, settings={name: value for name, value in values.items() if value is not None}
            )

        own = signature(command, eval_str=True)
        others = [each for each in own.parameters.values() if each.name != "settings"]
        vars(update)["__signature__"] = own.replace(parameters=[*others[:1], *options, *others[1:]])
        return update

    return decorate


def list_senders(
    service: ServiceAccess, types: Sequence[SenderType], selected: NumberFilter, *, everything: bool
) -> list[SenderResource]:
    """Return the senders at Twilio that match a filter; ``everything`` includes those outside the Service."""

    def read() -> list[SenderResource]:
        return [
            sender
            for sender_type in types
            for sender in service.admin.list_senders(sender_type, selected, everything=everything)
        ]

    return call_twilio(service.settings, "Reading from Twilio", read)


def print_senders(service: ServiceAccess, senders: Sequence[SenderResource], *, as_json: bool) -> None:
    if as_json:
        print_json([sender_as_json(sender) for sender in senders])
        return
    inside = [sender for sender in senders if sender.service_sid]
    outside = [sender for sender in senders if not sender.service_sid]
    if inside or not outside:
        print_line(f"In {service.service_sid}:" if inside else "None; list the whole account with --all.")
        _print_table(inside)
    if outside:
        print_line(f"On the account, but not in {service.service_sid}:")
        _print_table(outside)


def _print_table(senders: Sequence[SenderResource]) -> None:
    rows = [
        (
            sender.address,
            f"{sender.country or ''} {_KIND_NAMES[sender.kind]}".strip(),
            format_capabilities(sender.capabilities),
            sender.sid,
        )
        for sender in senders
    ]
    if rows:
        print_table(("number", "kind", "sends", "sid"), rows)


def find_sender(service: ServiceAccess, name: str, types: Sequence[SenderType]) -> SenderResource:
    """Return a sender of the account by its sid, its number or its alphanumeric name."""
    sender_type = _type_of(name, types)
    if _SID.fullmatch(name):
        return call_twilio(
            service.settings, "Reading from Twilio", lambda: service.admin.find(sender_type, name)
        )
    selected = NumberFilter() if sender_type is SenderType.ALPHA_SENDER else NumberFilter(number=name)
    senders = list_senders(service, [sender_type], selected, everything=True)
    matches = [sender for sender in senders if sender.address == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        sids = ", ".join(sender.sid for sender in matches)
        raise CommandError(f"{name} is ambiguous; use its sid: {sids}.")
    raise CommandError(f"The account has no sender {name}.", "List them: sms-router senders list --all")


def print_sender(sender: SenderResource, *, as_json: bool) -> None:
    if as_json:
        print_json(sender_as_json(sender))
        return
    rows = [
        (name.replace("_", " "), str(value))
        for name, value in sender_as_json(sender).items()
        if value and name not in _ONLY_IN_JSON
    ]
    print_table(("", sender.address), rows)


def add_sender(service: ServiceAccess, name: str, types: Sequence[SenderType], *, as_json: bool) -> None:
    sender_type, subject, detail = SenderType.ALPHA_SENDER, name, f"{SenderKind.ALPHANUMERIC.value} {name}"
    if not _is_new_alpha_sender(name, types):
        sender = find_sender(service, name, types)
        subject, detail = sender.sid, f"{sender.kind.value} {sender.address}"
        sender_type = SenderType(subject[:2])
    sid = apply_change(service, "add", subject, detail, lambda: service.admin.add(sender_type, subject))
    added = find_sender(service, sid, types)
    if as_json:
        print_json(sender_as_json(added))
        return
    print_line(f"{added.address} ({added.sid}) is in {service.service_sid}; every router uses it now.")
    if added.own is not None and added.own.sms_url:
        print_line(f"Its own URL {added.own.sms_url} is not called while it is in a Service.")


def remove_sender(service: ServiceAccess, name: str, types: Sequence[SenderType], *, yes: bool) -> None:
    sender = find_sender(service, name, types)
    if sender.service_sid is None:
        raise CommandError(f"{sender.address} ({sender.sid}) is not in {service.service_sid}.")
    confirm(f"Remove {sender.address} from {service.service_sid}? {_consequence(sender)}", yes=yes)
    sender_type, detail = SenderType(sender.sid[:2]), f"{sender.kind.value} {sender.address}"
    apply_change(service, "remove", sender.sid, detail, lambda: service.admin.remove(sender_type, sender.sid))
    print_line(
        f"{sender.address} ({sender.sid}) is no longer in {service.service_sid}; no router replies from it."
    )


def update_sender(
    service: ServiceAccess,
    name: str,
    types: Sequence[SenderType],
    changes: Changes,
    *,
    as_json: bool,
) -> None:
    if not changes:
        raise CommandError("No setting to change was given; see --help for the options.", code=2)
    sender = find_sender(service, name, types)
    if sender.own is None:
        raise CommandError(f"{sender.address} is an alphanumeric sender, which has no settings.", code=2)
    sender_type = SenderType(sender.sid[:2])
    if sender.voice is None and any(setting.startswith("voice_") for setting in changes):
        raise CommandError(f"{sender.address} is a short code, which receives no calls.", code=2)
    _check_fallback(sender, changes)
    before = {**asdict(sender.own), **_voice_as_json(sender), "api_version": sender.api_version}
    detail = f"{sender.address}: {describe_changes(before, changes)}"
    apply_change(
        service,
        "update",
        sender.sid,
        detail,
        lambda: service.admin.update_number(sender_type, sender.sid, changes),
        lambda stored: describe_difference(changes, stored),
    )
    if not as_json:
        print_line(detail)
    print_sender(find_sender(service, sender.sid, types), as_json=as_json)


def sender_as_json(sender: SenderResource) -> dict[str, object]:
    own = asdict(sender.own) if sender.own else {}
    return {
        "sid": sender.sid,
        "account_sid": sender.account_sid,
        "service_sid": sender.service_sid,
        _ADDRESS_PROPERTIES[SenderType(sender.sid[:2])]: sender.address,
        "country_code": sender.country,
        "capabilities": list(sender.capability_names) if sender.capability_names is not None else None,
        "number": sender.address,
        "kind": sender.kind.value,
        "country": sender.country,
        "sends": format_capabilities(sender.capabilities) if sender.capabilities is not None else None,
        "service": sender.service_sid,
        **own,
        **_voice_as_json(sender),
        "api_version": sender.api_version,
        "date_created": sender.created.isoformat() if sender.created else None,
        "date_updated": sender.updated.isoformat() if sender.updated else None,
        "url": sender.url,
        "uri": sender.uri,
    }


def _voice_as_json(sender: SenderResource) -> dict[str, object]:
    return asdict(sender.voice) if sender.voice is not None else {}


def _check_fallback(sender: SenderResource, changes: Changes) -> None:
    """Refuse an update that leaves a fallback URL without a URL, which Twilio rejects (21406)."""
    assert sender.own is not None
    url = changes.get("sms_url", sender.own.sms_url)
    fallback_url = changes.get("sms_fallback_url", sender.own.sms_fallback_url)
    if url or not fallback_url:
        return
    if "sms_fallback_url" in changes:
        raise CommandError(
            f"{sender.address} has no URL, and a fallback URL requires one (error 21406).",
            "Give both: add --sms-url URL",
        )
    raise CommandError(
        f"{sender.address} has the fallback URL {fallback_url}, which requires a URL (error 21406).",
        "Remove both: add --sms-fallback-url ''",
    )


def describe_difference(requested: Changes, stored: Changes) -> str | None:
    """Return what Twilio has not changed as requested; None when nothing is different."""
    different = {
        name: value
        for name, value in requested.items()
        if (value or None) != (stored[name] or None)
        and (value or name != "friendly_name")  # without a name Twilio uses the number
    }
    if not different:
        return None
    settings = ", ".join(
        f"{name.replace('_', ' ')} is {format_value(stored[name])}, not {format_value(value)}"
        for name, value in different.items()
    )
    return f"Twilio accepted the update, but did not make it: {settings}."


def _consequence(sender: SenderResource) -> str:
    if sender.own is None:
        return "It is deleted, and can be added again."
    if sender.own.sms_url:
        return f"Its texts then go to {sender.own.sms_url}."
    return "It stays on the account, but its texts then get no answer."


def _is_new_alpha_sender(name: str, types: Sequence[SenderType]) -> bool:
    number = name.startswith("+") or name.isdigit()
    return SenderType.ALPHA_SENDER in types and not number and not _SID_LIKE.fullmatch(name)


def _type_of(name: str, types: Sequence[SenderType]) -> SenderType:
    if _SID.fullmatch(name):
        sender_type = SenderType(name[:2])
    elif _SID_LIKE.fullmatch(name):
        raise CommandError(f"{name} is not a sid: a sid has two letters and 32 hex digits.", code=2)
    elif name.startswith("+"):
        sender_type = SenderType.PHONE_NUMBER
    else:
        sender_type = SenderType.SHORT_CODE if name.isdigit() else SenderType.ALPHA_SENDER
    if sender_type not in types:
        raise CommandError(
            f"{name} is not a short code: use its sid (SC...) or its digits.",
            f"Other senders: sms-router senders show {name}",
            code=2,
        )
    return sender_type
