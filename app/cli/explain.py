"""``sms-router explain``: which rule and which sender a text would get, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from app.cli.known import Acquaintance, Failing, get_acquainted, if_it_failed, lines_about, moment
from app.cli.known import as_json as known_as_json
from app.cli.pools import known_snapshots, usual_recipient
from app.cli.rules import rules_and_pools
from app.cli.situation import settings_for_command
from app.cli.speaking import AsJson, address, out, plain, print_json, print_table
from app.cli.standing import standing
from app.routing.composing import Composer
from app.routing.dispatch import Failed, Forwarding, Found, Immediate, RuleAnswer
from app.routing.keywords import Consideration
from app.routing.replies import Reply
from app.senders.decision import Consideration as Candidate
from app.senders.decision import Decision
from app.senders.pool import pool_among
from app.senders.selection import explain as explain_sender
from app.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rule answers, as far as it is known."""

    reply: Reply
    words: str
    """The answer as it is told to people."""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """All that is to be told about one text."""

    rule: str
    rules: Sequence[Consideration[RuleAnswer]]
    answer: Answer
    decision: Decision | None
    """None when the answer says nothing."""
    known: Acquaintance
    failing: Failing | None
    """What would come of it if the short code failed now."""

    @property
    def sender(self) -> str | None:
        """The number that the answer leaves from."""
        return self.decision.address if self.decision else None

    @property
    def trail(self) -> Sequence[Candidate]:
        """Every number with its reason."""
        return self.decision.trail if self.decision else ()

    @property
    def good(self) -> bool:
        """Whether the person gets what the rule answers."""
        return not self.answer.failed and (self.decision is None or self.sender is not None)


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
    words: Annotated[str, typer.Argument(metavar="TEXT", help="What the person texts.")],
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
            "--as-of", help="When: ISO 8601, or +3d, -12h. What has been unlearned since is not known."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which rule a text belongs to and which number would answer.

    Every other rule and number that came near is named with its reason, and so is what is known of
    the person and what would come of it if the short code failed now. Nothing is sent, and no
    handler function is run. Exits with 1 when the person would not get what the rule answers.
    """
    settings = settings_for_command()
    found_snapshots = known_snapshots(settings)
    dispatcher, pools = rules_and_pools(settings, found_snapshots)
    recipient = recipient or usual_recipient(pools.values())
    message = _text(settings.accounts[0].sid, sender, recipient, words, country)
    if (pool := pool_among(pools, None, recipient)) is not None:
        message = replace(message, service_sid=pool.service_sid)
    scope = message.service_sid or recipient
    at = moment(as_of)
    known = get_acquainted(settings, scope, sender, at)
    found = dispatcher.find(message, at / 1000).for_person(known.facts.opted_out)
    answer = _answer(found, message)
    facts = known.facts if found.heard is None else replace(known.facts, opted_out=False)
    composer = Composer(lambda service, texted: pool_among(pools, service, texted), settings.reply_from, "")
    asked = composer.request(message, answer.reply)
    now = standing(settings, found_snapshots, known.moment / 1000).conditions
    decision = None if answer.reply.silent else explain_sender(*asked, facts, now)
    failing = if_it_failed(*asked, facts, now, decision) if decision is not None else None
    rules = dispatcher.table.consider(words, dispatcher.occasion(message, at / 1000))
    story = Story(found.rule, rules, answer, decision, known, failing)
    if as_json:
        print_json(_as_json(story))
    else:
        _tell(story)
    if not story.good:
        raise typer.Exit(1)


def _text(account_sid: str, sender: str, recipient: str, words: str, country: str | None) -> InboundMessage:
    """Return the message as it would arrive."""
    return InboundMessage(
        sid="SM" + "0" * 32,
        account_sid=account_sid,
        service_sid=None,
        sender=sender,
        recipient=recipient,
        body=words,
        parameters={"FromCountry": country} if country else {},
    )


def _answer(found: Found, message: InboundMessage) -> Answer:
    """Return the answer as far as it is known without running a handler."""
    if isinstance(found.action, Forwarding):
        return Answer(Reply("(unknown)"), f"forwarded to {found.action.forward}")
    if not isinstance(found.action, Immediate):
        return Answer(Reply("(unknown)"), f"the function {found.action.handler.source} is called")
    reply = found.action.reply(message)
    if isinstance(reply, Failed):
        return Answer(Reply("(the error reply)"), f"fails: {reply.cause}", failed=True)
    return Answer(reply, "\n".join((*reply.texts, *reply.media_urls)) or "(says nothing)")


def _tell(story: Story) -> None:
    out.print("[bold]Rule[/bold]   ", plain(story.rule))
    for line in story.rules:
        text = f"        {line.verdict.value}: {line.rule.name}: {line.reason}"
        out.print(plain(text, "dim"))
    out.print("[bold]Answer[/bold] ", plain(story.answer.words.replace("\n", "\n        ")), soft_wrap=True)
    for fact in lines_about(story.known):
        out.print("[bold]Person[/bold] ", plain(fact), soft_wrap=True)
    out.print("[bold]Sender[/bold] ", plain(story.sender or "none: nothing is sent"))
    if story.trail:
        print_table(
            ("number", "kind", "verdict", "reason"),
            (
                (line.address, line.kind.value if line.kind else "", line.outcome.value, line.reason)
                for line in story.trail
            ),
        )
    if story.failing is not None:
        text = f"If {story.failing.address} did not reach them: {story.failing}"
        out.print(plain(text))


def _as_json(story: Story) -> dict[str, object]:
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
        "answer": story.answer.words,
        "sender": story.sender,
        "trail": [
            {
                "sender": line.address,
                "kind": line.kind.value if line.kind else None,
                "taken": line.taken,
                "verdict": line.outcome.value,
                "reason": line.reason,
            }
            for line in story.trail
        ],
        "person": known_as_json(story.known),
        "if_it_failed": {"sender": story.failing.instead.address, "reason": str(story.failing)}
        if story.failing is not None
        else None,
    }
