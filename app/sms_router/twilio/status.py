"""Delivery statuses: what Twilio's callbacks say, and which word is the last one (facts 6.2 and 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sms_router.twilio.inbound import InvalidWebhook, validate_parameters

REQUIRED = ("MessageSid", "AccountSid", "To")
"""Without these a receipt belongs to nobody. ``From`` is missing when no sender was ever chosen."""

_ERROR_CODE = re.compile(r"[1-9][0-9]{0,8}")


class MessageStatus(StrEnum):
    """Every status that Twilio's API names (facts 6.2)."""

    SCHEDULED = "scheduled"
    ACCEPTED = "accepted"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    RECEIVING = "receiving"
    RECEIVED = "received"
    PARTIALLY_DELIVERED = "partially_delivered"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    CANCELED = "canceled"
    READ = "read"

    @classmethod
    def parse(cls, text: str) -> MessageStatus | None:
        """Return the status that Twilio wrote, None for one that we do not know."""
        return _BY_NAME.get(text)

    @property
    def rank(self) -> int:
        """How far along its way the message is; of two reports only one of a higher rank is news.

        Twilio does not promise an order (facts 7): callbacks may overtake each other and come twice. So
        an end never goes back, and the first of two contradicting ends stays. Only ``read`` can follow
        one, being stronger proof.
        """
        return _RANKS[self]

    @property
    def is_delivered(self) -> bool:
        """True when the message is known to have reached the person."""
        return self in (MessageStatus.DELIVERED, MessageStatus.READ)

    @property
    def is_failed(self) -> bool:
        """True when the message was refused, or did not reach the person."""
        return self in (MessageStatus.FAILED, MessageStatus.UNDELIVERED)


_RANKS = {
    MessageStatus.SCHEDULED: 0,
    MessageStatus.ACCEPTED: 1,
    MessageStatus.QUEUED: 2,
    MessageStatus.SENDING: 3,
    MessageStatus.RECEIVING: 3,
    MessageStatus.SENT: 4,
    MessageStatus.RECEIVED: 5,
    MessageStatus.PARTIALLY_DELIVERED: 6,
    MessageStatus.DELIVERED: 7,
    MessageStatus.UNDELIVERED: 7,
    MessageStatus.FAILED: 7,
    MessageStatus.CANCELED: 7,
    MessageStatus.READ: 8,
}
_BY_NAME = {status.value: status for status in MessageStatus}


@dataclass(frozen=True, slots=True)
class Receipt:
    """One status callback."""

    message_sid: str
    account_sid: str
    status: MessageStatus
    error_code: int | None
    sender: str | None
    """``From``: the number of ours that sent it; None when it failed before one was chosen."""
    person: str
    """``To``: whom the message was for."""
    reply: str | None
    """The identifier of the router's own reply, None for a message that somebody else sent."""
    service_sid: str | None = None
    """``MessagingServiceSid``, which Twilio sends only sometimes."""


def read_receipt(parameters: Mapping[str, str], reply: str | None) -> Receipt | InvalidWebhook:
    """Turn a status callback into a receipt, or say what is missing or unknown.

    ``reply`` is what our own callback URL said about the message.
    """
    if (oddity := validate_parameters(parameters, REQUIRED)) is not None:
        return oddity
    word = parameters.get("MessageStatus") or parameters.get("SmsStatus") or ""
    status = MessageStatus.parse(word)
    if status is None:
        return InvalidWebhook(
            f"MessageStatus {word[:32]!r} is not known" if word else "MessageStatus is missing"
        )
    return _receipt(parameters, status, reply)


def _receipt(parameters: Mapping[str, str], status: MessageStatus, reply: str | None) -> Receipt:
    return Receipt(
        message_sid=parameters["MessageSid"],
        account_sid=parameters["AccountSid"],
        status=status,
        error_code=_error_code(parameters.get("ErrorCode", "")),
        sender=parameters.get("From") or None,
        person=parameters["To"],
        reply=reply,
        service_sid=parameters.get("MessagingServiceSid") or None,
    )


def _error_code(text: str) -> int | None:
    return int(text) if _ERROR_CODE.fullmatch(text) else None
