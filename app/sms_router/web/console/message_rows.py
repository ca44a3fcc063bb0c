"""A message as one line of a list."""

from __future__ import annotations

from typing import NamedTuple

from sms_router.privacy import mask_text
from sms_router.routing.history.record import MessageRecord, SentMessage
from sms_router.routing.history.timeline import body_of, describe_attempt, number_of, shorten
from sms_router.routing.inbox.answer import Outcome
from sms_router.twilio.status import MessageStatus
from sms_router.twilio.twiml import OutboundMessage

MAX_TEXT_LENGTH = 160
"""Characters of a text in a list."""


class Badge(NamedTuple):
    """A word and its colour: ``good``, ``bad``, ``odd`` or ``plain``."""

    word: str
    tone: str


class MessageRow(NamedTuple):
    """One message."""

    sid: str
    received: int | None
    contact: str
    recipient: str
    text: str
    replies: tuple[str, ...]
    rule: str
    outcome: Badge
    sender: str
    deliveries: tuple[Badge, ...]
    cause: str
    """Why it is a dead letter, else empty."""
    remarks: tuple[str, ...]
    """What was sent for it by REST."""


_OUTCOMES: dict[str | None, Badge] = {
    None: Badge("not answered", "odd"),
    Outcome.REPLY: Badge("replied", "good"),
    Outcome.SILENT: Badge("no reply", "plain"),
    Outcome.LATE: Badge("late reply", "odd"),
    Outcome.MUTED: Badge("muted", "odd"),
    Outcome.UNSENDABLE: Badge("no sender", "bad"),
    Outcome.FAILED: Badge("failed", "bad"),
    Outcome.FALLBACK: Badge("fallback", "odd"),
    Outcome.RELEASED: Badge("failed", "bad"),
}

_NOT_DELIVERED = "not delivered"

OUTCOMES = (*dict.fromkeys(badge.word for badge in _OUTCOMES.values()), _NOT_DELIVERED)
"""The outcomes to search by."""

_STATUS_TONES: dict[str, str] = {
    MessageStatus.DELIVERED: "good",
    MessageStatus.READ: "good",
    MessageStatus.FAILED: "bad",
    MessageStatus.UNDELIVERED: "bad",
}


def outcome_badge(record: MessageRecord) -> Badge:
    if record.is_outbound:
        return Badge("scheduled" if record.due is not None else "no reply to a text", "plain")
    return _OUTCOMES.get(record.outcome, Badge(record.outcome or "", "plain"))


def has_outcome(record: MessageRecord, outcome: str) -> bool:
    """Return whether a message has one of `OUTCOMES`."""
    if outcome == _NOT_DELIVERED:
        return any(_STATUS_TONES.get(sent.status) == "bad" for sent in record.sent)
    return outcome_badge(record).word == outcome


def delivery_badge(sent: SentMessage) -> Badge:
    if not sent.status:
        return Badge("sent", "plain")
    return Badge(f"{sent.status} {sent.error_code}".rstrip(), _STATUS_TONES.get(sent.status, "plain"))


def build_row(record: MessageRecord, reveal: bool) -> MessageRow:
    """Return the line of a message; without ``reveal`` its number and text are masked."""
    outbound, number = record.is_outbound, number_of(record, reveal) or "unknown"
    ours = record.message.recipient if record.message is not None else ""
    return MessageRow(
        record.sid,
        record.received,
        (record.sender or "") if outbound else number,
        number if outbound else ours,
        shorten(body_of(record, reveal), MAX_TEXT_LENGTH),
        () if outbound else tuple(_reply(message, reveal) for message in record.replies),
        f"requested by {record.requester}" if outbound else record.rule or "",
        outcome_badge(record),
        record.sender or "",
        tuple(delivery_badge(sent) for sent in record.sent),
        record.causes[0].text if record.causes else "",
        tuple(describe_attempt(attempt, is_outbound=outbound) for attempt in record.attempts),
    )


def _reply(message: OutboundMessage, reveal: bool) -> str:
    text = message.body if reveal else mask_text(message.body)
    media = f"{len(message.media)} media" if message.media else ""
    return shorten(
        " and ".join(filter(None, (text if message.body else "", media))) or "(empty)", MAX_TEXT_LENGTH
    )
