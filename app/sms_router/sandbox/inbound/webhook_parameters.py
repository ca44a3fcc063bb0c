"""A text from a phone to one of our numbers: its parameters, and whom Twilio asks (facts 1, 3)."""

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
from sms_router.sandbox.world.geography import Place, place_of
from sms_router.sandbox.world.numbers import Number
from sms_router.sandbox.world.world import Service
from sms_router.twilio.segments import count_segments


@dataclass(frozen=True, slots=True)
class Inbound:
    """One inbound message and what follows from where it arrived.

    ``primary`` is None when nobody is asked; ``dropped`` says that Twilio would not even log it
    (a Service whose inbound URL is null).
    """

    message: Message
    parameters: Mapping[str, str]
    primary: WebhookTarget | None
    fallback: WebhookTarget | None
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class IncomingText:
    """What a person typed: ``media`` are URLs."""

    sender: str
    number: Number
    body: str
    media: tuple[str, ...] = ()


def receive(
    text: IncomingText, account: Account, identifiers: Identifiers, now: datetime, opt_out_type: str = ""
) -> Inbound:
    """Turn a text into the inbound message and the webhook that it leads to."""
    service = account.service_of(text.number.sid)
    message = Message(
        sid=identifiers.sid("MM" if text.media else "SM"),
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
    if opt_out_type:
        parameters["OptOutType"] = opt_out_type
    return Inbound(message, parameters, primary, fallback, dropped)


def _targets(number: Number, service: Service | None) -> tuple[WebhookTarget | None, WebhookTarget | None]:
    """Return the URL that is asked and its fallback; a Service overrides its numbers' own."""
    if service and not service.use_inbound_webhook_on_number:
        return (
            _target(WebhookTarget(service.inbound_request_url, service.inbound_method)),
            _target(WebhookTarget(service.fallback_url, service.fallback_method)),
        )
    return (
        _target(WebhookTarget(number.sms_url, number.sms_method)),
        _target(WebhookTarget(number.sms_fallback_url, number.sms_fallback_method)),
    )


def _target(target: WebhookTarget) -> WebhookTarget | None:
    return target if target.url else None


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
        **_geography("From", place_of(message.sender or "")),
        **_geography("To", place_of(number.address, number.country)),
    }
    if message.service_sid:
        parameters["MessagingServiceSid"] = message.service_sid
    for index, url in enumerate(message.media):
        parameters[f"MediaUrl{index}"] = url
        parameters[f"MediaContentType{index}"] = mimetypes.guess_type(url)[0] or "image/jpeg"
    return parameters


def _geography(side: str, place: Place) -> dict[str, str]:
    return {
        f"{side}City": place.city,
        f"{side}State": place.state,
        f"{side}Zip": place.zip,
        f"{side}Country": place.country,
    }
