"""The answer to a message, and what is told about it (design 2)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class MessageKey(NamedTuple):
    """Which message: the identity that every delivery of it shares."""

    reference: str
    """``AccountSid/MessageSid``."""
    person: str


class Outcome(StrEnum):
    """How a message came to its answer."""

    REPLY = "reply"
    SILENT = "silent"
    LATE = "late"
    """The deadline came first: the empty answer was sent, the handler went on."""
    MUTED = "muted"
    """A reply too many to one person: the loop guard held it back."""
    UNSENDABLE = "unsendable"
    """There was a reply, but no number that can carry it to this person."""
    FAILED = "failed"
    """The handler raised; the person got the error reply."""
    FALLBACK = "fallback"
    """Twilio's fallback request found nothing and nobody at work."""
    RELEASED = "released"
    """The handler raised and Twilio was asked to call the fallback; not an answer yet."""

    @classmethod
    def _missing_(cls, value: object) -> Outcome | None:
        """Take what a newer version has stored for a reply: its document is the answer all the same."""
        return cls.REPLY if isinstance(value, str) else None


class Answer(NamedTuple):
    """The TwiML that everybody who asks for this message gets."""

    document: bytes
    outcome: Outcome


class JournalEntry(NamedTuple):
    """What is journaled with an answer."""

    text: str
    """A line with the rule, then the trail of the sender's choice."""
    cause: str = ""
    """Why the message is a dead letter; empty when it is not."""


RELEASED = Answer(b"", Outcome.RELEASED)
