"""``sms-router replay``: answer dead letters again, by the running routers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import redis
import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    RevealOption,
    command_line,
    plural,
    print_error,
    print_json,
    print_line,
)
from sms_router.cli.rules import build_composer, rules_and_pools
from sms_router.cli.senders.pools import known_snapshots, load_conditions
from sms_router.cli.store import read_store, store_client
from sms_router.cli.times import format_time, parse_duration, parse_since
from sms_router.config.settings import Settings
from sms_router.delivery.entry import ReplyKind
from sms_router.delivery.message import SendState
from sms_router.privacy import mask_text
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.replay import (
    ReplayCheck,
    ReplayStatus,
    check_replayable,
    failed_rule,
    request_replay,
)
from sms_router.routing.history.timeline import body_of, describe_attempt, format_iso, number_of
from sms_router.routing.pipeline.explain import ReplayPreview, preview_replay, read_stored_contact
from sms_router.senders.error_table import load_error_table
from sms_router.senders.pool import find_pool
from sms_router.twilio.inbound import InboundMessage

_POLL_INTERVAL = 0.2
_FINAL_STATES = {SendState.SENT, SendState.REFUSED, SendState.UNKNOWN, SendState.WITHDRAWN}


@dataclass(slots=True)
class ReplayRequest:
    """One message to replay, and the result."""

    sid: str
    check: ReplayCheck
    record: MessageRecord | None = None
    preview: ReplayPreview | None = None
    result: str = ""
    has_failed: bool = False
    """Whether a router has processed the replay, and not all of the reply was sent."""

    @property
    def is_possible(self) -> bool:
        """Whether nothing is known that prevents the replay."""
        return self.check.status in {ReplayStatus.YES, ReplayStatus.ASKED}


def _load_preview(settings: Settings) -> Callable[[redis.Redis, MessageRecord], ReplayPreview]:
    """Return what previews a replay, with the rules of this configuration and the state in the store."""
    snapshots, table = known_snapshots(settings), load_error_table(settings.folder)
    dispatcher, pools = rules_and_pools(settings, snapshots)
    conditions, composer = load_conditions(settings, snapshots).conditions, build_composer(settings, pools)
    owners = {sender.address: each.account_sid for each in snapshots for sender in each.senders}
    tenancy = settings.tenancy(owners)

    def scope_of(message: InboundMessage) -> str:
        """Return the Service, or the texted number, in which the contact's opt-outs are stored."""
        account_sid, recipient = message.account_sid, message.recipient
        if tenancy is not None and tenancy.is_foreign(account_sid, message.service_sid, recipient):
            return f"{account_sid}/{recipient}"
        pool = find_pool(pools, None, recipient)
        return message.service_sid or (pool.service_sid if pool is not None else recipient)

    def preview(client: redis.Redis, record: MessageRecord) -> ReplayPreview:
        message, failed, now = record.message, failed_rule(record), int(time.time() * 1000)
        assert message is not None, "a message without its text cannot be replayed"
        scope = scope_of(message)
        summary, conversation = read_stored_contact(client, scope, message.contact, table, now)
        return preview_replay(
            message, scope, summary.facts, conversation, dispatcher, composer, conditions, failed
        )

    return preview


