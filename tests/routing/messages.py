"""Inbound messages for tests."""

from __future__ import annotations

from sms_router.twilio.inbound import InboundMessage

ACCOUNT = "AC" + "0a" * 16
CONTACT = "+14155550123"


def message(
    body: str = "HOURS",
    *,
    sender: str = CONTACT,
    recipient: str = "12345",
    service: str | None = None,
    **parameters: str,
) -> InboundMessage:
    """Return a text as it arrives from Twilio."""
    return InboundMessage("SM" + "0a" * 16, ACCOUNT, service, sender, recipient, body, parameters)
