"""``check``, ``keywords``, ``senders``, ``membership show``: what the router would work with."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from app.cli.pools import known_snapshots
from app.cli.situation import settings_for_command
from app.cli.speaking import AsJson, out, print_json, print_table
from app.routing.rule_file import load_dispatcher
from app.routing.rules import MatchKind
from app.routing.threads import Threads

membership = typer.Typer(help="The senders of the Messaging Services.", no_args_is_help=True)


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.command("check")(check)
    commands.command("keywords")(keywords)
    commands.command("senders")(senders)
    commands.add_typer(membership, name="membership")


def check() -> None:
    """Check the configuration: settings, keywords, templates and handlers; exit 1 when anything is wrong."""
    settings = settings_for_command()
    threads = Threads(1)
    dispatcher = load_dispatcher(settings.folder, settings.router.handlers, threads)
    for shadowing in dispatcher.table.shadowed():
        out.print(f"warning: {shadowing}", markup=False)
    out.print(
        f"{settings.folder}: good: {len(dispatcher.table.rules)} rules, {len(settings.accounts)} accounts, "
        f"{len(settings.services)} Services",
        markup=False,
    )


def keywords(as_json: AsJson = False) -> None:
    """List the rules, in the order of their precedence."""
    settings = settings_for_command()
    table = load_dispatcher(settings.folder, settings.router.handlers, Threads(1)).table
    rules = sorted(table.rules, key=lambda rule: list(MatchKind).index(rule.kind))
    if as_json:
        print_json(
            [
                {
                    "words": list(rule.words),
                    "match": rule.kind.value,
                    "scope": str(rule.scope),
                    "source": rule.source,
                }
                for rule in rules
            ]
        )
        return
    rows = ((", ".join(rule.words), rule.kind.value, str(rule.scope), rule.source) for rule in rules)
    print_table("Keywords", ("words", "match", "scope", "defined in"), rows)


def senders(as_json: AsJson = False) -> None:
    """List the numbers that may answer."""
    snapshots = known_snapshots(settings_for_command())
    rows = [
        (
            snapshot.service_sid,
            sender.address,
            sender.kind.value,
            sender.country or "",
            "+".join(each.name or "" for each in sender.capabilities),
            sender.sid,
        )
        for snapshot in snapshots
        for sender in snapshot.senders
    ]
    columns = ("service", "number", "kind", "country", "sends", "sid")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("Senders", columns, rows)


@membership.command("show")
def show(as_json: AsJson = False) -> None:
    """Show what is known of each Messaging Service, and how old it is."""
    columns = ("service", "name", "senders", "read (UTC)", "inbound URL", "fallback URL")
    rows = [
        (
            snapshot.service_sid,
            snapshot.settings.friendly_name,
            str(len(snapshot.senders)),
            datetime.fromtimestamp(snapshot.read_at, UTC).isoformat(sep=" ", timespec="seconds")[:19],
            snapshot.settings.inbound_request_url or "none",
            snapshot.settings.fallback_url or "none",
        )
        for snapshot in known_snapshots(settings_for_command())
    ]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("Messaging Services", columns, rows)
