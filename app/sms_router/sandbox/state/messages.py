"""Messages as Twilio keeps them, and the bounded store that holds them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

MOST_MESSAGES = 100_000
"""Older ones are forgotten, so that a long load test does not fill the memory."""

MOST_PHONES = 100_000
MOST_PER_PHONE = 200


class SandboxMessageStatus(Enum):
    """Where a message stands (facts 7)."""

    SCHEDULED = "scheduled"
    ACCEPTED = "accepted"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    CANCELED = "canceled"
    RECEIVED = "received"

    @property
    def final(self) -> bool:
        """True when the message goes nowhere from here."""
        return self in _FINAL


_FINAL = {
    SandboxMessageStatus.DELIVERED,
    SandboxMessageStatus.UNDELIVERED,
    SandboxMessageStatus.FAILED,
    SandboxMessageStatus.CANCELED,
    SandboxMessageStatus.RECEIVED,
}


class Direction(Enum):
    """Who sent a message, in Twilio's words."""

    INBOUND = "inbound"
    API = "outbound-api"
    REPLY = "outbound-reply"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, inbound or outbound; ``sender`` is None while a Service is still choosing."""

    sid: str
    sender: str | None
    recipient: str
    body: str
    direction: Direction
    status: SandboxMessageStatus
    created: datetime
    updated: datetime
    media: tuple[str, ...] = ()
    segments: int = 0
    service_sid: str | None = None
    status_callback: str = ""
    send_at: datetime | None = None
    sent: datetime | None = None
    error_code: int | None = None


class MessageStore:
    """The account's messages, the newest ``MOST_MESSAGES`` of them."""

    def __init__(self) -> None:
        """Start empty."""
        self._messages: OrderedDict[str, Message] = OrderedDict()

    def put(self, message: Message) -> None:
        """Keep a message, or its new state."""
        self._messages[message.sid] = message
        if len(self._messages) > MOST_MESSAGES:
            self._messages.popitem(last=False)

    def get(self, sid: str) -> Message | None:
        """Return the message with this sid."""
        return self._messages.get(sid)

    def remove(self, sid: str) -> None:
        """Forget a message."""
        self._messages.pop(sid, None)

    def newest_first(self) -> Iterator[Message]:
        """Iterate over all messages, as Twilio lists them."""
        return reversed(self._messages.values())


@dataclass(frozen=True, slots=True)
class Received:
    """What a phone shows: a redaction at Twilio does not reach it any more."""

    sid: str
    sender: str
    body: str
    media: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class PhoneInbox:
    """One phone's messages, oldest first, and the sids of those that did not reach it."""

    received: deque[Received]
    missed: deque[str]


class Handsets:
    """The inboxes of all phones that were ever sent a message."""

    def __init__(self) -> None:
        """Start empty."""
        self._inboxes: OrderedDict[str, PhoneInbox] = OrderedDict()

    @property
    def numbers(self) -> tuple[str, ...]:
        """The phones that were sent anything."""
        return tuple(self._inboxes)

    def inbox(self, number: str) -> PhoneInbox:
        """Return what a phone received; a phone that got nothing has an empty inbox."""
        return self._inboxes.get(number) or PhoneInbox(deque(), deque())

    def show(self, number: str, received: Received) -> None:
        """Let a message arrive at a phone."""
        self._opened(number).received.append(received)

    def miss(self, number: str, sid: str) -> None:
        """Note that a message did not arrive."""
        self._opened(number).missed.append(sid)

    def _opened(self, number: str) -> PhoneInbox:
        inbox = self._inboxes.get(number)
        if inbox is None:
            inbox = PhoneInbox(deque(maxlen=MOST_PER_PHONE), deque(maxlen=MOST_PER_PHONE))
            self._inboxes[number] = inbox
            if len(self._inboxes) > MOST_PHONES:
                self._inboxes.popitem(last=False)
        return inbox
