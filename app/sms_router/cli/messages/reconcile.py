"""``sms-router reconcile``: find messages in Twilio's log whose webhook never came, and answer them."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from typer import Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import (
    JsonOption,
    RevealOption,
    plural,
    print_error,
    print_json,
    print_line,
    program,
    stderr,
)
from sms_router.cli.rules import event_recorder, load_rules_in_use
from sms_router.cli.senders.pools import known_snapshots
from sms_router.cli.store import store_client
from sms_router.cli.times import format_time, parse_since
from sms_router.config.settings import Settings
from sms_router.privacy import mask_number, mask_text
from sms_router.routing.history.reconciler import (
    Comparison,
    MissedMessage,
    MissedStatus,
    Reconciler,
    numbers_of,
)
from sms_router.routing.history.timeline import format_iso
from sms_router.senders.error_table import load_error_table
from sms_router.store.server_clock import server_time

_STATUSES = {
    MissedStatus.ARRIVED: "its webhook came meanwhile",
    MissedStatus.ANSWERED: "is answered by a running router",
    MissedStatus.JOURNALED: "is a dead letter now",
    MissedStatus.KNOWN: "is a dead letter",
    MissedStatus.FOUND: "nothing was stored",
}


def reconcile(
    since: Annotated[
        str, Option("--since", help="How far back: 30m, 24h, 3d, or a time (ISO 8601).")
    ] = "24h",
    answer: Annotated[
        bool, Option("--answer", help="Answer the messages without an answer, within late_limit.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="List only; nothing is stored or sent.")] = False,
    without_error: Annotated[
        bool,
        Option(
            "--without-error",
            help="Also messages for which Twilio has no error: another application has answered them, or a"
            " router whose Redis has lost the journal.",
        ),
    ] = False,
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare Twilio's message log with the journal, and list what never arrived.

    These messages become dead letters, and their opt-out keywords count. With --answer a running router
    answers them: rule, handler and sender are determined now, and the reply leaves by REST, once, not to a
    contact who has opted out and not later than late_limit seconds after the message. A webhook
    that comes later gets the stored answer. Exits with 1 when messages remain unanswered, or when something
    could not be read.
    """
    begin = parse_since(since, time.time())
    settings = settings_for_command()
    reveal = reveal or settings.is_open
    found = _run(settings, begin, answer=answer, dry_run=dry_run, without_error=without_error)
    if as_json:
        print_json([_as_json(missed, reveal) for missed in found.missed])
    else:
        _print(found, reveal, answer=answer, without_error=without_error)
    for sentence in found.failures:
        print_error(sentence[0].upper() + sentence[1:])
    done = {MissedStatus.ANSWERED, MissedStatus.ARRIVED}
    if found.failures or any(missed.status not in done for missed in found.missed):
        raise typer.Exit(1)


def _run(settings: Settings, since: int, *, answer: bool, dry_run: bool, without_error: bool) -> Comparison:
    snapshots = known_snapshots(settings)
    numbers = numbers_of({snapshot.service_sid: snapshot.pool() for snapshot in snapshots})
    logs = {snapshot.service_sid: settings.message_log(snapshot.account_sid) for snapshot in snapshots}
    dispatcher = load_rules_in_use(settings)
    with store_client(settings) as client, stderr.status("Reading Twilio's message log ...") as status:
        reconciler = Reconciler(
            client,
            logs.__getitem__,
            lambda message: dispatcher.resolve(message).opt_out,
            load_error_table(settings.folder).max_ttl_ms,
            settings.router.consent_retention_days,
            settings.router.retention_days,
            settings.router.late_limit,
            event_recorder(settings, dispatcher),
        )
        now = int(server_time(client) * 1000)

        def show(done: int) -> None:
            status.update(f"Reading Twilio's message log: {done} of {plural(len(numbers), 'number')} ...")

        found = reconciler.compare(numbers, since, now, show, keep_all=without_error)
        if not dry_run:
            for done, missed in enumerate(found.missed, 1):
                status.update(f"Recording {done} of {plural(len(found.missed), 'message')} ...")
                reconciler.record(missed, now, answer=answer)
    return found


def _print(found: Comparison, reveal: bool, *, answer: bool, without_error: bool) -> None:
    for missed in found.missed:
        logged = missed.logged
        sender = logged.sender if reveal else mask_number(logged.sender)
        body = " ".join((logged.body if reveal else mask_text(logged.body)).split())
        print_line(f"{logged.sid}  {missed.error or 'no error at Twilio'}: {_describe(missed)}", "bold")
        print_line(f"  {format_time(logged.received)}  {sender} to {logged.recipient}: {body}")
    counts = f"{plural(found.read, 'message')} in Twilio's log, without those of the last minute"
    if found.missed:
        print_line(f"\n{counts}; {len(found.missed)} never arrived.")
    elif not found.failures:
        print_line(f"{counts}; every one that failed is journaled.")
    if found.without_error and not without_error:
        print_line(
            f"{plural(found.without_error, 'message')} without an error at Twilio, which another application"
            " has answered, or a router whose Redis has lost the journal: --without-error lists them."
        )
    if found.missed and not answer:
        print_line(f"To answer them: {program()} reconcile --answer")


def _describe(missed: MissedMessage) -> str:
    return _STATUSES[missed.status] + (f"; {missed.note}" if missed.note else "")


def _as_json(missed: MissedMessage, reveal: bool) -> dict[str, object]:
    logged = missed.logged
    return {
        "sid": logged.sid,
        "received": format_iso(logged.received),
        "from": logged.sender if reveal else mask_number(logged.sender),
        "to": logged.recipient,
        "text": logged.body if reveal else mask_text(logged.body),
        "error": missed.error or None,
        "answered": missed.status is MissedStatus.ANSWERED,
        "status": missed.status.name.lower(),
        "why": _describe(missed),
    }
