"""One request of Twilio, what is known about its message, and what the configuration sets for replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.inbox.answer import MessageKey
from sms_router.routing.inbox.inbox import Claimed
from sms_router.routing.pipeline.late_replies import LateReply
from sms_router.routing.upstream.models import Headers
from sms_router.senders.models import NO_FACTS, RecipientFacts
from sms_router.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True)
class ReplyPolicy:
    """The router's own replies, the inline deadline, and what follows when a handler fails."""

    inline_deadline: float
    """Seconds from the arrival of a request to its empty answer."""
    uses_twilio_fallback: bool
    """Whether Twilio calls the fallback URL when a handler fails; otherwise the error reply is sent."""
    error_reply: Reply
    fallback_reply: Reply
    muted_reply: Reply = SILENCE
    """Sent in the place of the first reply that the loop guard holds back."""


@dataclass(frozen=True, slots=True)
class FallbackError:
    """What Twilio's fallback request contains of the failed one (facts 3)."""

    error_code: str
    error_url: str


class InboundRequest(NamedTuple):
    """One request of Twilio about one message."""

    message: InboundMessage
    raw: bytes
    """The parameters as received, for the journal."""
    fallback: FallbackError | None
    """None unless it came to the fallback URL."""
    arrived: float
    """By the monotonic clock; the deadline counts from then."""
    headers: Headers = ()
    is_abandoned: bool = False
    """True where no request waits for the answer: its worker was lost."""


class MessageContext(NamedTuple):
    """A message that this worker is to answer."""

    key: MessageKey
    request: InboundRequest
    claim: Claimed
    scope: str
    """Where the contact's facts belong (`Contacts.scope_of`)."""
    facts: RecipientFacts = NO_FACTS
    conversation: Conversation | None = None
    """What the message makes of the contact's conversation."""
    is_guarded: bool = True
    """False for the answers to opt-out keywords, which the loop guard does not hold back."""
    weight: int = 1
    """For how many replies the loop guard counts this one."""

    @property
    def late_reply(self) -> LateReply:
        """The message as work that goes on after its answer."""
        return LateReply(
            self.key,
            self.request.message,
            self.scope,
            self.facts,
            conversation=self.conversation,
            waiting_since=self.request.arrived,
            raw=self.request.raw,
        )
