"""``sms-router short-codes``: the Service's short codes at Twilio."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument, Option

from sms_router.cli.output import JsonOption, Noun
from sms_router.cli.senders import resources
from sms_router.cli.twilio_access import ServiceOption, YesOption, open_service
from sms_router.membership.admin import Changes, NumberFilter, SenderType

SHORT_CODES = (SenderType.SHORT_CODE,)

ShortCodeArgument = Annotated[str, Argument(metavar="SID", help="SC..., or the short code.")]

short_codes = typer.Typer(cls=Noun, help="List, show, add, remove and update the Service's short codes.")


@short_codes.command("list")
def list_short_codes(
    friendly_name: resources.NameFilter = None,
    short_code: Annotated[
        str | None, Option("--short-code", help="Only short codes with these digits; * is any digit.")
    ] = None,
    everything: resources.EverythingOption = False,
    service: ServiceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the Service's short codes at Twilio."""
    access = open_service(service)
    found = resources.list_senders(
        access, SHORT_CODES, NumberFilter(friendly_name, short_code), everything=everything
    )
    resources.print_senders(access, found, as_json=as_json)


@short_codes.command("show")
def show(sid: ShortCodeArgument, service: ServiceOption = None, as_json: JsonOption = False) -> None:
    """Show one short code: its capabilities and its own URLs."""
    resources.print_sender(resources.find_sender(open_service(service), sid, SHORT_CODES), as_json=as_json)


@short_codes.command("add")
def add(sid: ShortCodeArgument, service: ServiceOption = None, as_json: JsonOption = False) -> None:
    """Add a short code of the account to the Service."""
    resources.add_sender(open_service(service), sid, SHORT_CODES, as_json=as_json)


@short_codes.command("remove")
def remove(sid: ShortCodeArgument, yes: YesOption = False, service: ServiceOption = None) -> None:
    """Remove a short code from the Service; it stays on the account."""
    resources.remove_sender(open_service(service), sid, SHORT_CODES, yes=yes)


@short_codes.command("update")
@resources.with_setting_options(voice=False)
def update(
    sid: ShortCodeArgument, *, settings: Changes, service: ServiceOption = None, as_json: JsonOption = False
) -> None:
    """Change a short code's own name and URLs."""
    resources.update_sender(open_service(service), sid, SHORT_CODES, settings, as_json=as_json)
