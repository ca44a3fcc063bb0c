"""sms-router: runs SMS keywords behind a Twilio Messaging Service.

What a handler file needs is here: ``from app import keyword, Reply, InboundMessage``.
"""

from app.routing.conversation import Conversation
from app.routing.registration import keyword, step
from app.routing.replies import Part, Reply
from app.twilio.inbound import InboundMessage

__all__ = ["Conversation", "InboundMessage", "Part", "Reply", "keyword", "step"]
