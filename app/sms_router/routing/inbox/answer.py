"""A message's key, its answer, and the outcome that is stored with it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class MessageKey(NamedTuple):
    """What all requests about one message have in common."""

    reference: str
    """``AccountSid/MessageSid``."""
    contact: str
    """The address that the message came from."""


class Outcome(StrEnum):
    """How a message was answered."""

    REPLY = "reply"
    SILENT = "silent"
    """The rule has no reply: the answer is empty."""
    LATE = "late"
    """The inline deadline passed: the answer is empty, and the handler goes on."""
    MUTED = "muted"
    """The loop guard held the reply back."""
    UNSENDABLE = "unsendable"
    """There is a reply, but no sender that can carry it to this contact."""
    FAILED = "failed"
    """The handler raised, and the contact got the error reply."""
    FALLBACK = "fallback"
    """Twilio's fallback request answered a message without an answer."""
    RELEASED = "released"
    """The handler raised, and Twilio was asked to call the fallback: not an answer yet."""

    @classmethod
    def _missing_(cls, value: object) -> Outcome | None:
        """Take what a newer version has stored for a reply: its document is the answer all the same."""
        return cls.REPLY if isinstance(value, str) else None


class Answer(NamedTuple):
    """The TwiML that every request about this message gets."""

    document: bytes
    outcome: Outcome


class JournalEntry(NamedTuple):
    """What is journaled with an answer."""

    trail_text: str
    """A line with the rule, then the trail of the sender selection."""
    cause: str = ""
    """Why the message is a dead letter; empty where it is none."""


RELEASED = Answer(b"", Outcome.RELEASED)
