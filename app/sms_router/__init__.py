"""sms-router: runs SMS keywords behind a Twilio Messaging Service.

What a handler file needs is here: ``from sms_router import keyword, Reply, InboundMessage``.
"""

from sms_router.routing.handler.conversation import Conversation
from sms_router.routing.handler.decorators import default, keyword, lifespan, on, provide, reaction, step
from sms_router.routing.handler.events import HandlerEvent as Event
from sms_router.routing.handler.inspection import HandlerInfo
from sms_router.routing.handler.outbound import Duplicate, OptedOut, Refused, Sent, Sms
from sms_router.routing.handler.profile import HandlerContact as Contact
from sms_router.routing.handler.reply import Answer, CallNext, Part, Reply
from sms_router.routing.handler.reply import HandlerForward as Forward
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.reactions import Reaction

__all__ = [
    "Answer",
    "CallNext",
    "Contact",
    "Conversation",
    "Duplicate",
    "Event",
    "Forward",
    "HandlerInfo",
    "InboundMessage",
    "OptedOut",
    "Part",
    "Reaction",
    "Refused",
    "Reply",
    "Sent",
    "Sms",
    "default",
    "keyword",
    "lifespan",
    "on",
    "provide",
    "reaction",
    "step",
]
