"""``sms-router messages``: what came in, what was answered, what failed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from sms_router.cli.context import has_store, settings_for_command, store_client
from sms_router.cli.messages.as_json import as_json as story_as_json
from sms_router.cli.messages.forget import forget
from sms_router.cli.output import (
    AsJson,
    CommandError,
    address,
    plain,
    print_json,
    print_table,
    program,
    stdout,
)
from sms_router.config.models import Privacy
from sms_router.config.settings import Settings
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.timeline import (
    body_of,
    build_timeline,
    describe_attempt,
    format_iso,
    format_time,
    number_of,
)

LONGEST_LINE = 120
"""Characters of a text that a list shows."""

DEPTH = 20_000
"""Messages that are searched for one person's, in the bucket (one of 64) that has theirs."""

messages = typer.Typer(
    help="Show the newest messages and their answers, the story of one, or forget a person.\n\n"
    'Numbers and texts are shortened unless --reveal is given or the configuration says privacy = "open".',
    invoke_without_command=True,
)

Reveal = Annotated[bool, typer.Option("--reveal", help="Show numbers and texts in full.")]


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    messages.command("forget")(forget)
    commands.add_typer(messages, name="messages")


@messages.callback()
def newest(
    context: typer.Context,
    failed: Annotated[bool, typer.Option("--failed", help="Only dead letters, with their causes.")] = False,
    sender: Annotated[
        str | None, typer.Option("--from", help="Only this person's newest ones.", callback=address)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at the most.")] = 20,
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """List the newest messages."""
    if context.invoked_subcommand is not None:
        return
    if failed and sender is not None:
        raise CommandError("--from shows failures too: leave --failed out.", code=2)
    settings = settings_for_command()
    reveal = reveal or settings.router.privacy is Privacy.OPEN
    episodes = _newest(settings, failed, limit, sender)
    if as_json:
        print_json([story_as_json(episode, reveal) for episode in episodes])
    elif sender is not None and not episodes:
        stdout.print("No messages of this number are among the newest.")
    else:
        _list(episodes, failed, reveal)


@messages.command("show")
def show(
    sid: Annotated[str, typer.Argument(metavar="SID", help="The message's sid, SM... or MM...")],
    reveal: Reveal = False,
    as_json: AsJson = False,
) -> None:
    """Tell the whole story of one message, in order of time (UTC).

    How it came in, which rule answered and how its sender was chosen, every delivery status, and what
    followed: late answers, replies that were sent once more, replays, and why it is a dead letter.
    """
    settings = settings_for_command()
    reveal = reveal or settings.router.privacy is Privacy.OPEN
    episode = find(settings, sid)
    if as_json:
        print_json(story_as_json(episode, reveal))
    else:
        _tell(episode, reveal)


def find(settings: Settings, sid: str) -> MessageRecord:
    """Return one message.

    Raises:
        CommandError: when it is not there.

    """
    episode = None
    if has_store(settings):
        with store_client(settings) as client:
            episode = HistoryReader(client).find(sid, [account.sid for account in settings.accounts])
    if episode is None:
        raise CommandError(f"No message {sid} is in the journal.", "List them: sms-router messages")
    return episode


def _newest(settings: Settings, failed: bool, limit: int, sender: str | None) -> list[MessageRecord]:
    if not has_store(settings):
        return []
    with store_client(settings) as client:
        history = HistoryReader(client)
        if sender is not None:
            return history.for_contact(sender, limit, DEPTH)
        return history.failed(limit) if failed else history.recent(limit)


def _list(episodes: list[MessageRecord], failed: bool, reveal: bool) -> None:
    if not episodes:
        sent = plain(f"No messages yet. Send one: {program()} text HOURS")
        stdout.print("No dead letters." if failed else sent, soft_wrap=True)
        return
    stdout.print("Dead letters" if failed else "Messages", "(newest first, times in UTC)")
    for episode in episodes:
        stdout.print(plain(f"\n{format_time(episode.received)}  {episode.sid}", "bold"), soft_wrap=True)
        for line in _lines(episode, reveal):
            stdout.print(plain(f"  {line}"), soft_wrap=True)


def _lines(episode: MessageRecord, reveal: bool) -> Iterator[str]:
    """Say in a few lines who texted, what they got, and what became of it."""
    if episode.message is None:
        yield "the message itself is no longer kept"
    else:
        body = " ".join(body_of(episode, reveal).split())
        shown = body if len(body) <= LONGEST_LINE else f"{body[:LONGEST_LINE]}…"
        yield f"{number_of(episode, reveal)} to {episode.message.recipient}: {shown}"
    answer = episode.outcome or "unanswered"
    yield f"{answer} from {episode.sender}" if episode.sender else answer
    for sending in episode.attempts:
        yield describe_attempt(sending)
    if episode.replay is not None and not any(each.part.kind == "replay" for each in episode.attempts):
        yield "replay: " + ("sent nothing" if episode.replay.answer else "waits for a router")
    for sent in episode.sent:
        yield f"delivery: {sent.status} {sent.error_code}".rstrip()
    for cause in episode.causes:
        yield f"cause: {cause.text}"


def _tell(episode: MessageRecord, reveal: bool) -> None:
    rows = []
    day = None
    for step in build_timeline(episode, reveal):
        date, _, time = (format_iso(step.at) or "T").partition("T")
        when = time[:12] if date == day else f"{date}\n{time[:12]}"
        day = date
        rows.append((when, step.type.value, "\n".join(step.lines)))
    stdout.print(plain(f"{episode.sid}  {episode.outcome or 'unanswered'}", "bold"), soft_wrap=True)
    print_table(("time (UTC)", "what", ""), rows)
