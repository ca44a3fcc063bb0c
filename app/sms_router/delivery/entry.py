"""The entries of the outbox, and the names of messages."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

_NAME = re.compile(r"(?:(late|replay)\.)?(\d{1,3})(\.again)?")


EVENT, TIMER = "event", "timer"
"""The names of entries for the team's handlers: of an event, and of a conversation that may expire."""


class ReplyKind(StrEnum):
    """Which reply a message belongs to; the values are fields of the stored record."""

    ANSWER = "answer"
    """The TwiML in the HTTP response to Twilio."""
    LATE = "late"
    """The reply of a handler that exceeded the deadline."""
    REPLAY = "replay"
    """The reply of a replay that an operator requested."""


class MessagePart(NamedTuple):
    """One message of a reply: ``0``, ``late.0``, and ``0.again`` for its re-send."""

    kind: ReplyKind
    number: int
    resend: bool = False

    @classmethod
    def parse(cls, name: str) -> MessagePart | None:
        if (match := _NAME.fullmatch(name)) is None:
            return None
        return cls(ReplyKind(match[1] or ReplyKind.ANSWER), int(match[2]), match[3] is not None)

    @property
    def name(self) -> str:
        """The name in the record, and after the sid in status callback URLs."""
        kind = "" if self.kind is ReplyKind.ANSWER else f"{self.kind}."
        return f"{kind}{self.number}{'.again' if self.resend else ''}"

    def before(self) -> MessagePart | None:
        """Return the message that must be sent before this one; None when there is none."""
        return None if self.resend or self.number == 0 else self._replace(number=self.number - 1)

    def repeated(self) -> MessagePart:
        """Return the re-send of this message."""
        return self._replace(resend=True)


class OutboxEntry(NamedTuple):
    """A message to send, or a handler to run again (work)."""

    reference: str
    """``AccountSid/MessageSid`` of the incoming message."""
    name: str
    """Of a `MessagePart`, or of a `ReplyKind` for work."""
    scope: str
    """Scope of what is stored of the contact (`Contacts.scope_of`)."""
    contact: str

    @classmethod
    def read(cls, line: bytes) -> OutboxEntry:
        """Decode a stored entry.

        Raises:
            ValueError: when it is malformed.

        """
        reference, name, scope, contact = line.decode("utf-8", "surrogateescape").split(" ", 3)
        return cls(reference, name, scope.replace("%20", " ").replace("%25", "%"), contact)

    @property
    def line(self) -> bytes:
        """The stored form."""
        return f"{self.reference} {self.name}".encode() + self.contact_suffix

    @property
    def contact_suffix(self) -> bytes:
        """The end of the stored form, the same for all entries of a contact."""
        # The contact comes last, because it may be a name with spaces.
        scope = self.scope.replace("%", "%25").replace(" ", "%20")
        return f" {scope} {self.contact}".encode("utf-8", "surrogateescape")

    @property
    def part(self) -> MessagePart | None:
        """The message to send; None for work."""
        return MessagePart.parse(self.name)

    @property
    def message_sid(self) -> str:
        """The sid of the incoming message."""
        return self.reference.rpartition("/")[2]
