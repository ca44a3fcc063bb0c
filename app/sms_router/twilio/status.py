"""Status callbacks: message statuses, their rank, and the receipt in a callback (facts 6.2, 7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sms_router.twilio.inbound import InvalidWebhook, validate_parameters
from sms_router.twilio.phone_numbers import contact_of

REQUIRED_PARAMETERS = ("MessageSid", "AccountSid", "To")
"""``From`` is missing when Twilio has selected no sender."""

_ERROR_CODE = re.compile(r"[1-9][0-9]{0,8}")


class MessageStatus(StrEnum):
    """Every message status of Twilio's API (facts 6.2)."""

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
        return _BY_NAME.get(text)

    @property
    def rank(self) -> int:
        """The progress of the message; a status replaces only one of a lower rank.

        Twilio does not guarantee the order of callbacks and may repeat them (facts 7). A terminal status
        is final: of two that contradict, the first stays. Only ``read`` follows a terminal status.
        """
        return _RANKS[self]

    @property
    def is_delivered(self) -> bool:
        """True when the message has reached the contact."""
        return self in (MessageStatus.DELIVERED, MessageStatus.READ)

    @property
    def is_failed(self) -> bool:
        """True when the message was refused or did not reach the contact."""
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
    """``From``: our sender; None when the message failed before one was selected."""
    contact: str
    """The id of the contact in ``To``."""
    reply_id: str | None
    """The identifier in the callback URL of the router's own replies; None for another message."""
    service_sid: str | None = None
    """``MessagingServiceSid``, which Twilio does not always send."""


def parse_receipt(parameters: Mapping[str, str], reply_id: str | None) -> Receipt | InvalidWebhook:
    """Return the receipt that a status callback contains, or why there is none.

    ``reply_id`` is the identifier in the callback URL.
    """
    if (invalid := validate_parameters(parameters, REQUIRED_PARAMETERS)) is not None:
        return invalid
    name = parameters.get("MessageStatus") or parameters.get("SmsStatus") or ""
    status = MessageStatus.parse(name)
    if status is None:
        return InvalidWebhook(
            f"MessageStatus {name[:32]!r} is unknown" if name else "MessageStatus is missing"
        )
    return Receipt(
        message_sid=parameters["MessageSid"],
        account_sid=parameters["AccountSid"],
        status=status,
        error_code=_parse_error_code(parameters.get("ErrorCode", "")),
        sender=parameters.get("From") or None,
        contact=contact_of(parameters["To"]),
        reply_id=reply_id,
        service_sid=parameters.get("MessagingServiceSid") or None,
    )


def _parse_error_code(text: str) -> int | None:
    return int(text) if _ERROR_CODE.fullmatch(text) else None
