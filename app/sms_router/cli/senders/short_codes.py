"""``sms-router short-codes``: the Service's short codes, at Twilio now."""

from __future__ import annotations

from typing import Annotated

import typer

from sms_router.cli.output import AsJson
from sms_router.cli.senders import common as shared
from sms_router.cli.twilio_access import OfService, Yes, operation
from sms_router.membership.admin import NumberFilter, SenderType

SHORT_CODES = (SenderType.SHORT_CODE,)

Named = Annotated[str, typer.Argument(metavar="SID", help="SC..., or the code itself.")]

short_codes = typer.Typer(
    help="Short codes of the Messaging Service: list, show, add, remove, update.", no_args_is_help=True
)


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(short_codes, name="short-codes")


@short_codes.command("list")
def list_short_codes(
    friendly_name: shared.NameFilter = None,
    short_code: Annotated[
        str | None, typer.Option("--short-code", help="Only those with these digits; * is any one.")
    ] = None,
    everything: shared.Everything = False,
    service: OfService = None,
    as_json: AsJson = False,
) -> None:
    """List the Service's short codes."""
    chosen = NumberFilter(friendly_name, short_code)
    at = operation(service)
    found = shared.list_senders(at, SHORT_CODES, chosen, everything=everything)
    shared.print_senders(at, found, as_json=as_json)


@short_codes.command("show")
def show(sid: Named, service: OfService = None, as_json: AsJson = False) -> None:
    """Show one short code: what it sends, and its own URLs."""
    shared.print_sender(shared.find_sender(operation(service), sid, SHORT_CODES), as_json=as_json)


@short_codes.command("add")
def add(sid: Named, service: OfService = None, as_json: AsJson = False) -> None:
    """Add a short code of the account to the Service."""
    shared.add_sender(operation(service), sid, SHORT_CODES, as_json=as_json)


@short_codes.command("remove")
def remove(sid: Named, yes: Yes = False, service: OfService = None) -> None:
    """Take a short code out of the Service; it stays on the account."""
    shared.remove_sender(operation(service), sid, SHORT_CODES, yes=yes)


@short_codes.command("update")
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
    """Change a short code's own name and URLs."""
    wanted = {
        "friendly_name": friendly_name,
        "sms_url": sms_url,
        "sms_method": sms_method,
        "sms_fallback_url": sms_fallback_url,
        "sms_fallback_method": sms_fallback_method,
        "api_version": api_version,
    }
    shared.update_sender(operation(service), sid, SHORT_CODES, wanted, as_json=as_json)
