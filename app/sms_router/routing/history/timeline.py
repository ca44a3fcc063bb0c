"""One message's story for people: everything that is known of it, in order of time, masked or in full."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sms_router.delivery.entry import MessagePart, ReplyKind
from sms_router.delivery.message import SendState
from sms_router.privacy import mask_number, mask_text
from sms_router.routing.history.record import AnswerRecord, DeliveredMessage, MessageRecord, OutboundAttempt
from sms_router.twilio.twiml import OutboundMessage


class EventType(StrEnum):
    """What happened in one step; in the order in which steps of the same millisecond are told."""

    RECEIVED = "received"
    ANSWERED = "answered"
    LATE = "late answer"
    REPLAY_ASKED = "replay asked"
    REPLAY = "replay"
    SENDING = "by REST"
    STATUS = "status"
    DEAD_LETTER = "dead letter"
    BODIES_REMOVED = "texts removed"


_ORDER = {what: place for place, what in enumerate(EventType)}

_DOCUMENTS = {
    ReplyKind.ANSWER: "the answer",
    ReplyKind.LATE: "the late answer",
    ReplyKind.REPLAY: "the replay",
}

_STATES = {
    SendState.WAITING: "waits to be sent",
    SendState.SENDING: "is being sent",
    SendState.SENT: "left",
    SendState.REFUSED: "was refused",
    SendState.UNKNOWN: "may have left",
    SendState.WITHDRAWN: "did not leave",
}


class TimelineEvent(NamedTuple):
    """One thing that happened."""

    at: int | None
    """Milliseconds since the epoch; None where nobody wrote it down."""
    what: EventType
    lines: tuple[str, ...]
    sid: str | None = None
    """Of the outgoing message that it is about."""


def build_timeline(episode: MessageRecord, reveal: bool) -> list[TimelineEvent]:
    """Return the whole story, the oldest step first."""
    known = list(_steps(episode, reveal))
    latest = max((step.at for step in known if step.at is not None), default=0)
    return sorted(known, key=lambda step: (step.at or latest, _ORDER[step.what]))


def _steps(episode: MessageRecord, reveal: bool) -> Iterator[TimelineEvent]:
    yield TimelineEvent(episode.received, EventType.RECEIVED, tuple(_received(episode, reveal)))
    if episode.answer is not None:
        outcome = f"{episode.outcome or 'unanswered'} by {episode.answer.rule}"
        yield _said(EventType.ANSWERED, episode.answer, outcome, reveal)
    if episode.late is not None:
        yield _said(EventType.LATE, episode.late, f"by {episode.late.rule}", reveal)
    if episode.replay is not None:
        yield TimelineEvent(episode.replay.asked, EventType.REPLAY_ASKED, ("by an operator",))
        if episode.replay.said is not None:
            yield _said(EventType.REPLAY, episode.replay.said, f"by {episode.replay.said.rule}", reveal)
    for sending in episode.sendings:
        as_sid = (f"as {sending.sid}",) if sending.sid else ()
        lines = (in_words(sending), *as_sid, *sending.trail)
        yield TimelineEvent(sending.at, EventType.SENDING, lines, sending.sid or None)
    known = {sending.sid for sending in episode.sendings}
    for sent in episode.sent:
        yield from _statuses(sent, told=sent.sid in known)
    for cause in episode.causes:
        yield TimelineEvent(cause.at, EventType.DEAD_LETTER, (cause.text,))
    if episode.bodies_removed is not None:
        yield TimelineEvent(
            episode.bodies_removed, EventType.BODIES_REMOVED, ("their time is over (body_retention_days)",)
        )


def _received(episode: MessageRecord, reveal: bool) -> Iterator[str]:
    if episode.message is None:
        yield "the message itself is no longer kept"
        return
    yield f"{person_of(episode, reveal)} to {episode.message.recipient}"
    if episode.message.service_sid:
        yield f"Service {episode.message.service_sid}"
    yield body_of(episode, reveal)
    for media in episode.message.media:
        yield f"{media.content_type} {media.url}" if reveal else media.content_type


def _said(what: EventType, said: AnswerRecord, how: str, reveal: bool) -> TimelineEvent:
    texts = [_message(message, reveal) for message in said.messages] or ["(nothing is said)"]
    return TimelineEvent(said.at, what, (how, *texts, *said.trail))


def _message(message: OutboundMessage, reveal: bool) -> str:
    sender = f"from {message.sender}: " if message.sender else ""
    recipient = message.recipient or ""
    to = f"to {recipient if reveal else mask_number(recipient)} " if recipient else ""
    pictures = f" and {len(message.media)} media" if message.media else ""
    return f"{to}{sender}{message.body if reveal else mask_text(message.body)}{pictures}"


def in_words(sending: OutboundAttempt) -> str:
    """Say how far a message that leaves by REST has come, and why it leaves."""
    again = " once more" if sending.piece.resend else ""
    sender = f" from {sending.sender}" if sending.sender else ""
    why = sending.result or (f"because of {sending.why}" if sending.piece.resend else sending.why)
    return f"{_named(sending.piece)} {_STATES[sending.state]}{again}{sender}: {why}".rstrip(": ")


def _named(piece: MessagePart) -> str:
    number = f", message {piece.number + 1}," if piece.number else ""
    return f"{_DOCUMENTS[piece.kind]}{number}"


def _statuses(sent: DeliveredMessage, *, told: bool) -> Iterator[TimelineEvent]:
    """Tell the statuses of one message, with its sid where that was not ``told`` before."""
    name = _named(sent.piece) if sent.piece is not None else "a message"
    again = ", sent once more" if sent.piece is not None and sent.piece.resend else ""
    for status in sent.statuses or ((None, sent.status),):
        at, word = status
        error = f", error {sent.error_code}" if sent.error_code and word == sent.status else ""
        sender = f" from {sent.sender}" if sent.sender else ""
        line = f"{name}{again}{sender}: {word or 'nothing heard yet'}{error}"
        yield TimelineEvent(at, EventType.STATUS, (line,) if told else (line, f"as {sent.sid}"), sent.sid)
        told = True


def iso(at: int | None) -> str | None:
    """Return a time for programs (ISO 8601)."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")


def moment_of(at: int | None) -> str:
    """Return a time for people, in UTC, to the second."""
    return (iso(at) or "unknown")[:19].replace("T", " ")


def person_of(episode: MessageRecord, reveal: bool) -> str:
    """Return who texted."""
    if episode.message is None:
        return ""
    return episode.message.sender if reveal else mask_number(episode.message.sender)


def body_of(episode: MessageRecord, reveal: bool) -> str:
    """Return what was texted."""
    if episode.bodies_removed is not None:
        return "(no longer kept)"
    if episode.message is None:
        return ""
    return episode.message.body if reveal else mask_text(episode.message.body)
