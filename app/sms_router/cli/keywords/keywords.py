"""``sms-router keywords``: the rules, their mistakes, which rule a text matches, what other rules change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.keywords.published import publish_rules, roll_back, show_difference, show_history
from sms_router.cli.output import (
    JsonOption,
    Noun,
    RevealOption,
    TextArgument,
    address_option,
    plural,
    print_json,
    print_line,
    print_table,
)
from sms_router.cli.rules import load_contact, load_rules, load_rules_in_use
from sms_router.cli.senders.pools import known_senders
from sms_router.cli.store import read_store
from sms_router.cli.times import parse_time
from sms_router.config.settings import Settings
from sms_router.errors import ConfigurationError
from sms_router.privacy import mask_text
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution, RuleAction
from sms_router.routing.dispatch.rule_loader import add_places
from sms_router.routing.dispatch.rule_warnings import find_warnings
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.timeline import format_iso
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleCandidate
from sms_router.routing.pipeline.explain import (
    Preview,
    by_precedence,
    describe_action,
    explain_rules,
    preview,
    sample_message,
)
from sms_router.twilio.inbound import InboundMessage

keywords = typer.Typer(cls=Noun, help="List and check the rules; try texts and files.")


@keywords.command("list")
def list_rules(as_json: JsonOption = False) -> None:
    """List the rules in use in the order of precedence: those of the published version, else of the files.

    The functions with @on come last.
    """
    rules = load_rules_in_use(settings_for_command())
    shown = [
        (rule.words, rule.kind.value, str(rule.scope), rule.source, describe_action(rule.action))
        for rule in by_precedence(rules.table.rules)
    ]
    shown += [
        ((), f"event {kind}", "", handler.source, describe_action(handler))
        for kind, handlers in rules.events.items()
        for handler in handlers
    ]
    if as_json:
        names = ("words", "match", "scope", "source", "answer")
        print_json([dict(zip(names, fields, strict=True)) for fields in shown])
        return
    print_table(
        ("words", "match", "scope", "responder", "defined in"),
        [(", ".join(words), match, scope, action, source) for words, match, scope, source, action in shown],
        optional=["defined in"],
    )


@keywords.command("check")
def check(as_json: JsonOption = False) -> None:
    """Report rules that contradict each other, that can never match, or that do not fit the Services.

    They are compared with the senders that the routers have stored. Countries, numbers and Services that do
    not exist, pictures that no sender can send, and characters that cost a segment are warnings.

    Exits with 1 when there are mistakes: the router would not start. Warnings do not change the exit code.
    """
    settings = settings_for_command()
    mistakes: tuple[str, ...] = ()
    warnings: list[str] = []
    count = 0
    try:
        rules = load_rules(settings)
        warnings = find_warnings(rules, known_senders(settings))
        warnings = add_places(warnings, settings.folder / "keywords.toml")
        count = len(rules.table.rules)
    except ConfigurationError as error:
        mistakes = tuple(error.mistakes)
    if as_json:
        print_json({"good": not mistakes, "rules": count, "mistakes": list(mistakes), "warnings": warnings})
    else:
        _print_check(settings, count, mistakes, warnings)
    if mistakes:
        raise typer.Exit(1)


@keywords.command("test")
def test(
    words: TextArgument,
    recipient: Annotated[
        str | None, Option("--to", help="The number that is texted.", callback=address_option)
    ] = None,
    sender: Annotated[
        str | None,
        Option(
            "--from", help="The contact's number; rules may depend on its country.", callback=address_option
        ),
    ] = None,
    at: Annotated[
        str | None,
        Option(
            "--at", help="At a time: ISO 8601, in the Service's time zone unless it has one; or +3d, -12h."
        ),
    ] = None,
    service: Annotated[
        str | None, Option("--service", help="The Service; default: the first that is configured.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which rule a text matches, and why not the others.

    Nothing is sent, no handler runs, and Twilio is not called. The rules are those in use: the published
    version, else the files. With --from, the contact's conversation is taken into account; with --to, the
    Service is that of the number. Exits with 1 when no rule matches.
    """
    text = " ".join(words)
    settings = settings_for_command()
    rules = load_rules_in_use(settings)
    sid = service or _service_of(settings, recipient)
    zones = settings.time_zones
    when = parse_time(at, zones.zone_of(sid)) / 1000
    message = sample_message(settings.accounts[0].sid, sid, sender or "", recipient or "", text, None)
    resolution = rules.resolve(message, when)
    if sender and rules.conversations is not None and resolution.opt_out is None:
        _, conversation = load_contact(settings, sid or message.recipient, message.contact, int(when * 1000))
        resolution = rules.conversations.route(resolution, message, conversation)
    candidates = explain_rules(rules, message, resolution, when)
    has_match = (
        resolution.opt_out is not None
        or not resolution.is_default
        or any(candidate.verdict is MatchVerdict.CHOSEN for candidate in candidates)
    )
    local_time = zones.local_time(sid, when)
    document = _as_json(resolution, candidates, message, local_time)
    if as_json:
        print_json(document)
    else:
        _print_test(document, local_time)
    if not has_match:
        raise typer.Exit(1)


