"""``sms-router opt-outs``: the opt-out list, its import and export."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from redis import Redis
from rich.progress import Progress
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    Noun,
    RevealOption,
    contact_option,
    plural,
    print_json,
    print_line,
    print_table,
    stderr,
)
from sms_router.cli.store import read_store, store_client
from sms_router.cli.times import format_time, iso
from sms_router.config.settings import Settings
from sms_router.errors import ConfigurationError
from sms_router.privacy import mask_number
from sms_router.routing.handler.events import EventRecorder
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.timeline import body_of
from sms_router.routing.opt_outs.evidence import How, read_all, read_ledger, to_csv, to_json
from sms_router.routing.opt_outs.evidence import verify as verify_export
from sms_router.routing.opt_outs.opt_out_list import (
    BATCH_SIZE,
    COLUMNS,
    OptOutList,
    parse_scope,
    read_csv,
    write_csv,
)
from sms_router.senders.error_table import load_error_table

opt_outs = typer.Typer(cls=Noun, help="List, add, remove, import and export opt-outs.")

MAX_REPORTED_LINES = 20
"""Invalid lines of a file that are reported one by one."""

NumberArgument = Annotated[
    str,
    Argument(metavar="NUMBER", help="The number, like +14155550123.", callback=contact_option),
]
ScopeOption = Annotated[
    str | None,
    Option(
        "--service",
        help="The Messaging Service, or your number outside of Services; default: the first Service.",
    ),
]


@opt_outs.command("list")
def list_entries(
    limit: Annotated[int, Option(min=1, max=100_000, help="Maximum number of entries.")] = 20,
    suspected: Annotated[
        bool, Option("--suspected", help="List texts that may be meant as an opt-out, to decide.")
    ] = False,
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the latest opt-outs with their time and source."""
    settings = settings_for_command()
    reveal = reveal or settings.is_open
    columns = ("number", "service", "received", "text") if suspected else COLUMNS
    format_at: Callable[[int], str] = (lambda at: iso(at / 1000)) if as_json else format_time
    show_number: Callable[[str], str] = str if reveal else mask_number

    def read(client: Redis) -> list[tuple[str, ...]]:
        opt_out_list = _list(client, settings)
        if not suspected:
            return [
                (show_number(entry.number), entry.service, format_at(entry.since), entry.source)
                for entry in opt_out_list.entries(limit)
            ]
        texts = opt_out_list.suspected()[:limit]
        records = HistoryReader(client).read((text.number, text.reference) for text in texts)
        return [
            (
                show_number(text.number),
                text.service,
                format_at(text.at),
                body_of(record, reveal) if record.message is not None else "(no longer kept)",
            )
            for text, record in zip(texts, records, strict=True)
        ]

    rows = read_store(settings, read, ())
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif rows:
        print_table(columns, rows, optional=["service"])
        if suspected:
            hint = "" if reveal else "; --reveal shows the numbers and texts"
            print_line(f"Decide: sms-router opt-outs add NUMBER, or opt-outs dismiss NUMBER{hint}.")
    else:
        print_line("No text waits for a decision." if suspected else "No contact has opted out.")


@opt_outs.command("add")
def add(
    number: NumberArgument,
    service: ScopeOption = None,
    source: Annotated[str, Option(help="Stored as the reason of the entry.")] = "operator",
) -> None:
    """Add a contact to the list: the router sends them nothing until they text START."""
    settings = settings_for_command()
    scope = _scope(settings, service)
    with store_client(settings) as client:
        opt_out_list = _list(client, settings, has_events=True)
        added = opt_out_list.add([opt_out_list.new_entry(number, scope, source)])
    result = "is on the list now" if added else "was on the list already"
    print_line(f"{number} {result}, for {scope}.")


@opt_outs.command("dismiss")
def dismiss(number: NumberArgument, service: ScopeOption = None) -> None:
    """Decide that a suspected text is no opt-out: it leaves the list of --suspected.

    Exits with 1 when it was not there. opt-outs add decides that it is one.
    """
    settings = settings_for_command()
    scope = _scope(settings, service)
    with store_client(settings) as client:
        opt_out_list = _list(client, settings)
        dismissed = opt_out_list.dismiss([opt_out_list.new_entry(number, scope, "")])
    if not dismissed:
        raise CommandError(
            f"No text of {number} waits for a decision, for {scope}.",
            "List them: sms-router opt-outs list --suspected",
        )
    print_line(f"The text of {number} is no opt-out, for {scope}.")


@opt_outs.command("remove")
def remove(number: NumberArgument, service: ScopeOption = None) -> None:
    """Remove a contact from the list. Twilio has its own list, which ends with their START only.

    Exits with 1 when they were not on the list.
    """
    settings = settings_for_command()
    scope = _scope(settings, service)
    with store_client(settings) as client:
        opt_out_list = _list(client, settings, has_events=True)
        removed = opt_out_list.remove(opt_out_list.new_entry(number, scope, "operator"))
    if not removed:
        raise CommandError(f"{number} is not on the list for {scope}.", "List it: sms-router opt-outs list")
    print_line(f"{number} is off the list for {scope}.")


