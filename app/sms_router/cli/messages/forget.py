"""``sms-router messages forget``: delete what is stored about a contact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import redis
import typer
from rich.progress import Progress

from sms_router.cli.context import has_store, settings_for_command, store_client
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    address_option,
    confirm,
    plain,
    plural,
    print_json,
    stderr,
    stdout,
)
from sms_router.cli.twilio_access import YesOption
from sms_router.config.settings import Settings
from sms_router.privacy import mask_number
from sms_router.routing.history.erasure import ContactEraser, StoredData
from sms_router.twilio.phone_numbers import contact_of

_KIND_NAMES = {
    "messages": "message",
    "receipts": "delivery receipt",
    "dead_letters": "dead letter",
    "outbox": "message in the outbox",
    "suspected": "entry of the suspected texts",
    "contact": "record of unreachable senders",
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
        typer.Argument(
            metavar="NUMBER", help="The contact's number, like +14155550123.", callback=address_option
        ),
    ],
    opt_out_too: Annotated[
        bool,
        typer.Option("--opt-out-too", help="Delete the opt-outs and their evidence too: their STOP is lost."),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete everything that is stored about a contact, in every Service.

    Their texts and the replies, delivery receipts, dead letters, messages in the outbox, conversations, and
    unreachable senders. Opt-outs and their evidence stay unless --opt-out-too is given. Exits with 1 when
    nothing is stored, or a text of theirs is being answered.
    """
    settings = settings_for_command()
    if not has_store(settings):
        raise _nothing_stored(number)
    with store_client(settings) as client:
        eraser, stored = _find(client, contact_of(number))
        removed = dict(stored.counts)
        if opt_out_too:
            removed |= _consent_counts(stored)
        if not removed and not stored.in_progress:
            raise _nothing_stored(number, has_opt_outs=bool(_consent_counts(stored)))
        confirm(f"Delete {_format_counts(removed)} of {mask_number(number)}?", yes=yes)
        eraser.remove(stored, opt_out_too=opt_out_too)
    spool_files = _count_spool_files(settings)
    if as_json:
        print_json(_as_json(number, stored, removed, spool_files, opt_out_too=opt_out_too))
    else:
        _print_result(stored, removed, spool_files, opt_out_too=opt_out_too)
    if stored.in_progress:
        raise typer.Exit(1)


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
    return ", ".join(
        _format_count(count, _KIND_NAMES.get(kind, f"{kind} entry")) for kind, count in removed.items()
    )


def _format_count(number: int, thing: str) -> str:
    first, _, rest = thing.partition(" of ")
    noun = "entries" if first == "entry" and number != 1 else ""
    counted = f"{number} {noun}" if noun else plural(number, first)
    return counted + (f" of {rest}" if rest else "")


def _count_spool_files(settings: Settings) -> int:
    """Count the spool files on this machine that wait for Redis."""
    folder = settings.router.data_dir / "spool"
    return sum(1 for _ in folder.glob("*.db"))


def _print_result(
    stored: StoredData, removed: Mapping[str, int], spool_files: int, *, opt_out_too: bool
) -> None:
    for kind, count in removed.items():
        stdout.print(plain(f"deleted: {_format_counts({kind: count})}"), soft_wrap=True)
    if (consents := _consent_counts(stored)) and not opt_out_too:
        stdout.print(f"kept:    {_format_counts(consents)} (--opt-out-too deletes it)", soft_wrap=True)
    if stored.in_progress:
        texts = plural(len(stored.in_progress), "text")
        stdout.print(f"{texts} of theirs is being answered now; then run this again.")
    if spool_files:
        files = plural(spool_files, "spool file")
        stdout.print(
            f"{files} on this machine may contain the number and waits for Redis; then run this again.",
            soft_wrap=True,
        )


def _as_json(
    number: str, stored: StoredData, removed: Mapping[str, int], spool_files: int, *, opt_out_too: bool
) -> dict[str, object]:
    return {
        "number": mask_number(number),
        "removed": removed,
        "kept": {"opt_outs": 0, "evidence": 0} | ({} if opt_out_too else _consent_counts(stored)),
        "in_work": len(stored.in_progress),
        "spool_files": spool_files,
    }
