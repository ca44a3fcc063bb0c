"""``sms-router replay``: have dead letters answered once more, by the running routers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import redis
import typer

from sms_router.cli.context import has_store, settings_for_command, store_client
from sms_router.cli.messages.replay_planner import Planner
from sms_router.cli.output import AsJson, CommandError, plain, plural, print_error, print_json, stdout
from sms_router.cli.times import parse_duration, parse_since
from sms_router.config.models import Privacy
from sms_router.config.settings import Settings
from sms_router.delivery.entry import ReplyKind
from sms_router.delivery.message import SendState
from sms_router.privacy import mask_text
from sms_router.routing.history import replay as replaying
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus
from sms_router.routing.history.timeline import body_of, describe_attempt, format_iso, format_time, number_of
from sms_router.routing.pipeline.replay_preview import ReplayPreview

_LOOK_EVERY = 0.2
_ENDED = {SendState.SENT, SendState.REFUSED, SendState.UNKNOWN, SendState.WITHDRAWN}


@dataclass(slots=True)
class ReplayRequest:
    """One message that is to be answered once more, and what becomes of it."""

    sid: str
    judgement: ReplayCheck
    episode: MessageRecord | None = None
    plan: ReplayPreview | None = None
    result: str = ""

    @property
    def good(self) -> bool:
        """True while nothing stands against it."""
        return self.judgement.status in {ReplayStatus.YES, ReplayStatus.ASKED}


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("replay")(replay)


def replay(
    sids: Annotated[
        list[str] | None, typer.Argument(metavar="SID...", help="Messages by their sids.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Every dead letter of the last 30m, 2h, 3d, or since a time (ISO 8601, UTC)."
        ),
    ] = None,
    cause: Annotated[
        str, typer.Option("--cause", metavar="TEXT", help="Only those whose cause holds this text.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; nothing is, and no handler runs.")
    ] = False,
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="SPAN", help="Leave out what was texted longer ago.")
    ] = "24h",
    even_if_unknown: Annotated[
        bool,
        typer.Option(
            "--even-if-unknown", help="Also what may have been answered: a person may get it twice."
        ),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at the most.")] = 100,
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for the outcome.")] = 5,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show numbers and texts in full.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have dead letters answered once more: rule, handler and sender are found anew, as for a new text.

    Name messages, or choose dead letters by --since and --cause; look first with --dry-run. The running
    routers do the work; without one it waits in the outbox. The answer leaves by REST, once, however often
    it is asked for, and not to somebody who has opted out or after late_limit seconds. Exits with 1 when
    nothing is found or a message that was named is not replayed.
    """
    if not sids and since is None and not cause:
        raise CommandError(
            "Which messages? Name them, or choose dead letters:",
            "sms-router replay --since 2h --cause timeout --dry-run",
            code=2,
        )
    if sids and (since is not None or cause):
        raise CommandError("Name messages, or choose them by --since and --cause, not both.", code=2)
    oldest, begin = parse_duration(max_age, "--max-age"), parse_since(since, time.time())
    settings = settings_for_command()
    reveal = reveal or settings.router.privacy is Privacy.OPEN
    wishes = _wishes(settings, sids or [], begin, cause, limit)
    if wishes and (planner := Planner.of(settings)):
        for wish in wishes:
            _consider(wish, planner, oldest, even_unknown=even_if_unknown)
    if not dry_run:
        _carry_out(settings, [wish for wish in wishes if wish.good], even_if_unknown, wait)
    if as_json:
        print_json([_as_json(wish, reveal) for wish in wishes])
    else:
        _tell(wishes, reveal, dry_run=dry_run)
    if not wishes and not as_json:
        print_error("No dead letter is like that.", "List them: sms-router messages --failed")
    if not wishes or (sids and not all(wish.good for wish in wishes)):
        raise typer.Exit(1)


def _wishes(
    settings: Settings, sids: Sequence[str], since: int, cause: str, limit: int
) -> list[ReplayRequest]:
    """Find the messages: those that are named, or the dead letters that were chosen."""
    missing = ReplayCheck(ReplayStatus.NOT_FOUND, "it is not in the journal")
    if not has_store(settings):
        return [ReplayRequest(sid, missing) for sid in sids]
    accounts = [account.sid for account in settings.accounts]
    with store_client(settings) as client:
        history = HistoryReader(client)
        if not sids:
            return [ReplayRequest(each.sid, missing, each) for each in history.failed(limit, since, cause)]
        return [ReplayRequest(sid, missing, history.find(sid, accounts)) for sid in dict.fromkeys(sids)]


