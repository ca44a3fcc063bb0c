"""The result of calling a URL: a page, or why there is none; reading a page as Twilio does (facts 1.5, 3)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin

from sms_router.sandbox.webhooks.connection_policy import WebhookFailureKind
from sms_router.sandbox.webhooks.twiml import InvalidTwiml, MessageVerb, Verb, parse_twiml
from sms_router.sandbox.world.numbers import HttpMethod

_TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html"})


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """A URL to call."""

    url: str
    method: HttpMethod = HttpMethod.POST


@dataclass(frozen=True, slots=True)
class WebhookPage:
    """A response with a status below 400. ``media_type`` has no parameters and is in lower case."""

    url: str
    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why there is no page, with the debugger's code (facts 3).

    ``kind`` is set where a ``#rp`` override may request a retry. ``challenge`` is the
    ``WWW-Authenticate`` of a 401, in lower case.
    """

    code: int
    reason: str
    url: str
    status: int | None = None
    kind: WebhookFailureKind | None = None
    challenge: str = ""


def resolve_url(page_url: str, reference: str) -> str:
    """Return the URL that a page refers to; what is no URL is returned unchanged, and fails when called."""
    try:
        return urljoin(page_url, reference)
    except ValueError:
        return reference


def read_page(page: WebhookPage) -> tuple[Verb, ...] | FetchFailure:
    """Return the verbs of a page; ``text/plain`` is one message with the page as its text."""
    if page.media_type == "text/plain" and page.body:
        return (MessageVerb(page.body.decode(errors="replace")),)
    verbs = _unreadable(page) or parse_twiml(page.body)
    if isinstance(verbs, InvalidTwiml):
        return FetchFailure(verbs.code, verbs.reason, page.url, page.status)
    return verbs


def _unreadable(page: WebhookPage) -> InvalidTwiml | None:
    if not page.body:
        return InvalidTwiml(11770, "the response is empty; write <Response/> for no reply")
    if not page.media_type:
        return InvalidTwiml(11200, "the response has no Content-Type")
    if page.media_type not in _TWIML_TYPES:
        return InvalidTwiml(12300, f"{page.media_type} cannot be executed")
    return None
