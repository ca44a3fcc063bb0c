"""Requests as Twilio sends them: parameters, form and signature (facts 1 and 2).

The signature is written out here, with the standard library and once per account a prepared key: a
load generator that takes a millisecond to sign would measure itself. A test holds it against the
official library.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from urllib.parse import urlencode

from loadtests.crowd.people import SHORT_CODE, Person
from loadtests.crowd.texts import Text


@dataclass(frozen=True, slots=True)
class Account:
    """Whose messages these are, and the URL that Twilio calls, up to the router's own paths."""

    sid: str
    token: str
    service_sid: str
    public_url: str


class Signer:
    """Signs for one account."""

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
    """What goes on the wire."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Caller:
    """Writes one account's requests."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._signer = Signer(account.token)

    def inbound(self, sid: str, person: Person, text: Text, *, to: str = SHORT_CODE) -> dict[str, str]:
        """Return the parameters of a message, complete as Twilio sends them."""
        place = person.place
        pictures = {f"MediaUrl{number}": url for number, url in enumerate(text.pictures)}
        types = {f"MediaContentType{number}": "image/jpeg" for number in range(len(text.pictures))}
        return {
            "ToCountry": "US",
            "ToState": "",
            "SmsMessageSid": sid,
            "NumMedia": str(len(text.pictures)),
            "ToCity": "",
            "FromZip": place.postcode,
            "SmsSid": sid,
            "FromState": place.state,
            "SmsStatus": "received",
            "FromCity": place.city,
            "Body": text.body,
            "FromCountry": place.country,
            "To": to,
            "ToZip": "",
            "NumSegments": "1",
            "MessageSid": sid,
            "AccountSid": self._account.sid,
            "MessagingServiceSid": self._account.service_sid,
            "From": person.number,
            "ApiVersion": "2010-04-01",
            **pictures,
            **types,
        }

    def fallback(self, parameters: Mapping[str, str], code: int) -> dict[str, str]:
        """Return the parameters with which Twilio calls the fallback URL (facts 3)."""
        return {**parameters, "ErrorCode": str(code), "ErrorUrl": f"{self._account.public_url}/sms"}

    def receipt(self, sid: str, person: Person, sender: str, status: str) -> dict[str, str]:
        """Return the parameters of a status callback of a reply (facts 7)."""
        return {
            "SmsSid": sid,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": person.number,
            "MessageSid": sid,
            "AccountSid": self._account.sid,
            "MessagingServiceSid": self._account.service_sid,
            "From": sender,
            "ApiVersion": "2010-04-01",
        }

    def post(self, target: str, parameters: Mapping[str, str], token: str) -> Request:
        """Return a signed POST; ``target`` is a path below the public URL, or such a URL in whole.

        ``token`` is the same for the tries of one request, and differs between requests (facts 1.3).
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
