"""A webhook that ``sms-router text`` sends in Twilio's place, and the TwiML of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode
from uuid import uuid4

import requests
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from sms_router.cli.context import store_is_running
from sms_router.cli.output import CommandError
from sms_router.cli.senders.pools import stored_pools
from sms_router.cli.server.phone import URL_HINT, OutgoingText, PhoneMessage, describe_status, sent_by_rest
from sms_router.config.models import AccountSettings
from sms_router.config.settings import Settings
from sms_router.routing.history.record import MessageRecord
from sms_router.senders.country import country_of
from sms_router.senders.pool import Pool
from sms_router.twilio.bounded_adapter import BoundedAdapter
from sms_router.twilio.segments import count_segments
from sms_router.twilio.signature import sign

ANSWER_TIMEOUT = 16.0
"""Seconds; Twilio's is 15 (facts 1.4)."""


class TextByWebhook:
    """A text that reaches the router without Twilio: its TwiML is shown, and only messages by REST leave."""

    def __init__(self, settings: Settings, local: str, text: OutgoingText) -> None:
        account, service_sid = account_of(settings, text.recipient)
        parameters = webhook_parameters(account.sid, service_sid, text)
        self.sid = parameters["MessageSid"]
        response = _send(settings, account, local, parameters)
        if response.status_code != 200:
            raise CommandError(*describe_status(response.status_code))
        self._replies = _parse_twiml(response.content, text.recipient)

    def alerts(self) -> list[str]:
        """Return nothing: Twilio has not seen the text."""
        return []

    def messages(self, records: Sequence[MessageRecord]) -> list[PhoneMessage]:
        """Return the messages of the answer, and what left by REST since."""
        record = next((record for record in records if record.sid == self.sid), None)
        replies = [reply.with_reason(record) for reply in self._replies]
        return replies + [message for record in records for message in sent_by_rest(record)]


def account_of(settings: Settings, recipient: str) -> tuple[AccountSettings, str | None]:
    """Return the account and the Service of a number; the first configured ones when it is not known."""
    service = next(iter(settings.services), None)
    if len(settings.services) > 1:
        sid = next((pool.service_sid for pool in _known_pools(settings) if pool.holds(recipient)), None)
        service = settings.service(sid) or service
    if service is None:
        return settings.accounts[0], None
    return settings.account(service.account), service.sid


def _known_pools(settings: Settings) -> list[Pool]:
    """Return the stored Sender Pools; none while Redis is not available, because a text can do without."""
    try:
        return stored_pools(settings) if store_is_running(settings) else []
    except CommandError:
        return []


def webhook_parameters(account_sid: str, service_sid: str | None, text: OutgoingText) -> dict[str, str]:
    """Return the parameters of Twilio's webhook for a text (facts 1.2)."""
    sid = text.sid or ("MM" if text.media or text.group else "SM") + uuid4().hex
    country = country_of(text.sender, None) or ""
    parameters = {
        "ToCountry": country_of(text.recipient, None) or country,
        "SmsMessageSid": sid,
        "NumMedia": str(len(text.media)),
        "SmsSid": sid,
        "SmsStatus": "received",
        "FromCountry": country,
        "Body": text.body,
        "To": text.recipient,
        "NumSegments": str(count_segments(text.body).count),
        "MessageSid": sid,
        "AccountSid": account_sid,
        "From": text.sender,
        "ApiVersion": "2010-04-01",
    }
    if service_sid is not None:
        parameters["MessagingServiceSid"] = service_sid
    for number, media_url in enumerate(text.media):
        parameters[f"MediaUrl{number}"] = media_url
        parameters[f"MediaContentType{number}"] = "image/jpeg"
    parameters |= {f"OtherRecipients{number}": other for number, other in enumerate(text.group)}
    return parameters


def _send(
    settings: Settings, account: AccountSettings, local: str, parameters: dict[str, str]
) -> requests.Response:
    public = settings.router.public_url or local  # the default of a router without PUBLIC_URL
    signature = sign(f"{public}/sms", list(parameters.items()), account.tokens[0])
    headers = {
        "X-Twilio-Signature": signature,
        "I-Twilio-Idempotency-Token": str(uuid4()),
        "User-Agent": "TwilioProxy/1.1",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = urlencode(parameters).encode()
    try:
        with requests.Session() as session:
            session.mount("http://", BoundedAdapter(ANSWER_TIMEOUT))
            return session.post(f"{local}/sms", data=body, headers=headers, timeout=ANSWER_TIMEOUT)
    except requests.Timeout as error:
        raise CommandError(
            f"The router at {local} did not answer within {ANSWER_TIMEOUT:.0f} s; Twilio's timeout is 15 s.",
            "See its log; inline_deadline in router.toml should be below 13 seconds.",
        ) from error
    except requests.RequestException as error:
        raise CommandError(
            f"The router at {local} did not answer: {error}", "See its log.", URL_HINT
        ) from error


def _parse_twiml(content: bytes, recipient: str) -> list[PhoneMessage]:
    try:
        root = fromstring(content)
    except (ParseError, DefusedXmlException) as error:
        raise CommandError(f"The answer is not TwiML: {error}") from error
    return [
        PhoneMessage(
            "reply",
            message.get("from", recipient),
            "".join([message.text or "", *(body.text or "" for body in message.findall("Body"))]).strip(),
            tuple((media.text or "").strip() for media in message.findall("Media")),
        )
        for message in root.findall("Message")
    ]
