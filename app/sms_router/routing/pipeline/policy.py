"""What people are told, how long they wait, and what a failed handler leads to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from sms_router.routing.handler.reply import SILENCE, Reply


class OnFailure(Enum):
    """What a failed handler leads to."""

    ERROR_REPLY = auto()
    TWILIO_FALLBACK = auto()


@dataclass(frozen=True, slots=True)
class CannedReplies:
    """The replies of the router itself."""

    error: Reply
    fallback: Reply
    muted: Reply = SILENCE
    """In place of the first reply that the loop guard holds back."""


@dataclass(frozen=True, slots=True)
class ReplyPolicy:
    """How long people are kept waiting, and what a failed handler leads to."""

    deadline: float
    """Seconds from the arrival of a request to the empty answer."""
    on_failure: OnFailure
