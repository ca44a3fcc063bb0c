"""Requests as Twilio sends them: parameters, form and signature (facts 1 and 2).

Signatures are computed with the standard library and a key that is prepared once per account, because the
official library takes a millisecond for each, which a load test would measure. A test compares the two.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from urllib.parse import urlencode

from loadtests.workload.contacts import SHORT_CODE, Contact
from loadtests.workload.texts import Text


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the messages, and the URL that Twilio calls, without the router's paths."""

    sid: str
    token: str
    service_sid: str
    public_url: str


class Signer:
    """Computes the signatures of one account."""

    def __init__(self, token: str) -> None:
        self._key = hmac.new(token.encode(), digestmod=sha1)

    def sign(self, url: str, parameters: Mapping[str, str]) -> str:
        """Return ``X-Twilio-Signature`` of a POST."""
        key = self._key.copy()
        key.update(url.encode())
        key.update("".join(name + parameters[name] for name in sorted(parameters)).encode())
        return b64encode(key.digest()).decode()


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class WebhookBuilder:
    """Builds the requests of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._signer = Signer(account.token)

    def inbound_parameters(
        self, sid: str, contact: Contact, text: Text, *, to: str = SHORT_CODE
    ) -> dict[str, str]:
        """Return all parameters of an inbound message."""
        locality = contact.locality
        pictures = {f"MediaUrl{number}": url for number, url in enumerate(text.pictures)}
        types = {f"MediaContentType{number}": "image/jpeg" for number in range(len(text.pictures))}
        return {
            "ToCountry": "US",
            "ToState": "",
            "SmsMessageSid": sid,
            "NumMedia": str(len(text.pictures)),
            "ToCity": "",
            "FromZip": locality.postcode,
            "SmsSid": sid,
            "FromState": locality.state,
            "SmsStatus": "received",
            "FromCity": locality.city,
            "Body": text.body,
            "FromCountry": locality.country,
            "To": to,
            "ToZip": "",
            "NumSegments": "1",
            "MessageSid": sid,
            "AccountSid": self._account.sid,
            "MessagingServiceSid": self._account.service_sid,
            "From": contact.number,
            "ApiVersion": "2010-04-01",
            **pictures,
            **types,
        }

    def fallback_parameters(self, parameters: Mapping[str, str], code: int) -> dict[str, str]:
        """Return the parameters of Twilio's request to the fallback URL (facts 3)."""
        return {**parameters, "ErrorCode": str(code), "ErrorUrl": f"{self._account.public_url}/sms"}

    def status_parameters(self, sid: str, contact: Contact, sender: str, status: str) -> dict[str, str]:
        """Return the parameters of a status callback of a reply (facts 7)."""
        return {
            "SmsSid": sid,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": contact.number,
            "MessageSid": sid,
            "AccountSid": self._account.sid,
            "MessagingServiceSid": self._account.service_sid,
            "From": sender,
            "ApiVersion": "2010-04-01",
        }

    def post(self, target: str, parameters: Mapping[str, str], token: str) -> Request:
        """Return a signed POST; ``target`` is a path below the public URL, or the whole URL.

        ``token`` is the same for all attempts of one request (facts 1.3).
        """
        base = self._account.public_url
        path = target.removeprefix(base)
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded",
            "I-Twilio-Idempotency-Token": token,
            "X-Twilio-Signature": self._signer.sign(base + path, parameters),
            "X-Home-Region": "us1",
        }
        return Request(path, urlencode(parameters).encode(), headers)
