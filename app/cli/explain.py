"""``sms-router explain``: which rule and which sender a text would get, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from app.cli.pools import known_snapshots, usual_recipient
from app.cli.situation import settings_for_command
from app.cli.speaking import AsJson, out, print_json, print_table
from app.routing.composing import Composer
from app.routing.dispatch import Dispatcher, Failed, Found, Immediate, occasion_of
from app.routing.replies import Reply
from app.routing.rule_file import load_dispatcher
from app.routing.threads import Threads
from app.senders.decision import Decision
from app.senders.pool import Pool
from app.senders.selection import explain as explain_sender
from app.twilio.inbound import InboundMessage


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("explain")(explain)


def explain(
    sender: Annotated[str, typer.Argument(metavar="FROM", help="The person's number.")],
    words: Annotated[str, typer.Argument(metavar="TEXT", help="What the person texts.")],
    recipient: Annotated[
        str | None, typer.Option("--to", help="The number that is texted; default: one of the Service.")
    ] = None,
    country: Annotated[
        str | None,
        typer.Option("--country", help="The person's country as Twilio would say it (FromCountry)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which rule a text belongs to, which number would answer, and why not the others.

    Nothing is sent, and no handler function is run.
    """
    settings = settings_for_command()
    threads = Threads(1)
    dispatcher = load_dispatcher(settings.folder, settings.router.handlers, threads)
    pools = {snapshot.service_sid: snapshot.pool() for snapshot in known_snapshots(settings)}
    recipient = recipient or usual_recipient(pools.values())
    message = _text(settings.accounts[0].sid, sender, recipient, words, country)
    if (pool := _pool(pools, None, recipient)) is not None:
        message = replace(message, service_sid=pool.service_sid)
    found = dispatcher.find(message)
    reply, answer = _reply(found, message)
    composer = Composer(lambda service, texted: _pool(pools, service, texted), settings.reply_from, "")
    decision = explain_sender(*composer.request(message, reply))
    if as_json:
        print_json(_as_json(dispatcher, message, found, answer, decision))
    else:
        _tell(dispatcher, message, found, answer, decision)


def _pool(pools: dict[str, Pool], service_sid: str | None, texted: str) -> Pool | None:
    if service_sid in pools:
        return pools[service_sid]
    return next((pool for pool in pools.values() if pool.holds(texted)), None)


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


def _reply(found: Found, message: InboundMessage) -> tuple[Reply, str]:
    """Return the reply as far as it is known without running a handler, and what to say of it."""
    if not isinstance(found.action, Immediate):
        return Reply(
            "(whatever the handler answers)"
        ), f"the function {found.action.handler.source} is called"
    reply = found.action.reply(message)
    if isinstance(reply, Failed):
        return Reply("(the error reply)"), f"fails: {reply.cause}"
    return reply, "\n".join(reply.texts) or "(says nothing)"


def _tell(
    dispatcher: Dispatcher, message: InboundMessage, found: Found, answer: str, decision: Decision
) -> None:
    out.print(f"[bold]Rule[/bold]    {found.rule}", highlight=False)
    for line in dispatcher.table.consider(message.body, occasion_of(message)):
        out.print(f"        {line.verdict.value}: {line.rule.name}: {line.reason}", style="dim", markup=False)
    out.print("[bold]Answer[/bold]  ", end="")
    out.print(answer, markup=False)
    out.print("[bold]Sender[/bold]  ", end="")
    out.print(decision.address or "none: nothing is sent", markup=False)
    print_table(
        "Every sender",
        ("number", "kind", "verdict", "reason"),
        (
            (line.address, line.kind.value if line.kind else "", line.outcome.value, line.reason)
            for line in decision.trail
        ),
    )


def _as_json(
    dispatcher: Dispatcher, message: InboundMessage, found: Found, answer: str, decision: Decision
) -> dict[str, object]:
    return {
        "rule": found.rule,
        "rules": [
            {
                "rule": line.rule.name,
                "source": line.rule.source,
                "verdict": line.verdict.value,
                "reason": line.reason,
            }
            for line in dispatcher.table.consider(message.body, occasion_of(message))
        ],
        "answer": answer,
        "sender": decision.address,
        "trail": [
            {
                "sender": line.address,
                "kind": line.kind.value if line.kind else None,
                "taken": line.taken,
                "verdict": line.outcome.value,
                "reason": line.reason,
            }
            for line in decision.trail
        ],
    }
