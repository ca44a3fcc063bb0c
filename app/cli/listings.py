"""``keywords``, ``senders``, ``membership show``: what the router works with."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from app.cli.pools import known_snapshots
from app.cli.situation import load_rules, settings_for_command
from app.cli.speaking import AsJson, out, print_json, print_table
from app.membership.snapshot import Snapshot
from app.routing.rules import MatchKind
from app.senders.sender import Capability

membership = typer.Typer(help="What is known of the Messaging Services.", no_args_is_help=True)


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.command("keywords")(keywords)
    commands.command("senders")(senders)
    commands.add_typer(membership, name="membership")


def keywords(as_json: AsJson = False) -> None:
    """List the rules, in the order of their precedence."""
    rules = load_rules(settings_for_command()).table.rules
    ordered = sorted(rules, key=lambda rule: list(MatchKind).index(rule.kind))
    if as_json:
        print_json(
            [
                {
                    "words": list(rule.words),
                    "match": rule.kind.value,
                    "scope": str(rule.scope),
                    "source": rule.source,
                }
                for rule in ordered
            ]
        )
        return
    rows = [(", ".join(rule.words), rule.kind.value, str(rule.scope), rule.source) for rule in ordered]
    print_table(("words", "match", "scope", "defined in"), rows)


def senders(as_json: AsJson = False) -> None:
    """List the numbers that may answer."""
    snapshots = known_snapshots(settings_for_command())
    if as_json:
        print_json([sender for snapshot in snapshots for sender in _senders(snapshot)])
        return
    for snapshot in snapshots:
        out.print(f"Senders of {snapshot.service_sid} {snapshot.settings.friendly_name}", markup=False)
        columns = ("number", "kind", "country", "sends")
        print_table(columns, [[sender[column] for column in columns] for sender in _senders(snapshot)])


def _senders(snapshot: Snapshot) -> list[dict[str, str]]:
    return [
        {
            "service": snapshot.service_sid,
            "number": sender.address,
            "kind": sender.kind.value,
            "country": sender.country or "",
            "sends": "+".join(flag.name or "" for flag in Capability if flag & sender.capabilities),
            "sid": sender.sid,
        }
        for sender in snapshot.senders
    ]


@membership.command("show")
def show(as_json: AsJson = False) -> None:
    """Show each Messaging Service as it was last read from Twilio, and when that was."""
    services = [_service(snapshot) for snapshot in known_snapshots(settings_for_command())]
    if as_json:
        print_json(services)
        return
    for service in services:
        print_table(("Messaging Service", service["service"]), list(service.items())[1:])


def _service(snapshot: Snapshot) -> dict[str, str]:
    settings = snapshot.settings
    return {
        "service": snapshot.service_sid,
        "name": settings.friendly_name,
        "senders": str(len(snapshot.senders)),
        "read": datetime.fromtimestamp(snapshot.read_at, UTC).isoformat(timespec="seconds"),
        "inbound URL": settings.inbound_request_url or "none",
        "fallback URL": settings.fallback_url or "none",
        "status callback": settings.status_callback or "none",
        "webhook of": "each number" if settings.use_inbound_webhook_on_number else "the Service",
    }
