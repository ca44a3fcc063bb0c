"""What waits in the outbox, and how it is called everywhere."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

_NAME = re.compile(r"(?:(late|replay)\.)?(\d{1,3})(\.again)?")


class ReplyKind(StrEnum):
    """Which document a message stands in; the values are the record's fields."""

    ANSWER = "answer"
    """The TwiML that Twilio got."""
    LATE = "late"
    """What came after the deadline."""
    REPLAY = "replay"
    """What was sent because an operator asked for a replay."""


class MessagePart(NamedTuple):
    """One message of one document: ``0``, ``late.0``, and ``0.again`` for the one that repeats it."""

    kind: ReplyKind
    number: int
    resend: bool = False

    @classmethod
    def parse(cls, name: str) -> MessagePart | None:
        """Read a name; None when it is not one."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        return cls(ReplyKind(found[1] or ReplyKind.ANSWER), int(found[2]), found[3] is not None)

    @property
    def name(self) -> str:
        """What the piece is called in the record, and behind the sid in our callback URLs."""
        kind = "" if self.kind is ReplyKind.ANSWER else f"{self.kind}."
        return f"{kind}{self.number}{'.again' if self.resend else ''}"

    def before(self) -> MessagePart | None:
        """Return the message that leaves before this one; None when it need not wait for any."""
        return None if self.resend or self.number == 0 else self._replace(number=self.number - 1)

    def repeated(self) -> MessagePart:
        """Return the message that is sent in place of this one, once."""
        return self._replace(resend=True)


class OutboxEntry(NamedTuple):
    """One thing to be done: a message to be sent, or the work that makes one."""

    reference: str
    """``AccountSid/MessageSid`` of the message that is answered."""
    name: str
    """Of a piece; of a kind alone where its handler has still to run."""
    scope: str
    """Where the person's facts belong (`people.scope_of`)."""
    person: str

    @classmethod
    def read(cls, line: bytes) -> OutboxEntry:
        """Read an entry as the outbox keeps it.

        Raises:
            ValueError: when it is not one.

        """
        reference, name, scope, person = line.decode("utf-8", "surrogateescape").split(" ", 3)
        return cls(reference, name, scope.replace("%20", " ").replace("%25", "%"), person)

    @property
    def line(self) -> bytes:
        """The entry as the outbox keeps it."""
        return f"{self.reference} {self.name}".encode() + self.whose

    @property
    def whose(self) -> bytes:
        """The end of its line; a person may be a name with blanks, so they come last."""
        scope = self.scope.replace("%", "%25").replace(" ", "%20")
        return f" {scope} {self.person}".encode("utf-8", "surrogateescape")

    @property
    def piece(self) -> MessagePart | None:
        """Which message is to be sent; None for work."""
        return MessagePart.parse(self.name)

    @property
    def message_sid(self) -> str:
        """The sid of the message that is answered."""
        return self.reference.rpartition("/")[2]
