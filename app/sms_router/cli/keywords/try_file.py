"""``sms-router keywords try``: whose answers a changed keywords file would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from sms_router.cli.context import has_store, load_rule_files, settings_for_command, store_client
from sms_router.cli.output import AsJson, plain, plural, print_json, print_table, stdout
from sms_router.config.models import Privacy
from sms_router.config.settings import Settings
from sms_router.privacy import mask_text
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.timeline import format_iso
from sms_router.routing.pipeline.explain import Preview, preview

MOST_SHOWN = 30
"""Kinds of change that people are shown; ``--json`` has every message."""


class Change(NamedTuple):
    """A message that would be answered differently."""

    episode: MessageRecord
    before: Preview
    after: Preview


def try_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A keywords file, tried in place of keywords.toml.",
            exists=True,
            dir_okay=False,
        ),
    ],
    last: Annotated[int, typer.Option("--last", min=1, max=10_000, help="How many messages.")] = 1000,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show texts in full.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try a keywords file on the last messages, and show whose answers would change.

    The messages in the journal go through the rules of keywords.toml and through those of FILE, each at
    the time when it came; templates, opt-out words and handlers are the configured ones. No handler is
    run, nothing is sent. Texts are shortened unless --reveal is given or the configuration says
    privacy = "open".

    Exits with 1 when any answer would change, and when FILE has mistakes.
    """
    settings = settings_for_command()
    reveal = reveal or settings.router.privacy is Privacy.OPEN
    before, after = load_rule_files(settings, (settings.folder / "keywords.toml", file))
    episodes = [each for each in _recent(settings, last) if each.message is not None]
    changes = list(_changes(before, after, episodes))
    if as_json:
        print_json(_as_json(len(episodes), changes, reveal))
    else:
        _tell(len(episodes), changes, reveal)
    if changes:
        raise typer.Exit(1)


def _recent(settings: Settings, limit: int) -> list[MessageRecord]:
    if not has_store(settings):
        return []
    with store_client(settings) as client:
        return HistoryReader(client).recent(limit)


def _changes(before: Dispatcher, after: Dispatcher, episodes: Sequence[MessageRecord]) -> Iterator[Change]:
    for episode in episodes:
        assert episode.message is not None
        moment = (episode.received or 0) / 1000
        was, would_be = preview(before, episode.message, moment), preview(after, episode.message, moment)
        if was != would_be:
            yield Change(episode, was, would_be)


def _tell(count: int, changes: Sequence[Change], reveal: bool) -> None:
    stdout.print(plain(f"{len(changes)} of {plural(count, 'message')} would be answered otherwise"))
    kinds = Counter((_body(change, reveal), change.before, change.after) for change in changes)
    if not kinds:
        return
    rows = [
        (str(times), body, before.rule, after.rule, _shown(before, after, reveal))
        for (body, before, after), times in kinds.most_common(MOST_SHOWN)
    ]
    print_table(("times", "text", "rule before", "rule after", "answer after"), rows)
    if len(kinds) > MOST_SHOWN:
        stdout.print(plain(f"and {len(kinds) - MOST_SHOWN} more kinds of change: --json tells them all"))


def _shown(before: Preview, after: Preview, reveal: bool) -> str:
    """Return the answer that somebody would get; what a template says of people is theirs."""
    if before.answer == after.answer:
        return "the same"
    return after.answer if reveal else mask_text(after.answer)


def _body(change: Change, reveal: bool) -> str:
    body = change.episode.message.body if change.episode.message else ""
    return " ".join(body.split()) if reveal else mask_text(body)


def _as_json(count: int, changes: Sequence[Change], reveal: bool) -> dict[str, object]:
    return {
        "tried": count,
        "changed": len(changes),
        "changes": [
            {
                "sid": change.episode.sid,
                "received": format_iso(change.episode.received),
                "to": change.episode.message.recipient if change.episode.message else None,
                "body": _body(change, reveal),
                "before": _outcome(change.before, reveal),
                "after": _outcome(change.after, reveal),
            }
            for change in changes
        ],
    }


def _outcome(outcome: Preview, reveal: bool) -> dict[str, str]:
    return {"rule": outcome.rule, "answer": outcome.answer if reveal else mask_text(outcome.answer)}
