"""``sms-router messages``: the newest messages, dead letters, and the timeline of one message."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import redis
import typer
from typer import Argument, Option

from sms_router.cli.context import START_HINT, settings_for_command, store_is_running
from sms_router.cli.messages.follow import follow as follow_journal
from sms_router.cli.messages.follow import line_of
from sms_router.cli.messages.forget import erasures, forget
from sms_router.cli.output import (
    CommandError,
    JsonOption,
    Noun,
    RevealOption,
    address_option,
    command_line,
    print_json,
    print_line,
    print_table,
    program,
    stderr,
)
from sms_router.cli.store import read_store, store_client
from sms_router.cli.times import format_time
from sms_router.config.settings import Settings
from sms_router.privacy import mask_text
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import AnswerRecord, MessageRecord, OutboundAttempt
from sms_router.routing.history.replay import cancel
from sms_router.routing.history.timeline import (
    body_of,
    build_timeline,
    describe_attempt,
    format_iso,
    number_of,
    shorten,
)
from sms_router.twilio.phone_numbers import contact_of

MAX_TEXT_LENGTH = 120
"""Characters of a text in a list."""

MAX_SEARCHED = 20_000
"""Messages that are searched for those of one contact, in the contact's bucket (one of 64)."""

_OUTCOMES = {"failed": "failed: the contact got the error reply"}
"""Outcomes that need more than their name."""

messages = typer.Typer(
    help="Show the newest messages or the timeline of one; delete a contact's data.\n\n"
    'Numbers and texts are masked unless --reveal is given or the configuration has privacy = "open".',
    cls=Noun,
)


