"""The router's own replies, the inline deadline, and what follows when a handler fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from sms_router.routing.handler.reply import SILENCE, Reply


class OnFailure(Enum):
    """What follows when a handler fails; ``on_error`` in router.toml."""

    ERROR_REPLY = auto()
    TWILIO_FALLBACK = auto()


@dataclass(frozen=True, slots=True)
class ReplyPolicy:
    """What the configuration says about replies."""

    inline_deadline: float
    """Seconds from the arrival of a request to its empty answer."""
    on_failure: OnFailure
    error_reply: Reply
    fallback_reply: Reply
    muted_reply: Reply = SILENCE
    """Sent in the place of the first reply that the loop guard holds back."""
