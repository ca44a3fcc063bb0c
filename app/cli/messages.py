"""``sms-router messages``: what came in, what was answered, what failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.situation import anything_stored, settings_for_command, store_client
from app.cli.speaking import AsJson, CommandError, out, plain, print_json, print_table
from app.routing.history import Episode, History
from app.routing.privacy import masked_number, masked_text
from app.settings import Privacy, Settings

LONGEST_LINE = 120
"""Characters of a text that a list shows."""


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("messages")(messages)


def messages(
    sid: Annotated[str | None, typer.Argument(help="One message, by its sid; none lists the newest.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only dead letters, with their causes.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at the most.")] = 20,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show numbers and texts in full.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the newest messages and their answers, or the story of one.

    Numbers and texts are shortened unless --reveal is given or the configuration says
    privacy = "open".
    """
    settings = settings_for_command()
    reveal = reveal or settings.router.privacy is Privacy.OPEN
    episodes = _newest(settings, failed, limit) if sid is None else [_find(settings, sid)]
    if as_json:
        print_json([_as_json(episode, reveal) for episode in episodes])
    elif sid is not None:
        _tell(episodes[0], reveal)
    else:
        _list(episodes, failed, reveal)


def _find(settings: Settings, sid: str) -> Episode:
    episode = None
    if anything_stored(settings):
        with store_client(settings) as client:
            episode = History(client).find(sid, [account.sid for account in settings.accounts])
    if episode is None:
        raise CommandError(f"No message {sid} is in the journal.", "List them: sms-router messages")
    return episode


def _newest(settings: Settings, failed: bool, limit: int) -> list[Episode]:
    if not anything_stored(settings):
        return []
    with store_client(settings) as client:
        history = History(client)
        return history.failed(limit) if failed else history.recent(limit)


def _list(episodes: list[Episode], failed: bool, reveal: bool) -> None:
    if not episodes:
        out.print("No dead letters." if failed else "No messages yet. Send one: sms-router text HOURS")
        return
    out.print("Dead letters" if failed else "Messages", "(newest first, times in UTC)")
    for episode in episodes:
        out.print(plain(f"\n{_when(episode)}  {episode.sid}", "bold"), soft_wrap=True)
        for line in _lines(episode, reveal):
            out.print(plain(f"  {line}"), soft_wrap=True)


def _lines(episode: Episode, reveal: bool) -> Iterator[str]:
    """Say in a few lines who texted, what they got, and what became of it."""
    if episode.message is None:
        yield "the message itself is no longer kept"
    else:
        body = " ".join(_body(episode, reveal).split())
        shown = body if len(body) <= LONGEST_LINE else f"{body[:LONGEST_LINE]}…"
        yield f"{_person(episode, reveal)} to {episode.message.recipient}: {shown}"
    answer = episode.outcome or "unanswered"
    yield f"{answer} from {episode.sender}" if episode.sender else answer
    for sent in episode.sent:
        yield f"delivery: {sent.status} {sent.error_code}".rstrip()
    for cause in episode.causes:
        yield f"cause: {cause}"


def _tell(episode: Episode, reveal: bool) -> None:
    rows = [
        ("received (UTC)", _when(episode)),
        ("from", _person(episode, reveal)),
        ("to", episode.message.recipient if episode.message else ""),
        ("text", _body(episode, reveal)),
        ("outcome", episode.outcome or "unanswered"),
        ("rule", episode.rule or ""),
        ("answer", "\n".join(episode.texts) if reveal else masked_text("".join(episode.texts))),
        ("answered from", episode.sender or ""),
        *(("sender", line) for line in episode.trail),
        *(("delivery", f"{sent.sid} {sent.status} {sent.error_code}".strip()) for sent in episode.sent),
        *(("cause", cause) for cause in episode.causes),
    ]
    print_table(("message", episode.sid), rows)


def _as_json(episode: Episode, reveal: bool) -> dict[str, object]:
    return {
        "sid": episode.sid,
        "account_sid": episode.reference.partition("/")[0],
        "received": _moment(episode),
        "from": _person(episode, reveal),
        "to": episode.message.recipient if episode.message else None,
        "body": _body(episode, reveal),
        "outcome": episode.outcome,
        "rule": episode.rule,
        "sender": episode.sender,
        "trail": list(episode.trail),
        "answer": list(episode.texts) if reveal else [masked_text(text) for text in episode.texts],
        "causes": list(episode.causes),
        "cause": episode.causes[0] if episode.causes else None,
        "sent": [
            {
                "sid": sent.sid,
                "from": sent.sender,
                "status": sent.status,
                "error_code": sent.error_code or None,
            }
            for sent in episode.sent
        ],
    }


def _when(episode: Episode) -> str:
    """Return the time of arrival for people, in UTC."""
    return (_moment(episode) or "unknown")[:19].replace("T", " ")


def _moment(episode: Episode) -> str | None:
    """Return the time of arrival for programs (ISO 8601)."""
    if episode.received is None:
        return None
    return datetime.fromtimestamp(episode.received / 1000, UTC).isoformat(timespec="milliseconds")


def _person(episode: Episode, reveal: bool) -> str:
    if episode.message is None:
        return ""
    return episode.message.sender if reveal else masked_number(episode.message.sender)


def _body(episode: Episode, reveal: bool) -> str:
    if episode.message is None:
        return ""
    return episode.message.body if reveal else masked_text(episode.message.body)
