"""What one request of Twilio's asks for, and what is known of its message once it is ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.inbox.answer import MessageKey
from sms_router.routing.inbox.inbox import Claimed
from sms_router.routing.pipeline.late_replies import LateReply
from sms_router.routing.upstream.models import Headers
from sms_router.senders.models import NO_FACTS, RecipientFacts
from sms_router.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True)
class FallbackError:
    """What Twilio's fallback request says of the first one (facts 3)."""

    error_code: str
    error_url: str


class InboundRequest(NamedTuple):
    """One request of Twilio's about one message."""

    message: InboundMessage
    request: bytes
    """The parameters as they came; the journal keeps them."""
    fallback: FallbackError | None
    arrived: float
    """By the monotonic clock; the deadline counts from then."""
    headers: Headers = ()
    """Those of the request."""


class MessageContext(NamedTuple):
    """A delivery whose message is ours to answer."""

    key: MessageKey
    delivery: InboundRequest
    claim: Claimed
    scope: str
    """Where the person's opt-out and the beliefs about them belong."""
    facts: RecipientFacts = NO_FACTS
    conversation: Conversation | None = None
    """What the message makes of the person's, once it is answered."""
    passive: bool = True
    """False for answers to opt-out words, which nothing may hold back."""

    @property
    def task(self) -> LateReply:
        """The work on it that may go on after its answer."""
        return LateReply(
            self.key,
            self.delivery.message,
            self.scope,
            self.facts,
            conversation=self.conversation,
            began=self.delivery.arrived,
        )
