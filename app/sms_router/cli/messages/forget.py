"""``sms-router messages forget`` and ``erasures``: delete what is stored about a contact, with a receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated

import redis
import typer
from rich.progress import Progress, track
from typer import Argument, Option

from sms_router.cli.context import has_store, settings_for_command
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    address_option,
    confirm,
    plural,
    print_json,
    print_line,
    stderr,
)
from sms_router.cli.store import read_store, store_client
from sms_router.cli.times import format_time
from sms_router.cli.twilio_access import YesOption, call_twilio
from sms_router.membership.audit_log import current_operator
from sms_router.privacy import mask_number
from sms_router.routing.history.erasure import ContactEraser, StoredData
from sms_router.routing.history.erasure_receipts import ErasureReceipt, ErasureReceipts
from sms_router.twilio.message_log import ErasureResult
from sms_router.twilio.phone_numbers import contact_of

_KIND_NAMES = {
    "messages": "message",
    "receipts": "delivery receipt",
    "dead_letters": "dead letter",
    "outbox": "message in the outbox",
    "suspected": "entry of the suspected texts",
    "contact": "record of senders, language and attributes",
    "last_delivery": "record of the last delivery",
    "reply_count": "reply count of the loop guard",
    "conversation": "conversation",
    "cookies": "cookie jar of an application",
    "opt_outs": "entry of the opt-out list",
    "evidence": "ledger of consent",
}


def forget(
    number: Annotated[
        str,
        Argument(metavar="NUMBER", help="The contact's number, like +14155550123.", callback=address_option),
    ],
    opt_out_too: Annotated[
        bool, Option("--opt-out-too", help="Delete the opt-outs and their evidence too: their STOP is lost.")
    ] = False,
    at_twilio: Annotated[
        bool, Option("--at-twilio", help="Delete all messages from and to them at Twilio too.")
    ] = False,
    redact: Annotated[
        bool, Option("--redact", help="With --at-twilio: delete only texts and media, and keep the records.")
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete everything that is stored about a contact, in every Service.

    Their texts and the replies, delivery receipts, dead letters, messages in the outbox, conversations, and
    unreachable senders. Opt-outs and their evidence stay unless --opt-out-too is given. With --at-twilio also
    the messages in Twilio's log of each configured account; what Twilio does not delete yet, a running
    router tries once an hour for 15 days. A receipt tells what was erased where (messages erasures). Exits
    with 1 when nothing is stored, or a text of theirs is being answered.
    """
    settings = settings_for_command()
    if redact and not at_twilio:
        raise CommandError("--redact needs --at-twilio.", code=2)
    if not has_store(settings):
        raise _nothing_stored(number)
    contact = contact_of(number)
    with store_client(settings) as client:
        eraser, stored = _find(client, contact)
        logs = {account.sid: settings.message_log(account.sid) for account in settings.accounts if at_twilio}
        found = {
            account: call_twilio(settings, "Reading Twilio's message log", partial(log.sids_of, contact))
            for account, log in logs.items()
        }
        count = sum(map(len, found.values()))
        removed = dict(stored.counts) | (_consent_counts(stored) if opt_out_too else {})
        if not removed and not stored.in_progress and not count:
            raise _nothing_stored(number, has_opt_outs=bool(_consent_counts(stored)))
        there = f", and {plural(count, 'message')} at Twilio" if at_twilio else ""
        confirm(
            f"Delete {_format_counts(removed) or 'nothing here'}{there} of {mask_number(number)}?", yes=yes
        )
        mode = ErasureResult.REDACTED if redact else ErasureResult.DELETED
        kept = {} if opt_out_too else _consent_counts(stored)
        receipts = ErasureReceipts(client, settings.router.consent_retention_days)
        draft = ErasureReceipt(
            "", 0, current_operator(), mask_number(number), removed, kept, mode if at_twilio else ""
        )
        receipt, pending = receipts.write(draft, found, mode)
        eraser.remove(stored, opt_out_too=opt_out_too)
        for message in track(pending, "Erasing at Twilio", console=stderr, transient=True):
            receipts.erase(message, logs[message.account])
        receipt = receipts.get(receipt.receipt_id) or receipt
    spool_files = sum(1 for _ in (settings.router.data_dir / "spool").glob("*.db"))
    if as_json:
        print_json(
            {
                "number": mask_number(number),
                "removed": removed,
                "kept": {"opt_outs": 0, "evidence": 0} | kept,
                "in_work": len(stored.in_progress),
                "spool_files": spool_files,
                "receipt": receipt.receipt_id,
                "at_twilio": Counter(receipt.results.values()),
            }
        )
    else:
        _print_result(stored, removed, kept, spool_files)
        _print_twilio(receipt)
    if stored.in_progress:
        raise typer.Exit(1)