def _consider(wish: ReplayRequest, planner: Planner, oldest: int, *, even_unknown: bool) -> None:
    """Judge a wish, and say what would be sent."""
    if wish.episode is None:
        return
    wish.judgement = replaying.check_replayable(
        wish.episode, int(time.time() * 1000), oldest, even_unknown=even_unknown
    )
    if not wish.good or wish.episode.message is None:
        return
    wish.plan = planner.plan(wish.episode.message)
    wish.judgement = wish.plan.forbidden or wish.judgement


def _carry_out(settings: Settings, wishes: Sequence[ReplayRequest], even_unknown: bool, wait: float) -> None:
    if not wishes:
        return
    with store_client(settings) as client:
        for wish in wishes:
            if wish.episode is not None and wish.plan is not None:
                wish.judgement = replaying.request_replay(
                    client,
                    wish.episode,
                    wish.plan.scope,
                    settings.router.retention_days,
                    even_unknown=even_unknown,
                )
        _watch(client, [wish for wish in wishes if wish.judgement.status is ReplayStatus.ASKED], wait)


def _watch(client: redis.Redis, wishes: Sequence[ReplayRequest], wait: float) -> None:
    """Look for a while what becomes of what was asked for."""
    until = time.monotonic() + wait
    history, open_wishes = HistoryReader(client), list(wishes)
    while open_wishes:
        found = history.read(_places(open_wishes))
        for wish, episode in zip(open_wishes, found, strict=True):
            wish.result = _result(episode)
        open_wishes = [wish for wish in open_wishes if not wish.result]
        if time.monotonic() >= until:
            break
        time.sleep(_LOOK_EVERY)
    for wish in open_wishes:
        wish.result = "waits in the outbox until a running router takes it"


def _places(wishes: Sequence[ReplayRequest]) -> list[tuple[str, str]]:
    return [
        (wish.episode.message.sender, wish.episode.reference)
        for wish in wishes
        if wish.episode is not None and wish.episode.message is not None
    ]


def _result(episode: MessageRecord) -> str:
    """Say what became of a replay; empty while it is under way."""
    if episode.replay is None or episode.replay.answer is None:
        return ""
    if episode.replay.failure:
        return f"nothing was sent: {episode.replay.failure}"
    sendings = episode.attempts_of(ReplyKind.REPLAY)
    if not sendings:
        return "nothing was sent: its rule says nothing"
    if any(sending.state not in _ENDED for sending in sendings):
        return ""
    return "; ".join(describe_attempt(sending) for sending in sendings)


def _tell(wishes: Sequence[ReplayRequest], reveal: bool, *, dry_run: bool) -> None:
    for wish in wishes:
        stdout.print(plain(f"{wish.sid}  {_summary(wish, dry_run=dry_run)}", "bold"), soft_wrap=True)
        for line in _lines(wish, reveal):
            stdout.print(plain(f"  {line}"), soft_wrap=True)
    good = sum(wish.good for wish in wishes)
    if dry_run and wishes:
        stdout.print(f"\n{plural(good, 'message')} would be replayed; nothing was sent.")


def _summary(wish: ReplayRequest, *, dry_run: bool) -> str:
    if not wish.good:
        return f"is not replayed: {wish.judgement.reason}"
    return f"would be replayed: {wish.judgement.reason}" if dry_run else wish.result or "asked for"


def _lines(wish: ReplayRequest, reveal: bool) -> list[str]:
    if wish.episode is None or wish.episode.message is None:
        return []
    came, body = format_time(wish.episode.received), " ".join(body_of(wish.episode, reveal).split())
    who = f"{number_of(wish.episode, reveal)} to {wish.episode.message.recipient}"
    lines = [f"{came}  {who}: {body}"]
    if wish.plan is not None and wish.good:
        lines.append(f"rule {wish.plan.rule}" + (f", {wish.plan.runs}" if wish.plan.runs else ""))
        lines += [f"text: {text if reveal else mask_text(text)}" for text in wish.plan.texts]
        what = "a text " if wish.plan.runs else ""
        sender = wish.plan.sender
        lines.append(f"{what}would leave from {sender}" if sender else f"nothing: {wish.plan.against}")
    return lines


def _as_json(wish: ReplayRequest, reveal: bool) -> dict[str, object]:
    plan = wish.plan
    texts = plan.texts if plan is not None else ()
    return {
        "sid": wish.sid,
        "received": format_iso(wish.episode.received) if wish.episode else None,
        "from": number_of(wish.episode, reveal) if wish.episode else None,
        "replayed": wish.judgement.status is ReplayStatus.ASKED,
        "verdict": wish.judgement.status.value,
        "why": wish.judgement.reason,
        "rule": plan.rule if plan is not None else None,
        "sender": plan.sender if plan is not None else None,
        "text": [text if reveal else mask_text(text) for text in texts],
        "runs": (plan.runs or None) if plan is not None else None,
        "result": wish.result or None,
    }
