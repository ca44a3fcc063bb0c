"""``sms-router sessions``: who is logged in to the console, and the end of one login."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import CommandError, JsonOption, Noun, plural, print_json, print_line, print_table
from sms_router.cli.store import store_client
from sms_router.cli.times import format_time
from sms_router.store.server_clock import server_time
from sms_router.web.console.sessions import end_session, stored_sessions

sessions = typer.Typer(cls=Noun, help="List the logins of the console, and end one.")


@sessions.command("list")
def list_sessions(as_json: JsonOption = False) -> None:
    """List who is logged in to the console, the newest login first."""
    with store_client(settings_for_command()) as client:
        stored = stored_sessions(client, server_time(client))
    if as_json:
        print_json([{"id": session.name, **session._asdict()} for session in stored])
    elif not stored:
        print_line("Nobody is logged in.")
    else:
        rows = [
            (
                each.name,
                *map(format_time, (each.began * 1000, each.expires * 1000)),
                each.address,
                each.browser,
            )
            for each in stored
        ]
        print_table(("id", "since", "until", "address", "browser"), rows, optional=["browser", "address"])


@sessions.command()
def end(
    ids: Annotated[list[str] | None, Argument(metavar="ID", help="From the list.")] = None,
    every: Annotated[bool, Option("--all", help="End every session.")] = False,
) -> None:
    """End sessions of the console, on every router at once."""
    if bool(ids) == every:
        raise CommandError("Name the sessions to end, or use --all.", "sms-router sessions", code=2)
    with store_client(settings_for_command()) as client:
        stored = stored_sessions(client, server_time(client))
        chosen = [each for each in stored if every or any(each.digest.startswith(name) for name in ids or ())]
        unknown = [name for name in ids or () if not any(each.digest.startswith(name) for each in chosen)]
        if unknown:
            raise CommandError(f"There is no session {', '.join(unknown)}.", "List them: sms-router sessions")
        for session in chosen:
            end_session(client, session)
    print_line(f"{plural(len(chosen), 'session')} ended.")
