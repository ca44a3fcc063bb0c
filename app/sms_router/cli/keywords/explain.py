"""``sms-router explain``: which rule and which sender a text would get, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import (
    JsonOption,
    TextArgument,
    address_option,
    print_json,
    print_line,
    print_table,
)
from sms_router.cli.rules import build_composer, load_contact, rules_and_pools
from sms_router.cli.senders.pools import default_recipient, known_snapshots, load_conditions
from sms_router.cli.times import iso, parse_time
from sms_router.routing.contacts.contact import ContactSummary, describe_contact
from sms_router.routing.handler.profile import HandlerContact
from sms_router.routing.pipeline import explain as explaining
from sms_router.routing.pipeline.explain import Explanation, sample_message
from sms_router.senders.pool import find_pool


def _country(value: str | None) -> str | None:
    if value is not None and not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise typer.BadParameter("must be two letters, like CA (ISO 3166)")
    return value


def explain(
    sender: Annotated[
        str,
        Argument(metavar="FROM", help="The contact's number, like +14155550123.", callback=address_option),
    ],
    text: TextArgument,
    recipient: Annotated[
        str | None,
        Option(
            "--to",
            help="The number that is texted; default: a sender of the Service.",
            callback=address_option,
        ),
    ] = None,
    country: Annotated[
        str | None,
        Option(
            "--country",
            help="Twilio's FromCountry, like CA; default: the country of the number.",
            callback=_country,
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        Option(
            "--as-of", help="At a time: ISO 8601, or +3d, -12h. Data deleted since then is not considered."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which rule and which sender a text would get, and why.

    Every rule and sender that was considered is listed with its reason, and so is what is stored about the
    contact and which sender would follow if the short code failed now. Nothing is sent, and no handler runs.
    Exits with 1 when the contact would not get the rule's reply.
    """
    settings = settings_for_command()
    snapshots = known_snapshots(settings)
    dispatcher, pools = rules_and_pools(settings, snapshots)
    recipient = recipient or default_recipient(pools.values())
    message = sample_message(settings.accounts[0].sid, None, sender, recipient, " ".join(text), country)
    if (pool := find_pool(pools, None, recipient)) is not None:
        message = replace(message, service_sid=pool.service_sid)
    scope, composer = message.service_sid or recipient, build_composer(settings, pools)
    contact, conversation = load_contact(settings, scope, message.contact, parse_time(as_of))
    conditions = load_conditions(settings, snapshots, contact.at / 1000).conditions
    explanation = explaining.explain(message, contact, dispatcher, composer, conditions, conversation)
    if as_json:
        print_json(_as_json(explanation))
    else:
        _print_explanation(explanation)
    if not explanation.is_answered:
        raise typer.Exit(1)


def _print_explanation(explanation: Explanation) -> None:
    print_line(explanation.rule, label="Rule     ")
    for candidate in explanation.candidates:
        text = f"{candidate.verdict.value}: {candidate.rule.name}: {candidate.reason}"
        print_line(text, "dim", label="         ")
    reply = (explanation.answer.text or "(no reply)").replace("\n", "\n         ")
    print_line(reply, label="Reply    ")
    if explanation.is_suspected:
        print_line("it may be meant as an opt-out: it is listed for you to decide", label="Note     ")
    for fact in describe_contact(explanation.contact):
        print_line(fact, label="Contact  ")
    sender = explanation.sender or "none: nothing is sent"
    if explanation.sender is not None and explanation.answer.runs:
        sender += ", if the reply is a text"  # which is not known yet
    print_line(sender, label="Sender   ")
    if explanation.trail:
        print_table(
            ("number", "kind", "verdict", "reason"),
            (
                (line.address, line.kind.value if line.kind else "", line.result.value, line.reason)
                for line in explanation.trail
            ),
        )
    failover = explanation.failover
    if failover is not None:
        print_line(f"If {failover.address} did not reach them: {failover}")


def _as_json(explanation: Explanation) -> dict[str, object]:
    failover = explanation.failover
    return {
        "rule": explanation.rule,
        "suspected": explanation.is_suspected,
        "rules": [
            {
                "rule": candidate.rule.name,
                "source": candidate.rule.source,
                "verdict": candidate.verdict.value,
                "reason": candidate.reason,
            }
            for candidate in explanation.candidates
        ],
        "answer": explanation.answer.text or "(no reply)",
        "sender": explanation.sender,
        "trail": [
            {
                "sender": line.address,
                "kind": line.kind.value if line.kind else None,
                "taken": line.is_chosen,
                "verdict": line.result.value,
                "reason": line.reason,
            }
            for line in explanation.trail
        ],
        "person": _contact_as_json(explanation.contact),
        "if_it_failed": {"sender": failover.decision.address, "reason": str(failover)}
        if failover is not None
        else None,
    }


def _contact_as_json(summary: ContactSummary) -> dict[str, object]:
    contact, stored = summary.contact, HandlerContact("", summary.contact.profile)
    opt_out = contact.opted_out if summary.facts.opted_out else None
    return {
        "as_of": iso(summary.at / 1000),
        "opted_out": {"since": iso(opt_out.since / 1000), "source": opt_out.source} if opt_out else None,
        "unreachable": [
            {
                "sender": unreachable.address,
                "code": unreachable.code,
                "times": unreachable.failures,
                "since": iso(unreachable.since / 1000),
                "until": iso(unreachable.until / 1000),
            }
            for unreachable in summary.unreachable_senders
        ],
        "last_sender": contact.last_sender,
        "language": stored.language,
        "attributes": stored.attributes,
    }
