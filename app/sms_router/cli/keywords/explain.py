"""``sms-router explain``: which rule and which sender a text would get, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from sms_router.cli.context import settings_for_command
from sms_router.cli.keywords.contact import as_json as known_as_json
from sms_router.cli.keywords.contact import load_contact
from sms_router.cli.output import AsJson, WhatIsTexted, address, plain, print_json, print_table, stdout
from sms_router.cli.rules import rules_and_pools
from sms_router.cli.senders.conditions import load_conditions
from sms_router.cli.senders.pools import known_snapshots, usual_recipient
from sms_router.cli.times import parse_time
from sms_router.routing.contacts.summary import describe_contact
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.explain import Explanation, sample_message
from sms_router.routing.pipeline.explain import explain as explained
from sms_router.senders.pool import find_pool


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("explain")(explain)


def _country(value: str | None) -> str | None:
    if value is not None and not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise typer.BadParameter("a country is two letters, like CA (ISO 3166)")
    return value


def explain(
    sender: Annotated[
        str, typer.Argument(metavar="FROM", help="The person's number, like +14155550123.", callback=address)
    ],
    text: WhatIsTexted,
    recipient: Annotated[
        str | None,
        typer.Option(
            "--to", help="The number that is texted; default: one of the Service.", callback=address
        ),
    ] = None,
    country: Annotated[
        str | None,
        typer.Option(
            "--country",
            help="The person's country as Twilio would say it, like CA; default: the number's own.",
            callback=_country,
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="When: ISO 8601, or +3d, -12h. What has been forgotten since is not known."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which rule a text belongs to and which number would answer.

    Every other rule and number that was considered is named with its reason, and so is what is known of
    the person and what would come of it if the short code failed now. Nothing is sent, and no
    handler function is run. Exits with 1 when the person would not get what the rule answers.
    """
    settings = settings_for_command()
    found_snapshots = known_snapshots(settings)
    dispatcher, pools = rules_and_pools(settings, found_snapshots)
    recipient = recipient or usual_recipient(pools.values())
    message = sample_message(settings.accounts[0].sid, None, sender, recipient, " ".join(text), country)
    if (pool := find_pool(pools, None, recipient)) is not None:
        message = replace(message, service_sid=pool.service_sid)
    known = load_contact(settings, message.service_sid or recipient, sender, parse_time(as_of))
    composer = Composer(lambda service, texted: find_pool(pools, service, texted), settings.reply_from, "")
    now = load_conditions(settings, found_snapshots, known.at / 1000).conditions
    story = explained(message, known, dispatcher, composer, now)
    if as_json:
        print_json(_as_json(story))
    else:
        _tell(story)
    if not story.good:
        raise typer.Exit(1)


def _tell(story: Explanation) -> None:
    stdout.print("[bold]Rule[/bold]   ", plain(story.rule))
    for line in story.rules:
        text = f"        {line.verdict.value}: {line.rule.name}: {line.reason}"
        stdout.print(plain(text, "dim"))
    answer = (story.answer.text or "(no reply)").replace("\n", "\n        ")
    stdout.print("[bold]Answer[/bold] ", plain(answer), soft_wrap=True)
    for fact in describe_contact(story.known):
        stdout.print("[bold]Person[/bold] ", plain(fact), soft_wrap=True)
    stdout.print("[bold]Sender[/bold] ", plain(story.sender or "none: nothing is sent"))
    if story.trail:
        print_table(
            ("number", "kind", "verdict", "reason"),
            (
                (line.address, line.kind.value if line.kind else "", line.result.value, line.reason)
                for line in story.trail
            ),
        )
    if story.failing is not None:
        text = f"If {story.failing.address} did not reach them: {story.failing}"
        stdout.print(plain(text))


def _as_json(story: Explanation) -> dict[str, object]:
    return {
        "rule": story.rule,
        "rules": [
            {
                "rule": line.rule.name,
                "source": line.rule.source,
                "verdict": line.verdict.value,
                "reason": line.reason,
            }
            for line in story.rules
        ],
        "answer": story.answer.text or "(no reply)",
        "sender": story.sender,
        "trail": [
            {
                "sender": line.address,
                "kind": line.kind.value if line.kind else None,
                "taken": line.is_chosen,
                "verdict": line.result.value,
                "reason": line.reason,
            }
            for line in story.trail
        ],
        "person": known_as_json(story.known),
        "if_it_failed": {"sender": story.failing.decision.address, "reason": str(story.failing)}
        if story.failing is not None
        else None,
    }