@messages.command("list")
def list_newest(
    failed: Annotated[bool, Option("--failed", help="Only dead letters, with their causes.")] = False,
    scheduled: Annotated[
        bool, Option("--scheduled", help="Only messages that wait until they are due.")
    ] = False,
    sender: Annotated[
        str | None,
        Option("--from", help="Only the newest messages of this contact.", callback=address_option),
    ] = None,
    limit: Annotated[int, Option(min=1, max=10_000, help="Maximum number of messages.")] = 20,
    follow: Annotated[
        bool, Option("--follow", "-f", help="Print each message as it is answered, until Ctrl-C.")
    ] = False,
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the newest messages."""
    if (failed or scheduled) and sender is not None:
        raise CommandError("--from lists failed and scheduled messages too: leave the other out.", code=2)
    settings = settings_for_command()
    reveal = reveal or settings.is_open
    if follow:
        if scheduled:
            raise CommandError("--follow prints scheduled messages too, once they leave.", code=2)
        _follow(settings, failed, sender, reveal, as_json)
        return

    def read(client: redis.Redis) -> list[MessageRecord]:
        history = HistoryReader(client)
        if sender is not None:
            return history.for_contact(contact_of(sender), limit, MAX_SEARCHED)
        if scheduled:
            return history.scheduled(limit)
        return history.failed(limit) if failed else history.recent(limit)

    records = read_store(settings, read, ())
    if as_json:
        print_json([_as_json(record, reveal) for record in records])
    elif sender is not None and not records:
        print_line("None of the newest messages is from this number.")
    else:
        title, empty = "Messages (newest first)", f"No messages yet. Send one: {program()} text HOURS"
        if scheduled:
            title, empty = "Scheduled messages (the first ones first)", "Nothing waits to be sent."
        elif failed:
            title, empty = "Dead letters (newest first)", "No dead letters."
        _print_list(records, title, empty, reveal)


@messages.command("show")
def show(
    sid: Annotated[str, Argument(metavar="SID", help="MessageSid, SM... or MM...")],
    reveal: RevealOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the timeline of one message.

    When it arrived, which rule replied and how the sender was selected, every delivery status, and what
    followed: late replies, re-routed replies, replays, and why it is a dead letter.
    """
    settings = settings_for_command()
    reveal = reveal or settings.is_open
    record = find_message(settings, sid)
    if as_json:
        print_json(_as_json(record, reveal))
    else:
        _print_timeline(record, reveal)


@messages.command("cancel")
def cancel_scheduled(
    sid: Annotated[str, Argument(metavar="SID", help="Of a scheduled message.")],
) -> None:
    """Cancel a message that waits until it is due.

    Exits with 1 when it has left, or is a reply.
    """
    settings = settings_for_command()
    record = find_message(settings, sid)
    with store_client(settings) as client:
        if not cancel(client, record):
            raise CommandError(f"{sid} does not wait.", f"See its timeline: {program()} messages show {sid}")
    print_line("Cancelled.")


def find_message(settings: Settings, sid: str) -> MessageRecord:
    accounts = [account.sid for account in settings.accounts]
    record = read_store(settings, lambda client: HistoryReader(client).find(sid, accounts), None)
    if record is None:
        raise CommandError(f"The journal has no message {sid}.", "List the newest: sms-router messages")
    return record


def _follow(settings: Settings, failed: bool, sender: str | None, reveal: bool, as_json: bool) -> None:
    if not store_is_running(settings):
        raise CommandError("No router runs.", START_HINT)
    contact = contact_of(sender) if sender is not None else None
    if stderr.is_terminal:
        print_line("Waiting for texts; Ctrl-C stops.", console=stderr)
    with contextlib.suppress(KeyboardInterrupt), store_client(settings) as client:
        for record in follow_journal(HistoryReader(client), failed=failed, contact=contact):
            if as_json:
                print_json(_as_json(record, reveal), indent=None)
                sys.stdout.flush()
            else:
                print_line(line_of(record, reveal=reveal))


def _print_list(records: Sequence[MessageRecord], title: str, hint: str, reveal: bool) -> None:
    print_line(title if records else hint)
    for record in records:
        print_line(f"\n{format_time(record.received)}  {record.sid}", "bold")
        for line in _summary_lines(record, reveal):
            print_line(f"  {line}")
    if records and not reveal:
        print_line(f"\nShow numbers and texts: {command_line()} --reveal")


def _summary_lines(record: MessageRecord, reveal: bool) -> Iterator[str]:
    """Yield who texted what, the reply and its deliveries."""
    if record.message is None:
        yield "the message itself is deleted"
    elif record.event:
        yield f"event {record.event} of {number_of(record, reveal)}"
    elif record.message.is_outbound:
        yield f"to {number_of(record, reveal)}: {shorten(body_of(record, reveal), MAX_TEXT_LENGTH)}"
        yield f"requested by {record.requester}"
    else:
        text = shorten(body_of(record, reveal), MAX_TEXT_LENGTH)
        yield f"{number_of(record, reveal)} to {record.message.recipient}: {text}"
    if not record.is_outbound:
        outcome = _OUTCOMES.get(record.outcome or "", record.outcome) or "unanswered"
        yield f"{outcome} from {record.sender}" if record.sender else outcome
    for attempt in record.attempts:
        yield describe_attempt(attempt, is_outbound=record.is_outbound)
    if record.replay is not None and not any(each.part.kind == "replay" for each in record.attempts):
        yield "replay: " + ("nothing was sent" if record.replay.answer else "waits for a router")
    for sent in record.sent:
        yield f"delivery: {sent.status} {sent.error_code}".rstrip()
    for cause in record.causes:
        yield f"cause: {cause.text}"


def _print_timeline(record: MessageRecord, reveal: bool) -> None:
    rows = []
    day = None
    for event in build_timeline(record, reveal):
        date, _, time = format_time(event.at, "milliseconds").partition(" ") if event.at else ("", "", "")
        when = time if date == day else f"{date}\n{time}"
        day = date
        rows.append((when, event.type.value, "\n".join(event.lines)))
    outcome = "no reply" if record.is_outbound else record.outcome or "unanswered"
    print_line(f"{record.sid}  {outcome}", "bold")
    print_table(("time", "what", ""), rows)


def _as_json(record: MessageRecord, reveal: bool) -> dict[str, object]:
    outbound = record.is_outbound
    recipient = record.message.recipient if record.message else None
    return {
        "direction": "outbound" if outbound else "inbound",
        "requested_by": record.requester if outbound else None,
        "due": format_iso(record.due),
        "sid": record.sid,
        "account_sid": record.account_sid,
        "received": format_iso(record.received),
        "from": record.late_reply.sender if outbound and record.late_reply else number_of(record, reveal),
        "to": number_of(record, reveal) if outbound else recipient,
        "body": body_of(record, reveal),
        "outcome": "outbound" if outbound else record.outcome,
        "rule": record.late_reply.rule if outbound and record.late_reply else record.rule,
        "sender": record.sender,
        "trail": list(record.trail),
        "answer": _texts(record.answer, reveal),
        "answered": format_iso(record.answer.at) if record.answer else None,
        "second_answer": _answer_as_json(record.second_answer, reveal),
        "late": _answer_as_json(record.late_reply, reveal),
        "replay": _replay_as_json(record, reveal),
        "by_rest": [_attempt_as_json(attempt) for attempt in record.attempts],
        "causes": [cause.text for cause in record.causes],
        "cause": record.causes[0].text if record.causes else None,
        "sent": [
            {
                "sid": sent.sid,
                "piece": sent.part.name if sent.part else None,
                "from": sent.sender,
                "status": sent.status,
                "error_code": sent.error_code or None,
                "statuses": [
                    {"status": report.status, "at": format_iso(report.at)} for report in sent.statuses
                ],
            }
            for sent in record.sent
        ],
        "story": [
            {
                "at": format_iso(event.at),
                "what": event.type.value,
                "sid": event.sid,
                "lines": list(event.lines),
            }
            for event in build_timeline(record, reveal)
        ],
    }


def _answer_as_json(answer: AnswerRecord | None, reveal: bool) -> dict[str, object] | None:
    if answer is None:
        return None
    return {
        "at": format_iso(answer.at),
        "rule": answer.rule,
        "sender": answer.sender,
        "trail": list(answer.trail),
        "answer": _texts(answer, reveal),
    }


def _replay_as_json(record: MessageRecord, reveal: bool) -> dict[str, object] | None:
    if record.replay is None:
        return None
    answer = _answer_as_json(record.replay.answer, reveal) or {}
    return {
        "asked": format_iso(record.replay.requested_at),
        "failed": record.replay.failure or None,
        **answer,
    }


def _attempt_as_json(attempt: OutboundAttempt) -> dict[str, object]:
    return {
        "piece": attempt.part.name,
        "state": attempt.state.value,
        "at": format_iso(attempt.at),
        "why": attempt.reason,
        "result": attempt.failure or None,
        "sender": attempt.sender or None,
        "sid": attempt.sid or None,
        "trail": list(attempt.trail),
    }


def _texts(answer: AnswerRecord | None, reveal: bool) -> list[str]:
    texts = answer.texts if answer is not None else ()
    return list(texts) if reveal else [mask_text(text) for text in texts]


# Below the others, as in the help.
messages.command("forget")(forget)
messages.command("erasures")(erasures)
