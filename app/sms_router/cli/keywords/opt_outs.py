"""``sms-router opt-outs``: who gets nothing from us, and moving that list in and out."""

from __future__ import annotations

import csv
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from redis import Redis
from rich.progress import Progress

from sms_router.cli.context import has_store, settings_for_command, store_client
from sms_router.cli.output import (
    AsJson,
    CommandError,
    address,
    plural,
    print_json,
    print_table,
    stderr,
    stdout,
)
from sms_router.cli.times import iso
from sms_router.config.models import Privacy
from sms_router.config.settings import Settings
from sms_router.privacy import mask_number
from sms_router.routing.opt_outs.opt_out_list import (
    AT_ONCE,
    BadLine,
    OptOut,
    OptOutList,
    read_csv,
    validate_entry,
    write_csv,
)
from sms_router.senders.error_table import load_error_table
from sms_router.store.server_clock import server_time

opt_outs = typer.Typer(help="Who has opted out: list, add, remove, import, export.", no_args_is_help=True)

MOST_TOLD = 20
"""Bad lines of a file that are told one by one."""

Number = Annotated[
    str, typer.Argument(metavar="NUMBER", help="The person's number, like +14155550123.", callback=address)
]
ServiceSid = Annotated[
    str | None,
    typer.Option(
        "--service", help="The Messaging Service, or a number of ours outside Services; default: the first."
    ),
]


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(opt_outs, name="opt-outs")


@opt_outs.command("list")
def show(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at the most.")] = 20,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show numbers in full.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who opted out last, since when and by what (times in UTC)."""
    settings = settings_for_command()
    reveal = reveal or settings.router.privacy is Privacy.OPEN
    entries: list[OptOut] = []
    if has_store(settings):
        with store_client(settings) as client:
            entries = list(_list(client, settings).entries(limit))
    rows = [_row(entry, reveal) for entry in entries]
    if as_json:
        print_json([dict(zip(("number", "service", "since", "source"), row, strict=True)) for row in rows])
    elif rows:
        print_table(("number", "service", "since", "source"), rows)
    else:
        stdout.print("Nobody has opted out.")


@opt_outs.command("add")
def add(
    number: Number,
    service: ServiceSid = None,
    source: Annotated[str, typer.Option(help="What put them on the list.")] = "operator",
) -> None:
    """Put a person on the list: they get nothing from us until they text START."""
    settings = settings_for_command()
    entry = _entry(settings, number, service, source)
    with store_client(settings) as client:
        news = _list(client, settings).add([_now(entry, client)])
    done = "is on the list now" if news else "was on the list already"
    stdout.print(f"{number} {done}, for {entry.service}.", markup=False, soft_wrap=True)


@opt_outs.command("remove")
def remove(number: Number, service: ServiceSid = None) -> None:
    """Take a person off the list. Twilio keeps its own list, which only they can leave.

    Exits with 1 when they were not on it.
    """
    settings = settings_for_command()
    entry = _entry(settings, number, service, "operator")
    with store_client(settings) as client:
        was_there = _list(client, settings).remove(_now(entry, client))
    if not was_there:
        raise CommandError(
            f"{number} is not on the list for {entry.service}.", "See: sms-router opt-outs list"
        )
    stdout.print(f"{number} is off the list for {entry.service}.", markup=False, soft_wrap=True)


@opt_outs.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV file.")],
    service: ServiceSid = None,
) -> None:
    """Put everybody in a CSV file on the list.

    The first line names the columns: number, and optionally service, since (ISO 8601) and source. When
    any line is wrong, every wrong line is reported and nothing is changed. The same file may be
    imported again.
    """
    settings = settings_for_command()
    service = service or _first_service(settings)
    now = int(time.time() * 1000)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            entries, bad = read_csv(lines, service, validate_entry, now)
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: is not written in UTF-8; save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise CommandError(f"{file}: is not a CSV file: {error}.") from error
    if bad:
        raise CommandError(f"{file}: {plural(len(bad), 'line')} wrong; nothing was changed.", *_told(bad))
    news = 0
    with store_client(settings) as client, Progress(console=stderr, transient=True) as progress:
        listed = _list(client, settings)
        bar = progress.add_task("Importing", total=len(entries))
        for start in range(0, len(entries), AT_ONCE):
            news += listed.add(entries[start : start + AT_ONCE])
            progress.update(bar, completed=start + AT_ONCE)
    stdout.print(f"{plural(len(entries), 'line')} read, {news} new on the list.")


@opt_outs.command("export")
def export(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", dir_okay=False, help="Where to write; default: standard output."),
    ] = None,
) -> None:
    """Write the whole list as CSV, with numbers in full."""
    settings = settings_for_command()
    if not has_store(settings):
        write_csv(sys.stdout, ())
        return
    with store_client(settings) as client:
        entries = _list(client, settings).entries()
        if file is None:
            write_csv(sys.stdout, entries)
            return
        try:
            with file.open("w", encoding="utf-8", newline="") as lines:
                count = write_csv(lines, entries)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror or error}") from error
    stdout.print(f"{plural(count, 'person')} written to {file}.".replace("persons", "people"), markup=False)


def _list(client: Redis, settings: Settings) -> OptOutList:
    return OptOutList(client, load_error_table(settings.folder).max_ttl_ms)


def _first_service(settings: Settings) -> str | None:
    return settings.services[0].sid if settings.services else None


def _entry(settings: Settings, number: str, service: str | None, source: str) -> OptOut:
    service = service or _first_service(settings)
    if service is None:
        raise CommandError("No Messaging Service is configured; name one: --service MG...", code=2)
    if (reason := validate_entry(number, service)) is not None:
        raise CommandError(reason, code=2)
    return OptOut(number, service, 0, source)


def _now(entry: OptOut, client: Redis) -> OptOut:
    """Return it with the time by Redis' clock, which orders it among what the person has texted."""
    return replace(entry, since=int(server_time(client) * 1000))


def _told(bad: list[BadLine]) -> list[str]:
    lines = [f"line {each.line}: {each.reason}" for each in bad[:MOST_TOLD]]
    return [*lines, f"... and {len(bad) - MOST_TOLD} more"] if len(bad) > MOST_TOLD else lines


def _row(entry: OptOut, reveal: bool) -> tuple[str, str, str, str]:
    since = iso(entry.since / 1000)
    return entry.number if reveal else mask_number(entry.number), entry.service, since, entry.source
