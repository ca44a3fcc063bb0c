"""One message as it leaves by REST, and what Twilio said to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class OutboundSms:
    """What `Messages.json` is asked for (facts 6.2)."""

    account_sid: str
    service_sid: str | None
    """Beside ``sender`` it disables Twilio's selection and keeps the Service's features (facts 5.1)."""
    sender: str
    person: str
    text: str
    media: tuple[str, ...]
    status_url: str
    trail: str = ""
    """How the sender was chosen, for the journal."""


class SendState(StrEnum):
    """How far a message of the outbox has come."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    """Twilio did not take it."""
    UNKNOWN = "unknown"
    """It may have left: a timeout, a 5xx or a crash in between. Never sent again by itself."""
    WITHDRAWN = "withdrawn"
    """Nothing was sent: opted out, too late, arrived after all, or no number can carry it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Twilio has taken the message."""

    sid: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Twilio has not taken it, and would not take it another time either."""

    code: int | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether Twilio has taken it."""

    sentence: str


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """Twilio has surely not processed it: 429, or no connection came about. It may be tried again."""

    sentence: str


Result = Sent | Rejected | Unknown | NotProcessed


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Nothing is to be sent, and why."""

    why: str
    dead_letter: bool
    """True when an operator should know."""


class SendLease(NamedTuple):
    """A message that is ours to send now; for everybody else it counts as sent."""

    request: bytes
    """The parameters of the message that is answered, as they came."""
    document: bytes
    """The TwiML that the message stands in."""
    state: Mapping[str, object]
    """What was kept of it before: why it leaves, which sender has failed, how often it was tried."""
    known: list[bytes]
    """What is known of the person, as alternating names and values."""
    mark: str = ""
    """The name of the mark, so that nobody removes another one."""
