"""What is fetched from an upstream, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from sms_router.routing.upstream.cookies import CookieJar
from sms_router.routing.upstream.failure import UpstreamFailure
from sms_router.routing.upstream.forward_rule import Target
from sms_router.twilio.twiml_parser import HttpPage
from sms_router.twilio.webhook_url import WebhookUrl

Headers = Sequence[tuple[bytes, bytes]]
"""A request's headers as ASGI has them: the names in lower case."""


@dataclass(frozen=True, slots=True)
class Request:
    """What stays the same while one document is fetched."""

    parameters: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    token: str
    """The auth token that signs."""
    jar: CookieJar
    allows: Callable[[WebhookUrl], bool]
    """Whether a redirect may lead there."""


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A page, and where it was found in the end."""

    page: HttpPage
    url: WebhookUrl


Fetch = Callable[[Target, Request, float], Awaitable[UpstreamResponse | UpstreamFailure]]
"""Fetches a document before a time of the monotonic clock."""
