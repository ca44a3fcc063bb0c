"""Messages as lines of a list: what people see of one at a glance."""

from __future__ import annotations

from typing import NamedTuple

from sms_router.routing.history.record import DeliveredMessage, MessageRecord
from sms_router.routing.history.timeline import body_of, in_words, person_of
from sms_router.routing.inbox.answer import Outcome
from sms_router.twilio.status import MessageStatus

LONGEST_TEXT = 160
"""Characters of a text that a list shows."""


class Badge(NamedTuple):
    """A word, and the colour that it has: ``good``, ``bad``, ``odd`` or ``plain``."""

    word: str
    tone: str


class MessageRow(NamedTuple):
    """One message."""

    sid: str
    at: int | None
    person: str
    recipient: str
    text: str
    rule: str
    outcome: Badge
    sender: str
    deliveries: tuple[Badge, ...]
    remarks: tuple[str, ...]
    """Why it failed, and what left for it by REST."""


_OUTCOMES: dict[str | None, Badge] = {
    None: Badge("not answered", "odd"),
    Outcome.REPLY: Badge("answered", "good"),
    Outcome.SILENT: Badge("nothing said", "plain"),
    Outcome.LATE: Badge("answered late", "odd"),
    Outcome.MUTED: Badge("held back", "odd"),
    Outcome.UNSENDABLE: Badge("no number could", "bad"),
    Outcome.FAILED: Badge("failed", "bad"),
    Outcome.FALLBACK: Badge("fallback", "odd"),
    Outcome.RELEASED: Badge("failed", "bad"),
}

_STATUSES: dict[str, str] = {
    MessageStatus.DELIVERED: "good",
    MessageStatus.READ: "good",
    MessageStatus.FAILED: "bad",
    MessageStatus.UNDELIVERED: "bad",
}


def outcome_of(episode: MessageRecord) -> Badge:
    """Return how a message was answered, in a word."""
    return _OUTCOMES.get(episode.outcome, Badge(episode.outcome or "", "plain"))


def delivery_of(sent: DeliveredMessage) -> Badge:
    """Return what became of one message that left."""
    if not sent.status:
        return Badge("sent", "plain")
    return Badge(f"{sent.status} {sent.error_code}".rstrip(), _STATUSES.get(sent.status, "plain"))


def row_of(episode: MessageRecord, reveal: bool) -> MessageRow:
    """Return a message as a line of a list."""
    text = " ".join(body_of(episode, reveal).split())
    return MessageRow(
        episode.sid,
        episode.received,
        person_of(episode, reveal) or "unknown",
        episode.message.recipient if episode.message is not None else "",
        text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…",
        episode.rule or "",
        outcome_of(episode),
        episode.sender or "",
        tuple(delivery_of(sent) for sent in episode.sent),
        (*(cause.text for cause in episode.causes[:1]), *(in_words(each) for each in episode.sendings)),
    )
