"""A message that is sent through Twilio's REST API, its states and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class OutboundSms:
    """The parameters of a request to ``Messages.json``."""

    account_sid: str
    service_sid: str | None
    """Together with ``sender`` it disables Twilio's sender selection and keeps the Service's features."""
    sender: str
    recipient: str
    text: str
    media: tuple[str, ...]
    status_url: str
    trail: str = ""
    """The trail of the sender selection."""


class SendState(StrEnum):
    """The state of a message in the outbox."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    """Twilio has rejected it."""
    UNKNOWN = "unknown"
    """It may have been sent: a timeout, a 5xx or a crash. Never sent again automatically."""
    WITHDRAWN = "withdrawn"
    """It was not sent: opted out, too late, delivered after all, or no sender can carry it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Twilio has accepted the message."""

    sid: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Twilio has rejected the message; a repeated request would be rejected too."""

    code: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It is unknown whether Twilio has accepted the message."""

    sentence: str


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """Twilio has not processed the message: a 429, or no connection. It can be sent again."""

    sentence: str


SendResult = Accepted | Rejected | Unknown | NotProcessed


OPTED_OUT = "the contact has opted out"
"""The reason of what is not sent because of that; the script that marks messages has the same sentence."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The message is not sent, with the reason."""

    reason: str
    dead_letter: bool
    """True when operators should see it as a dead letter."""


FINAL_STATES: Mapping[type, SendState] = {
    Accepted: SendState.SENT,
    Rejected: SendState.REFUSED,
    Unknown: SendState.UNKNOWN,
    Cancelled: SendState.WITHDRAWN,
}
"""The state of a message by its result; the values label the results in metrics too."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """The message must not be sent before this time, in seconds since the epoch."""

    until: float


class SendLease(NamedTuple):
    """The right to send a message now; for all other workers it counts as sent."""

    request: bytes
    """The parameters of the incoming message, as received."""
    document: bytes
    """The TwiML that contains the message."""
    state: Mapping[str, object]
    """What is stored of it: why it is sent, which sender has failed, how often it was tried."""
    contact_fields: list[bytes]
    """What is stored of the contact, as alternating names and values."""
    mark: str = ""
    """Identifies this lease, so that no other one is removed by mistake."""
