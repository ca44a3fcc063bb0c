"""``sms-router keywords``: the rules that the router works with, and which of them a text belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sms_router.cli.context import load_rules, settings_for_command
from sms_router.cli.keywords.try_file import try_file
from sms_router.cli.output import (
    AsJson,
    WhatIsTexted,
    address,
    plain,
    plural,
    print_json,
    print_table,
    stdout,
)
from sms_router.cli.times import parse_time
from sms_router.config.settings import Settings
from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.resolution import Resolution, RuleAction
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleCandidate
from sms_router.routing.keywords.rules import Rule
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.pipeline.explain import by_precedence, describe_action, sample_message
from sms_router.twilio.inbound import InboundMessage

keywords = typer.Typer()
keywords.command("try")(try_file)


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.add_typer(keywords, name="keywords")


@keywords.callback(invoke_without_command=True)
def listing(context: typer.Context, as_json: AsJson = False) -> None:
    """List the rules; check them, and try texts on them.

    They are listed in the order of their precedence.
    """
    if context.invoked_subcommand is None:
        _list(load_rules(settings_for_command()).table.rules, as_json)


@keywords.command("check")
def check(as_json: AsJson = False) -> None:
    """Say which rules contradict each other, and which can never match.

    Exits with 1 when there are mistakes, which would keep the router from starting. Warnings are
    shown and do no harm.
    """
    settings = settings_for_command()
    mistakes: tuple[str, ...] = ()
    warnings: list[str] = []
    count = 0
    try:
        rules = load_rules(settings)
        warnings = [*map(str, rules.table.find_shadowed()), *rules.opt_out_conflicts()]
        count = len(rules.table.rules)
    except ConfigurationError as error:
        mistakes = tuple(error.mistakes)
    if as_json:
        told = {"good": not mistakes, "rules": count, "mistakes": list(mistakes), "warnings": warnings}
        print_json(told)
    else:
        _tell_check(settings, count, mistakes, warnings)
    if mistakes:
        raise typer.Exit(1)


@keywords.command("test")
def test(
    words: WhatIsTexted,
    recipient: Annotated[
        str | None, typer.Option("--to", help="The number that is texted.", callback=address)
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--from", help="Who texts; their country may matter.", callback=address)
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="When: ISO 8601, by the Service's clock unless it names a zone; or +3d, -12h."
        ),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="The Service; default: the first one configured.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which rule a text belongs to, and why not the others.

    Nothing is sent, no handler function is run, and no store or Twilio is asked. Exits with 1 when
    no rule takes the text.
    """
    text = " ".join(words)
    settings = settings_for_command()
    rules = load_rules(settings)
    sid = service or next((each.sid for each in settings.services), None)
    zones = settings.time_zones
    when = parse_time(at, zones.zone_of(sid)) / 1000
    message = sample_message(settings.accounts[0].sid, sid, sender or "", recipient or "", text, None)
    found = rules.resolve(message, when)
    considered = rules.table.explain(text, rules.match_context(message, when))
    taken = found.opt_out is not None or any(each.verdict is MatchVerdict.CHOSEN for each in considered)
    if as_json:
        print_json(_as_json(found, considered, zones, message, when))
    else:
        _tell_test(found, considered, zones, message, when)
    if not taken:
        raise typer.Exit(1)


def _list(rules: Sequence[Rule[RuleAction]], as_json: bool) -> None:
    ordered = by_precedence(rules)
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
    ]
    print_table(("words", "match", "scope", "answer", "defined in"), rows)


def _tell_check(settings: Settings, count: int, mistakes: Sequence[str], warnings: Sequence[str]) -> None:
    for mistake in mistakes:
        stdout.print(plain(f"error: {mistake}", "bold red"), soft_wrap=True)
    for warning in warnings:
        stdout.print(plain(f"warning: {warning}", "yellow"), soft_wrap=True)
    verdict = (
        f"not good: {plural(len(mistakes), 'mistake')}"
        if mistakes
        else f"good: {plural(count, 'rule')}, {plural(len(warnings), 'warning')}"
    )
    stdout.print(plain(f"{settings.folder}: {verdict}"), soft_wrap=True)


def _tell_test(
    found: Resolution,
    considered: Sequence[RuleCandidate[RuleAction]],
    zones: TimeZones,
    message: InboundMessage,
    when: float,
) -> None:
    stdout.print("[bold]Rule[/bold]  ", plain(found.rule))
    stdout.print("[bold]Where[/bold] ", plain(_where(zones, message, when)), soft_wrap=True)
    if considered:
        rows = [(each.rule.name, each.verdict.value, each.reason, each.rule.source) for each in considered]
        print_table(("rule", "verdict", "reason", "defined in"), rows)


def _where(zones: TimeZones, message: InboundMessage, when: float) -> str:
    local = f"{zones.local_time(message.service_sid, when):%a %Y-%m-%d %H:%M %Z}"
    told = (("to", message.recipient), ("from", message.sender), ("Service", message.service_sid))
    return ", ".join([*(f"{name} {value}" for name, value in told if value), local])


def _as_json(
    found: Resolution,
    considered: Sequence[RuleCandidate[RuleAction]],
    zones: TimeZones,
    message: InboundMessage,
    when: float,
) -> dict[str, object]:
    return {
        "rule": found.rule,
        "to": message.recipient or None,
        "from": message.sender or None,
        "service": message.service_sid,
        "at": zones.local_time(message.service_sid, when).isoformat(timespec="seconds"),
        "rules": [
            {
                "rule": each.rule.name,
                "keyword": each.keyword,
                "source": each.rule.source,
                "verdict": each.verdict.value,
                "reason": each.reason,
            }
            for each in considered
        ],
    }
