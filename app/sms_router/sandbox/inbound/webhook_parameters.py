"""The webhook for a text to one of the account's numbers: its URLs and parameters (facts 1, 3)."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.callbacks import API_VERSION
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Direction, Message, SandboxMessageStatus
from sms_router.sandbox.webhooks.page import WebhookTarget
from sms_router.sandbox.world.numbers import Number, NumberLocation, location_of
from sms_router.sandbox.world.world import Service
from sms_router.twilio.segments import count_segments


@dataclass(frozen=True, slots=True)
class InboundWebhook:
    """One inbound message and its webhook.

    ``primary`` is None when there is no URL to call; ``dropped`` is true when Twilio does not even log the
    message (a Service whose inbound URL is null).
    """

    message: Message
    parameters: Mapping[str, str]
    primary: WebhookTarget | None
    fallback: WebhookTarget | None
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class IncomingText:
    """A text from a person's phone; ``media`` are URLs."""

    sender: str
    number: Number
    body: str
    media: tuple[str, ...] = ()
    other_recipients: tuple[str, ...] = ()
    """Who else gets it: a group MMS."""
    sid: str = ""
    """Of a message that was delivered before."""


def build_webhook(
    text: IncomingText, account: Account, identifiers: Identifiers, now: datetime, opt_out_type: str = ""
) -> InboundWebhook:
    service = account.service_of(text.number.sid)
    message = Message(
        sid=text.sid or identifiers.sid("MM" if text.media or text.other_recipients else "SM"),
        sender=text.sender,
        recipient=text.number.address,
        body=text.body,
        direction=Direction.INBOUND,
        status=SandboxMessageStatus.RECEIVED,
        created=now,
        updated=now,
        sent=now,
        media=text.media,
        segments=1 if text.media else count_segments(text.body).count,
        service_sid=service.sid if service else None,
    )
    primary, fallback = _targets(text.number, service)
    dropped = primary is None and service is not None and not service.use_inbound_webhook_on_number
    parameters = _parameters(account.sid, message, text.number)
    for index, recipient in enumerate(text.other_recipients):
        parameters[f"OtherRecipients{index}"] = recipient
    if opt_out_type:
        parameters["OptOutType"] = opt_out_type
    return InboundWebhook(message, parameters, primary, fallback, dropped)


def _targets(number: Number, service: Service | None) -> tuple[WebhookTarget | None, WebhookTarget | None]:
    """Return the URL that is called and its fallback; a Service overrides those of its numbers."""
    if service and not service.use_inbound_webhook_on_number:
        primary = WebhookTarget(service.inbound_request_url, service.inbound_method)
        fallback = WebhookTarget(service.fallback_url, service.fallback_method)
    else:
        primary = WebhookTarget(number.sms_url, number.sms_method)
        fallback = WebhookTarget(number.sms_fallback_url, number.sms_fallback_method)
    return primary if primary.url else None, fallback if fallback.url else None


def _parameters(account_sid: str, message: Message, number: Number) -> dict[str, str]:
    parameters = {
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "SmsMessageSid": message.sid,
        "AccountSid": account_sid,
        "ApiVersion": API_VERSION,
        "From": message.sender or "",
        "To": message.recipient,
        "Body": message.body,
        "NumMedia": str(len(message.media)),
        "NumSegments": str(message.segments),
        "SmsStatus": message.status.value,
        **_location_parameters("From", location_of(message.sender or "")),
        **_location_parameters("To", location_of(number.address, number.country)),
    }
    if message.service_sid:
        parameters["MessagingServiceSid"] = message.service_sid
    for index, url in enumerate(message.media):
        parameters[f"MediaUrl{index}"] = url
        parameters[f"MediaContentType{index}"] = mimetypes.guess_type(url)[0] or "image/jpeg"
    return parameters


def _location_parameters(side: str, location: NumberLocation) -> dict[str, str]:
    return {
        f"{side}City": location.city,
        f"{side}State": location.state,
        f"{side}Zip": location.zip,
        f"{side}Country": location.country,
    }