def erasures(
    receipt_id: Annotated[
        str | None, Argument(metavar="[RECEIPT]", help="Show one with all results.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the receipts of erasures: what was deleted and kept, here and at Twilio.

    Exits with 1 when there is no such receipt.
    """
    settings = settings_for_command()

    def read(client: redis.Redis) -> list[ErasureReceipt]:
        receipts = ErasureReceipts(client, settings.router.consent_retention_days)
        if receipt_id is None:
            return receipts.newest()
        receipt = receipts.get(receipt_id)
        return [receipt] if receipt is not None else []

    found = read_store(settings, read, ())
    if receipt_id is not None and not found:
        raise CommandError(f"There is no receipt {receipt_id}.", "List them: sms-router messages erasures")
    if as_json:
        print_json([asdict(receipt) for receipt in found])
        return
    if not found:
        print_line("Nothing was erased yet.")
    for receipt in found:
        deleted = _format_counts(receipt.removed) or "nothing"
        kept = f"; kept {_format_counts(receipt.kept)}" if receipt.kept else ""
        head = f"{receipt.receipt_id}  {format_time(receipt.at * 1000)}  {receipt.number} by {receipt.who}"
        line = f"{head}: deleted {deleted}{kept}"
        print_line(line)
        _print_twilio(receipt, "    ")
        for sid, result in sorted(receipt.results.items()) if receipt_id is not None else ():
            print_line(f"    {sid}: {result}")


def _print_twilio(receipt: ErasureReceipt, indent: str = "") -> None:
    if receipt.twilio:
        results = ", ".join(
            f"{count} {result}" for result, count in sorted(Counter(receipt.results.values()).items())
        )
        print_line(f"{indent}at Twilio: {results or 'nothing found'}")
        if ErasureResult.NOT_FINAL in receipt.results.values():
            print_line(
                f"{indent}Twilio deletes a message once it is final; a running router tries it hourly."
            )
    if not indent:
        print_line(f"receipt: {receipt.receipt_id} (messages erasures)")


def _find(client: redis.Redis, number: str) -> tuple[ContactEraser, StoredData]:
    """Search everything that is stored, and show the progress."""
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        bar = progress.add_task("Searching", total=None)
        eraser = ContactEraser(client, number, lambda count: progress.advance(bar, count))
        return eraser, eraser.find()


def _consent_counts(stored: StoredData) -> dict[str, int]:
    counts = {"opt_outs": len(stored.opt_outs), "evidence": len(stored.evidence)}
    return {kind: count for kind, count in counts.items() if count}


def _nothing_stored(number: str, *, has_opt_outs: bool = False) -> CommandError:
    exception = " except their opt-outs and the evidence (--opt-out-too)" if has_opt_outs else ""
    return CommandError(f"Nothing is stored about {mask_number(number)}{exception}.")


def _format_counts(removed: Mapping[str, int]) -> str:
    parts = []
    for kind, count in removed.items():
        noun, of, rest = _KIND_NAMES.get(kind, f"{kind} entry").partition(" of ")
        parts.append(plural(count, noun) + of + rest)
    return ", ".join(parts)


def _print_result(
    stored: StoredData, removed: Mapping[str, int], kept: Mapping[str, int], spool_files: int
) -> None:
    for kind, count in removed.items():
        print_line(f"deleted: {_format_counts({kind: count})}")
    if kept:
        print_line(f"kept:    {_format_counts(kept)} (--opt-out-too deletes it)")
    if stored.in_progress:
        texts = plural(len(stored.in_progress), "text")
        print_line(f"{texts} of theirs is being answered now; then run this again.")
    if spool_files:
        files = plural(spool_files, "spool file")
        print_line(
            f"{files} on this machine may contain the number and waits for Redis; then run this again."
        )