def _service_of(settings: Settings, recipient: str | None) -> str | None:
    """Return the Service of the number that is texted, as far as it is stored, else the first one."""
    pools = known_senders(settings).pools if recipient else {}
    holding = (sid for sid, pool in pools.items() if recipient and pool.holds(recipient))
    return next(holding, next((service.sid for service in settings.services), None))


def _print_check(settings: Settings, count: int, mistakes: Sequence[str], warnings: Sequence[str]) -> None:
    for mistake in mistakes:
        print_line(f"error: {mistake}", "bold red")
    for warning in warnings:
        print_line(f"warning: {warning}", "yellow")
    verdict = (
        f"not good: {plural(len(mistakes), 'mistake')}"
        if mistakes
        else f"good: {plural(count, 'rule')}, {plural(len(warnings), 'warning')}"
    )
    print_line(f"{settings.folder}: {verdict}")


def _as_json(
    resolution: Resolution,
    candidates: Sequence[RuleCandidate[RuleAction]],
    message: InboundMessage,
    local_time: datetime,
) -> dict[str, Any]:
    return {
        "rule": resolution.rule,
        "to": message.recipient or None,
        "from": message.sender or None,
        "service": message.service_sid,
        "at": local_time.isoformat(timespec="seconds"),
        "rules": [
            {
                "rule": candidate.rule.name,
                "keyword": candidate.keyword,
                "source": candidate.rule.source,
                "verdict": candidate.verdict.value,
                "reason": candidate.reason,
            }
            for candidate in candidates
        ],
    }


def _print_test(document: Mapping[str, Any], local_time: datetime) -> None:
    print_line(document["rule"], label="Rule     ")
    parts = [
        f"{name} {document[name.lower()]}" for name in ("to", "from", "Service") if document[name.lower()]
    ]
    context = ", ".join([*parts, f"{local_time:%a %Y-%m-%d %H:%M %Z}"])
    print_line(context, label="Context  ")
    if document["rules"]:
        rows = [
            [line[name] for name in ("rule", "verdict", "reason", "source")] for line in document["rules"]
        ]
        print_table(("rule", "verdict", "reason", "defined in"), rows, optional=["defined in"])


MAX_SHOWN = 30
"""Different changes in the table; ``--json`` has every message."""


class Change(NamedTuple):
    """A message that would be answered differently."""

    record: MessageRecord
    before: Preview
    after: Preview


@keywords.command("try")
def try_file(
    file: Annotated[
        Path,
        Argument(
            metavar="FILE", help="The file to try in place of keywords.toml.", exists=True, dir_okay=False
        ),
    ],
    last: Annotated[int, Option("--last", min=1, max=10_000, help="Number of messages.")] = 1000,
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
        print_json(_changes_as_json(len(records), changes, reveal))
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
    print_line(f"{len(changes)} of {plural(count, 'message')} would be answered differently")
    distinct = Counter((_body(change, reveal), change.before, change.after) for change in changes)
    if not distinct:
        return
    rows = [
        (str(times), body, before.rule, after.rule, _changed_reply(before, after, reveal))
        for (body, before, after), times in distinct.most_common(MAX_SHOWN)
    ]
    print_table(("times", "text", "rule before", "rule after", "reply after"), rows)
    if len(distinct) > MAX_SHOWN:
        print_line(f"and {len(distinct) - MAX_SHOWN} more different changes: --json lists all")


def _changed_reply(before: Preview, after: Preview, reveal: bool) -> str:
    """Return the new reply; without ``reveal`` it is masked, because a template can contain personal data."""
    if before.answer == after.answer:
        return "the same"
    return after.answer if reveal else mask_text(after.answer)


def _body(change: Change, reveal: bool) -> str:
    body = change.record.message.body if change.record.message else ""
    return " ".join(body.split()) if reveal else mask_text(body)


def _changes_as_json(count: int, changes: Sequence[Change], reveal: bool) -> dict[str, object]:
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


# Below the others, as in the help.
keywords.command("publish")(publish_rules)
keywords.command("history")(show_history)
keywords.command("diff")(show_difference)
keywords.command("rollback")(roll_back)