def replay(
    sids: Annotated[list[str] | None, Argument(metavar="SID...", help="MessageSids.")] = None,
    since: Annotated[
        str | None,
        Option("--since", help="Every dead letter of the last 30m, 2h, 3d, or since a time (ISO 8601)."),
    ] = None,
    cause: Annotated[
        str, Option("--cause", metavar="TEXT", help="Only dead letters whose cause contains this text.")
    ] = "",
    dry_run: Annotated[
        bool, Option("--dry-run", help="Show what would be sent; nothing is sent, no handler runs.")
    ] = False,
    max_age: Annotated[
        str, Option("--max-age", metavar="SPAN", help="Skip messages that are older.")
    ] = "24h",
    even_if_unknown: Annotated[
        bool,
        Option(
            "--even-if-unknown",
            help="Also messages whose reply may have been sent: a contact may get it twice.",
        ),
    ] = False,
    even_if_default: Annotated[
        bool,
        Option(
            "--even-if-default",
            help="Also messages whose rule has failed and is gone, so that they would get the default.",
        ),
    ] = False,
    limit: Annotated[int, Option(min=1, max=10_000, help="Maximum number of messages.")] = 100,
    wait: Annotated[float, Option(min=0, max=600, help="Seconds to wait for the result.")] = 5,
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer dead letters again: rule, handler and sender are determined anew, as for a new message.

    Give the sids of messages, or select dead letters with --since and --cause; --dry-run shows what would be
    sent. The running routers do the work; without one it waits in the outbox. The reply leaves by REST, once,
    however often it is requested, and not to a contact who has opted out or after late_limit seconds.
    A message whose rule has failed and is gone needs --even-if-default: it would get the default. Exits
    with 1 when nothing is found, when a message that was given is not replayed, or when a replay fails again
    within --wait.
    """
    if not sids and since is None and not cause:
        raise CommandError(
            "Give the sids of messages, or select dead letters:",
            "sms-router replay --since 2h --cause timeout --dry-run",
            code=2,
        )
    if sids and (since is not None or cause):
        raise CommandError("Give either sids, or --since and --cause.", code=2)
    oldest, begin = parse_duration(max_age, "--max-age"), parse_since(since, time.time())
    settings = settings_for_command()
    reveal = reveal or settings.is_open
    requests = _find_messages(settings, sids or [], begin, cause, limit)
    now = int(time.time() * 1000)
    for request in requests:
        if request.record is not None:
            request.check = check_replayable(request.record, now, oldest, even_unknown=even_if_unknown)
    _preview(settings, [each for each in requests if each.is_possible], even_if_default)
    if not dry_run:
        _request_replays(settings, [each for each in requests if each.is_possible], even_if_unknown, wait)
    if as_json:
        print_json([_as_json(request, reveal) for request in requests])
    else:
        _print_results(requests, reveal, dry_run=dry_run)
    if not requests and not as_json:
        print_error("No dead letter matches.", "List them: sms-router messages --failed")
    failed = [request.sid for request in requests if request.has_failed]
    if failed and not as_json:
        print_error(
            f"{plural(len(failed), 'replay')} failed again: {', '.join(failed)}.",
            f"Correct the cause named above, then repeat: {command_line()}",
        )
    if not requests or failed or (sids and not all(request.is_possible for request in requests)):
        raise typer.Exit(1)


def _find_messages(
    settings: Settings, sids: Sequence[str], since: int, cause: str, limit: int
) -> list[ReplayRequest]:
    not_found = ReplayCheck(ReplayStatus.NOT_FOUND, "it is not in the journal")
    accounts = [account.sid for account in settings.accounts]

    def read(client: redis.Redis) -> list[ReplayRequest]:
        history = HistoryReader(client)
        if sids:
            return [ReplayRequest(sid, not_found, history.find(sid, accounts)) for sid in dict.fromkeys(sids)]
        return [
            ReplayRequest(record.sid, not_found, record) for record in history.failed(limit, since, cause)
        ]

    return read_store(settings, read, [ReplayRequest(sid, not_found) for sid in sids])


def _preview(settings: Settings, requests: Sequence[ReplayRequest], even_default: bool) -> None:
    """Fill in what would be sent, and why it is not."""
    if not requests:
        return
    preview_of = _load_preview(settings)
    with store_client(settings) as client:
        for request in requests:
            assert request.record is not None, "a message that is not found cannot be replayed"
            request.preview = preview = preview_of(client, request.record)
            if preview.forbidden is not None:
                request.check = preview.forbidden
            elif preview.sends_default and not even_default:
                reason = (
                    f"the rule {preview.failed_rule} has failed, and now the default would answer; to send"
                    " that: --even-if-default"
                )
                request.check = ReplayCheck(ReplayStatus.OTHER_RULE, reason)


def _request_replays(
    settings: Settings, requests: Sequence[ReplayRequest], even_unknown: bool, wait: float
) -> None:
    if not requests:
        return
    with store_client(settings) as client:
        for request in requests:
            if request.record is not None and request.preview is not None:
                request.check = request_replay(
                    client,
                    request.record,
                    request.preview.scope,
                    settings.router.retention_days,
                    even_unknown=even_unknown,
                )
        accepted = [request for request in requests if request.check.status is ReplayStatus.ASKED]
        _wait_for_results(client, accepted, wait)


def _wait_for_results(client: redis.Redis, requests: Sequence[ReplayRequest], wait: float) -> None:
    deadline = time.monotonic() + wait
    history, pending = HistoryReader(client), list(requests)
    while pending:
        records = history.read(
            (request.record.message.contact, request.record.reference)
            for request in pending
            if request.record is not None and request.record.message is not None
        )
        for request, record in zip(pending, records, strict=True):
            request.result, request.has_failed = _result_of(record)
        pending = [request for request in pending if not request.result]
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_INTERVAL)
    for request in pending:
        request.result = "waits in the outbox for a running router"


def _result_of(record: MessageRecord) -> tuple[str, bool]:
    """Return the result of a replay, empty while it is in progress, and whether it has failed."""
    if record.replay is None or record.replay.answer is None:
        return "", False
    if record.replay.failure:
        return f"nothing was sent: {record.replay.failure}", True
    attempts = record.attempts_of(ReplyKind.REPLAY)
    if not attempts:
        return "nothing was sent: its rule sends no reply", False
    states = {attempt.state for attempt in attempts}
    if not states <= _FINAL_STATES:
        return "", False
    return "; ".join(describe_attempt(attempt) for attempt in attempts), states != {SendState.SENT}


def _print_results(requests: Sequence[ReplayRequest], reveal: bool, *, dry_run: bool) -> None:
    for request in requests:
        summary = _summarize(request, dry_run=dry_run)
        print_line(f"{request.sid}  {summary}", "bold")
        for line in _detail_lines(request, reveal):
            print_line(f"  {line}")
    if dry_run and requests:
        possible = sum(request.is_possible for request in requests)
        print_line(f"\n{plural(possible, 'message')} would be replayed; nothing was sent.")


def _summarize(request: ReplayRequest, *, dry_run: bool) -> str:
    if not request.is_possible:
        return f"is not replayed: {request.check.reason}"
    return f"would be replayed: {request.check.reason}" if dry_run else request.result or "requested"


def _detail_lines(request: ReplayRequest, reveal: bool) -> list[str]:
    record, preview = request.record, request.preview
    if record is None or record.message is None:
        return []
    received, body = format_time(record.received), " ".join(body_of(record, reveal).split())
    lines = [f"{received}  {number_of(record, reveal)} to {record.message.recipient}: {body}"]
    if preview is not None and request.is_possible:
        lines.append(f"rule {preview.rule}" + (f", {preview.runs}" if preview.runs else ""))
        if preview.failed_rule:
            lines.append(f"another rule than the one that has failed: {preview.failed_rule}")
        lines += [f"text: {text if reveal else mask_text(text)}" for text in preview.texts]
        subject = "a text " if preview.runs else ""
        sender = preview.sender
        lines.append(f"{subject}would leave from {sender}" if sender else f"nothing: {preview.against}")
    return lines


def _as_json(request: ReplayRequest, reveal: bool) -> dict[str, object]:
    record, preview = request.record, request.preview
    texts = preview.texts if preview is not None else ()
    return {
        "sid": request.sid,
        "received": format_iso(record.received) if record else None,
        "from": number_of(record, reveal) if record else None,
        "replayed": request.check.status is ReplayStatus.ASKED,
        "verdict": request.check.status.value,
        "why": request.check.reason,
        "rule": preview.rule if preview is not None else None,
        "failed_rule": (preview.failed_rule or None) if preview is not None else None,
        "sender": preview.sender if preview is not None else None,
        "text": [text if reveal else mask_text(text) for text in texts],
        "runs": (preview.runs or None) if preview is not None else None,
        "result": request.result or None,
        "failed": request.has_failed,
    }
