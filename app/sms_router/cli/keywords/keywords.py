"""``sms-router keywords``: the rules, their mistakes, and which rule a text matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sms_router.cli.context import settings_for_command
from sms_router.cli.keywords import published
from sms_router.cli.keywords.contact import load_conversation
from sms_router.cli.keywords.try_file import try_file
from sms_router.cli.output import (
    JsonOption,
    Noun,
    TextArgument,
    address_option,
    plain,
    plural,
    print_json,
    print_line,
    print_table,
    stdout,
)
from sms_router.cli.rules import load_rules, load_rules_in_use
from sms_router.cli.senders.pools import known_senders
from sms_router.cli.times import parse_time
from sms_router.config.settings import Settings
from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution, RuleAction
from sms_router.routing.dispatch.rule_loader import add_places
from sms_router.routing.dispatch.rule_warnings import find_warnings
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleCandidate
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.pipeline.explain import by_precedence, describe_action, explain_rules, sample_message
from sms_router.twilio.inbound import InboundMessage

keywords = typer.Typer(cls=Noun, help="List and check the rules; try texts and files.")
keywords.command("try")(try_file)
published.register(keywords)


@keywords.command("list")
def list_rules(as_json: JsonOption = False) -> None:
    """List the rules in use in the order of precedence: those of the published version, else of the files.

    The functions with @on come last.
    """
    _print_rules(load_rules_in_use(settings_for_command()), as_json)


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
        str | None, typer.Option("--to", help="The number that is texted.", callback=address_option)
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from", help="The contact's number; rules may depend on its country.", callback=address_option
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="At a time: ISO 8601, in the Service's time zone unless it has one; or +3d, -12h."
        ),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="The Service; default: the first that is configured.")
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
        conversation = load_conversation(settings, message, int(when * 1000))
        resolution = rules.conversations.route(resolution, message, conversation)
    candidates = explain_rules(rules, message, resolution, when)
    has_match = (
        resolution.opt_out is not None
        or not resolution.is_default
        or any(candidate.verdict is MatchVerdict.CHOSEN for candidate in candidates)
    )
    if as_json:
        print_json(_as_json(resolution, candidates, zones, message, when))
    else:
        _print_test(resolution, candidates, zones, message, when)
    if not has_match:
        raise typer.Exit(1)


def _service_of(settings: Settings, recipient: str | None) -> str | None:
    """Return the Service of the number that is texted, as far as it is stored, else the first one."""
    pools = known_senders(settings).pools if recipient else {}
    holding = (sid for sid, pool in pools.items() if recipient and pool.holds(recipient))
    return next(holding, next((service.sid for service in settings.services), None))


def _print_rules(rules: Dispatcher, as_json: bool) -> None:
    ordered = by_precedence(rules.table.rules)
    events = [(kind, handler) for kind, handlers in rules.events.items() for handler in handlers]
    if as_json:
        print_json(
            [
                {
                    "words": list(rule.words),
                    "match": rule.kind.value,
                    "scope": str(rule.scope),
                    "source": rule.source,
                    "answer": describe_action(rule.action),
                }
                for rule in ordered
            ]
            + [
                {
                    "words": [],
                    "match": f"event {kind}",
                    "scope": "",
                    "source": handler.source,
                    "answer": describe_action(handler),
                }
                for kind, handler in events
            ]
        )
        return
    rows = [
        (
            ", ".join(rule.words),
            rule.kind.value,
            str(rule.scope),
            describe_action(rule.action),
            rule.source,
        )
        for rule in ordered
    ] + [("", f"event {kind}", "", describe_action(handler), handler.source) for kind, handler in events]
    print_table(("words", "match", "scope", "responder", "defined in"), rows, optional=["defined in"])


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


def _print_test(
    resolution: Resolution,
    candidates: Sequence[RuleCandidate[RuleAction]],
    zones: TimeZones,
    message: InboundMessage,
    when: float,
) -> None:
    stdout.print("[bold]Rule[/bold]    ", plain(resolution.rule))
    local_time = f"{zones.local_time(message.service_sid, when):%a %Y-%m-%d %H:%M %Z}"
    parts = (("to", message.recipient), ("from", message.sender), ("Service", message.service_sid))
    context = ", ".join([*(f"{name} {value}" for name, value in parts if value), local_time])
    stdout.print("[bold]Context[/bold] ", plain(context), soft_wrap=True)
    if candidates:
        rows = [
            (candidate.rule.name, candidate.verdict.value, candidate.reason, candidate.rule.source)
            for candidate in candidates
        ]
        print_table(("rule", "verdict", "reason", "defined in"), rows, optional=["defined in"])


def _as_json(
    resolution: Resolution,
    candidates: Sequence[RuleCandidate[RuleAction]],
    zones: TimeZones,
    message: InboundMessage,
    when: float,
) -> dict[str, object]:
    return {
        "rule": resolution.rule,
        "to": message.recipient or None,
        "from": message.sender or None,
        "service": message.service_sid,
        "at": zones.local_time(message.service_sid, when).isoformat(timespec="seconds"),
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