@opt_outs.command("import")
def import_(
    file: Annotated[Path, Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV file.")],
    service: ScopeOption = None,
) -> None:
    """Add the contacts in a CSV file to the list.

    The first line names the columns: number, and optionally service, since (ISO 8601) and source. When a line
    is invalid, all invalid lines are reported and nothing is changed. The same file may be imported again.
    Handlers of @on("opted_out") are not called.
    """
    settings = settings_for_command()
    service = service or _first_service(settings)
    now = int(time.time() * 1000)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            entries, invalid = read_csv(lines, service, now)
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: is not UTF-8; save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise CommandError(f"{file}: is not a CSV file: {error}.") from error
    if invalid:
        summary = f"{file}: {plural(len(invalid), 'invalid line')}; nothing was changed."
        sentences = [f"line {line.line}: {line.reason}" for line in invalid[:MAX_REPORTED_LINES]]
        if more := len(invalid) - len(sentences):
            sentences.append(f"... and {more} more")
        raise CommandError(summary, *sentences)
    added = 0
    with store_client(settings) as client, Progress(console=stderr, transient=True) as progress:
        opt_out_list = _list(client, settings)
        bar = progress.add_task("Importing", total=len(entries))
        for start in range(0, len(entries), BATCH_SIZE):
            added += opt_out_list.add(entries[start : start + BATCH_SIZE], How.IMPORT)
            progress.update(bar, completed=start + BATCH_SIZE)
    print_line(f"{plural(len(entries), 'line')} read, {added} added to the list.")


@opt_outs.command("show")
def show(
    number: NumberArgument,
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the evidence of a contact's consent, in every Service, the oldest entries first.

    When and how they opted out or in, what they were answered, and the messages that were not sent because of
    it. Exits with 1 when nothing is known.
    """
    settings = settings_for_command()
    reveal = reveal or settings.is_open
    entries = read_store(settings, lambda client: read_ledger(client, number), ())
    if not entries:
        raise CommandError(f"No opt-out or opt-in of {mask_number(number)} is known.")
    if as_json:
        masked = {} if reveal else {"number": mask_number(number)}
        print_json(
            [one._asdict() | masked | ({} if reveal or not one.text else {"text": "•"}) for one in entries]
        )
        return
    for entry in entries:
        print_line("\n    ".join(entry.describe(reveal)))


@opt_outs.command("export")
def export(
    file: Annotated[
        Path | None,
        Argument(metavar="FILE", dir_okay=False, help="The file to write; default: standard output."),
    ] = None,
    evidence: Annotated[
        bool, Option("--evidence", help="Write every entry of the evidence, with a digest, and not the list.")
    ] = False,
    verify: Annotated[
        Path | None,
        Option(
            "--verify",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Write nothing; check that an export of the evidence was not changed.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole list as CSV, with full numbers; with --evidence, the evidence as CSV or JSON.

    An export of the evidence ends with a SHA-256 digest of its entries, which is printed too: keep it apart.
    --verify prints the digest of a file that was not changed, and exits with 1 for one that was.
    """
    if verify is not None:
        digest = verify_export(verify.read_text("utf-8", errors="replace"))
        if digest is None:
            raise CommandError(f"{verify}: was changed, or is no export of the evidence.")
        print_line(f"{verify}: unchanged, SHA-256 {digest}")
        return
    settings = settings_for_command()
    text = io.StringIO(newline="")
    if evidence:
        entries = read_store(settings, read_all, ())
        text.write(to_json(entries) if as_json or (file and file.suffix == ".json") else to_csv(entries))
        count = len(entries)
    else:
        count = write_csv(
            text, read_store(settings, lambda client: list(_list(client, settings).entries()), ())
        )
    if file is None:
        sys.stdout.write(text.getvalue())
        return
    try:
        file.write_text(text.getvalue(), encoding="utf-8", newline="")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from error
    digest = f", SHA-256 {verify_export(text.getvalue())}" if evidence else ""
    print_line(f"{plural(count, 'entry')} written to {file}{digest}.")


def _list(client: Redis, settings: Settings, *, has_events: bool = False) -> OptOutList:
    ttl_ms, events = load_error_table(settings.folder).max_ttl_ms, EventRecorder()
    if has_events:
        from sms_router.cli.rules import event_recorder, load_rules_in_use  # noqa: PLC0415 (Jinja)

        with contextlib.suppress(ConfigurationError):  # mistakes in the rules do not prevent an opt-out
            events = event_recorder(settings, load_rules_in_use(settings))
    return OptOutList(client, ttl_ms, settings.router.consent_retention_days, events)


def _first_service(settings: Settings) -> str | None:
    return settings.services[0].sid if settings.services else None


def _scope(settings: Settings, service: str | None) -> str:
    service = service or _first_service(settings)
    if service is None:
        raise CommandError("No Messaging Service is configured; give one: --service MG...", code=2)
    try:
        return parse_scope(service)
    except ValueError as error:
        raise CommandError(str(error), code=2) from error
