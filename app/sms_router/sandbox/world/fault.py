"""What can go wrong on request: values, without what they do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class RestKind(Enum):
    """What happens to a REST call."""

    STATUS = "status"
    """It is answered with an error status."""
    GARBAGE = "garbage"
    """It is answered with something that is not JSON."""
    HANG = "hang"
    """It is not answered."""
    SLOW = "slow"
    """Its answer takes ``seconds`` longer."""
    HALF = "half"
    """The connection breaks in the middle of its answer."""


@dataclass(frozen=True, slots=True)
class RestFault:
    """How Twilio's REST API misbehaves.

    ``path`` is a part of the paths that are struck, empty for all. ``after`` says that the call is
    carried out before it fails: a message is sent and its sender never learns of it. ``seconds`` are
    real time. ``count`` is how many calls are struck; None until the fault is cleared.
    """

    kind: RestKind
    status: int = 500
    seconds: float = 1.0
    path: str = ""
    after: bool = False
    count: int | None = None


class WebhookKind(Enum):
    """What happens to the request about an inbound message."""

    TWICE = "twice"
    """It is delivered twice at once, and only the later answer comes back."""
    UNHEARD = "unheard"
    """It is delivered, and its answer is lost: Twilio goes to the fallback."""


@dataclass(frozen=True, slots=True)
class WebhookFault:
    """How webhooks about inbound messages misbehave; ``count`` as above."""

    kind: WebhookKind
    count: int | None = None


@dataclass(frozen=True, slots=True)
class ReceiptFault:
    """How status callbacks misbehave.

    ``late`` is in seconds of the sandbox's clock. ``backwards`` keeps a message's callbacks until the
    last one, and posts that one first. ``count`` is how many callbacks are struck.
    """

    late: float = 0.0
    twice: bool = False
    backwards: bool = False
    lost: bool = False
    count: int | None = None


Fault = RestFault | WebhookFault | ReceiptFault


@dataclass(frozen=True, slots=True)
class FaultSet:
    """One fault of each sort, or None where all is well."""

    rest: RestFault | None = None
    webhooks: WebhookFault | None = None
    receipts: ReceiptFault | None = None
