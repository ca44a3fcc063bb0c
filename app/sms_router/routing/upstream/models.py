"""What is requested from an upstream, its response, and its failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from sms_router.routing.upstream.cookies import CookieJar
from sms_router.routing.upstream.forward_rule import Target
from sms_router.twilio.twiml_parser import HttpPage
from sms_router.twilio.webhook_url import WebhookUrl

Headers = Sequence[tuple[bytes, bytes]]
"""The headers of a request as in ASGI: names in lower case."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """The parts of a request that redirects do not change."""

    parameters: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    auth_token: str
    """The secret that signs the request."""
    cookies: CookieJar
    allows: Callable[[WebhookUrl], bool]
    """Returns whether a redirect to a URL is followed."""
    public_only: bool = False
    """Whether only public addresses are called."""


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """A page, and its URL after redirects."""

    page: HttpPage
    url: WebhookUrl


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """Why there is no usable page."""

    code: int
    """The code of Twilio's debugger, which is sent to the fallback as ``ErrorCode`` (facts 3)."""
    reason: str
    url: WebhookUrl
    """The URL that failed, which is sent to the fallback as ``ErrorUrl``."""
    counts_against_circuit: bool = False
    """True when the server is at fault, not one page."""
    is_called: bool = True
    """False when the circuit breaker or the concurrency limit has prevented the call."""
    requires_credentials: bool = False
    """True where the server requires Basic authentication: only then Twilio sends credentials (facts 1.5)."""

    def __str__(self) -> str:
        return f"{self.url}: {self.code} {self.reason}"


Fetch = Callable[[Target, UpstreamRequest, float], Awaitable[UpstreamResponse | UpstreamFailure]]
"""Fetches a document before a deadline of the monotonic clock."""
