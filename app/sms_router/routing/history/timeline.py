"""A stored message as a list of events in order of time, for people: masked or in full."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sms_router.delivery.entry import MessagePart, ReplyKind
from sms_router.delivery.message import SendState
from sms_router.privacy import mask_number, mask_text
from sms_router.routing.history.record import AnswerRecord, MessageRecord, OutboundAttempt, SentMessage
from sms_router.twilio.twiml import OutboundMessage


class EventType(StrEnum):
    """What happened; the order is that of events in the same millisecond."""

    RECEIVED = "received"
    REQUESTED = "requested"
    ANSWERED = "answered"
    SECOND_ANSWER = "answered twice"
    LATE = "late answer"
    COMPOSED = "composed"
    REPLAY_REQUESTED = "replay asked"
    REPLAY = "replay"
    ATTEMPT = "by REST"
    STATUS = "status"
    DEAD_LETTER = "dead letter"
    BODIES_REMOVED = "texts removed"


_ORDER = {event_type: place for place, event_type in enumerate(EventType)}

_REPLY_KINDS = {
    ReplyKind.ANSWER: "reply",
    ReplyKind.LATE: "late reply",
    ReplyKind.REPLAY: "replay",
}

_STATES = {
    SendState.WAITING: "waits to be sent",
    SendState.SENDING: "is being sent",
    SendState.SENT: "was sent",
    SendState.REFUSED: "was refused",
    SendState.UNKNOWN: "may have been sent",
    SendState.WITHDRAWN: "was not sent",
}


class TimelineEvent(NamedTuple):
    """One event of a message."""

    at: int | None
    """Milliseconds since the epoch; None where the time is unknown."""
    type: EventType
    lines: tuple[str, ...]
    sid: str | None = None
    """The outgoing message to which it belongs."""


def build_timeline(record: MessageRecord, reveal: bool) -> list[TimelineEvent]:
    """Return the events of a message, the oldest first; with ``reveal`` numbers and texts are not masked."""
    events = list(_events(record, reveal))
    latest = max((event.at for event in events if event.at is not None), default=0)
    sent = {attempt.sid: attempt.at for attempt in record.attempts if attempt.sid}

    def order(event: TimelineEvent) -> tuple[int, int]:
        # A callback can be received before the response to the request that sent the message.
        return max(event.at or latest, sent.get(event.sid or "", 0)), _ORDER[event.type]

    return sorted(events, key=order)


def _events(record: MessageRecord, reveal: bool) -> Iterator[TimelineEvent]:
    outbound = record.is_outbound
    first = EventType.REQUESTED if outbound else EventType.RECEIVED
    yield TimelineEvent(record.received, first, tuple(_received(record, reveal)))
    if record.answer is not None and not outbound:
        headline = f"{record.outcome or 'unanswered'} by {record.answer.rule}"
        yield _answer(EventType.ANSWERED, record.answer, headline, reveal)
    if record.second_answer is not None:
        headline = f"by {record.second_answer.rule}, in another worker, while Redis was away"
        yield _answer(EventType.SECOND_ANSWER, record.second_answer, headline, reveal)
    if record.late_reply is not None:
        composed = EventType.COMPOSED if outbound else EventType.LATE
        yield _answer(composed, record.late_reply, f"by {record.late_reply.rule}", reveal)
    if record.replay is not None:
        yield TimelineEvent(record.replay.requested_at, EventType.REPLAY_REQUESTED, ("by an operator",))
        if (answer := record.replay.answer) is not None:
            yield _answer(EventType.REPLAY, answer, f"by {answer.rule}", reveal)
    for attempt in record.attempts:
        as_sid = (f"as {attempt.sid}",) if attempt.sid else ()
        lines = (describe_attempt(attempt, is_outbound=outbound), *as_sid, *attempt.trail)
        yield TimelineEvent(attempt.at, EventType.ATTEMPT, lines, attempt.sid or None)
    sids_of_attempts = {attempt.sid for attempt in record.attempts}
    for message in record.sent:
        yield from _statuses(message, outbound, with_sid=message.sid not in sids_of_attempts)
    for cause in record.causes:
        yield TimelineEvent(cause.at, EventType.DEAD_LETTER, (cause.text,))
    if record.bodies_removed is not None:
        yield TimelineEvent(record.bodies_removed, EventType.BODIES_REMOVED, ("after body_retention_days",))


def _received(record: MessageRecord, reveal: bool) -> Iterator[str]:
    if record.message is None:
        yield "the message itself is no longer kept"
        return
    if record.event:
        yield f"event {record.event} of {number_of(record, reveal)}"
    elif record.is_outbound:
        yield f"to {number_of(record, reveal)}, by {record.requester}"
    else:
        yield f"{number_of(record, reveal)} to {record.message.recipient}"
    if record.message.service_sid:
        yield f"Service {record.message.service_sid}"
    if not record.is_outbound:
        yield body_of(record, reveal)
    for media in record.message.media:
        yield f"{media.content_type} {media.url}" if reveal else media.content_type


def _answer(event_type: EventType, answer: AnswerRecord, headline: str, reveal: bool) -> TimelineEvent:
    texts = [_message(message, reveal) for message in answer.messages] or ["(no message)"]
    return TimelineEvent(answer.at, event_type, (headline, *texts, *answer.trail))


def _message(message: OutboundMessage, reveal: bool) -> str:
    sender = f"from {message.sender}: " if message.sender else ""
    recipient = message.recipient or ""
    to = f"to {recipient if reveal else mask_number(recipient)} " if recipient else ""
    media = f" and {len(message.media)} media" if message.media else ""
    return f"{to}{sender}{message.body if reveal else mask_text(message.body)}{media}"


def describe_attempt(attempt: OutboundAttempt, *, is_outbound: bool = False) -> str:
    """Return a sentence about a message that is sent by REST: its state and the reason."""
    if is_outbound and attempt.state is SendState.WAITING:
        return (
            f"{_name(attempt.part, is_outbound)} leaves at {format_time(attempt.due)} UTC: {attempt.reason}"
        )
    sender = f" from {attempt.sender}" if attempt.sender else ""
    reason = attempt.failure or (f"because of {attempt.reason}" if attempt.part.resend else attempt.reason)
    return f"{_name(attempt.part, is_outbound)} {_STATES[attempt.state]}{sender}: {reason}".rstrip(": ")


def _name(part: MessagePart, is_outbound: bool = False) -> str:
    rerouted = "re-routed " if part.resend else ""
    number = f", message {part.number + 1}," if part.number else ""
    return f"the {rerouted}{'message' if is_outbound else _REPLY_KINDS[part.kind]}{number}"


def _statuses(message: SentMessage, is_outbound: bool, *, with_sid: bool) -> Iterator[TimelineEvent]:
    """Yield the statuses of one message; the first names its sid if ``with_sid`` is set."""
    name = _name(message.part, is_outbound) if message.part is not None else "a message"
    for at, status in message.statuses or ((None, message.status),):
        error = f", error {message.error_code}" if message.error_code and status == message.status else ""
        sender = f" from {message.sender}" if message.sender else ""
        line = f"{name}{sender}: {status or 'no status yet'}{error}"
        lines = (line, f"as {message.sid}") if with_sid else (line,)
        yield TimelineEvent(at, EventType.STATUS, lines, message.sid)
        with_sid = False


def format_iso(at: int | None) -> str | None:
    """Return a time in milliseconds since the epoch as ISO 8601, for programs."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")


def format_time(at: int | None) -> str:
    """Return a time in milliseconds since the epoch for people, in UTC, to the second."""
    return (format_iso(at) or "unknown")[:19].replace("T", " ")


def number_of(record: MessageRecord, reveal: bool) -> str:
    """Return the number of the contact, masked unless ``reveal``; empty if the message is not kept."""
    if record.message is None:
        return ""
    return record.message.sender if reveal else mask_number(record.message.sender)


def shorten(text: str, length: int) -> str:
    """Return a text on one line, cut after some characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]}…"


def body_of(record: MessageRecord, reveal: bool) -> str:
    """Return the text of the message, masked unless ``reveal``; of ours, where it is no reply."""
    if record.bodies_removed is not None:
        return "(no longer kept)"
    if record.message is None:
        return ""
    body = record.message.body
    if record.is_outbound and record.late_reply is not None:
        body = "\n".join(record.late_reply.texts)
    return body if reveal else mask_text(body)
