"""``sms-router messages forget``: remove what is kept of one person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import redis
import typer
from rich.progress import Progress

from sms_router.cli.context import has_store, settings_for_command, store_client
from sms_router.cli.output import (
    AsJson,
    CommandError,
    address,
    confirm,
    plain,
    plural,
    print_json,
    stderr,
    stdout,
)
from sms_router.config.settings import Settings
from sms_router.privacy import mask_number
from sms_router.routing.history.erasure import ContactEraser, StoredData

_WORDS = {
    "messages": "message",
    "receipts": "delivery receipt",
    "dead_letters": "dead letter",
    "outbox": "message in the outbox",
    "contact": "record of which numbers reach them",
    "last_delivery": "record of when they were last reached",
    "reply_count": "count of their replies",
    "conversation": "conversation",
    "cookies": "cookie jar of an application",
}


def forget(
    number: Annotated[
        str,
        typer.Argument(metavar="NUMBER", help="The person's number, like +14155550123.", callback=address),
    ],
    opt_out_too: Annotated[
        bool,
        typer.Option(
            "--opt-out-too", help="Also from the opt-out list: nobody will know that they said STOP."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove everything that is kept of one person, in every Service.

    Their texts and the answers, delivery receipts, dead letters, what waits in the outbox, conversations,
    and what was learned about them. On the opt-out list they stay unless --opt-out-too is given. Exits
    with 1 when nothing is kept, or a text of theirs is being answered just now.
    """
    settings = settings_for_command()
    if not has_store(settings):
        raise _nothing(number)
    with store_client(settings) as client:
        forgetting, kept = _look(client, number)
        removed = dict(kept.counts)
        if kept.opt_outs and opt_out_too:
            removed["opt_outs"] = len(kept.opt_outs)
        if not removed and not kept.in_progress:
            raise _nothing(number, on_the_list=bool(kept.opt_outs))
        confirm(f"Remove {_in_words(removed)} of {mask_number(number)}?", yes=yes)
        forgetting.remove(kept, opt_out_too=opt_out_too)
    waiting = _spooled(settings)
    if as_json:
        print_json(_as_json(number, kept, removed, waiting, opt_out_too=opt_out_too))
    else:
        _tell(kept, removed, waiting, opt_out_too=opt_out_too)
    if kept.in_progress:
        raise typer.Exit(1)


def _look(client: redis.Redis, number: str) -> tuple[ContactEraser, StoredData]:
    """Look through everything, and show the progress."""
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        bar = progress.add_task("Looking", total=None)
        forgetting = ContactEraser(client, number, lambda count: progress.advance(bar, count))
        return forgetting, forgetting.find()


def _nothing(number: str, *, on_the_list: bool = False) -> CommandError:
    stays = " but their place on the opt-out list (--opt-out-too)" if on_the_list else ""
    return CommandError(f"Nothing is kept of {mask_number(number)}{stays}.")


def _in_words(removed: Mapping[str, int]) -> str:
    words = {**_WORDS, "opt_outs": "place on the opt-out list"}
    return ", ".join(_counted(count, words.get(kind, f"{kind} entry")) for kind, count in removed.items())


def _counted(number: int, thing: str) -> str:
    first, _, rest = thing.partition(" of ")
    return plural(number, first) + (f" of {rest}" if rest else "")


def _spooled(settings: Settings) -> int:
    """Count the spool files on this machine that still wait for Redis."""
    folder = settings.router.data_dir / "spool"
    return sum(1 for _ in folder.glob("*.db"))


def _tell(kept: StoredData, removed: Mapping[str, int], waiting: int, *, opt_out_too: bool) -> None:
    for kind, count in removed.items():
        stdout.print(plain(f"removed: {_in_words({kind: count})}"), soft_wrap=True)
    if kept.opt_outs and not opt_out_too:
        stdout.print(f"kept:    {_in_words({'opt_outs': len(kept.opt_outs)})} (--opt-out-too removes it)")
    again = "; then run this again"
    if kept.in_progress:
        stdout.print(f"{plural(len(kept.in_progress), 'text')} of theirs is being answered just now{again}.")
    if waiting:
        files = plural(waiting, "spool file")
        stdout.print(f"{files} on this machine may name them, and waits for Redis{again}.", soft_wrap=True)


def _as_json(
    number: str, kept: StoredData, removed: Mapping[str, int], waiting: int, *, opt_out_too: bool
) -> dict[str, object]:
    return {
        "number": mask_number(number),
        "removed": removed,
        "kept": {"opt_outs": 0 if opt_out_too else len(kept.opt_outs)},
        "in_work": len(kept.in_progress),
        "spool_files": waiting,
    }
