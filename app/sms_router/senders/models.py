"""One number of ours, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, auto


class SenderKind(Enum):
    """The kinds of number that carriers tell apart."""

    SHORT_CODE = "short code"
    ALPHANUMERIC = "alphanumeric sender"
    LONG_CODE = "long code"
    TOLL_FREE = "toll-free number"


class Capability(Flag):
    """What a number can send."""

    NONE = 0
    SMS = auto()
    MMS = auto()


@dataclass(frozen=True, slots=True)
class Sender:
    """One sender of a Messaging Service.

    ``address`` is what goes into ``from``: E.164, bare digits of a short code (facts 9.1:
    never with a plus), or the letters of an alphanumeric sender. ``country`` is ISO 3166, two
    letters, or None where Twilio has none (alphanumeric senders).
    """

    sid: str
    address: str
    kind: SenderKind
    country: str | None
    capabilities: Capability
    live: bool = True
    """False while a port or a lease is pending."""
