"""A webhook's request as it is sent, signed as Twilio signs it (facts 1.1, 1.3, 2)."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from twilio.request_validator import RequestValidator

from sms_router.sandbox.world.numbers import HttpMethod


@dataclass(frozen=True, slots=True)
class SignedWebhook:
    """``url`` is exactly what was signed; ``body`` is None for GET."""

    method: HttpMethod
    url: str
    headers: Mapping[str, str]
    body: bytes | None


class WebhookSigner:
    """Builds requests with the account's signature."""

    def __init__(self, auth_token: str) -> None:
        self._validator = RequestValidator(auth_token)

    def sign(
        self, method: HttpMethod, url: str, parameters: Mapping[str, str], idempotency_token: str
    ) -> SignedWebhook:
        """Put the parameters into the query (GET) or the body (POST), and sign the request."""
        target = signed_url(url)
        form = urlencode(parameters)
        signed: Mapping[str, str] = parameters
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "X-Home-Region": "us1",
            "I-Twilio-Idempotency-Token": idempotency_token,
        }
        if method is HttpMethod.GET:
            target, signed = _with_query(target, form), {}
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        headers["X-Twilio-Signature"] = self._validator.compute_signature(target, dict(signed))
        return SignedWebhook(method, target, headers, None if method is HttpMethod.GET else form.encode())


def signed_url(url: str) -> str:
    """Return the URL that is called and signed: no fragment, no userinfo, with its port (facts 2.2)."""
    parts = urlsplit(quote(url, safe=string.punctuation))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


def _with_query(url: str, form: str) -> str:
    if not form:
        return url
    return f"{url}{'&' if '?' in url else '?'}{form}"
