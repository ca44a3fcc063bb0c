"""sms-router: runs SMS keywords behind a Twilio Messaging Service.

What a handler file needs is here: ``from app import keyword, Reply, InboundMessage``.
"""

from app.routing.registration import keyword
from app.routing.replies import Part, Reply
from app.twilio.inbound import InboundMessage

__all__ = ["InboundMessage", "Part", "Reply", "keyword"]
