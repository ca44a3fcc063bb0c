"""``sms-router keywords try``: which replies a changed keywords file would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import JsonOption, RevealOption, plain, plural, print_json, print_table, stdout
from sms_router.cli.rules import load_rules, load_rules_in_use
from sms_router.cli.store import read_store
from sms_router.privacy import mask_text
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.timeline import format_iso
from sms_router.routing.pipeline.explain import Preview, preview

MAX_SHOWN = 30
"""Different changes in the table; ``--json`` has every message."""


class Change(NamedTuple):
    """A message that would be answered differently."""

    record: MessageRecord
    before: Preview
    after: Preview


def try_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The file to try in place of keywords.toml.",
            exists=True,
            dir_okay=False,
        ),
    ],
    last: Annotated[int, typer.Option("--last", min=1, max=10_000, help="Number of messages.")] = 1000,
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """Try a keywords file on the last messages, and show which replies would change.

    The rules in use and those of FILE are applied to the messages in the journal, each at the time
    when it arrived; templates, opt-out keywords and handlers are the configured ones. No handler runs, and
    nothing is sent. Texts are masked unless --reveal is given or the configuration has privacy = "open".

    Exits with 1 when a reply would change, or when FILE has mistakes.
    """
    settings = settings_for_command()
    reveal = reveal or settings.is_open
    before, after = load_rules_in_use(settings), load_rules(settings, file=file)
    newest = read_store(settings, lambda client: HistoryReader(client).recent(last), ())
    records = [record for record in newest if record.message is not None]
    changes = list(_find_changes(before, after, records))
    if as_json:
        print_json(_as_json(len(records), changes, reveal))
    else:
        _print_changes(len(records), changes, reveal)
    if changes:
        raise typer.Exit(1)


def _find_changes(
    before: Dispatcher, after: Dispatcher, records: Sequence[MessageRecord]
) -> Iterator[Change]:
    for record in records:
        assert record.message is not None
        moment = (record.received or 0) / 1000
        current, changed = preview(before, record.message, moment), preview(after, record.message, moment)
        if current != changed:
            yield Change(record, current, changed)


def _print_changes(count: int, changes: Sequence[Change], reveal: bool) -> None:
    stdout.print(plain(f"{len(changes)} of {plural(count, 'message')} would be answered differently"))
    distinct = Counter((_body(change, reveal), change.before, change.after) for change in changes)
    if not distinct:
        return
    rows = [
        (str(times), body, before.rule, after.rule, _changed_reply(before, after, reveal))
        for (body, before, after), times in distinct.most_common(MAX_SHOWN)
    ]
    print_table(("times", "text", "rule before", "rule after", "reply after"), rows)
    if len(distinct) > MAX_SHOWN:
        stdout.print(plain(f"and {len(distinct) - MAX_SHOWN} more different changes: --json lists all"))


def _changed_reply(before: Preview, after: Preview, reveal: bool) -> str:
    """Return the new reply; without ``reveal`` it is masked, because a template can contain personal data."""
    if before.answer == after.answer:
        return "the same"
    return after.answer if reveal else mask_text(after.answer)


def _body(change: Change, reveal: bool) -> str:
    body = change.record.message.body if change.record.message else ""
    return " ".join(body.split()) if reveal else mask_text(body)


def _as_json(count: int, changes: Sequence[Change], reveal: bool) -> dict[str, object]:
    return {
        "tried": count,
        "changed": len(changes),
        "changes": [
            {
                "sid": change.record.sid,
                "received": format_iso(change.record.received),
                "to": change.record.message.recipient if change.record.message else None,
                "body": _body(change, reveal),
                "before": _outcome(change.before, reveal),
                "after": _outcome(change.after, reveal),
            }
            for change in changes
        ],
    }


def _outcome(outcome: Preview, reveal: bool) -> dict[str, str]:
    return {"rule": outcome.rule, "answer": outcome.answer if reveal else mask_text(outcome.answer)}
