"""The account's messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

MAX_MESSAGES = 100_000
"""Older ones are deleted, so that a long load test does not fill the memory."""


class SandboxMessageStatus(Enum):
    """Twilio's message statuses (facts 7)."""

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
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = {
    SandboxMessageStatus.DELIVERED,
    SandboxMessageStatus.UNDELIVERED,
    SandboxMessageStatus.FAILED,
    SandboxMessageStatus.CANCELED,
    SandboxMessageStatus.RECEIVED,
}


class Direction(Enum):
    """Twilio's message directions."""

    INBOUND = "inbound"
    API = "outbound-api"
    REPLY = "outbound-reply"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, inbound or outbound; ``sender`` is None until a Service has selected it."""

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
    """The newest ``MAX_MESSAGES`` messages."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, Message] = OrderedDict()

    def put(self, message: Message) -> None:
        self._messages[message.sid] = message
        if len(self._messages) > MAX_MESSAGES:
            self._messages.popitem(last=False)

    def get(self, sid: str) -> Message | None:
        return self._messages.get(sid)

    def remove(self, sid: str) -> None:
        self._messages.pop(sid, None)

    def newest_first(self) -> Iterator[Message]:
        return reversed(self._messages.values())
